/*
 * test_pam_module.c - pam_bastion.so against hostile conversations and hostile sockets.
 *
 * The module is called directly, with handles of pam_start_confdir(); a fork is the policy role, right or wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <security/pam_appl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../pam/pam_bastion.c"

static char dir[] = "/tmp/test_pam-XXXXXX";

/* What the fork was asked. */
static struct {
	uint8_t question[2048];
	ssize_t question_len;
} *shared;

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

enum server { SAY_RIGHT, SAY_WRONG, SAY_UNAVAILABLE, SAY_UNKNOWN, SAY_OTHER_TYPE, SAY_SHORT, SAY_LONG, SAY_NOTHING, HANG_UP };

static size_t put_reply(enum server how, uint8_t out[64])
{
	const uint16_t head[2] = { how == SAY_OTHER_TYPE ? MSG_CTL_REPLY : MSG_OTP_RE, 0 };

	memset(out, 0, 64);
	memcpy(out, head, sizeof(head));
	out[HEAD] = how == SAY_WRONG ? OTP_WRONG : how == SAY_UNAVAILABLE ? OTP_UNAVAILABLE : how == SAY_UNKNOWN ? 77 :
	    OTP_RIGHT;
	return how == SAY_SHORT ? HEAD : how == SAY_LONG ? HEAD + 2 : HEAD + 1;
}

/* One question, one answer of the wanted kind; its socket is there before this returns. */
static pid_t serve_once(enum server how)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), client;
	uint8_t reply[64];
	pid_t pid;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", in_dir("pam.sock"));
	unlink(sun.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 4), 0);
	if ((pid = fork()) == 0) {
		alarm(20);
		client = accept(fd, NULL, NULL);
		if (how != HANG_UP)
			shared->question_len = recv(client, shared->question, sizeof(shared->question), 0);
		if (how < SAY_NOTHING && send(client, reply, put_reply(how, reply), MSG_NOSIGNAL) < 0)
			_exit(1);
		if (how == SAY_NOTHING)
			recv(client, reply, sizeof(reply), 0); /* until the module gives up */
		_exit(0);
	}
	close(fd);
	return pid;
}

struct talk {
	const char *answer;	/* NULL: response without text */
	int result;
	bool no_response;
	int calls;
};

static int talk(int n, const struct pam_message **msgs, struct pam_response **resp, void *arg)
{
	struct talk *t = arg;

	t->calls++;
	assert_int_equal(n, 1);
	assert_int_equal(msgs[0]->msg_style, PAM_PROMPT_ECHO_OFF);
	if (t->no_response)
		return t->result;
	*resp = calloc(1, sizeof(**resp));
	if (t->answer != NULL)
		(*resp)->resp = strdup(t->answer);
	return t->result;
}

static int authenticate(struct talk *t, const char *user, const char *attempt, int argc, const char **argv)
{
	struct pam_conv conv = { talk, t };
	pam_handle_t *pamh = NULL;
	int r;

	write_file("permit", "auth required pam_permit.so\n");
	assert_int_equal(pam_start_confdir("permit", user, &conv, dir, &pamh), PAM_SUCCESS);
	pam_set_item(pamh, PAM_RHOST, "192.0.2.7");
	if (attempt != NULL)
		pam_putenv(pamh, attempt);
	r = pam_sm_authenticate(pamh, 0, argc, argv);
	assert_int_equal(pam_sm_setcred(pamh, 0, argc, argv), PAM_SUCCESS);
	assert_int_equal(pam_sm_acct_mgmt(pamh, 0, argc, argv), PAM_SUCCESS);
	pam_end(pamh, r);
	return r;
}

/* The module with a server of this kind and that answer to its prompt. */
static int against(enum server how, struct talk *t)
{
	char socket_arg[160];
	/* one alone is waited out; the others are a process on a full machine */
	const char *argv[] = { socket_arg, how == SAY_NOTHING ? "timeout=1" : "timeout=20", "prompt=One-time code: " };
	pid_t pid = serve_once(how);
	int r, status;

	snprintf(socket_arg, sizeof(socket_arg), "socket=%s", in_dir("pam.sock"));
	r = authenticate(t, "alice", "BASTIOND_ATTEMPT=18446744073709551615", 3, argv);
	kill(pid, SIGKILL); /* where nobody called it still waits */
	waitpid(pid, &status, 0);
	return r;
}

