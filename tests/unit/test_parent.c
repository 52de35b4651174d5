/*
 * test_parent.c - parent with roles that are puppets: descriptors, supervision, accept, workers, reload, the end.
 *
 * Parent starts its roles by running its own program again: here that is this test, which with -R becomes a
 * puppet. Puppets tell what they see, a line a datagram, to the test's socket; policy's puppet sends to parent what
 * the test has it send. Dial workers need root and are left out without it.
 * WRAP: role_keys_try role_recorder_try role_session_try role_policy_try keyfiles_collect totpkey_collect
 */
#include "parent_rig.h"

static void test_descriptors(void **state)
{
	struct stat st;

	(void)state;
	start("");
	assert_non_null(strstr(expect("policy starts"), "fds= 3 4 5 6 7; death=9"));
	assert_non_null(strstr(expect("keys starts"), "fds= 3 4 7; death=9"));
	assert_non_null(strstr(expect("recorder starts"), "fds= 3 7; death=9"));
	assert_non_null(strstr(expect("master starts"), "fds= 3 7; death=9"));
	assert_int_equal(stat(in_dir("run/control.sock"), &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	assert_int_equal(stat(in_dir("run/pam.sock"), &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	stop();
}

static void test_connection(void **state)
{
	char master[512], slot[40], key[60];
	const char *up;
	struct buf b;
	int fd;

	(void)state;
	start("");
	/* the link for the recording of the events stands before the first session */
	assert_non_null(strstr(expect("policy POLICY_RECORD"), "fds=1"));
	assert_non_null(strstr(expect("recorder POLICY"), "fds=1"));
	fd = connect_to_parent();
	snprintf(master, sizeof(master), "%s", expect("master SESSION_START"));
	assert_non_null(strstr(master, "peer=127.0.0.1 from=0 id=0 fds=3 whole=1"));
	snprintf(slot, sizeof(slot), "slot=%u ", number(master, "slot="));
	up = expect("policy PEER_UP");
	assert_non_null(strstr(up, slot));
	assert_non_null(strstr(up, "peer=127.0.0.1 from=1 id=1 fds=1 whole=1"));
	assert_non_null(strstr(up, " key="));
	snprintf(key, sizeof(key), "%s", strstr(up, " key="));
	assert_int_equal(strlen(key), strlen(" key=") + 2 * RECID_KEY_LEN);
	up = expect("recorder REC_PEER_UP");
	assert_non_null(strstr(up, slot));
	assert_non_null(strstr(up, "peer= from=0 id=0 fds=1 whole=1"));
	/* both know whose recordings these will be; the session does not */
	assert_non_null(strstr(up, key));

	/* policy has it killed; policy is told of its end, once */
	buf_init(&b, 64);
	buf_put_cstring(&b, "it hangs");
	order(MSG_PEER_KILL, number(master, "slot="), &b);
	order(MSG_PEER_KILL, number(master, "slot="), &b);
	assert_int_equal(number(expect("master stops"), "slot="), number(master, "slot="));
	assert_int_equal(number(expect("policy PEER_DOWN"), "value="), SIGKILL);
	buf_finish(&b);
	close(fd);
	stop();
}

static void test_one_dead_all_new(void **state)
{
	static const char *const names[] = { "policy", "keys", "recorder", "master" };
	char line[64];
	pid_t pids[4];

	(void)state;
	start("");
	for (int i = 0; i < 4; i++) {
		snprintf(line, sizeof(line), "%s starts", names[i]);
		pids[i] = (pid_t)number(expect(line), "pid=");
	}
	for (int i = 0; i < 4; i++) {
		close(connect_to_parent());
		expect("master SESSION_START");
		kill(pids[i], SIGKILL);
		for (int j = 0; j < 4; j++) {
			pid_t now;

			snprintf(line, sizeof(line), "%s starts", names[j]);
			now = (pid_t)number(expect(line), "pid=");
			assert_int_not_equal(now, pids[j]);
			/* the old one is gone, not only replaced */
			assert_int_equal(kill(pids[j], 0), -1);
			pids[j] = now;
		}
	}
	close(connect_to_parent());
	expect("master SESSION_START");
	stop();
}

static void test_first_start_fails(void **state)
{
	int status;

	(void)state;
	setenv("TEST_FAIL", "keys", 1);
	start("");
	unsetenv("TEST_FAIL");
	assert_int_equal(waitpid(parent_pid, &status, 0), parent_pid);
	assert_int_equal(status, 1 << 8);
	parent_pid = 0;
}

static void test_malformed_message_ends_the_set(void **state)
{
	(void)state;
	start("");
	close(connect_to_parent());
	expect("policy starts");
	expect("policy PEER_UP");
	order(MSG_RUN_DIAL, 1, NULL);
	expect("policy starts");
	stop();
}

static void test_reload(void **state)
{
	uint16_t old = port;
	int fd;

	(void)state;
	start("max_channels = 5\n");
	close(connect_to_parent());
	expect("policy PEER_UP");
	old = port;
	close(listen_somewhere(&port));
	write_conf("max_channels = 7\n");
	kill(parent_pid, SIGHUP);
	expect("policy RELOAD max_channels=7");
	expect("keys RELOAD");
	expect("recorder RELOAD max_channels=7");
	expect("master RELOAD max_channels=7");
	close(connect_to_parent());
	expect("policy PEER_UP");
	/* the old address is closed */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(old), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, sizeof(struct sockaddr_in)), -1);
	close(fd);
	/* a wrong one changes nothing */
	write_conf("max_channels = none\n");
	kill(parent_pid, SIGHUP);
	close(connect_to_parent());
	expect("policy PEER_UP");
	/* nor do keys that one role cannot load: nobody gets any */
	write_conf("max_channels = 8\n");
	kill(parent_pid, SIGHUP);
	close(connect_to_parent());
	expect("policy PEER_UP");
	write_conf("max_channels = 9\n");
	/* the trial of 8 may still be under way: this one follows it */
	kill(parent_pid, SIGHUP);
	expect("policy RELOAD max_channels=9");
	stop();
}

static void order_dial(unsigned id, const char *host, uint16_t to, uint32_t limit_ms)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_cstring(&b, host);
	buf_put_u16(&b, to);
	buf_put_u32(&b, limit_ms);
	order(MSG_RUN_DIAL, id, &b);
	buf_finish(&b);
}

static void test_dial(void **state)
{
	uint16_t target, closed;
	int fd = listen_somewhere(&target);

	(void)state;
	if (geteuid() != 0) {
		close(fd);
		skip();
	}
	close(listen_somewhere(&closed));
	start("");
	close(connect_to_parent());
	expect("policy PEER_UP");
	order_dial(7, "127.0.0.1", target, 2000);
	expect("policy DIAL ok=1 peer=127.0.0.1 local=127.0.0.1 fds=1 reason=");
	assert_int_equal(number(expect("policy WORKER_DOWN id=7"), "value="), 0);
	order_dial(8, "localhost", target, 2000);
	expect("policy DIAL ok=1");
	order_dial(9, "127.0.0.1", closed, 2000);
	expect("policy DIAL ok=0 peer= local= fds=0 reason=Connection refused");
	order_dial(10, "no-such-name.invalid", target, 5000);
	expect("policy DIAL ok=0 peer= local= fds=0 reason=the name does not resolve");
	stop();
	close(fd);
}

/* A worker beyond the limit never runs; one that is killed is reported. */
static void test_worker_limit_and_kill(void **state)
{
	struct buf b;

	(void)state;
	if (geteuid() != 0)
		skip();
	start("max_workers = 4\n");
	close(connect_to_parent());
	expect("policy PEER_UP");
	buf_init(&b, 512);
	buf_put_cstring(&b, "alice");
	buf_put_cstring(&b, "xterm");
	buf_put_u16(&b, 80);
	buf_put_u16(&b, 25);
	for (unsigned id = 1; id <= 4; id++) {
		order(MSG_RUN_CONSOLE, id, &b);
		expect("policy CONSOLE fds=2 tty=1");
		/* the puppet closes the link, but a console is killed or ends: either way it is told below */
		expect("policy WORKER_DOWN");
	}
	buf_finish(&b);
	for (unsigned id = 11; id <= 15; id++)
		order_dial(id, "192.0.2.1", 9, 30000);
	for (unsigned id = 11; id <= 15; id++)
		order(MSG_WORKER_KILL, id, NULL);
	for (unsigned id = 11; id <= 15; id++) {
		char line[64];

		snprintf(line, sizeof(line), "policy WORKER_DOWN id=%u", id);
		expect(line);
	}
	stop();
}

/* A crowd: 64 are let in, the next only when the first is a second old; nobody is refused. */
static void test_pace(void **state)
{
	uint64_t begin;
	int fds[70];

	(void)state;
	start("per_source_max = 0\n");
	close(connect_to_parent());
	expect("master SESSION_START");
	begin = clock_mono_ms();
	for (int i = 0; i < 70; i++)
		fds[i] = connect_to_parent();
	for (int i = 0; i < 64; i++)
		expect("master SESSION_START");
	expect("master SESSION_START");
	assert_true(clock_mono_ms() - begin >= 900); /* the one before them all was let in a little earlier */
	for (int i = 65; i < 70; i++)
		expect("master SESSION_START");
	for (int i = 0; i < 70; i++)
		close(fds[i]);
	stop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(test_descriptors), T(test_connection), T(test_one_dead_all_new), T(test_first_start_fails),
		T(test_malformed_message_ends_the_set), T(test_reload), T(test_dial),
		T(test_worker_limit_and_kill), T(test_pace),
	};

	if (argc > 2 && strcmp(argv[1], "-R") == 0)
		return puppet(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
