/*
 * collector_store.c - see collector_store.h. Comes after collector_conn.c, before journal.c and
 * collector_apply.c.
 */
#include "collector_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "hex.h"
#include "log.h"

#define DAY_US 86400000000ULL
#define FILES_RESERVED 256	/* descriptors for connections and everything else */

static struct rec_bucket *bucket(struct store *s, const uint8_t id[BREC_ID_LEN])
{
	/* ids are random: any two bytes of one are a hash */
	return &s->buckets[((unsigned)id[0] << 8 | id[1]) % STORE_BUCKETS];
}

struct rec *store_lookup(struct store *s, const uint8_t id[BREC_ID_LEN])
{
	struct rec *r;

	LIST_FOREACH(r, bucket(s, id), bucket)
		if (memcmp(r->id, id, BREC_ID_LEN) == 0)
			return r;
	return NULL;
}

struct rec *rec_create(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t opened_us)
{
	struct rec *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	memcpy(r->id, id, BREC_ID_LEN);
	r->opened_us = opened_us;
	r->receipts_end = -1;
	r->fd = -1;
	if (rec_name(r) != 0) {
		free(r);
		errno = ERANGE;
		return NULL;
	}
	LIST_INSERT_HEAD(bucket(s, id), r, bucket);
	s->count++;
	return r;
}

void store_drop(struct store *s, struct rec *r)
{
	if (r->unwritten != 0 || r->touched || r->not_signed)
		return;
	apply_close(s, r);
	sha256_finish(&r->file_hash);
	LIST_REMOVE(r, bucket);
	s->count--;
	free(r);
}

void store_sweep(struct store *s)
{
	for (size_t i = 0; i < STORE_BUCKETS; i++) {
		struct rec *r, *next;

		for (r = LIST_FIRST(&s->buckets[i]); r != NULL; r = next) {
			next = LIST_NEXT(r, bucket);
			if (r->owner == NULL)
				store_drop(s, r);
		}
	}
}

static void set_durable(struct rec *r)
{
	memcpy(r->durable.id, r->id, BREC_ID_LEN);
	r->durable.seq = r->seq;
	memcpy(r->durable.h, r->h, BREC_HASH_LEN);
}

/* From the directory of that day. 1; 0: it is not there; -1 with errno. */
static int find_at(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t day_us, struct rec **out)
{
	struct rec *r = rec_create(s, id, day_us);
	int found;

	if (r == NULL)
		return -1;
	if ((found = load_recording(s, r)) == 0) {
		store_drop(s, r);
		return 0;
	}
	r->damaged = found < 0;
	set_durable(r);
	*out = r;
	return 1;
}

/* Under another day than who asks has in hand: an id has one recording. As find_at. */
static int find_elsewhere(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t asked_us, struct rec **out)
{
	char hex[2 * BREC_ID_LEN + 1];
	uint64_t day_us;
	int found = known_day(s, id, &day_us);

	if (found != 1 || day_us / DAY_US == asked_us / DAY_US)
		return found < 0 ? -1 : 0;
	if ((found = find_at(s, id, day_us, out)) != 0)
		return found;
	log_error("ALARM: recording %s is there under another day, and has no segment", hex_encode(hex, id, BREC_ID_LEN));
	errno = EBADMSG;
	return -1;
}

enum wire_err store_find(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t opened_us, struct rec **out)
{
	int found;

	if ((*out = store_lookup(s, id)) == NULL && ((found = find_at(s, id, opened_us, out)) < 0 ||
	    (found == 0 && find_elsewhere(s, id, opened_us, out) < 0)))
		return errno == ERANGE ? WIRE_E_PROTOCOL : errno == EBADMSG ? WIRE_E_DAMAGED : WIRE_E_REFUSED;
	return *out != NULL && (*out)->damaged ? WIRE_E_DAMAGED : 0;
}

static bool may_sign(const struct tls_pins *signers, const uint8_t *header, const struct brec_header *h)
{
	if (signers->nkeys == 0)
		return true;
	for (size_t i = 0; i < signers->nkeys; i++)
		if (brec_header_verify(header, h, signers->keys[i]))
			return true;
	return false;
}

