/*
 * policy_factor.c - the second factor: one PAM worker an attempt, its prompts to the session, the
 * answers back.
 *
 * Role policy, after policy_authn.c. The worker runs PAM's stack in a process of its own, which a
 * change of mind kills. Two things must be true at its end: PAM says yes for the same user who
 * proved the key, and this very attempt spent a one-time code (policy_otp.c). The second catches a
 * PAM stack without pam_bastion.so, which would let in on less.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy_source.h"
#include "policy_worker.h"

#include <openssl/rand.h>

#define TEXT_LEN 1024		/* of one text from PAM; longer is malformed */
#define INSTRUCTION_MAX 3800	/* the session shows 4095 bytes */
#define PROMPT_MAX 511U		/* and so much of a prompt: what is longer is cut */

void factor_kill(struct peer *peer)
{
	struct worker *w = peer->pam;

	peer->pam = NULL;
	peer->token = 0;
	peer->prompted = false;
	peer->code_right = false;
	if (peer->link.ipc.state == S_FACTOR)
		peer->link.ipc.state = S_NEW;
	if (w != NULL)
		worker_abandon(w);
}

/* The attempt is over; its worker is let go by the caller. line: of AUTH_BARRED. */
static void factor_end(struct peer *peer, enum auth_verdict verdict, const char *line)
{
	peer->pam = NULL;
	peer->token = 0;
	if (peer->link.ipc.state == S_FACTOR)
		peer->link.ipc.state = S_NEW;
	if (verdict == AUTH_BARRED)
		authn_bar(peer, MSG_AUTH_FACTOR_RE, peer->attempt, line);
	else
		authn_answer(peer, MSG_AUTH_FACTOR_RE, peer->attempt, verdict,
		    verdict == AUTH_YES ? 0 : source_failed(peer, peer->user.name));
	if (verdict != AUTH_YES)
		authn_failed(peer, true);
}

static void log_failure(struct peer *peer, const char *why)
{
	char safe[LINE_LEN];

	esc_line(safe, sizeof(safe), why, strlen(why));
	log_notice("second factor of %s from %s refused: %s", peer->user.name, peer->address, safe);
	peer_event(peer, EVENT_PAM_FAIL, peer->user.name, peer->user.name,
	    json_pack("{s:s, s:s, s:s}", "device", peer->device.name, "peer", peer->address,
		"why", safe));
}

/* INFO and ERROR texts make the instruction, one a line; the others are prompts. -1: malformed. */
static int convert_prompts(struct buf *in, struct buf *out, unsigned *nprompts)
{
	char text[TEXT_LEN];
	struct buf info, list;
	uint32_t n = buf_get_u32(in);
	int r = -1;

	*nprompts = 0;
	buf_init(&info, INSTRUCTION_MAX);
	buf_init(&list, (size_t)AUTH_PROMPTS_MAX * (PROMPT_MAX + 8));
	if (n > AUTH_PROMPTS_MAX)
		goto out;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t style = buf_get_u8(in);

		if (buf_get_cstring(in, text, sizeof(text)) != 0 || style > PAM_STYLE_ERROR)
			goto out;
		if (style == PAM_STYLE_INFO || style == PAM_STYLE_ERROR) {
			size_t room = INSTRUCTION_MAX - info.len;

			if (info.len != 0 && room > 1)
				buf_put_u8(&info, '\n');
			buf_put(&info, text, strnlen(text, room > 1 ? room - 1 : 0));
		} else {
			buf_put_u8(&list, style == PAM_STYLE_ECHO);
			buf_put_string(&list, text, strnlen(text, PROMPT_MAX));
			++*nprompts;
		}
	}
	buf_put_cstring(out, "");
	buf_put_string(out, info.data, info.len);
	buf_put_u32(out, *nprompts);
	buf_put(out, list.data, list.len);
	r = buf_end(in) && buf_ok(&info) && buf_ok(&list) && buf_ok(out) ? 0 : -1;
out:
	buf_finish(&info);
	buf_finish(&list);
	return r;
}

static int on_prompt(struct peer *peer, struct ipc_msg *m)
{
	struct buf body;
	int r = -1;

	buf_init(&body, 8192);
	if (!peer->prompted && convert_prompts(&m->body, &body, &peer->prompts) == 0) {
		peer->prompted = true;
		link_send(&peer->link, MSG_AUTH_PROMPT, peer->attempt, &body, NULL, 0);
		r = 0;
	}
	buf_finish(&body);
	return r;
}

