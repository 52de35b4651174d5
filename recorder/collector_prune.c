/*
 * collector_prune.c - see collector_prune.h. Comes after collector_conn.c's server_prune, before collector_store.c.
 */
#include "collector_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_list.h"
#include "brec_dir.h"
#include "brec_receipts.h"
#include "clock.h"
#include "hex.h"
#include "log.h"
#include "tlog_reader.h"

#define DAY_US 86400000000LL
#define WHO "bastion-collectord"

enum step { STEP_NAME, STEP_LOOK, STEP_END };	/* what one name cost */

/* What a look finds out about a recording. */
struct found {
	struct brec_dir dir;
	struct sha256 hash;		/* of the last segment's file */
	struct tlog_act act;
	uint8_t close[TLOG_CLOSE_FRAME_MAX];
	uint8_t signer[HASH_LEN], h[BREC_HASH_LEN];
	uint64_t opened_us, seq;
	int64_t closed_us;
};

void prune_heard(struct store *s, int64_t wall_us, int64_t now_us)
{
	struct pruner *p = &s->pruner;

	/* a bastion that lies does not make ours believed, whatever it says */
	if (wall_us > now_us + STORE_AHEAD_US)
		return;
	if (p->heard_us == 0) {
		p->again = p->top != NULL;
		p->next_ms = 0;
	}
	if (wall_us > p->heard_us)
		p->heard_us = wall_us;
}

/* ---- the clock ---- */

static bool clock_believed(struct store *s, int64_t now_us)
{
	struct pruner *p = &s->pruner;
	const char *why = NULL;
	struct stat st;

	/* nobody has said what time it is: that is no fault, and the next session says it */
	if (p->heard_us == 0)
		return false;
	if (fstatat(s->log.dir, TLOG_CHECKPOINT, &st, AT_SYMLINK_NOFOLLOW) != 0 || now_us / 1000000 + 1 < st.st_mtime)
		why = "it is before the newest checkpoint of the log";
	else if (now_us - p->heard_us > PRUNE_CLOCK_US)
		why = "it is more than a day after that of every bastion";
	if (why != NULL && !p->told)
		log_warn("nothing is pruned: this machine's clock is not believed: %s", why);
	p->told = why != NULL;
	return why == NULL;
}

/* ---- a recording's end ---- */

/* The close frame, with the chain value after it, the file's hash, and when it was closed. 0, or -1: it does not end so. */
static int read_close(struct found *f)
{
	struct brec_frame frame = { .type = BREC_DATA };
	const uint8_t *bytes;
	struct brec_mark m = { 0 };
	size_t have;

	while (frame.type != BREC_CLOSE) {
		if (brec_dir_frame(&f->dir, &frame, &bytes, &have) != BREC_OK || frame.seq != ++f->seq)
			return -1;
		if (frame.type == BREC_CLOSE && (frame.len > sizeof(f->close) || brec_mark_decode(&frame, &m) != 0 ||
		    memcmp(m.h, f->h, sizeof(m.h)) != 0))
			return -1;
		if (brec_chain_add(f->h, bytes, frame.len) != 0 || sha256_update(&f->hash, bytes, frame.len) != 0)
			return -1;
		if (frame.type == BREC_CLOSE)
			f->act.close = SPAN(memcpy(f->close, bytes, frame.len), frame.len);
		brec_dir_skip(&f->dir, frame.len);
	}
	f->closed_us = m.wall_us;
	return sha256_digest(&f->hash, f->act.file_hash);
}

