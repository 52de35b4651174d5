/*
 * sftp_track.c - reads SFTP along (draft-ietf-secsh-filexfer-02, version 3): what was opened, moved, removed, and the size
 * and SHA-256 of each file's content as it passed.
 *
 * Role: session, see relay_bulk.h. Packets: u32 length, u8 type, u32 request id, then by type. Content that a file's digest does not take
 * (sftp_file.h) is hashed with the stream like all else. So each byte is hashed once.
 * Tables are bounded: what does not fit is reported as untracked, never guessed.
 */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "sftp_gate.h"
#include "sftp_pending.h"

#define HEAD_MAX 34000	/* a packet that is looked at whole; OpenSSH sends 34000 at most besides content */
#define EXTENSION_MAX 64 /* its name, with its end */
#define MALFORMED "sftp: malformed packet"

struct stream {			/* one direction of the channel */
	uint8_t *head;
	size_t have;		/* bytes in head */
	uint64_t skip;		/* bytes of a packet that are not looked at */
	struct sftp_content *into; /* content that passes now */
	uint32_t content_left;
};

struct sftp_track {
	struct stream in, out;
	struct sftp_files files;
	struct sftp_pending pending;
	bool lost;
};

struct sftp_track *sftp_track_create(bulk_report report, void *ctx)
{
	struct sftp_track *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->files.report = report;
	t->files.ctx = ctx;
	t->in.head = malloc(HEAD_MAX);
	t->out.head = malloc(HEAD_MAX);
	if (sftp_pending_init(&t->pending) != 0 || t->in.head == NULL || t->out.head == NULL) {
		sftp_track_destroy(t);
		return NULL;
	}
	return t;
}

static void say(struct sftp_track *t, json_t *json)
{
	bulk_say(t->files.report, t->files.ctx, json);
}

static void lose(struct sftp_track *t, const char *why)
{
	if (!t->lost)
		say(t, json_pack("{s:s, s:s}", "op", "untracked", "why", why));
	t->lost = true;
}

void sftp_track_progress(struct sftp_track *t, bool input)
{
	sftp_files_progress(&t->files, input);
}

static void file_close(struct sftp_track *t, struct sftp_file *f)
{
	if (t->in.into == &f->put)
		t->in.into = NULL;
	if (t->out.into == &f->get)
		t->out.into = NULL;
	sftp_file_close(&t->files, f, t->lost);
}

/* NULL: it is not followed; said, but of a READ. */
static struct sftp_request *pending_add(struct sftp_track *t, uint32_t id, uint8_t type)
{
	const char *why;
	struct sftp_request *p = sftp_pending_add(&t->pending, id, type, &why);

	if (why != NULL)
		lose(t, why);
	return p;
}

void sftp_track_refused(struct sftp_track *t, uint32_t id)
{
	if (!t->lost)
		pending_add(t, id, FXP_REFUSED);
}

/* --- requests --- */

static const char *op_name(uint8_t type)
{
	switch (type) {
	case FXP_SETSTAT: return "setstat";
	case FXP_OPENDIR: return "opendir";
	case FXP_REMOVE: return "remove";
	case FXP_MKDIR: return "mkdir";
	case FXP_RMDIR: return "rmdir";
	case FXP_RENAME: return "rename";
	case FXP_SYMLINK: return "symlink";
	default: return NULL;
	}
}

static void say_op(struct sftp_track *t, const char *op, struct buf *b, bool two)
{
	size_t len, len2 = 0;
	const uint8_t *path = buf_get_string(b, HEAD_MAX, &len), *path2 = two ? buf_get_string(b, HEAD_MAX, &len2) : NULL;

	if (!buf_ok(b))
		return; /* lost, see on_request() */
	if (two)
		say(t, json_pack("{s:s, s:o, s:o}", "op", op, "path", bulk_text(path, len), "to", bulk_text(path2, len2)));
	else
		say(t, json_pack("{s:s, s:o}", "op", op, "path", bulk_text(path, len)));
}

static struct sftp_file *file_of(struct sftp_track *t, struct buf *b)
{
	size_t len;
	const uint8_t *handle = buf_get_string(b, SFTP_HANDLE_MAX, &len);

	return handle != NULL ? sftp_file_find(&t->files, handle, len) : NULL;
}

