/*
 * sftp_track.c - reads SFTP along (draft-ietf-secsh-filexfer-02, version 3): what was opened, moved, removed, and the size
 * and SHA-256 of each file's content as it passed.
 *
 * Role: session, see relay_bulk.h. Packets: u32 length, u8 type, u32 request id, then by type. Content is hashed in the order of
 * its offsets as long as these follow one another, from wherever they begin; from the first piece that does not, a file has no digest of
 * the whole, which is said, and its content is hashed with the stream like all else. So each byte is hashed once.
 * Tables are bounded: what does not fit is reported as untracked, never guessed. Clients ask for a whole file at once (paramiko) or keep 64
 * requests on their way (OpenSSH); READs alone never fill the table: one that has no place costs its file the digest, and nothing else.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "relay_bulk.h"

#define HEAD_MAX 34000	/* a packet that is looked at whole; OpenSSH sends 34000 at most besides content */
#define OPEN_MAX 256	/* files open at a time */
#define PENDING_MIN 256U /* requests without an answer: places at first, */
#define PENDING_MAX 32768U /* and at most, of which a quarter stays free */
#define PENDING_KEPT 256U /* that no READ takes: of other requests clients wait for the answer */
#define HANDLE_MAX 256
#define TWICE "sftp: a request has the id of one without an answer"

enum { FXP_INIT = 1, FXP_VERSION, FXP_OPEN, FXP_CLOSE, FXP_READ, FXP_WRITE, FXP_SETSTAT = 9, FXP_OPENDIR = 11, FXP_REMOVE = 13, FXP_MKDIR, FXP_RMDIR,
	FXP_RENAME = 18, FXP_SYMLINK = 20, FXP_STATUS = 101, FXP_HANDLE, FXP_DATA, FXP_EXTENDED = 200,
	FXP_REFUSED = 255 /* none of the protocol: one that sftp_gate.c answers */ };

struct content {		/* one direction of an open file */
	EVP_MD_CTX *sha;
	uint64_t from, next;	/* the first offset; the one that would follow */
	uint64_t bytes, hashed;	/* seen; in sha, the first of them */
	uint64_t marked;	/* hashed at the last progress digest */
	bool begun, jumped, partly;	/* partly: more may have passed than was seen */
};

struct file {
	uint8_t handle[HANDLE_MAX];
	size_t handle_len;
	char *path;
	size_t path_len;
	struct content put, get;
	bool used;
};

struct pending {
	uint32_t id;
	uint8_t type;		/* 0: free */
	struct file *file;	/* READ, CLOSE */
	uint64_t offset;
	char *path;		/* OPEN */
	size_t path_len;
};

struct stream {			/* one direction of the channel */
	uint8_t *head;
	size_t have;		/* bytes in head */
	uint64_t skip;		/* bytes of a packet that are not looked at */
	struct content *into;	/* content that passes now */
	uint32_t content_left;
};

struct sftp_track {
	struct stream in, out;
	struct file files[OPEN_MAX];
	struct pending *pending;	/* npending places, of which so many are taken */
	size_t npending, taken;
	size_t unplaced;		/* READs without an answer that have no place, */
	uint32_t unplaced_low, unplaced_high; /* with ids from, to */
	bool lost;
	bulk_report report;
	void *ctx;
};

struct sftp_track *sftp_track_create(bulk_report report, void *ctx)
{
	struct sftp_track *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->report = report;
	t->ctx = ctx;
	t->in.head = malloc(HEAD_MAX);
	t->out.head = malloc(HEAD_MAX);
	t->npending = PENDING_MIN;
	t->pending = calloc(t->npending, sizeof(*t->pending));
	if (t->in.head == NULL || t->out.head == NULL || t->pending == NULL) {
		sftp_track_destroy(t);
		return NULL;
	}
	return t;
}

static void say(struct sftp_track *t, json_t *json)
{
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text != NULL)
		t->report(t->ctx, text);
	free(text);
	json_decref(json);
}

static void lose(struct sftp_track *t, const char *why)
{
	if (!t->lost)
		say(t, json_pack("{s:s, s:s}", "op", "untracked", "why", why));
	t->lost = true;
}

