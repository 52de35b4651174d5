/*
 * test_msg.c - the permission table, exhaustively: every message, from every role to every role, in every state, at the limit
 * of its length and its descriptors, for the first time and again. What the list does not say is not permitted.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "msg.h"

/* The list once more, read by this test and not by msg.c. */
static const struct { unsigned type; const char *name; int from, to; unsigned states; size_t max; int fds, once; } list[] = {
#define M(name, from, to, states, max, fds, once) { MSG_##name, #name, ROLE_##from, ROLE_##to, states, max, fds, once },
	MSG_LIST(M)
#undef M
};
#define LISTED (sizeof(list) / sizeof(list[0]))

static void test_table(void **state)
{
	static const unsigned states[] = { 0, S_NEW, S_FACTOR, S_LOGIN };
	unsigned long tried = 0, permitted = 0;

	(void)state;
	assert_int_equal(LISTED + 1, MSG_COUNT);
	for (unsigned type = 0; type < MSG_COUNT + 3; type++)
	for (int from = 0; from < ROLE_COUNT; from++)
	for (int to = 0; to < ROLE_COUNT; to++)
	for (size_t s = 0; s < 4; s++)
	for (int fds = 0; fds <= MSG_FDS_MAX + 1; fds++)
	for (int seen = 0; seen < 2; seen++) {
		const bool known = type >= 1 && type < MSG_COUNT;
		const size_t i = known ? type - 1 : 0;
		const bool here = known && list[i].from == from && list[i].to == to && (list[i].states & states[s]) != 0 &&
		    (list[i].fds == -1 ? fds <= MSG_FDS_MAX : fds == list[i].fds) && !(list[i].once && seen);

		assert_int_equal(msg_permitted(type, (enum role)from, (enum role)to, states[s], 0, fds, seen), here);
		assert_int_equal(msg_permitted(type, (enum role)from, (enum role)to, states[s], known ? list[i].max : 0, fds, seen), here);
		assert_false(msg_permitted(type, (enum role)from, (enum role)to, states[s], known ? list[i].max + 1 : 0, fds, seen) && known);
		tried++;
		permitted += here;
	}
	assert_true(permitted > 0 && permitted < tried / 10);
}

static void test_list(void **state)
{
	(void)state;
	for (size_t i = 0; i < LISTED; i++) {
		const struct msg_rule *rule = msg_rule(list[i].type);

		assert_int_equal(list[i].type, i + 1);
		assert_non_null(rule);
		assert_string_equal(rule->name, list[i].name);
		assert_string_equal(msg_name(list[i].type), list[i].name);
		/* it fits one datagram, and the session's right to speak before login is spelled out */
		assert_true(rule->max <= MSG_MAX);
		assert_true(rule->fds >= -1 && rule->fds <= MSG_FDS_MAX);
		assert_true((rule->states & ~(unsigned)S_ANY) == 0 && rule->states != 0);
		assert_true(rule->from != rule->to);
		/* nobody but parent hands a session its client, and no role but policy is asked for a way */
		if (rule->to == ROLE_KEYS)
			assert_true(rule->from == ROLE_POLICY || rule->from == ROLE_PARENT);
		if (rule->from == ROLE_SESSION)
			assert_true(rule->to == ROLE_POLICY || rule->to == ROLE_RECORDER || rule->to == ROLE_CONSOLE ||
			    rule->to == ROLE_VIEW);
		/* a viewer says nothing to anybody: what it parses is hostile */
		assert_true(rule->from != ROLE_VIEW);
	}
	/* before the key is accepted a session may say only this to policy */
	for (size_t i = 0; i < LISTED; i++)
		if (msg_permitted(list[i].type, ROLE_SESSION, ROLE_POLICY, S_NEW, 0, 0, false))
			assert_true(strncmp(list[i].name, "AUTH_", 5) == 0 || strcmp(list[i].name, "PONG") == 0 ||
			    strcmp(list[i].name, "NOTE") == 0);
	assert_null(msg_rule(MSG_NONE));
	assert_null(msg_rule(MSG_COUNT));
	assert_null(msg_rule(UINT32_MAX));
	assert_string_equal(msg_name(MSG_COUNT), "?");
}

static void test_roles(void **state)
{
	(void)state;
	for (int i = 0; i < ROLE_COUNT; i++)
		assert_int_equal(role_by_name(role_name((enum role)i)), i);
	assert_int_equal(role_by_name("nobody"), ROLE_COUNT);
	assert_int_equal(role_by_name(""), ROLE_COUNT);
	assert_string_equal(role_name(ROLE_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_table), cmocka_unit_test(test_list), cmocka_unit_test(test_roles) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
