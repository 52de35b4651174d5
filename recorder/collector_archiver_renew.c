/*
 * collector_archiver_renew.c - the tiles of the log of recordings once more, before their locks end. See collector_archiver.h and archive_log.h.
 *
 * A recording's objects are locked for its retention, and it is judged by the whole log, from the first leaf on. So all tiles are put again and
 * again, as second versions of the same bytes, one at a time and behind everything else of the log; how far it is, the list says. What does not
 * fit to the tree any more is not put: the store then has the better copy.
 */
#include "collector_archiver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

static bool note(struct archiver *a, const char *name)
{
	struct archive_item i = a->log.renewal.item;

	snprintf(i.name, sizeof(i.name), "%s", name);
	return archiver_log_note(a, &i);
}

/* The same file again, later. */
static void failed(struct archiver *a)
{
	struct archiver_renewal *r = &a->log.renewal;

	r->not_before = (int64_t)(clock_mono_ms() / 1000) + (ARCHIVER_LOG_SECONDS << r->failures);
	r->failures += r->failures < ARCHIVER_RENEW_DOUBLED;
}

/* One more is done with. Where that cannot be noted some are put once more after the next start. */
static void advance(struct archiver *a)
{
	struct archiver_renewal *r = &a->log.renewal;

	r->at = r->after;
	if (++r->item.until % ARCHIVER_RENEW_NOTED == 0)
		note(a, ARCHIVE_LOG_RENEWING);
}

static bool ended(struct archiver_put *p, bool confirmed)
{
	struct archiver_renewal *r = &p->a->log.renewal;

	p->a->log.running--;
	if (confirmed) {
		r->failures = r->refusals.times = 0;
	} else {
		archiver_refused(p, &r->refusals);
		failed(p->a);
	}
	return confirmed;
}

static void tile_ended(struct archiver_put *p, bool confirmed)
{
	if (ended(p, confirmed))
		advance(p->a);
}

/* What was passed over is put by the next one, if it is mended by then: the rest is not to be put again before. */
static void finish(struct archiver *a)
{
	struct archiver_renewal *r = &a->log.renewal;

	if (!note(a, ARCHIVE_LOG_RENEWED)) {
		failed(a);
		return;
	}
	r->at.to = 0;
	archiver_log_sync(a);
	if (r->passed_over != 0)
		log_error("ALARM: %" PRIu64 " files of the log were not put into the object store again: they are damaged here, or what is around them", r->passed_over);
	else
		log_info("object store: the log's %" PRIu64 " leaves were put once more, for a longer lock", r->item.size);
}

static void checkpoint_ended(struct archiver_put *p, bool confirmed)
{
	if (ended(p, confirmed))
		finish(p->a);
}

/* Other bytes beside those that are there would make a forgery of them: the store's copy is the one that this disk does not hurt. */
static void pass_over(struct archiver *a, const char *path)
{
	if (a->log.renewal.passed_over++ == 0)
		log_error("ALARM: log/%s: %s; it is not put into the object store again", path, errno == EBADMSG ? "damaged, or what is around it" : strerror(errno));
}

/* Goes on where a walk was ended, or begins one that is due. False: there is none. */
static bool begin(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	const struct archive_item *done = archive_list_find(&l->list, ARCHIVE_LOG_DONE), *at = archive_list_find(&l->list, ARCHIVE_LOG_RENEWING),
	    *last = archive_list_find(&l->list, ARCHIVE_LOG_RENEWED);
	const int64_t now = clock_wall();
	struct archiver_renewal *r = &l->renewal;
	unsigned width;
	uint64_t n;
	int level;

	if (done == NULL || done->size == 0 || !archive_log_renew_due(&l->list, &a->conf->archive.rules, now))
		return false;
	*r = (struct archiver_renewal){ .item = { .size = done->size, .when = now } };
	if (at != NULL && at->size <= done->size && at->when <= now && (last == NULL || at->when > last->when))
		r->item = *at;
	r->at.to = r->item.size;
	for (int64_t skip = r->item.until; skip > 0 && archive_tiles_next(&r->at, &level, &n, &width); skip--)
		;
	return true;
}

/* The last of it: the checkpoint, if it is still the one that was put. One that came since was put with its own edge of the tree. */
static void put_checkpoint(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	const struct archive_item *done = archive_list_find(&l->list, ARCHIVE_LOG_DONE);
	char name[ARCHIVE_NAME_MAX + 1];
	uint8_t hash[HASH_LEN];
	uint64_t size;
	void *copy;
	const int r = archive_log_newest(a->log_dir, l->note, &l->note_len, &size);

	if (r != 1)
		pass_over(a, TLOG_CHECKPOINT);
	/* the same tree may have another signature by now, after a change of keys */
	if (r != 1 || size != l->renewal.item.size || sha256_spans(hash, SPANS(SPAN(l->note, l->note_len))) != 0 || memcmp(hash, done->hash, HASH_LEN) != 0) {
		finish(a);
		return;
	}
	snprintf(name, sizeof(name), TLOG_CHECKPOINT ".%" PRIu64, size);
	if ((copy = malloc(l->note_len)) != NULL)
		memcpy(copy, l->note, l->note_len);
	if (copy == NULL || !archiver_log_put(a, name, copy, l->note_len, (struct archiver_log_put){ .again = true, .end = checkpoint_ended }))
		failed(a);
}

void archiver_log_renew(struct archiver *a, int64_t now)
{
	struct archiver_log *l = &a->log;
	struct archiver_renewal *r = &l->renewal;
	char path[TLOG_PATH_LEN];
	unsigned width;
	uint8_t *data;
	uint64_t n;
	size_t len;
	int level;

	if (!l->loaded || now < r->not_before || (r->at.to == 0 && !begin(a)) || !archiver_room(a))
		return;
	r->after = r->at;
	if (!archive_tiles_next(&r->after, &level, &n, &width)) {
		put_checkpoint(a);
		return;
	}
	tlog_tile_path(path, level, n, width);
	if ((data = archive_tile_proven(a->log_dir, level, n, width, &len)) != NULL) {
		if (!archiver_log_put(a, path, data, len, (struct archiver_log_put){ .again = true, .end = tile_ended }))
			failed(a);
	} else if (errno == ENOMEM) {
		failed(a);
	} else {
		pass_over(a, path);
		advance(a);
	}
}