static void say_content(struct sftp_track *t, const struct file *f, const struct content *c, const char *op)
{
	json_int_t size = (json_int_t)c->bytes, from = (json_int_t)c->from, hashed = (json_int_t)c->hashed;
	json_t *path;
	char hex[65];

	if (!c->begun && !c->partly)
		return;
	path = bulk_text(f->path, f->path_len);
	bulk_hex(c->sha, hex, sizeof(hex));
	if (c->jumped)
		say(t, json_pack("{s:s, s:o, s:I, s:s, s:b, s:I, s:I, s:s, s:o*}", "op", op, "path", path, "size", size, "sha256", "",
		    "in_order", 0, "from", from, "hashed", hashed, "start_sha256", hex, "partly", c->partly ? json_true() : NULL));
	else
		say(t, json_pack("{s:s, s:o, s:I, s:s, s:b, s:o*}", "op", op, "path", path, "size", size, "sha256", hex,
		    "in_order", 1, "from", from != 0 ? json_integer(from) : NULL));
}

static void say_progress(struct sftp_track *t, const struct file *f, struct content *c, const char *dir)
{
	char hex[65];

	if (c->hashed == c->marked)
		return;
	c->marked = c->hashed;
	bulk_hex(c->sha, hex, sizeof(hex));
	say(t, json_pack("{s:s, s:s, s:o, s:s, s:I, s:I}", "op", "so-far", "dir", dir, "path", bulk_text(f->path, f->path_len),
	    "sha256", hex, "from", (json_int_t)c->from, "hashed", (json_int_t)c->hashed));
}

void sftp_track_progress(struct sftp_track *t, bool input)
{
	for (size_t i = 0; i < OPEN_MAX; i++)
		if (t->files[i].used)
			say_progress(t, &t->files[i], input ? &t->files[i].put : &t->files[i].get, input ? "in" : "out");
}

static void file_close(struct sftp_track *t, struct file *f)
{
	if (!f->put.begun && !f->get.begun && !f->get.partly)
		say(t, json_pack("{s:s, s:o}", "op", "open", "path", bulk_text(f->path, f->path_len)));
	say_content(t, f, &f->put, "put");
	say_content(t, f, &f->get, "get");
	EVP_MD_CTX_free(f->put.sha);
	EVP_MD_CTX_free(f->get.sha);
	free(f->path);
	for (size_t i = 0; i < t->npending; i++)
		if (t->pending[i].file == f)
			t->pending[i].file = NULL;
	if (t->in.into == &f->put)
		t->in.into = NULL;
	if (t->out.into == &f->get)
		t->out.into = NULL;
	*f = (struct file){ .used = false };
}

static struct file *file_find(struct sftp_track *t, const uint8_t *handle, size_t len)
{
	for (size_t i = 0; i < OPEN_MAX; i++)
		if (t->files[i].used && t->files[i].handle_len == len && memcmp(t->files[i].handle, handle, len) == 0)
			return &t->files[i];
	return NULL;
}

/* Where an id belongs, among n places, a power of two. Ids count up: side by side they would be one run, which each search goes through. */
static size_t pending_home(uint32_t id, size_t n)
{
	return (uint32_t)(id * 2654435761U) / (uint32_t)((UINT64_C(1) << 32) / n);
}

/* The place of this id, between its home and the first free one; or that. Some are free. */
static struct pending *pending_place(struct pending *all, size_t n, uint32_t id)
{
	size_t i = pending_home(id, n);

	while (all[i].type != 0 && all[i].id != id)
		i = (i + 1) % n;
	return &all[i];
}

static bool pending_grow(struct sftp_track *t)
{
	const size_t n = t->npending * 2;
	struct pending *more = n <= PENDING_MAX ? calloc(n, sizeof(*more)) : NULL;

	if (more == NULL)
		return false;
	for (size_t i = 0; i < t->npending; i++)
		if (t->pending[i].type != 0)
			*pending_place(more, n, t->pending[i].id) = t->pending[i];
	free(t->pending);
	t->pending = more;
	t->npending = n;
	return true;
}

/* NULL: it is not followed; said, but of a READ. */
static struct pending *pending_add(struct sftp_track *t, uint32_t id, uint8_t type)
{
	const size_t kept = type == FXP_READ ? PENDING_KEPT : 0;
	struct pending *p;

	if (t->unplaced > 0 && id >= t->unplaced_low && id <= t->unplaced_high) {
		lose(t, TWICE);
		return NULL;
	}
	if (t->taken * 2 >= t->npending && !pending_grow(t) && t->taken + kept >= t->npending / 4 * 3) {
		if (type != FXP_READ) {
			lose(t, "sftp: too many requests without an answer");
			return NULL;
		}
		t->unplaced_low = t->unplaced == 0 || id < t->unplaced_low ? id : t->unplaced_low;
		t->unplaced_high = t->unplaced == 0 || id > t->unplaced_high ? id : t->unplaced_high;
		t->unplaced++;
		return NULL;
	}
	p = pending_place(t->pending, t->npending, id);
	if (p->type != 0) { /* which of the two an answer is for, nobody could say */
		lose(t, TWICE);
		return NULL;
	}
	*p = (struct pending){ .id = id, .type = type != 0 ? type : FXP_REFUSED };
	t->taken++;
	return p;
}

