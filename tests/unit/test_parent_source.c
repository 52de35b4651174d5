/*
 * test_parent_source.c - parent and those who connect, with roles that are puppets: limits of a source, penalties, blocks.
 * WRAP: role_keys_try role_recorder_try role_session_try role_policy_try keyfiles_collect totpkey_collect
 */
#include "parent_rig.h"

/* Reads to the end: what parent says to a connection that it refuses. */
static void expect_refusal(void)
{
	char text[128] = "";
	int fd = connect_to_parent();

	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "too many connections"));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
}

static void test_penalty_and_limits(void **state)
{
	uint8_t no = 0, yes = 1;
	struct buf b;
	unsigned slot;
	int fds[3];

	(void)state;
	start("per_source_max = 2\npenalty_auth = 9s\npenalty_min = 15s\n");
	expect("policy starts");
	fds[0] = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	fds[1] = connect_to_parent();
	expect("policy PEER_UP");
	expect_refusal();
	/* one logs in: it does not count any more */
	buf_view(&b, &yes, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_RUN_CONSOLE, 99, NULL); /* malformed: when the set is new, the verdict was handled */
	expect("policy starts");
	close(fds[0]);
	close(fds[1]);
	/* where somebody logged in a penalty is a ration, and else a refusal */
	fds[0] = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	buf_view(&b, &no, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_KILL, slot, NULL); /* malformed, as above */
	expect("policy starts");
	close(fds[0]);
	fds[0] = connect_to_parent();
	expect("policy PEER_UP");
	close(fds[0]);
	stop();
	start("per_source_max = 2\npenalty_auth = 9s\npenalty_min = 15s\n");
	expect("policy starts");
	fds[0] = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	buf_view(&b, &no, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_KILL, slot, NULL); /* malformed, as above */
	expect("policy starts");
	expect_refusal();
	close(fds[0]);
	stop();
}

/* The answer to a block says what became of it; a login turns it into a ration; a new policy hears of it, too. */
static void test_what_becomes_of_a_block(void **state)
{
	uint8_t yes = 1;
	struct buf block, b;
	unsigned slot, left;
	int fd;

	(void)state;
	start("penalty_auth = 0s\npenalty_noauth = 0s\n");
	expect("policy starts");
	fd = connect_to_parent();
	slot = number(expect("policy PEER_UP"), "slot=");
	buf_init(&block, 64);
	buf_put_cstring(&block, "127.0.0.1/32");
	buf_put_u32(&block, 3600);
	buf_put_u32(&block, 10);
	order(MSG_SOURCE_BLOCK, 0, &block);
	left = number(expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=2 whole=1"), "seconds=");
	assert_true(left > 3000 && left <= 3600);
	expect_refusal();
	buf_view(&b, &yes, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	left = number(expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=1 whole=1"), "seconds=");
	assert_true(left > 3000 && left <= 3600);
	order(MSG_SOURCE_BLOCK, 0, &block);
	expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=3 whole=1");
	order(MSG_RUN_CONSOLE, 99, NULL); /* malformed: the set ends */
	expect("policy starts");
	expect("policy SOURCE_HELD net=127.0.0.1/32 names=10 how=1 whole=1");
	buf_finish(&block);
	close(fd);
	stop();
}
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(test_penalty_and_limits), T(test_what_becomes_of_a_block),
	};

	if (argc > 2 && strcmp(argv[1], "-R") == 0)
		return puppet(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
