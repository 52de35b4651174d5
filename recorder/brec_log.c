/*
 * brec_log.c - see brec_log.h. Runs in the auditor's tools, beside brec_verify.c.
 */
#include "brec_log.h"

#include <errno.h>
#include <string.h>

int brec_log_init(struct brec_log *l, const struct tlog_log *log)
{
	*l = (struct brec_log){ 0 };
	if (log == NULL || log->state == TLOG_ABSENT)
		return 0;
	l->log = log;
	if (sha256_init(&l->file_hash) == 0)
		return 0;
	errno = ENOMEM;
	return -1;
}

void brec_log_finish(struct brec_log *l)
{
	sha256_finish(&l->file_hash);
}

int brec_log_bytes(struct brec_log *l, const void *data, size_t len)
{
	errno = ENOMEM;
	return l->log == NULL ? 0 : sha256_update(&l->file_hash, data, len);
}

/* What was done with the recording stands between its own leaves, anywhere after the first. */
static bool at_end(struct brec_log *l)
{
	while (l->at < l->n && l->v[l->at].type > TLOG_CLOSE)
		l->at++;
	return l->at == l->n;
}

static int compare(struct brec_log *l, const struct tlog_leaf *leaf)
{
	uint8_t data[TLOG_LEAF_MAX], hash[HASH_LEN];

	if (at_end(l)) {
		l->missing = true;
		return 0;
	}
	errno = ENOMEM;
	if (tlog_hash_leaf(hash, data, tlog_leaf_encode(data, leaf)) != 0)
		return -1;
	return memcmp(hash, l->v[l->at++].hash, HASH_LEN) != 0;
}

int brec_log_open(struct brec_log *l, struct tlog_leaf *leaf, const void *header, size_t len)
{
	if (l->log == NULL)
		return 0;
	l->v = tlog_find(l->log, leaf->id, &l->n);
	errno = ENOMEM;
	if (sha256_spans(leaf->file_hash, SPANS(SPAN(header, len))) != 0 || sha256_update(&l->file_hash, header, len) != 0)
		return -1;
	return compare(l, leaf);
}

int brec_log_mark(struct brec_log *l, struct tlog_leaf *leaf)
{
	if (l->log == NULL)
		return 0;
	errno = ENOMEM;
	return sha256_digest(&l->file_hash, leaf->file_hash) != 0 ? -1 : compare(l, leaf);
}

const struct tlog_entry *brec_log_beyond(struct brec_log *l, bool closed)
{
	/* nothing of a recording comes after its close: what begins there came under its id later, and says nothing of it */
	return at_end(l) || (closed && l->v[l->at].type == TLOG_OPEN) ? NULL : &l->v[l->at];
}
