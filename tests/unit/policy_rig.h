/*
 * policy_rig.h - a whole policy role in this process, on a real database; the test plays parent,
 * keys, sessions and workers.
 *
 * The loop runs only while a test waits (rig_turn, expect), so a test is a sequence of sent and
 * awaited messages without any sleep. Clean-up is complete: the sanitizers look.
 */
#ifndef BASTION_POLICY_RIG_H
#define BASTION_POLICY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "log.h"
#include "policy.h"
#include "rig_top.h"
#include "store_key.h"

#define WAIT_MS 15000

struct rig {
	char dir[64];
	struct policy p;
	struct config *conf;
	struct ipc parent, keys;
	struct user alice, bob, deploy;
	uint8_t alice_secret[TOTP_SECRET_LEN];
	struct host web1;
	struct access_role dba;
	uint32_t next_slot;
};

static const uint8_t ALICE_KEY[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
				   "alice-alice-alice-alice-alice-al";
static const uint8_t DEPLOY_KEY[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
				    "deploy-deploy-deploy-deploy-depl";
static const uint8_t WRONG_KEY[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
				   "nobody-nobody-nobody-nobody-nobo";
#define KEY(k) (k), sizeof(k) - 1

static inline int rig_listen(const struct rig *r, const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", r->dir, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static inline void rig_connect(const struct rig *r, const char *name, struct ipc *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", r->dir, name);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ipc_init(c, fd, ROLE_CTL, ROLE_POLICY);
	c->state = S_ANY;
}

static inline void add_device(struct store *s, int64_t user_id, const uint8_t *key, size_t len)
{
	struct device d = { .user_id = user_id, .name = "laptop", .type = "ssh-ed25519" };

	assert_int_equal(key_fingerprint(key, len, d.fingerprint), 0);
	assert_int_equal(store_device_add(s, &d, key, len, clock_wall()), 0);
}

static inline void add_user_as(struct store *s, struct user *u, const char *name, enum user_kind kind, bool auditor,
    const uint8_t *key, size_t len)
{
	*u = (struct user){ .kind = kind, .auditor = auditor, .uid = -1, .until = FOREVER };
	snprintf(u->name, sizeof(u->name), "%s", name);
	snprintf(u->person, sizeof(u->person), "%s", name);
	if (kind == USER_SERVICE) {
		strcpy(u->networks, "192.0.2.0/24");
		u->until = clock_wall() + 3600;
	}
	assert_int_equal(store_user_add(s, u, clock_wall()), 0);
	if (key != NULL)
		add_device(s, u->id, key, len);
}

static inline void add_user(struct store *s, struct user *u, const char *name, enum user_kind kind,
    const uint8_t *key, size_t len)
{
	add_user_as(s, u, name, kind, false, key, len);
}

static inline void rig_fill(struct rig *r, struct store *s)
{
	struct host_key pin = { .type = "ssh-ed25519", .fingerprint = "SHA256:host", .len = 51 };

	add_user(s, &r->alice, "alice", USER_HUMAN, KEY(ALICE_KEY));
	add_user(s, &r->bob, "bob", USER_HUMAN, NULL, 0);
	add_user(s, &r->deploy, "deploy", USER_SERVICE, KEY(DEPLOY_KEY));
	memset(r->alice_secret, 'a', sizeof(r->alice_secret));
	assert_int_equal(store_totp_enrol(s, r->alice.id, r->alice_secret, clock_wall()), 0);
	assert_int_equal(store_totp_confirm(s, r->alice.id, clock_wall() / 30 - 10, 0, clock_wall()),
	    0);
	r->web1 = (struct host){ .port = 22, .method = LOGIN_CERTIFICATE };
	strcpy(r->web1.name, "web1");
	strcpy(r->web1.address, "web1.internal");
	strcpy(r->web1.logins, "dba");
	strcpy(r->web1.labels, "env=lab tier=web");
	assert_int_equal(store_host_add(s, &r->web1, clock_wall()), 0);
	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(store_host_key_add(s, r->web1.id, &pin), 0);
	r->dba = (struct access_role){ .caps = CAP_SHELL | CAP_EXEC, .max = 7200, .approvals = 1 };
	strcpy(r->dba.name, "dba");
	strcpy(r->dba.hosts, "web*");
	strcpy(r->dba.logins, "dba");
	assert_int_equal(store_role_add(s, &r->dba, clock_wall()), 0);
	assert_int_equal(store_role_join(s, r->dba.id, r->alice.id, 'm'), 1);
	assert_int_equal(store_role_join(s, r->dba.id, r->deploy.id, 'm'), 1);
	assert_int_equal(store_role_join(s, r->dba.id, r->bob.id, 'a'), 1);
}

/* A running grant of `seconds`; its number. */
static inline int64_t rig_grant(struct rig *r, struct store *s, const struct user *u,
    uint32_t seconds)
{
	int64_t now = clock_wall();
	struct ticket t = { .state = TICKET_PENDING,
		.user_id = u->id,
		.by_id = u->id,
		.host_id = r->web1.id,
		.role_id = r->dba.id,
		.caps = r->dba.caps,
		.duration = seconds,
		.needed = 1,
		.asked_at = now,
		.lapse_at = now + 3600 };

	strcpy(t.login, "dba");
	strcpy(t.reason, "test");
	assert_int_equal(store_ticket_add(s, &t), 0);
	assert_int_equal(store_verdict(s, &t, &r->bob, true, "yes", now), 1);
	if (t.state == TICKET_PENDING)
		assert_int_equal(store_ticket_move(s, &t, ACT_APPROVE, "bob", "yes", now), 1);
	assert_int_equal(t.state, TICKET_APPROVED);
	return t.id;
}

static inline void rig_turn(struct rig *r)
{
	for (int i = 0; i < 4; i++) {
		event_base_loop(r->p.base, EVLOOP_NONBLOCK);
		policy_turn(&r->p);
	}
}

/* Policy asks for the public keys at its start. */
static inline void rig_list_keys(struct rig *r)
{
	struct ipc_msg m;
	struct buf b;

	assert_int_equal(ipc_wait(&r->keys, &m, WAIT_MS), 1);
	assert_int_equal(m.type, MSG_LIST_KEYS);
	buf_init(&b, 256);
	buf_put_u8(&b, 0);
	buf_put_u32(&b, 1);
	buf_put_cstring(&b, "ca");
	buf_put_cstring(&b, "ssh-ed25519 AAAAca ca");
	assert_int_equal(ipc_send(&r->keys, MSG_LIST_KEYS_RE, m.id, &b, NULL, 0), 0);
	buf_finish(&b);
	ipc_msg_finish(&m);
}

static inline int rig_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct policy_fds fds;
	char path[80], err[STORE_ERR_MAX];
	int parent[2], keys[2];
	struct store *s;

	log_init("policy", true, getenv("RIG_LOG") != NULL ? LOG_LVL_DEBUG : LOG_LVL_ERROR);
	snprintf(r->dir, sizeof(r->dir), "%s/policy-rig.XXXXXX", rig_top());
	assert_non_null(mkdtemp(r->dir));
	snprintf(path, sizeof(path), "%s/policy.db", r->dir);
	assert_int_equal(store_create(path, err), 0);
	assert_non_null(s = store_open(path, err));
	assert_int_equal(seal_ring_add(&r->p.seal, "0123456789abcdef0123456789abcdef", SEAL_KEY_LEN), 0);
	store_seal_with(s, &r->p.seal);
	assert_int_equal(store_seal(s, clock_wall()), 0);
	rig_fill(r, s);
	store_close(s);
	assert_non_null(r->conf = config_defaults());
	free(r->conf->recipients.text);
	r->conf->recipients.text = strdup("# auditors\nage1one\n\nage1two # of site B\n");
	assert_int_equal(ipc_pair(parent), 0);
	assert_int_equal(ipc_pair(keys), 0);
	ipc_init(&r->parent, parent[0], ROLE_PARENT, ROLE_POLICY);
	ipc_init(&r->keys, keys[0], ROLE_KEYS, ROLE_POLICY);
	fds = (struct policy_fds){ parent[1], keys[1], rig_listen(r, "control.sock"),
		rig_listen(r, "pam.sock") };
	r->p.conf = r->conf;
	r->p.control.name = "bastion";
	assert_int_equal(policy_open(&r->p, path, &fds), 0);
	live_run(&r->p);
	rig_list_keys(r);
	rig_turn(r);
	assert_int_equal(r->p.nkey_lines, 1);
	*state = r;
	return 0;
}

static inline int rig_down(void **state)
{
	struct rig *r = *state;
	char command[96];
	int control = event_get_fd(r->p.control_in), pam = event_get_fd(r->p.pam_in);

	policy_close(&r->p);
	close(control);
	close(pam);
	ipc_finish(&r->parent);
	ipc_finish(&r->keys);
	config_destroy(r->conf);
	snprintf(command, sizeof(command), "rm -r %s", r->dir);
	assert_int_equal(system(command), 0);
	free(r);
	return 0;
}

/* The next message on a link that is no PING, with the loop running meanwhile: its type; MSG_NONE
   when the link is over. */
static inline enum msg_type next_message(struct rig *r, struct ipc *c, struct ipc_msg *m)
{
	uint64_t end = clock_mono_ms() + WAIT_MS;

	for (;;) {
		int got;

		rig_turn(r);
		if ((got = ipc_recv(c, m)) < 0)
			return MSG_NONE;
		if (got > 0 && m->type != MSG_PING)
			return m->type;
		if (got > 0)
			ipc_msg_finish(m);
		else if (clock_mono_ms() > end)
			fail_msg("nothing came from policy");
		else
			event_base_loop(r->p.base, EVLOOP_ONCE);
	}
}

#define expect(r, c, want, m) assert_string_equal(msg_name(next_message(r, c, m)), msg_name(want))

/* Nothing but PING waits there. */
static inline void expect_silence(struct rig *r, struct ipc *c)
{
	struct ipc_msg m;

	rig_turn(r);
	while (ipc_recv(c, &m) > 0) {
		if (m.type != MSG_PING)
			fail_msg("unexpected %s", msg_name(m.type));
		ipc_msg_finish(&m);
	}
}

static inline void expect_u8(struct rig *r, struct ipc *c, enum msg_type want, uint8_t value)
{
	struct ipc_msg m;

	expect(r, c, want, &m);
	assert_int_equal(buf_get_u8(&m.body), value);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
}

#endif
