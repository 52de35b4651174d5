/*
 * test_recorder_link.c - links of sessions and of policy in the recorder: what takes a place in one, and how fast it may be taken again.
 *
 * WRAP: clock_mono_ms
 */
#include <unistd.h>

#include "recorder_rig.h"

static uint64_t later_ms;		/* so much more on the clock */

uint64_t __real_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void)
{
	return __real_clock_mono_ms() + later_ms;
}

/* Two collectors of which one is away; quorum 1. A session has its first link, policy the second. */
static void init_lagging(struct fixture *f, struct ipc *session, struct ipc *policy)
{
	init(f, 2, 1);
	queue_destroy(&f->rc, f->r);
	f->r = NULL;
	f->rc.ships[1].state = SHIP_DOWN;
	LIST_INIT(&f->rc.links);
	assert_non_null(f->rc.base = event_base_new());
	assert_non_null(f->rc.ships[0].bev = bufferevent_socket_new(f->rc.base, -1, 0));
	link_to(f, 5, session);
	link_to(f, REC_SLOT_POLICY, policy);
}

static void finish_lagging(struct fixture *f, struct ipc *session, struct ipc *policy)
{
	ipc_finish(session);
	ipc_finish(policy);
	while (!LIST_EMPTY(&f->rc.links)) {
		event_base_loop(f->rc.base, EVLOOP_ONCE);
		link_turn(&f->rc);
	}
	bufferevent_free(f->rc.ships[0].bev);
	f->rc.ships[0].bev = NULL;
	finish(f);
	event_base_free(f->rc.base);
}

