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

void archiver_log_sync(struct archiver *a)
{
	int fd = openat(a->log_dir, ARCHIVE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fdatasync(fd) != 0)
		log_error("log/" ARCHIVE_FILE ": %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

bool archiver_log_note(struct archiver *a, const struct archive_item *i)
{
	struct archiver_log *l = &a->log;

	if (archive_list_put(&l->list, a->log_dir, i) == 0 &&
	    (l->list.end < ARCHIVE_LOG_LIST_MAX || archive_list_rewrite(&l->list, a->log_dir) == 0))
		return true;
	log_error("log/" ARCHIVE_FILE ": %s", strerror(errno));
	return false;
}

/* Without that note the tree, or what was kept, is put again. */
static void note(struct archiver *a, const struct archive_item *i)
{
	a->log.failed = !archiver_log_note(a, i) || a->log.failed;
}

static void ended(struct archiver_put *p, bool confirmed)
{
	struct archiver_log *l = &p->a->log;

	l->running--;
	l->failed = l->failed || !confirmed;
	l->fresh = false;
	if (!confirmed)
		archiver_refused(p, &l->refusals);
}

static void kept_ended(struct archiver_put *p, bool confirmed)
{
	ended(p, confirmed);
	if (confirmed)
		note(p->a, &p->item);
}

/* All of that tree is in the store. */
static void checkpoint_ended(struct archiver_put *p, bool confirmed)
{
	struct archiver_log *l = &p->a->log;
	struct archive_item i = p->item;

	ended(p, confirmed);
	l->begun = false;
	if (!confirmed)
		return;
	l->asked = false;
	l->alarm_at = 0;
	l->refusals.times = 0;
	if (l->tiles.to == 0)
		l->not_before = 0;
	log_debug("object store: the log is there up to %" PRIu64 " leaves", l->tiles.to);
	/* where it is one that is kept it has been put with this */
	if (faccessat(p->a->log_dir, i.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		note(p->a, &i);
	snprintf(i.name, sizeof(i.name), "%s", ARCHIVE_LOG_DONE);
	i.size = l->tiles.to;
	note(p->a, &i);
	archiver_log_sync(p->a);
}

bool archiver_log_put(struct archiver *a, const char *name, void *body, size_t len, struct archiver_log_put how)
{
	struct archiver_put *p = archiver_put_create(a, "log", "", name);

	if (p == NULL) {
		free(body);
		return false;
	}
	p->copy = body;
	p->r.body = body;
	p->r.len = len;
	p->end = how.end;
	p->asked = how.asked;
	p->first = a->log.fresh;
	a->log.running++;
	if (archiver_put_send(p, false, false, how.again) == 0)
		return true;
	a->log.running--;
	return false;
}

/* Of a tree, or what is kept beside it. */
static void put(struct archiver *a, const char *name, void *body, size_t len, struct archiver_log_put how)
{
	a->log.failed = !archiver_log_put(a, name, body, len, how) || a->log.failed;
}

/* A file that is needed now cannot be read. */
static int unread(struct archiver *a, const char *name)
{
	const int64_t now = (int64_t)(clock_mono_ms() / 1000);
	const char *why = errno == EBADMSG ? "damaged" : strerror(errno);

	if (now < a->log.alarm_at)
		return -1;
	a->log.alarm_at = now + ARCHIVER_AWAY_ALARM_SECONDS;
	log_error("ALARM: log/%s: %s; the log is not put into the object store%s", name, why, archiver_log_there(a) ? "" : ", nor is anything before it");
	return -1;
}

static void send_tile(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	char path[TLOG_PATH_LEN];
	size_t len;
	uint8_t *data = archive_tile_load(a->log_dir, l->level, l->n, l->width, &len);

	tlog_tile_path(path, l->level, l->n, l->width);
	if (data == NULL) {
		unread(a, path);
		l->failed = true;
		return;
	}
	put(a, path, data, len, (struct archiver_log_put){ .asked = l->asked, .end = ended });
	l->more = archive_tiles_next(&l->tiles, &l->level, &l->n, &l->width);
}

/* ---- another log ---- */

/*
 * Nothing of this log is confirmed. That something may be there from now on is noted first, and then its checkpoint of no leaves is put, which every
 * log has, and until it is confirmed nothing else, so that nothing is put beside another log: that of another store, with other bytes under the same
 * names. 1: the checkpoint is in l->note; 0: there is none; -1.
 */
static int begin_first(struct archiver *a, uint64_t *size)
{
	const struct archive_item begun = { .name = ARCHIVE_LOG_BEGUN, .when = clock_wall() };
	struct archiver_log *l = &a->log;

	int r = -1;

	if (archive_list_find(&l->list, ARCHIVE_LOG_BEGUN) == NULL) {
		note(a, &begun);
		archiver_log_sync(a);
		l->failed = l->failed || fsync(a->log_dir) != 0;
		l->asked = false;
	}
	if (!l->failed)
		r = archive_log_checkpoint(a->log_dir, TLOG_CHECKPOINT ".0", l->note, &l->note_len, size);
	/* of any other tree a part may be confirmed, which no list says */
	l->fresh = r == 1;
	return r;
}

static void say_other(struct archiver *a, int64_t now)
{
	if (now < a->log.alarm_at)
		return;
	a->log.alarm_at = now + ARCHIVER_AWAY_ALARM_SECONDS;
	/* who may only put cannot look which of both it is */
	log_error(a->log.asked ? "ALARM: a log of recordings is in the bucket %s below %s already, another one, or the answer to the first put of this one was lost: "
	    "nothing is put; give archive another prefix" :
	    "ALARM: another log of recordings is in the bucket %s below %s, of another store or by somebody else: nothing is put; "
	    "give archive another prefix", a->conf->archive.bucket, a->conf->archive.prefix);
}

void archiver_log_other(struct archiver *a, const char *key, bool asked)
{
	struct archiver_log *l = &a->log;

	l->other = true;
	l->asked = asked;
	l->alarm_at = 0;
	log_error("object store: %s is there already, and nothing of this log is confirmed", key);
	say_other(a, (int64_t)(clock_mono_ms() / 1000));
	if (asked)
		return;
	/* nothing was put: the next start asks again, perhaps at another place */
	l->list.n = 0;
	if (archive_list_rewrite(&l->list, a->log_dir) != 0)
		log_error("log/" ARCHIVE_FILE ": %s", strerror(errno));
}

/* ---- one tree after the other ---- */

/* The next tree. 1; 0: there is none; -1: that cannot be known now. */
static int begin(struct archiver *a)
{
	struct archiver_log *l = &a->log;
	const struct archive_item *done;
	uint64_t size, before;
	int r = 0;

	if (!l->loaded) {
		if (archive_list_load(&l->list, a->log_dir) != 0)
			return unread(a, ARCHIVE_FILE);
		l->loaded = l->asked = l->kept_asked = true;
	}
	done = archive_list_find(&l->list, ARCHIVE_LOG_DONE);
	before = done != NULL ? done->size : 0;
	if (done == NULL && (r = begin_first(a, &size)) < 0)
		return l->failed ? -1 : unread(a, TLOG_CHECKPOINT ".0");
	if (r == 0 && (r = archive_log_newest(a->log_dir, l->note, &l->note_len, &size)) <= 0)
		return r == 0 ? 0 : unread(a, TLOG_CHECKPOINT);
	if (size < before)
		log_error("ALARM: the log of recordings has %" PRIu64 " leaves, and the object store has it with %" PRIu64 ": this store is an older one", size,
		    before);
	if (size <= before && done != NULL)
		return 0;
	l->tiles = (struct archive_tiles){ .from = before, .to = size };
	l->more = archive_tiles_next(&l->tiles, &l->level, &l->n, &l->width);
	l->begun = true;
	return 1;
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
	put(a, name, copy, l->note_len, (struct archiver_log_put){ .asked = l->asked, .end = checkpoint_ended });
}

/* One file that was kept beside the log. False: there is none. */
static bool send_kept(struct archiver *a)
{
	const struct archive_item *done = archive_list_find(&a->log.list, ARCHIVE_LOG_DONE);
	char name[ARCHIVE_NAME_MAX + 1];
	uint8_t *data;
	size_t len;
	int r = -1;

	if (done == NULL || (r = archive_log_kept(a->log_dir, &a->log.list, done->size, clock_wall(), name)) != 1) {
		a->log.kept_asked = a->log.kept_asked && r != 0;
		return false;
	}
	if ((data = tlog_slurp(a->log_dir, name, 1 << 20, &len)) == NULL) {
		log_error("log/%s: %s; it is not put into the object store", name, strerror(errno));
		return false;
	}
	/* a checkpoint may have been put before it was kept */
	put(a, name, data, len,
	    (struct archiver_log_put){ .asked = a->log.kept_asked || name[strspn(name, TLOG_CHECKPOINT ".0123456789")] == '\0', .end = kept_ended });
	return true;
}

bool archiver_log_there(const struct archiver *a)
{
	return archive_list_find(&a->log.list, ARCHIVE_LOG_DONE) != NULL;
}

void archiver_log_fill(struct archiver *a, int64_t now)
{
	struct archiver_log *l = &a->log;
	int begun;

	if (l->other) {
		say_other(a, now);
		return;
	}
	if (l->failed && l->running == 0) {
		/* the same tree once more, later */
		l->failed = l->begun = false;
		l->changed = l->asked = l->kept_asked = true;
		l->not_before = now + ARCHIVER_LOG_SECONDS;
	}
	if (l->failed || !archiver_may_put(a))
		return;
	if (!l->begun) {
		if (l->running != 0)
			return;
		if (!l->changed || now < l->not_before) {
			archiver_log_renew(a, now);
			return;
		}
		if (!archiver_room(a))
			return;
		l->not_before = now + ARCHIVER_LOG_SECONDS;
		/* one after the other, until there is nothing left of either kind */
		if ((begun = begin(a)) != 1 && !send_kept(a))
			l->changed = begun < 0;
		else if (!l->begun)
			l->not_before = now;
	}
	while (l->begun && l->more && !l->failed && archiver_may_put(a))
		send_tile(a);
	if (l->begun && !l->more && !l->failed && l->running == 0 && archiver_may_put(a))
		send_checkpoint(a);
}
