/*
 * replay_index.c - see replay_search.h: the lines of recordings, kept on the auditor's machine.
 *
 * CACHE/bastion-replay/NAME/<id>.idx, NAME and the key from the auditor's identities:
 *   key  = HKDF-SHA-256(all secrets, info = "bastion-replay index key"), 32 bytes
 *   NAME = HKDF-SHA-256(all secrets, info = "bastion-replay index name"), 8 bytes in hexadecimal
 * so that another identity, which may read other things, has another index. A file:
 *   0   8   magic "BRIX\r\n\x1a\4" (files with \1 held what was typed without an echo, with \2 fewer commands, with \3 less text)
 *   8   16  salt, random
 *   24      blocks: u32 length of what follows, ciphertext and tag (16)
 * Each block is ChaCha20-Poly1305 with HKDF-SHA-256(key, salt = salt, info = recording id in
 * hexadecimal), nonce = 4 zero bytes ‖ u64 number of the block, from 0; AAD = u8 1 for the last
 * block, else 0: so a file that was cut, or belongs to another recording, does not open. Block 0 is
 * struct index_head, the others are lines: u8 kind, varint channel, varint µs, varint head, string.
 * Files appear whole, by rename. What does not open is made anew.
 */
#include "replay_search.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "hex.h"
#include "replay_dirs.h"

#define SALT_LEN 16
#define HEAD_LEN (2 * HASH_LEN + 8 + 1)
#define BLOCK_MAX (2U * INDEX_BLOCK)

static const uint8_t magic[8] = "BRIX\r\n\x1a\4";

/* ---- key and directory ---- */

/* mkdir for this user alone. 0, or -1 with errno. */
static int own_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -1;
	if (lstat(path, &st) != 0)
		return -1;
	errno = EPERM;
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0 ? 0 : -1;
}

static int complain(struct index *x, const char *why)
{
	char text[512];

	esc_quoted(text, sizeof(text), x->dir, strlen(x->dir));
	fprintf(stderr, "bastion-replay: no index is kept: %s: %s\n", text, why);
	x->dir[0] = '\0';
	return -1;
}

static int make_dirs(struct index *x, const char *name)
{
	const char *why;

	if (user_dir(x->dir, sizeof(x->dir) - 128, "XDG_CACHE_HOME", "/.cache", &why) != 0)
		return complain(x, why);
	if (mkdir(x->dir, 0700) != 0 && errno != EEXIST)
		return complain(x, strerror(errno));
	strcat(x->dir, "/bastion-replay");
	if (own_dir(x->dir) != 0)
		return complain(x, errno == EPERM ? "it must be this user's, with mode 0700" :
		    strerror(errno));
	strcat(x->dir, "/");
	strcat(x->dir, name);
	return own_dir(x->dir) == 0 ? 0 : complain(x, strerror(errno));
}

int index_init(struct index *x, const struct age_identities *ids)
{
	uint8_t secrets[AGE_KEYS_MAX * AGE_KEY_LEN], name[8];
	const size_t n = ids->n < AGE_KEYS_MAX ? ids->n : AGE_KEYS_MAX;
	char hex[2 * sizeof(name) + 1];
	struct span all = SPAN(secrets, n * AGE_KEY_LEN);
	int r;

	memset(x, 0, sizeof(*x));
	for (size_t i = 0; i < n; i++)
		memcpy(secrets + i * AGE_KEY_LEN, ids->v[i].secret, AGE_KEY_LEN);
	r = n == 0 ? -1 : hkdf_sha256(x->key, KEY_LEN, all, SPAN("", 0),
	    SPAN_STR("bastion-replay index key"));
	if (r == 0)
		r = hkdf_sha256(name, sizeof(name), all, SPAN("", 0),
		    SPAN_STR("bastion-replay index name"));
	explicit_bzero(secrets, sizeof(secrets));
	if (r != 0)
		return complain(x, "its key could not be made");
	return make_dirs(x, hex_encode(hex, name, sizeof(name)));
}

/* ---- blocks ---- */

struct file {
	FILE *f;
	struct aead aead;
	uint64_t block, text;
	char path[REPLAY_PATH_MAX + 64], temporary[REPLAY_PATH_MAX + 80];
};

static int open_aead(struct file *f, const struct index *x, const char *id, const uint8_t *salt,
    bool sealing)
{
	uint8_t key[KEY_LEN];
	int r = hkdf_sha256(key, sizeof(key), SPAN(x->key, KEY_LEN), SPAN(salt, SALT_LEN),
	    SPAN(id, strlen(id)));

	if (r == 0)
		r = aead_init(&f->aead, key, sealing);
	explicit_bzero(key, sizeof(key));
	return r;
}

static void make_nonce(const struct file *f, uint8_t nonce[AEAD_NONCE_LEN])
{
	memset(nonce, 0, AEAD_NONCE_LEN);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(f->block >> (56 - 8 * i));
}

static void close_file(struct file *f)
{
	if (f->f != NULL)
		fclose(f->f);
	aead_finish(&f->aead);
	f->f = NULL;
}

