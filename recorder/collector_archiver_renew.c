/*
 * collector_archiver_renew.c - the tiles of the log of recordings once more, before their locks end. See collector_archiver.h and archive_log.h.
 *
 * A recording's objects are locked for its retention, and it is judged by the whole log, from the first leaf on. So all tiles are put again and
 * again, as second versions of the same bytes, one at a time and behind everything else of the log; how far it is, the list says.
 */
#include "collector_archiver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

static void note(struct archiver *a, const char *name)
{
	struct archive_item i = a->log.renewing;

	snprintf(i.name, sizeof(i.name), "%s", name);
	archiver_log_note(a, &i);
}

static void tile_ended(struct archiver_put *p, bool confirmed)
{
	struct archiver_log *l = &p->a->log;

	archiver_log_ended(p, confirmed);
	if (confirmed && ++l->renewing.until % ARCHIVER_RENEW_NOTED == 0)
		note(p->a, ARCHIVE_LOG_RENEWING);
}

static void finish(struct archiver *a)
{
	a->log.renew.to = 0;
	note(a, ARCHIVE_LOG_RENEWED);
	archiver_log_sync(a);
	log_info("object store: the log's %" PRIu64 " leaves were put once more, for a longer lock", a->log.renewing.size);
}

static void checkpoint_ended(struct archiver_put *p, bool confirmed)
{
	archiver_log_ended(p, confirmed);
	if (confirmed)
		finish(p->a);
}

/* Goes on where a walk was ended, or begins one that is due. False: there is none. */
static bool begin(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	const struct archive_item *done = archive_list_find(&l->list, ARCHIVE_LOG_DONE), *at = archive_list_find(&l->list, ARCHIVE_LOG_RENEWING),
	    *last = archive_list_find(&l->list, ARCHIVE_LOG_RENEWED);
	const int64_t now = clock_wall();
	unsigned width;
	uint64_t n;
	int level;

	if (done == NULL || done->size == 0 || !archive_log_renew_due(&l->list, &a->conf->archive.rules, now))
		return false;
	l->renewing = at != NULL && at->size <= done->size && at->when <= now && (last == NULL || at->when > last->when) ? *at :
	    (struct archive_item){ .size = done->size, .when = now };
	l->renew = (struct archive_tiles){ .to = l->renewing.size };
	for (int64_t skip = l->renewing.until; skip > 0 && archive_tiles_next(&l->renew, &level, &n, &width); skip--)
		;
	return true;
}

/* The last of it: the checkpoint, if it is still the newest. One that came since was put with its own edge of the tree. */
static void put_checkpoint(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	char name[ARCHIVE_NAME_MAX + 1];
	uint64_t size;
	void *copy;
	const int r = archive_log_checkpoint(a->log_dir, TLOG_CHECKPOINT, l->note, &l->note_len, &size);

	if (r == 1 && size != l->renewing.size) {
		finish(a);
		return;
	}
	if (r != 1 || (copy = malloc(l->note_len)) == NULL) {
		log_error("log/" TLOG_CHECKPOINT ": %s", strerror(errno));
		l->failed = true;
		return;
	}
	memcpy(copy, l->note, l->note_len);
	snprintf(name, sizeof(name), TLOG_CHECKPOINT ".%" PRIu64, l->renewing.size);
	archiver_log_put(a, name, copy, l->note_len, (struct archiver_log_put){ .again = true, .end = checkpoint_ended });
}

void archiver_log_renew(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	char path[TLOG_PATH_LEN];
	unsigned width;
	uint8_t *data;
	uint64_t n;
	size_t len;
	int level;

	if (!l->loaded || (l->renew.to == 0 && !begin(a)))
		return;
	if (!archive_tiles_next(&l->renew, &level, &n, &width)) {
		put_checkpoint(a);
		return;
	}
	tlog_tile_path(path, level, n, width);
	if ((data = archive_tile_load(a->log_dir, level, n, width, &len)) == NULL) {
		log_error("ALARM: log/%s: %s; the log cannot be put into the object store", path, strerror(errno));
		l->failed = true;
		return;
	}
	archiver_log_put(a, path, data, len, (struct archiver_log_put){ .again = true, .end = tile_ended });
}
