/*
 * wire.h - the messages between a recorder and a collector: pure encoding and decoding.
 *
 * Runs in the recorder role and in bastion-collectord, inside TLS 1.3 (wire_tls.h). No I/O, no
 * memory of its own. The normative text, with the rules of who may send what when, is
 * doc/PROTOCOL.collector.
 *
 * A message is u32 length of what follows, u8 type, body. What a recording consists of travels as
 * *entries*: OPEN is number 0, then each frame has its sequence. An entry carries h, the chain
 * value after it (brec.h), so that both ends always know that they hold the same bytes.
 */
#ifndef BASTION_WIRE_H
#define BASTION_WIRE_H

#include "brec.h"
#include "buf.h"

#define WIRE_VERSION 1
#define WIRE_HEAD 5				/* length and type */
#define WIRE_MAX (128U << 10)			/* one message, its head included */
#define WIRE_TEXT_MAX 256
#define WIRE_NAME_MAX 64
#define WIRE_LEAVES_MAX 1024			/* recordings that one COMMIT or RECEIPT speaks of */
#define WIRE_LEAF_LEN (BREC_ID_LEN + 8 + BREC_HASH_LEN)
#define WIRE_SIG_LEN 64

enum wire_type {
	WIRE_HELLO = 1,	/* both ways, first: "BRECship", u16 version, b32 key, str name */
	WIRE_OPEN,	/* b16 id, b32 h, header of segment 0 */
	WIRE_FRAME,	/* b16 id, b32 h, frame: data or checkpoint */
	WIRE_SEAL,	/* b16 id, b32 h after the seal frame, str seal frame, header of the next segment */
	WIRE_END,	/* b16 id, b32 h, close frame */
	WIRE_RESUME,	/* b16 id, u64 wall clock µs of the header of segment 0 */
	WIRE_AT,	/* b16 id, u8 enum wire_at, u64 sequence, b32 h: the answer to RESUME */
	WIRE_COMMIT,	/* leaves, each b16 id, u64 sequence, b32 h: durable up to there */
	WIRE_RECEIPT,	/* u64 wall µs, b64 signature, leaves as in COMMIT (wire_receipt.h) */
	WIRE_STATE,	/* u8 enum wire_takes; str what */
	WIRE_ERR,	/* b16 id (zeros: the connection, which ends), u16 enum wire_err, str what */
	WIRE_TYPES
};

enum wire_at { WIRE_AT_UNKNOWN, WIRE_AT_OPEN, WIRE_AT_ENDED };

/* What a collector takes for now: nothing, and it acknowledges nothing; everything; all but new recordings. */
enum wire_takes { WIRE_TAKES_NOTHING, WIRE_TAKES_ALL, WIRE_TAKES_NO_NEW };

enum wire_err {
	WIRE_E_PROTOCOL = 1,	/* message malformed, or not allowed now */
	WIRE_E_REFUSED,		/* a recording is not taken, or no further: a limit, or no space */
	WIRE_E_UNKNOWN,		/* entry of a recording that is not here */
	WIRE_E_GAP,		/* not the next sequence */
	WIRE_E_CHAIN,		/* crc, h, identity or order do not hold */
	WIRE_E_CONFLICT,	/* other bytes for a sequence that is stored already; both are kept */
	WIRE_E_ENDED,		/* the recording is closed */
	WIRE_E_DAMAGED,		/* what is stored of this recording does not verify */
};

/* A part of a recording, with pointers into the message. */
struct wire_entry {
	enum wire_type type;		/* WIRE_OPEN, _FRAME, _SEAL or _END */
	const uint8_t *id;		/* 16 */
	const uint8_t *h;		/* 32 */
	uint64_t seq;			/* 0 for OPEN; otherwise as in the frame */
	const uint8_t *frame;		/* NULL for OPEN */
	size_t frame_len;
	const uint8_t *header;		/* OPEN and SEAL */
	size_t header_len;
};

struct wire_leaf {
	uint8_t id[BREC_ID_LEN];
	uint64_t seq;
	uint8_t h[BREC_HASH_LEN];
};

struct wire_msg {
	enum wire_type type;
	union {
		struct { uint16_t version; const uint8_t *key; char name[WIRE_NAME_MAX + 1]; } hello;
		struct wire_entry entry;
		struct { const uint8_t *id; uint64_t opened_us; } resume;
		struct { const uint8_t *id; enum wire_at state; uint64_t seq; const uint8_t *h; } at;
		struct { uint64_t wall_us; const uint8_t *sig; const uint8_t *leaves; size_t n; } commit; /* RECEIPT, too */
		struct { enum wire_takes takes; char text[WIRE_TEXT_MAX + 1]; } state;
		struct { const uint8_t *id; uint16_t code; char text[WIRE_TEXT_MAX + 1]; } err;
	};
};

/*
 * Length of the message that starts at data, its head included; 0 when fewer than four bytes are
 * there; -1 when no message is that short or that long: the peer speaks something else.
 */
long wire_length(const uint8_t *data, size_t len);
/* Decodes exactly one message of wire_length() bytes. 0, or -1: malformed. m points into data. */
int wire_decode(struct wire_msg *m, const uint8_t *data, size_t len);
/* Leaf i of a decoded COMMIT or RECEIPT. */
void wire_leaf_get(const struct wire_msg *m, size_t i, struct wire_leaf *leaf);

/* Each appends one message. 0, or -1: no room in the buffer (its `bad` is set). */
int wire_put_hello(struct buf *b, const uint8_t key[32], const char *name);
int wire_put_entry(struct buf *b, const struct wire_entry *e);
int wire_put_resume(struct buf *b, const uint8_t id[BREC_ID_LEN], uint64_t opened_us);
int wire_put_at(struct buf *b, const uint8_t id[BREC_ID_LEN], enum wire_at state, uint64_t seq,
    const uint8_t h[BREC_HASH_LEN]);
int wire_put_commit(struct buf *b, const struct wire_leaf *leaves, size_t n);
int wire_put_receipt(
    struct buf *b, uint64_t wall_us, const uint8_t sig[WIRE_SIG_LEN], const struct wire_leaf *leaves, size_t n);
int wire_put_state(struct buf *b, enum wire_takes takes, const char *text);
/* id NULL: the connection. */
int wire_put_err(struct buf *b, const uint8_t *id, enum wire_err code, const char *text);

const char *wire_type_name(unsigned type);
const char *wire_err_name(unsigned code);

#endif
