/*
 * test_session_pump.c - the bound of what libssh queues while a peer does not answer its key exchange (session_loop.c), with a libssh that is
 * told when it sends.
 *
 * WRAP: ssh_setup_blocked ssh_send_ignore
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "session.h"

#define PACKET 32758U
#define QUEUE (1U << 20)
#define IGNORE 8192U

static struct pump pump;
static bool blocked, waits;	/* its socket takes nothing; it waits for the peer's keys */
static unsigned asked, answered; /* bytes that a peer makes it answer beside each write */

bool __wrap_ssh_setup_blocked(ssh_session ssh);
int __wrap_ssh_send_ignore(ssh_session ssh, const char *data);

bool __wrap_ssh_setup_blocked(ssh_session ssh)
{
	(void)ssh;
	return blocked;
}

int __wrap_ssh_send_ignore(ssh_session ssh, const char *data)
{
	(void)ssh;
	asked++;
	if (!waits)
		pump.socket.out_bytes += strlen(data) + 40;
	return SSH_OK;
}

static int begin(void **state)
{
	(void)state;
	pump = (struct pump){ .sent = 0 };
	blocked = waits = false;
	asked = answered = 0;
	return 0;
}

/* A write of a channel that is tried. False: there is enough in the queue. */
static bool writes(size_t len)
{
	const uint64_t before = pump.socket.out_bytes;

	if (session_pump_queues(&pump, NULL))
		return false;
	if (!waits && !blocked)
		pump.socket.out_bytes += len + 40;
	pump.socket.out_bytes += answered;
	session_pump_wrote(&pump, before, len, blocked);
	return true;
}

/* How much is taken until no more is. */
static size_t fill(void)
{
	size_t taken = 0;

	while (taken < 16 * QUEUE && writes(PACKET))
		taken += PACKET;
	return taken;
}

static void what_goes_out_has_no_bound(void **state)
{
	(void)state;
	assert_int_equal(fill() / QUEUE, 16);
	for (int i = 0; i < 100000; i++) /* keys of somebody who types */
		assert_true(writes(1));
	assert_int_equal(asked, 0);
}

/* However often the peer makes libssh answer something. */
static void a_queue_has_a_bound(void **state)
{
	size_t more = 0;

	(void)state;
	waits = true;
	answered = 36;
	assert_in_range(fill(), QUEUE, QUEUE + PACKET);
	answered = 0;
	for (int i = 0; i < 100000; i++) {
		pump.socket.out_bytes += 36;
		more += writes(PACKET);
	}
	assert_int_equal(more, 0);
	assert_in_range(asked, 1, 100000 * 36 / IGNORE); /* no more is asked than was made to be answered */
}

/* The keys are exchanged, and the queue goes out: at once, or as a slow socket takes it, whatever is tried meanwhile. */
static void it_ends_with_the_exchange(void **state)
{
	(void)state;
	for (size_t piece = PACKET; piece <= 2 * QUEUE; piece *= 4) {
		begin(NULL);
		for (int i = 0; i < 2000; i++) /* went out before, and proved nothing */
			assert_true(writes(10));
		waits = true;
		const size_t taken = fill();

		for (size_t out = 0; out < taken + 4096; out += piece) {
			blocked = piece < QUEUE && out / piece % 2 == 0;
			(void)session_pump_queues(&pump, NULL);
			pump.socket.out_bytes += piece;
		}
		waits = blocked = false;
		/* what was asked in vain goes out last */
		pump.socket.out_bytes += asked * (IGNORE + 40);
		assert_true(writes(PACKET));
		assert_int_equal(fill() / QUEUE, 16);
	}
}

/* A socket that takes nothing is no peer that owes its keys: what libssh was given waits there, and is bounded by that. */
static void a_slow_socket_queues_nothing(void **state)
{
	(void)state;
	blocked = true;
	for (int i = 0; i < 1000; i++)
		assert_true(writes(PACKET));
	assert_int_equal(asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_goes_out_has_no_bound, begin),
		cmocka_unit_test_setup(a_queue_has_a_bound, begin),
		cmocka_unit_test_setup(it_ends_with_the_exchange, begin),
		cmocka_unit_test_setup(a_slow_socket_queues_nothing, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
