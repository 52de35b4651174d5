/*
 * test_policy_messages.c - every message number in every state of a session's link, well-formed and
 * not; the same from keys, workers and the two sockets. What msg.h does not permit ends that peer,
 * and nobody else.
 */
#include "policy_rig_way.h"

#include <sys/wait.h>

/* What ipc_send() would not let out: any type, any body. */
static void send_raw(int fd, unsigned type, uint32_t id, const void *body, size_t len)
{
	uint8_t datagram[8 + 512] = { 0 };
	uint16_t t = (uint16_t)type;

	assert_true(len <= 512);
	memcpy(datagram, &t, 2);
	memcpy(datagram + 4, &id, 4);
	if (len != 0)
		memcpy(datagram + 8, body, len);
	assert_int_equal(send(fd, datagram, 8 + len, MSG_NOSIGNAL), 8 + len);
}

/* Is the session about to be killed? Takes what parent was told meanwhile. */
static bool killed(struct rig *r, const struct session_end *s)
{
	struct ipc_msg m;
	bool found = false;

	rig_turn(r);
	while (ipc_recv(&r->parent, &m) > 0) {
		if (m.type == MSG_PEER_KILL && m.id == s->slot)
			found = true;
		ipc_msg_finish(&m);
	}
	return found;
}

/* A body that the handler takes in that state; -1 for messages whose emptiness is right or that are
   wrong there anyway. */
static void good_body(enum msg_type type, struct buf *b)
{
	switch (type) {
	case MSG_AUTH_KEY:
		buf_put_cstring(b, "alice");
		buf_put_string(b, KEY(WRONG_KEY));
		buf_put_u8(b, 0);
		break;
	case MSG_AUTH_ANSWER:
		buf_put_u32(b, 0);
		break;
	case MSG_HOST_ASK:
		buf_put_cstring(b, "nowhere");
		break;
	case MSG_WAY_ASK:
		buf_put_cstring(b, "nowhere");
		buf_put_cstring(b, "dba");
		buf_put_string(b, EPHEMERAL, sizeof(EPHEMERAL) - 1);
		break;
	case MSG_CHAN_ASK:
		buf_put_u32(b, 1);
		buf_put_cstring(b, "shell");
		buf_put_cstring(b, "");
		break;
	case MSG_WAY_DOWN:
		buf_put_cstring(b, "closed");
		buf_put(b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
		break;
	case MSG_NOTE:
		buf_put_cstring(b, "forward.refused");
		buf_put_cstring(b, "x");
		break;
	case MSG_WORDS:
		buf_put(b, "{\"word\":\"hosts\"}", 16);
		break;
	case MSG_WATCH_RE:
		buf_put_u8(b, 0);
		buf_put_cstring(b, "no");
		break;
	case MSG_WATCH_OVER:
		buf_put(b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
		buf_put_cstring(b, "over");
		break;
	case MSG_VIEW_ASK:
		buf_put(b, "\0\120\0\030\1", 5);
		break;
	case MSG_CONSOLE_ASK:
		buf_put_cstring(b, "xterm");
		buf_put_u32(b, 0);
		break;
	default:
		break;
	}
}

enum scene { SCENE_STRANGER, SCENE_PROVEN, SCENE_FACTOR, SCENE_LOGIN, SCENES };

/* Brings a new session there without the detours of a login: one code would open one only. */
static void set_scene(struct rig *r, struct session_end *s, enum scene scene)
{
	struct ipc_msg m;

	session_start(r, s);
	if (scene == SCENE_STRANGER)
		return;
	if (scene == SCENE_LOGIN) {
		send_key(s, "deploy", KEY(DEPLOY_KEY), 1);
		expect_u8(r, &s->link, MSG_AUTH_KEY_RE, AUTH_YES);
		return;
	}
	key_proven(r, s);
	if (scene == SCENE_FACTOR) {
		assert_int_equal(ipc_send_empty(&s->link, MSG_AUTH_FACTOR, 1), 0);
		expect(r, &r->parent, MSG_RUN_PAM, &m);
		ipc_msg_finish(&m);
	}
}

/* Permitted by the list, and in order: a factor needs a proven key, WAY_UP a way, PONG a PING, an
   answer a prompt (if its attempt runs: else it is late, and dropped). */
static bool lawful(unsigned type, enum scene scene, size_t len)
{
	static const unsigned states[SCENES] = { S_NEW, S_NEW, S_FACTOR, S_LOGIN };

	if (!msg_permitted(type, ROLE_SESSION, ROLE_POLICY, states[scene], len, 0, false))
		return false;
	switch (type) {
	case MSG_AUTH_FACTOR:
		return scene == SCENE_PROVEN || scene == SCENE_FACTOR;
	case MSG_AUTH_ANSWER:
		return scene != SCENE_FACTOR;
	case MSG_WAY_UP:
	case MSG_PONG:
		return false;
	default:
		return true;
	}
}

static void one_case(struct rig *r, unsigned type, enum scene scene, const struct buf *body,
    bool well_formed)
{
	struct session_end s;
	bool dies;

	set_scene(r, &s, scene);
	send_raw(s.link.fd, type, 1, body->data, body->len);
	dies = killed(r, &s);
	if (dies == (well_formed && lawful(type, scene, body->len)))
		fail_msg("message %s (%u), %zu bytes, in scene %d: %s", msg_name(type), type,
		    body->len, (int)scene, dies ? "killed" : "taken");
	session_over(r, &s, dies ? 9 : 0);
	killed(r, &s);
	assert_false(r->p.over);
	assert_int_equal(r->p.npeers, 0);
}

static void every_message_in_every_state(void **state)
{
	struct rig *r = *state;

	for (unsigned type = 0; type < MSG_COUNT + 2; type++)
		for (enum scene scene = 0; scene < SCENES; scene++) {
			struct buf body;

			buf_init(&body, 512);
			good_body(type, &body);
			one_case(r, type, scene, &body, true);
			buf_put(&body, "\xff\xff\xff\xff", 4);
			/* JSON is control.c's to judge: it answers */
			if (type != MSG_WORDS)
				one_case(r, type, scene, &body, false);
			buf_finish(&body);
		}
	r->p.nworkers = 0; /* parent never says WORKER_DOWN in this test */
}

static void fds_that_do_not_belong(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;

	/* fds beside a message that carries none */
	session_start(r, &s);
	{
		uint8_t datagram[8] = { MSG_AUTH_ABORT };
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int))];
		} control = { 0 };
		struct iovec iov = { datagram, sizeof(datagram) };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
		    .msg_controllen = sizeof(control.space) };
		struct cmsghdr *ch = CMSG_FIRSTHDR(&mh);
		int fd = STDERR_FILENO;

		*ch = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(ch), &fd, sizeof(fd));
		assert_int_equal(sendmsg(s.link.fd, &mh, 0), sizeof(datagram));
	}
	expect(r, &r->parent, MSG_PEER_KILL, &m);
	ipc_msg_finish(&m);
	session_over(r, &s, 9);
}

