/*
 * collector_archiver_rec.c - a recording's objects: found, put, noted in its list. See collector_archiver.h.
 *
 *   queued ──▶ active: scanned; its jobs put; what is confirmed is noted ──▶ scanned again ──▶ nothing left: forgotten
 *     ▲            │ the store failed                                          │ nothing can be done: parked
 *     └────────────┘ refused again and again: parked, too                      ▼ until a hint, or the next look at everything
 */
#include "collector_archiver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "hex.h"
#include "log.h"

#define HEAR_EVERY 64	/* recordings that are looked at between two looks at the link */

/* "YYYY-MM-DD/ID", and nothing else that a path could be. The id, or NULL. */
static const char *id_of(const char *dir)
{
	uint8_t id[BREC_ID_LEN];
	const char *slash = strchr(dir, '/');

	return slash != NULL && slash - dir == 10 && dir[strspn(dir, "0123456789-")] == '/' && hex_decode(id, sizeof(id), slash + 1) == 0 ? slash + 1 :
	    NULL;
}

static struct archiver_bucket *bucket(struct archiver *a, const char *dir)
{
	uint8_t two[2] = { 0 };
	char hex[5];

	/* ids are random */
	memcpy(hex, id_of(dir), 4);
	hex[4] = '\0';
	hex_decode(two, 2, hex);
	return &a->buckets[(two[0] << 8 | two[1]) % ARCHIVER_BUCKETS];
}

static struct archiver_work *find(struct archiver *a, const char *dir)
{
	struct archiver_work *w;

	LIST_FOREACH(w, bucket(a, dir), bucket)
		if (strcmp(w->dir, dir) == 0)
			return w;
	return NULL;
}

static void set_bytes(struct archiver *a, struct archiver_work *w, uint64_t bytes)
{
	a->spool = a->spool - w->bytes + bytes;
	w->bytes = bytes;
}

static void forget(struct archiver *a, struct archiver_work *w)
{
	if (w->state == WORK_QUEUED)
		TAILQ_REMOVE(&a->queue, w, queue);
	set_bytes(a, w, 0);
	LIST_REMOVE(w, bucket);
	a->nwork--;
	free(w);
}

static void enqueue(struct archiver *a, struct archiver_work *w)
{
	w->state = WORK_QUEUED;
	TAILQ_INSERT_TAIL(&a->queue, w, queue);
}

static struct archiver_work *add(struct archiver *a, const char *dir)
{
	struct archiver_work *w = a->nwork < ARCHIVER_WORK_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (w == NULL) {
		a->overflow = true;
		return NULL;
	}
	snprintf(w->dir, sizeof(w->dir), "%s", dir);
	/* what a life before put of it, and did not come to note */
	w->asked = !a->looked;
	LIST_INSERT_HEAD(bucket(a, dir), w, bucket);
	a->nwork++;
	enqueue(a, w);
	return w;
}

/* ---- looking ---- */