/* What PAM said, judged. NULL: in; else why not. */
static const char *judge(struct peer *peer, uint8_t ok, const char *user, const char *reason)
{
	if (ok == 0)
		return reason[0] != '\0' ? reason : "PAM refused";
	if (strcmp(user, peer->user.name) != 0)
		return "PAM ended with another user than the one who proved the key";
	if (!peer->code_right)
		return "PAM said yes, but no one-time code was spent: is pam_bastion.so required "
		       "in the PAM stack?";
	return NULL;
}

static int on_done(struct peer *peer, struct ipc_msg *m)
{
	char user[256], reason[512], line[LINE_LEN] = "";
	uint8_t ok = buf_get_u8(&m->body);
	const char *why;
	struct worker *w = peer->pam;
	enum auth_verdict verdict = AUTH_NO;

	buf_get_cstring(&m->body, user, sizeof(user));
	buf_get_cstring(&m->body, reason, sizeof(reason));
	if (!buf_end(&m->body))
		return -1;
	why = judge(peer, ok, user, reason);
	worker_done(w);
	peer->pam = NULL;
	if (why != NULL)
		log_failure(peer, why);
	else
		verdict = authn_login(peer, EVENT_LOGIN, line);
	if (verdict == AUTH_YES)
		peer->code_ms = clock_mono_ms();
	factor_end(peer, verdict, line);
	return 0;
}

static int on_message(struct worker *w, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_PAM_PROMPT:
		return on_prompt(w->peer, m);
	case MSG_PAM_DONE:
		return on_done(w->peer, m);
	default:
		return -1;
	}
}

static void on_ended(struct worker *w)
{
	struct peer *peer = w->peer;

	log_failure(peer, "the PAM worker ended without a verdict");
	worker_abandon(w);
	factor_end(peer, AUTH_NO, "");
}

static const struct worker_ops pam_ops = { ROLE_PAM, NULL, on_message, on_ended };

struct token_search {
	uint64_t token;
	struct peer *found;
};

static void match_token(struct peer *peer, void *arg)
{
	struct token_search *s = arg;

	if (peer->token == s->token && peer->pam != NULL)
		s->found = peer;
}

struct peer *factor_by_token(struct policy *p, uint64_t token)
{
	struct token_search s = { .token = token };

	if (token != 0)
		peers_each(p, match_token, &s);
	return s.found;
}

int factor_start(struct peer *peer, uint32_t attempt)
{
	struct buf body;

	/* A client that starts and aborts for ever would cost a fork each time. */
	if (peer->auth != PEER_PROVEN || peer->user.kind != USER_HUMAN ||
	    ++peer->attempts > 2 * peer->p->conf->max_auth_tries)
		return -1;
	factor_kill(peer);
	peer->attempt = attempt;
	do {
		if (RAND_bytes((uint8_t *)&peer->token, sizeof(peer->token)) != 1)
			return -1;
	} while (peer->token == 0);
	buf_init(&body, 512);
	buf_put_cstring(&body, peer->user.name);
	buf_put_cstring(&body, peer->address);
	buf_put_u32(&body, peer->slot);
	buf_put_u64(&body, peer->token);
	peer->pam = worker_run(peer, WORKER_PAM, &pam_ops, MSG_RUN_PAM, &body);
	buf_finish(&body);
	peer->link.ipc.state = S_FACTOR;
	if (peer->pam == NULL) {
		log_failure(peer, "no PAM worker could be started");
		factor_end(peer, AUTH_NO, "");
	}
	return 0;
}

int factor_answer(struct peer *peer, struct ipc_msg *m)
{
	struct buf all = m->body;
	uint32_t n = buf_get_u32(&m->body);

	for (uint32_t i = 0; i < n && buf_ok(&m->body); i++) {
		size_t len;

		buf_get_string(&m->body, all.len, &len);
	}
	if (!buf_end(&m->body))
		return -1;
	if (m->id != peer->attempt || peer->pam == NULL)
		return 0; /* it crossed the end of its attempt */
	if (!peer->prompted || n != peer->prompts)
		return -1;
	peer->prompted = false;
	link_send(&peer->pam->link, MSG_PAM_ANSWER, peer->pam->id, &all, NULL, 0);
	return 0;
}

int factor_abort(struct peer *peer)
{
	if (peer->auth != PEER_IN) {
		factor_kill(peer);
		return 0;
	}
	/* AUTH_YES crossed it. The client was never told, so there is nothing to undo but our own
	   books. */
	if (peer->acted)
		return -1;
	log_info("login of %s from %s undone: the client started anew at the same moment",
	    peer->user.name, peer->address);
	if (store_connection_end(peer->p->store, peer->row.id, "aborted by the client",
		clock_wall()) != 0)
		log_error("connection not closed in the database: %s", store_error(peer->p->store));
	peer->row.id = 0;
	peer->auth = PEER_PROVEN;
	peer->link.ipc.state = S_NEW;
	return 0;
}