/* From the last segment, whose file must be old too: a bastion whose clock went wrong does not shorten the retention. 1 old, 0, -1. */
static int read_last(struct found *f, int64_t before_us)
{
	const int64_t last = brec_dir_last(&f->dir);
	struct brec_header h;
	const uint8_t *bytes;
	struct stat st;
	size_t have;

	if (last < 0 || brec_dir_segment(&f->dir, (uint32_t)last) != 1 || fstat(f->dir.file, &st) != 0)
		return -1;
	if ((int64_t)st.st_mtime * 1000000 > before_us)
		return 0;
	if (brec_dir_header(&f->dir, &h, &bytes, &have) != BREC_OK || memcmp(h.id, f->act.id, BREC_ID_LEN) != 0 ||
	    brec_chain_start(f->h, bytes, h.len) != 0 || sha256_update(&f->hash, bytes, h.len) != 0)
		return -1;
	memcpy(f->signer, h.signer, sizeof(f->signer));
	f->act.segment = h.segment;
	f->seq = h.first_seq - 1;
	brec_dir_skip(&f->dir, h.len);
	if (read_close(f) != 0)
		return -1;
	return f->closed_us <= before_us;
}

/*
 * A segment of a recording that nobody closed, up to its seal or its end, which may be torn: the last signed frame, and what was hashed
 * up to it. 0, or -1.
 */
static int read_marks(struct found *f, uint32_t segment, bool sealed)
{
	struct brec_frame frame = { .type = BREC_DATA };
	struct brec_header h;
	struct brec_mark m;
	const uint8_t *bytes;
	size_t have;
	int r;

	sha256_finish(&f->hash);
	if (sha256_init(&f->hash) != 0 || brec_dir_segment(&f->dir, segment) != 1)
		return -1;
	r = brec_dir_header(&f->dir, &h, &bytes, &have);
	/* the last one got no further than a part of its header: the seal before it is the last signature */
	if (r == BREC_SHORT && !sealed)
		return 0;
	if (r != BREC_OK || memcmp(h.id, f->act.id, BREC_ID_LEN) != 0 || (f->act.close.len != 0 && memcmp(h.prev, f->h, sizeof(f->h)) != 0) ||
	    brec_chain_start(f->h, bytes, h.len) != 0 || sha256_update(&f->hash, bytes, h.len) != 0)
		return -1;
	memcpy(f->signer, h.signer, sizeof(f->signer));
	f->seq = h.first_seq - 1;
	brec_dir_skip(&f->dir, h.len);
	while (frame.type != BREC_SEAL && (r = brec_dir_frame(&f->dir, &frame, &bytes, &have)) != BREC_SHORT) {
		if (r != BREC_OK || frame.seq != f->seq + 1 || frame.type == BREC_CLOSE ||
		    (frame.type != BREC_DATA && (frame.len > sizeof(f->close) || brec_mark_decode(&frame, &m) != 0 || memcmp(m.h, f->h, sizeof(m.h)) != 0)))
			return -1;
		if (brec_chain_add(f->h, bytes, frame.len) != 0 || sha256_update(&f->hash, bytes, frame.len) != 0)
			return -1;
		f->seq++;
		if (frame.type != BREC_DATA) {
			f->act.close = SPAN(memcpy(f->close, bytes, frame.len), frame.len);
			f->act.segment = segment;
			f->closed_us = m.wall_us;
			if (sha256_digest(&f->hash, f->act.file_hash) != 0)
				return -1;
		}
		brec_dir_skip(&f->dir, frame.len);
	}
	return frame.type == BREC_SEAL || !sealed ? 0 : -1;
}

/*
 * Is there a word of frames behind the last one here? A receipt of any key says so, and the object store's list once it has the close: then
 * the files lost their end, and what lapses would be what closed. What cannot be read may say so as well.
 */
static bool lost_frames(struct found *f)
{
	struct archive_list list;
	struct receipt r;
	struct buf b;
	size_t len = 0;
	uint8_t *data = brec_dir_slurp(&f->dir, BREC_RECEIPTS_FILE, BREC_RECEIPTS_MAX, &len);
	bool lost = data == NULL && errno != ENOENT;

	buf_view(&b, data, len);
	while (!lost && buf_left(&b) != 0) {
		const size_t at = b.off;

		if (receipt_get(&b, &r) == 0) {
			lost = r.leaf.seq > f->seq;
			continue;
		}
		lost = !receipt_is_torn(data + at, len - at);
		break;
	}
	free(data);
	lost = archive_list_load(&list, f->dir.dir) != 0 || list.closed || lost;
	archive_list_free(&list);
	return lost;
}