/* An operation by one handle or two; of a file that is not followed there is no name. */
static void say_by_handle(struct sftp_track *t, const char *op, struct buf *b, bool two)
{
	const struct sftp_file *f = file_of(t, b), *to = NULL;

	if (two) {
		buf_get(b, 8 + 8); /* from, how much */
		to = file_of(t, b);
	}
	if (buf_ok(b))
		say(t, json_pack("{s:s, s:o*, s:o*, s:o*}", "op", op, "path", f != NULL ? bulk_text(f->path, f->path_len) : NULL,
		    "to", to != NULL ? bulk_text(to->path, to->path_len) : NULL, "untracked", f == NULL || (two && to == NULL) ? json_true() : NULL));
}

static void on_extended(struct sftp_track *t, struct buf *b)
{
	static const struct { const char *name, *op; bool two; } by_path[] = {
		{ "posix-rename@openssh.com", "rename", true }, { "hardlink@openssh.com", "hardlink", true },
		{ "lsetstat@openssh.com", "setstat", false },
	};
	char name[EXTENSION_MAX];

	if (buf_get_cstring(b, name, sizeof(name)) != 0)
		return;
	for (size_t i = 0; i < sizeof(by_path) / sizeof(by_path[0]); i++)
		if (strcmp(name, by_path[i].name) == 0)
			say_op(t, by_path[i].op, b, by_path[i].two);
	if (strcmp(name, "copy-data") == 0)
		say_by_handle(t, "copy", b, true);
	else if (strcmp(name, "version-select") == 0)
		lose(t, "sftp: another version of the protocol was chosen");
	else if (!sftp_gate_knows(name))
		say(t, json_pack("{s:s, s:o, s:b}", "op", "extended", "name", bulk_text(name, strlen(name)), "untracked", true));
}

static void on_open(struct sftp_track *t, uint32_t id, struct buf *b)
{
	size_t len;
	const uint8_t *path = buf_get_string(b, HEAD_MAX, &len);
	struct sftp_request *p;

	if (path == NULL || (p = pending_add(t, id, FXP_OPEN)) == NULL)
		return;
	if ((p->path = malloc(len + 1)) == NULL) {
		sftp_pending_end(&t->pending, p);
		lose(t, "sftp: no memory");
		return;
	}
	memcpy(p->path, path, len);
	p->path[len] = '\0';
	p->path_len = (uint32_t)len;
}

/* A request by a handle. Returns whose it is; NULL: of no file that is followed. */
static struct sftp_file *on_handle_used(struct sftp_track *t, uint32_t id, uint8_t type, const uint8_t *handle, size_t len, uint64_t offset)
{
	struct sftp_file *f = sftp_file_find(&t->files, handle, len);
	struct sftp_request *p = pending_add(t, id, type);

	if (p != NULL) {
		p->handle = sftp_handle_tag(handle, len);
		p->file = f;
		p->offset = offset;
	} else if (type == FXP_READ && f != NULL) {
		sftp_content_partly(&f->get);
	} else if (type == FXP_READ) {
		t->pending.unplaced_stray = true;
	}
	if (type == FXP_CLOSE && f != NULL)
		f->closing = true;
	return f;
}

static void on_read_or_close(struct sftp_track *t, uint32_t id, uint8_t type, struct buf *b)
{
	size_t len;
	const uint8_t *handle = buf_get_string(b, SFTP_HANDLE_MAX, &len);
	const uint64_t offset = type == FXP_READ ? buf_get_u64(b) : 0;

	if (buf_ok(b))
		on_handle_used(t, id, type, handle, len, offset);
}

/*
 * A request that is shorter than what it must have is no honest one, and is not without effect: OpenSSH's server reads on behind it, in what
 * comes next, does what it says, and ends only then.
 */
static void on_request(struct sftp_track *t, uint8_t type, uint32_t id, struct buf *b)
{
	switch (type) {
	case FXP_OPEN:
		on_open(t, id, b);
		break;
	case FXP_READ:
	case FXP_CLOSE:
		on_read_or_close(t, id, type, b);
		break;
	case FXP_INIT:
		break; /* has no id */
	case FXP_EXTENDED:
		pending_add(t, id, type);
		on_extended(t, b);
		break;
	case FXP_FSETSTAT:
		pending_add(t, id, type);
		say_by_handle(t, "setstat", b, false);
		break;
	default:
		pending_add(t, id, type);
		if (type < FXP_OPEN || type > FXP_SYMLINK)
			lose(t, "sftp: a request that version 3 does not have");
		else if (op_name(type) != NULL)
			say_op(t, op_name(type), b, type == FXP_RENAME || type == FXP_SYMLINK);
	}
	if (!buf_ok(b))
		lose(t, MALFORMED);
}