/* A header in its place: identity, numbers, chain, signature. NULL, or what is wrong. */
static const char *check_header(const struct wire_entry *e, const struct tls_pins *signers, const struct rec *r,
    struct brec_header *h)
{
	static const uint8_t zero[BREC_HASH_LEN];

	if (brec_header_decode(e->header, e->header_len, h) != BREC_OK || h->len != e->header_len)
		return "the header does not decode";
	if (memcmp(h->id, e->id, BREC_ID_LEN) != 0)
		return "the header names another recording";
	if (h->segment != (r != NULL ? r->segment + 1 : 0) || h->first_seq != e->seq + 1)
		return "the header is not that of the next segment";
	if (memcmp(h->prev, r != NULL ? e->h : zero, BREC_HASH_LEN) != 0)
		return "the header's chain value is not that of the frame before";
	if (r != NULL && memcmp(h->signer, r->signer, sizeof(r->signer)) != 0)
		return "the header names another signer than the one before";
	if (!may_sign(signers, e->header, h))
		return "the header is not signed by a key that is registered for this recorder";
	return NULL;
}

/*
 * Chain value after the entry's frame, and of what the next one hangs on. NULL, or what is wrong.
 */
static const char *check_frame(const struct wire_entry *e, const struct rec *r, uint8_t chain[BREC_HASH_LEN])
{
	struct brec_frame f;

	if (brec_frame_decode(e->frame, e->frame_len, &f) != BREC_OK || f.len != e->frame_len)
		return "the frame does not decode, or its crc is wrong";
	if ((f.type == BREC_SEAL) != (e->type == WIRE_SEAL) || (f.type == BREC_CLOSE) != (e->type == WIRE_END))
		return "the message does not suit the frame's type";
	if (f.epoch != r->segment)
		return "the frame's epoch is not that of the segment";
	memcpy(chain, r->chain, BREC_HASH_LEN);
	if (brec_chain_add(chain, e->frame, e->frame_len) != 0)
		return "out of memory";
	return memcmp(chain, e->h, BREC_HASH_LEN) == 0 ? NULL : "the chain value is not what the bytes give";
}

/* Into the journal's group, and into the list of what is to be written once that is durable. */
static int enter(struct store *s, struct rec *r, const struct wire_entry *e, const struct apply_leaf *leaf)
{
	uint8_t head[APPLY_HEAD];
	const struct iovec v[3] = {
		{ head, apply_encode(head, r, e, leaf) },
		{ (void *)(uintptr_t)e->frame, e->frame_len },
		{ (void *)(uintptr_t)e->header, e->header_len },
	};
	const uint8_t *payload = journal_add(&s->journal, v, 3);

	if (payload == NULL)
		return -1;
	s->group[s->ngroup++] = (struct store_out){ r, payload, v[0].iov_len + e->frame_len + e->header_len };
	s->next_leaf += leaf->len != 0;
	r->unwritten++;
	r->seq = e->seq;
	memcpy(r->h, e->h, BREC_HASH_LEN);
	s->entries++;
	s->bytes += e->frame_len + e->header_len;
	return 0;
}

static enum wire_err open_entry(struct store *s, const struct wire_entry *e, const struct tls_pins *signers,
    struct rec **out, char *why, size_t size)
{
	struct brec_header h;
	const char *wrong = check_header(e, signers, NULL, &h);
	uint8_t chain[BREC_HASH_LEN];
	struct apply_leaf leaf;
	struct rec *r;

