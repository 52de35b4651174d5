/*
 * test_policy_watch.c - policy and the sessions that hang, disobey or say too much; the words and
 * the console on their link.
 */
#include "policy_rig_way.h"

#include <poll.h>
#include <sys/mman.h>

static void session_that_ignores_the_end(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct way *w;

	way_open(r, &s, 3600);
	w = peer_of(r, &s)->ways[0];
	peer_way_end(w, BREC_END_KILLED, "test");
	expect_end(r, &s, 1);
	peers_tick(&r->p, w->ending_ms + END_MS);
	expect_silence(r, &r->parent);
	peers_tick(&r->p, w->ending_ms + END_MS + 1);
	expect_kill(r, &s);
	session_over(r, &s, 9);
	assert_int_equal(r->p.npeers, 0);
}

/* Nor does it reach the target any more, long before it is killed. */
static void session_that_goes_on_after_the_end(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct way *w;
	int target[2];

	way_open(r, &s, 3600);
	w = peer_of(r, &s)->ways[0];
	close(w->fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, target), 0);
	w->fd = dup(target[0]); /* the other one is what the session has */
	peer_way_end(w, BREC_END_KILLED, "test");
	expect_end(r, &s, 1);
	for (uint64_t end = clock_mono_ms() + WAIT_MS;;) {
		struct pollfd p = { .fd = target[1], .events = POLLRDHUP };

		event_base_loop(r->p.base, EVLOOP_ONCE);
		if (poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP)) != 0)
			break;
		assert_true(clock_mono_ms() < end);
	}
	assert_true(clock_mono_ms() - w->ending_ms >= SHUT_MS / 2); /* it had its time; the loop's clock may be behind */
	assert_int_equal(send(target[0], "x", 1, MSG_NOSIGNAL), -1);
	close(target[0]);
	close(target[1]);
	session_over(r, &s, 9);
}