/* The answer to an OPEN. Of a file that cannot be followed its name is all that is known. */
static void on_opened(struct sftp_track *t, struct sftp_request *p, uint8_t type, struct buf *b)
{
	size_t len = 0;
	const uint8_t *handle = type == FXP_HANDLE ? buf_get_string(b, SFTP_HANDLE_MAX, &len) : NULL;
	const unsigned strays = handle != NULL ? sftp_pending_strays(&t->pending, sftp_handle_tag(handle, len)) : 0;
	struct sftp_file *f = NULL;

	if (type == FXP_STATUS) {
		say(t, json_pack("{s:s, s:o, s:I}", "op", "open-failed", "path", bulk_text(p->path, p->path_len),
		    "status", (json_int_t)buf_get_u32(b)));
		return;
	}
	/* a CLOSE that was asked for in advance may have ended it: then the handle is another file's without a word of the server */
	if (handle != NULL && (strays & 1U << FXP_CLOSE) == 0 && sftp_file_find(&t->files, handle, len) == NULL)
		f = sftp_file_add(&t->files, handle, len, p->path, p->path_len);
	if (f == NULL) {
		sftp_file_say_open(&t->files, p->path, p->path_len, true);
		return;
	}
	p->path = NULL;
	if ((strays & 1U << FXP_READ) != 0)
		sftp_content_partly(&f->get);
	if ((strays & 1U << FXP_WRITE) != 0)
		sftp_content_partly(&f->put);
}

static void on_answer(struct sftp_track *t, uint8_t type, uint32_t id, struct buf *b)
{
	struct sftp_request *p = sftp_pending_answered(&t->pending, id);
	struct sftp_file *f;

	if (p == NULL)
		return;
	if (p->type == FXP_OPEN) {
		on_opened(t, p, type, b);
	} else if (type == FXP_STATUS && p->type == FXP_CLOSE && (f = p->file) != NULL) {
		if (sftp_pending_forget(&t->pending, f)) /* of READs more may come */
			sftp_content_partly(&f->get);
		file_close(t, f);
	}
	sftp_pending_end(&t->pending, p);
}

/* A packet in head, from the type on: of one that is longer than head, its start. */
static void on_packet(struct sftp_track *t, bool input, const uint8_t *packet, size_t len)
{
	struct buf b;
	uint8_t type;
	uint32_t id;

	buf_view(&b, packet, len);
	type = buf_get_u8(&b);
	id = buf_get_u32(&b);
	if (!buf_ok(&b))
		lose(t, MALFORMED);
	else if (input)
		on_request(t, type, id, &b);
	else if (type != FXP_VERSION) /* has no id */
		on_answer(t, type, id, &b);
}

/* --- the streams --- */

/* Length of what stands before the content of a WRITE or DATA packet, 0 while too little of it is there. */
static size_t content_head(const struct stream *st, bool input)
{
	uint32_t handle;

	if (!input)
		return 4 + 1 + 4 + 4;
	if (st->have < 13)
		return 0;
	handle = (uint32_t)st->head[9] << 24 | (uint32_t)st->head[10] << 16 | (uint32_t)st->head[11] << 8 | st->head[12];
	return handle > SFTP_HANDLE_MAX ? SIZE_MAX : 13 + handle + 8 + 4;
}

static void content_packet(struct sftp_track *t, struct stream *st, bool input, uint32_t length)
{
	struct buf b;
	size_t len;
	uint32_t id, content;

	buf_view(&b, st->head + 5, st->have - 5);
	id = buf_get_u32(&b);
	st->into = NULL;
	if (input) {
		const uint8_t *handle = buf_get_string(&b, SFTP_HANDLE_MAX, &len);
		uint64_t offset = buf_get_u64(&b);
		struct sftp_file *f = on_handle_used(t, id, FXP_WRITE, handle, len, offset);

		if (f != NULL) {
			sftp_content_start(&f->put, offset);
			st->into = &f->put;
		}
	} else {
		struct sftp_request *p = sftp_pending_answered(&t->pending, id);

		if (p != NULL && p->type == FXP_READ && p->file != NULL) {
			sftp_content_start(&p->file->get, p->offset);
			st->into = &p->file->get;
		}
		if (p != NULL)
			sftp_pending_end(&t->pending, p);
	}
	content = buf_get_u32(&b);
	if (content > length + 4 - st->have) {
		lose(t, MALFORMED);
		content = 0;
	}
	st->content_left = content;
	st->skip = length + 4 - st->have - content;
	st->have = 0;
}

