/*
 * collector_archiver_log.c - the log of recordings into the store: tiles, then the checkpoint over them, then what was kept
 * beside it. See collector_archiver.h and archive_log.h.
 */
#include "collector_archiver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "tlog_reader.h"

static void sync_list(struct archiver *a)
{
	int fd = openat(a->log_dir, ARCHIVE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fdatasync(fd) != 0)
		log_error("log/" ARCHIVE_FILE ": %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void note(struct archiver *a, const struct archive_item *i)
{
	struct archiver_log *l = &a->log;

	if (archive_list_put(&l->list, a->log_dir, i) == 0 &&
	    (l->list.end < ARCHIVE_LOG_LIST_MAX || archive_list_rewrite(&l->list, a->log_dir) == 0))
		return;
	log_error("log/" ARCHIVE_FILE ": %s", strerror(errno));
	l->failed = true;
}

static void tile_ended(struct archiver_put *p, bool confirmed)
{
	p->a->log.running--;
	p->a->log.failed = p->a->log.failed || !confirmed;
}

static void kept_ended(struct archiver_put *p, bool confirmed)
{
	tile_ended(p, confirmed);
	if (confirmed)
		note(p->a, &p->item);
}

/* All of that tree is in the store. */
static void checkpoint_ended(struct archiver_put *p, bool confirmed)
{
	struct archiver_log *l = &p->a->log;
	struct archive_item i = p->item;

	tile_ended(p, confirmed);
	l->begun = false;
	if (!confirmed)
		return;
	log_debug("object store: the log is there up to %" PRIu64 " leaves", l->tiles.to);
	/* where it is one that is kept it has been put with this */
	if (faccessat(p->a->log_dir, i.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		note(p->a, &i);
	snprintf(i.name, sizeof(i.name), "%s", ARCHIVE_LOG_DONE);
	i.size = l->tiles.to;
	note(p->a, &i);
	sync_list(p->a);
}

/* body: for free(), becomes the put's. */
static void put_copy(struct archiver *a, const char *name, void *body, size_t len, void (*end)(struct archiver_put *p, bool confirmed))
{
	struct archiver_put *p = archiver_put_create(a, "log", "", name);

	if (p == NULL) {
		free(body);
		a->log.failed = true;
		return;
	}
	p->copy = body;
	p->r.body = body;
	p->r.len = len;
	p->end = end;
	a->log.running++;
	if (archiver_put_send(p, false, false, false) == 0)
		return;
	a->log.running--;
	a->log.failed = true;
}

static void send_tile(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	char path[TLOG_PATH_LEN];
	size_t len;
	uint8_t *data = archive_tile_load(a->log_dir, l->level, l->n, l->width, &len);

	tlog_tile_path(path, l->level, l->n, l->width);
	if (data == NULL) {
		log_error("ALARM: log/%s: %s; the log cannot be put into the object store", path, strerror(errno));
		l->failed = true;
		return;
	}
	put_copy(a, path, data, len, tile_ended);
	l->more = archive_tiles_next(&l->tiles, &l->level, &l->n, &l->width);
}

/* The next tree, if there is one. False: not. */
static bool begin(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	const struct archive_item *done;
	uint64_t size, before;
	int r;

	if (!l->loaded && archive_list_load(&l->list, a->log_dir) != 0) {
		log_error("log/" ARCHIVE_FILE ": %s", strerror(errno));
		return false;
	}
	l->loaded = true;
	done = archive_list_find(&l->list, ARCHIVE_LOG_DONE);
	before = done != NULL ? done->size : 0;
	if ((r = archive_log_checkpoint(a->log_dir, l->note, &l->note_len, &size)) <= 0) {
		if (r < 0)
			log_error("log/" TLOG_CHECKPOINT ": %s", strerror(errno));
		return false;
	}
	if (size < before)
		log_error("ALARM: the log of recordings has %" PRIu64 " leaves, and the object store has it with %" PRIu64 ": this store is an older one", size,
		    before);
	if (size <= before && done != NULL)
		return false;
	l->tiles = (struct archive_tiles){ .from = before, .to = size };
	l->more = archive_tiles_next(&l->tiles, &l->level, &l->n, &l->width);
	l->begun = true;
	return true;
}

static void send_checkpoint(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	char name[ARCHIVE_NAME_MAX + 1];
	void *copy = malloc(l->note_len);

	snprintf(name, sizeof(name), TLOG_CHECKPOINT ".%" PRIu64, l->tiles.to);
	if (copy == NULL) {
		l->failed = true;
		return;
	}
	memcpy(copy, l->note, l->note_len);
	put_copy(a, name, copy, l->note_len, checkpoint_ended);
}

/* One file that was kept beside the log. False: there is none. */
static bool send_kept(struct archiver *a)
{
	const struct archive_item *done = archive_list_find(&a->log.list, ARCHIVE_LOG_DONE);
	char name[ARCHIVE_NAME_MAX + 1];
	uint8_t *data;
	size_t len;

	if (done == NULL || archive_log_kept(a->log_dir, &a->log.list, done->size, clock_wall(), name) != 1)
		return false;
	if ((data = tlog_slurp(a->log_dir, name, 1 << 20, &len)) == NULL) {
		log_error("log/%s: %s; it is not put into the object store", name, strerror(errno));
		return false;
	}
	put_copy(a, name, data, len, kept_ended);
	return true;
}

void archiver_log_fill(struct archiver *a, int64_t now)
{
	struct archiver_log *l = &a->log;

	if (l->failed && l->running == 0) {
		/* the same tree once more, later */
		l->failed = l->begun = false;
		l->changed = true;
		l->not_before = now + ARCHIVER_LOG_SECONDS;
	}
	if (l->failed || !archiver_may_put(a))
		return;
	if (!l->begun) {
		if (l->running != 0 || !l->changed || now < l->not_before)
			return;
		l->not_before = now + ARCHIVER_LOG_SECONDS;
		/* one after the other, until there is nothing left of either kind */
		if (!begin(a) && !send_kept(a))
			l->changed = false;
		else if (!l->begun)
			l->not_before = now;
	}
	while (l->begun && l->more && !l->failed && archiver_may_put(a))
		send_tile(a);
	if (l->begun && !l->more && !l->failed && l->running == 0 && archiver_may_put(a))
		send_checkpoint(a);
}