static int open_entry(struct file *f, const struct index *x, const char *id)
{
	uint8_t start[sizeof(magic) + SALT_LEN];

	memset(f, 0, sizeof(*f));
	if (x->dir[0] == '\0')
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/%s.idx", x->dir, id);
	if ((f->f = fopen(f->path, "re")) == NULL)
		return -1;
	if (fread(start, 1, sizeof(start), f->f) == sizeof(start) &&
	    memcmp(start, magic, sizeof(magic)) == 0 &&
	    open_aead(f, x, id, start + sizeof(magic), false) == 0)
		return 0;
	close_file(f);
	return -1;
}

/* The next block into data[BLOCK_MAX + tag]. Its length; 0 after the last one, -1: damaged. */
static ssize_t read_block(struct file *f, uint8_t *data, bool *last)
{
	uint8_t head[4], nonce[AEAD_NONCE_LEN], end;
	struct span aad = SPAN(&end, 1);
	size_t len;
	int c;

	if (*last)
		return 0;
	if (fread(head, 1, sizeof(head), f->f) != sizeof(head))
		return -1;
	len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (len < AEAD_TAG_LEN || len > BLOCK_MAX + AEAD_TAG_LEN ||
	    fread(data, 1, len, f->f) != len)
		return -1;
	if ((c = getc(f->f)) != EOF)
		ungetc(c, f->f);
	*last = c == EOF;
	end = *last;
	make_nonce(f, nonce);
	f->block++;
	if (aead_open(&f->aead, nonce, &aad, 1, data, len - AEAD_TAG_LEN) != 0)
		return -1;
	return (ssize_t)(len - AEAD_TAG_LEN);
}

static int write_block(struct file *f, struct buf *b, bool last)
{
	const size_t len = b->len;
	uint8_t nonce[AEAD_NONCE_LEN], end = last;
	const uint8_t head[4] = { 0, (uint8_t)((len + AEAD_TAG_LEN) >> 16),
		(uint8_t)((len + AEAD_TAG_LEN) >> 8), (uint8_t)(len + AEAD_TAG_LEN) };
	struct span aad = SPAN(&end, 1);

	make_nonce(f, nonce);
	f->block++;
	if (buf_reserve(b, AEAD_TAG_LEN) == NULL ||
	    aead_seal(&f->aead, nonce, &aad, 1, b->data, len) != 0 ||
	    fwrite(head, 1, sizeof(head), f->f) != sizeof(head) ||
	    fwrite(b->data, 1, b->len, f->f) != b->len)
		return -1;
	buf_reset(b);
	return 0;
}

/* ---- reading ---- */

static int get_head(struct file *f, uint8_t *data, bool *last, struct index_head *head)
{
	struct buf b;

	if (read_block(f, data, last) != HEAD_LEN)
		return -1;
	buf_view(&b, data, HEAD_LEN);
	buf_get_copy(&b, head->files, HASH_LEN);
	buf_get_copy(&b, head->chain, HASH_LEN);
	head->last_seq = buf_get_u64(&b);
	head->verdict = buf_get_u8(&b);
	return buf_end(&b) && head->verdict <= BREC_OPEN ? 0 : -1;
}

int index_head(const struct index *x, const char *id, struct index_head *head)
{
	uint8_t *data = malloc(BLOCK_MAX + AEAD_TAG_LEN);
	bool last = false;
	struct file f;
	int r = -1;

	if (data != NULL && open_entry(&f, x, id) == 0) {
		r = get_head(&f, data, &last, head);
		close_file(&f);
	}
	free(data);
	return r;
}

/* 0; -1: not as it was written; 1: fn stopped. */
static int give_lines(const uint8_t *data, size_t len, line_fn *fn, void *ctx)
{
	struct text_line l;
	struct buf b;

	buf_view(&b, data, len);
	while (buf_left(&b) > 0) {
		l.kind = buf_get_u8(&b);
		l.channel = buf_get_varint(&b);
		l.t_us = buf_get_varint(&b);
		l.head = buf_get_varint(&b);
		l.text = (const char *)buf_get_string(&b, BLOCK_MAX, &l.len);
		if (!buf_ok(&b) || l.head > l.len)
			return -1;
		if (fn(ctx, &l) != 0)
			return 1;
	}
	return buf_end(&b) ? 0 : -1;
}

