/*
 * policy_otp.c - pam_bastion.so asks whether a one-time code is right: the secret never leaves this
 * process.
 *
 * Role policy. Root alone may ask (policy_control.c has checked). From bastiond's own PAM workers
 * the question carries the token of the attempt, and so the user and the device that the key
 * proved; other services of this machine ask with token 0, and for them there is no device.
 */
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "otp.h"
#include "policy_client.h"

/* The verdict for the one who asks; the log and the event say more. */
static enum otp_verdict verdict_of(enum otp_result r)
{
	switch (r) {
	case OTP_ACCEPTED:
		return OTP_RIGHT;
	case OTP_FAILED:
		return OTP_UNAVAILABLE;
	default:
		return OTP_WRONG;
	}
}

/* An attempt of ours: one right code is enough and ends the asking. */
static enum otp_verdict check_attempt(struct peer *peer, const char *user, const char *code)
{
	enum otp_result r;

	if (peer == NULL || strcmp(peer->user.name, user) != 0 || peer->code_right) {
		log_warn("pam.sock: a code for an attempt that does not run, or for another user");
		return OTP_WRONG;
	}
	r = otp_check(peer->p->store, &peer->user, peer->device.id, peer->address, code,
	    clock_wall());
	if (r != OTP_ACCEPTED)
		log_notice("one-time code of %s from %s: %s", peer->user.name, peer->address,
		    otp_result_name(r));
	peer->code_right = r == OTP_ACCEPTED;
	return verdict_of(r);
}

/* Another PAM service, with pam_bastion.so in its stack. `source` is its PAM_RHOST, escaped: where that is no address, it is from nowhere. */
static enum otp_verdict check_foreign(struct policy *p, const char *user, const char *source,
    const char *code)
{
	char why[LINE_LEN], network[NETWORK_TEXT_MAX];
	const char *from = access_network_of(source, 32, 128, network) ? source : "";
	enum otp_result r;
	struct user u;
	int found = name_is_user(user) ? store_user_by_name(p->store, user, &u) : 0;

	if (found < 0)
		return OTP_UNAVAILABLE;
	if (found == 0 || u.kind != USER_HUMAN ||
	    access_user(&u, from, clock_wall(), why, sizeof(why)) != 0)
		return OTP_WRONG;
	r = otp_check(p->store, &u, 0, source, code, clock_wall());
	log_info("one-time code of %s for another PAM service: %s", u.name, otp_result_name(r));
	return verdict_of(r);
}

int otp_on_check(struct client *c, struct ipc_msg *m)
{
	char user[256], source[ADDRESS_MAX + 1], safe[4 * ADDRESS_MAX + 8], code[64];
	enum otp_verdict verdict;
	uint64_t token;

	buf_get_cstring(&m->body, user, sizeof(user));
	buf_get_cstring(&m->body, source, sizeof(source));
	buf_get_cstring(&m->body, code, sizeof(code));
	token = buf_get_u64(&m->body);
	if (!buf_end(&m->body)) {
		explicit_bzero(code, sizeof(code));
		return -1;
	}
	esc_text(safe, sizeof(safe), source, strlen(source));
	verdict = token != 0 ? check_attempt(factor_by_token(c->p, token), user, code) :
	    check_foreign(c->p, user, safe, code);
	explicit_bzero(code, sizeof(code));
	link_send_u8(&c->link, MSG_OTP_RE, m->id, (uint8_t)verdict);
	return 0;
}
