/*
 * policy_rig_way.h - a way as the tests of policy play it: dial workers, the keys role, the
 * session's questions.
 */
#ifndef BASTION_POLICY_RIG_WAY_H
#define BASTION_POLICY_RIG_WAY_H

#include "brec.h"
#include "crypto.h"
#include "policy_rig_login.h"

static const uint8_t EPHEMERAL[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
				   "ephemeral-ephemeral-ephemeral-ep";

static inline void way_ask(struct session_end *s, uint32_t id, const char *host, const char *login)
{
	struct buf b;

	buf_init(&b, 2048);
	buf_put_cstring(&b, host);
	buf_put_cstring(&b, login);
	buf_put_string(&b, EPHEMERAL, sizeof(EPHEMERAL) - 1);
	assert_int_equal(ipc_send(&s->link, MSG_WAY_ASK, id, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* Before the login is known: a host that some grant is for is dialled early. */
static inline void send_host(struct session_end *s, uint32_t id, const char *host)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_cstring(&b, host);
	assert_int_equal(ipc_send(&s->link, MSG_HOST_ASK, id, &b, NULL, 0), 0);
	buf_finish(&b);
}

static inline void expect_no(struct rig *r, struct session_end *s, uint32_t id, uint8_t refusal)
{
	char line[LINE_LEN];
	struct ipc_msg m;

	expect(r, &s->link, MSG_WAY_NO, &m);
	assert_int_equal(m.id, id);
	assert_int_equal(buf_get_u8(&m.body), refusal);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	assert_true(buf_end(&m.body) && line[0] != '\0');
	ipc_msg_finish(&m);
}

/* RUN_DIAL comes for the registered address; the worker is started. */
static inline uint32_t expect_dial(struct rig *r, struct ipc *worker)
{
	char address[256];
	struct ipc_msg m;
	uint32_t id;

	expect(r, &r->parent, MSG_RUN_DIAL, &m);
	id = m.id;
	buf_get_cstring(&m.body, address, sizeof(address));
	assert_string_equal(address, r->web1.address);
	assert_int_equal(buf_get_u16(&m.body), 22);
	assert_int_equal(buf_get_u32(&m.body), r->conf->dial_timeout);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	worker_start(r, worker, id, ROLE_DIAL);
	return id;
}

static inline void dial_done(struct ipc *worker, uint32_t id, int fd)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_u8(&b, fd >= 0);
	buf_put_cstring(&b, "198.51.100.7");
	buf_put_cstring(&b, "192.0.2.1");
	buf_put_cstring(&b, fd >= 0 ? "" : "connection refused");
	assert_int_equal(ipc_send(worker, MSG_DIAL_DONE, id, &b, &fd, fd >= 0 ? 1 : 0), 0);
	buf_finish(&b);
}

static inline void dial_ok(struct rig *r)
{
	struct ipc worker;
	uint32_t id = expect_dial(r, &worker);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	dial_done(&worker, id, pair[0]);
	close(pair[0]);
	close(pair[1]);
	rig_turn(r);
	worker_end(r, &worker, id);
}

/* SIGN_CERT comes, bounded, for this source-address; the answer is "CERT". */
static inline void sign_from(struct rig *r, int64_t grant, int64_t end, const char *from)
{
	char principal[64], key_id[256], source[64], start[64];
	uint64_t after, before;
	int64_t now = clock_wall();
	struct ipc_msg m;
	size_t len;

	expect(r, &r->keys, MSG_SIGN_CERT, &m);
	buf_get_string(&m.body, 1000, &len);
	assert_int_equal(len, sizeof(EPHEMERAL) - 1);
	buf_get_cstring(&m.body, principal, sizeof(principal));
	buf_get_cstring(&m.body, key_id, sizeof(key_id));
	buf_get_u64(&m.body);
	after = buf_get_u64(&m.body);
	before = buf_get_u64(&m.body);
	buf_get_cstring(&m.body, source, sizeof(source));
	assert_int_equal(buf_get_u8(&m.body), 0); /* no destination is named */
	buf_get_cstring(&m.body, start, sizeof(start)); /* and no command forced */
	assert_string_equal(start, "");
	assert_true(buf_end(&m.body));
	assert_string_equal(principal, "dba");
	snprintf(start, sizeof(start), "alice/%lld/", (long long)grant);
	assert_memory_equal(key_id, start, strlen(start));
	assert_int_equal(strlen(key_id), strlen(start) + 32);
	assert_true((int64_t)after >= now - 60 && (int64_t)after <= now - 48);
	assert_true((int64_t)before <= end && before - after <= 300);
	assert_string_equal(source, from);
	keys_say(r, MSG_SIGN_CERT_RE, &m, true, "CERT");
}

/* As dialled: dial_done() says from where. */
static inline void sign(struct rig *r, int64_t grant, int64_t end)
{
	sign_from(r, grant, end, "192.0.2.1");
}

static inline void check_meta(const uint8_t *text, size_t len, int64_t grant)
{
	json_t *meta = json_loadb((const char *)text, len, 0, NULL);

	assert_non_null(meta);
	assert_string_equal(json_string_value(json_object_get(meta, "user")), "alice");
	assert_string_equal(json_string_value(json_object_get(meta, "host")), "web1");
	assert_string_equal(json_string_value(json_object_get(meta, "login")), "dba");
	assert_string_equal(json_string_value(json_object_get(meta, "target")), "198.51.100.7:22");
	assert_string_equal(json_string_value(json_object_get(meta, "reason")), "test");
	assert_int_equal(json_integer_value(json_object_get(meta, "grant")), grant);
	assert_int_equal(json_array_size(json_object_get(meta, "caps")), 2);
	json_decref(meta);
}

/* The recording of the last WAY_OK, and the SHA-256 of its metadata. */
static uint8_t given_recording[STORE_RECORDING_LEN], given_meta[HASH_LEN];

static inline void expect_ok(struct rig *r, struct session_end *s, uint32_t id, int64_t grant,
    const char *cert, int nfds)
{
	char text[256];
	struct ipc_msg m;
	const uint8_t *p;
	size_t len;

	expect(r, &s->link, MSG_WAY_OK, &m);
	assert_int_equal(m.id, id);
	assert_int_equal(m.nfds, nfds);
	assert_int_equal(buf_get_copy(&m.body, given_recording, sizeof(given_recording)), 0);
	assert_int_equal(buf_get_u32(&m.body), 1);
	buf_get_string(&m.body, 100, &len);
	assert_int_equal(len, 51);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, cert);
	p = buf_get_string(&m.body, 16384, &len);
	check_meta(p, len, grant);
	assert_int_equal(sha256_spans(given_meta, SPANS(SPAN(p, len))), 0);
	assert_int_equal(buf_get_u32(&m.body), 2);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "age1one");
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "age1two");
	assert_int_equal(buf_get_u32(&m.body), 0);
	assert_int_equal(buf_get_u32(&m.body), 0);
	assert_int_equal(buf_get_u64(&m.body), r->conf->content_limit);
	assert_int_equal(buf_get_u32(&m.body), r->conf->hold_deadline);
	assert_int_equal(buf_get_u32(&m.body), r->conf->hold_banner);
	assert_int_equal(buf_get_u8(&m.body), 1);
	assert_int_equal(buf_get_u8(&m.body), 0);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
}

