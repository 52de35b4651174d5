/*
 * test_collector_server.c - the collector's server on a store of its own, fed with what a recorder makes: no receipt runs ahead of what was
 * acknowledged, none that is kept is written over, a disk that is full takes frames again when it has room, a refusal is said once, a new key's
 * checkpoint is synced, a log that grows too long is said.
 *
 * WRAP: pread pwrite syncfs clock_mono_ms log_warn
 */
#include "collector_conn.c"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "collector_hold.h"
#include "recorder_rig.h"
#include "tlog_reader.h"

#define LARGE 60000U

static bool unreadable;			/* the next pread of receipts fails */
static bool full;			/* nothing fits into segments */
static _Thread_local unsigned synced;
static uint64_t later_ms;		/* so much more on the clock */
static unsigned lengths, warnings;	/* times that the log's length was said, and anything */

ssize_t __real_pread(int fd, void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
uint64_t __real_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void);
void __wrap_log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int __real_syncfs(int fd);
int __wrap_syncfs(int fd);

static bool ends_with(int fd, const char *end)
{
	char link[64], path[256];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len > 0 ? len : 0] = '\0';
	return len > (ssize_t)strlen(end) && strcmp(path + len - strlen(end), end) == 0;
}

ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at)
{
	if (unreadable && ends_with(fd, "/receipts")) {
		unreadable = false;
		errno = EIO;
		return -1;
	}
	return __real_pread(fd, data, len, at);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	if (full && ends_with(fd, ".brec")) {
		errno = ENOSPC;
		return -1;
	}
	return __real_pwrite(fd, data, len, at);
}

uint64_t __wrap_clock_mono_ms(void)
{
	return __real_clock_mono_ms() + later_ms;
}

void __wrap_log_warn(const char *fmt, ...)
{
	warnings++;
	lengths += strstr(fmt, "bastion-replay reads at most") != NULL;
}

int __wrap_syncfs(int fd)
{
	synced++;
	return __real_syncfs(fd);
}

struct rig {
	struct fixture f;		/* the recorder */
	struct server sv;
	struct coll_conf conf;
	struct coll_client client;
	struct conn *c;
	char dir[64];
	uint64_t given;			/* entries of it that the collector got */
	uint64_t committed, signed_for;	/* what it said: sequences */
};

static void on_receipts_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

static struct rig *start(void)
{
	struct rig *x = calloc(1, sizeof(*x));
	struct store_options o = { .journal_bytes = JOURNAL_SIZE_MIN, .log_origin = "test/log" };
	struct server *sv = &x->sv;

	assert_non_null(x);
	init(&x->f, 1, 1);
	x->conf.max_recordings = 10;
	snprintf(x->client.name, sizeof(x->client.name), "b1");
	snprintf(x->dir, sizeof(x->dir), "/tmp/test_collector_server-XXXXXX");
	assert_non_null(o.path = mkdtemp(x->dir));
	assert_non_null(sv->signer = sign_key_generate());
	sign_key_public(sv->signer, sv->signer_pub);
	o.log_key = sv->signer;
	assert_int_equal(store_open(&sv->store, &o), 0);
	sv->conf = &x->conf;
	assert_non_null(sv->base = event_base_new());
	assert_non_null(sv->receipts = evtimer_new(sv->base, on_receipts_timer, NULL));
	assert_non_null(x->c = calloc(1, sizeof(*x->c)));
	x->c->sv = sv;
	x->c->client = &x->client;
	assert_non_null(x->c->bev = bufferevent_socket_new(sv->base, -1, 0));
	TAILQ_INIT(&x->c->owned);
	TAILQ_INIT(&x->c->touched);
	TAILQ_INIT(&x->c->not_signed);
	LIST_INSERT_HEAD(&sv->conns, x->c, link);
	sv->nconns++;
	return x;
}