	if (wrong == NULL &&
	    (brec_chain_start(chain, e->header, e->header_len) != 0 || memcmp(chain, e->h, sizeof(chain)) != 0))
		wrong = "the chain value is not what the header gives";
	if (wrong != NULL) {
		snprintf(why, size, "%s", wrong);
		return WIRE_E_CHAIN;
	}
	/* it names the directory, and when what is in it has had its time */
	if (h.wall_us > clock_wall_us() + STORE_AHEAD_US) {
		snprintf(why, size, "the header's wall clock is more than a day after the collector's: set both, best by NTP");
		return WIRE_E_REFUSED;
	}
	if (s->low) {
		snprintf(why, size, "the collector's disk is nearly full");
		return WIRE_E_REFUSED;
	}
	if (s->unarchived) {
		snprintf(why, size, "the object store behind the collector is away for too long");
		return WIRE_E_REFUSED;
	}
	if ((r = rec_create(s, e->id, (uint64_t)h.wall_us)) == NULL) {
		snprintf(
		    why, size, errno == ERANGE ? "the header's wall clock is out of range" : "out of memory");
		return WIRE_E_REFUSED;
	}
	prune_heard(s, h.wall_us, clock_wall_us());
	memcpy(r->signer, h.signer, sizeof(r->signer));
	memcpy(r->chain, chain, sizeof(chain));
	if ((wrong = log_leaf(s, r, e, chain, &leaf)) != NULL || enter(s, r, e, &leaf) != 0) {
		snprintf(why, size, "journal: %s", wrong != NULL ? wrong : strerror(errno));
		store_drop(s, r);
		return WIRE_E_REFUSED;
	}
	r->offset = e->header_len;
	known_add(s, e->id);
	*out = r;
	return 0;
}

static enum wire_err next_entry(struct store *s, struct rec *r, const struct wire_entry *e,
    const struct tls_pins *signers, char *why, size_t size)
{
	uint8_t chain[BREC_HASH_LEN], next[BREC_HASH_LEN];
	const char *wrong = check_frame(e, r, chain);
	struct apply_leaf leaf;
	struct brec_header h;

	memcpy(next, chain, sizeof(next));
	if (wrong == NULL && e->type == WIRE_SEAL && (wrong = check_header(e, signers, r, &h)) == NULL &&
	    brec_chain_start(next, e->header, e->header_len) != 0)
		wrong = "out of memory";
	if (wrong != NULL) {
		snprintf(why, size, "frame %" PRIu64 ": %s", e->seq, wrong);
		return WIRE_E_CHAIN;
	}
	if ((wrong = log_leaf(s, r, e, chain, &leaf)) != NULL || enter(s, r, e, &leaf) != 0) {
		snprintf(why, size, "journal: %s", wrong != NULL ? wrong : strerror(errno));
		/* its hash has gone on already: it is to be read from its file again, when it is resumed */
		r->damaged = true;
		return WIRE_E_REFUSED;
	}
	memcpy(r->chain, next, sizeof(next));
	r->offset += e->frame_len;
	if (e->type == WIRE_SEAL) {
		prune_heard(s, h.wall_us, clock_wall_us());
		r->segment++;
		r->offset = e->header_len;
	}
	if (e->type != WIRE_FRAME)
		r->keep_seq = e->seq;
	r->ended = e->type == WIRE_END;
	return 0;
}

/*
 * It was there before: the same bytes are a lost acknowledgement, other bytes are a forgery or two
 * bastions with one key.
 */
static enum wire_err known_entry(
    struct store *s, struct rec *r, const struct wire_entry *e, char *why, size_t size)
{
	int same;

	if (store_commit(s) != 0 || store_write_out(s) != 0) {
		snprintf(why, size, "the collector's disk is full");
		return WIRE_E_REFUSED;
	}
	if ((same = load_compare(s, r, e)) == 1)
		return 0;
	if (same < 0) {
		snprintf(why, size, "what is stored at %" PRIu64 " cannot be read", e->seq);
		return WIRE_E_DAMAGED;
	}
	log_error(
	    "ALARM: %s: other bytes came for frame %" PRIu64 " than are stored; both are kept", r->dir, e->seq);
	load_keep_conflict(s, r, e);
	if (s->complete != NULL)
		s->complete(s->ctx, r->dir);
	snprintf(why, size, "other bytes are stored for frame %" PRIu64, e->seq);
	return WIRE_E_CONFLICT;
}

enum wire_err store_entry(struct store *s, const struct wire_entry *e, const struct tls_pins *signers,
    struct rec **out, char *why, size_t size)
{
	struct rec *r = store_lookup(s, e->id);
	struct brec_header h;
	enum wire_err err;

