/*
 * policy_rig_login.h - parent, sessions and PAM workers as the tests of policy play them, message
 * by message; whole logins.
 */
#ifndef BASTION_POLICY_RIG_LOGIN_H
#define BASTION_POLICY_RIG_LOGIN_H

#include "policy_rig.h"

#include <liboath/oath.h>

/* One session and the process that parent would have forked for it. */
struct session_end {
	struct ipc link;
	uint32_t slot;
};

/* --- parent and session --- */

static inline void session_from(struct rig *r, struct session_end *s, const char *address)
{
	struct buf b;
	int pair[2];

	s->slot = ++r->next_slot;
	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(&s->link, pair[0], ROLE_SESSION, ROLE_POLICY);
	buf_init(&b, 256);
	buf_put(&b, "0123456789abcdef", 16);
	buf_put_u64(&b, 0); /* the key of its recordings' ids: each has its own */
	buf_put_u64(&b, s->slot);
	buf_put_cstring(&b, address);
	buf_put_u16(&b, 40000);
	assert_int_equal(ipc_send(&r->parent, MSG_PEER_UP, s->slot, &b, &pair[1], 1), 0);
	close(pair[1]);
	buf_finish(&b);
	rig_turn(r);
}

static inline void session_start(struct rig *r, struct session_end *s)
{
	session_from(r, s, "192.0.2.9");
}

