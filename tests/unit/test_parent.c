/*
 * test_parent.c - parent with roles that are puppets: descriptors, supervision, accept, workers, reload, the end.
 *
 * Parent starts its roles by running its own program again: here that is this test, which with -R becomes a
 * puppet. Puppets tell what they see, a line a datagram, to the test's socket; policy's puppet sends to parent what
 * the test has it send. Dial workers need root and are left out without it.
 * WRAP: role_keys_try role_recorder_try role_session_try role_policy_try keyfiles_collect totpkey_collect
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "ipc.h"
#include "log.h"
#include "puppet.h"
#include "roles.h"

static char dir[] = "/tmp/test_parent-XXXXXX";
static int told = -1;
#define LINES 512

static char lines[LINES][512];
static unsigned nlines;
static uint16_t port;
static pid_t parent_pid;

static char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

/* The next line that begins so, of those that came and were not taken yet. */
static const char *expect(const char *begins)
{
	static char found[512];
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	for (;;) {
		struct pollfd p = { .fd = told, .events = POLLIN };
		ssize_t n;

		for (unsigned i = 0; i < nlines; i++)
			if (strncmp(lines[i], begins, strlen(begins)) == 0) {
				memcpy(found, lines[i], sizeof(found));
				memmove(lines[i], lines[i + 1], (nlines - i - 1) * sizeof(lines[0]));
				nlines--;
				return found;
			}
		if (clock_mono_ms() >= end || nlines == LINES - 1) {
			for (unsigned i = 0; i < nlines; i++)
				print_error("came: %s\n", lines[i]);
			print_error("did not come: %s\n", begins);
			fail();
		}
		if (poll(&p, 1, 200) > 0 && (n = recv(told, lines[nlines], sizeof(lines[0]) - 1, 0)) > 0)
			lines[nlines++][n] = '\0';
	}
}

static unsigned number(const char *line, const char *field)
{
	const char *at = strstr(line, field);

	assert_non_null(at);
	return (unsigned)strtoul(at + strlen(field), NULL, 10);
}

static void order(enum msg_type type, unsigned id, const struct buf *body)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char text[1024];
	int n = snprintf(text, sizeof(text), "%u %u ", type, id), fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (body != NULL && body->len != 0)
		memcpy(text + n, body->data, body->len);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", in_dir("orders"));
	assert_true(sendto(fd, text, (size_t)n + (body != NULL ? body->len : 0), 0, (struct sockaddr *)&sun, sizeof(sun)) > 0);
	close(fd);
}

static int listen_somewhere(uint16_t *at)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*at = ntohs(sin.sin_port);
	return fd;
}

static void write_conf(const char *more)
{
	FILE *f = fopen(in_dir("conf"), "w");

	assert_non_null(f);
	fprintf(f, "listen = { \"127.0.0.1:%u\" }\nrun_dir = \"%s\"\nstate_dir = \"%s\"\n"
	    "user_policy = 64001\nuser_keys = 64002\nuser_recorder = 64003\nuser_session = 64004\nuser_dial = 64005\n"
	    "user_console = 64006\nuser_task = 64010\nrecipients = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudxsmqks0nhz0e\"\n"
	    "collector c { address = \"127.0.0.1\" port = 1 certificate = \"-----BEGIN CERTIFICATE-----\" }\n%s",
	    port, in_dir("run"), dir, more);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(in_dir("conf"), 0644), 0);
}

static void to_stderr(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

static void start(const char *more)
{
	int fd = listen_somewhere(&port);

	close(fd);
	nlines = 0;
	write_conf(more);
	if ((parent_pid = fork()) == 0) {
		struct config *conf = config_load(in_dir("conf"), 0, to_stderr, NULL);

		log_init("parent", true, getenv("TEST_LOUD") != NULL ? LOG_LVL_DEBUG : LOG_LVL_ERROR);
		signal(SIGPIPE, SIG_IGN);
		_exit(conf != NULL ? role_parent(conf, in_dir("conf"), true, false) : 99);
	}
}

/* SIGTERM: status 0, and the sockets are gone. */
static void stop(void)
{
	int status;

	assert_int_equal(kill(parent_pid, SIGTERM), 0);
	assert_int_equal(waitpid(parent_pid, &status, 0), parent_pid);
	assert_int_equal(status, 0);
	assert_int_not_equal(access(in_dir("run/control.sock"), F_OK), 0);
	assert_int_not_equal(access(in_dir("run/bastiond.pid"), F_OK), 0);
	parent_pid = 0;
}

static int connect_to_parent(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	/* READY is on its way when this is called: the port opens a moment after it */
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
			return fd;
		close(fd);
		assert_true(clock_mono_ms() < end);
		poll(NULL, 0, 10);
	}
}

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
	char master[512], id[40];
	struct buf b;
	int fd;

	(void)state;
	start("");
	/* the link for the recording of the events stands before the first session */
	assert_non_null(strstr(expect("policy POLICY_RECORD"), "fds=1"));
	assert_non_null(strstr(expect("recorder POLICY"), "fds=1"));
	fd = connect_to_parent();
	snprintf(master, sizeof(master), "%s", expect("master SESSION_START"));
	assert_non_null(strstr(master, "peer=127.0.0.1 from=1 local=127.0.0.1 fds=3 whole=1"));
	snprintf(id, sizeof(id), "%.36s", strstr(master, "id="));
	assert_non_null(strstr(expect("policy PEER_UP"), id));
	assert_non_null(strstr(expect("recorder REC_PEER_UP"), id));

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

