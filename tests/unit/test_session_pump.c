/*
 * test_session_pump.c - the bounds of what libssh queues while a peer does not answer its key exchange (session_loop.c), with a libssh that is
 * told when it sends.
 *
 * WRAP: ssh_setup_blocked ssh_send_ignore ssh_message_get ssh_get_status ssh_get_poll_flags ssh_is_connected ssh_set_counters log_warn
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
#define READ 4096U	/* libssh's, at a time */
#define MIB (1U << 20)

static struct pump pump;
static bool blocked, waits;	/* its socket takes nothing; it waits for the peer's keys */
static unsigned asked, answered; /* bytes that a peer makes it answer beside each write */
static unsigned requests;	/* of the peer in each read, that want a reply */
static size_t waiting, replies;	/* what libssh queued: bytes, and replies */
static uint64_t unsent;		/* what it has for a socket that takes nothing */

bool __wrap_ssh_setup_blocked(ssh_session ssh);
int __wrap_ssh_send_ignore(ssh_session ssh, const char *data);
ssh_message __wrap_ssh_message_get(ssh_session ssh);
int __wrap_ssh_get_status(ssh_session ssh);
int __wrap_ssh_get_poll_flags(ssh_session ssh);
int __wrap_ssh_is_connected(ssh_session ssh);
void __wrap_ssh_set_counters(ssh_session ssh, ssh_counter socket, ssh_counter raw);
void __wrap_log_warn(const char *format, ...);

bool __wrap_ssh_setup_blocked(ssh_session ssh)
{
	(void)ssh;
	return blocked;
}

/* As packet_send2() of libssh: a packet is made, and its payload counted, whatever the socket takes of it. */
static void make(size_t payload)
{
	pump.made.out_bytes += payload;
	unsent += payload + 31;
	if (blocked)
		return;
	pump.socket.out_bytes += unsent;
	unsent = 0;
}

/* As ssh_packet_send(). */
static void say(size_t payload)
{
	if (waits)
		waiting += payload;
	else
		make(payload);
}

/* The keys are exchanged. */
static void exchange(void)
{
	waits = false;
	make(waiting);
	waiting = 0;
}

int __wrap_ssh_send_ignore(ssh_session ssh, const char *data)
{
	(void)ssh;
	asked++;
	say(strlen(data) + 5);
	make(answered);
	return SSH_OK;
}

/* The peer always has something to read. */
ssh_message __wrap_ssh_message_get(ssh_session ssh)
{
	(void)ssh;
	pump.socket.in_bytes += READ;
	for (unsigned i = 0; i < requests; i++) {
		say(1);
		replies += waits;
	}
	make(answered);
	return NULL;
}

int __wrap_ssh_get_status(ssh_session ssh)
{
	(void)ssh;
	return 0;
}

/* Which libssh keeps set as long as there is something to read, although it writes. */
int __wrap_ssh_get_poll_flags(ssh_session ssh)
{
	(void)ssh;
	return SSH_READ_PENDING | SSH_WRITE_PENDING;
}

int __wrap_ssh_is_connected(ssh_session ssh)
{
	(void)ssh;
	return 1;
}

void __wrap_ssh_set_counters(ssh_session ssh, ssh_counter socket, ssh_counter raw)
{
	(void)ssh;
	assert_ptr_equal(socket, &pump.socket);
	assert_ptr_equal(raw, &pump.made);
}

void __wrap_log_warn(const char *format, ...)
{
	assert_non_null(format);
}

static int begin(void **state)
{
	(void)state;
	pump = (struct pump){ .seen = 0 };
	blocked = waits = false;
	asked = answered = requests = 0;
	waiting = replies = 0;
	unsent = 0;
	return 0;
}

