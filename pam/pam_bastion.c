/*
 * pam_bastion.c - PAM module: asks for a one-time code and has bastiond's policy role judge it; pam_bastion(8).
 *
 * Runs in bastiond's pam worker, or in any other program that has it in its stack: so it keeps no global state,
 * touches no signal and no stdio, never exits, and its own link code below is smaller than common/ipc.c, which logs.
 * The secret is not here: OTP_CHECK goes to pam.sock (root's alone), OTP_RE comes back. Whatever goes wrong, no
 * code is taken as right: PAM_AUTHINFO_UNAVAIL.
 */
#include <security/pam_modules.h>
#include <security/pam_ext.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "msg.h"

#define EXPORTED __attribute__((visibility("default")))
#define CODE_MAX 63		/* bytes of what was typed */
#define HEAD 8			/* of a message: u16 type, u16 zero, u32 id, in the machine's order (ipc.h) */
#define TIMEOUT_LEAST 1		/* seconds */
#define TIMEOUT_MOST 60

struct args {
	const char *socket, *prompt;
	int timeout_ms;
};

static int parse_args(pam_handle_t *pamh, struct args *a, int argc, const char **argv)
{
	*a = (struct args){ "/run/bastiond/pam.sock", "Code: ", 5000 };
	for (int i = 0; i < argc; i++) {
		char *end = NULL;
		long seconds;

		if (strncmp(argv[i], "socket=", 7) == 0) {
			a->socket = argv[i] + 7;
		} else if (strncmp(argv[i], "prompt=", 7) == 0) {
			a->prompt = argv[i] + 7;
		} else if (strncmp(argv[i], "timeout=", 8) == 0 &&
		    (seconds = strtol(argv[i] + 8, &end, 10)) >= TIMEOUT_LEAST && seconds <= TIMEOUT_MOST &&
		    *end == '\0') {
			a->timeout_ms = (int)seconds * 1000;
		} else {
			pam_syslog(pamh, LOG_ERR, "argument %s is none of socket=PATH, prompt=TEXT, timeout=1..60", argv[i]);
			return -1;
		}
	}
	return 0;
}

/* Which attempt of bastiond asks; 0 for another program. A number that is none is not taken for 0. */
static int attempt_token(pam_handle_t *pamh, uint64_t *token)
{
	const char *text = pam_getenv(pamh, "BASTIOND_ATTEMPT");
	char *end = NULL;

	*token = 0;
	if (text == NULL)
		return 0;
	errno = 0;
	*token = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 ? 0 : -1;
}

/* Spaces that authenticator apps show between the digits are left out. -1: longer than any code. */
static int copy_code(char out[CODE_MAX + 1], const char *typed)
{
	size_t n = 0;

	for (; *typed != '\0'; typed++) {
		if (*typed == ' ')
			continue;
		if (n == CODE_MAX)
			return -1;
		out[n++] = *typed;
	}
	out[n] = '\0';
	return 0;
}

/*
 * The application's conversation function may be hostile or wrong: no response, an empty one, one that
 * says success without any. PAM_SUCCESS, and the code is in out.
 */
static int ask_code(pam_handle_t *pamh, const char *prompt, char out[CODE_MAX + 1])
{
	const struct pam_message msg = { .msg_style = PAM_PROMPT_ECHO_OFF, .msg = prompt };
	const struct pam_message *msgs[1] = { &msg };
	struct pam_response *resp = NULL;
	const struct pam_conv *conv = NULL;
	const void *item = NULL;
	int r = pam_get_item(pamh, PAM_CONV, &item);

	conv = item;
	if (r != PAM_SUCCESS || conv == NULL || conv->conv == NULL)
		return PAM_AUTHINFO_UNAVAIL;
	r = conv->conv(1, msgs, &resp, conv->appdata_ptr);
	if (resp == NULL)
		return PAM_AUTHINFO_UNAVAIL;
	if (r == PAM_SUCCESS && resp->resp != NULL)
		r = copy_code(out, resp->resp) == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
	else
		r = PAM_AUTHINFO_UNAVAIL;
	if (resp->resp != NULL)
		explicit_bzero(resp->resp, strlen(resp->resp));
	free(resp->resp);
	free(resp);
	return r;
}

