/*
 * test_pam_worker.c - the PAM worker through whole stacks, with right and hostile answers.
 * WRAP: pam_acct_mgmt pam_open_session pam_close_session
 *
 * The worker runs in a fork, as in parent; the test is policy. Stacks are made of the modules of pam_wrapper.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "load_stack.h"
#include "parent.h"
#include "worker_pam.c"

#define CHATTY "auth optional %s/pam_chatty.so"

static char dir[] = "/tmp/test_pam-XXXXXX";
static char modules[256];

/* What the fork and the wrapped functions tell. */
static struct {
	int opened, closed;
	bool change_due;
} *shared;

int __real_pam_acct_mgmt(pam_handle_t *pamh, int flags);
int __wrap_pam_acct_mgmt(pam_handle_t *pamh, int flags);
int __real_pam_open_session(pam_handle_t *pamh, int flags);
int __wrap_pam_open_session(pam_handle_t *pamh, int flags);
int __real_pam_close_session(pam_handle_t *pamh, int flags);
int __wrap_pam_close_session(pam_handle_t *pamh, int flags);

int __wrap_pam_acct_mgmt(pam_handle_t *pamh, int flags)
{
	int r = __real_pam_acct_mgmt(pamh, flags);

	return r == PAM_SUCCESS && shared->change_due ? PAM_NEW_AUTHTOK_REQD : r;
}

int __wrap_pam_open_session(pam_handle_t *pamh, int flags)
{
	shared->opened++;
	return __real_pam_open_session(pamh, flags);
}

int __wrap_pam_close_session(pam_handle_t *pamh, int flags)
{
	shared->closed++;
	return __real_pam_close_session(pamh, flags);
}

static char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static struct config conf;

static int record = -1;	/* parent's end of the pipe by which a session is told */
static bool loaded;	/* the worker has the stack from its parent */

static struct ipc run_worker(const char *service, pid_t *pid)
{
	static struct pam_job job = { .user = "alice", .peer = "192.0.2.7", .token = 7 };
	int pipefd[2];
	struct pam_stack *stack;
	struct ipc mine, its;
	int fds[2];

