/*
 * test_policy_view.c - who watches whom, step by step on a whole policy role: the right, the event before, the link, the viewer,
 * and every end.
 */
#include "policy_rig_way.h"

static const uint8_t EVE_KEY[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
				 "eve-eve-eve-eve-eve-eve-eve-eve-";

struct scene {
	struct session_end alice, eve;	/* the watched one; the auditor */
	struct user auditor;
	char word[64];			/* `watch` of alice's session */
	uint32_t watch;
	struct ipc link;		/* alice's end of the link to the viewer */
	struct ipc viewer;		/* the viewer's */
	uint32_t worker;
};

static void login_eve(struct rig *r, struct scene *c)
{
	uint8_t secret[TOTP_SECRET_LEN];
	struct pam_end w;
	char code[7];

	add_user_as(r->p.store, &c->auditor, "eve", USER_HUMAN, true, KEY(EVE_KEY));
	memset(secret, 'e', sizeof(secret));
	assert_int_equal(store_totp_enrol(r->p.store, c->auditor.id, secret, clock_wall()), 0);
	assert_int_equal(store_totp_confirm(r->p.store, c->auditor.id, clock_wall() / 30 - 10, 0, clock_wall()), 0);
	session_start(r, &c->eve);
	send_key(&c->eve, "eve", KEY(EVE_KEY), 1);
	expect_u8(r, &c->eve.link, MSG_AUTH_KEY_RE, AUTH_PARTIAL);
	factor_begin(r, &c->eve, &w, 1);
	code_of(secret, clock_wall(), code);
	assert_int_equal(otp_ask(r, "eve", code, w.token), OTP_RIGHT);
	pam_done(&w, 1, "eve");
	expect_u8(r, &c->eve.link, MSG_AUTH_FACTOR_RE, AUTH_YES);
	worker_end(r, &w.link, w.id);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
}

static void scene_up(struct rig *r, struct scene *c)
{
	memset(c, 0, sizeof(*c));
	c->link.fd = c->viewer.fd = -1;
	way_open(r, &c->alice, 3600);
	login_eve(r, c);
	snprintf(c->word, sizeof(c->word), "{\"word\":\"watch\",\"args\":{\"id\":%lld}}", (long long)peer_of(r, &c->alice)->row.id);
}

static void ask(struct rig *r, struct scene *c)
{
	words(r, &c->eve, c->word, true);
	assert_non_null(r->p.watches);
	c->watch = r->p.next_watch - 1;
	assert_int_equal(events_of(r, "watch.start"), 1);
}

static void view(struct session_end *s, uint32_t watch)
{
	struct buf b;

	buf_init(&b, 8);
	buf_put(&b, "\0\120\0\030\1", 5);
	assert_int_equal(ipc_send(&s->link, MSG_VIEW_ASK, watch, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* alice's session is told who watches, and gets its end. */
static void expect_watch(struct rig *r, struct scene *c)
{
	struct ipc_msg m;
	char name[64];

	expect(r, &c->alice.link, MSG_WATCH, &m);
	assert_int_equal(m.id, c->watch);
	buf_get_cstring(&m.body, name, sizeof(name));
	assert_string_equal(name, "eve");
	assert_int_equal(buf_get_u32(&m.body), 0);
	assert_int_equal(buf_get_u8(&m.body), 1);
	assert_true(buf_end(&m.body));
	ipc_init(&c->link, ipc_take_fd(&m, 0), ROLE_SESSION, ROLE_VIEW);
	ipc_msg_finish(&m);
}

static void watch_re(struct scene *c, uint8_t ok)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_u8(&b, ok);
	buf_put_cstring(&b, ok ? "" : "nothing\nthere");
	assert_int_equal(ipc_send(&c->alice.link, MSG_WATCH_RE, c->watch, &b, NULL, 0), 0);
	buf_finish(&b);
}

static void expect_view_re(struct rig *r, struct session_end *s, uint32_t watch, uint8_t ok)
{
	struct ipc_msg m;
	char line[1100];

	expect(r, &s->link, MSG_VIEW_RE, &m);
	assert_int_equal(m.id, watch);
	assert_int_equal(buf_get_u8(&m.body), ok);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	assert_true(buf_end(&m.body) && ok == (line[0] == '\0') && strchr(line, '\n') == NULL);
	assert_int_equal(m.nfds, ok);
	ipc_msg_finish(&m);
}

/* Up to where the picture stands. */
static void start(struct rig *r, struct scene *c)
{
	struct ipc_msg m;
	int pair[2];
	struct buf b;

	ask(r, c);
	view(&c->eve, c->watch);
	expect_watch(r, c);
	watch_re(c, 1);
	expect(r, &r->parent, MSG_RUN_VIEW, &m);
	c->worker = m.id;
	assert_int_equal(buf_get_u16(&m.body), 80);
	assert_int_equal(buf_get_u16(&m.body), 24);
	assert_int_equal(buf_get_u8(&m.body), VIEW_UTF8);
	assert_true(buf_end(&m.body));
	ipc_init(&c->viewer, ipc_take_fd(&m, 0), ROLE_VIEW, ROLE_SESSION);
	ipc_msg_finish(&m);
	/* the two ends are one link */
	buf_view(&b, "\0\120\0\030", 4);
	assert_int_equal(ipc_send(&c->link, MSG_SHOW_SIZE, 0, &b, NULL, 0), 0);
	assert_int_equal(ipc_wait(&c->viewer, &m, WAIT_MS), 1);
	assert_int_equal(m.type, MSG_SHOW_SIZE);
	ipc_msg_finish(&m);
	/* any descriptor will do for a terminal */
	assert_int_equal(ipc_pair(pair), 0);
	assert_int_equal(ipc_send(&r->parent, MSG_WORKER_UP, c->worker, NULL, pair, 1), 0);
	close(pair[0]);
	close(pair[1]);
	expect_view_re(r, &c->eve, c->watch, 1);
}

static void watch_over(struct scene *c)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_u64(&b, 4242);
	buf_put_u64(&b, 0);
	buf_put_cstring(&b, "The watcher left.");
	assert_int_equal(ipc_send(&c->alice.link, MSG_WATCH_OVER, c->watch, &b, NULL, 0), 0);
	buf_finish(&b);
}

static void expect_stop(struct rig *r, struct scene *c)
{
	struct ipc_msg m;

	expect(r, &c->alice.link, MSG_WATCH_STOP, &m);
	assert_int_equal(m.id, c->watch);
	ipc_msg_finish(&m);
}

/* It is over, with its event, and parent was told to kill the viewer, if one ran. */
static void expect_over(struct rig *r, bool killed, uint32_t worker)
{
	struct ipc_msg m;
	uint64_t end = clock_mono_ms() + WAIT_MS;

	while (r->p.watches != NULL && clock_mono_ms() < end)
		event_base_loop(r->p.base, EVLOOP_ONCE);
	assert_null(r->p.watches);
	assert_int_equal(events_of(r, "watch.end"), 1);
	if (killed) {
		expect(r, &r->parent, MSG_WORKER_KILL, &m);
		assert_int_equal(m.id, worker);
		ipc_msg_finish(&m);
	}
}

static void scene_down(struct rig *r, struct scene *c, bool worker)
{
	if (worker)
		worker_end(r, &c->viewer, c->worker);
	ipc_finish(&c->viewer);
	ipc_finish(&c->link);
	assert_int_equal(r->p.nworkers, 0);
	session_over(r, &c->eve, 0);
	session_over(r, &c->alice, 0);
	assert_null(r->p.watches);
}

static void from_the_word_to_the_end(void **state)
{
	struct rig *r = *state;
	struct scene c;

	scene_up(r, &c);
	start(r, &c);
	/* one connection watches one session */
	words(r, &c.eve, c.word, false);
	watch_over(&c);
	rig_turn(r);
	assert_non_null(r->p.watches);
	worker_end(r, &c.viewer, c.worker);
	expect_over(r, false, 0);
	scene_down(r, &c, false);
}

static void only_who_may(void **state)
{
	struct rig *r = *state;
	struct scene c;

	scene_up(r, &c);
	words(r, &c.alice, c.word, false);
	control_request(r, c.word, "\"code\":\"denied\"");	/* as root, or nobody */
	assert_null(r->p.watches);
	assert_int_equal(events_of(r, "watch.start"), 0);
	/* a number that is another's */
	ask(r, &c);
	view(&c.alice, c.watch);
	expect_view_re(r, &c.alice, c.watch, 0);
	view(&c.eve, c.watch + 1);
	expect_view_re(r, &c.eve, c.watch + 1, 0);
	expect_silence(r, &c.alice.link);
	/* nobody goes on with it */
	watches_tick(&r->p, clock_mono_ms() + WATCH_CLAIM_MS + 1);
	expect_over(r, false, 0);
	view(&c.eve, c.watch);
	expect_view_re(r, &c.eve, c.watch, 0);
	scene_down(r, &c, false);
}

static void switched_off(void **state)
{
	struct rig *r = *state;
	struct scene c;

	scene_up(r, &c);
	r->conf->max_watchers = 0;
	words(r, &c.eve, c.word, false);
	assert_null(r->p.watches);
	assert_int_equal(events_of(r, "watch.start"), 0);
	scene_down(r, &c, false);
}

static void the_session_has_nothing_to_show(void **state)
{
	struct rig *r = *state;
	struct scene c;

	scene_up(r, &c);
	ask(r, &c);
	view(&c.eve, c.watch);
	expect_watch(r, &c);
	watch_re(&c, 0);
	expect_view_re(r, &c.eve, c.watch, 0);
	expect_over(r, false, 0);
	scene_down(r, &c, false);
}

static bool late;

/* The order in which timers come is the same on a machine that has no time for them. */
static void on_second(evutil_socket_t fd, short what, void *arg)
{
	const struct rig *r = arg;

	(void)fd, (void)what;
	late = r->p.watches != NULL;
}

static void a_lock_ends_it(void **state)
{
	struct rig *r = *state;
	struct scene c;
	const struct timeval second = { .tv_sec = 1 };
	struct event *limit = evtimer_new(r->p.base, on_second, r);

	scene_up(r, &c);
	start(r, &c);
	control_request(r, "{\"word\":\"user lock\",\"args\":{\"user\":\"eve\"}}", "\"ok\":true");
	assert_non_null(limit);
	assert_int_equal(event_add(limit, &second), 0);
	expect_stop(r, &c);
	/* neither session nor viewer obeys: the viewer is killed, within the second of promise P7 */
	expect_over(r, true, c.worker);
	assert_false(late);
	event_free(limit);
	scene_down(r, &c, true);
}

static void the_right_is_asked_for_anew(void **state)
{
	struct rig *r = *state;
	struct scene c;

	scene_up(r, &c);
	start(r, &c);
	watches_tick(&r->p, clock_mono_ms());
	expect_silence(r, &c.alice.link);
	/* whatever changes the row, by whatever way */
	assert_int_equal(store_user_state(r->p.store, c.auditor.id, USER_LOCKED, "test", clock_wall()), 0);
	watches_tick(&r->p, clock_mono_ms());
	expect_stop(r, &c);
	watch_over(&c);
	expect_over(r, true, c.worker);
	scene_down(r, &c, true);
}

static void the_watched_session_ends(void **state)
{
	struct rig *r = *state;
	struct scene c;

	scene_up(r, &c);
	start(r, &c);
	session_over(r, &c.alice, 9);
	/* the viewer has a moment to say so */
	assert_non_null(r->p.watches);
	expect_silence(r, &r->parent);
	expect_over(r, true, c.worker);
	worker_end(r, &c.viewer, c.worker);
	ipc_finish(&c.link);
	session_over(r, &c.eve, 0);
}

static void the_watcher_goes(void **state)
{
	struct rig *r = *state;
	struct scene c;

	scene_up(r, &c);
	start(r, &c);
	session_over(r, &c.eve, 0);
	expect_stop(r, &c);
	expect_over(r, true, c.worker);
	worker_end(r, &c.viewer, c.worker);
	ipc_finish(&c.link);
	session_over(r, &c.alice, 0);
}

static void pong_tells_what_is_done(void **state)
{
	struct rig *r = *state;
	struct scene c;
	struct ipc_msg m;
	struct buf b;
	struct way *w;

	scene_up(r, &c);
	w = peer_of(r, &c.alice)->ways[0];
	peers_tick(&r->p, clock_mono_ms());
	assert_int_equal(ipc_wait(&c.alice.link, &m, WAIT_MS), 1);
	ipc_msg_finish(&m);
	buf_init(&b, 512);
	buf_put_u32(&b, 1);
	buf_put_u32(&b, 7);
	buf_put_u64(&b, 11);
	buf_put_u64(&b, 22);
	buf_put(&b, "\1\1\1", 3);
	assert_int_equal(ipc_send(&c.alice.link, MSG_PONG, 0, &b, NULL, 0), 0);
	rig_turn(r);
	assert_int_equal(w->report.idle, 7);
	assert_int_equal(w->report.how, WAY_BY_JUMP);
	assert_int_equal(w->row.bytes_out, 22);
	control_request(r, "{\"word\":\"sessions\"}", "\"doing\":[\"shell\"]");
	control_request(r, "{\"word\":\"sessions\"}", "\"how\":\"jump\"");
	/* half a report ends the session */
	peers_tick(&r->p, clock_mono_ms());
	assert_int_equal(ipc_wait(&c.alice.link, &m, WAIT_MS), 1);
	ipc_msg_finish(&m);
	buf_put_u8(&b, 0);
	assert_int_equal(ipc_send(&c.alice.link, MSG_PONG, 0, &b, NULL, 0), 0);
	expect_kill(r, &c.alice);
	buf_finish(&b);
	scene_down(r, &c, false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(from_the_word_to_the_end), T(only_who_may), T(switched_off), T(the_session_has_nothing_to_show), T(a_lock_ends_it),
		T(the_right_is_asked_for_anew), T(the_watched_session_ends), T(the_watcher_goes), T(pong_tells_what_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
