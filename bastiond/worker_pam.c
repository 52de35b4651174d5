/*
 * worker_pam.c - one pass of one user through the site's PAM stack, its conversation relayed over the link.
 *
 * Role pam: root, a fork of parent for one attempt; killed on any change of mind. Before it: policy_factor.c.
 * After it: the same file, which compares the user that PAM has at the end with the one whose key was proven.
 * Order: authenticate, PAM_USER, acct_mgmt, chauthtok if it is due, setcred, open_session; all in one
 * conversation. The session stays open when this process ends: parent has what closes it, and runs worker_pam_close() when the
 * connection is over (parent_pam.c).
 */
#include <security/pam_appl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forkmem.h"
#include "log.h"
#include "pam_stack.h"
#include "worker.h"

#define MESSAGES_MAX 8		/* of one call, as PAM_PROMPT in common/msg.h has it */
#define TEXT_MAX 900		/* of a message: eight of them fit */
#define ROUNDS_MAX 64		/* of one attempt: a stack that asks for ever is wrong */
#define ATTEMPT "BASTIOND_ATTEMPT="	/* in the PAM environment of an attempt; not of its session */
#define TTY "ssh"		/* PAM_TTY: there is none, but modules want one */
#define ANSWER_SLACK_MS 10000	/* over login_grace, within which policy kills us */

struct pam_run {
	struct ipc *link;
	const struct config *conf;
	pam_handle_t *pam;
	const struct pam_job *job;
	unsigned rounds;
	bool broken;		/* the link is over: no more rounds */
	const char *step;	/* for the log */
};

static int style_of(int pam_style)
{
	switch (pam_style) {
	case PAM_PROMPT_ECHO_OFF: return PAM_STYLE_SECRET;
	case PAM_PROMPT_ECHO_ON: return PAM_STYLE_ECHO;
	case PAM_TEXT_INFO: return PAM_STYLE_INFO;
	case PAM_ERROR_MSG: return PAM_STYLE_ERROR;
	default: return -1; /* Linux-PAM's radio and binary prompts: no client can answer */
	}
}

static bool wants_answer(const struct pam_message *m)
{
	return m->msg_style == PAM_PROMPT_ECHO_OFF || m->msg_style == PAM_PROMPT_ECHO_ON;
}

/* list(u8 style, str text). A module's text is cut, not refused: it is shown and nothing else. */
static int put_messages(struct buf *b, int n, const struct pam_message **msgs)
{
	buf_put_u32(b, (uint32_t)n);
	for (int i = 0; i < n; i++) {
		const char *text = msgs[i]->msg != NULL ? msgs[i]->msg : "";
		int style = style_of(msgs[i]->msg_style);

		if (style < 0)
			return -1;
		buf_put_u8(b, (uint8_t)style);
		buf_put_string(b, text, strnlen(text, TEXT_MAX));
	}
	return buf_ok(b) ? 0 : -1;
}

static void wipe_responses(struct pam_response *v, int n)
{
	for (int i = 0; v != NULL && i < n; i++) {
		if (v[i].resp != NULL)
			explicit_bzero(v[i].resp, strlen(v[i].resp));
		free(v[i].resp);
	}
	free(v);
}

/* list(str answer), one for each message that wants one. The strings become the module's, on the heap. */
static int get_answers(struct buf *b, int n, const struct pam_message **msgs, struct pam_response *v)
{
	char answer[PAM_MAX_RESP_SIZE];
	uint32_t count = buf_get_u32(b), wanted = 0;
	int r = 0;

	for (int i = 0; i < n; i++)
		wanted += wants_answer(msgs[i]);
	if (count != wanted)
		return -1;
	for (int i = 0; i < n && r == 0; i++)
		if (wants_answer(msgs[i]) &&
		    (buf_get_cstring(b, answer, sizeof(answer)) != 0 || (v[i].resp = strdup(answer)) == NULL))
			r = -1;
	explicit_bzero(answer, sizeof(answer));
	return r == 0 && buf_end(b) ? 0 : -1;
}

static int ask(struct pam_run *run, int n, const struct pam_message **msgs, struct pam_response *v)
{
	struct ipc_msg m;
	struct buf b;
	int r = -1;

	buf_init(&b, 8192);
	if (put_messages(&b, n, msgs) == 0 && ipc_send(run->link, MSG_PAM_PROMPT, 0, &b, NULL, 0) == 0 &&
	    ipc_wait(run->link, &m, (int)(run->conf->login_grace + ANSWER_SLACK_MS)) == 1) {
		r = get_answers(&m.body, n, msgs, v);
		ipc_msg_finish(&m);
		if (r != 0)
			log_warn("an answer to %s is malformed or too long", run->step);
	} else {
		run->broken = true;
	}
	buf_finish(&b);
	return r;
}