static int open_rec(struct archiver *a, const char *dir)
{
	return openat(a->recordings, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int look(const struct archiver *a, int fd, struct archive_scan *scan)
{
	const int64_t now = clock_wall();

	return archive_scan_due(scan, fd, &a->conf->archive.rules, now, archive_dead_before(now, a->heard));
}

void archiver_rec_look(struct archiver *a, const char *dir)
{
	static struct archive_scan scan;	/* large, and used by one look at a time */
	struct archiver_work *w;
	int fd;

	if (id_of(dir) == NULL || strlen(dir) >= sizeof(w->dir))
		return;
	if ((w = find(a, dir)) != NULL && w->state == WORK_ACTIVE) {
		w->again = true;
		return;
	}
	if ((fd = open_rec(a, dir)) < 0 || look(a, fd, &scan) != 0) {
		/* removed since: what was not confirmed was not removed by us */
		if (errno != ENOENT)
			log_error("ALARM: %s: %s; it cannot be put into the object store", dir, strerror(errno));
	} else if (scan.njobs != 0 || scan.ends) {
		if (w == NULL)
			w = add(a, dir);
		else if (w->state == WORK_PARKED)
			enqueue(a, w);
		if (w != NULL)
			set_bytes(a, w, scan.bytes);
	}
	archive_scan_free(&scan);
	if (fd >= 0)
		close(fd);
}

/* Every name in a directory below recordings. */
static void each(struct archiver *a, const char *path, void (*fn)(struct archiver *a, const char *top, const char *name))
{
	int fd = openat(a->recordings, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (unsigned n = 1; (e = readdir(d)) != NULL && !a->stop; n++) {
		if (e->d_name[0] != '.')
			fn(a, path, e->d_name);
		if (n % HEAR_EVERY == 0) {
			archiver_hear(a);
			archiver_tell(a);
		}
	}
	closedir(d);
}

static void look_at(struct archiver *a, const char *day, const char *name)
{
	char dir[STORE_DIR_LEN];

	if (snprintf(dir, sizeof(dir), "%s/%s", day, name) < (int)sizeof(dir))
		archiver_rec_look(a, dir);
}

static void look_at_day(struct archiver *a, const char *top, const char *day)
{
	(void)top;
	each(a, day, look_at);
}

void archiver_rec_look_all(struct archiver *a)
{
	/* without a bastion's clock nothing is dead, and what is left of an open segment is not seen */
	const bool told = a->heard != 0;

	a->overflow = false;
	each(a, ".", look_at_day);
	a->looked = a->looked || (told && !a->overflow && !a->stop);
}

/* ---- putting ---- */

static bool load_map(struct archiver_put *p, int fd, const struct archive_job *j, const char **why)
{
	enum archive_segment state;
	int file = openat(fd, j->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	*why = "cannot be read";
	if (file < 0)
		return false;
	if (fstat(file, &st) == 0 && (uint64_t)st.st_size >= j->len && j->len != 0)
		p->map = mmap(NULL, p->map_len = (size_t)j->len, PROT_READ, MAP_PRIVATE, file, 0);
	close(file);
	if (p->map == MAP_FAILED)
		p->map = NULL;
	if (p->map == NULL)
		return false;
	p->r.body = p->map;
	p->r.len = p->map_len;
	state = j->kind == ARCHIVE_SEGMENT ? archive_segment_state(p->map, p->map_len, j->segment) : ARCHIVE_SEALED;
	*why = "is damaged";
	return state == ARCHIVE_SEALED || state == ARCHIVE_CLOSED || (state == ARCHIVE_OPEN && j->dead);
}

/*
 * A receipt is a piece of a file that grows without being synced: synced first, or a power cut could take it away here and another one
 * could come in its place, under a name that has other bytes in the store.
 */
static bool load_piece(struct archiver_put *p, struct archiver_active *v, const struct archive_job *j, const char **why)
{
	int file = openat(v->fd, j->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = -1;

	*why = "cannot be read";
	if (file < 0)
		return false;
	if ((v->synced || fdatasync(file) == 0) && (p->copy = malloc((size_t)j->len)) != NULL)
		n = pread(file, p->copy, (size_t)j->len, (off_t)j->offset);
	close(file);
	v->synced = n >= 0;
	p->r.body = p->copy;
	p->r.len = (size_t)j->len;
	return n == (ssize_t)j->len;
}

static void ended(struct archiver_put *p, bool confirmed)
{
	struct archiver_active *v = p->owner;
	struct archiver *a = p->a;
	const bool again = v->scan.jobs[p->job].again;

	v->running--;
	if (!confirmed) {
		v->failed = v->work->asked = true;
		v->refused = archiver_refused(p, &v->work->refusals) || v->refused;
		return;
	}
	if (archive_list_put(&v->scan.list, v->fd, &p->item) != 0) {
		log_error("%s/" ARCHIVE_FILE ": %s; %s is put again later", v->work->dir, strerror(errno), p->item.name);
		archiver_failed(a, p->r.key, "the confirmation cannot be noted");
		v->failed = v->work->asked = true;
		return;
	}
	v->progress = true;
	if (!again)
		set_bytes(a, v->work, v->work->bytes >= p->item.size ? v->work->bytes - p->item.size : 0);
}

/* Sends the next of its jobs. False: there was none that could be sent. */
static bool send_next(struct archiver *a, struct archiver_active *v)
{
	const char *why = "is larger than an object may be";

	while (v->next < v->scan.njobs && !v->failed) {
		const struct archive_job *j = &v->scan.jobs[v->next++];
		struct archiver_put *p = archiver_put_create(a, "recordings", v->work->dir, j->name);

		if (p == NULL) {
			archiver_failed(a, j->name, "out of memory");
			v->failed = true;
			return false;
		}
		if (j->len > S3_OBJECT_MAX || !(j->kind == ARCHIVE_RECEIPT ? load_piece(p, v, j, &why) : load_map(p, v->fd, j, &why))) {
			log_error("ALARM: %s/%s %s: it is not put into the object store", v->work->dir, j->name, why);
			archiver_put_destroy(p);
			continue;
		}
		p->owner = v;
		p->asked = v->work->asked;
		p->job = (unsigned)(v->next - 1);
		p->end = ended;
		v->running++;
		if (archiver_put_send(p, j->over, v->scan.held, j->again) == 0)
			return true;
		v->running--;
		v->failed = true;
	}
	return false;
}

/* ---- active ones ---- */

static void leave(struct archiver_active *v)
{
	archive_scan_free(&v->scan);
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	v->work = NULL;
}

/* The close frame is confirmed: from then on it is known until when the recording is to be kept. */
static int note_close(struct archiver_active *v)
{
	char name[ARCHIVE_NAME_MAX + 1];
	const struct archive_item *i;

	snprintf(name, sizeof(name), "%08u.brec", (unsigned)v->scan.last);
	if ((i = archive_list_find(&v->scan.list, name)) == NULL)
		return -1;
	return archive_list_close(&v->scan.list, v->fd, v->scan.last, i->when + v->a->conf->archive.rules.retention, i->when);
}

static void sync_list(struct archiver_active *v)
{
	int fd = openat(v->fd, ARCHIVE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fdatasync(fd) != 0)
		log_error("%s/" ARCHIVE_FILE ": %s", v->work->dir, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static int scan(struct archiver_active *v)
{
	archive_scan_free(&v->scan);
	v->next = 0;
	v->progress = v->failed = v->refused = v->synced = v->work->again = false;
	if (look(v->a, v->fd, &v->scan) != 0)
		return -1;
	if (v->scan.ends) {
		if (note_close(v) != 0)
			return -1;
		archive_scan_free(&v->scan);
		if (look(v->a, v->fd, &v->scan) != 0)
			return -1;
	}
	set_bytes(v->a, v->work, v->scan.bytes);
	return 0;
}

static void finish(struct archiver *a, struct archiver_active *v)
{
	struct archiver_work *w = v->work;

	sync_list(v);
	leave(v);
	forget(a, w);
}

/* Nothing of it is on its way: what now? */
static void settle(struct archiver *a, struct archiver_active *v)
{
	struct archiver_work *w = v->work;

	if (!v->failed && !v->progress && !w->again && v->scan.njobs == 0) {
		finish(a, v);
	} else if (v->failed) {
		if (v->progress)
			sync_list(v);
		if (v->refused && !w->again)
			w->state = WORK_PARKED;
		else
			enqueue(a, w);
		leave(v);
	} else if (!v->progress && !w->again) {
		leave(v);
		w->state = WORK_PARKED;
	} else if (scan(v) != 0) {
		log_error("%s: %s", w->dir, strerror(errno));
		leave(v);
		w->state = WORK_PARKED;
	} else if (v->scan.njobs == 0) {
		finish(a, v);
	}
}

static bool activate(struct archiver *a, struct archiver_active *v)
{
	struct archiver_work *w = TAILQ_FIRST(&a->queue);

	if (w == NULL || !archiver_room(a))
		return false;
	TAILQ_REMOVE(&a->queue, w, queue);
	w->state = WORK_ACTIVE;
	v->a = a;
	v->work = w;
	v->running = 0;
	if ((v->fd = open_rec(a, w->dir)) >= 0 && scan(v) == 0)
		return true;
	log_error("%s: %s", w->dir, strerror(errno));
	leave(v);
	forget(a, w);
	return true;
}

/* As far as it goes without waiting. Each round puts something on its way, ends with one recording, or finds that there is nothing. */
static void drive(struct archiver *a, struct archiver_active *v)
{
	for (;;) {
		if (v->work == NULL && (!archiver_may_put(a) || !activate(a, v)))
			return;
		while (v->work != NULL && archiver_may_put(a) && send_next(a, v))
			;
		if (v->work == NULL)
			continue;
		if (v->running != 0 || (!v->failed && v->next != v->scan.njobs))
			return;
		settle(a, v);
	}
}

void archiver_rec_fill(struct archiver *a)
{
	for (unsigned i = 0; i < ARCHIVER_ACTIVE; i++)
		drive(a, &a->active[i]);
}