static size_t collect_more(struct stream *st, size_t want, const uint8_t *data, size_t len)
{
	const size_t n = want - st->have < len ? want - st->have : len;

	memcpy(st->head + st->have, data, n);
	st->have += n;
	return n;
}

/*
 * How much is looked at of a packet that is longer than head; 0: it cannot be followed. Of a listing the id is all that matters. A request that
 * long is OpenSSH's for the names of all users of a listing: an extension, of which the name says whether it names a path.
 */
static size_t long_head(const struct stream *st, bool input)
{
	if (!input)
		return 4 + 1 + 4;
	return st->head[4] == FXP_EXTENDED ? 4 + 1 + 4 + 4 + EXTENSION_MAX : 0;
}

/* Bytes into head until a packet, or the head of a content packet, is there. Returns bytes used. */
static size_t collect(struct sftp_track *t, struct stream *st, bool input, const uint8_t *data, size_t len)
{
	size_t want = 5, n;
	uint32_t length = 0;
	bool content = false;

	if (st->have >= 5) {
		length = (uint32_t)st->head[0] << 24 | (uint32_t)st->head[1] << 16 | (uint32_t)st->head[2] << 8 | st->head[3];
		content = st->head[4] == (input ? FXP_WRITE : FXP_DATA);
		want = content ? content_head(st, input) : (size_t)length + 4 <= HEAD_MAX ? (size_t)length + 4 : long_head(st, input);
		if (want == 0 && content)
			want = 13;
		if (length < 1 || want == 0 || want > (size_t)length + 4) {
			lose(t, MALFORMED);
			return 0;
		}
	}
	n = collect_more(st, want, data, len);
	if (st->have < want || st->have < 5 || length == 0)
		return n;
	if (content && content_head(st, input) == st->have) {
		content_packet(t, st, input, length);
	} else if (!content) {
		on_packet(t, input, st->head + 4, want - 4);
		st->skip = (uint64_t)length + 4 - want;
		st->have = 0;
	}
	return n;
}

size_t sftp_track_feed(struct sftp_track *t, bool input, const uint8_t *data, size_t len, EVP_MD_CTX *rest)
{
	struct stream *st = input ? &t->in : &t->out;
	const uint8_t *unhashed = data;
	size_t n, in_file, apart = 0;

	while (len > 0 && !t->lost) {
		if (st->content_left > 0) {
			n = st->content_left < len ? st->content_left : len;
			in_file = st->into != NULL ? sftp_content_feed(st->into, data, n) : 0;
			if (in_file > 0) {
				EVP_DigestUpdate(rest, unhashed, (size_t)(data - unhashed));
				unhashed = data + n;
				apart += in_file;
			}
			st->content_left -= (uint32_t)n;
		} else if (st->skip > 0) {
			n = st->skip < len ? (size_t)st->skip : len;
			st->skip -= n;
		} else {
			n = collect(t, st, input, data, len);
		}
		data += n;
		len -= n;
	}
	EVP_DigestUpdate(rest, unhashed, (size_t)(data + len - unhashed));
	return apart;
}

void sftp_track_end(struct sftp_track *t)
{
	for (size_t i = 0; i < SFTP_FILES_MAX; i++)
		if (t->files.all[i].used)
			file_close(t, &t->files.all[i]);
	for (size_t i = 0; i < t->pending.n; i++) { /* the server may have done it, and its answer was not waited for */
		const struct sftp_request *p = &t->pending.all[i];

		if (p->type == FXP_OPEN)
			sftp_file_say_open(&t->files, p->path, p->path_len, true);
	}
}

void sftp_track_destroy(struct sftp_track *t)
{
	if (t == NULL)
		return;
	sftp_files_finish(&t->files);
	sftp_pending_finish(&t->pending);
	free(t->in.head);
	free(t->out.head);
	free(t);
}