/* Never closed, and silent since before then, by its last signed frame and by its last file? 1, 0, -1: it cannot be told. */
static int read_silent(struct found *f, int64_t before_us)
{
	const int64_t last = brec_dir_last(&f->dir);
	struct stat st;

	f->act.close = SPAN(NULL, 0);
	if (last < 0 || (last > 0 && read_marks(f, (uint32_t)last - 1, true) != 0) || read_marks(f, (uint32_t)last, false) != 0 ||
	    f->act.close.len == 0 || fstat(f->dir.file, &st) != 0)
		return -1;
	if (lost_frames(f))
		return -1;
	return (int64_t)st.st_mtime * 1000000 <= before_us && f->closed_us <= before_us;
}

static int read_first(struct found *f)
{
	struct brec_header h;
	const uint8_t *bytes;
	size_t have;

	if (brec_dir_segment(&f->dir, 0) != 1 || brec_dir_header(&f->dir, &h, &bytes, &have) != BREC_OK ||
	    memcmp(h.id, f->act.id, BREC_ID_LEN) != 0)
		return -1;
	f->opened_us = (uint64_t)h.wall_us;
	return 0;
}

/* ---- the leaf ---- */

/* The recording as it is known in memory while its leaf is on its way. NULL: it does not lie where its header says. */
static struct rec *make_rec(struct store *s, const struct found *f, const char *path)
{
	struct rec *r = rec_create(s, f->act.id, f->opened_us);

	if (r == NULL)
		return NULL;
	if (strcmp(r->dir, path) != 0) {
		store_drop(s, r);
		return NULL;
	}
	r->segment = f->act.segment;
	r->seq = f->seq;
	memcpy(r->h, f->h, sizeof(r->h));
	memcpy(r->signer, f->signer, sizeof(r->signer));
	r->ended = r->pruned = true;
	return r;
}

static void prune(struct store *s, struct found *f, enum tlog_leaf_type type, const char *path, int64_t now_us)
{
	struct pruner *p = &s->pruner;
	struct rec *r = make_rec(s, f, path);
	struct apply_leaf leaf;
	char why[96], when[32];

	if (r == NULL) {
		log_warn("%s lies in another place than its header says: it stays", path);
		return;
	}
	if (p->archived != NULL && !p->archived(p->ctx, s, r, type == TLOG_PRUNE)) {
		store_drop(s, r);
		return;
	}
	snprintf(why, sizeof(why), "retention of %" PRIu32 " days%s", p->days, type == TLOG_LAPSE ? ", and 30 more without a close" : "");
	f->act.type = type;
	f->act.wall_us = now_us;
	f->act.days = p->days;
	f->act.who = SPAN_STR(WHO);
	f->act.why = SPAN(why, strlen(why));
	leaf.len = tlog_act_encode(leaf.data, &f->act);
	if (store_act(s, r, type, &leaf) != 0) {
		store_drop(s, r);
		return;
	}
	p->again = p->unsynced = true;
	p->turn = s->turns;
	p->pruned++;
	log_notice("pruned: %s, %s at %s: %s, leaf %" PRIu64 " of the log", path, type == TLOG_LAPSE ? "never closed, alive" : "closed",
	    clock_format(when, sizeof(when), f->closed_us / 1000000), why, leaf.index);
}