/* What a session that was taken over tries is an event; of a stranger's there would be too many. */
static void who_breaks_the_protocol_is_named(void **state)
{
	struct rig *r = *state;
	struct session_end s[2];

	session_start(r, &s[0]);
	login_alice(r, &s[1], 0);
	for (int i = 0; i < 2; i++) {
		send_raw(s[i].link.fd, MSG_SIGN_CERT, 1, NULL, 0);
		assert_true(killed(r, &s[i]));
		assert_int_equal(events_of(r, "protocol.violation"), i);
	}
	session_over(r, &s[0], 9);
	session_over(r, &s[1], 9);
}

static void flood_is_limited(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;
	unsigned busy = 0;

	login_alice(r, &s, 0);
	for (unsigned i = 1; i <= 2 * BUCKET_BURST; i++) {
		uint8_t refusal;
		struct buf b;

		buf_init(&b, 256);
		good_body(MSG_WAY_ASK, &b);
		assert_int_equal(ipc_send(&s.link, MSG_WAY_ASK, i, &b, NULL, 0), 0);
		buf_finish(&b);
		expect(r, &s.link, MSG_WAY_NO, &m);
		refusal = buf_get_u8(&m.body);
		ipc_msg_finish(&m);
		busy += refusal == WAY_BUSY;
	}
	assert_true(busy > 0);
	session_over(r, &s, 0);
}

/* The wrong message on a socket of this machine ends that client alone. */
static void sockets_keep_apart(void **state)
{
	struct rig *r = *state;
	static const char *const names[] = { "control.sock", "pam.sock" };

	for (unsigned type = 0; type < MSG_COUNT + 2; type++)
		for (int i = 0; i < 2; i++) {
			struct ipc_msg m;
			struct ipc c;

			if (type == (i == 0 ? MSG_CTL_REQUEST : MSG_OTP_CHECK))
				continue;
			rig_connect(r, names[i], &c);
			send_raw(c.fd, type, 0, NULL, 0);
			assert_int_equal(next_message(r, &c, &m), MSG_NONE);
			ipc_finish(&c);
		}
	assert_false(r->p.over);
	assert_null(r->p.clients);
}

static void uid_of_nobody_is_denied(void **state)
{
	struct rig *r = *state;
	char command[256];
	int status;
	pid_t pid;

	if (getuid() != 0)
		skip();
	snprintf(command, sizeof(command), "chmod 711 %s; chmod 666 %s/*.sock", r->dir, r->dir);
	assert_int_equal(system(command), 0);
	if ((pid = fork()) == 0) {
		struct ipc c;
		struct ipc_msg m;
		struct buf b;
		bool ok;

		if (setuid(65534) != 0)
			_exit(2);
		rig_connect(r, "control.sock", &c);
		buf_view(&b, "{\"word\":\"user list\"}", 20);
		ok = ipc_send(&c, MSG_CTL_REQUEST, 1, &b, NULL, 0) == 0 &&
		    ipc_wait(&c, &m, WAIT_MS) == 1 &&
		    memmem(m.body.data, m.body.len, "denied", 6) != NULL &&
		    ipc_wait(&c, &m, WAIT_MS) == -1;
		rig_connect(r, "pam.sock", &c);
		_exit(ok && ipc_wait(&c, &m, WAIT_MS) == -1 ? 0 : 1);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		event_base_loop(r->p.base, EVLOOP_ONCE);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Parent and keys are trusted to live, not to be right: nonsense from them ends policy, and with it
   the set. */
static void nonsense_from_keys_ends_policy(void **state)
{
	struct rig *r = *state;

	send_raw(r->keys.fd, MSG_SIGN_CERT_RE, 4711, "\1\0\0\0\0", 5);
	rig_turn(r);
	assert_true(r->p.over);
}

static void nonsense_from_parent_ends_policy(void **state)
{
	struct rig *r = *state;

	send_raw(r->parent.fd, MSG_WORKER_DOWN, 4711, "\0\0\0\0", 4);
	rig_turn(r);
	assert_true(r->p.over);
	assert_int_equal(r->p.status, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_message_in_every_state),
		T(fds_that_do_not_belong), T(who_breaks_the_protocol_is_named),
		T(flood_is_limited),
		T(sockets_keep_apart),
		T(uid_of_nobody_is_denied),
		T(nonsense_from_keys_ends_policy),
		T(nonsense_from_parent_ends_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