static void end_way(struct ipc *peer, uint32_t way)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u64(&b, 1);
	buf_put_u8(&b, BREC_END_NORMAL);
	buf_put_cstring(&b, "over");
	assert_int_equal(ipc_send(peer, MSG_REC_CLOSE, way, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* The collector that is there has everything up to seq. */
static void commit(struct fixture *f, uint64_t seq)
{
	const uint64_t before = f->r->committed;

	sent(f, 0);
	assert_int_equal(ack(f, 0, seq), 0);
	link_committed(f->r, before);
	assert_false(queue_release(&f->rc, f->r));
}

/* What is over stays for the collector that is away, and takes none of its session's places. */
static void what_is_over_takes_no_place(void **state)
{
	struct ipc session, policy;
	struct fixture f;
	struct ipc_msg m;
	struct link *l;

	(void)state;
	init_lagging(&f, &session, &policy);
	for (uint32_t way = 1; way <= REC_WAYS_MAX + 20; way++) {
		/* as if they were hours apart */
		LIST_FOREACH(l, &f.rc.links, all)
			l->open_ms = l->open_long_ms = 0;
		tell(&session, MSG_REC_OPEN, way, numbered(way), &f.part);
		assert_int_equal(heard(&f, &session, &m), MSG_NONE);
		assert_non_null(f.r = queue_find(&f.rc, numbered(way)));
		commit(&f, 0);
		assert_int_equal(heard(&f, &session, &m), MSG_REC_OPENED);
		ipc_msg_finish(&m);
		end_way(&session, way);
		assert_int_equal(heard(&f, &session, &m), MSG_NONE);
		commit(&f, 1);
		assert_int_equal(heard(&f, &session, &m), MSG_REC_COMMIT);
		ipc_msg_finish(&m);
		assert_int_equal(heard(&f, &session, &m), MSG_REC_CLOSED);
		ipc_msg_finish(&m);
		assert_true(f.r->done && f.r->link == NULL);
	}
	assert_int_equal(f.rc.count, REC_WAYS_MAX + 20);
	assert_int_equal(LIST_FIRST(&f.rc.links)->nways + LIST_NEXT(LIST_FIRST(&f.rc.links), all)->nways, 0);
	finish_lagging(&f, &session, &policy);
}

/* Nor does what a collector refused: policy tries its events again and again. What was on its way for it is passed over. */
static void what_is_refused_takes_no_place(void **state)
{
	struct ipc session, policy;
	struct fixture f;
	struct ipc_msg m;

	(void)state;
	init_lagging(&f, &session, &policy);
	for (uint32_t way = 1; way <= REC_WAYS_MAX + 20; way++) {
		tell(&policy, MSG_REC_OPEN, way, numbered(way), &f.part);
		assert_int_equal(heard(&f, &policy, &m), MSG_NONE);
		assert_non_null(f.r = queue_find(&f.rc, numbered(way)));
		link_refuse(&f.rc, f.r, "the collector does not take it");
		assert_null(queue_find(&f.rc, numbered(way)));
		end_way(&policy, way);
		assert_int_equal(heard(&f, &policy, &m), MSG_REC_REFUSED);
		ipc_msg_finish(&m);
	}
	assert_int_equal(f.rc.count, 0);
	assert_int_equal(heard(&f, &policy, &m), MSG_NONE);
	tell(&policy, MSG_REC_OPEN, 1, id, &f.part);
	assert_int_equal(heard(&f, &policy, &m), MSG_NONE);
	assert_non_null(queue_find(&f.rc, id));
	finish_lagging(&f, &session, &policy);
}

/* Does the session's link survive that it opens this one? If so the recording is opened, and gone again. */
static bool taken(struct fixture *f, struct ipc *session, const uint8_t *one)
{
	struct recording *r;
	struct ipc_msg m;

	LIST_FIRST(&f->rc.links)->open_ms = 0;
	tell(session, MSG_REC_OPEN, 1, one, &f->part);
	assert_int_equal(heard(f, session, &m), MSG_NONE);
	r = queue_find(&f->rc, one);
	assert_int_equal(r != NULL, !LIST_EMPTY(&f->rc.links));
	if (r != NULL)
		queue_destroy(&f->rc, r);
	return r != NULL;
}

/* A session's recordings are those that policy gave it, each once. A collector still has one that recorder has forgotten. */
static void an_id_is_opened_once(void **state)
{
	uint8_t foreign[BREC_ID_LEN], key[RECID_KEY_LEN] = { 1 };
	struct ipc session, policy;
	struct fixture f;

	(void)state;
	init_lagging(&f, &session, &policy);
	assert_int_equal(recid_make(foreign, key, 1, 1), 0);
	const struct { unsigned first; const uint8_t *then; } bad[] = { { 1, id }, { 1, foreign }, { 20, NULL } };

	ipc_finish(&session);
	ipc_finish(&policy);
	turn(&f);
	turn(&f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(LIST_EMPTY(&f.rc.links));
		link_to(&f, 5, &session);
		assert_true(taken(&f, &session, numbered(bad[i].first)));
		assert_true(taken(&f, &session, numbered(bad[i].first + 16)));
		/* another place; its ways are older */
		assert_true(taken(&f, &session, numbered(bad[i].first + 1)));
		assert_false(taken(&f, &session, bad[i].then != NULL ? bad[i].then : numbered(bad[i].first + 16)));
		ipc_finish(&session);
	}
	link_to(&f, 5, &session);
	assert_true(taken(&f, &session, numbered(20)));
	assert_false(taken(&f, &session, numbered(4)));
	ipc_finish(&session);
	/* policy's own are random */
	link_to(&f, REC_SLOT_POLICY, &policy);
	turn(&f);
	assert_true(taken(&f, &policy, id));
	assert_true(taken(&f, &policy, foreign));
	/* without a key there is no link */
	link_up(&f.rc, 6, NULL, dup(policy.fd));
	assert_null(LIST_NEXT(LIST_FIRST(&f.rc.links), all));
	session.fd = -1;
	finish_lagging(&f, &session, &policy);
}

/* A session opens so many at once, and the next ones in their time; policy is not counted. */
static void recordings_are_opened_at_a_pace(void **state)
{
	const unsigned most = REC_OPEN_BURST + 4;
	struct ipc session, policy;
	struct fixture f;

	(void)state;
	init_lagging(&f, &session, &policy);
	for (uint32_t way = 1; way <= most; way++) {
		tell(&session, MSG_REC_OPEN, way, numbered(way), &f.part);
		end_way(&session, way);
		turn(&f);
	}
	assert_in_range(f.rc.count, REC_OPEN_BURST, most - 1);
	for (uint32_t way = 1; way <= most; way++) {
		tell(&policy, MSG_REC_OPEN, way, numbered(1000 + way), &f.part);
		turn(&f);
		assert_non_null(queue_find(&f.rc, numbered(1000 + way)));
	}
	while (f.rc.count < 2 * most) {
		event_base_loop(f.rc.base, EVLOOP_ONCE);
		link_turn(&f.rc);
	}
	assert_non_null(queue_find(&f.rc, numbered(most)));
	finish_lagging(&f, &session, &policy);
}

/* And of very many one after the other: a session lasts for days, and the files and the log of the collectors shall, too. */
static void very_many_are_opened_slowly(void **state)
{
	enum { WAYS_MAX = 16 /* SESSION_WAYS_MAX */, DIAL_TIMEOUT_MS = 10000 /* what it is by default */,
		FREE = REC_OPEN_LONG_BURST * REC_OPEN_MS / (REC_OPEN_LONG_MS - REC_OPEN_MS) };
	struct ipc session, policy;
	struct fixture f;
	uint32_t way = 0;
	uint64_t begin_ms;

	(void)state;
	init_lagging(&f, &session, &policy);
	for (; way++ < REC_OPEN_LONG_BURST; later_ms += REC_OPEN_MS) {
		tell(&session, MSG_REC_OPEN, way, numbered(way), &f.part);
		end_way(&session, way);
		turn(&f);
		assert_non_null(f.r = queue_find(&f.rc, numbered(way)));
		queue_destroy(&f.rc, f.r);
	}
	/* in the time that this took, and that the next ones take, one in so many was free */
	for (unsigned more = 0; more < FREE + 10; more++, way++) {
		later_ms += REC_OPEN_MS;
		tell(&session, MSG_REC_OPEN, way, numbered(way), &f.part);
		turn(&f);
		if ((f.r = queue_find(&f.rc, numbered(way))) == NULL)
			break;
		queue_destroy(&f.rc, f.r);
	}
	assert_null(f.r);
	assert_in_range(way, REC_OPEN_LONG_BURST, REC_OPEN_LONG_BURST + FREE + 9);
	later_ms += REC_OPEN_LONG_MS;
	turn(&f);
	turn(&f);
	assert_non_null(f.r = queue_find(&f.rc, numbered(way)));
	/* as many as a session may have on their way are open before it gives the first of them up */
	for (unsigned i = 0; i < WAYS_MAX; i++)
		tell(&session, MSG_REC_OPEN, way + 1 + i, numbered(way + 1 + i), &f.part);
	for (begin_ms = later_ms; later_ms < begin_ms + DIAL_TIMEOUT_MS; later_ms += REC_OPEN_MS)
		turn(&f);
	assert_non_null(queue_find(&f.rc, numbered(way + WAYS_MAX)));
	later_ms += REC_OPEN_LONG_BURST * REC_OPEN_LONG_MS;
	finish_lagging(&f, &session, &policy);
	later_ms = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_over_takes_no_place), cmocka_unit_test(what_is_refused_takes_no_place), cmocka_unit_test(an_id_is_opened_once),
		cmocka_unit_test(recordings_are_opened_at_a_pace), cmocka_unit_test(very_many_are_opened_slowly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
