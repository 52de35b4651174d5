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
#define DAMAGED "a receipt is damaged, and more than it follows"

static bool is_trusted(const struct brec_receipts *r, const struct receipt *receipt)
{
	for (size_t i = 0; i < r->trust->ncollectors; i++)
		if (memcmp(r->trust->collectors[i], receipt->key, KEY_LEN) == 0)
			return true;
	return false;
}

static int add(struct brec_receipts *r, uint64_t seq, uint64_t at)
{
	if (r->n == r->cap) {
		const size_t cap = r->cap == 0 ? 64 : 2 * r->cap;
		struct brec_receipt_place *v = reallocarray(r->v, cap, sizeof(*v));

		if (v == NULL)
			return -1;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct brec_receipt_place){ seq, at };
	return 0;
}

/* All by trusted keys, as they stand in the file. One that is torn at its end counts as not written. 0 or -1. */
static int find(struct brec_receipts *r)
{
	struct receipt one;
	struct buf b;

	buf_view(&b, r->data, r->len);
	while (buf_left(&b) != 0) {
		const size_t at = b.off;

		if (receipt_get(&b, &one) != 0) {
			r->bad = !receipt_is_torn(r->data + at, r->len - at);
			r->bad_at = at;
			return 0;
		}
		if (is_trusted(r, &one) && add(r, one.leaf.seq, at) != 0)
			return -1;
	}
	return 0;
}

static int by_seq(const void *a, const void *b)
{
	const struct brec_receipt_place *x = a, *y = b;

	return x->seq != y->seq ? (x->seq > y->seq) - (x->seq < y->seq) : (x->at > y->at) - (x->at < y->at);
}

int brec_receipts_load(struct brec_receipts *r, struct brec_dir *d, const struct brec_trust *trust, const uint8_t *id)
{
	*r = (struct brec_receipts){ .trust = trust, .id = id };
	/* what proves nothing to anybody accuses nobody */
	if (trust->ncollectors == 0)
		return 0;
	if ((r->data = brec_dir_slurp(d, BREC_RECEIPTS_FILE, BREC_RECEIPTS_MAX, &r->len)) == NULL)
		return errno == ENOENT ? 0 : -1;
	if (find(r) != 0)
		return -1;
	if (r->n > 1)
		qsort(r->v, r->n, sizeof(*r->v), by_seq);
	return 0;
}

static int refuse(const char *why, uint64_t at, const char **reason, uint64_t *offset)
{
	*reason = why;
	*offset = at;
	return -1;
}

/* The next one. NULL, or what is wrong with it, whatever the frames say. */
static const char *take(const struct brec_receipts *r, struct receipt *one)
{
	const uint64_t at = r->v[r->next].at;
	struct buf b;

	buf_view(&b, r->data + at, r->len - at);
	if (receipt_get(&b, one) != 0 || receipt_check(one) != 0)
		return FALSE_SIGNATURE;
	/* without a header nobody knows whose they are */
	return r->begun && memcmp(one->leaf.id, r->id, BREC_ID_LEN) != 0 ? OTHER_RECORDING : NULL;
}

int brec_receipts_check(struct brec_receipts *r, uint64_t seq, const uint8_t h[BREC_HASH_LEN], const char **reason, uint64_t *offset)
{
	r->begun = true;
	for (; r->next < r->n && r->v[r->next].seq <= seq; r->next++) {
		struct receipt one;
		const char *why = take(r, &one);

		if (why == NULL && memcmp(one.leaf.h, h, BREC_HASH_LEN) != 0)
			why = SAYS_OTHER;
		if (why != NULL)
			return refuse(why, r->v[r->next].at, reason, offset);
		r->proven_seq = seq;
		r->used++;
	}
	return 0;
}

int brec_receipts_finish(struct brec_receipts *r, uint64_t *beyond, const char **reason, uint64_t *offset)
{
	*beyond = 0;
	for (; r->next < r->n; r->next++) {
		struct receipt one;
		const char *why = take(r, &one);

		if (why != NULL)
			return refuse(why, r->v[r->next].at, reason, offset);
		*beyond = one.leaf.seq;
	}
	return r->bad ? refuse(DAMAGED, r->bad_at, reason, offset) : 0;
}

void brec_receipts_free(struct brec_receipts *r)
{
	free(r->data);
	free(r->v);
	*r = (struct brec_receipts){ 0 };
}
