/*
 * archive_plan.c - see archive_plan.h. Before collector_archiver.c, which puts what is found here.
 */
#include "archive_plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "brec.h"
#include "hex.h"
#include "tlog_act.h"
#include "wire_receipt.h"

#define PAUSE_FIRST_MS 500U
#define PAUSE_MAX_MS 30000U

/* A file, mapped. It only grows: what is mapped stays as it is. */
struct map {
	const uint8_t *data;
	size_t len;
};

/* 0, also for an empty file; -1 with errno. */
static int map_file(struct map *m, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), e;
	struct stat st;

	*m = (struct map){ 0 };
	if (fd < 0)
		return -1;
	e = fstat(fd, &st) != 0 ? errno : !S_ISREG(st.st_mode) ? EINVAL : 0;
	if (e == 0 && st.st_size > 0) {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (p != MAP_FAILED)
			*m = (struct map){ p, (size_t)st.st_size };
		else
			e = errno;
	}
	close(fd);
	errno = e;
	return e == 0 ? 0 : -1;
}

static void unmap(struct map *m)
{
	if (m->data != NULL)
		munmap((void *)(uintptr_t)m->data, m->len);
	*m = (struct map){ 0 };
}

/* ---- times ---- */

int64_t archive_until(const struct archive_rules *rules, int64_t now, bool over)
{
	return now + rules->retention + (over ? 0 : rules->session);
}

int64_t archive_needed(const struct archive_rules *rules, const struct archive_list *l, int64_t now)
{
	const int64_t longer = l->close_when + rules->retention;
	int64_t newest = 0;

	/*
	 * The retention may be a greater one by now. What it would have let go by now is let go; and what closed by a clock that was ahead of
	 * this one waits until it is reached, since no lock that is made now would be long enough.
	 */
	if (l->closed)
		return l->close_when <= now && longer > now && longer > l->close_until ? longer : l->close_until;
	for (size_t i = 0; i < l->n; i++)
		newest = l->v[i].when > newest ? l->v[i].when : newest;
	/* nothing came for longer than any session lasts: its bastion will not close it any more */
	return newest + rules->session < now ? 0 : now + rules->retention;
}

enum archive_spool archive_spool_state(enum archive_spool before, uint64_t bytes, uint64_t max)
{
	/* the way down begins a tenth lower than the way up */
	const uint64_t full = before == ARCHIVE_SPOOL_FULL ? max - max / 10 : max;
	const uint64_t half = before != ARCHIVE_SPOOL_LOW ? max / 2 - max / 10 : max / 2;

	return bytes >= full ? ARCHIVE_SPOOL_FULL : bytes >= half ? ARCHIVE_SPOOL_HALF : ARCHIVE_SPOOL_LOW;
}