/* What lies in its link when its device is revoked, or comes after, gets nothing: its user has other devices, and a grant. */
static void session_of_a_revoked_device(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;
	struct buf b;

	way_open(r, &s, 3600);
	control_request(r, "{\"word\":\"user key revoke\",\"args\":{\"user\":\"alice\",\"device\":\"laptop\"}}", "true");
	expect_end(r, &s, 1);
	expect_end(r, &s, 0);
	way_ask(&s, 2, "web1", "dba");
	expect_no(r, &s, 2, WAY_LOCKED);
	channel(r, &s, "shell", 0);
	words(r, &s, "{\"word\":\"grants\",\"args\":{}}", false);
	send_host(&s, 3, "web1"); /* and nothing is dialled early */
	expect(r, &s.link, MSG_HOST_RE, &m);
	ipc_msg_finish(&m);
	buf_init(&b, 128);
	buf_put_cstring(&b, "xterm");
	buf_put_u16(&b, 80);
	buf_put_u16(&b, 24);
	assert_int_equal(ipc_send(&s.link, MSG_CONSOLE_ASK, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	expect(r, &s.link, MSG_CONSOLE_RE, &m);
	assert_int_equal(buf_get_u8(&m.body), 0);
	ipc_msg_finish(&m);
	expect_silence(r, &r->parent);
	assert_int_equal(r->p.nworkers, 0);
	session_over(r, &s, 0);
}

static void session_that_hangs(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;

	login_alice(r, &s, 0);
	peers_tick(&r->p, clock_mono_ms());
	rig_turn(r);
	assert_int_equal(ipc_wait(&s.link, &m, WAIT_MS), 1);
	assert_int_equal(m.type, MSG_PING);
	ipc_msg_finish(&m);
	assert_int_equal(ipc_send_empty(&s.link, MSG_PONG, 0), 0);
	rig_turn(r);
	peers_tick(&r->p, peer_of(r, &s)->pong_ms + PONG_MS);
	expect_silence(r, &r->parent);
	peers_tick(&r->p, peer_of(r, &s)->pong_ms + PONG_MS + 1);
	expect_kill(r, &s);
	session_over(r, &s, 9);
}

static void stranger_over_the_grace_time(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	uint64_t end;

	session_start(r, &s);
	end = peer_of(r, &s)->up_ms + r->conf->login_grace + GRACE_SLACK_MS;
	peer_of(r, &s)->pong_ms = end;
	peers_tick(&r->p, end);
	expect_silence(r, &r->parent);
	peers_tick(&r->p, end + 1);
	expect_kill(r, &s);
	session_over(r, &s, 9);
}

static void kinds_of_notes(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct buf b;

	login_alice(r, &s, 0);
	buf_init(&b, 256);
	buf_put_cstring(&b, "forward.refused");
	buf_put_cstring(&b, "\033]0;evil\a 10.0.0.1:80");
	assert_int_equal(ipc_send(&s.link, MSG_NOTE, 0, &b, NULL, 0), 0);
	expect_silence(r, &r->parent);
	control_request(r, "{\"word\":\"events\",\"args\":{}}", "forward.refused");
	buf_reset(&b);
	buf_put_cstring(&b, "login.ok"); /* not a session's to say */
	buf_put_cstring(&b, "");
	assert_int_equal(ipc_send(&s.link, MSG_NOTE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	expect_kill(r, &s);
	session_over(r, &s, 9);
}

static void long_replies_come_in_pieces(void **state)
{
	static const char ask[] = "{\"word\":\"events\",\"args\":{\"limit\":1000}}";
	struct rig *r = *state;
	struct session_end s;
	struct ipc c;
	struct ipc_msg m;
	struct buf b, all;
	json_t *reply;
	uint8_t more;
	int pieces = 0;

	login_alice(r, &s, 0);
	for (int i = 0; i < 900; i++)
		assert_int_equal(
		    event_writef(r->p.store, clock_wall(), EVENT_PROTOCOL, "test", NULL, "{s:s}",
			"detail",
			"something of a length that makes a long list of events, piece by piece"),
		    0);
	rig_connect(r, "control.sock", &c);
	buf_view(&b, ask, strlen(ask));
	assert_int_equal(ipc_send(&c, MSG_CTL_REQUEST, 3, &b, NULL, 0), 0);
	buf_init(&all, CONTROL_REPLY_MAX);
	do {
		expect(r, &c, MSG_CTL_REPLY, &m);
		more = buf_get_u8(&m.body);
		buf_put(&all, m.body.data + 1, m.body.len - 1);
		ipc_msg_finish(&m);
		pieces++;
	} while (more != 0);
	assert_true(pieces > 2);
	assert_non_null(reply = json_loadb((const char *)all.data, all.len, 0, NULL));
	assert_true(json_array_size(json_object_get(reply, "rows")) > 900);
	json_decref(reply);
	buf_finish(&all);
	ipc_finish(&c);
	session_over(r, &s, 0);
}

static void console_goes_through(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;
	struct buf b;
	char text[64];
	int fds[4];
	uint32_t id;

	login_alice(r, &s, 0);
	buf_init(&b, 128);
	buf_put_cstring(&b, "../../x");
	buf_put_u16(&b, 80);
	buf_put_u16(&b, 24);
	assert_int_equal(ipc_send(&s.link, MSG_CONSOLE_ASK, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	expect(r, &r->parent, MSG_RUN_CONSOLE, &m);
	id = m.id;
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "alice");
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "dumb");
	ipc_msg_finish(&m);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(fds + 2), 0);
	assert_int_equal(ipc_send(&r->parent, MSG_WORKER_UP, id, NULL, fds, 2), 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	expect(r, &s.link, MSG_CONSOLE_RE, &m);
	assert_int_equal(m.nfds, 2);
	assert_int_equal(buf_get_u8(&m.body), 1);
	ipc_msg_finish(&m);
	session_over(r, &s, 0);
	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	assert_int_equal(m.id, id);
	ipc_msg_finish(&m);
	worker_end(r, &(struct ipc){ .fd = -1 }, id);
	assert_int_equal(r->p.nworkers, 0);
}

/* A descriptor with this text; parent sends one like it. */
static int text_fd(const char *text)
{
	int fd = memfd_create("configuration", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void send_reload(struct rig *r, const char *text)
{
	/* a bundle of keyfiles.h: the same key as before */
	int fds[2] = { text_fd(text), memfd_create("keys", MFD_CLOEXEC) };

	assert_int_equal(write(fds[1], "\0\0\0\0\0\0\0\x20" "0123456789abcdef0123456789abcdef", 40), 40);
	assert_int_equal(ipc_send(&r->parent, MSG_POLICY_RELOAD, 0, NULL, fds, 2), 0);
	close(fds[0]);
	close(fds[1]);
	rig_turn(r);
	assert_false(r->p.over);
	r->conf = r->p.conf; /* the old one is gone if it was replaced */
}

static void reload_takes_effect(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	send_reload(r, "user_policy=901\nuser_keys=902\nuser_recorder=903\nuser_session=904\n"
		       "user_dial=905\nuser_console=906\nuser_task=909\nmax_auth_tries=1\nrecipients=\""
		       "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudxsmqks0nhz0e\"\n"
		       "collector one { address = \"127.0.0.1\" port = 7000 certificate = \""
		       "-----BEGIN CERTIFICATE-----\\nx\\n-----END CERTIFICATE-----\\n"
		       "-----BEGIN PUBLIC KEY-----\\nx\\n-----END PUBLIC KEY-----\\n\" }\n");
	assert_int_equal(r->conf->max_auth_tries, 1);
	session_start(r, &s);
	send_key(&s, "alice", KEY(WRONG_KEY), 0);
	expect_u8(r, &s.link, MSG_AUTH_KEY_RE, AUTH_NO);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 0);
	session_over(r, &s, 0);
	/* what does not load is said, and changes nothing */
	log_init("policy", true, LOG_LVL_ERROR + 1);
	send_reload(r, "max_auth_tries = -2\n");
	assert_int_equal(r->conf->max_auth_tries, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(session_that_ignores_the_end),
		T(session_that_goes_on_after_the_end),
		T(session_of_a_revoked_device),
		T(session_that_hangs),
		T(stranger_over_the_grace_time),
		T(kinds_of_notes),
		T(long_replies_come_in_pieces),
		T(console_goes_through),
		T(reload_takes_effect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
