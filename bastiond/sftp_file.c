/*
 * sftp_file.c - see sftp_file.h. Role: session.
 */
#include "sftp_file.h"

#include <stdlib.h>
#include <string.h>

static void say_content(struct sftp_files *s, const struct sftp_file *f, const struct sftp_content *c, const char *op)
{
	json_int_t size = (json_int_t)c->bytes, from = (json_int_t)c->from, hashed = (json_int_t)c->hashed;
	json_t *path;
	char hex[65];

	if (!c->begun && !c->partly)
		return;
	path = bulk_text(f->path, f->path_len);
	bulk_hex(c->sha, hex, sizeof(hex));
	if (c->jumped)
		bulk_say(s->report, s->ctx, json_pack("{s:s, s:o, s:I, s:s, s:b, s:I, s:I, s:s, s:o*}", "op", op, "path", path, "size", size,
		    "sha256", "", "in_order", 0, "from", from, "hashed", hashed, "start_sha256", hex, "partly", c->partly ? json_true() : NULL));
	else
		bulk_say(s->report, s->ctx, json_pack("{s:s, s:o, s:I, s:s, s:b, s:o*}", "op", op, "path", path, "size", size,
		    "sha256", hex, "in_order", 1, "from", from != 0 ? json_integer(from) : NULL));
}

static void say_progress(struct sftp_files *s, const struct sftp_file *f, struct sftp_content *c, const char *dir)
{
	char hex[65];

	if (c->hashed == c->marked)
		return;
	c->marked = c->hashed;
	bulk_hex(c->sha, hex, sizeof(hex));
	bulk_say(s->report, s->ctx, json_pack("{s:s, s:s, s:o, s:s, s:I, s:I}", "op", "so-far", "dir", dir, "path", bulk_text(f->path, f->path_len),
	    "sha256", hex, "from", (json_int_t)c->from, "hashed", (json_int_t)c->hashed));
}

void sftp_files_progress(struct sftp_files *s, bool input)
{
	for (size_t i = 0; i < SFTP_FILES_MAX; i++)
		if (s->all[i].used)
			say_progress(s, &s->all[i], input ? &s->all[i].put : &s->all[i].get, input ? "in" : "out");
}

static void file_finish(struct sftp_file *f)
{
	EVP_MD_CTX_free(f->put.sha);
	EVP_MD_CTX_free(f->get.sha);
	free(f->path);
	*f = (struct sftp_file){ .used = false };
}

void sftp_file_say_open(struct sftp_files *s, const char *path, size_t len, bool untracked)
{
	bulk_say(s->report, s->ctx, json_pack("{s:s, s:o, s:o*}", "op", "open", "path", bulk_text(path, len),
	    "untracked", untracked ? json_true() : NULL));
}

void sftp_file_close(struct sftp_files *s, struct sftp_file *f, bool unseen)
{
	if (unseen && f->put.begun)
		sftp_content_partly(&f->put);
	if (unseen && f->get.begun)
		sftp_content_partly(&f->get);
	if (!f->put.begun && !f->get.begun && !f->put.partly && !f->get.partly)
		sftp_file_say_open(s, f->path, f->path_len, unseen);
	say_content(s, f, &f->put, "put");
	say_content(s, f, &f->get, "get");
	file_finish(f);
}

void sftp_files_finish(struct sftp_files *s)
{
	for (size_t i = 0; i < SFTP_FILES_MAX; i++)
		file_finish(&s->all[i]);
}

struct sftp_file *sftp_file_find(struct sftp_files *s, const uint8_t *handle, size_t len)
{
	for (size_t i = 0; i < SFTP_FILES_MAX; i++)
		if (s->all[i].used && !s->all[i].closing && s->all[i].handle_len == len && memcmp(s->all[i].handle, handle, len) == 0)
			return &s->all[i];
	return NULL;
}

uint32_t sftp_handle_tag(const uint8_t *handle, size_t len)
{
	uint32_t tag = 2166136261U; /* FNV-1a */

	while (len-- > 0)
		tag = (tag ^ *handle++) * 16777619U;
	return tag;
}

struct sftp_file *sftp_file_add(struct sftp_files *s, const uint8_t *handle, size_t len, char *path, size_t path_len)
{
	for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
		struct sftp_file *f = &s->all[i];

		if (f->used)
			continue;
		*f = (struct sftp_file){ .used = true, .handle_len = len, .path = path, .path_len = path_len };
		memcpy(f->handle, handle, len);
		return f;
	}
	return NULL;
}

void sftp_content_start(struct sftp_content *c, uint64_t offset)
{
	if (!c->begun) {
		c->begun = true;
		c->from = c->next = offset;
		c->sha = bulk_sha();
	}
	if (c->sha == NULL || offset != c->next)
		c->jumped = true;
	c->next = offset;
}

void sftp_content_partly(struct sftp_content *c)
{
	c->jumped = c->partly = true;
}

size_t sftp_content_feed(struct sftp_content *c, const uint8_t *data, size_t len)
{
	c->bytes += len;
	c->next += len;
	c->jumped = c->jumped || EVP_DigestUpdate(c->sha, data, len) != 1;
	if (c->jumped)
		return 0;
	c->hashed += len;
	return len;
}
