/*
 * sftp_run.c - see sftp_run.h. Role: session.
 *
 * Packets: u32 length, u8 type, u32 request id, then READ: str handle, u64 offset, u32 length; STATUS: u32 code, str message,
 * str language. Framing alone is parsed of all others. A stream that is no SFTP is content to its end.
 */
#include "sftp_run.h"

#include <stdlib.h>
#include <string.h>

#define PACKET_MAX 320	/* READ: 281 with the longest handle; answers of success are shorter */
#define HEAD 5		/* length and type: what says whether a packet is looked at */

enum { FXP_READ = 5, FXP_STATUS = 101 };

struct sftp_run {
	bool input;
	bool lost;			/* this is no SFTP, or its end came: where packets begin is not known any more */
	const struct sftp_run_ops *ops;
	void *ctx;
	uint8_t packet[PACKET_MAX];	/* that comes */
	size_t have;
	uint64_t left;			/* of a packet that is not looked at */
	uint8_t next[PACKET_MAX];	/* what would continue the one before; next_len 0: nothing */
	size_t next_len;
	unsigned followed;		/* packets that continued the one before */
	bool running;
	uint64_t passed;		/* of the run */
	uint64_t allowed, later;	/* packets that may pass when seq is durable, and when seq_later is */
	uint64_t seq, seq_later;
};

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Adds to a number on the wire, of n bytes. False: it would pass its end. */
static bool add(uint8_t *p, size_t n, uint32_t more)
{
	uint64_t carry = more;

	while (n-- > 0) {
		carry += p[n];
		p[n] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry == 0;
}

bool sftp_run_next(const uint8_t *packet, size_t len, uint8_t *next)
{
	size_t handle;

	if (len < HEAD + 8 || get_u32(packet) != len - 4)
		return false;
	memcpy(next, packet, len);
	add(next + HEAD, 4, 1); /* ids may turn over */
	if (packet[4] == FXP_STATUS)
		return get_u32(packet + 9) == 0;
	handle = get_u32(packet + 9);
	return packet[4] == FXP_READ && handle <= len && len == 13 + handle + 8 + 4 &&
	    add(next + 13 + handle, 8, get_u32(packet + 13 + handle + 8));
}

struct sftp_run *sftp_run_create(bool input, const struct sftp_run_ops *ops, void *ctx)
{
	struct sftp_run *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->input = input;
	r->ops = ops;
	r->ctx = ctx;
	return r;
}

static bool stop(struct sftp_run *r)
{
	r->next_len = 0;
	r->followed = 0;
	if (!r->running)
		return true;
	r->running = false;
	return r->ops->announce(r->ctx, r->input, r->passed, 0) != 0;
}

/* Half of what may pass did: the word for more is on its way while the other half passes. */
static bool extend(struct sftp_run *r)
{
	if (r->passed == r->allowed) {
		r->allowed = r->later;
		r->seq = r->seq_later;
	}
	if (r->later == r->allowed && r->allowed - r->passed <= RUN_MORE / 2) {
		r->later = r->passed + RUN_MORE;
		r->seq_later = r->ops->announce(r->ctx, r->input, r->passed, RUN_MORE);
	}
	return r->seq_later != 0;
}

/* The packet is what was announced. */
static bool pass_on(struct sftp_run *r)
{
	if (!extend(r))
		return false;
	r->passed++;
	return r->ops->covered(r->ctx, r->input, r->packet, r->have, r->seq);
}

static bool begin(struct sftp_run *r)
{
	r->running = true;
	r->passed = 0;
	r->allowed = r->later = RUN_MORE;
	r->seq = r->seq_later = r->ops->announce(r->ctx, r->input, 0, RUN_MORE);
	return r->seq != 0;
}

/* A packet that is looked at is whole. */
static bool on_packet(struct sftp_run *r)
{
	bool follows = r->next_len == r->have && memcmp(r->next, r->packet, r->have) == 0, ok;

	if (r->running && follows) {
		ok = pass_on(r);
	} else {
		unsigned followed = follows ? r->followed + 1 : 0;

		ok = stop(r) && r->ops->content(r->ctx, r->input, r->packet, r->have);
		r->followed = followed;
	}
	r->next_len = sftp_run_next(r->packet, r->have, r->next) ? r->have : 0;
	r->have = 0;
	return ok && (r->running || r->followed < RUN_AFTER || r->next_len == 0 || begin(r));
}

/* Length and type are there. */
static bool on_head(struct sftp_run *r)
{
	size_t len = (size_t)get_u32(r->packet) + 4;

	if (r->packet[4] == (r->input ? FXP_READ : FXP_STATUS) && len > HEAD && len <= PACKET_MAX)
		return true;
	r->lost = len < HEAD;
	r->left = len > HEAD ? len - HEAD : 0;
	r->have = 0;
	return stop(r) && r->ops->content(r->ctx, r->input, r->packet, HEAD);
}

bool sftp_run_feed(struct sftp_run *r, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t want = r->left > 0 ? r->left : r->have < HEAD ? HEAD - r->have : get_u32(r->packet) + 4 - r->have;
		size_t n = want < len ? want : len;

		if (r->lost)
			return r->ops->content(r->ctx, r->input, data, len);
		if (r->left > 0) {
			r->left -= n;
			if (!r->ops->content(r->ctx, r->input, data, n))
				return false;
		} else {
			memcpy(r->packet + r->have, data, n);
			r->have += n;
			if (n == want && !(r->have == HEAD ? on_head(r) : on_packet(r)))
				return false;
		}
		data += n;
		len -= n;
	}
	return true;
}

bool sftp_run_break(struct sftp_run *r)
{
	return stop(r);
}

bool sftp_run_end(struct sftp_run *r)
{
	size_t have = r->have;

	r->have = 0;
	r->lost = true;
	return stop(r) && (have == 0 || r->ops->content(r->ctx, r->input, r->packet, have));
}

void sftp_run_destroy(struct sftp_run *r)
{
	free(r);
}