/* A write of a channel that is tried. False: there is enough in the queue. */
static bool writes(size_t len)
{
	uint64_t before;

	if (session_pump_queues(&pump, NULL))
		return false;
	before = pump.made.out_bytes;
	say(len + 9);
	make(answered);
	session_pump_wrote(&pump, before, len);
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

/* Turns of the loop, until so much more was read. False: it was cut off. */
static bool reads(uint64_t len)
{
	static struct session s;
	const uint64_t end = pump.socket.in_bytes + len;

	while (pump.socket.in_bytes < end)
		if (!session_pump(&s, &pump, NULL, NULL, NULL))
			return false;
	return true;
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
	answered = 5;
	assert_in_range(fill(), QUEUE, QUEUE + PACKET);
	answered = 0;
	for (int i = 0; i < 100000; i++) {
		make(5);
		more += writes(PACKET);
	}
	assert_int_equal(more, 0);
	assert_in_range(asked, 1, 100000 * 5 / IGNORE + 1); /* no more is asked than was made to be answered */
}

/* The socket has to take nothing for that: a download to a peer who reads nothing, and floods. */
static void a_queue_behind_a_slow_socket_has_one_too(void **state)
{
	(void)state;
	blocked = waits = true;
	assert_in_range(fill(), QUEUE, QUEUE + PACKET);
}

/* The keys are exchanged, and the queue goes out, into a socket that takes it or not. */
static void it_ends_with_the_exchange(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		begin(NULL);
		for (int j = 0; j < (i < 2 ? 0 : 2000); j++) /* went out before, and proved nothing */
			assert_true(writes(10));
		waits = true;
		blocked = i % 2 != 0;
		assert_in_range(fill(), QUEUE, QUEUE + PACKET);
		for (int j = 0; j < 100; j++)
			assert_false(writes(PACKET));
		exchange();
		assert_true(writes(PACKET));
		assert_int_equal(fill() / QUEUE, 16);
	}
}

/* One that takes nothing is no peer that owes its keys: what libssh was given waits there, and is bounded by that. */
static void a_slow_socket_queues_nothing(void **state)
{
	(void)state;
	blocked = true;
	for (int i = 0; i < 1000; i++)
		assert_true(writes(PACKET));
	assert_int_equal(asked, 0);
}

/* Requests that want replies, in an exchange that the peer leaves open: beside a channel that is silent, and beside a download. */
static void answers_that_wait_have_a_bound(void **state)
{
	(void)state;
	for (int download = 0; download < 2; download++) {
		begin(NULL);
		waits = true;
		requests = READ / 36;
		answered = 700;
		for (int i = 0; i < 1000 && reads(READ); i++)
			if (download != 0)
				(void)writes(PACKET);
		assert_in_range(pump.socket.in_bytes, 32 * MIB, 33 * MIB);
		assert_in_range(replies, 1, 32 * MIB / 36);
		assert_in_range(waiting, 1, 4 * MIB);
	}
}

/* An upload gets no channel's bytes, at most a wider window: however long, and over each exchange, with whatever was on its way. */
static void an_upload_stays(void **state)
{
	(void)state;
	requests = 1;
	assert_true(reads(64 * MIB));
	assert_in_range(asked, 1, 64);
	for (unsigned i = 0; i < 32; i++) {
		waits = true;
		assert_true(reads(i * MIB / 2));
		exchange();
		assert_true(reads((i + 1) * MIB));
	}
	assert_int_equal(waiting, 0);
}

/* And one whose client is slow to read is not taken for it either: he is read no more, until he reads. */
static void a_reader_who_is_slow_stays(void **state)
{
	(void)state;
	for (int i = 0; i < 64; i++) {
		blocked = true;
		assert_true(reads(MIB));
		assert_true(session_pump_full(&pump, NULL));
		assert_in_range(unsent, 0, 2 * IGNORE);
		blocked = false;
		make(9);
		assert_false(session_pump_full(&pump, NULL));
	}
}

/* A download proves itself. */
static void a_download_is_asked_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(reads(READ));
		assert_true(writes(PACKET));
	}
	assert_int_equal(asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_goes_out_has_no_bound, begin),
		cmocka_unit_test_setup(a_queue_has_a_bound, begin),
		cmocka_unit_test_setup(a_queue_behind_a_slow_socket_has_one_too, begin),
		cmocka_unit_test_setup(it_ends_with_the_exchange, begin),
		cmocka_unit_test_setup(a_slow_socket_queues_nothing, begin),
		cmocka_unit_test_setup(answers_that_wait_have_a_bound, begin),
		cmocka_unit_test_setup(an_upload_stays, begin),
		cmocka_unit_test_setup(a_reader_who_is_slow_stays, begin),
		cmocka_unit_test_setup(a_download_is_asked_nothing, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