	*out = NULL;
	if (e->type == WIRE_OPEN && r == NULL && brec_header_decode(e->header, e->header_len, &h) == BREC_OK &&
	    memcmp(h.id, e->id, BREC_ID_LEN) == 0 &&
	    (err = store_find(s, e->id, (uint64_t)h.wall_us, &r)) != 0) {
		snprintf(why, size, "what is stored under this id cannot be read");
		return err;
	}
	if (e->type == WIRE_OPEN && r == NULL)
		return open_entry(s, e, signers, out, why, size);
	if (r == NULL) {
		snprintf(why, size, "the recording is not open here: resume it first");
		return WIRE_E_UNKNOWN;
	}
	*out = r;
	if (r->damaged) {
		snprintf(why, size, "what is stored of this recording does not verify");
		return WIRE_E_DAMAGED;
	}
	if (r->pruned) {
		snprintf(why, size, "the recording was removed here after its retention");
		return WIRE_E_ENDED;
	}
	if (e->seq <= r->seq)
		return known_entry(s, r, e, why, size);
	if (r->ended) {
		snprintf(why, size, "the recording was closed with frame %" PRIu64, r->seq);
		return WIRE_E_ENDED;
	}
	if (e->seq != r->seq + 1) {
		snprintf(why, size, "frame %" PRIu64 " came after %" PRIu64, e->seq, r->seq);
		return WIRE_E_GAP;
	}
	if (store_pours(s, r, e)) {
		snprintf(why, size, "the collector's disk is nearly full, and this recording grows too fast for what is left");
		log_error("%s: refused: it took %" PRIu64 " KiB in a minute of the reserve, which the others need", r->dir, r->low_bytes >> 10);
		return WIRE_E_REFUSED;
	}
	return next_entry(s, r, e, signers, why, size);
}

int store_act(struct store *s, struct rec *r, enum tlog_leaf_type type, struct apply_leaf *leaf)
{
	uint8_t h[BREC_HASH_LEN];
	const struct wire_entry e = { .type = (enum wire_type)(APPLY_ACT | type), .id = r->id, .h = memcpy(h, r->h, sizeof(h)), .seq = r->seq,
		.header = r->signer, .header_len = sizeof(r->signer) };

	if (store_full(s) && (store_commit(s) != 0 || s->held)) {
		errno = ENOSPC;
		return -1;
	}
	leaf->index = s->next_leaf;
	return enter(s, r, &e, leaf);
}

bool store_full(const struct store *s)
{
	return journal_group_full(&s->journal) || s->ngroup == STORE_OUT_MAX;
}

/*
 * The journal's file must always have room for one group more. Old: what idles is synced soon, too.
 */
static bool turn_due(struct store *s)
{
	if (journal_left(&s->journal) < JOURNAL_GROUP_MAX)
		return true;
	return s->dirty_since_ms != 0 && clock_mono_ms() - s->dirty_since_ms >= STORE_SYNC_SECONDS * 1000 &&
	    !syncer_busy(&s->syncer);
}

int store_commit(struct store *s)
{
	struct store_out *group = s->group;

	if (!journal_pending(&s->journal))
		return 0;
	/* two groups of memory take turns: the one before must be in its files */
	if (store_write_out(s) != 0)
		return -1;
	if (journal_sync(&s->journal) != 0)
		fatal(
		    "journal: %s. What it holds on disk is unknown, so nothing more is acknowledged: see to the disk, then start "
		    "the collector again",
		    strerror(errno));
	for (size_t i = 0; i < s->ngroup; i++)
		set_durable(group[i].rec);
	s->commits++;
	s->group = s->out;
	s->out = group;
	s->nout = s->ngroup;
	s->ngroup = s->done = s->logged = 0;
	if (turn_due(s) && store_write_out(s) == 0)
		store_turn(s, true);
	return 0;
}

/* The disk took something no longer. -1 if that may pass; else the process ends. */
static int hold(struct store *s, const char *what)
{
	if (errno != ENOSPC && errno != EDQUOT)
		fatal("%s: %s. The journal still holds what was acknowledged: see to the disk, then start the collector again", what,
		    errno == EBADMSG ? s->log.why : strerror(errno));
	if (!s->held)
		log_error("no space for %s: nothing is taken or acknowledged until there is. What was acknowledged is safe in the journal",
		    what);
	s->held = true;
	return -1;
}

