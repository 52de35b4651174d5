/*
 * policy_rig_grant.h - grants of all kinds for the tests of policy, and what a session is told of them.
 */
#ifndef BASTION_POLICY_RIG_GRANT_H
#define BASTION_POLICY_RIG_GRANT_H

#include "grant_note.h"
#include "policy_rig_way.h"

/* A grant to alice, of an hour unless it says how long, with what is not 0 in t; without an approval if it needs none. Its number. */
static inline int64_t grant_of(struct rig *r, struct ticket t)
{
	int64_t now = clock_wall();

	t.user_id = t.by_id = r->alice.id;
	t.host_id = r->web1.id;
	t.role_id = t.role_id != 0 ? t.role_id : r->dba.id;
	t.caps = t.caps != 0 ? t.caps : r->dba.caps;
	t.duration = t.duration != 0 ? t.duration : 3600;
	t.asked_at = now;
	t.lapse_at = now + 3600;
	strcpy(t.login, "dba");
	strcpy(t.reason, "test");
	assert_int_equal(store_ticket_add(r->p.store, &t), 0);
	if (t.needed > 0)
		assert_int_equal(store_verdict(r->p.store, &t, &r->bob, true, "yes", now), 1);
	if (t.state == TICKET_PENDING)
		assert_int_equal(store_ticket_move(r->p.store, &t, ACT_APPROVE, "bob", "yes", now), 1);
	return t.id;
}

static inline void expect_say(struct rig *r, struct session_end *s, const char *has)
{
	char line[LINE_LEN];
	struct ipc_msg m;

	expect(r, &s->link, MSG_WAY_SAY, &m);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	if (strstr(line, has) == NULL)
		fail_msg("%s", line);
	ipc_msg_finish(&m);
}

/* The way rests on another grant: what is recorded of it names one, and who approved it. Its number. */
static inline int64_t expect_further(struct rig *r, struct session_end *s)
{
	json_t *of, *approvals;
	struct ipc_msg m;
	const uint8_t *json;
	int64_t number;
	size_t len;

	expect(r, &s->link, MSG_WAY_GRANT, &m);
	json = buf_get_string(&m.body, 40960, &len);
	assert_true(buf_end(&m.body));
	assert_non_null(of = json_loadb((const char *)json, len, 0, NULL));
	number = json_integer_value(json_object_get(of, "grant"));
	assert_true(number > 0 && json_array_size(json_object_get(of, "caps")) > 0);
	assert_int_equal(json_integer_value(json_object_get(of, "until")) > clock_wall(), 1);
	approvals = json_object_get(of, "approvals");
	assert_true(json_is_array(approvals));
	for (size_t i = 0; i < json_array_size(approvals); i++)
		assert_string_equal(json_string_value(json_object_get(json_array_get(approvals, i), "by")), "bob");
	json_decref(of);
	ipc_msg_finish(&m);
	return number;
}

/* Its grant is over, and the way goes on under another one. That one's number. */
static inline int64_t expect_moves(struct rig *r, struct session_end *s)
{
	int64_t number = expect_further(r, s);

	expect_say(r, s, GRANT_NOTE_MOVES);
	return number;
}

/* A channel that another grant allows: that is recorded and said before the answer. The grant's number. */
static inline int64_t channel_joins(struct rig *r, struct session_end *s, const char *capability)
{
	int64_t number;

	channel_ask(s, capability);
	number = expect_further(r, s);
	expect_say(r, s, GRANT_NOTE_JOINS);
	channel_answered(r, s, 1);
	return number;
}

/* A role "fire" that opens at once, with alice in it, and her grant of an hour with these rights. Its number. */
static inline int64_t glass_grant(struct rig *r, unsigned caps)
{
	struct access_role fire = { .caps = CAP_ALL, .max = 3600, .approvals = 2, .glass = true };

	strcpy(fire.name, "fire");
	strcpy(fire.hosts, "web*");
	strcpy(fire.logins, "dba");
	assert_int_equal(store_role_add(r->p.store, &fire, clock_wall()), 0);
	assert_int_equal(store_role_join(r->p.store, fire.id, r->alice.id, 'm'), 1);
	return grant_of(r, (struct ticket){ .role_id = fire.id, .glass = true, .caps = caps });
}

#endif
