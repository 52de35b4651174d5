/*
 * test_log.c - standard error that nobody reads: lines are lost and counted, and nobody waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

#define LINES 2000

/* In a child: floods, has its reader read, and says one thing more. */
static int flood(int mine, int theirs)
{
	alarm(30); /* a write that waits is a failure */
	if (dup2(mine, STDERR_FILENO) < 0)
		return 2;
	log_init("test", true, LOG_LVL_INFO);
	for (int i = 0; i < LINES; i++)
		log_info("line %d %0500d", i, 0);
	if (write(theirs, "r", 1) != 1 || read(theirs, &(char){ 0 }, 1) != 1)
		return 3;
	log_info("and now");
	return 0;
}

static void check(int writer, int reader)
{
	static char text[1 << 20];
	int go[2], status;
	char *said;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, go), 0);
	if ((pid = fork()) == 0)
		_exit(flood(writer, go[1]));
	close(writer);
	close(go[1]);
	assert_int_equal(read(go[0], text, 1), 1);
	/* as much as there was room for */
	assert_true(read(reader, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "line 0 "));
	memset(text, 0, sizeof(text));
	for (size_t have = 0; strstr(text, "and now") == NULL; ) {
		ssize_t n;

		if (have == 0)
			assert_int_equal(write(go[0], "g", 1), 1);
		n = read(reader, text + have, sizeof(text) - 1 - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
	said = strstr(text, "standard error took nothing: ");
	assert_non_null(said);
	assert_in_range(atoi(said + strlen("standard error took nothing: ")), 1, LINES);
	assert_true(said < strstr(text, "and now"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(reader);
	close(go[0]);
}

static void a_pipe(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	check(fds[1], fds[0]);
}

/* What systemd gives a service. */
static void a_socket(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	check(fds[1], fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_pipe), cmocka_unit_test(a_socket) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