/* Linux-PAM's conversation function: modules call it with whatever they like. */
static int converse(int n, const struct pam_message **msgs, struct pam_response **resp, void *arg)
{
	struct pam_run *run = arg;
	struct pam_response *v;

	if (resp != NULL)
		*resp = NULL;
	if (n <= 0 || n > MESSAGES_MAX || msgs == NULL || resp == NULL || run->broken || run->rounds++ >= ROUNDS_MAX)
		return PAM_CONV_ERR;
	for (int i = 0; i < n; i++)
		if (msgs[i] == NULL)
			return PAM_CONV_ERR;
	if ((v = calloc((size_t)n, sizeof(*v))) == NULL)
		return PAM_BUF_ERR;
	if (ask(run, n, msgs, v) != 0) {
		wipe_responses(v, n);
		return PAM_CONV_ERR;
	}
	*resp = v;
	return PAM_SUCCESS;
}

/* Modules ask for a delay after a failure; the floor of time that all refusals share is policy's and session's. */
static void no_delay(int status, unsigned usec, void *arg)
{
	(void)status;
	(void)usec;
	(void)arg;
}

static void scrub_environment(void)
{
	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

struct pam_stack *worker_pam_preload(const struct config *conf)
{
	/* what a fork for a login uses; others of parent's workers use less of it, and seldom come */
	static const char *const libraries[] = { "libpam.so", "pam_bastion.so", "libaudit.so", "ld-linux", NULL };
	struct pam_stack *stack = pam_stack_load(conf);

	forkmem_prepare(libraries);
	return stack;
}

static int prepare(struct pam_run *run, struct pam_stack *stack, const struct pam_job *job, struct pam_conv *conv)
{
	void (*delay)(int, unsigned, void *) = no_delay;
	char attempt[48];
	int r;

	run->step = "pam_start";
	r = pam_stack_start(stack, run->conf, job->user, conv, &run->pam);
	snprintf(attempt, sizeof(attempt), ATTEMPT "%llu", (unsigned long long)job->token);
	if (r != PAM_SUCCESS)
		return r;
	if ((r = pam_set_item(run->pam, PAM_RHOST, job->peer)) == PAM_SUCCESS &&
	    (r = pam_set_item(run->pam, PAM_TTY, TTY)) == PAM_SUCCESS &&
	    (r = pam_set_item(run->pam, PAM_FAIL_DELAY, (const void *)delay)) == PAM_SUCCESS)
		r = pam_putenv(run->pam, attempt);
	return r;
}

/* A module may change PAM_USER: what counts is what it is now. "" when it is none or too long. */
static void read_user(struct pam_run *run, char user[USER_NAME_MAX + 1])
{
	const void *item = NULL;

	user[0] = '\0';
	if (run->pam != NULL && pam_get_item(run->pam, PAM_USER, &item) == PAM_SUCCESS && item != NULL &&
	    strlen(item) <= USER_NAME_MAX)
		memcpy(user, item, strlen(item) + 1);
}

/* str user, remote host, terminal; then the PAM environment, a str each, as much as there is room for. */
static void put_session(struct pam_run *run, struct buf *b)
{
	char user[USER_NAME_MAX + 1], **env = pam_getenvlist(run->pam);

	read_user(run, user);
	buf_put_cstring(b, user);
	buf_put_cstring(b, run->job->peer);
	buf_put_cstring(b, TTY);
	for (char **e = env; e != NULL && *e != NULL; e++) {
		if (strncmp(*e, ATTEMPT, strlen(ATTEMPT)) != 0 && b->len + 4 + strlen(*e) <= PAM_RECORD_MAX)
			buf_put_cstring(b, *e);
		else if (strncmp(*e, ATTEMPT, strlen(ATTEMPT)) != 0)
			log_warn("the PAM environment of %s is too long: close_session will not see all of it", user);
		explicit_bzero(*e, strlen(*e));
		free(*e);
	}
	free(env);
}

/* Parent keeps what closes the session, from before it is opened: this process may be killed at any time. */
static int tell_session(struct pam_run *run)
{
	struct buf b;
	int r;

	buf_init(&b, PAM_RECORD_MAX);
	put_session(run, &b);
	r = buf_ok(&b) && write(run->job->record, b.data, b.len) == (ssize_t)b.len ? PAM_SUCCESS : PAM_SESSION_ERR;
	if (r != PAM_SUCCESS)
		log_error("cannot note the PAM session: %s", strerror(errno));
	buf_finish(&b);
	return r;
}

static int open_session(struct pam_run *run)
{
	int r;

	run->step = "opening of the session";
	if ((r = tell_session(run)) == PAM_SUCCESS && (r = pam_open_session(run->pam, 0)) == PAM_SUCCESS &&
	    (r = tell_session(run)) == PAM_SUCCESS)
		return r;
	if (write(run->job->record, "", PAM_RECORD_NONE) != PAM_RECORD_NONE)
		log_error("a PAM session that was not opened will be closed: %s", strerror(errno));
	pam_setcred(run->pam, PAM_DELETE_CRED);
	return r;
}

static int pass(struct pam_run *run)
{
	int r;

	run->step = "authentication";
	if ((r = pam_authenticate(run->pam, PAM_DISALLOW_NULL_AUTHTOK)) != PAM_SUCCESS)
		return r;
	run->step = "account check";
	r = pam_acct_mgmt(run->pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (r == PAM_NEW_AUTHTOK_REQD) {
		run->step = "password change";
		r = pam_chauthtok(run->pam, PAM_CHANGE_EXPIRED_AUTHTOK);
	}
	if (r != PAM_SUCCESS)
		return r;
	run->step = "credentials";
	if ((r = pam_setcred(run->pam, PAM_ESTABLISH_CRED)) != PAM_SUCCESS)
		return r;
	return open_session(run);
}

static int report(struct pam_run *run, bool ok, const char *user, const char *reason)
{
	struct buf b;
	int r;

	buf_init(&b, 2048);
	buf_put_u8(&b, ok);
	buf_put_cstring(&b, user);
	buf_put_cstring(&b, reason);
	r = ipc_send(run->link, MSG_PAM_DONE, 0, &b, NULL, 0);
	buf_finish(&b);
	return r;
}

void worker_pam(const struct config *conf, struct pam_stack *stack, struct ipc *link, const struct pam_job *job)
{
	struct pam_run run = { .link = link, .conf = conf, .job = job, .step = "" };
	struct pam_conv conv = { converse, &run };
	char user[USER_NAME_MAX + 1], reason[256] = "";
	int r, told;

	scrub_environment();
	if ((r = prepare(&run, stack, job, &conv)) == PAM_SUCCESS)
		r = pass(&run);
	read_user(&run, user);
	if (r != PAM_SUCCESS)
		snprintf(reason, sizeof(reason), "%s: %.200s", run.step, pam_strerror(run.pam, r));
	told = report(&run, r == PAM_SUCCESS, user, reason);
	/* silent: modules free their memory, and leave alone what the session goes on with */
	if (run.pam != NULL)
		pam_end(run.pam, r == PAM_SUCCESS ? PAM_SUCCESS | PAM_DATA_SILENT : r);
	_exit(told == 0 ? 0 : 1);
}

static int refuse_to_talk(int n, const struct pam_message **msgs, struct pam_response **resp, void *arg)
{
	(void)n, (void)msgs, (void)resp, (void)arg;
	return PAM_CONV_ERR; /* nobody is there any more */
}

void worker_pam_close(const struct config *conf, const uint8_t *record, size_t len)
{
	char user[USER_NAME_MAX + 1], item[PAM_RECORD_MAX + 1], tty[sizeof(TTY)];
	struct pam_conv conv = { refuse_to_talk, NULL };
	pam_handle_t *pam = NULL;
	struct buf b;
	int r;

	scrub_environment();
	buf_view(&b, record, len);
	buf_get_cstring(&b, user, sizeof(user));
	buf_get_cstring(&b, item, sizeof(item));
	buf_get_cstring(&b, tty, sizeof(tty));
	if ((r = buf_ok(&b) ? pam_stack_start(NULL, conf, user, &conv, &pam) : PAM_BUF_ERR) == PAM_SUCCESS &&
	    (r = pam_set_item(pam, PAM_RHOST, item)) == PAM_SUCCESS && (r = pam_set_item(pam, PAM_TTY, tty)) == PAM_SUCCESS) {
		while (buf_left(&b) > 0 && buf_get_cstring(&b, item, sizeof(item)) == 0)
			pam_putenv(pam, item);
		r = pam_close_session(pam, 0);
		pam_setcred(pam, PAM_DELETE_CRED);
	}
	if (r != PAM_SUCCESS)
		log_warn("the PAM session of %s could not be closed: %s", user, pam_strerror(pam, r));
	if (pam != NULL)
		pam_end(pam, r);
}
