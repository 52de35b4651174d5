/*
 * test_tlog.c - the log of recordings against the vectors of others (RFC 6962's tree as Certificate Transparency publishes it, a
 * public key of signed notes), and the files of the writer: after any stop the leaves that come again make the same root, and a
 * log that is not what its checkpoint promised is refused.
 *
 * WRAP: write
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive_log.h"
#include "hex.h"
#include "tlog_tree.h"
#include "tlog_writer.h"

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

static int writes_left = -1;	/* then the disk is full; -1: never */

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (writes_left == 0) {
		errno = ENOSPC;
		return -1;
	}
	writes_left -= writes_left > 0;
	return __real_write(fd, data, len);
}

/* ---- tree ---- */

static void test_tree_vectors(void **state)
{
	static const char *const leaves[] = { "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
		"606162636465666768696a6b6c6d6e6f" };
	static const char *const roots[] = { "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" };
	uint8_t root[HASH_LEN], leaf[16], hash[8][HASH_LEN], copy[8][HASH_LEN];
	struct tlog_peaks p = { 0 };
	struct tlog_path path[8];
	char hex[65];

	(void)state;
	for (size_t n = 1; n <= 8; n++) {
		const size_t len = strlen(leaves[n - 1]) / 2;

		assert_int_equal(hex_decode(leaf, len, leaves[n - 1]), 0);
		assert_int_equal(tlog_hash_leaf(hash[n - 1], leaf, len), 0);
		assert_int_equal(tlog_peaks_add(&p, hash[n - 1]), 0);
		assert_int_equal(tlog_peaks_root(&p, root), 0);
		assert_string_equal(hex_encode(hex, root, sizeof(root)), roots[n - 1]);
		memcpy(copy, hash, sizeof(copy));
		for (size_t i = 0; i < n; i++)
			path[i].index = i;
		assert_int_equal(tlog_paths(path, n, copy, n, root), 0);
		assert_string_equal(hex_encode(hex, root, sizeof(root)), roots[n - 1]);
		for (size_t i = 0; i < n; i++) {
			assert_true(tlog_path_holds(&path[i], hash[i], n, root));
			assert_false(tlog_path_holds(&path[i], hash[(i + 1) % 8], n, root));
			path[i].index ^= 1;
			assert_false(n > 1 && tlog_path_holds(&path[i], hash[i], n, root));
			path[i].index ^= 1;
			path[i].len++;
			assert_false(tlog_path_holds(&path[i], hash[i], n, root));
		}
	}
}

/* ---- notes ---- */