int store_write_out(struct store *s)
{
	if (log_write_out(s) != 0)
		return hold(s, "the log of recordings");
	for (; s->done < s->nout; s->done++) {
		struct store_out *o = &s->out[s->done];

		if (apply_payload(s, o->rec, o->payload, o->len) == 0) {
			o->rec->unwritten--;
			if (s->complete != NULL && apply_completes(o->payload, o->len))
				s->complete(s->ctx, o->rec->dir);
			continue;
		}
		return hold(s, o->rec->dir);
	}
	s->nout = s->done = s->logged = 0;
	if (s->held) {
		log_notice("there is space again: the collector goes on");
		s->held = false;
		/* it may have come to stand in the midst of a turn, with no room for a group in the journal's file: what waited comes now */
		store_turn(s, false);
	}
	return 0;
}

/*
 * Invariant: before a journal file is begun anew, every byte that its records stand for is synced.
 * When the current file is left, all of its bytes are written; the syncer, started then, makes them
 * durable; and before the next turn it is waited for.
 */
void store_turn(struct store *s, bool now)
{
	if (s->nout != 0 || journal_pending(&s->journal) || !(now || turn_due(s)))
		return;
	syncer_wait(&s->syncer);
	tlog_writer_settle(&s->log);
	syncer_go(&s->syncer);
	s->turns++;
	s->dirty_since_ms = 0;
	if (journal_turn(&s->journal) != 0)
		fatal("journal: %s", strerror(errno));
}

/*
 * As many segment files may be open at once as the system allows; others are opened again at need.
 */
static size_t files_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return 256;
	rl.rlim_cur = rl.rlim_max;
	if (rl.rlim_cur > 65536)
		rl.rlim_cur = 65536;
	if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
		getrlimit(RLIMIT_NOFILE, &rl);
	return rl.rlim_cur > FILES_RESERVED + 64 ? rl.rlim_cur - FILES_RESERVED : 32;
}

static int open_dir(int at, const char *path)
{
	if (mkdirat(at, path, 0750) != 0 && errno != EEXIST)
		return -1;
	return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int store_open(struct store *s, const struct store_options *o)
{
	const char *path = o->path;

	*s = (struct store){ .top = -1, .recordings = -1, .journal_dir = -1, .reserve = o->reserve, .files_max = files_limit(),
		.sign = o->sign, .complete = o->complete, .ctx = o->ctx, .pruner.days = o->prune_days };
	s->log.dir = -1;
	TAILQ_INIT(&s->open);
	s->group = calloc(STORE_OUT_MAX, sizeof(*s->group));
	s->out = calloc(STORE_OUT_MAX, sizeof(*s->out));
	if (s->group == NULL || s->out == NULL ||
	    (s->top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    (s->recordings = open_dir(s->top, "recordings")) < 0 ||
	    (s->journal_dir = open_dir(s->top, "journal")) < 0 || fsync(s->top) != 0) {
		log_error("store %s: %s", path, strerror(errno));
		return -1;
	}
	if (journal_open(&s->journal, s->journal_dir, o->journal_bytes) != 0) {
		log_error("%s/journal: %s", path,
		    errno == EWOULDBLOCK ? "another collector uses this store" : strerror(errno));
		return -1;
	}
	if (log_open_dir(s, o) != 0 || apply_recover(s) != 0 || known_open(s) != 0)
		return -1;
	if (syncer_start(&s->syncer, s->recordings, s->log.dir) != 0) {
		log_error("thread: %s", strerror(errno));
		return -1;
	}
	store_space(s);
	return 0;
}

int store_close(struct store *s)
{
	int r = 0;

	prune_finish(s);
	if (s->syncer.running) {
		if (store_commit(s) != 0 || store_write_out(s) != 0)
			r = -1;
		else
			store_turn(s, true);
		syncer_stop(&s->syncer);
	}
	for (size_t i = 0; i < STORE_BUCKETS; i++) {
		struct rec *rec;

		while ((rec = LIST_FIRST(&s->buckets[i])) != NULL) {
			rec->touched = rec->not_signed = false;
			rec->unwritten = 0;
			store_drop(s, rec);
		}
	}
	journal_close(&s->journal);
	tlog_writer_finish(&s->log);
	free(s->known);
	close(s->recordings);
	close(s->journal_dir);
	close(s->top);
	free(s->group);
	free(s->out);
	return r;
}
