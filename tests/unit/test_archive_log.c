/*
 * test_archive_log.c - which files of the log of recordings are put into the object store, and which of them again: none that has changed here.
 */
#include "brec_fixture.h"

#include <fcntl.h>
#include <time.h>

#include "archive_log.h"
#include "tlog_writer.h"

#define DAY 86400
#define NOW 1800000000

static const struct archive_rules rules = { 90 * DAY, 7 * DAY };

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	assert_true(fd >= 0);
	return fd;
}

static void remove_dir(const char *dir)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

/* One tree after the other, each tile is put when it is first full, and each partial one that a checkpoint needs. */
static void test_tiles(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 2, 255, 256, 257, 511, 512, 700, 65535, 65536, 65537, 70000, 131072, 200000 };

	(void)state;
	for (size_t a = 0; a < sizeof(sizes) / sizeof(sizes[0]); a++)
		for (size_t b = a; b < sizeof(sizes) / sizeof(sizes[0]); b++) {
			struct archive_tiles t = { .from = sizes[a], .to = sizes[b] };
			uint64_t n, got = 0, want = 0;
			unsigned width;
			int level;

			while (archive_tiles_next(&t, &level, &n, &width)) {
				const uint64_t all = t.to >> (8 * (level < 0 ? 0 : level));

				assert_true(width >= 1 && width <= TLOG_TILE && n * TLOG_TILE + width <= all);
				assert_true(width == TLOG_TILE || n == all / TLOG_TILE);
				got++;
			}
			for (level = TLOG_ENTRIES; level < TLOG_LEVELS; level++) {
				const int shift = 8 * (level < 0 ? 0 : level);
				const uint64_t before = t.from >> shift, all = t.to >> shift;

				for (n = 0; n * TLOG_TILE < all; n++)
					want += (n + 1) * TLOG_TILE > before && all != before;
			}
			assert_int_equal(got, want);
		}
}

/* Put again so early that no lock ends before the retention is over from any moment on; at once where nobody knows, by this clock, when it was put. */
static void test_renew_due(void **state)
{
	struct archive_item v[2] = { { .name = ARCHIVE_LOG_BEGUN, .when = NOW }, { .name = ARCHIVE_LOG_RENEWED, .when = NOW + 5 * DAY } };
	struct archive_list none = { 0 }, one = { .v = v, .n = 1 }, both = { .v = v, .n = 2 };
	const int64_t late = 7 * DAY - 7 * DAY / 8;

	(void)state;
	assert_true(archive_log_renew_due(&none, &rules, NOW) && archive_log_renew_due(&one, &rules, NOW - 1));
	assert_true(!archive_log_renew_due(&one, &rules, NOW + late - 1) && archive_log_renew_due(&one, &rules, NOW + late));
	assert_true(!archive_log_renew_due(&both, &rules, NOW + 5 * DAY + late - 1) && archive_until(&rules, NOW, false) - (NOW + late) >= rules.retention);
}

/* ---- is it what was put? ---- */

static void grow(int dir, const struct sign_key *key, uint64_t from, uint64_t to)
{
	static struct tlog_writer w;

	assert_int_equal(tlog_writer_open(&w, dup(dir), key, "test"), 0);
	for (; from < to; from++)
		assert_int_equal(tlog_writer_add(&w, from, (const uint8_t *)&from, sizeof(from)), 0);
	assert_int_equal(tlog_writer_publish(&w, 1000), 0);
	tlog_writer_finish(&w);
}

/* How many files of the log's tree of `size` leaves are not what they were. */
static unsigned unproven(int dir, uint64_t size)
{
	struct archive_tiles t = { .to = size };
	unsigned width, bad = 0;
	uint64_t n;
	size_t len;
	int level;

	while (archive_tiles_next(&t, &level, &n, &width)) {
		uint8_t *data = archive_tile_proven(dir, level, n, width, &len);

		bad += data == NULL;
		free(data);
	}
	return bad;
}

/* Whatever byte of the log changes on this disk, the file that has it is not put again; nor is one that is not as long, or not there. */
static void test_proven(void **state)
{
	static const char *const names[] = { "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88", "tile/0/000", "tile/0/001", "tile/0/002.p/88",
		"tile/1/000.p/2", TLOG_CHECKPOINT };
	char dir[] = "/tmp/bastiond-archive-XXXXXX", path[96];
	struct sign_key *key = sign_key_generate();
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open_dir(dir);
	for (uint64_t size = 0; size <= 600; size += 100) {
		/* those of an older tree are proven by the newest one */
		grow(fd, key, size > 100 ? size - 100 : 0, size);
		for (uint64_t before = 0; before <= size; before += 100)
			assert_int_equal(unproven(fd, before), 0);
	}
	/* a tree that is larger than the checkpoint's is not proven */
	assert_true(unproven(fd, 601) >= 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint8_t *data;
		size_t len;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		data = fx_read(path, &len);
		/* of the checkpoint its root: where the log is from nobody else here says */
		for (size_t at = strcmp(names[i], TLOG_CHECKPOINT) == 0 ? 12 : 0; at < len; at += strcmp(names[i], TLOG_CHECKPOINT) == 0 ? len : 617) {
			data[at] ^= 4;
			fx_write(path, data, len);
			assert_true(unproven(fd, 600) >= 1);
			data[at] ^= 4;
		}
		fx_write(path, data, len - 1);
		assert_true(unproven(fd, 600) >= 1);
		unlink(path);
		assert_true(unproven(fd, 600) >= 1);
		fx_write(path, data, len);
		free(data);
		assert_int_equal(unproven(fd, 600), 0);
	}
	close(fd);
	sign_key_destroy(key);
	remove_dir(dir);
}

static void test_kept(void **state)
{
	static const char *const names[] = { "checkpoint", "checkpoint.new", "checkpoint.5", "checkpoint.05", "checkpoint.7", "checkpoint.7.tsr",
		"checkpoint.7.cosigned", "checkpoint.7.x", "checkpoint.12" };
	char dir[] = "/tmp/bastiond-archive-XXXXXX", path[96], name[ARCHIVE_NAME_MAX + 1];
	struct archive_list l = { 0 };
	unsigned found = 0;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open_dir(dir);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		fx_write(path, "x", 1);
	}
	/* too young are the two of another program */
	while (archive_log_kept(fd, &l, 10, time(NULL), name) == 1) {
		struct archive_item i = { .size = 1 };

		memcpy(i.name, name, sizeof(i.name));
		assert_true(strcmp(name, "checkpoint.5") == 0 || strcmp(name, "checkpoint.7") == 0);
		assert_int_equal(archive_list_put(&l, fd, &i), 0);
		found++;
	}
	assert_int_equal(found, 2);
	while (archive_log_kept(fd, &l, 10, time(NULL) + 100, name) == 1) {
		struct archive_item i = { .size = 1 };

		memcpy(i.name, name, sizeof(i.name));
		assert_true(strcmp(name, "checkpoint.7.tsr") == 0 || strcmp(name, "checkpoint.7.cosigned") == 0);
		assert_int_equal(archive_list_put(&l, fd, &i), 0);
		found++;
	}
	assert_int_equal(found, 4);
	archive_list_free(&l);
	close(fd);
	remove_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiles), cmocka_unit_test(test_renew_due), cmocka_unit_test(test_proven), cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
