/*
 * test_archive.c - what is put into the object store next, for how long it is locked, what counts as confirmed, and that no torn or
 * false line of the list says more than was confirmed.
 */
#include "brec_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>

#include "archive_plan.h"
#include "hex.h"
#include "wire_receipt.h"

#define DAY 86400
#define NOW 1800000000

static const struct archive_rules rules = { 90 * DAY, 7 * DAY };
static struct archive_scan s;

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	assert_true(fd >= 0);
	return fd;
}

static void remove_file(const char *dir, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

/* What the archiver does when a job is confirmed. */
static void confirm(int dir, const struct archive_job *j, int64_t when)
{
	struct archive_item i = { .size = j->len, .until = archive_until(&rules, when, j->over), .when = when };

	memcpy(i.name, j->name, sizeof(i.name));
	assert_int_equal(archive_list_put(&s.list, dir, &i), 0);
}

static size_t due_or_dead(int dir, int64_t now, int64_t dead_before)
{
	archive_scan_free(&s);
	assert_int_equal(archive_scan_due(&s, dir, &rules, now, dead_before), 0);
	return s.njobs;
}

static size_t due(int dir, int64_t now)
{
	return due_or_dead(dir, now, ARCHIVE_NONE_DEAD);
}

static void add_receipts(const struct fixture *x, unsigned n, size_t cut)
{
	struct receipt r = { .leaves = 1 };
	struct buf b;
	char path[128];

	buf_init(&b, 1 << 20);
	for (unsigned i = 0; i < n; i++) {
		r.wall_us = i;
		assert_int_equal(receipt_put(&b, &r), 0);
	}
	snprintf(path, sizeof(path), "%s/receipts", x->dir);
	fx_write(path, b.data, b.len - cut);
	buf_finish(&b);
}

/* ---- a recording ---- */

static void test_open_recording(void **state)
{
	struct fixture *x = fx_open(false, false);
	char why[128];
	int dir;

	(void)state;
	fx_small(x, false);
	dir = open_dir(x->dir);
	/* segment 0 is sealed, segment 1 still grows */
	assert_int_equal(due(dir, NOW), 1);
	assert_string_equal(s.jobs[0].name, "00000000.brec");
	assert_false(s.jobs[0].over);
	assert_int_equal(s.bytes, s.jobs[0].len);
	confirm(dir, &s.jobs[0], NOW);
	assert_int_equal(due(dir, NOW), 0);
	assert_int_equal(s.bytes, 0);
	assert_false(s.ends);
	assert_int_equal(archive_confirmed(dir, true, why, sizeof(why)), 0);
	/* receipts, as they come; a torn one is none yet */
	add_receipts(x, 2, 1);
	assert_int_equal(due(dir, NOW), 1);
	assert_string_equal(s.jobs[0].name, "receipts.00000000");
	assert_int_equal(s.jobs[0].offset, 0);
	add_receipts(x, 3, 0);
	assert_int_equal(due(dir, NOW), 3);
	assert_int_equal(s.jobs[2].offset, 2 * s.jobs[0].len);
	confirm(dir, &s.jobs[1], NOW);
	assert_int_equal(due(dir, NOW), 2);
	assert_string_equal(s.jobs[1].name, "receipts.00000002");
	close(dir);
	remove_file(x->dir, ARCHIVE_FILE);
	fx_destroy(x);
}

static void test_closed_recording(void **state)
{
	static const struct archive_rules longer = { 365 * DAY, 7 * DAY };
	struct fixture *x = fx_open(false, false);
	char why[128], path[128];
	const struct archive_item *end;
	int dir;

	(void)state;
	fx_small(x, true);
	add_receipts(x, 1, 0);
	dir = open_dir(x->dir);
	assert_int_equal(due(dir, NOW), 3);
	assert_false(s.jobs[0].over);
	assert_true(s.jobs[1].over);
	/* the close before anything else: one crash, and the rest is still to be put */
	confirm(dir, &s.jobs[1], NOW);
	assert_int_equal(due(dir, NOW), 2);
	assert_true(s.ends);
	end = archive_list_find(&s.list, "00000001.brec");
	assert_int_equal(archive_list_close(&s.list, dir, s.last, end->until, end->when), 0);
	assert_int_equal(due(dir, NOW), 2);
	assert_false(s.ends);
	assert_int_equal(archive_confirmed(dir, true, why, sizeof(why)), 0);
	assert_string_equal(why, "00000000.brec is not in the object store");
	confirm(dir, &s.jobs[0], NOW);
	confirm(dir, &s.jobs[1], NOW);
	assert_int_equal(due(dir, NOW + 1000 * DAY), 0);
	/* the retention is a greater one by now: all of it again, for so long; no other bytes wait for that */
	archive_scan_free(&s);
	assert_int_equal(archive_scan_due(&s, dir, &longer, NOW + DAY, ARCHIVE_NONE_DEAD), 0);
	assert_int_equal(s.njobs, 3);
	assert_true(s.jobs[0].again && s.jobs[2].again && s.bytes == 0);
	assert_true(archive_until(&longer, NOW + DAY, s.jobs[0].over) >= NOW + longer.retention);
	archive_scan_free(&s);
	assert_int_equal(archive_confirmed(dir, true, why, sizeof(why)), 1);
	/* what comes later is not confirmed; nor is a file of another length */
	add_receipts(x, 2, 0);
	assert_int_equal(archive_confirmed(dir, true, why, sizeof(why)), 0);
	assert_string_equal(why, "receipts.00000001 is not in the object store");
	assert_int_equal(due(dir, NOW), 1);
	assert_true(s.jobs[0].over);
	add_receipts(x, 1, 0);
	snprintf(path, sizeof(path), "%s/00000000.brec", x->dir);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(archive_confirmed(dir, true, why, sizeof(why)), 0);
	close(dir);
	remove_file(x->dir, ARCHIVE_FILE);
	fx_destroy(x);
}

static void set_mtime(const char *path, int64_t when)
{
	const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* What was never closed is put as it is once nothing came for so long; if it grows after all, what is there then is put, too. */
static void test_dead_recording(void **state)
{
	struct fixture *x = fx_open(false, false);
	char why[128], last[128], more[128];
	size_t len, cut;
	uint8_t *data;
	int dir;

	(void)state;
	fx_small(x, true);
	fx_name(x, 1, last);
	data = fx_read(last, &len);
	cut = len - 100;
	assert_int_equal(truncate(last, (off_t)cut), 0);
	set_mtime(last, NOW - 31 * DAY);
	dir = open_dir(x->dir);
	assert_int_equal(due(dir, NOW), 1);
	confirm(dir, &s.jobs[0], NOW);
	assert_int_equal(due(dir, NOW), 0);
	/* whoever takes it for one that is over wants all of it, by no clock */
	assert_int_equal(archive_confirmed(dir, false, why, sizeof(why)), 0);
	assert_string_equal(why, "00000001.brec is not in the object store");
	assert_int_equal(due_or_dead(dir, NOW, NOW - 31 * DAY), 0);
	assert_int_equal(due_or_dead(dir, NOW, NOW - 30 * DAY), 1);
	assert_string_equal(s.jobs[0].name, "00000001.brec");
	assert_true(s.jobs[0].dead && s.jobs[0].over && !s.jobs[0].again);
	confirm(dir, &s.jobs[0], NOW);
	assert_int_equal(due_or_dead(dir, NOW, NOW - 30 * DAY), 0);
	assert_int_equal(archive_confirmed(dir, false, why, sizeof(why)), 1);
	assert_int_equal(archive_confirmed(dir, true, why, sizeof(why)), 0);
	assert_string_equal(why, "its end is not in the object store");
	/* it lives: it waits for its seal, and is not confirmed; a later segment shows that it has one */
	fx_write(last, data, len - 1);
	set_mtime(last, NOW);
	assert_int_equal(due_or_dead(dir, NOW, NOW - 30 * DAY), 0);
	assert_int_equal(archive_confirmed(dir, false, why, sizeof(why)), 0);
	fx_write(last, data, len);
	fx_name(x, 2, more);
	fx_write(more, data, 10);
	assert_int_equal(due(dir, NOW), 1);
	assert_string_equal(s.jobs[0].name, "00000001.brec");
	assert_true(s.jobs[0].again && !s.jobs[0].dead);
	assert_int_equal(s.jobs[0].len, len);
	confirm(dir, &s.jobs[0], NOW);
	assert_int_equal(due(dir, NOW), 0);
	/* a sealed one behind which nothing came is put as sealed; an empty file has nothing to be put */
	assert_int_equal(unlink(last), 0);
	assert_int_equal(truncate(more, 0), 0);
	set_mtime(more, NOW - 31 * DAY);
	assert_int_equal(due_or_dead(dir, NOW, NOW - 30 * DAY), 0);
	assert_int_equal(archive_confirmed(dir, false, why, sizeof(why)), 1);
	assert_int_equal(unlink(more), 0);
	fx_name(x, 0, last);
	remove_file(x->dir, ARCHIVE_FILE);
	set_mtime(last, NOW - 31 * DAY);
	assert_int_equal(due(dir, NOW), 0);
	assert_int_equal(due_or_dead(dir, NOW, NOW - 30 * DAY), 1);
	assert_true(s.jobs[0].over && !s.jobs[0].dead);
	free(data);
	close(dir);
	fx_destroy(x);
}

/* What was open when it was put may have grown to a signature; what was sealed or closed may not, nor become something else. */
static void test_grew(void **state)
{
	struct fixture *x = fx_open(false, false);
	uint8_t *data[2], *bad;
	size_t len[2];
	char name[128];

	(void)state;
	fx_small(x, false);
	for (uint32_t i = 0; i < 2; i++) {
		fx_name(x, i, name);
		data[i] = fx_read(name, &len[i]);
		/* the first one is sealed; nobody signed in the second one yet */
		for (size_t cut = 0; cut < len[i]; cut++) {
			assert_int_equal(archive_segment_grew(data[i], cut, data[i], len[i], i), i == 0);
			assert_false(archive_segment_grew(data[i], len[i], data[i], cut, i));
			assert_false(archive_segment_grew(data[i], cut, data[i], len[i], 1 - i));
		}
		assert_false(archive_segment_grew(data[i], 100, data[i], 101, i));
		assert_false(archive_segment_grew(data[i], len[i], data[i], len[i], i));
		/* behind its end */
		bad = calloc(1, len[i] + 100);
		memcpy(bad, data[i], len[i]);
		assert_false(archive_segment_grew(data[i], len[i], bad, len[i] + 100, i));
		/* another byte before, or no frame behind */
		bad[len[i] - 1] ^= 1;
		assert_false(archive_segment_grew(data[i], 100, bad, len[i], i));
		assert_false(archive_segment_grew(data[i], len[i] - 1, bad, len[i], i));
		bad[len[i] - 1] ^= 1;
		bad[50] ^= 1;
		assert_false(archive_segment_grew(data[i], 100, bad, len[i], i));
		free(bad);
	}
	free(data[0]);
	free(data[1]);
	fx_destroy(x);
}

/* A clock that leaps declares nothing dead. */
static void test_dead_before(void **state)
{
	(void)state;
	assert_int_equal(archive_dead_before(NOW, NOW), NOW - 30 * DAY);
	assert_int_equal(archive_dead_before(NOW, NOW - DAY), NOW - 30 * DAY);
	assert_int_equal(archive_dead_before(NOW, NOW + DAY), NOW - 30 * DAY);
	assert_true(archive_dead_before(NOW, 0) == ARCHIVE_NONE_DEAD);
	assert_true(archive_dead_before(NOW, NOW - DAY - 1) == ARCHIVE_NONE_DEAD);
	assert_true(archive_dead_before(NOW, NOW + DAY + 1) == ARCHIVE_NONE_DEAD);
}

static void test_hold_and_conflicts(void **state)
{
	struct fixture *x = fx_open(false, false);
	static const char other[] = "other bytes for a frame";
	char path[160], name[64], hex[2 * HASH_LEN + 1];
	uint8_t hash[HASH_LEN];
	int dir;

	(void)state;
	fx_small(x, true);
	dir = open_dir(x->dir);
	assert_int_equal(due(dir, NOW), 2);
	assert_false(s.held);
	sha256_spans(hash, SPANS(SPAN(other, sizeof(other))));
	snprintf(name, sizeof(name), "conflict-00000000000000000007-%.16s", hex_encode(hex, hash, HASH_LEN));
	snprintf(path, sizeof(path), "%s/%s", x->dir, name);
	/* not written to its end: the name says so */
	fx_write(path, other, sizeof(other) - 1);
	assert_int_equal(due(dir, NOW), 2);
	fx_write(path, other, sizeof(other));
	assert_int_equal(due(dir, NOW), 3);
	snprintf(path, sizeof(path), "%s/" ARCHIVE_HOLD, x->dir);
	fx_write(path, "", 0);
	assert_int_equal(due(dir, NOW), 3);
	assert_true(s.held);
	/* what was put before the hold came is put once more; what was put since is not */
	confirm(dir, &s.jobs[0], NOW);
	confirm(dir, &s.jobs[1], NOW);
	assert_int_equal(due(dir, NOW), 3);
	assert_true(s.jobs[0].again && s.jobs[1].again && !s.jobs[2].again);
	assert_int_equal(s.bytes, s.jobs[2].len);
	for (size_t i = 0; i < 3; i++) {
		struct archive_item held = { .size = s.jobs[i].len, .until = archive_until(&rules, NOW, false), .when = NOW, .held = true };

		memcpy(held.name, s.jobs[i].name, sizeof(held.name));
		assert_int_equal(archive_list_put(&s.list, dir, &held), 0);
	}
	assert_int_equal(due(dir, NOW), 0);
	close(dir);
	remove_file(x->dir, ARCHIVE_FILE);
	remove_file(x->dir, name);
	remove_file(x->dir, ARCHIVE_HOLD);
	fx_destroy(x);
}

/* No cut and no changed byte of a segment is taken for a complete one. */
static void test_segment_state(void **state)
{
	struct fixture *x = fx_open(false, false);
	char name[128];
	uint8_t *data;
	size_t len;

	(void)state;
	fx_small(x, true);
	for (uint32_t n = 0; n < 2; n++) {
		const enum archive_segment whole = n == 0 ? ARCHIVE_SEALED : ARCHIVE_CLOSED;

		fx_name(x, n, name);
		data = fx_read(name, &len);
		assert_int_equal(archive_segment_state(data, len, n), whole);
		assert_int_equal(archive_segment_state(data, len, n + 1), ARCHIVE_DAMAGED);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(archive_segment_state(data, cut, n), ARCHIVE_OPEN);
		assert_int_equal(archive_segment_state(data, len + 1, n), ARCHIVE_DAMAGED);
		for (size_t at = len - 200; at < len; at++) {
			enum archive_segment changed;

			data[at] ^= 0x10;
			changed = archive_segment_state(data, len, n);
			assert_true(changed == ARCHIVE_DAMAGED || changed == ARCHIVE_OPEN);
			data[at] ^= 0x10;
		}
		free(data);
	}
	fx_destroy(x);
}

/* ---- time ---- */

/* Whenever a recording closes, each of its objects is locked for the retention from then on, if it was looked at once an hour. */
static void test_locked_from_close(void **state)
{
	static const int64_t lengths[] = { 1, 3600, DAY, 7 * DAY, 8 * DAY, 30 * DAY, 200 * DAY };

	(void)state;
	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		struct fixture *x = fx_open(false, false);
		int64_t t = NOW, until;
		unsigned puts = 0;
		int dir;

		fx_small(x, false);
		dir = open_dir(x->dir);
		for (; t < NOW + lengths[k]; t += 3600) {
			/* a segment that was put a moment ago says that the session goes on */
			struct archive_item alive = { .name = "00000099.brec", .size = 1, .until = t + 1000 * DAY, .when = t };

			if (due(dir, t) != 0) {
				puts++;
				assert_int_equal(s.njobs, 1);
				assert_int_equal(s.jobs[0].again, puts > 1);
				confirm(dir, &s.jobs[0], t);
			}
			assert_int_equal(archive_list_put(&s.list, dir, &alive), 0);
			assert_true(archive_list_find(&s.list, "00000000.brec")->until >= t + rules.retention);
		}
		assert_int_equal(puts, 1 + (unsigned)((lengths[k] - 1) / (7 * DAY)));
		until = archive_until(&rules, t, true);
		assert_int_equal(archive_list_close(&s.list, dir, 1, until, t), 0);
		if (due(dir, t) != 0)
			confirm(dir, &s.jobs[0], t);
		assert_true(archive_list_find(&s.list, "00000000.brec")->until >= until);
		close(dir);
		remove_file(x->dir, ARCHIVE_FILE);
		fx_destroy(x);
	}
}

static void test_needed(void **state)
{
	struct archive_item i = { .name = "00000000.brec", .when = NOW };
	struct archive_list l = { .v = &i, .n = 1 };

	(void)state;
	assert_int_equal(archive_until(&rules, NOW, true), NOW + 90 * DAY);
	assert_int_equal(archive_until(&rules, NOW, false), NOW + 97 * DAY);
	assert_int_equal(archive_needed(&rules, &l, NOW), NOW + 90 * DAY);
	/* nobody adds to it any more: its locks end one day */
	assert_int_equal(archive_needed(&rules, &l, NOW + 8 * DAY), 0);
	l.closed = true;
	l.close_until = NOW + 91 * DAY;
	assert_int_equal(archive_needed(&rules, &l, NOW + 300 * DAY), NOW + 91 * DAY);
	/* a greater retention is for what closed before, too, unless it is over; a smaller one is not */
	l.close_when = NOW + DAY;
	assert_int_equal(archive_needed(&rules, &l, NOW), NOW + 91 * DAY);
	assert_int_equal(archive_needed(&(struct archive_rules){ 365 * DAY, 7 * DAY }, &l, NOW), NOW + 91 * DAY); /* the clock was ahead */
	assert_int_equal(archive_needed(&(struct archive_rules){ 365 * DAY, 7 * DAY }, &l, NOW + 300 * DAY), NOW + 366 * DAY);
	assert_int_equal(archive_needed(&(struct archive_rules){ 365 * DAY, 7 * DAY }, &l, NOW + 366 * DAY), NOW + 91 * DAY);
	assert_int_equal(archive_needed(&(struct archive_rules){ 30 * DAY, 7 * DAY }, &l, NOW + 2 * DAY), NOW + 91 * DAY);
}

static void test_spool(void **state)
{
	enum archive_spool p = ARCHIVE_SPOOL_LOW;

	(void)state;
	assert_int_equal(p = archive_spool_state(p, 499, 1000), ARCHIVE_SPOOL_LOW);
	assert_int_equal(p = archive_spool_state(p, 500, 1000), ARCHIVE_SPOOL_HALF);
	assert_int_equal(p = archive_spool_state(p, 401, 1000), ARCHIVE_SPOOL_HALF);
	assert_int_equal(p = archive_spool_state(p, 999, 1000), ARCHIVE_SPOOL_HALF);
	assert_int_equal(p = archive_spool_state(p, 1000, 1000), ARCHIVE_SPOOL_FULL);
	assert_int_equal(p = archive_spool_state(p, 901, 1000), ARCHIVE_SPOOL_FULL);
	assert_int_equal(p = archive_spool_state(p, 899, 1000), ARCHIVE_SPOOL_HALF);
	assert_int_equal(p = archive_spool_state(p, 399, 1000), ARCHIVE_SPOOL_LOW);
	assert_int_equal(archive_spool_state(ARCHIVE_SPOOL_LOW, UINT64_MAX, 1000), ARCHIVE_SPOOL_FULL);
	assert_int_equal(archive_pause_ms(1), 500);
	assert_int_equal(archive_pause_ms(2), 1000);
	assert_int_equal(archive_pause_ms(4000000000U), 30000);
}

/* ---- the list ---- */

static void test_list(void **state)
{
	char dir[] = "/tmp/bastiond-archive-XXXXXX", path[64];
	struct archive_item i = { .size = 4096, .until = NOW, .when = NOW - 1, .version = "aB3._-" };
	struct archive_list l, again;
	uint8_t *data;
	size_t len;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open_dir(dir);
	assert_int_equal(archive_list_load(&l, fd), 0);
	assert_int_equal(l.n, 0);
	for (int n = 99; n >= 0; n--) {
		snprintf(i.name, sizeof(i.name), "%08d.brec", n);
		memset(i.hash, n, HASH_LEN);
		assert_int_equal(archive_list_put(&l, fd, &i), 0);
	}
	i.until = NOW + 5;
	assert_int_equal(archive_list_put(&l, fd, &i), 0);
	assert_int_equal(archive_list_close(&l, fd, 99, NOW + 7, NOW), 0);
	archive_list_free(&l);
	assert_int_equal(archive_list_load(&l, fd), 0);
	assert_int_equal(l.n, 100);
	assert_true(l.closed && l.close_segment == 99 && l.close_until == NOW + 7 && l.close_when == NOW);
	assert_int_equal(archive_list_find(&l, "00000000.brec")->until, NOW + 5);
	assert_int_equal(archive_list_find(&l, "00000050.brec")->hash[31], 50);
	assert_string_equal(archive_list_find(&l, "00000050.brec")->version, "aB3._-");
	assert_null(archive_list_find(&l, "00000100.brec"));
	archive_list_free(&l);

	/* cut anywhere, or with any byte changed, it says less, never more; and it goes on from there */
	snprintf(path, sizeof(path), "%s/" ARCHIVE_FILE, dir);
	data = fx_read(path, &len);
	for (size_t at = len - 300; at < len; at++) {
		fx_write(path, data, at);
		assert_int_equal(archive_list_load(&l, fd), 0);
		assert_false(l.closed);
		assert_true(l.end <= (off_t)at && (l.end == 0 || data[l.end - 1] == '\n'));
		assert_int_equal(archive_list_close(&l, fd, 99, NOW + 9, NOW), 0);
		assert_int_equal(archive_list_load(&again, fd), 0);
		assert_int_equal(again.n, l.n);
		assert_int_equal(again.end, l.end);
		assert_int_equal(again.close_until, NOW + 9);
		archive_list_free(&again);
		archive_list_free(&l);
		data[at] ^= 4;
		fx_write(path, data, len);
		assert_int_equal(archive_list_load(&l, fd), 0);
		assert_false(l.closed);
		archive_list_free(&l);
		data[at] ^= 4;
	}
	free(data);
	unlink(path);
	close(fd);
	rmdir(dir);
}

static int teardown(void **state)
{
	(void)state;
	archive_scan_free(&s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_open_recording, teardown), cmocka_unit_test_teardown(test_closed_recording, teardown),
		cmocka_unit_test_teardown(test_dead_recording, teardown), cmocka_unit_test(test_dead_before), cmocka_unit_test(test_grew),
		cmocka_unit_test_teardown(test_hold_and_conflicts, teardown), cmocka_unit_test(test_segment_state),
		cmocka_unit_test_teardown(test_locked_from_close, teardown), cmocka_unit_test(test_needed), cmocka_unit_test(test_spool),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