int index_read(const struct index *x, const char *id, index_wanted_fn *wanted, line_fn *fn, void *ctx)
{
	uint8_t *data = malloc(2 * (BLOCK_MAX + AEAD_TAG_LEN)), *lower = data;
	struct index_head head;
	bool last = false;
	struct file f;
	ssize_t n = -1;
	int r = -1;

	if (data == NULL || open_entry(&f, x, id) != 0) {
		free(data);
		return -1;
	}
	lower += BLOCK_MAX + AEAD_TAG_LEN;
	r = get_head(&f, data, &last, &head);
	while (r == 0 && (n = read_block(&f, data, &last)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			lower[i] = (uint8_t)tolower(data[i]);
		if (wanted == NULL || wanted(ctx, (const char *)lower, (size_t)n))
			r = give_lines(data, (size_t)n, fn, ctx);
	}
	explicit_bzero(data, 2 * (BLOCK_MAX + AEAD_TAG_LEN));
	free(data);
	close_file(&f);
	return n < 0 && r == 0 ? -1 : r;
}

/* ---- writing ---- */

struct building {
	struct file file;
	struct buf b;
};

static int put_piece(void *ctx, const struct text_line *l)
{
	struct building *x = ctx;

	/* one more than fits is left: the last block is known as such only at the end */
	if (x->b.len + l->len + 64 > INDEX_BLOCK && x->b.len > 0 &&
	    write_block(&x->file, &x->b, false) != 0)
		return -1;
	x->file.text += l->len;
	buf_put_u8(&x->b, (uint8_t)l->kind);
	buf_put_varint(&x->b, l->channel);
	buf_put_varint(&x->b, l->t_us);
	buf_put_varint(&x->b, l->head);
	buf_put_string(&x->b, l->text, l->len);
	return buf_ok(&x->b) && x->file.text <= INDEX_TEXT_MAX ? 0 : -1;
}

static int put_line(void *ctx, const struct text_line *l)
{
	return line_pieces(l, put_piece, ctx);
}

static int create_entry(struct file *f, const struct index *x, const char *id)
{
	uint8_t salt[SALT_LEN];
	int fd;

	memset(f, 0, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "%s/%s.idx", x->dir, id);
	snprintf(f->temporary, sizeof(f->temporary), "%s.XXXXXX", f->path);
	if (random_bytes(salt, sizeof(salt)) != 0 || open_aead(f, x, id, salt, true) != 0)
		return -1;
	if ((fd = mkostemp(f->temporary, O_CLOEXEC)) < 0)
		return -1;
	if ((f->f = fdopen(fd, "w")) == NULL) {
		close(fd);
		return -1;
	}
	return fwrite(magic, 1, sizeof(magic), f->f) == sizeof(magic) &&
	    fwrite(salt, 1, sizeof(salt), f->f) == sizeof(salt) ? 0 : -1;
}

static int put_head(struct building *x, const struct index_head *head)
{
	buf_put(&x->b, head->files, HASH_LEN);
	buf_put(&x->b, head->chain, HASH_LEN);
	buf_put_u64(&x->b, head->last_seq);
	buf_put_u8(&x->b, head->verdict);
	return buf_ok(&x->b) ? write_block(&x->file, &x->b, false) : -1;
}

int index_build(const struct index *x, const char *id, const struct index_head *head,
    const char *dir, const struct age_identities *ids)
{
	struct building to = { .b = { 0 } };
	struct lines_info info;
	int r;

	if (x->dir[0] == '\0')
		return -1;
	buf_init(&to.b, BLOCK_MAX + AEAD_TAG_LEN);
	r = create_entry(&to.file, x, id);
	if (r == 0)
		r = put_head(&to, head);
	if (r == 0)
		r = lines_read(dir, ids, false, put_line, &to, &info);
	/* a recording that ends early may be whole tomorrow */
	if (r == 0)
		r = info.error[0] == '\0' ? write_block(&to.file, &to.b, true) : -1;
	if (to.file.f != NULL && (fclose(to.file.f) != 0 || r != 0 ||
				     rename(to.file.temporary, to.file.path) != 0)) {
		unlink(to.file.temporary);
		r = -1;
	}
	to.file.f = NULL;
	close_file(&to.file);
	buf_finish(&to.b);
	return r;
}

/* ---- the bound of all ---- */

struct entry {
	char name[64];
	time_t used;
	uint64_t size;
};

static int by_age(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->used < y->used ? -1 : x->used > y->used;
}

static void trim(int fd, struct entry *v, size_t n, uint64_t sum)
{
	if (n > 0)
		qsort(v, n, sizeof(*v), by_age);
	for (size_t i = 0; i < n && sum > INDEX_TOTAL_MAX; i++)
		if (unlinkat(fd, v[i].name, 0) == 0)
			sum -= v[i].size;
}

void index_finish(struct index *x)
{
	struct entry *v = NULL, *grown;
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;
	size_t n = 0;
	DIR *d = x->dir[0] != '\0' ? opendir(x->dir) : NULL;

	explicit_bzero(x->key, sizeof(x->key));
	if (d == NULL)
		return;
	while (n < REPLAY_RECORDINGS_MAX && (e = readdir(d)) != NULL) {
		if (strlen(e->d_name) >= sizeof(v->name) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (n % 256 == 0) {
			if ((grown = reallocarray(v, n + 256, sizeof(*v))) == NULL)
				break;
			v = grown;
		}
		strcpy(v[n].name, e->d_name);
		v[n].used = st.st_mtime;
		v[n++].size = (uint64_t)st.st_size;
		sum += (uint64_t)st.st_size;
	}
	trim(dirfd(d), v, n, sum);
	closedir(d);
	free(v);
}
