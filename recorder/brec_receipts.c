/*
 * brec_receipts.c - see brec_receipts.h. Runs in the auditor's tools, beside brec_verify.c.
 */
#include "brec_receipts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAYS_OTHER "the collector signed for other frames than those that are here"
#define FALSE_SIGNATURE "a receipt's signature does not hold: it was changed"
#define OTHER_RECORDING "a receipt is for another recording"
#define DAMAGED "a receipt is damaged, and others follow it"

static bool is_trusted(const struct brec_receipts *r, const struct receipt *receipt)
{
	for (size_t i = 0; i < r->trust->ncollectors; i++)
		if (memcmp(r->trust->collectors[i], receipt->key, KEY_LEN) == 0)
			return true;
	return false;
}

/* Moves to the next receipt by a trusted key. One that is torn at the file's end counts as not written. */
static void advance(struct brec_receipts *r)
{
	r->have_next = false;
	while (!r->have_next && !r->bad && buf_left(&r->left) != 0) {
		const size_t left = buf_left(&r->left);

		r->next_at = r->left.off;
		if (receipt_get(&r->left, &r->next) == 0) {
			r->have_next = is_trusted(r, &r->next);
		} else if (left > RECEIPT_LEN_MAX + 4) {
			r->bad = true;
			r->bad_at = r->next_at;
		} else {
			break;
		}
	}
}

int brec_receipts_load(struct brec_receipts *r, struct brec_dir *d, const struct brec_trust *trust, const uint8_t *id)
{
	size_t len;

	*r = (struct brec_receipts){ .trust = trust, .id = id };
	if ((r->data = brec_dir_slurp(d, BREC_RECEIPTS_FILE, BREC_RECEIPTS_MAX, &len)) == NULL)
		return errno == ENOENT ? 0 : -1;
	buf_view(&r->left, r->data, len);
	advance(r);
	return 0;
}

static int refuse(const char *why, uint64_t at, const char **reason, uint64_t *offset)
{
	*reason = why;
	*offset = at;
	return -1;
}

/* What is wrong with r->next, whatever the frames say; NULL if nothing is. */
static const char *false_receipt(const struct brec_receipts *r)
{
	return receipt_check(&r->next) != 0 ? FALSE_SIGNATURE : memcmp(r->next.leaf.id, r->id, BREC_ID_LEN) != 0 ?
	    OTHER_RECORDING : NULL;
}

int brec_receipts_check(struct brec_receipts *r, uint64_t seq, const uint8_t h[BREC_HASH_LEN], const char **reason, uint64_t *offset)
{
	for (; r->have_next && r->next.leaf.seq <= seq; advance(r)) {
		const char *why;

		/* one for an earlier frame than the receipt before it: written again, its frame has passed */
		if (r->next.leaf.seq < seq)
			continue;
		if (memcmp(r->next.leaf.id, r->id, BREC_ID_LEN) == 0 && memcmp(r->next.leaf.h, h, BREC_HASH_LEN) == 0) {
			r->agreed = r->next;
			r->agreed_at = r->next_at;
			r->used++;
			continue;
		}
		why = false_receipt(r);
		return refuse(why != NULL ? why : SAYS_OTHER, r->next_at, reason, offset);
	}
	return 0;
}

int brec_receipts_finish(struct brec_receipts *r, uint64_t *beyond, const char **reason, uint64_t *offset)
{
	const char *why;

	*beyond = 0;
	if (r->used != 0) {
		if (receipt_check(&r->agreed) != 0)
			return refuse(FALSE_SIGNATURE, r->agreed_at, reason, offset);
		r->proven_seq = r->agreed.leaf.seq;
	}
	for (; r->have_next; advance(r)) {
		if (r->next.leaf.seq <= *beyond || r->next.leaf.seq <= r->proven_seq)
			continue;
		if ((why = false_receipt(r)) != NULL)
			return refuse(why, r->next_at, reason, offset);
		*beyond = r->next.leaf.seq;
	}
	return r->bad ? refuse(DAMAGED, r->bad_at, reason, offset) : 0;
}

void brec_receipts_free(struct brec_receipts *r)
{
	free(r->data);
	*r = (struct brec_receipts){ 0 };
}
