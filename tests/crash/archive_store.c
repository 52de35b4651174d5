/*
 * archive_store.c - the store on disk whose archiver is tortured: some recordings, and a log that grows. See archive.c.
 */
#include "archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "brec.h"
#include "tlog_writer.h"
#include "wire_receipt.h"

#define WALL 1763800000000000LL

static struct sign_key *key;

void die(const char *what)
{
	fprintf(stderr, "archive: %s: %s\n", what, strerror(errno));
	exit(1);
}

void write_file(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	if (f == NULL || fwrite(data, 1, len, f) != len || fclose(f) != 0)
		die(path);
}

static void make_segment(const char *path, const uint8_t id[BREC_ID_LEN], uint32_t n, uint8_t h[BREC_HASH_LEN], uint64_t *seq, bool last)
{
	uint8_t part[1 + 1 + 32 + 4 + 64] = { 1 };
	struct brec_header header = { .segment = n, .first_seq = *seq + 1, .wall_us = WALL, .part = part, .part_len = sizeof(part) };
	char name[256];
	struct buf b;

	part[1 + 1 + 32 + 3] = 1;
	memcpy(header.id, id, BREC_ID_LEN);
	if (n != 0)
		memcpy(header.prev, h, BREC_HASH_LEN);
	buf_init(&b, 1 << 20);
	if (brec_header_build(&b, &header, key) != 0 || brec_chain_start(h, b.data, b.len) != 0)
		die("header");
	for (unsigned i = 0; i < 5; i++) {
		const size_t at = b.len;
		struct brec_mark m = { .type = i < 4 ? BREC_CHECKPOINT : last ? BREC_CLOSE : BREC_SEAL, .seq = ++*seq, .epoch = n, .wall_us = WALL,
			.end = BREC_END_NORMAL };

		memcpy(m.h, h, BREC_HASH_LEN);
		if (brec_mark_build(&b, id, &m, key) != 0 || brec_chain_add(h, b.data + at, b.len - at) != 0)
			die("frame");
	}
	snprintf(name, sizeof(name), "%s/%08u.brec", path, (unsigned)n);
	write_file(name, b.data, b.len);
	buf_finish(&b);
}

void rec_path(char path[200], unsigned i)
{
	snprintf(path, 200, "%s/recordings/2025-11-22/%032x", dir, i + 1);
}

static void make_recording(unsigned i)
{
	uint8_t id[BREC_ID_LEN] = { 0 }, h[BREC_HASH_LEN] = { 0 };
	struct receipt r = { .leaves = 1 };
	char path[200], name[256];
	uint64_t seq = 0;
	struct buf b;

	id[BREC_ID_LEN - 1] = (uint8_t)(i + 1);
	rec_path(path, i);
	if (mkdir(path, 0750) != 0)
		die(path);
	buf_init(&b, 4096);
	for (uint32_t n = 0; n < SEGMENTS; n++) {
		make_segment(path, id, n, h, &seq, n == SEGMENTS - 1);
		r.wall_us = n;
		receipt_put(&b, &r);
	}
	snprintf(name, sizeof(name), "%s/receipts", path);
	write_file(name, b.data, b.len);
	buf_finish(&b);
}

void grow_log(unsigned more)
{
	static struct tlog_writer w;
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/log", dir);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY)) < 0 || tlog_writer_open(&w, fd, key, "model") != 0)
		die(path);
	for (; more > 0; more--, shared->leaves++) {
		char leaf[32];

		snprintf(leaf, sizeof(leaf), "leaf %u", shared->leaves);
		if (tlog_writer_add(&w, shared->leaves, (const uint8_t *)leaf, strlen(leaf)) != 0)
			die("leaf");
	}
	if (tlog_writer_publish(&w, WALL / 1000000 + shared->leaves * 1800) != 0)
		die("checkpoint");
	tlog_writer_finish(&w);
}

void make_store(void)
{
	char path[200];

	key = sign_key_generate();
	for (const char *const *p = (const char *const[]){ "", "/recordings", "/recordings/2025-11-22", "/log", NULL }; *p != NULL; p++) {
		snprintf(path, sizeof(path), "%s%s", dir, *p);
		if (mkdir(path, 0755) != 0)
			die(path);
	}
	for (unsigned i = 0; i < RECORDINGS; i++)
		make_recording(i);
	grow_log(0);
	grow_log(300);
	snprintf(path, sizeof(path), "%s/credentials", dir);
	write_file(path, "aws_access_key_id = a\naws_secret_access_key = b\n", 48);
	if (chmod(path, 0600) != 0)
		die(path);
}