static void test_verdicts(void **state)
{
	static const struct { enum server how; int want; } rows[] = {
		{ SAY_RIGHT, PAM_SUCCESS }, { SAY_WRONG, PAM_AUTH_ERR }, { SAY_UNAVAILABLE, PAM_AUTHINFO_UNAVAIL },
		{ SAY_UNKNOWN, PAM_AUTHINFO_UNAVAIL }, { SAY_OTHER_TYPE, PAM_AUTHINFO_UNAVAIL },
		{ SAY_SHORT, PAM_AUTHINFO_UNAVAIL }, { SAY_LONG, PAM_AUTHINFO_UNAVAIL },
		{ SAY_NOTHING, PAM_AUTHINFO_UNAVAIL }, { HANG_UP, PAM_AUTHINFO_UNAVAIL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talk t = { .answer = "123456" };

		assert_int_equal(against(rows[i].how, &t), rows[i].want);
		assert_int_equal(t.calls, 1);
	}
}

static void test_question(void **state)
{
	struct talk t = { .answer = " 123 456 " };
	char user[64], rhost[64], code[64];
	struct buf b;

	(void)state;
	assert_int_equal(against(SAY_RIGHT, &t), PAM_SUCCESS);
	assert_true(shared->question_len > HEAD);
	assert_int_equal(shared->question[0] | shared->question[1] << 8, MSG_OTP_CHECK);
	buf_view(&b, shared->question + HEAD, (size_t)shared->question_len - HEAD);
	assert_int_equal(buf_get_cstring(&b, user, sizeof(user)), 0);
	assert_int_equal(buf_get_cstring(&b, rhost, sizeof(rhost)), 0);
	assert_int_equal(buf_get_cstring(&b, code, sizeof(code)), 0);
	assert_string_equal(user, "alice");
	assert_string_equal(rhost, "192.0.2.7");
	assert_string_equal(code, "123456");
	assert_true(buf_get_u64(&b) == UINT64_MAX);
	assert_true(buf_end(&b));
}

/* A server that would say yes to everything must not be reached by any of these. */
static void test_hostile_conversations(void **state)
{
	char huge[513], just[CODE_MAX + 1];
	struct talk rows[] = {
		{ .answer = NULL },			/* response without text */
		{ .no_response = true },		/* success without a response */
		{ .answer = "123456", .result = PAM_CONV_ERR },
		{ .no_response = true, .result = PAM_CONV_ERR },
		{ .answer = huge },
	};
	struct talk fits = { .answer = just };

	(void)state;
	memset(huge, '1', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	memset(just, '1', sizeof(just) - 1);
	just[sizeof(just) - 1] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		shared->question_len = 0;
		assert_int_not_equal(against(SAY_RIGHT, &rows[i]), PAM_SUCCESS);
		assert_int_equal(shared->question_len, 0);
	}
	assert_int_equal(against(SAY_RIGHT, &fits), PAM_SUCCESS);
}

static void test_no_conversation(void **state)
{
	struct pam_conv conv = { NULL, NULL };
	pam_handle_t *pamh = NULL;

	(void)state;
	write_file("permit", "auth required pam_permit.so\n");
	assert_int_equal(pam_start_confdir("permit", "alice", &conv, dir, &pamh), PAM_SUCCESS);
	assert_int_equal(pam_sm_authenticate(pamh, 0, 0, NULL), PAM_AUTHINFO_UNAVAIL);
	pam_end(pamh, 0);
}

static void test_arguments(void **state)
{
	static const char *const wrong[] = { "sockt=/x", "timeout=0", "timeout=61", "timeout=", "timeout=5s", "debug", "" };
	static const char *const attempts[] = { "BASTIOND_ATTEMPT=", "BASTIOND_ATTEMPT=x", "BASTIOND_ATTEMPT=-1",
		"BASTIOND_ATTEMPT=1x", "BASTIOND_ATTEMPT=18446744073709551616" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *argv[] = { wrong[i] };
		struct talk t = { .answer = "123456" };

		assert_int_equal(authenticate(&t, "alice", NULL, 1, argv), PAM_AUTHINFO_UNAVAIL);
		assert_int_equal(t.calls, 0);
	}
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		struct talk t = { .answer = "123456" };

		assert_int_equal(authenticate(&t, "alice", attempts[i], 0, NULL), PAM_AUTHINFO_UNAVAIL);
		assert_int_equal(t.calls, 0);
	}
}

static void test_no_socket(void **state)
{
	char path[200] = "socket=";
	const char *argv[] = { "socket=/nonexistent/pam.sock" }, *too_long[] = { path };
	struct talk t = { .answer = "123456" };

	(void)state;
	assert_int_equal(authenticate(&t, "alice", NULL, 1, argv), PAM_AUTHINFO_UNAVAIL);
	memset(path + 7, 'x', sizeof(path) - 8);
	assert_int_equal(authenticate(&t, "alice", NULL, 1, too_long), PAM_AUTHINFO_UNAVAIL);
}

static int set_up(void **state)
{
	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared != MAP_FAILED && mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(in_dir("pam.sock"));
	unlink(in_dir("permit"));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts), cmocka_unit_test(test_question),
		cmocka_unit_test(test_hostile_conversations), cmocka_unit_test(test_no_conversation),
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_no_socket),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