	conf.pam_service = (char *)(uintptr_t)service;
	conf.pam_confdir = dir;
	conf.login_grace = 5000;
	shared->opened = shared->closed = 0;
	assert_int_equal(ipc_pair(fds), 0);
	if (record >= 0)
		close(record);
	assert_int_equal(pipe2(pipefd, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
	record = pipefd[0];
	job.record = pipefd[1];
	stack = loaded ? load_stack(&conf) : NULL;
	if ((*pid = fork()) == 0) {
		alarm(20);
		close(fds[0]);
		ipc_init(&its, fds[1], ROLE_PAM, ROLE_POLICY);
		worker_pam(&conf, stack, &its, &job);
	}
	pam_stack_free(stack);
	close(fds[1]);
	close(pipefd[1]);
	ipc_init(&mine, fds[0], ROLE_POLICY, ROLE_PAM);
	return mine;
}

/* The next PAM_PROMPT: its only message's style, its text in out. */
static int expect_prompt(struct ipc *c, char *out, size_t size)
{
	struct ipc_msg m;
	int style;

	assert_int_equal(ipc_wait(c, &m, 10000), 1);
	assert_int_equal(m.type, MSG_PAM_PROMPT);
	assert_int_equal(buf_get_u32(&m.body), 1);
	style = buf_get_u8(&m.body);
	assert_int_equal(buf_get_cstring(&m.body, out, size), 0);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	return style;
}

/* What parent does at the connection's end. */
static void close_session(void)
{
	struct pam_session *s = pam_session_read(record);
	int status;
	pid_t pid;

	assert_non_null(s);
	if ((pid = fork()) == 0) {
		worker_pam_close(&conf, s->record, s->len);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	free(s);
}

/* NULL: no answer, to a message that wants none. */
static void send_answer(struct ipc *c, const char *text)
{
	struct buf b;

	buf_init(&b, 8192);
	buf_put_u32(&b, text != NULL);
	if (text != NULL)
		buf_put_cstring(&b, text);
	assert_int_equal(ipc_send(c, MSG_PAM_ANSWER, 0, &b, NULL, 0), 0);
	buf_finish(&b);
}

static bool expect_done(struct ipc *c, char user[64], char reason[512])
{
	struct ipc_msg m;
	bool ok;

	assert_int_equal(ipc_wait(c, &m, 10000), 1);
	assert_int_equal(m.type, MSG_PAM_DONE);
	ok = buf_get_u8(&m.body) == 1;
	assert_int_equal(buf_get_cstring(&m.body, user, 64), 0);
	assert_int_equal(buf_get_cstring(&m.body, reason, 512), 0);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	if (!ok)
		print_message("refused: %s\n", reason);
	return ok;
}

static void expect_exit(struct ipc *c, pid_t pid, int exit)
{
	int status;

	ipc_finish(c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), exit);
}

static void expect_end(struct ipc *c, pid_t pid)
{
	expect_exit(c, pid, 0);
}

static void write_stack(const char *service, const char *auth)
{
	char text[4096];

	snprintf(text, sizeof(text), "%s\naccount required pam_permit.so\npassword required %s/pam_matrix.so passdb=%s\n"
	    "session required pam_permit.so\n", auth, modules, in_dir("passdb"));
	write_file(service, text);
	snprintf(text, sizeof(text), "alice:secret:%s\n", service);
	write_file("passdb", text);
}

static void write_matrix(const char *service)
{
	char auth[512];

	snprintf(auth, sizeof(auth), "auth required %s/pam_matrix.so passdb=%s", modules, in_dir("passdb"));
	write_stack(service, auth);
}

static void test_worker_accepts(void **state)
{
	char text[1024], user[64], reason[512];
	struct ipc c;
	pid_t pid;

	(void)state;
	write_matrix("matrix");
	c = run_worker("matrix", &pid);
	assert_int_equal(expect_prompt(&c, text, sizeof(text)), PAM_STYLE_SECRET);
	send_answer(&c, "secret");
	assert_true(expect_done(&c, user, reason));
	assert_string_equal(user, "alice");
	assert_int_equal(shared->opened, 1);
	expect_end(&c, pid);
	assert_int_equal(shared->closed, 0);
	close_session();
	assert_int_equal(shared->closed, 1);
}

/* Each part of a session that a module sees at its opening is there at its closing, but for the attempt. */
static void test_session_is_closed_as_it_was_opened(void **state)
{
	char auth[512], text[1024], user[64], reason[512], seen[2][256] = { "", "" };
	struct ipc c;
	FILE *f;
	pid_t pid;

	(void)state;
	write_file("note", "#!/bin/sh\necho \"$PAM_TYPE $PAM_USER $PAM_RHOST $PAM_TTY $CARRIED ${BASTIOND_ATTEMPT:-none}\" >>$(dirname $0)/noted\n");
	assert_int_equal(chmod(in_dir("note"), 0755), 0);
	write_file("carried", "CARRIED=over\n");
	write_matrix("matrix");
	snprintf(auth, sizeof(auth), "session required pam_env.so conffile=/dev/null envfile=%s readenv=1\n"
	    "session required pam_exec.so %s\n", in_dir("carried"), in_dir("note"));
	f = fopen(in_dir("matrix"), "a");
	assert_non_null(f);
	fputs(auth, f);
	assert_int_equal(fclose(f), 0);
	c = run_worker("matrix", &pid);
	expect_prompt(&c, text, sizeof(text));
	send_answer(&c, "secret");
	assert_true(expect_done(&c, user, reason));
	expect_end(&c, pid);
	close_session();
	f = fopen(in_dir("noted"), "r");
	assert_non_null(f);
	assert_non_null(fgets(seen[0], sizeof(seen[0]), f));
	assert_non_null(fgets(seen[1], sizeof(seen[1]), f));
	fclose(f);
	assert_string_equal(seen[0], "open_session alice 192.0.2.7 ssh over 7\n");
	assert_string_equal(seen[1], "close_session alice 192.0.2.7 ssh over none\n");
}

/* A session that a module refuses to open leaves nothing to close; one that is killed while it opens does. */
static void test_session_that_does_not_open(void **state)
{
	char text[1024], user[64], reason[512];
	struct pam_session *s;
	struct ipc c;
	FILE *f;
	pid_t pid;

	(void)state;
	write_matrix("matrix");
	f = fopen(in_dir("matrix"), "a");
	assert_non_null(f);
	fputs("session required pam_deny.so\n", f);
	assert_int_equal(fclose(f), 0);
	c = run_worker("matrix", &pid);
	expect_prompt(&c, text, sizeof(text));
	send_answer(&c, "secret");
	assert_false(expect_done(&c, user, reason));
	assert_non_null(strstr(reason, "opening of the session"));
	expect_end(&c, pid);
	assert_null(pam_session_read(record));

	write_file("hang", "#!/bin/sh\nexec sleep 30\n");
	assert_int_equal(chmod(in_dir("hang"), 0755), 0);
	write_matrix("matrix");
	f = fopen(in_dir("matrix"), "a");
	assert_non_null(f);
	fprintf(f, "session required pam_exec.so %s\n", in_dir("hang"));
	assert_int_equal(fclose(f), 0);
	c = run_worker("matrix", &pid);
	expect_prompt(&c, text, sizeof(text));
	send_answer(&c, "secret");
	while (!shared->opened)
		usleep(1000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ipc_finish(&c);
	assert_non_null(s = pam_session_read(record));
	free(s);
}

/* Records that nobody wrote: the closer says so and ends. */
static void test_hostile_records(void **state)
{
	static const uint8_t bad[][16] = { { 0 }, { 0, 0, 0, 200, 'x' }, { 0xff, 0xff, 0xff, 0xff }, { 0, 0, 0, 2, 'a', 0, 0, 0, 0, 1, 'b' } };
	int status;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			worker_pam_close(&conf, bad[i], sizeof(bad[i]));
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static void test_worker_refuses(void **state)
{
	char text[1024], user[64], reason[512];
	struct ipc c;
	pid_t pid;

	(void)state;
	write_matrix("matrix");
	c = run_worker("matrix", &pid);
	expect_prompt(&c, text, sizeof(text));
	send_answer(&c, "wrong");
	assert_false(expect_done(&c, user, reason));
	assert_non_null(strstr(reason, "authentication: "));
	assert_int_equal(shared->opened, 0);
	expect_end(&c, pid);
	assert_int_equal(shared->closed, 0);
}

/* An expired password is changed in the same conversation; the new one is in the file then. */
static void test_worker_changes_password(void **state)
{
	char text[1024], user[64], reason[512], line[64] = "";
	struct ipc c;
	pid_t pid;
	FILE *f;

	(void)state;
	write_matrix("matrix");
	shared->change_due = true;
	c = run_worker("matrix", &pid);
	expect_prompt(&c, text, sizeof(text));
	send_answer(&c, "secret");
	expect_prompt(&c, text, sizeof(text)); /* the old one again */
	send_answer(&c, "secret");
	expect_prompt(&c, text, sizeof(text));
	send_answer(&c, "brandnew");
	expect_prompt(&c, text, sizeof(text));
	send_answer(&c, "brandnew");
	assert_true(expect_done(&c, user, reason));
	expect_end(&c, pid);
	shared->change_due = false;
	f = fopen(in_dir("passdb"), "r");
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_non_null(strstr(line, "brandnew"));
}

static void test_worker_messages(void **state)
{
	char text[1024], user[64], reason[512], auth[512];
	struct ipc c;
	pid_t pid;
	int infos = 0, errors = 0;

	(void)state;
	snprintf(auth, sizeof(auth), CHATTY " num_lines=9 info error", modules);
	write_stack("chatty", auth);
	c = run_worker("chatty", &pid);
	for (int i = 0; i < 18; i++) {
		int style = expect_prompt(&c, text, sizeof(text));

		infos += style == PAM_STYLE_INFO;
		errors += style == PAM_STYLE_ERROR;
		send_answer(&c, NULL);
	}
	expect_done(&c, user, reason); /* refused: pam_chatty has no pam_sm_setcred */
	assert_int_equal(infos, 9);
	assert_int_equal(errors, 9);
	expect_end(&c, pid);
}

/* A module that talks for ever is stopped by the number of rounds. */
static void test_worker_rounds_are_bounded(void **state)
{
	char auth[2048] = "";
	struct ipc_msg m;
	struct ipc c;
	pid_t pid;
	int rounds = 0;

	(void)state;
	for (int i = 0; i < ROUNDS_MAX / 16 + 1; i++)
		snprintf(auth + strlen(auth), sizeof(auth) - strlen(auth), CHATTY " num_lines=16 info\n", modules);
	write_stack("chatty", auth);
	c = run_worker("chatty", &pid);
	while (ipc_wait(&c, &m, 10000) == 1 && m.type == MSG_PAM_PROMPT) {
		rounds++;
		ipc_msg_finish(&m);
		send_answer(&c, NULL);
	}
	assert_int_equal(m.type, MSG_PAM_DONE);
	ipc_msg_finish(&m);
	assert_int_equal(rounds, ROUNDS_MAX);
	expect_end(&c, pid);
}

static void hostile_answer(const struct buf *body)
{
	char text[1024], user[64], reason[512];
	struct ipc c;
	pid_t pid;

	write_matrix("matrix");
	c = run_worker("matrix", &pid);
	expect_prompt(&c, text, sizeof(text));
	assert_int_equal(ipc_send(&c, MSG_PAM_ANSWER, 0, body, NULL, 0), 0);
	assert_false(expect_done(&c, user, reason));
	expect_end(&c, pid);
}

/* Wrong count, NUL bytes, too long, cut, bytes behind: each a refusal, none a crash. */
static void test_worker_hostile_answers(void **state)
{
	char huge[PAM_MAX_RESP_SIZE];
	struct buf b;

	(void)state;
	memset(huge, 'x', sizeof(huge));
	buf_init(&b, 8192);
	hostile_answer(&b);
	buf_put_u32(&b, 0);
	hostile_answer(&b);
	buf_reset(&b);
	buf_put_u32(&b, 2);
	buf_put_cstring(&b, "secret");
	buf_put_cstring(&b, "secret");
	hostile_answer(&b);
	buf_reset(&b);
	buf_put_u32(&b, 1);
	buf_put_string(&b, "secret\0x", 8);
	hostile_answer(&b);
	buf_reset(&b);
	buf_put_u32(&b, 1);
	buf_put_string(&b, huge, sizeof(huge));
	hostile_answer(&b);
	buf_reset(&b);
	buf_put_u32(&b, 1);
	buf_put_cstring(&b, "secret");
	buf_put_u8(&b, 0);
	hostile_answer(&b);
	buf_finish(&b);
}

/* Policy goes away in the middle: the worker ends by itself, without a session. */
static void test_worker_link_ends(void **state)
{
	char text[1024];
	struct ipc c;
	pid_t pid;

	(void)state;
	write_matrix("matrix");
	c = run_worker("matrix", &pid);
	expect_prompt(&c, text, sizeof(text));
	expect_exit(&c, pid, 1);
	assert_int_equal(shared->opened, 0);
}

/* What modules see: PAM_RHOST, PAM_TTY, the attempt; and a user that a module changed is reported as it is then. */
static void test_worker_items(void **state)
{
	char auth[512], user[64], reason[512];
	struct ipc c;
	pid_t pid;

	(void)state;
	write_file("check", "#!/bin/sh\n[ \"$PAM_RHOST $PAM_TTY $PAM_USER $BASTIOND_ATTEMPT\" = '192.0.2.7 ssh alice 7' ] && [ -z \"$HOME\" ]\n");
	assert_int_equal(chmod(in_dir("check"), 0755), 0);
	setenv("HOME", "/secret", 1);
	snprintf(auth, sizeof(auth), "auth required pam_exec.so %s\nauth required pam_permit.so", in_dir("check"));
	write_stack("items", auth);
	c = run_worker("items", &pid);
	assert_true(expect_done(&c, user, reason));
	expect_end(&c, pid);
}

static void test_worker_no_stack(void **state)
{
	char user[64], reason[512];
	struct ipc c;
	pid_t pid;

	(void)state;
	c = run_worker("nosuchservice", &pid);
	assert_false(expect_done(&c, user, reason));
	assert_true(reason[0] != '\0');
	expect_end(&c, pid);
	write_file("broken", "auth required /nonexistent/pam_x.so\naccount required pam_permit.so\n");
	c = run_worker("broken", &pid);
	assert_false(expect_done(&c, user, reason));
	expect_end(&c, pid);
}

static int call(int n, const struct pam_message **msgs, struct pam_response **resp, bool broken)
{
	struct pam_run run = { .broken = broken, .conf = &conf, .step = "test" };

	return converse(n, msgs, resp, &run);
}

/* A module that misuses the conversation function. */
static void test_converse_misused(void **state)
{
	const struct pam_message odd = { 99, "x" };
	const struct pam_message *some[MESSAGES_MAX + 1] = { NULL }, *odds[1] = { &odd };
	struct pam_response *resp = NULL;
	struct pam_run run = { .conf = &conf, .step = "test" };
	struct ipc link = { .fd = -1 };

	(void)state;
	assert_int_equal(call(0, some, &resp, false), PAM_CONV_ERR);
	assert_int_equal(call(-1, some, &resp, false), PAM_CONV_ERR);
	assert_int_equal(call(MESSAGES_MAX + 1, some, &resp, false), PAM_CONV_ERR);
	assert_int_equal(call(1, NULL, &resp, false), PAM_CONV_ERR);
	assert_int_equal(call(1, some, NULL, false), PAM_CONV_ERR);
	assert_int_equal(call(1, some, &resp, false), PAM_CONV_ERR);
	assert_int_equal(call(1, odds, &resp, true), PAM_CONV_ERR);
	run.link = &link;
	assert_int_equal(converse(1, odds, &resp, &run), PAM_CONV_ERR);
	assert_null(resp);
}

static int set_up(void **state)
{
	glob_t g;

	(void)state;
	log_init("test", true, LOG_LVL_ERROR);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || mkdtemp(dir) == NULL || glob("/usr/lib/*/pam_wrapper", 0, NULL, &g) != 0)
		return -1;
	snprintf(modules, sizeof(modules), "%s", g.gl_pathv[0]);
	globfree(&g);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "matrix", "chatty", "items", "broken", "check", "passdb", "note", "noted", "carried", "hang" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker_accepts), cmocka_unit_test(test_worker_refuses),
		cmocka_unit_test(test_session_is_closed_as_it_was_opened), cmocka_unit_test(test_session_that_does_not_open),
		cmocka_unit_test(test_hostile_records),
		cmocka_unit_test(test_worker_changes_password), cmocka_unit_test(test_worker_messages),
		cmocka_unit_test(test_worker_rounds_are_bounded), cmocka_unit_test(test_worker_hostile_answers),
		cmocka_unit_test(test_worker_link_ends), cmocka_unit_test(test_worker_items),
		cmocka_unit_test(test_worker_no_stack), cmocka_unit_test(test_converse_misused),
	};

	int failed = cmocka_run_group_tests_name("a stack of the worker's own", tests, set_up, NULL);

	loaded = true;
	return failed + cmocka_run_group_tests_name("the stack that parent loaded", tests, NULL, tear_down);
}