/* The process ends, with this wait status. */
static inline void session_over(struct rig *r, struct session_end *s, uint32_t status)
{
	struct buf b;

	ipc_finish(&s->link);
	buf_init(&b, 32);
	buf_put_u32(&b, status);
	buf_put_u64(&b, 1000);
	buf_put_u64(&b, 1000);
	assert_int_equal(ipc_send(&r->parent, MSG_PEER_DOWN, s->slot, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
}

static inline void send_key(struct session_end *s, const char *user, const uint8_t *key, size_t len,
    uint8_t proven)
{
	struct buf b;

	buf_init(&b, 9000);
	buf_put_cstring(&b, user);
	buf_put_string(&b, key, len);
	buf_put_u8(&b, proven);
	assert_int_equal(ipc_send(&s->link, MSG_AUTH_KEY, 0, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* AUTH_BARRED, with a line that has both. */
static inline void expect_barred(struct rig *r, struct session_end *s, enum msg_type type, const char *why, const char *next)
{
	char line[LINE_LEN];
	struct ipc_msg m;

	expect(r, &s->link, type, &m);
	assert_int_equal(buf_get_u8(&m.body), AUTH_BARRED);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	if (strstr(line, why) == NULL || strstr(line, next) == NULL)
		fail_msg("\"%s\" lacks \"%s\" or \"%s\"", line, why, next);
}

/* --- the PAM worker --- */

struct pam_end {
	struct ipc link;
	uint32_t id;
	uint64_t token;
	char user[64];
};

static inline void expect_run_pam(struct rig *r, struct pam_end *w)
{
	char peer[64];
	struct ipc_msg m;

	expect(r, &r->parent, MSG_RUN_PAM, &m);
	w->id = m.id;
	buf_get_cstring(&m.body, w->user, sizeof(w->user));
	buf_get_cstring(&m.body, peer, sizeof(peer));
	buf_get_u32(&m.body);
	w->token = buf_get_u64(&m.body);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
}

/* WORKER_UP with one end of a new link; the other end is the worker's. */
static inline void worker_start(struct rig *r, struct ipc *link, uint32_t id, enum role role)
{
	int pair[2];

	assert_int_equal(ipc_pair(pair), 0);
	ipc_init(link, pair[0], role, ROLE_POLICY);
	assert_int_equal(ipc_send(&r->parent, MSG_WORKER_UP, id, NULL, &pair[1], 1), 0);
	close(pair[1]);
	rig_turn(r);
}

static inline void worker_end(struct rig *r, struct ipc *link, uint32_t id)
{
	struct buf b;

	ipc_finish(link);
	buf_init(&b, 4);
	buf_put_u32(&b, 0);
	assert_int_equal(ipc_send(&r->parent, MSG_WORKER_DOWN, id, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
}

static inline void pam_done(struct pam_end *w, uint8_t ok, const char *user)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_u8(&b, ok);
	buf_put_cstring(&b, user);
	buf_put_cstring(&b, "");
	assert_int_equal(ipc_send(&w->link, MSG_PAM_DONE, w->id, &b, NULL, 0), 0);
	buf_finish(&b);
}

static inline void pam_prompt(struct pam_end *w)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_u32(&b, 2);
	buf_put_u8(&b, PAM_STYLE_INFO);
	buf_put_cstring(&b, "bastion");
	buf_put_u8(&b, PAM_STYLE_SECRET);
	buf_put_cstring(&b, "Code: ");
	assert_int_equal(ipc_send(&w->link, MSG_PAM_PROMPT, w->id, &b, NULL, 0), 0);
	buf_finish(&b);
}

static inline void code_of(const uint8_t *secret, int64_t at, char out[7])
{
	assert_int_equal(
	    oath_totp_generate((const char *)secret, TOTP_SECRET_LEN, (time_t)at, 30, 0, 6, out),
	    OATH_OK);
}

/* What pam_bastion.so does. */
static inline uint8_t otp_ask_from(struct rig *r, const char *user, const char *code, uint64_t token, const char *source)
{
	struct ipc c;
	struct ipc_msg m;
	struct buf b;
	uint8_t verdict;

	rig_connect(r, "pam.sock", &c);
	buf_init(&b, 512);
	buf_put_cstring(&b, user);
	buf_put_cstring(&b, source);
	buf_put_cstring(&b, code);
	buf_put_u64(&b, token);
	assert_int_equal(ipc_send(&c, MSG_OTP_CHECK, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	expect(r, &c, MSG_OTP_RE, &m);
	verdict = buf_get_u8(&m.body);
	ipc_msg_finish(&m);
	ipc_finish(&c);
	return verdict;
}

static inline uint8_t otp_ask(struct rig *r, const char *user, const char *code, uint64_t token)
{
	return otp_ask_from(r, user, code, token, "192.0.2.9");
}

/* --- whole steps --- */

static inline void key_proven(struct rig *r, struct session_end *s)
{
	send_key(s, "alice", KEY(ALICE_KEY), 1);
	expect_u8(r, &s->link, MSG_AUTH_KEY_RE, AUTH_PARTIAL);
}

static inline void factor_begin(struct rig *r, struct session_end *s, struct pam_end *w,
    uint32_t attempt)
{
	assert_int_equal(ipc_send_empty(&s->link, MSG_AUTH_FACTOR, attempt), 0);
	expect_run_pam(r, w);
	worker_start(r, &w->link, w->id, ROLE_PAM);
}

/* alice, with the code of `steps` time steps from now: each opens one login. */
static inline void login_alice(struct rig *r, struct session_end *s, int steps)
{
	struct pam_end w;
	char code[7];

	session_start(r, s);
	key_proven(r, s);
	factor_begin(r, s, &w, 1);
	code_of(r->alice_secret, clock_wall() + steps * 30, code);
	assert_int_equal(otp_ask(r, "alice", code, w.token), OTP_RIGHT);
	pam_done(&w, 1, "alice");
	expect_u8(r, &s->link, MSG_AUTH_FACTOR_RE, AUTH_YES);
	worker_end(r, &w.link, w.id);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
}

/* Rows of the list of events. */
static inline int64_t events_of(struct rig *r, const char *kind)
{
	json_t *list = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1000 });
	int64_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += strcmp(json_string_value(json_object_get(json_array_get(list, i), "kind")), kind) == 0;
	json_decref(list);
	return n;
}

/* What keys says to *m, which is over with that. */
static inline void keys_say(struct rig *r, enum msg_type type, struct ipc_msg *m, bool yes, const char *text)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u8(&b, yes);
	buf_put_cstring(&b, text);
	assert_int_equal(ipc_send(&r->keys, type, m->id, &b, NULL, 0), 0);
	buf_finish(&b);
	ipc_msg_finish(m);
}

#endif
