/*
 * test_parent_source.c - parent and those who connect, with roles that are puppets: limits of a source, penalties, blocks.
 * WRAP: clock_mono_ms role_keys_try role_recorder_try role_session_try role_policy_try keyfiles_collect totpkey_collect
 */
#include <sys/mman.h>

#include "parent.h"
#include "parent_rig.h"

/* A family of addresses that no kernel has stands for IPv6 where that is switched off: the other half of the default is taken. */
static void test_no_such_addresses(void **state)
{
	static struct parent p;
	struct config_addr both[2] = { { .len = sizeof(struct sockaddr_in) }, { .len = sizeof(struct sockaddr_in) } };
	struct config conf = { .listen = { both, 2 } };

	(void)state;
	both[0].ss.ss_family = AF_INET;
	((struct sockaddr_in *)&both[0].ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	both[1].ss.ss_family = 1000;
	log_init("parent", true, LOG_LVL_ERROR); /* the line about it goes to a terminal, pipe or file */
	assert_int_equal(parent_listen(&p, &conf), 0);
	assert_int_equal(p.nlisteners, 1);
	close(p.listeners[0]);
	p.nlisteners = 0;
	conf.listen = (struct config_addrs){ &both[1], 1 };
	assert_int_equal(parent_listen(&p, &conf), -1);
}

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

/* Somebody who comes, and whose login fails twice. His descriptor: a new policy has started. */
static int fail_twice(void)
{
	uint8_t no = 0;
	struct buf b;
	int fd = connect_to_parent();
	const unsigned slot = number(expect("policy PEER_UP"), "slot=");

	buf_view(&b, &no, 1);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_VERDICT, slot, &b);
	order(MSG_PEER_KILL, slot, NULL); /* malformed: when the set is new, the verdicts were handled */
	expect("policy starts");
	return fd;
}

static void test_penalty_and_limits(void **state)
{
	uint8_t yes = 1;
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
	fds[0] = fail_twice();
	close(fds[0]);
	fds[0] = connect_to_parent();
	expect("policy PEER_UP");
	close(fds[0]);
	stop();
	start("per_source_max = 2\npenalty_auth = 9s\npenalty_min = 15s\n");
	expect("policy starts");
	fds[0] = fail_twice();
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

/* The clock of this process and of parent, which is a fork of it, may be set ahead. */
static uint64_t *ahead;
uint64_t __real_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void) { return __real_clock_mono_ms() + (ahead != NULL ? *ahead : 0); }

/* Whoever says nothing holds no place that another one of the same source wants; who is at a code does. */
static void test_who_says_nothing_makes_place(void **state)
{
	unsigned slots[4];
	struct buf b;
	int fds[4];

	(void)state;
	start("per_source_max = 2\npenalty_noauth = 12s\npenalty_min = 15s\n");
	expect("policy starts");
	for (int i = 0; i < 2; i++) {
		fds[i] = connect_to_parent();
		slots[i] = number(expect("policy PEER_UP"), "slot=");
	}
	expect_refusal(); /* nobody waits for long */
	buf_init(&b, 64);
	buf_put_cstring(&b, "alice");
	buf_put_cstring(&b, "127.0.0.1");
	buf_put_u32(&b, slots[0]);
	buf_put_u64(&b, 1);
	order(MSG_RUN_PAM, 7, &b);
	expect("policy WORKER_DOWN id=7");
	buf_finish(&b);
	for (int i = 2; i < 4; i++) {
		*ahead += 5000;
		fds[i] = connect_to_parent();
		slots[i] = number(expect("policy PEER_UP"), "slot=");
		assert_int_equal(number(expect("master stops"), "slot="), slots[i - 1]);
		expect("policy PEER_DOWN");
		expect_refusal();
	}
	expect("policy SOURCE_HELD net=127.0.0.1/32 names=0 how=0 whole=1"); /* both were connections without a try */
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	stop();
}

/* Where max_sessions has no room for the new one either, nobody goes: who is stopped would still be there. */
static void test_nobody_goes_for_who_cannot_stay(void **state)
{
	int fds[2];

	(void)state;
	start("max_sessions = 2\nper_source_max = 2\npenalty_noauth = 12s\npenalty_min = 15s\n");
	expect("policy starts");
	for (int i = 0; i < 2; i++) {
		fds[i] = connect_to_parent();
		expect("policy PEER_UP");
	}
	*ahead += 6000;
	expect_refusal();
	expect_refusal();
	order(MSG_RUN_CONSOLE, 99, NULL); /* malformed: when the set is new, what parent said before has come */
	expect("policy starts");
	for (unsigned i = 0; i < nlines; i++)
		assert_null(strstr(lines[i], "master stops"));
	for (int i = 0; i < 2; i++)
		close(fds[i]);
	stop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(test_no_such_addresses), T(test_penalty_and_limits), T(test_what_becomes_of_a_block), T(test_who_says_nothing_makes_place),
		T(test_nobody_goes_for_who_cannot_stay),
	};

	if (argc > 2 && strcmp(argv[1], "-R") == 0)
		return puppet(argv[2]);
	if ((ahead = mmap(NULL, sizeof(*ahead), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
