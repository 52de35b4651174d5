/*
 * replay_fit.c - see replay_pull.h: can these bytes be what their object's name says? Part of bastion-replay.
 *
 * Whoever holds the collector's keys, which can only put, may be the first to put something under any name. What he cannot is sign. So of what
 * a bastion or a collector signs the signature is looked at here already, if it is known whose that is; where it is not, the shape.
 */
#include "replay_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "archive_plan.h"
#include "brec_dir.h"
#include "hex.h"
#include "tlog_note.h"
#include "tlog_reader.h"
#include "tlog_tile.h"
#include "wire_receipt.h"

#define DAY_LEN 22	/* "recordings/YYYY-MM-DD/": behind it the name has its recording's id */
#define BUNDLE_MAX (TLOG_TILE * (2 + UINT16_MAX))

/* ---- names ---- */

int64_t fit_segment_number(const struct object *o, size_t *len)
{
	const char *file = strrchr(o->name, '/');

	if (file == NULL || strncmp(o->name, "recordings/", 11) != 0)
		return -1;
	*len = (size_t)(file - o->name) + 1;
	return brec_dir_number(file + 1);
}

bool fit_checkpoint_size(const struct object *o, uint64_t *size, const char **end)
{
	const char *digits = o->name + 15;
	char *rest;

	if (strncmp(o->name, "log/" TLOG_CHECKPOINT ".", 15) != 0 || digits[0] < '0' || digits[0] > '9')
		return false;
	errno = 0;
	*size = strtoull(digits, &rest, 10);
	*end = rest;
	return errno == 0;
}

bool fit_tile_name(struct tile_name *t, const struct object *o)
{
	const char *at = o->name + 9;
	char again[TLOG_PATH_LEN];

	if (strncmp(o->name, "log/tile/", 9) != 0)
		return false;
	*t = (struct tile_name){ .level = strncmp(at, "entries/", 8) == 0 ? TLOG_ENTRIES : (int)strtoul(at, NULL, 10), .width = TLOG_TILE };
	for (at = strchr(at, '/'); at != NULL && t->n <= TLOG_SIZE_MAX; at = strchr(at + 1, '/')) {
		if (strncmp(at - 2, ".p/", 3) == 0)
			t->width = (unsigned)strtoul(at + 1, NULL, 10);
		else
			t->n = t->n * 1000 + strtoul(at + (at[1] == 'x' ? 2 : 1), NULL, 10);
	}
	return t->level < TLOG_LEVELS && t->width != 0 && t->width <= TLOG_TILE && t->n <= TLOG_SIZE_MAX &&
	    strcmp(tlog_tile_path(again, t->level, t->n, t->width), o->name + 4) == 0;
}

/* Is that the id of the recording to which the name belongs? */
static bool is_of(const struct object *o, const uint8_t id[BREC_ID_LEN])
{
	char hex[2 * BREC_ID_LEN + 1];

	return strncmp(o->name + DAY_LEN, hex_encode(hex, id, BREC_ID_LEN), 2 * BREC_ID_LEN) == 0;
}

/* Is it known which collectors are to be believed? */
static bool known(const struct pull *p)
{
	return p->trust != NULL && p->trust->ncollectors != 0;
}

/* ---- the log ---- */

bool fit_checkpoint(struct tlog_checkpoint *c, const struct pull *p, const char *path, uint64_t size)
{
	size_t len, i = 0;
	uint8_t *data = tlog_slurp(AT_FDCWD, path, TLOG_NOTE_MAX, &len);
	bool fine = data != NULL && tlog_checkpoint_parse(c, data, len) == 0 && c->size == size;

	while (fine && known(p) && i < p->trust->ncollectors && !tlog_checkpoint_signed(c, p->trust->collectors[i]))
		i++;
	fine = fine && (!known(p) || i < p->trust->ncollectors);
	free(data);
	return fine;
}

static enum fit fit_note(const struct pull *p, const char *path, uint64_t size)
{
	struct tlog_checkpoint c;

	if (!fit_checkpoint(&c, p, path, size) || (p->origin[0] != '\0' && strcmp(c.origin, p->origin) != 0))
		return FIT_NOT;
	return known(p) ? FIT_PROVEN : FIT_MAY;
}

static enum fit fit_tile(const struct tile_name *t, const char *path)
{
	size_t len;
	uint8_t *data = tlog_slurp(AT_FDCWD, path, BUNDLE_MAX, &len);
	const long want = data == NULL ? -1 : t->level == TLOG_ENTRIES ? tlog_bundle_prefix(data, len, t->width) : (long)t->width * HASH_LEN;

	free(data);
	return want >= 0 && (size_t)want == len ? FIT_MAY : FIT_NOT;
}