/* Whose answer this is; NULL: of a READ without a place. */
static struct pending *pending_answered(struct sftp_track *t, uint32_t id)
{
	struct pending *p = pending_place(t->pending, t->npending, id);

	if (p->type != 0)
		return p;
	t->unplaced -= t->unplaced > 0;
	return NULL;
}

/* What stands behind it, up to the next free place, moves up if its home is not after the hole. */
static void pending_end(struct sftp_track *t, struct pending *p)
{
	const size_t n = t->npending;
	size_t hole = (size_t)(p - t->pending);

	free(p->path);
	for (size_t i = (hole + 1) % n; t->pending[i].type != 0; i = (i + 1) % n)
		if ((i - pending_home(t->pending[i].id, n)) % n >= (i - hole) % n) {
			t->pending[hole] = t->pending[i];
			hole = i;
		}
	t->pending[hole] = (struct pending){ .type = 0 };
	t->taken--;
}

void sftp_track_refused(struct sftp_track *t, uint32_t id)
{
	if (!t->lost)
		pending_add(t, id, FXP_REFUSED);
}

/* Content is about to pass at this offset. */
static void content_start(struct content *c, uint64_t offset)
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

/* The bytes that are in the file's digest now: all or none. */
static size_t content_feed(struct content *c, const uint8_t *data, size_t len)
{
	c->bytes += len;
	c->next += len;
	c->jumped = c->jumped || EVP_DigestUpdate(c->sha, data, len) != 1;
	if (c->jumped)
		return 0;
	c->hashed += len;
	return len;
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

	if (path == NULL || (two && path2 == NULL))
		return;
	if (two)
		say(t, json_pack("{s:s, s:o, s:o}", "op", op, "path", bulk_text(path, len), "to", bulk_text(path2, len2)));
	else
		say(t, json_pack("{s:s, s:o}", "op", op, "path", bulk_text(path, len)));
}

static void on_extended(struct sftp_track *t, struct buf *b)
{
	static const char *const two_paths[] = { "posix-rename@openssh.com", "hardlink@openssh.com", NULL };
	char name[64];

	if (buf_get_cstring(b, name, sizeof(name)) != 0)
		return;
	for (size_t i = 0; two_paths[i] != NULL; i++)
		if (strcmp(name, two_paths[i]) == 0)
			say_op(t, i == 0 ? "rename" : "hardlink", b, true);
}

static void on_open(struct sftp_track *t, uint32_t id, struct buf *b)
{
	size_t len;
	const uint8_t *path = buf_get_string(b, HEAD_MAX, &len);
	struct pending *p;

	if ((p = pending_add(t, id, FXP_OPEN)) == NULL || path == NULL)
		return;
	if ((p->path = malloc(len + 1)) == NULL) {
		pending_end(t, p);
		lose(t, "sftp: no memory");
		return;
	}
	memcpy(p->path, path, len);
	p->path[len] = '\0';
	p->path_len = len;
}

static void on_read_or_close(struct sftp_track *t, uint32_t id, uint8_t type, struct buf *b)
{
	size_t len;
	const uint8_t *handle = buf_get_string(b, HANDLE_MAX, &len);
	struct file *f = handle != NULL ? file_find(t, handle, len) : NULL;
	struct pending *p;

	if ((p = pending_add(t, id, type)) == NULL && f != NULL)
		f->get.jumped = f->get.partly = true;
	if (p == NULL || f == NULL)
		return;
	p->file = f;
	p->offset = type == FXP_READ ? buf_get_u64(b) : 0;
}

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
	default:
		pending_add(t, id, type);
		if (op_name(type) != NULL)
			say_op(t, op_name(type), b, type == FXP_RENAME || type == FXP_SYMLINK);
	}
}

