/*
 * policy_rig_hook.h - for the tests of hooks: grants that rest on an outside ticket, the runs of an administrator's program, and words.
 */
#ifndef POLICY_RIG_HOOK_H
#define POLICY_RIG_HOOK_H

#include "policy_rig_grant.h"

#include "policy_hook.h"

#define REF "OPS-7"

static inline void program(struct rig *r, bool ticket, bool notify)
{
	free(r->conf->ticket_check);
	free(r->conf->notify);
	r->conf->ticket_check = strdup(ticket ? "/bin/false" : "");
	r->conf->notify = strdup(notify ? "/bin/false" : "");
}

/* Resting on a ticket. */
static inline int64_t grant_on(struct rig *r, const char *ref)
{
	struct ticket t = { .needed = 1 };

	strcpy(t.ref, ref);
	return grant_of(r, t);
}

static inline int64_t files_on(struct rig *r, const char *ref)
{
	struct ticket t = { .needed = 1, .caps = CAP_SFTP_READ | CAP_SFTP_WRITE };

	strcpy(t.ref, ref);
	return grant_of(r, t);
}

struct run {
	uint32_t id;
	struct ipc worker;
	json_t *input;
};

/* RUN_HOOK comes; the worker is started. */
static inline void expect_run(struct rig *r, enum hook_kind kind, struct run *run)
{
	char text[HOOK_IN_MAX + 1];
	struct ipc_msg m;

	expect(r, &r->parent, MSG_RUN_HOOK, &m);
	run->id = m.id;
	assert_int_equal(buf_get_u8(&m.body), kind);
	assert_int_equal(buf_get_u32(&m.body), r->conf->hook_timeout);
	assert_int_equal(buf_get_cstring(&m.body, text, sizeof(text)), 0);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	assert_non_null(run->input = json_loads(text, 0, NULL));
	assert_string_equal(json_string_value(json_object_get(run->input, "hook")), hook_name(kind));
	worker_start(r, &run->worker, run->id, ROLE_HOOK);
}

static inline const char *told(const struct run *run, const char *key)
{
	const char *v = json_string_value(json_object_get(run->input, key));

	return v != NULL ? v : "";
}

static inline void run_over(struct rig *r, struct run *run, bool ok, const char *answer)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_put_u8(&b, ok);
	buf_put_cstring(&b, answer);
	buf_put_cstring(&b, ok ? "" : "its exit status was 1");
	assert_int_equal(ipc_send(&run->worker, MSG_HOOK_DONE, run->id, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
	worker_end(r, &run->worker, run->id);
	json_decref(run->input);
}

static inline void expect_state(struct rig *r, int64_t id, enum ticket_state state)
{
	struct ticket t;

	assert_int_equal(store_ticket(r->p.store, id, &t), 1);
	assert_string_equal(ticket_state_name(t.state), ticket_state_name(state));
}

static inline void send_words(struct session_end *s, uint32_t id, const char *json)
{
	struct buf b;

	buf_view(&b, json, strlen(json));
	assert_int_equal(ipc_send(&s->link, MSG_WORDS, id, &b, NULL, 0), 0);
}

static inline void expect_words(struct rig *r, struct session_end *s, uint32_t id, const char *has)
{
	struct ipc_msg m;

	expect(r, &s->link, MSG_WORDS_RE, &m);
	assert_int_equal(m.id, id);
	if (memmem(m.body.data, m.body.len, has, strlen(has)) == NULL)
		fail_msg("%.*s", (int)m.body.len, m.body.data);
	ipc_msg_finish(&m);
}

/* alice has a way, checked, under a grant on REF. */
static inline int64_t checked_way(struct rig *r, struct session_end *s)
{
	struct run run;
	int64_t id;

	program(r, true, false);
	id = grant_on(r, REF);
	login_alice(r, s, 0);
	way_ask(s, 1, "web1", "dba");
	expect_run(r, HOOK_TICKET, &run);
	run_over(r, &run, true, "{\"open\": true}");
	dial_ok(r);
	sign(r, id, clock_wall() + 3600);
	expect_ok(r, s, 1, id, "CERT", 1);
	return id;
}

#endif