/* alice is in, and is given way number 1, under this grant. */
static inline void way_given(struct rig *r, struct session_end *s, int64_t grant, uint32_t seconds)
{
	login_alice(r, s, 0);
	way_ask(s, 1, "web1", "dba");
	dial_ok(r);
	sign(r, grant, clock_wall() + seconds);
	expect_ok(r, s, 1, grant, "CERT", 1);
}

/* And it is up. */
static inline void way_open_on(struct rig *r, struct session_end *s, int64_t grant, uint32_t seconds)
{
	way_given(r, s, grant, seconds);
	assert_int_equal(ipc_send_empty(&s->link, MSG_WAY_UP, 1), 0);
	rig_turn(r);
}

/* The same with a grant of `seconds`: its number. */
static inline int64_t way_open(struct rig *r, struct session_end *s, uint32_t seconds)
{
	int64_t grant = rig_grant(r, r->p.store, &r->alice, seconds);

	way_open_on(r, s, grant, seconds);
	return grant;
}

static inline void way_over(struct rig *r, struct session_end *s, uint32_t id)
{
	struct buf b;

	buf_init(&b, 256);
	buf_put_cstring(&b, "closed");
	buf_put_u64(&b, 10);
	buf_put_u64(&b, 20);
	buf_put_u64(&b, 3);
	assert_int_equal(ipc_send(&s->link, MSG_WAY_DOWN, id, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
}

static inline void words(struct rig *r, struct session_end *s, const char *json, bool ok)
{
	char text[1024];
	struct ipc_msg m;
	struct buf b;

	buf_view(&b, json, strlen(json));
	assert_int_equal(ipc_send(&s->link, MSG_WORDS, 5, &b, NULL, 0), 0);
	expect(r, &s->link, MSG_WORDS_RE, &m);
	assert_int_equal(m.id, 5);
	assert_int_equal(buf_get_u8(&m.body), 0);
	snprintf(text, sizeof(text), "%.*s", (int)buf_left(&m.body), (const char *)m.body.data + 1);
	if ((strstr(text, "\"ok\":true") != NULL || strstr(text, "\"ok\": true") != NULL) != ok)
		fail_msg("%s: %s", json, text);
	ipc_msg_finish(&m);
}

static inline void expect_end_as(struct rig *r, struct session_end *s, uint32_t id, enum brec_end end)
{
	char line[LINE_LEN];
	struct ipc_msg m;

	expect(r, &s->link, MSG_WAY_END, &m);
	assert_int_equal(m.id, id);
	assert_int_equal(buf_get_u8(&m.body), end);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	assert_true(buf_end(&m.body) && line[0] != '\0');
	ipc_msg_finish(&m);
}

static inline void expect_end(struct rig *r, struct session_end *s, uint32_t id)
{
	expect_end_as(r, s, id, BREC_END_KILLED);
}

static inline void control_request(struct rig *r, const char *json, const char *wanted)
{
	struct ipc c;
	struct ipc_msg m;
	struct buf b;

	rig_connect(r, "control.sock", &c);
	buf_view(&b, json, strlen(json));
	assert_int_equal(ipc_send(&c, MSG_CTL_REQUEST, 3, &b, NULL, 0), 0);
	expect(r, &c, MSG_CTL_REPLY, &m);
	assert_int_equal(m.id, 3);
	assert_non_null(memmem(m.body.data, m.body.len, wanted, strlen(wanted)));
	ipc_msg_finish(&m);
	ipc_finish(&c);
	rig_turn(r);
}

static inline struct peer *peer_of(struct rig *r, const struct session_end *s)
{
	return r->p.peers[s->slot % PEER_TABLE];
}

static inline void expect_kill(struct rig *r, const struct session_end *s)
{
	struct ipc_msg m;

	expect(r, &r->parent, MSG_PEER_KILL, &m);
	assert_int_equal(m.id, s->slot);
	ipc_msg_finish(&m);
}

#include "policy_rig_channel.h"

#endif