/* ---- a recording ---- */

static const uint8_t *signer_of(const struct pull *p, const uint8_t id[HASH_LEN])
{
	uint8_t have[HASH_LEN];

	for (size_t i = 0; p->trust != NULL && i < p->trust->nsigners; i++)
		if (key_id(have, p->trust->signers[i]) == 0 && memcmp(have, id, HASH_LEN) == 0)
			return p->trust->signers[i];
	return NULL;
}

/* Everything in it that its bastion signs. *vouched: up to the last signature. */
static bool signed_by(const uint8_t *data, size_t len, const struct brec_header *h, const uint8_t key[KEY_LEN], size_t *vouched)
{
	uint8_t chain[BREC_HASH_LEN];
	struct brec_frame f;
	struct brec_mark m;

	if (!brec_header_verify(data, h, key) || brec_chain_start(chain, data, h->len) != 0)
		return false;
	*vouched = h->len;
	for (size_t at = h->len; at < len && brec_frame_decode(data + at, len - at, &f) == BREC_OK; at += f.len) {
		if (f.type != BREC_DATA) {
			if (brec_mark_decode(&f, &m) != 0 || memcmp(m.h, chain, sizeof(chain)) != 0 || !brec_mark_verify(h->id, &m, key))
				return false;
			*vouched = at + f.len;
		}
		if (brec_chain_add(chain, data + at, f.len) != 0)
			return false;
	}
	return true;
}

static enum fit fit_segment(const struct pull *p, const struct object *o, uint32_t segment, const uint8_t *data, size_t len, size_t *vouched)
{
	const enum archive_segment state = archive_segment_state(data, len, segment);
	const uint8_t *key;
	struct brec_header h;

	if (state == ARCHIVE_DAMAGED)
		return FIT_NOT;
	/* too short for a header: it tells nothing */
	if (brec_header_decode(data, len, &h) != BREC_OK)
		return FIT_MAY;
	if (!is_of(o, h.id))
		return FIT_NOT;
	if ((key = signer_of(p, h.signer)) == NULL)
		return FIT_MAY;
	if (!signed_by(data, len, &h, key, vouched))
		return FIT_NOT;
	return state == ARCHIVE_OPEN ? FIT_MAY : FIT_PROVEN;
}

static enum fit fit_receipt(const struct pull *p, const struct object *o, const uint8_t *data, size_t len)
{
	struct receipt one;
	struct buf b;
	size_t i = 0;

	buf_view(&b, data, len);
	if (receipt_get(&b, &one) != 0 || buf_left(&b) != 0 || !is_of(o, one.leaf.id))
		return FIT_NOT;
	while (known(p) && i < p->trust->ncollectors && memcmp(p->trust->collectors[i], one.key, KEY_LEN) != 0)
		i++;
	if (!known(p) || i == p->trust->ncollectors)
		return FIT_MAY;
	return receipt_check(&one) == 0 ? FIT_PROVEN : FIT_NOT;
}

/* conflict-SEQUENCE-HASH: the beginning of its SHA-256. */
static enum fit fit_conflict(const char *file, const uint8_t *data, size_t len)
{
	char hex[2 * HASH_LEN + 1];
	uint8_t hash[HASH_LEN];

	return sha256_spans(hash, SPANS(SPAN(data, len))) == 0 && strncmp(hex_encode(hex, hash, HASH_LEN), strrchr(file, '-') + 1, 16) == 0 ? FIT_PROVEN :
	    FIT_NOT;
}

enum fit fit_file(const struct pull *p, const struct object *o, const char *path, size_t *vouched)
{
	const char *file = strrchr(o->name, '/') + 1, *end;
	enum fit fit = FIT_NOT;
	struct tile_name tile;
	uint64_t size;
	uint8_t *data;
	size_t len, below;
	int64_t segment;

	*vouched = 0;
	if (fit_checkpoint_size(o, &size, &end))
		/* a stamp is its authority's, and vouches for itself */
		return strcmp(end, ".tsr") == 0 ? FIT_MAY : fit_note(p, path, size);
	if (strncmp(o->name, "log/", 4) == 0)
		return fit_tile_name(&tile, o) ? fit_tile(&tile, path) : FIT_NOT;
	if ((data = tlog_slurp(AT_FDCWD, path, BUCKET_OBJECT_MAX, &len)) == NULL)
		return FIT_MAY;
	if ((segment = fit_segment_number(o, &below)) >= 0)
		fit = fit_segment(p, o, (uint32_t)segment, data, len, vouched);
	else if (strncmp(file, "receipts.", 9) == 0)
		fit = fit_receipt(p, o, data, len);
	else
		fit = fit_conflict(file, data, len);
	free(data);
	return fit;
}