/* The trial of the new keys: there are none here, and the puppets want none. max_channels = 8 stands for bad ones. */
int __wrap_role_keys_try(const struct config *conf, int files);
int __wrap_role_recorder_try(const struct config *conf, int files);
int __wrap_role_session_try(const struct config *conf, int files);
int __wrap_role_policy_try(const struct config *conf, int files);
int __wrap_totpkey_collect(int fd, const struct config *conf);
int __wrap_keyfiles_collect(int fd, const char *state_dir, enum role role);
int __wrap_role_policy_try(const struct config *conf, int files) { (void)conf, (void)files; return 0; }
int __wrap_totpkey_collect(int fd, const struct config *conf) { (void)fd, (void)conf; return 0; }
int __wrap_role_keys_try(const struct config *conf, int files) { (void)conf, (void)files; return 0; }
int __wrap_role_recorder_try(const struct config *conf, int files) { (void)files; return conf->max_channels == 8 ? -1 : 0; }
int __wrap_role_session_try(const struct config *conf, int files) { (void)conf, (void)files; return 0; }
int __wrap_keyfiles_collect(int fd, const char *state_dir, enum role role) { (void)fd, (void)state_dir, (void)role; return 0; }

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

/* Reads to the end: what parent says to a connection that it refuses. */
static void expect_refusal(void)
{
	char text[128] = "";
	int fd = connect_to_parent();

	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "too many connections"));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
}

static void test_penalty_and_limits(void **state)
{
	uint8_t no = 0, yes = 1;
	struct buf b;
	unsigned slot;
	int fds[3];

	(void)state;
	start("per_source_max = 2\npenalty_auth = 9s\npenalty_min = 15s\n");
	expect("policy starts");
	fds[0] = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	fds[1] = connect_to_parent();
	expect("policy PEER_UP");
	expect_refusal();
	/* one logs in: it does not count any more */
	buf_view(&b, &yes, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_RUN_CONSOLE, 99, NULL); /* malformed: when the set is new, the verdict was handled */
	expect("policy starts");
	close(fds[0]);
	close(fds[1]);
	/* where somebody logged in a penalty is a ration, and else a refusal */
	fds[0] = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	buf_view(&b, &no, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_KILL, slot, NULL); /* malformed, as above */
	expect("policy starts");
	close(fds[0]);
	fds[0] = connect_to_parent();
	expect("policy PEER_UP");
	close(fds[0]);
	stop();
	start("per_source_max = 2\npenalty_auth = 9s\npenalty_min = 15s\n");
	expect("policy starts");
	fds[0] = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	buf_view(&b, &no, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_KILL, slot, NULL); /* malformed, as above */
	expect("policy starts");
	expect_refusal();
	close(fds[0]);
	stop();
}

/* The answer to a block says what became of it; a login turns it into a ration; a new policy hears of it, too. */
static void test_what_becomes_of_a_block(void **state)
{
	uint8_t yes = 1;
	struct buf block, b;
	unsigned slot, left;
	int fd;

	(void)state;
	start("penalty_auth = 0s\npenalty_noauth = 0s\n");
	expect("policy starts");
	fd = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	buf_init(&block, 64);
	buf_put_cstring(&block, "127.0.0.1/32");
	buf_put_u32(&block, 3600);
	buf_put_u32(&block, 10);
	order(MSG_SOURCE_BLOCK, 0, &block);
	left = number(expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=2 whole=1"), "seconds=");
	assert_true(left > 3000 && left <= 3600);
	expect_refusal();
	buf_view(&b, &yes, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	left = number(expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=1 whole=1"), "seconds=");
	assert_true(left > 3000 && left <= 3600);
	order(MSG_SOURCE_BLOCK, 0, &block);
	expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=3 whole=1");
	order(MSG_RUN_CONSOLE, 99, NULL); /* malformed: the set ends */
	expect("policy starts");
	expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=1 whole=1");
	buf_finish(&block);
	close(fd);
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

static int set_up(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	(void)state;
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
		return -1;
	setenv("TEST_TELL", in_dir("tell"), 1);
	setenv("TEST_ORDERS", in_dir("orders"), 1);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", in_dir("tell"));
	told = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return bind(told, (struct sockaddr *)&sun, sizeof(sun));
}

/* After a failure: nothing stays. */
static int end_parent(void **state)
{
	(void)state;
	if (parent_pid != 0) {
		kill(parent_pid, SIGKILL);
		waitpid(parent_pid, NULL, 0);
		parent_pid = 0;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(in_dir("tell"));
	unlink(in_dir("orders"));
	unlink(in_dir("conf"));
	unlink(in_dir("run/control.sock"));
	unlink(in_dir("run/pam.sock"));
	unlink(in_dir("run/bastiond.pid"));
	rmdir(in_dir("run/empty"));
	rmdir(in_dir("run"));
	return rmdir(dir);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_teardown(name, end_parent)
	const struct CMUnitTest tests[] = {
		T(test_descriptors), T(test_connection), T(test_one_dead_all_new), T(test_first_start_fails),
		T(test_malformed_message_ends_the_set), T(test_reload), T(test_penalty_and_limits), T(test_what_becomes_of_a_block), T(test_dial),
		T(test_worker_limit_and_kill), T(test_pace),
	};

	if (argc > 2 && strcmp(argv[1], "-R") == 0)
		return puppet(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
