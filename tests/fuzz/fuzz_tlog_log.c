/*
 * fuzz_tlog_log.c - a log of recordings with any bytes in one of its files: read to a verdict, and called good only if nothing was changed.
 *
 * The log has 300 leaves: full and partial tiles, a full and a partial bundle. The input's first byte says which file, the second how: the rest is
 * the file's whole contents, or is written over some of it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tlog_reader.h"
#include "tlog_writer.h"

#define LEAVES 300
#define FILE_MAX (128U << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct { const char *name; } files[] = { { "checkpoint" }, { "tile/0/000" }, { "tile/0/001.p/44" }, { "tile/1/000.p/1" },
	{ "tile/entries/000" }, { "tile/entries/001.p/44" } };
#define NFILES (sizeof(files) / sizeof(files[0]))

static char path[] = "/dev/shm/fuzz_tlog_log.XXXXXX";
static int dir = -1;
static uint8_t pub[1][KEY_LEN], whole[NFILES][FILE_MAX];
static size_t whole_len[NFILES];

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void clean(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", path);
	if (system(command) != 0)
		_exit(1);
}

static void put(size_t i, const uint8_t *data, size_t len)
{
	int fd = openat(dir, files[i].name, O_WRONLY | O_TRUNC | O_CLOEXEC);

	must(fd >= 0 && write(fd, data, len) == (ssize_t)len && close(fd) == 0);
}

static void make_log(void)
{
	static const uint8_t seed[KEY_LEN] = { 7 };
	struct sign_key *key = sign_key_from_seed(seed);
	struct tlog_writer *w = calloc(1, sizeof(*w));

	must(key != NULL && w != NULL && mkdtemp(path) != NULL && atexit(clean) == 0 && (dir = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	sign_key_public(key, pub[0]);
	must(tlog_writer_open(w, dup(dir), key, "bastion.fuzz/log") == 0);
	for (unsigned i = 0; i < LEAVES; i++) {
		struct tlog_leaf leaf = { .type = i % 2 == 0 ? TLOG_OPEN : TLOG_CLOSE, .id = { (uint8_t)(i / 2), (uint8_t)(i / 512) }, .seq = i % 2,
			.end = BREC_END_NORMAL, .reason = "" };
		uint8_t bytes[TLOG_LEAF_MAX];

		must(tlog_writer_add(w, i, bytes, tlog_leaf_encode(bytes, &leaf)) == 0);
	}
	must(tlog_writer_publish(w, 1763800000) == 0);
	tlog_writer_finish(w);
	free(w);
	for (size_t i = 0; i < NFILES; i++) {
		int fd = openat(dir, files[i].name, O_RDONLY | O_CLOEXEC);

		must(fd >= 0 && (whole_len[i] = (size_t)read(fd, whole[i], FILE_MAX)) < FILE_MAX && close(fd) == 0);
	}
	sign_key_destroy(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[FILE_MAX];
	struct tlog_log log;
	size_t i, len, at;

	if (dir < 0)
		make_log();
	if (size < 4 || size - 4 > FILE_MAX / 2)
		return 0;
	i = data[0] % NFILES;
	memcpy(bytes, whole[i], whole_len[i]);
	len = whole_len[i];
	at = (size_t)(data[2] << 8 | data[3]) % (len + 1);
	if (data[1] % 4 == 0) {
		len = size - 4;
		at = 0;
	} else if (data[1] % 4 == 1) {
		len = at;	/* cut */
		size = 4;
	}
	memcpy(bytes + at, data + 4, size - 4);
	if (at + size - 4 > len)
		len = at + size - 4;
	put(i, bytes, len);
	tlog_read(&log, path, (const uint8_t (*)[KEY_LEN])pub, 1);
	if (log.state == TLOG_GOOD)
		must(len == whole_len[i] && memcmp(bytes, whole[i], len) == 0);
	else
		must(log.reason[0] != '\0');
	for (const char *p = log.reason; *p != '\0'; p++)
		must((unsigned char)*p >= 0x20 && *p != 0x7f);
	tlog_log_finish(&log);
	put(i, whole[i], whole_len[i]);
	return 0;
}