static void on_handle(struct sftp_track *t, struct pending *p, struct buf *b)
{
	size_t len;
	const uint8_t *handle = buf_get_string(b, HANDLE_MAX, &len);

	if (handle == NULL || p->type != FXP_OPEN)
		return;
	for (size_t i = 0; i < OPEN_MAX; i++) {
		struct file *f = &t->files[i];

		if (f->used)
			continue;
		*f = (struct file){ .used = true, .handle_len = len, .path = p->path, .path_len = p->path_len };
		memcpy(f->handle, handle, len);
		p->path = NULL;
		return;
	}
	/* of this one nothing but its name is known */
	say(t, json_pack("{s:s, s:o, s:b}", "op", "open", "path", bulk_text(p->path, p->path_len), "untracked", 1));
}

static void on_answer(struct sftp_track *t, uint8_t type, uint32_t id, struct buf *b)
{
	struct pending *p = pending_answered(t, id);

	if (p == NULL)
		return;
	if (type == FXP_HANDLE)
		on_handle(t, p, b);
	else if (type == FXP_STATUS && p->type == FXP_OPEN)
		say(t, json_pack("{s:s, s:o, s:I}", "op", "open-failed", "path", bulk_text(p->path, p->path_len),
		    "status", (json_int_t)buf_get_u32(b)));
	else if (type == FXP_STATUS && p->type == FXP_CLOSE && p->file != NULL)
		file_close(t, p->file);
	pending_end(t, p);
}

/* A whole packet in head, from the type on; of a long answer only its id. */
static void on_packet(struct sftp_track *t, bool input, const uint8_t *packet, size_t len)
{
	struct buf b;
	uint8_t type;
	uint32_t id;

	buf_view(&b, packet, len);
	type = buf_get_u8(&b);
	id = buf_get_u32(&b);
	if (!buf_ok(&b))
		return;
	if (input)
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
	return handle > HANDLE_MAX ? SIZE_MAX : 13 + handle + 8 + 4;
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
		const uint8_t *handle = buf_get_string(&b, HANDLE_MAX, &len);
		struct file *f = file_find(t, handle, len);
		uint64_t offset = buf_get_u64(&b);

		pending_add(t, id, FXP_WRITE);
		if (f != NULL) {
			content_start(&f->put, offset);
			st->into = &f->put;
		}
	} else {
		struct pending *p = pending_answered(t, id);

		if (p != NULL && p->type == FXP_READ && p->file != NULL) {
			content_start(&p->file->get, p->offset);
			st->into = &p->file->get;
		}
		if (p != NULL)
			pending_end(t, p);
	}
	content = buf_get_u32(&b);
	if (content > length + 4 - st->have) {
		lose(t, "sftp: malformed packet");
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

/* Bytes into head until a packet, or the head of a content packet, is there. Returns bytes used. */
static size_t collect(struct sftp_track *t, struct stream *st, bool input, const uint8_t *data, size_t len)
{
	size_t want = 5, n;
	uint32_t length = 0;
	bool content = false;

	if (st->have >= 5) {
		length = (uint32_t)st->head[0] << 24 | (uint32_t)st->head[1] << 16 | (uint32_t)st->head[2] << 8 | st->head[3];
		content = st->head[4] == (input ? FXP_WRITE : FXP_DATA);
		want = content ? content_head(st, input) : (size_t)length + 4;
		if (want == 0)
			want = 13;
		if (length < 1 || want > HEAD_MAX || want > (size_t)length + 4) {
			/* a listing that is long is no loss, if only its id is read; a request that is, or a length that cannot be */
			if (length < 1 || content || input)
				lose(t, "sftp: malformed packet");
			else if (st->have < 9)
				return collect_more(st, 9, data, len);
			else
				on_packet(t, false, st->head + 4, 5);
			st->skip = (uint64_t)length + 4 - st->have;
			st->have = 0;
			return 0;
		}
	}
	n = collect_more(st, want, data, len);
	if (st->have < want || st->have < 5 || length == 0)
		return n;
	if (content && content_head(st, input) == st->have) {
		content_packet(t, st, input, length);
	} else if (!content) {
		on_packet(t, input, st->head + 4, length);
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
			in_file = st->into != NULL ? content_feed(st->into, data, n) : 0;
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
	for (size_t i = 0; i < OPEN_MAX; i++)
		if (t->files[i].used)
			file_close(t, &t->files[i]);
}

void sftp_track_destroy(struct sftp_track *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < OPEN_MAX; i++) {
		EVP_MD_CTX_free(t->files[i].put.sha);
		EVP_MD_CTX_free(t->files[i].get.sha);
		free(t->files[i].path);
	}
	for (size_t i = 0; t->pending != NULL && i < t->npending; i++)
		free(t->pending[i].path);
	free(t->pending);
	free(t->in.head);
	free(t->out.head);
	free(t);
}
