/*
 * test_collector_space.c - what is free on the collector's disk, in bytes and in files: what is refused when it gets little, and what not.
 *
 * WRAP: fstatvfs clock_mono_ms log_error
 */
#include "collector_archiver_put.c"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector_store.h"

#define RESERVE (256ULL << 20)
#define MINUTE 60000

static struct statvfs disk;
static uint64_t now_ms;
static char said[512];			/* the last error logged */

int __wrap_fstatvfs(int fd, struct statvfs *v);
uint64_t __wrap_clock_mono_ms(void);
void __wrap_log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int __wrap_fstatvfs(int fd, struct statvfs *v)
{
	(void)fd;
	*v = disk;
	return 0;
}

uint64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

void __wrap_log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

/* An ext4 file system with so many bytes and inodes free. */
static void has(uint64_t bytes, uint64_t files)
{
	disk = (struct statvfs){ .f_bsize = 4096, .f_frsize = 4096, .f_bavail = bytes / 4096, .f_files = 1 << 20, .f_favail = files };
	now_ms = 1000000;
}

static void sees(struct store *s, bool low)
{
	store_space(s);
	assert_int_equal(s->low, low);
}

static void adds(struct store *s, struct rec *r, enum wire_type type, size_t len, bool refused)
{
	const struct wire_entry e = { .type = type, .frame_len = len };

	assert_int_equal(store_pours(s, r, &e), refused);
}

/* A recording of a short command is a directory and three files of a few hundred bytes. */
static void few_inodes_are_little_room(void **state)
{
	struct store s = { .reserve = RESERVE };
	struct rec r = { .low = 0 };

	(void)state;
	has(100ULL << 30, RESERVE / STORE_FILE_BYTES);
	sees(&s, false);
	disk.f_favail--;
	sees(&s, true);
	assert_non_null(strstr(said, "inode"));
	/* with each segment one more is gone */
	for (int i = 0; i < 126 + STORE_LOW_SEALS; i++)
		adds(&s, &r, WIRE_SEAL, 200, i == 125 + STORE_LOW_SEALS);
	assert_true(s.room == (RESERVE / STORE_FILE_BYTES - 1) * STORE_FILE_BYTES - (125 + STORE_LOW_SEALS) * (STORE_FILE_BYTES + 200ULL));
	adds(&s, &r, WIRE_END, 200, false);
	/* bytes are less than that: these count */
	has(1 << 20, 1 << 20);
	sees(&s, true);
	assert_true(s.room == 1 << 20);
	/* a file system that makes inodes as it needs them has none to count */
	has(100ULL << 30, 0);
	disk.f_files = 0;
	sees(&s, false);
}

/* All at once, in frames of 32 KiB, until each was refused: what is left. */
static uint64_t left_by(unsigned n)
{
	struct store s = { .reserve = RESERVE };
	struct rec *r = calloc(n, sizeof(*r));
	const struct wire_entry e = { .type = WIRE_FRAME, .frame_len = 32768 };
	unsigned over = 0;

	assert_non_null(r);
	has(RESERVE - 4096, 1 << 20);
	sees(&s, true);
	for (unsigned i = 0; over < n; i = (i + 1) % n) {
		if (r[i].refused)
			continue;
		r[i].refused = store_pours(&s, &r[i], &e);
		over += r[i].refused;
	}
	free(r);
	return s.room;
}

static void many_that_pour_leave_room(void **state)
{
	(void)state;
	assert_in_range(left_by(1), RESERVE - RESERVE / STORE_LOW_SHARE - 4096, RESERVE);
	assert_in_range(left_by(128), RESERVE / 2 - RESERVE / 64, RESERVE);
	assert_in_range(left_by(800), RESERVE / 10, RESERVE);
}

/* What was little when there was more is much now: who was fast goes, who is slow stays. */
static void the_less_is_left_the_slower_one_has_to_be(void **state)
{
	struct store s = { .reserve = RESERVE };
	struct rec fast = { .low = 0 }, slow = { .low = 0 };

	(void)state;
	has(RESERVE - 4096, 1 << 20);
	sees(&s, true);
	for (int i = 0; i < 18; i++)
		adds(&s, &fast, WIRE_FRAME, 65536, false);
	adds(&s, &slow, WIRE_FRAME, 65536, false);
	disk.f_bavail /= 2;
	sees(&s, true);
	adds(&s, &fast, WIRE_FRAME, 65536, true);
	adds(&s, &slow, WIRE_FRAME, 65536, false);
	/* a terminal in which somebody types, until there is nothing at all */
	has(0, 1 << 20);
	now_ms += 2 * MINUTE;
	sees(&s, true);
	for (int i = 0; i < 600; i++, now_ms += 1000)
		adds(&s, &slow, WIRE_FRAME, STORE_LOW_LEAST / 61, false);
	for (int i = 0; i < 60; i++, now_ms += 1000)
		store_pours(&s, &slow, &(struct wire_entry){ .type = WIRE_FRAME, .frame_len = STORE_LOW_LEAST / 20 });
	adds(&s, &slow, WIRE_FRAME, STORE_LOW_LEAST / 20, true);
}

/* Segments may be as short as 5 s: whose are, and types, is not refused for that; who seals faster is. */
static void short_segments_are_no_pouring(void **state)
{
	struct store s = { .reserve = RESERVE };
	struct rec typed = { .low = 0 }, fast = { .low = 0 };
	unsigned seals = 0;

	(void)state;
	has(0, 1 << 20);
	sees(&s, true);
	for (int i = 0; i < 600; i++, now_ms += 1000) {
		adds(&s, &typed, WIRE_FRAME, 400, false);
		/* now and then late, and the next ones then at once */
		if (i % 5 == 0 && i % 100 > 20)
			adds(&s, &typed, WIRE_SEAL, 400, false);
		for (int late = 0; i % 100 == 21 && late < 4; late++)
			adds(&s, &typed, WIRE_SEAL, 400, false);
	}
	for (; seals < 100 && !store_pours(&s, &fast, &(struct wire_entry){ .type = WIRE_SEAL, .frame_len = 400 }); seals++)
		now_ms += 2000;
	assert_in_range(seals, STORE_LOW_SEALS, 20);
}

/* The archiver: what cannot be noted would be put again and again. */
static void confirmations_need_room(void **state)
{
	struct archiver a = { .recordings = -1 };

	(void)state;
	has(ROOM_BYTES, ROOM_FILES);
	assert_true(archiver_room(&a));
	assert_int_equal(a.failures, 0);
	disk.f_favail--;
	assert_false(archiver_room(&a));
	assert_int_equal(a.failures, 1);
	disk.f_files = 0;
	assert_true(archiver_room(&a));
	has(ROOM_BYTES - 4096, ROOM_FILES);
	assert_false(archiver_room(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(few_inodes_are_little_room), cmocka_unit_test(many_that_pour_leave_room),
		cmocka_unit_test(the_less_is_left_the_slower_one_has_to_be), cmocka_unit_test(short_segments_are_no_pouring),
		cmocka_unit_test(confirmations_need_room) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