/* A recording that may have to go. */
static void look(struct store *s, const char *path, const uint8_t id[BREC_ID_LEN], int64_t now_us)
{
	char full[PRUNE_PATH_LEN + 64];
	const int64_t before_us = now_us - (int64_t)s->pruner.days * DAY_US;
	struct found f = { 0 };
	struct stat st;
	int old = -1;

	snprintf(full, sizeof(full), "%s/" STORE_HOLD, path);
	if (fstatat(s->recordings, full, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT || store_lookup(s, id) != NULL)
		return;
	/* its leaf is made, and its files wait for that to be synced */
	snprintf(full, sizeof(full), "%s" STORE_PRUNED, path);
	if (fstatat(s->recordings, full, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return;
	snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", s->recordings, path);
	if (brec_dir_open(&f.dir, full) != 0)
		return;
	memcpy(f.act.id, id, BREC_ID_LEN);
	if (sha256_init(&f.hash) == 0 && (old = read_last(&f, before_us)) == 1 && read_first(&f) == 0)
		prune(s, &f, TLOG_PRUNE, path, now_us);
	else if (old < 0 && read_silent(&f, before_us - TLOG_SESSION_DAYS * DAY_US) == 1 && read_first(&f) == 0)
		prune(s, &f, TLOG_LAPSE, path, now_us);
	sha256_finish(&f.hash);
	brec_dir_close(&f.dir);
}

/* ---- removal ---- */

/* Does the marker name a prune leaf of this recording that is in the log's files, under its checkpoint? */
static bool marker_holds(struct store *s, const char *path)
{
	struct rec r = { .fd = -1 };
	struct apply_marker m;
	struct tlog_act act;
	const uint8_t *leaf = NULL;
	uint8_t id[BREC_ID_LEN], *data;
	struct buf b;
	size_t len = 0, total;

	snprintf(r.dir, sizeof(r.dir), "%s", path);
	if (apply_read_marker(s, &r, &m) != 1 || hex_decode(id, sizeof(id), strchr(path, '/') + 1) != 0 || s->log.published == UINT64_MAX ||
	    m.leaf >= s->log.published)
		return false;
	const uint64_t first = m.leaf / TLOG_TILE * TLOG_TILE, left = s->log.published - first;

	if ((data = tlog_read_tile(s->log.dir, TLOG_ENTRIES, first / TLOG_TILE, left < TLOG_TILE ? (unsigned)left : TLOG_TILE, &total)) == NULL)
		return false;
	buf_view(&b, data, total);
	for (uint64_t i = first; i <= m.leaf; i++)
		leaf = tlog_bundle_next(&b, &len);
	const bool holds = leaf != NULL && tlog_act_decode(&act, leaf, len) == 0 && tlog_removes(act.type) && memcmp(act.id, id, BREC_ID_LEN) == 0;

	free(data);
	return holds;
}

/* Files of other names first, some at a time; *last: the highest segment number that is there, -1: none. Files removed. */
static unsigned remove_others(DIR *d, int64_t *last)
{
	struct dirent *e;
	unsigned n = 0;

	*last = -1;
	while (n < PRUNE_UNLINKS && (e = readdir(d)) != NULL) {
		const int64_t number = brec_dir_number(e->d_name);

		if (number > *last)
			*last = number;
		if (number < 0 && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			n += unlinkat(dirfd(d), e->d_name, 0) == 0;
	}
	return n;
}

/* Some files of the recording that is going. True: nothing of it is left. */
static bool remove_some(struct store *s, const char *path)
{
	int fd = openat(s->recordings, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	char name[BREC_NAME_LEN];
	int64_t last;
	unsigned n;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	/* the first segment goes last: what is left says until then which recording it was */
	for (n = remove_others(d, &last); n < PRUNE_UNLINKS && last >= 0; n++, last--) {
		snprintf(name, sizeof(name), "%08" PRIu32 ".brec", (uint32_t)last);
		if (unlinkat(fd, name, 0) != 0 && errno != ENOENT)
			break;
	}
	closedir(d);
	if (n == PRUNE_UNLINKS)
		return false;
	if (unlinkat(s->recordings, path, AT_REMOVEDIR) != 0)
		log_warn("%s is pruned and cannot be removed: %s", path, strerror(errno));
	return true;
}

/* A turn of the journal after the last marker has synced it; it is made if it does not come by itself. */
static bool synced(struct store *s)
{
	struct pruner *p = &s->pruner;

	if (p->unsynced && s->turns == p->turn && !syncer_busy(&s->syncer))
		store_turn(s, true);
	if (p->unsynced && s->turns > p->turn && !syncer_busy(&s->syncer))
		p->unsynced = false;
	return !p->unsynced;
}

/* True: it is done with. */
static bool go_on_removing(struct store *s)
{
	struct pruner *p = &s->pruner;

	if (marker_holds(s, p->removing) && !remove_some(s, p->removing))
		return false;
	p->removing[0] = '\0';
	return true;
}

/* ---- the look through the store ---- */

static DIR *open_below(struct store *s, const char *path)
{
	int fd = openat(s->recordings, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

/* Is everything of that day younger than the least retention? Its name then is after that of the day so long ago. */
static bool young_day(const char *name, int64_t now_us)
{
	char limit[32];

	clock_format(limit, sizeof(limit), now_us / 1000000 - TLOG_PRUNE_DAYS * 86400LL);
	return strncmp(name, limit, 10) > 0;
}

/* The next day's directory. STEP_END: there is none, and the look rests. */
static enum step next_day(struct pruner *p, struct store *s, int64_t now_us)
{
	struct dirent *e = readdir(p->top);

	if (e == NULL) {
		closedir(p->top);
		p->top = NULL;
		p->next_ms = clock_mono_ms() + (p->again ? 0 : PRUNE_EVERY_MS);
		p->again = false;
		return STEP_END;
	}
	if (strlen(e->d_name) != 10 || e->d_name[0] == '.' || young_day(e->d_name, now_us))
		return STEP_NAME;
	memcpy(p->day_name, e->d_name, sizeof(p->day_name));
	p->day = open_below(s, p->day_name);
	return STEP_NAME;
}

static enum step next_name(struct pruner *p, struct store *s, int64_t now_us, bool may)
{
	struct dirent *e = readdir(p->day);
	char path[PRUNE_PATH_LEN], hex[2 * BREC_ID_LEN + 1];
	uint8_t id[BREC_ID_LEN];
	struct stat st;
	bool marker;

	if (e == NULL) {
		closedir(p->day);
		p->day = NULL;
		return STEP_NAME;
	}
	marker = strlen(e->d_name) == sizeof(hex) - 1 + strlen(STORE_PRUNED) && strcmp(e->d_name + sizeof(hex) - 1, STORE_PRUNED) == 0;
	if (!marker && strlen(e->d_name) != sizeof(hex) - 1)
		return STEP_NAME;
	memcpy(hex, e->d_name, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	snprintf(path, sizeof(path), "%s/%s", p->day_name, hex);
	if (hex_decode(id, sizeof(id), hex) != 0)
		return STEP_NAME;
	if (marker) {
		/* nothing of it is left, as a rule */
		if (fstatat(s->recordings, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return STEP_NAME;
		if (synced(s))
			memcpy(p->removing, path, sizeof(path));
		else
			p->again = true;
		return STEP_LOOK;
	}
	if (!may)
		return STEP_NAME;
	look(s, path, id, now_us);
	return STEP_LOOK;
}

bool prune_step(struct store *s, int64_t now_us)
{
	struct pruner *p = &s->pruner;
	unsigned names = 0, looks = 0;

	if (s->held || (p->top == NULL && p->removing[0] == '\0' && !p->unsynced && clock_mono_ms() < p->next_ms))
		return false;
	if ((p->removing[0] != '\0' && !go_on_removing(s)) || (p->top == NULL && !synced(s)))
		return true;
	const bool may = p->days != 0 && clock_believed(s, now_us);

	if (p->top == NULL && (clock_mono_ms() < p->next_ms || (p->top = open_below(s, ".")) == NULL))
		return false;
	while (names < PRUNE_NAMES && looks < PRUNE_LOOKS) {
		enum step step = p->day != NULL ? next_name(p, s, now_us, may) : next_day(p, s, now_us);

		if (step == STEP_END || (p->removing[0] != '\0' && !go_on_removing(s)))
			break;
		names++;
		looks += step == STEP_LOOK;
	}
	return true;
}

void prune_finish(struct store *s)
{
	if (s->pruner.day != NULL)
		closedir(s->pruner.day);
	if (s->pruner.top != NULL)
		closedir(s->pruner.top);
	s->pruner.day = s->pruner.top = NULL;
}
