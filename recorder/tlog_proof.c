/*
 * tlog_proof.c - see tlog_proof.h. Runs in the auditor's tools.
 */
#include "tlog_proof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"

#define FIRST_LINE "c2sp.org/tlog-proof@v1\n"

int tlog_proof_make(struct buf *out, const struct tlog_path *p, const void *checkpoint, size_t len)
{
	char line[BASE64_SIZE(HASH_LEN) + 2];
	char index[32];

	buf_put(out, FIRST_LINE, sizeof(FIRST_LINE) - 1);
	buf_put(out, index, (size_t)snprintf(index, sizeof(index), "index %" PRIu64 "\n", p->index));
	for (size_t i = 0; i < p->len; i++) {
		base64_encode(line, p->hash[i], HASH_LEN);	/* 43 characters and one of padding */
		memcpy(line + 43, "=\n", 2);
		buf_put(out, line, 45);
	}
	buf_put_u8(out, '\n');
	return buf_put(out, checkpoint, len);
}

/* The next line without its end, and *rest behind it. */
static const char *take_line(const char **rest, const char *end, size_t *len)
{
	const char *line = *rest, *nl = memchr(line, '\n', (size_t)(end - line));

	if (nl == NULL)
		return NULL;
	*len = (size_t)(nl - line);
	*rest = nl + 1;
	return line;
}

static int parse_index(uint64_t *out, const char *s, size_t len)
{
	if (len < 7 || len > 6 + 18 || memcmp(s, "index ", 6) != 0 || (s[6] == '0' && len != 7))
		return -1;
	*out = 0;
	for (size_t i = 6; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		*out = 10 * *out + (uint64_t)(s[i] - '0');
	}
	return 0;
}

int tlog_proof_parse(struct tlog_path *p, struct span *checkpoint, const void *data, size_t len)
{
	const char *rest = data, *end = rest + len, *line;
	size_t n;

	p->len = 0;
	if (len < sizeof(FIRST_LINE) || memcmp(data, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0)
		return -1;
	rest += sizeof(FIRST_LINE) - 1;
	if ((line = take_line(&rest, end, &n)) != NULL && n > 6 && memcmp(line, "extra ", 6) == 0)
		line = take_line(&rest, end, &n);
	if (line == NULL || parse_index(&p->index, line, n) != 0)
		return -1;
	while ((line = take_line(&rest, end, &n)) != NULL && n != 0)
		if (p->len == TLOG_PATH_MAX || n != 44 || base64_decode(p->hash[p->len++], HASH_LEN, line, n) != HASH_LEN)
			return -1;
	if (line == NULL)
		return -1;
	*checkpoint = SPAN(rest, (size_t)(end - rest));
	return 0;
}

/* ---- a bundle's leaves ---- */

static bool is_number(const char *name, uint64_t index)
{
	char want[48];

	snprintf(want, sizeof(want), "log/%" PRIu64 ".leaf", index);
	return strcmp(name, want) == 0;
}

/* One leaf, under the name of its file without the ending. */
static int read_leaf(struct tlog_log *log, const struct brec_tar *t, const char *name, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	char proof_name[BREC_TAR_NAME_MAX + 16];
	uint8_t hash[HASH_LEN], *leaf, *proof;
	size_t leaf_len, proof_len;
	struct span checkpoint;
	struct tlog_path p;
	int r = 0;

	snprintf(proof_name, sizeof(proof_name), "%.*s.tlog-proof", (int)(strlen(name) - 5), name);
	/* of a type that is not known it may be as long as any */
	leaf = brec_tar_slurp(t, name, UINT16_MAX, &leaf_len);
	proof = brec_tar_slurp(t, proof_name, TLOG_PROOF_MAX, &proof_len);
	if (leaf == NULL || proof == NULL || tlog_proof_parse(&p, &checkpoint, proof, proof_len) != 0)
		tlog_judge(log, TLOG_FORGED, "a leaf has no proof that could be read");
	else if (!is_number(name, p.index))
		tlog_judge(log, TLOG_FORGED, "leaf %llu has another number as its name", (unsigned long long)p.index);
	else if (tlog_log_checkpoint(log, checkpoint.data, checkpoint.len, keys, nkeys) == 0) {
		if (tlog_hash_leaf(hash, leaf, leaf_len) != 0)
			r = -1;
		else if (!tlog_path_holds(&p, hash, log->size, log->root))
			tlog_judge(log, TLOG_FORGED, "the proof of leaf %llu does not hold", (unsigned long long)p.index);
		else
			r = tlog_log_add(log, p.index, leaf, leaf_len, hash);
	}
	free(leaf);
	free(proof);
	return r;
}

void tlog_read_bundle(struct tlog_log *log, const struct brec_tar *t, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	size_t leaves = 0;

	*log = (struct tlog_log){ .state = TLOG_GOOD, .part = true };
	for (size_t i = 0; i < t->n && nkeys != 0; i++) {
		const char *name = t->v[i].name;
		const size_t len = strlen(name);

		if (len < 10 || memcmp(name, "log/", 4) != 0 || strcmp(name + len - 5, ".leaf") != 0)
			continue;
		leaves++;
		if (read_leaf(log, t, name, keys, nkeys) != 0)
			tlog_judge(log, TLOG_UNVERIFIABLE, "it cannot be read: %s", strerror(errno));
	}
	if (leaves == 0)
		tlog_judge(log, TLOG_ABSENT, nkeys == 0 ? "no collector's key is trusted, so the log of recordings is not used" :
		    "the bundle has no leaves of a log of recordings");
	tlog_log_sort(log);
}
