/*
 * sftp_gate.c - see sftp_gate.h. Version 3 of the protocol (draft-ietf-secsh-filexfer-02), which is what OpenSSH speaks;
 * a client that offers more is taken at 3, because later ones say other things with the same bytes.
 *
 * Packets: u32 length, u8 type, u32 request id, then by type. What decides is read here before any of it passes; the
 * content of a file passes as it comes. What is not known is refused.
 */
#include "sftp_gate.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

#define HEAD_MAX 34000		/* a request besides WRITE: OpenSSH sends 34000 at most */
#define NAME_SIZE 64		/* of an operation, with its end */
#define EXTENDED_HEAD (4 + 1 + 4 + 4 + NAME_SIZE) /* of an extension that is longer: by its name it is decided */
#define PACKET_MAX (1U << 20)	/* no server takes more */
#define ANSWERS_MAX 65536	/* that wait for the end of an answer of the target */
#define PATH_SHOWN 4096

#define FX_PERMISSION_DENIED 3
#define FX_OP_UNSUPPORTED 8

#define FXF_READ 1
#define FXF_WRITE 2

enum { FXP_INIT = 1, FXP_OPEN = 3, FXP_WRITE = 6, FXP_STATUS = 101, FXP_EXTENDED = 200 };
enum need { FREE = 0, READS = CHAN_READS, WRITES = CHAN_WRITES, BOTH = CHAN_READS | CHAN_WRITES, UNKNOWN = 4 };

struct sftp_gate {
	unsigned rights;
	gate_pass pass;
	gate_refused report;
	void *ctx;
	bool broken, agreed;	/* agreed: INIT passed, with the version that is read here */
	bool open;		/* both rights: what is no sftp passes as it comes */
	uint64_t refused;
	/* client's stream */
	uint8_t head[HEAD_MAX];
	size_t have;
	uint32_t left;		/* of a packet that is decided */
	bool dropping;		/* and does not pass */
	/* target's stream */
	uint8_t length[4];
	size_t nlength;
	uint32_t out_left;
	struct buf answers;
};

static const struct { const char *name; enum need need; } types[] = {
	[4] = { "close", FREE }, [5] = { "read", READS }, [FXP_WRITE] = { "write", WRITES }, [7] = { "lstat", FREE },
	[8] = { "fstat", FREE }, [9] = { "setstat", WRITES }, [10] = { "fsetstat", WRITES }, [11] = { "opendir", READS },
	[12] = { "readdir", READS }, [13] = { "remove", WRITES }, [14] = { "mkdir", WRITES }, [15] = { "rmdir", WRITES },
	[16] = { "realpath", FREE }, [17] = { "stat", FREE }, [18] = { "rename", WRITES }, [19] = { "readlink", READS },
	[20] = { "symlink", WRITES },
};

static const struct { const char *name; enum need need; } extensions[] = {
	{ "statvfs@openssh.com", FREE }, { "fstatvfs@openssh.com", FREE }, { "limits@openssh.com", FREE },
	{ "home-directory", FREE }, { "expand-path@openssh.com", FREE }, { "users-groups-by-id@openssh.com", FREE },
	{ "posix-rename@openssh.com", WRITES }, { "hardlink@openssh.com", WRITES }, { "fsync@openssh.com", WRITES },
	{ "lsetstat@openssh.com", WRITES }, { "copy-data", BOTH },
};

struct sftp_gate *sftp_gate_create(unsigned rights, gate_pass pass, gate_refused report, void *ctx)
{
	struct sftp_gate *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->rights = rights;
	g->pass = pass;
	g->report = report;
	g->ctx = ctx;
	buf_init(&g->answers, ANSWERS_MAX);
	return g;
}

bool sftp_gate_done(const struct sftp_gate *g)
{
	return g->rights == BOTH && (g->open || (g->agreed && g->have == 0 && g->left == 0));
}

uint64_t sftp_gate_refused(const struct sftp_gate *g)
{
	return g->refused;
}

