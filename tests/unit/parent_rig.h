/*
 * parent_rig.h - parent as a fork of the test, with roles that are puppets (puppet.h): it is started, told what to do by policy's puppet, and
 * what the puppets see is awaited. A test that includes this has in its head: WRAP: role_keys_try role_recorder_try role_session_try
 * role_policy_try keyfiles_collect totpkey_collect
 */
#ifndef BASTION_PARENT_RIG_H
#define BASTION_PARENT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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

/* Not at a port that the kernel gives to whoever asks for any: it may be closed, and shall be free, or nobody's, a little longer. */
static int listen_somewhere(uint16_t *at)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	do {
		assert_int_equal(getrandom(at, sizeof(*at), 0), sizeof(*at));
		*at = (uint16_t)(10000 + *at % 22000);
		sin.sin_port = htons(*at);
		errno = 0;
	} while (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 && errno == EADDRINUSE);
	assert_int_equal(errno, 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void write_conf(const char *more)
{
	FILE *f = fopen(in_dir("conf"), "w");

	assert_non_null(f);
	fprintf(f, "listen = { \"127.0.0.1:%u\" }\nrun_dir = \"%s\"\nstate_dir = \"%s\"\n"
	    "user_policy = 64001\nuser_keys = 64002\nuser_recorder = 64003\nuser_session = 64004\nuser_dial = 64005\n"
	    "user_console = 64006\nuser_task = 64010\nrecipients = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudxsmqks0nhz0e\"\n"
	    "collector c { address = \"127.0.0.1\" port = 1 certificate = \"-----BEGIN CERTIFICATE----------BEGIN PUBLIC KEY-----\" }\n%s",
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

#define T(name) cmocka_unit_test_teardown(name, end_parent)

#endif