static void test_notes(void **state)
{
	static const char neumann[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
	struct sign_key *key = sign_key_generate(), *other = sign_key_generate();
	char text[TLOG_VKEY_MAX + 1];
	uint8_t pub[KEY_LEN], root[HASH_LEN] = { 7 }, line[256];
	struct tlog_checkpoint c;
	struct tlog_vkey k;
	struct buf b;
	size_t len;

	(void)state;
	assert_int_equal(tlog_vkey_parse(&k, neumann), 0);
	assert_string_equal(k.name, "PeterNeumann");
	assert_string_equal(tlog_vkey_format(text, &k), neumann);
	text[14] ^= 1;	/* a key id that does not fit */
	assert_int_equal(tlog_vkey_parse(&k, text), -1);
	buf_init(&b, TLOG_NOTE_MAX);
	assert_int_equal(tlog_checkpoint_make(&b, "example.com/log", 1234, root, key), 0);
	assert_int_equal(tlog_checkpoint_parse(&c, b.data, b.len), 0);
	assert_string_equal(c.origin, "example.com/log");
	assert_int_equal(c.size, 1234);
	assert_memory_equal(c.root, root, sizeof(root));
	sign_key_public(key, pub);
	assert_true(tlog_checkpoint_signed(&c, pub));
	sign_key_public(other, pub);
	assert_false(tlog_checkpoint_signed(&c, pub));
	sign_key_public(key, pub);
	for (size_t i = 0; i < 8 * b.len; i++) {	/* every bit */
		b.data[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(tlog_checkpoint_parse(&c, b.data, b.len) == 0 && tlog_checkpoint_signed(&c, pub));
		b.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(tlog_checkpoint_parse(&c, b.data, n), -1);
	/* its line twice, and one that is false behind it; and as many lines as there may be, and one more */
	len = b.len - c.text_len - 1;
	assert_true(len <= sizeof(line));
	memcpy(line, b.data + c.text_len + 1, len);
	for (unsigned lines = 2; lines <= TLOG_SIGS_MAX + 1; lines++) {
		assert_int_equal(buf_put(&b, line, len), 0);
		assert_int_equal(tlog_checkpoint_parse(&c, b.data, b.len), lines <= TLOG_SIGS_MAX ? 0 : -1);
		if (lines == 2) {
			assert_true(tlog_checkpoint_signed(&c, pub));
			b.data[b.len - 10] ^= 1;
			assert_false(tlog_checkpoint_signed(&c, pub));
			b.data[b.len - 10] ^= 1;
		}
	}
	buf_finish(&b);
	sign_key_destroy(key);
	sign_key_destroy(other);
}

/* ---- the writer ---- */

struct rig {
	char path[64];
	struct sign_key *key;
	struct tlog_writer *w;
	struct tlog_peaks truth;	/* of all leaves that were added */
};

static size_t make_leaf(uint8_t out[TLOG_LEAF_MAX], uint64_t index)
{
	return (size_t)snprintf((char *)out, TLOG_LEAF_MAX, "leaf %llu%.*s", (unsigned long long)index, (int)(index % 50),
	    "..................................................");
}

static void open_writer(struct rig *g)
{
	assert_int_equal(tlog_writer_open(g->w, open(g->path, O_RDONLY | O_DIRECTORY), g->key, "test"), 0);
}

static void reopen(struct rig *g)
{
	tlog_writer_finish(g->w);
	open_writer(g);
}

/* A shell command with the log's directory as $D. */
static void sh(const struct rig *g, const char *command)
{
	assert_int_equal(setenv("D", g->path, 1), 0);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	strcpy(g->path, "/dev/shm/test_tlog.XXXXXX");
	assert_non_null(mkdtemp(g->path));
	g->key = sign_key_generate();
	g->w = calloc(1, sizeof(*g->w));
	open_writer(g);
	*state = g;
	return 0;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static int teardown(void **state)
{
	struct rig *g = *state;

	writes_left = -1;
	tlog_writer_finish(g->w);
	nftw(g->path, drop, 16, FTW_DEPTH | FTW_PHYS);
	sign_key_destroy(g->key);
	free(g->w);
	free(g);
	return 0;
}

static void add(struct rig *g, uint64_t from, uint64_t to)
{
	uint8_t leaf[TLOG_LEAF_MAX], hash[HASH_LEN];

	for (; from < to; from++) {
		size_t len = make_leaf(leaf, from);

		assert_int_equal(tlog_writer_add(g->w, from, leaf, len), 0);
		if (from == g->truth.size) {
			tlog_hash_leaf(hash, leaf, len);
			tlog_peaks_add(&g->truth, hash);
		}
	}
}

/* The checkpoint in the file says what all leaves so far make. */
static void assert_published(struct rig *g, uint64_t size)
{
	uint8_t root[HASH_LEN], pub[KEY_LEN];
	char path[96], note[TLOG_NOTE_MAX];
	struct tlog_checkpoint c;
	FILE *f;

	assert_int_equal(tlog_writer_publish(g->w, 1), 0);
	snprintf(path, sizeof(path), "%s/checkpoint", g->path);
	assert_non_null(f = fopen(path, "r"));
	assert_int_equal(tlog_checkpoint_parse(&c, note, fread(note, 1, sizeof(note), f)), 0);
	fclose(f);
	sign_key_public(g->key, pub);
	assert_true(tlog_checkpoint_signed(&c, pub));
	assert_int_equal(c.size, size);
	assert_int_equal(g->truth.size, size);
	tlog_peaks_root(&g->truth, root);
	assert_memory_equal(c.root, root, sizeof(root));
}

static void test_grows(void **state)
{
	struct rig *g = *state;

	add(g, 0, 0);
	assert_int_equal(tlog_writer_check(g->w), 0);
	assert_published(g, 0);
	for (uint64_t n = 0; n < 70000; n = g->w->size) {
		add(g, n, n + 1 + n / 3);
		assert_published(g, g->w->size);
		if (n % 2 == 0)
			tlog_writer_settle(g->w);
	}
	/* the end: nothing comes from the journal */
	reopen(g);
	assert_int_equal(tlog_writer_exists(g->w), 1);
	assert_int_equal(tlog_writer_check(g->w), 0);
	add(g, g->truth.size, g->truth.size + 300);
	assert_published(g, g->truth.size);
}

/* After a crash everything since the last settle comes again, over files that a power cut took. */
static void test_power_cut(void **state)
{
	static const uint64_t settled[] = { 0, 1, 255, 256, 257, 700, 65536, 65800 };
	static const uint64_t grown[] = { 1, 200, 256, 257, 600, 1300, 65700, 66400 };
	struct rig *g = *state;

	for (size_t i = 0; i < sizeof(settled) / sizeof(settled[0]); i++) {
		const uint64_t from = settled[i], to = grown[i];

		add(g, g->w->size, from);
		if (from == 0)
			assert_int_equal(tlog_writer_check(g->w), 0);
		assert_published(g, from);
		tlog_writer_settle(g->w);
		sh(g, "rm -rf $D.disk && cp -a $D $D.disk");
		add(g, from, to);
		assert_published(g, to);
		tlog_writer_settle(g->w);
		/* of what came since, only the newest checkpoint reached the disk, or not even that */
		sh(g, "cp $D/checkpoint $D.cp; rm -rf $D/*; mv $D.disk/* $D/");
		if (i % 2)
			sh(g, "mv $D.cp $D/checkpoint");
		reopen(g);
		add(g, from, to);
		assert_int_equal(tlog_writer_check(g->w), 0);
		assert_published(g, to);
	}
	sh(g, "rm -rf $D.disk $D.cp");
}

static void test_full_disk(void **state)
{
	struct rig *g = *state;
	uint8_t leaf[TLOG_LEAF_MAX];

	add(g, 0, 255);
	assert_published(g, 255);
	for (int n = 0; n < 2; n++) {
		writes_left = n;
		assert_int_equal(tlog_writer_add(g->w, 255, leaf, make_leaf(leaf, 255)), -1);
		assert_int_equal(errno, ENOSPC);
	}
	writes_left = -1;
	add(g, 255, 256);
	for (int n = 0; n < 2; n++) {	/* the first time the tile, then the checkpoint to be kept */
		writes_left = n;
		assert_int_equal(tlog_writer_publish(g->w, 4000), -1);
	}
	writes_left = -1;
	add(g, 256, 300);
	assert_published(g, 300);
}

/* Another key signs the newest checkpoint; the one that was kept stays as it was, as somebody may have stamped it. */
static void test_another_key(void **state)
{
	struct rig *g = *state;
	struct sign_key *key = sign_key_generate();
	char note[TLOG_NOTE_MAX], kept[TLOG_NOTE_MAX];
	size_t len, kept_len;
	uint64_t size;

	add(g, 0, 5);
	assert_published(g, 5);
	sh(g, "cmp -s $D/checkpoint $D/checkpoint.5 && cp $D/checkpoint.5 $D.before");
	assert_int_equal(tlog_writer_key(g->w, key, 5000), 0);
	sh(g, "cmp -s $D.before $D/checkpoint.5 && ! cmp -s $D/checkpoint $D/checkpoint.5");
	/* and what is put into an object store once more has the bytes of before */
	assert_int_equal(archive_log_checkpoint(g->w->dir, "checkpoint.5", kept, &kept_len, &size), 1);
	assert_int_equal(archive_log_newest(g->w->dir, note, &len, &size), 1);
	assert_true(size == 5 && len == kept_len && memcmp(note, kept, len) == 0);
	/* a part of one, as a power cut leaves it, is replaced */
	sh(g, "head -c 20 $D.before >$D/checkpoint.5");
	assert_int_equal(tlog_writer_key(g->w, key, 5000), 0);
	sh(g, "cmp -s $D/checkpoint $D/checkpoint.5 && rm $D.before");
	sign_key_destroy(key);
}

static int refused(struct rig *g)
{
	int r;

	reopen(g);
	r = tlog_writer_check(g->w);
	return r == -1 && errno == EBADMSG && g->w->why[0] != '\0';
}

static void test_refuses(void **state)
{
	struct rig *g = *state;
	uint8_t leaf[TLOG_LEAF_MAX];

	add(g, 0, 300);
	assert_published(g, 300);
	add(g, 300, 301);
	assert_published(g, 301);
	/* a tile was changed: the root is another one */
	sh(g, "cp -a $D $D.good; printf x | dd conv=notrunc status=none bs=1 seek=40 of=$D/tile/0/001.p/45");
	assert_true(refused(g));
	/* the checkpoint is gone back to, and a kept one says more */
	sh(g, "cp $D.good/tile/0/001.p/45 $D/tile/0/001.p/; mv $D/checkpoint $D/checkpoint.301; cp $D/checkpoint.300 $D/checkpoint");
	assert_true(refused(g));
	assert_non_null(strstr(g->w->why, "301"));
	/* other leaves come from the journal than those that were signed */
	sh(g, "rm -rf $D/*; cp -a $D.good/* $D/; rm -rf $D.good");
	reopen(g);
	assert_int_equal(tlog_writer_add(g->w, 300, leaf, make_leaf(leaf, 299)), -1);
	assert_int_equal(errno, EBADMSG);
	/* the journal begins behind the checkpoint */
	reopen(g);
	assert_int_equal(tlog_writer_add(g->w, 302, leaf, make_leaf(leaf, 302)), -1);
	assert_int_equal(errno, EBADMSG);
	/* a leaf is left out */
	reopen(g);
	add(g, 300, 301);
	assert_int_equal(tlog_writer_add(g->w, 302, leaf, make_leaf(leaf, 302)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_vectors), cmocka_unit_test(test_notes),
		cmocka_unit_test_setup_teardown(test_grows, setup, teardown), cmocka_unit_test_setup_teardown(test_power_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown), cmocka_unit_test_setup_teardown(test_another_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