void sftp_gate_destroy(struct sftp_gate *g)
{
	if (g == NULL)
		return;
	buf_finish(&g->answers);
	free(g);
}

/* --- what a request needs --- */

/* Without WRITE an open is one for reading, whatever else it says (OpenSSH: no flag is O_RDONLY); all other flags
 * change something. */
static unsigned open_needs(uint32_t flags)
{
	return ((flags & FXF_READ) != 0 || (flags & FXF_WRITE) == 0 ? READS : 0U) |
	    ((flags & ~(uint32_t)FXF_READ) != 0 ? WRITES : 0U);
}

static unsigned extension_needs(const char *name)
{
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (strcmp(extensions[i].name, name) == 0)
			return extensions[i].need;
	return UNKNOWN;
}

bool sftp_gate_knows(const char *extension)
{
	return extension_needs(extension) != UNKNOWN;
}

struct request {
	uint8_t type;
	uint32_t id;
	char name[NAME_SIZE];	/* of the operation */
	unsigned needs;
	const uint8_t *path;	/* its first string; NULL: none */
	size_t path_len;
};

/* A request in the head, whole or as much of it as decides. False: it is none. */
static bool parse(struct sftp_gate *g, struct request *r)
{
	struct buf b;

	*r = (struct request){ .needs = UNKNOWN };
	buf_view(&b, g->head + 4, g->have - 4);
	r->type = buf_get_u8(&b);
	r->id = buf_get_u32(&b);
	if (!buf_ok(&b))
		return false;
	strcpy(r->name, "unknown");
	if (r->type == FXP_EXTENDED) {
		if (buf_get_cstring(&b, r->name, sizeof(r->name)) != 0) {
			strcpy(r->name, "extended");
			return true;
		}
		r->needs = extension_needs(r->name);
	}
	r->path = buf_left(&b) >= 4 ? buf_get_string(&b, HEAD_MAX, &r->path_len) : NULL;
	if (r->type == FXP_OPEN) {
		strcpy(r->name, "open");
		r->needs = open_needs(buf_get_u32(&b));
		return buf_ok(&b);
	}
	if (r->type < sizeof(types) / sizeof(types[0]) && types[r->type].name != NULL) {
		strcpy(r->name, types[r->type].name);
		r->needs = types[r->type].need;
	}
	return true;
}

/* --- refusals --- */

static bool at_boundary(const struct sftp_gate *g)
{
	return g->nlength == 0 && g->out_left == 0;
}

static bool flush_answers(struct sftp_gate *g)
{
	bool ok = true;

	if (g->answers.len > 0 && at_boundary(g)) {
		ok = g->pass(g->ctx, false, g->answers.data, g->answers.len);
		buf_finish(&g->answers);
		buf_init(&g->answers, ANSWERS_MAX);
	}
	return ok;
}

static void say(struct sftp_gate *g, const struct request *r)
{
	/* an extension's name is what the client wrote, bytes of any kind */
	json_t *json = json_pack("{s:s, s:o, s:s}", "op", "refused", "what", bulk_text((const uint8_t *)r->name, strlen(r->name)), "why",
	    g->rights == READS ? "sftp-read alone" : "sftp-write alone");
	char *text;

	if (json != NULL && r->path != NULL)
		json_object_set_new(json, "path", bulk_text(r->path, r->path_len < PATH_SHOWN ? r->path_len : PATH_SHOWN));
	if ((text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL) != NULL)
		g->report(g->ctx, r->id, text);
	free(text);
	json_decref(json);
}