static int forget(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void stop(struct rig *x)
{
	conn_end_all(&x->sv);
	assert_int_equal(store_close(&x->sv.store), 0);
	event_free(x->sv.receipts);
	event_base_free(x->sv.base);
	sign_key_destroy(x->sv.signer);
	finish(&x->f);
	assert_int_equal(nftw(x->dir, forget, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(x);
}

static struct rec *rec(struct rig *x)
{
	return store_lookup(&x->sv.store, id);
}

/* Everything that the recorder has made since the last time. */
static void give(struct rig *x)
{
	const struct entry *e;
	struct wire_msg m;

	STAILQ_FOREACH(e, &x->f.r->entries, link)
		if (e->seq >= x->given) {
			assert_int_equal(wire_decode(&m, e->data, e->len), 0);
			assert_true(handle(x->c, &m));
			assert_false(x->c->ending);
			assert_true(rec(x)->seq == e->seq && !rec(x)->damaged);
			x->given = e->seq + 1;
		}
}

static void large_frames(struct rig *x, unsigned n)
{
	static uint8_t data[BREC_FRAME_HEAD + LARGE + 4];

	for (; n > 0; n--) {
		brec_frame_head(data, BREC_DATA, BREC_OUTPUT, x->f.r->segment, x->f.r->next_seq, LARGE);
		brec_frame_end(data, sizeof(data));
		assert_int_equal(queue_frame(&x->f.rc, x->f.r, data, sizeof(data)), 0);
	}
}

/* What it has sent, as a recorder takes it (role_recorder_ship.c): a receipt is for what was committed last, and no more. */
static void hear(struct rig *x)
{
	struct evbuffer *out = bufferevent_get_output(x->c->bev);
	uint8_t data[4096];

	/* there is no socket that would take it */
	evbuffer_unfreeze(out, 1);
	while (evbuffer_get_length(out) != 0) {
		struct wire_leaf leaf;
		struct wire_msg m;
		long len;

		assert_true(evbuffer_copyout(out, data, 4) == 4);
		assert_in_range(len = wire_length(data, 4), 5, sizeof(data));
		assert_int_equal(evbuffer_remove(out, data, (size_t)len), len);
		assert_int_equal(wire_decode(&m, data, (size_t)len), 0);
		if (m.type == WIRE_STATE)
			continue;
		assert_true(m.type == WIRE_COMMIT || m.type == WIRE_RECEIPT);
		assert_int_equal(m.commit.n, 1);
		wire_leaf_get(&m, 0, &leaf);
		if (m.type == WIRE_COMMIT) {
			x->committed = leaf.seq;
			continue;
		}
		assert_true(leaf.seq == x->committed);
		assert_int_equal(receipt_check_batch(x->sv.signer_pub, m.commit.wall_us, &leaf, 1, m.commit.sig), 0);
		x->signed_for = leaf.seq;
	}
}

/* A hold that is set makes everything durable at once, with frames that nobody was told of yet. */
static void a_receipt_never_runs_ahead(void **state)
{
	struct rig *x = start();
	char text[256];

	(void)state;
	frames(&x->f, 1, 2);
	give(x);
	server_turn(&x->sv);
	hear(x);
	assert_true(x->committed == 2);
	frames(&x->f, 3, 4);
	give(x);
	hold_set(&x->sv.store, id, true, "root", "a reason", text, sizeof(text));
	assert_memory_equal(text, "ok ", 3);
	assert_true(rec(x)->durable.seq == 4);
	server_receipts(&x->sv);
	hear(x);
	assert_true(x->signed_for == 2);
	server_turn(&x->sv);
	server_receipts(&x->sv);
	hear(x);
	assert_true(x->committed == 4 && x->signed_for == 4);
	stop(x);
}

static size_t receipts_of(struct rig *x, uint8_t *data, size_t size)
{
	int fd = apply_open(&x->sv.store, rec(x), "receipts", false);
	ssize_t n;

	assert_true(fd >= 0);
	assert_true((n = read(fd, data, size)) > 0 && n < (ssize_t)size);
	close(fd);
	return (size_t)n;
}

/* The recording was resumed, and the disk fails when its receipts are looked at: what is there stays, and the next one goes behind it. */
static void kept_receipts_stay(void **state)
{
	struct rig *x = start();
	uint8_t before[4096], after[4096];
	size_t had, has;

	(void)state;
	frames(&x->f, 1, 2);
	give(x);
	server_turn(&x->sv);
	server_turn(&x->sv);
	for (int i = 0; i < 2; i++)
		assert_int_equal(server_sign_one(&x->sv, &x->sv.store, rec(x)), 0);
	had = receipts_of(x, before, sizeof(before));
	rec(x)->receipts_end = -1;
	unreadable = true;
	server_sign_one(&x->sv, &x->sv.store, rec(x));
	assert_false(unreadable);
	assert_int_equal(receipts_of(x, after, sizeof(after)), had);
	assert_memory_equal(before, after, had);
	server_sign_one(&x->sv, &x->sv.store, rec(x));
	has = receipts_of(x, after, sizeof(after));
	assert_int_equal(has, had + had / 2);
	assert_memory_equal(before, after, had);
	/* no more than is read of such a file */
	rec(x)->receipts_end = STORE_RECEIPTS_BYTES - (off_t)(had / 2) + 1;
	server_sign_one(&x->sv, &x->sv.store, rec(x));
	assert_int_equal(receipts_of(x, after, sizeof(after)), has);
	stop(x);
}

/* The disk fills just when the journal's file is left for the other one. When there is room again, there is room in the journal, too. */
static void after_a_full_disk(void **state)
{
	struct rig *x = start();

	(void)state;
	large_frames(x, 20);
	give(x);
	server_turn(&x->sv);
	server_turn(&x->sv);
	large_frames(x, 20);
	give(x);
	full = true;
	server_turn(&x->sv);
	assert_true(x->sv.store.held);
	assert_true(journal_left(&x->sv.store.journal) < JOURNAL_GROUP_MAX);
	server_turn(&x->sv);
	assert_true(x->sv.store.held && x->sv.paused);
	full = false;
	assert_int_equal(store_write_out(&x->sv.store), 0);
	assert_false(x->sv.store.held);
	large_frames(x, 32);
	give(x);
	server_turn(&x->sv);
	hear(x);
	assert_true(x->committed == 72);
	stop(x);
}

/* The disk fills while a group is full: what is in hand waits for room, and is not refused for what the disk is. */
static void a_full_disk_refuses_no_frame(void **state)
{
	struct rig *x = start();
	const struct entry *e;
	struct wire_msg m;

	(void)state;
	large_frames(x, 20);
	give(x);
	server_turn(&x->sv);
	server_turn(&x->sv);
	/* a group and more, in one turn of the loop */
	large_frames(x, 40);
	full = true;
	while ((e = entry(&x->f, x->given)) != NULL) {
		assert_int_equal(wire_decode(&m, e->data, e->len), 0);
		if (!handle(x->c, &m))
			break;
		assert_true(rec(x)->seq == e->seq && !rec(x)->damaged);
		x->given++;
	}
	assert_non_null(e);
	assert_true(x->sv.store.held && !x->c->ending);
	/* it was durable, and is acknowledged */
	hear(x);
	assert_true(x->committed == x->given - 1);
	server_turn(&x->sv);
	full = false;
	assert_int_equal(store_write_out(&x->sv.store), 0);
	give(x);
	server_turn(&x->sv);
	hear(x);
	assert_true(x->committed == 60);
	stop(x);
}

/* One more of the large ones, of which the store has had none. */
static void next_large(struct rig *x, uint64_t seq, struct wire_msg *m)
{
	const struct entry *last;

	large_frames(x, 1);
	STAILQ_FOREACH(last, &x->f.r->entries, link)
		if (last->seq == seq)
			break;
	assert_non_null(last);
	assert_int_equal(wire_decode(m, last->data, last->len), 0);
}

/* Without the reserve each recording has its share of what is left, and who takes more is refused alone. */
static void one_that_pours_fills_no_disk(void **state)
{
	struct rig *x = start();
	struct store *s = &x->sv.store;
	struct rec *r;
	char why[256];
	struct rec *out;
	struct wire_msg m;
	unsigned before;

	(void)state;
	large_frames(x, 1);
	give(x);
	s->reserve = UINT64_MAX;	/* nobody has as much */
	assert_true(store_space(s) && s->low);
	s->room = (STORE_LOW_SHARE + 1) * (4ULL * (LARGE + 100));
	large_frames(x, 4);
	give(x);
	r = rec(x);
	before = (unsigned)r->seq;
	next_large(x, before + 1, &m);
	assert_int_equal(store_entry(s, &m.entry, NULL, &out, why, sizeof(why)), WIRE_E_REFUSED);
	assert_non_null(strstr(why, "grows too fast"));
	assert_true(r->seq == before && !r->damaged);
	/* what it took is forgotten with time: five, the refused one among them, less one, less two */
	r->low_ms -= STORE_LOW_MS / 4;
	assert_int_equal(store_entry(s, &m.entry, NULL, &out, why, sizeof(why)), WIRE_E_REFUSED);
	r->low_ms -= STORE_LOW_MS / 2;
	assert_int_equal(store_entry(s, &m.entry, NULL, &out, why, sizeof(why)), 0);
	next_large(x, before + 2, &m);
	assert_int_equal(store_entry(s, &m.entry, NULL, &out, why, sizeof(why)), WIRE_E_REFUSED);
	/* there is room, and then there is none: it has its share again */
	s->reserve = 1;
	assert_true(store_space(s) && !s->low);
	s->reserve = UINT64_MAX;
	assert_true(store_space(s) && s->low);
	s->room = (STORE_LOW_SHARE + 1) * (4ULL * (LARGE + 100));
	assert_int_equal(store_entry(s, &m.entry, NULL, &out, why, sizeof(why)), 0);
	stop(x);
}

/* Of what it answered: so many ERR, and AT. */
static void answers(struct rig *x, unsigned *errs, unsigned *ats)
{
	struct evbuffer *out = bufferevent_get_output(x->c->bev);
	uint8_t data[4096];
	struct wire_msg m;

	*errs = *ats = 0;
	evbuffer_unfreeze(out, 1);
	while (evbuffer_copyout(out, data, 4) == 4) {
		assert_int_equal(evbuffer_remove(out, data, (size_t)wire_length(data, 4)), wire_length(data, 4));
		assert_int_equal(wire_decode(&m, data, (size_t)wire_length(data, 4)), 0);
		*errs += m.type == WIRE_ERR;
		*ats += m.type == WIRE_AT;
	}
}

/* What had left before the recorder heard of it is no gap each, and no line; the recording goes on where it is resumed. */
static void a_refusal_is_said_once(void **state)
{
	struct rig *x = start();
	struct store *s = &x->sv.store;
	const unsigned before = warnings;
	const struct wire_msg resume = { .type = WIRE_RESUME, .resume = { .id = id, .opened_us = x->f.r->opened_us } };
	unsigned errs, ats;
	struct wire_msg m;

	(void)state;
	large_frames(x, 1);
	give(x);
	s->reserve = UINT64_MAX;
	assert_true(store_space(s) && s->low);
	s->room = 0;
	/* so much each may add to the last */
	next_large(x, 2, &m);
	assert_true(handle(x->c, &m));
	x->given++;
	large_frames(x, 20);
	for (uint64_t seq = 3; seq <= 22; seq++) {
		assert_int_equal(wire_decode(&m, entry(&x->f, seq)->data, entry(&x->f, seq)->len), 0);
		assert_true(handle(x->c, &m));
		assert_true(rec(x)->seq == 2);
	}
	answers(x, &errs, &ats);
	assert_int_equal(errs, 1);
	assert_int_equal(warnings, before + 1);
	s->reserve = 1;
	assert_true(store_space(s) && !s->low);
	assert_true(handle(x->c, &resume));
	answers(x, &errs, &ats);
	assert_true(errs == 0 && ats == 1);
	give(x);
	assert_true(rec(x)->seq == 22);
	stop(x);
}

/* A reload brings another key, and nothing else happens: what it signs must outlast a power cut. */
static void a_new_key_is_synced(void **state)
{
	struct rig *x = start();
	struct sign_key *key = sign_key_generate();
	uint8_t pub[KEY_LEN];
	unsigned before;

	(void)state;
	assert_non_null(key);
	frames(&x->f, 1, 2);
	give(x);
	server_turn(&x->sv);
	hear(x);
	sign_key_public(key, pub);
	before = synced;
	server_signer(&x->sv, key);
	assert_int_equal(synced, before + 1);
	assert_memory_equal(x->sv.signer_pub, pub, sizeof(pub));
	stop(x);
}

/* A log that auditors soon cannot read any more is said while the collector runs, once a day. */
static void a_long_log_is_said(void **state)
{
	struct rig *x = start();
	const uint64_t size = x->sv.store.log.size;

	(void)state;
	x->sv.archive.fd = -1;
	assert_non_null(x->sv.prune = evtimer_new(x->sv.base, on_receipts_timer, NULL));
	for (int i = 0; i < 2; i++) {
		x->sv.store.log.size = TLOG_READ_MAX / 2 - 1;
		server_tick(&x->sv);
		assert_int_equal(lengths, i);
		x->sv.store.log.size = TLOG_READ_MAX / 2 + (uint64_t)i * TLOG_READ_MAX;
		for (int k = 0; k < 3; k++)
			server_tick(&x->sv);
		assert_int_equal(lengths, i + 1);
		later_ms += STORE_TELL_MS;
	}
	x->sv.store.log.size = size;
	later_ms = 0;
	event_free(x->sv.prune);
	stop(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_receipt_never_runs_ahead), cmocka_unit_test(kept_receipts_stay),
		cmocka_unit_test(after_a_full_disk), cmocka_unit_test(one_that_pours_fills_no_disk), cmocka_unit_test(a_full_disk_refuses_no_frame),
		cmocka_unit_test(a_refusal_is_said_once), cmocka_unit_test(a_new_key_is_synced), cmocka_unit_test(a_long_log_is_said) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