unsigned archive_pause_ms(unsigned failures)
{
	unsigned ms = PAUSE_FIRST_MS;

	for (; failures > 1 && ms < PAUSE_MAX_MS; failures--)
		ms *= 2;
	return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

/* ---- what is there ---- */

enum archive_segment archive_segment_state(const uint8_t *data, size_t len, uint32_t segment)
{
	struct brec_header h;
	struct brec_frame f;
	int r = len == 0 ? BREC_SHORT : brec_header_decode(data, len, &h);
	size_t at;

	if (r != BREC_OK)
		return r == BREC_SHORT ? ARCHIVE_OPEN : ARCHIVE_DAMAGED;
	if (h.segment != segment)
		return ARCHIVE_DAMAGED;
	for (at = h.len; at < len; at += f.len) {
		if ((r = brec_frame_decode(data + at, len - at, &f)) != BREC_OK)
			return r == BREC_SHORT ? ARCHIVE_OPEN : ARCHIVE_DAMAGED;
		if ((f.type == BREC_SEAL || f.type == BREC_CLOSE) && at + f.len == len)
			return f.type == BREC_SEAL ? ARCHIVE_SEALED : ARCHIVE_CLOSED;
		if (f.type == BREC_SEAL || f.type == BREC_CLOSE)
			return ARCHIVE_DAMAGED;
	}
	return ARCHIVE_OPEN;
}

/* Does a checkpoint, a seal or a close end in what is behind the first `from` bytes? The segment decodes, but for its end. */
static bool marked(const uint8_t *data, size_t len, size_t from)
{
	struct brec_header h;
	struct brec_frame f;

	if (brec_header_decode(data, len, &h) != BREC_OK)
		return false;
	for (size_t at = h.len; at < len && brec_frame_decode(data + at, len - at, &f) == BREC_OK; at += f.len)
		if (f.type != BREC_DATA && at + f.len > from)
			return true;
	return false;
}

bool archive_segment_grew(const uint8_t *old, size_t old_len, const uint8_t *now, size_t len, uint32_t segment)
{
	return old_len < len && memcmp(old, now, old_len) == 0 && archive_segment_state(old, old_len, segment) == ARCHIVE_OPEN &&
	    archive_segment_state(now, len, segment) != ARCHIVE_DAMAGED && marked(now, len, old_len);
}

static void add_job(struct archive_scan *s, const struct archive_job *j)
{
	s->bytes += j->again ? 0 : j->len;
	if (s->njobs < ARCHIVE_JOBS_MAX)
		s->jobs[s->njobs++] = *j;
	else
		s->waiting++;
}

/* Locked until then, and under legal hold if its recording is? */
static bool kept(const struct archive_scan *s, const struct archive_item *i, int64_t needed)
{
	return i->until >= needed && (i->held || !s->held);
}

/* Is the object confirmed, and kept? Otherwise it is a job. `len`: 0 for one whose size is not looked at. */
static void want(struct archive_scan *s, struct archive_job *j, int64_t needed)
{
	const struct archive_item *i = archive_list_find(&s->list, j->name);

	if (i != NULL && j->len != 0 && i->size != j->len && !s->changed) {
		s->changed = true;
		memcpy(s->changed_name, j->name, sizeof(s->changed_name));
	}
	if (i != NULL && (j->len == 0 || i->size == j->len) && kept(s, i, needed))
		return;
	j->again = i != NULL;
	add_job(s, j);
}

static bool listed(const struct archive_scan *s, const char *name, int64_t needed)
{
	const struct archive_item *i = archive_list_find(&s->list, name);

	return i != NULL && kept(s, i, needed);
}

/* Is the last segment of the directory complete, and does it end the recording? */
static enum archive_segment look(int dir, const char *name, uint32_t segment)
{
	enum archive_segment state;
	struct map m;

	if (map_file(&m, dir, name) != 0)
		return ARCHIVE_OPEN;
	state = archive_segment_state(m.data, m.len, segment);
	unmap(&m);
	return state;
}

int64_t archive_dead_before(int64_t now, int64_t heard)
{
	/* a clock that leaps must not declare dead what lives: nothing is, until the bastions say about the same time */
	if (heard == 0 || now > heard + ARCHIVE_CLOCK_S || now < heard - ARCHIVE_CLOCK_S)
		return ARCHIVE_NONE_DEAD;
	return now - TLOG_SESSION_DAYS * 86400LL;
}

/*
 * The last segment of a recording whose close is not confirmed. What is open is put only when it is dead: nothing came for longer than any
 * session may be silent, so its bastion is gone, and this is all there will be. False: it waits.
 */
static bool last_is_due(struct archive_scan *s, int dir, struct archive_job *j, int64_t mtime, int64_t dead_before)
{
	/* what another one follows is sealed; the last one shows it */
	const enum archive_segment state = look(dir, j->name, j->segment);
	const bool silent = mtime < dead_before;

	/* an empty file has no bytes to be kept */
	if ((state == ARCHIVE_OPEN || state == ARCHIVE_SEALED) && (!silent || j->len == 0))
		return false;
	j->dead = state == ARCHIVE_OPEN;
	j->over = state == ARCHIVE_CLOSED || silent;
	s->ends = state == ARCHIVE_CLOSED && archive_list_find(&s->list, j->name) != NULL;
	return true;
}

static int scan_segments(struct archive_scan *s, int dir, uint32_t last, int64_t dead_before, int64_t needed)
{
	for (uint32_t n = 0; n <= last; n++) {
		struct archive_job j = { .kind = ARCHIVE_SEGMENT, .segment = n };
		struct stat st;

		snprintf(j.name, sizeof(j.name), "%08" PRIu32 ".brec", n);
		if (fstatat(dir, j.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			if (errno != ENOENT)
				return -1;
			continue;
		}
		memcpy(j.file, j.name, sizeof(j.file));
		j.len = (uint64_t)st.st_size;
		j.over = s->list.closed;
		/* one that was put as dead may have grown since: its size tells, wherever it stands now */
		if (n != last || s->list.closed || last_is_due(s, dir, &j, st.st_mtime, dead_before))
			want(s, &j, needed);
	}
	return 0;
}

static int scan_receipts(struct archive_scan *s, int dir, bool sizes, int64_t needed)
{
	struct archive_job j = { .kind = ARCHIVE_RECEIPT, .file = "receipts", .over = s->list.closed };
	struct map m;
	size_t at = 0;

	if (map_file(&m, dir, j.file) != 0)
		return errno == ENOENT ? 0 : -1;
	for (uint32_t n = 0; at + 4 <= m.len; n++, at += j.len) {
		const uint8_t *p = m.data + at;
		const uint32_t body = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
		struct receipt r;
		struct buf b;

		snprintf(j.name, sizeof(j.name), "receipts.%08" PRIu32, n);
		j.offset = at;
		j.len = (uint64_t)body + 4;
		if (j.len > m.len - at || j.len > RECEIPT_LEN_MAX + 8)
			break;
		if (!sizes && listed(s, j.name, needed))
			continue;
		/* the last one may be on its way into the file */
		buf_view(&b, p, j.len);
		if (receipt_get(&b, &r) != 0)
			break;
		want(s, &j, needed);
	}
	unmap(&m);
	return 0;
}

/* The hash in the name says whether the file is written to its end. */
static bool conflict_whole(int dir, const char *name)
{
	uint8_t hash[HASH_LEN];
	const char *dash = strrchr(name, '-');
	char hex[2 * HASH_LEN + 1];
	struct map m;
	bool whole;

	if (dash == NULL || strlen(dash + 1) != 16 || map_file(&m, dir, name) != 0)
		return false;
	whole = sha256_spans(hash, SPANS(SPAN(m.data, m.len))) == 0 && strncmp(hex_encode(hex, hash, HASH_LEN), dash + 1, 16) == 0;
	unmap(&m);
	return whole;
}

static void scan_conflict(struct archive_scan *s, int dir, const char *name, int64_t needed)
{
	struct archive_job j = { .kind = ARCHIVE_OTHER, .over = s->list.closed };
	struct stat st;

	if (strlen(name) > ARCHIVE_NAME_MAX || name[strspn(name, "conflict-0123456789abcdef")] != '\0' || !conflict_whole(dir, name) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	snprintf(j.name, sizeof(j.name), "%s", name);
	snprintf(j.file, sizeof(j.file), "%s", name);
	j.len = (uint64_t)st.st_size;
	want(s, &j, needed);
}

/* A segment's number by its file's name, written as the collector does; -1. */
static int64_t segment_number(const char *name)
{
	char again[ARCHIVE_NAME_MAX + 1];
	uint32_t n;

	if (sscanf(name, "%10" SCNu32, &n) != 1)
		return -1;
	snprintf(again, sizeof(again), "%08" PRIu32 ".brec", n);
	return strcmp(again, name) == 0 && n <= ARCHIVE_SEGMENTS_MAX ? (int64_t)n : -1;
}

static int scan(struct archive_scan *s, int dir, bool sizes, int64_t dead_before, int64_t needed)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	int64_t last = -1, n;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	s->held = faccessat(dir, ARCHIVE_HOLD, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	while ((e = readdir(d)) != NULL) {
		if ((n = segment_number(e->d_name)) > last)
			last = n;
		if (strncmp(e->d_name, "conflict-", 9) == 0)
			scan_conflict(s, dir, e->d_name, needed);
	}
	closedir(d);
	s->last = last >= 0 ? (uint32_t)last : 0;
	if (last >= 0)
		r = scan_segments(s, dir, s->last, dead_before, needed);
	return r != 0 ? r : scan_receipts(s, dir, sizes, needed);
}

int archive_scan(struct archive_scan *s, int dir)
{
	memset(s, 0, offsetof(struct archive_scan, jobs));
	return archive_list_load(&s->list, dir) != 0 ? -1 : scan(s, dir, true, INT64_MAX, 0);
}

int archive_scan_due(struct archive_scan *s, int dir, const struct archive_rules *rules, int64_t now, int64_t dead_before)
{
	memset(s, 0, offsetof(struct archive_scan, jobs));
	return archive_list_load(&s->list, dir) != 0 ? -1 : scan(s, dir, false, dead_before, archive_needed(rules, &s->list, now));
}

void archive_scan_free(struct archive_scan *s)
{
	archive_list_free(&s->list);
	s->njobs = 0;
}