/* Answers the request here. */
static bool refuse(struct sftp_gate *g, const struct request *r)
{
	static const char denied[] = "bastiond: your grant does not allow this", unknown[] = "bastiond: not known here";
	const char *text = r->needs == UNKNOWN ? unknown : denied;

	g->refused++;
	say(g, r);
	buf_put_u32(&g->answers, (uint32_t)(1 + 4 + 4 + 4 + strlen(text) + 4));
	buf_put_u8(&g->answers, FXP_STATUS);
	buf_put_u32(&g->answers, r->id);
	buf_put_u32(&g->answers, r->needs == UNKNOWN ? FX_OP_UNSUPPORTED : FX_PERMISSION_DENIED);
	buf_put_cstring(&g->answers, text);
	buf_put_cstring(&g->answers, "");
	return buf_ok(&g->answers) && flush_answers(g);
}

/* --- the client's stream --- */

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* How much of the packet must be there before it is decided; 0: it is no packet. */
static size_t wanted(const struct sftp_gate *g)
{
	uint32_t length;

	if (g->have < 5)
		return 5;
	length = get_u32(g->head);
	if (length < 5 || length > PACKET_MAX)
		return 0;
	if (g->head[4] == FXP_WRITE)
		return 9;
	if (length + 4U <= HEAD_MAX)
		return length + 4U;
	/* OpenSSH's client asks for the names of all users of a listing at once */
	return g->head[4] == FXP_EXTENDED ? EXTENDED_HEAD : 0;
}

/* This is no sftp. With both rights there is nothing to keep from passing, and the target's server is asked what it thinks of it. */
static bool give_up(struct sftp_gate *g)
{
	size_t n = g->have;

	g->open = g->rights == BOTH;
	g->have = 0;
	return g->open && g->pass(g->ctx, true, g->head, n);
}

/* What is in the head is enough. */
static bool decide(struct sftp_gate *g)
{
	uint32_t length = get_u32(g->head);
	struct request r;
	bool ok = true;

	g->dropping = false;
	if (g->head[4] == FXP_INIT) {
		if (get_u32(g->head + 5) > 3)
			memcpy(g->head + 5, "\0\0\0\3", 4);
		g->agreed = true;
		ok = g->pass(g->ctx, true, g->head, g->have);
	} else if (!parse(g, &r)) {
		return give_up(g);
	} else if (g->rights == BOTH || (r.needs != UNKNOWN && (r.needs & ~g->rights) == 0)) {
		ok = g->pass(g->ctx, true, g->head, g->have);
	} else {
		ok = refuse(g, &r);
		g->dropping = true;
	}
	g->left = length + 4 - (uint32_t)g->have;
	g->have = 0;
	return ok;
}

static bool feed_input(struct sftp_gate *g, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n, want;

		if (g->open)
			return g->pass(g->ctx, true, data, len);
		if (g->left > 0) {
			n = g->left < len ? g->left : len;
			if (!g->dropping && !g->pass(g->ctx, true, data, n))
				return false;
			g->left -= (uint32_t)n;
		} else {
			n = (want = wanted(g)) - g->have < len ? want - g->have : len;
			memcpy(g->head + g->have, data, n);
			g->have += n;
			/* with its length and type known it may want more, or is nothing that can be read */
			want = wanted(g);
			if ((want == 0 && !give_up(g)) || (want != 0 && g->have == want && want > 5 && !decide(g)))
				return false;
		}
		data += n;
		len -= n;
	}
	return true;
}

/* --- the target's stream --- */

static bool feed_output(struct sftp_gate *g, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n;

		if (g->out_left > 0) {
			n = g->out_left < len ? g->out_left : len;
			g->out_left -= (uint32_t)n;
		} else {
			n = 4 - g->nlength < len ? 4 - g->nlength : len;
			memcpy(g->length + g->nlength, data, n);
			if ((g->nlength += n) == 4) {
				g->out_left = get_u32(g->length);
				g->nlength = 0;
			}
		}
		if (!g->pass(g->ctx, false, data, n) || !flush_answers(g))
			return false;
		data += n;
		len -= n;
	}
	return true;
}

bool sftp_gate_feed(struct sftp_gate *g, bool input, const uint8_t *data, size_t len)
{
	if (!g->broken)
		g->broken = !(input ? feed_input(g, data, len) : feed_output(g, data, len));
	return !g->broken;
}