/* The socket must be root's, or ours in a test: a stranger's would say yes to everything. -1 with errno. */
static int dial(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
		if (peer.uid == 0 || peer.uid == geteuid())
			return fd;
		errno = EPERM;
	}
	len = (socklen_t)errno;
	close(fd);
	errno = (int)len;
	return -1;
}

static int put_question(struct buf *b, const char *user, const char *rhost, const char *code, uint64_t token)
{
	const uint16_t head[2] = { MSG_OTP_CHECK, 0 };
	const uint32_t id = 0;

	buf_put(b, head, sizeof(head));
	buf_put(b, &id, sizeof(id));
	buf_put_cstring(b, user);
	buf_put_cstring(b, rhost);
	buf_put_cstring(b, code);
	buf_put_u64(b, token);
	return buf_ok(b) && b->len - HEAD <= msg_rule(MSG_OTP_CHECK)->max ? 0 : -1;
}

/* One datagram within the time; its verdict, or OTP_UNAVAILABLE for anything else than a well-formed OTP_RE. */
static enum otp_verdict read_verdict(int fd, int timeout_ms)
{
	uint64_t now = clock_mono_ms(), end = now + (uint64_t)timeout_ms;
	uint8_t reply[HEAD + 2];
	uint16_t type;
	ssize_t n;

	for (;; now = clock_mono_ms()) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		if (now >= end || (poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR))
			break;
	}
	if (n != HEAD + 1)
		return OTP_UNAVAILABLE;
	memcpy(&type, reply, sizeof(type));
	if (type != MSG_OTP_RE || reply[HEAD] > OTP_RIGHT)
		return OTP_UNAVAILABLE;
	return (enum otp_verdict)reply[HEAD];
}

static enum otp_verdict check(pam_handle_t *pamh, const struct args *a, const char *user, const char *code,
    uint64_t token)
{
	const void *rhost = NULL;
	enum otp_verdict v = OTP_UNAVAILABLE;
	struct buf b;
	int fd = dial(a->socket);

	if (fd < 0) {
		pam_syslog(pamh, LOG_ERR, "cannot reach bastiond at %s: %m", a->socket);
		return OTP_UNAVAILABLE;
	}
	if (pam_get_item(pamh, PAM_RHOST, &rhost) != PAM_SUCCESS || rhost == NULL)
		rhost = "";
	buf_init(&b, 2048);
	if (put_question(&b, user, rhost, code, token) == 0 &&
	    send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)b.len)
		v = read_verdict(fd, a->timeout_ms);
	buf_finish(&b);
	close(fd);
	if (v == OTP_UNAVAILABLE)
		pam_syslog(pamh, LOG_ERR, "bastiond at %s gave no verdict", a->socket);
	return v;
}

EXPORTED int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	enum otp_verdict v = OTP_UNAVAILABLE;
	const char *user = NULL;
	char code[CODE_MAX + 1] = "";
	struct args a;
	uint64_t token;
	int r;

	(void)flags;
	if (parse_args(pamh, &a, argc, argv) != 0 || attempt_token(pamh, &token) != 0)
		return PAM_AUTHINFO_UNAVAIL;
	if (pam_get_user(pamh, &user, NULL) != PAM_SUCCESS || user == NULL || user[0] == '\0')
		return PAM_USER_UNKNOWN;
	r = ask_code(pamh, a.prompt, code);
	if (r == PAM_SUCCESS)
		v = check(pamh, &a, user, code, token);
	explicit_bzero(code, sizeof(code));
	if (r != PAM_SUCCESS)
		return r;
	switch (v) {
	case OTP_RIGHT: return PAM_SUCCESS;
	case OTP_WRONG: return PAM_AUTH_ERR;
	default: return PAM_AUTHINFO_UNAVAIL;
	}
}

/* No credentials to give; success, because a stack of which every module abstains is a refusal. */
EXPORTED int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}

/* Who may log in is decided by policy before and after the stack runs; nothing to add here. */
EXPORTED int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}
