/*
 * brec.h - BREC v1, the recording format: constants, the pure encoders and decoders, the chain.
 *
 * The normative text is man/bastion-record.5. A recording is a directory of segments, numbered from 0;
 * a segment is a header and then frames. All integers big-endian. One writer, append only.
 *
 * Segment header: valid if and only if every field is as said and the signature holds
 *   0    8  magic "BREC\r\n\x1a\n"
 *   8    2  version, 1
 *   10   2  suite, 1: age X25519, HKDF-SHA-256, ChaCha20-Poly1305, SHA-256, Ed25519; 2: the same, with three key groups
 *   12   4  length of the whole header, signature included: 204 + n, at most BREC_HEADER_MAX
 *   16   16 recording id
 *   32   4  segment number, from 0
 *   36   4  epoch: number of the key change. In version 1 each segment has keys of its own: equal to the segment number
 *   40   8  sequence of the segment's first frame; the recording's first frame is 1
 *   48   32 chain value before this segment: h of the last frame of the segment before; zero in segment 0
 *   80   8  wall clock, unix µs
 *   88   16 boot id of the bastion
 *   104  32 signer: SHA-256 of the raw Ed25519 public key; the same in all segments of a recording
 *   136  4  length n of the session's part
 *   140  n  the session's part (below): made in the session process, opaque to the recorder
 *   140+n 64 Ed25519 signature by the recorder over "brec/v1 header" ‖ bytes 0..139+n
 *
 * The session's part
 *   u8 number of key groups (1 or 2; 3 in suite 2), then for each, group 0 first:
 *     u8  group. 0: metadata and output, and input too when there is no group 1; 1: input; 2: input, too: it
 *         takes one of group 1 and one of group 2. Their stanzas wrap shares; the file key of input is the one XOR the other, and both
 *         commitments are made with its group key, which is that of group 1
 *     b32 key commitment = HMAC-SHA-256(group key, "brec/v1 commit" ‖ recording id ‖ u32 epoch ‖ u8 group)
 *     u32 number of recipients (1 to BREC_RECIPIENTS_MAX), then for each an age X25519 stanza, 64 bytes:
 *       b32 ephemeral share, b32 the group's file key (16 bytes) encrypted with its tag (16): the decoded second
 *       argument and the decoded body of "-> X25519 share" in an age v1 header, bit for bit
 *   Group key:  HKDF-SHA-256(file key, salt = recording id ‖ u32 epoch, info = "brec/v1 group" ‖ u8 group), 32 bytes
 *   Stream key: HKDF-SHA-256(group key, salt = recording id ‖ u32 epoch, info = "brec/v1 stream" ‖ u8 stream), 32 bytes
 *
 * Frame
 *   0    4  length of the whole frame, at most BREC_FRAME_MAX
 *   4    1  type
 *   5    1  stream (data frames; else 0)
 *   6    2  zero
 *   8    4  epoch
 *   12   8  sequence, each one more than the one before, over the whole recording
 *   20   n  body. data: ciphertext of the padded events and the tag (16). Others: clear, below
 *   20+n 4  crc32c of everything before
 * AEAD: nonce = 4 zero bytes ‖ sequence; AAD = bytes 0..19 ‖ recording id ‖ u32 segment number.
 * checkpoint: b32 h of the frame before (of the header, if this is the first); u64 wall µs;
 *             b64 Ed25519 over "brec/v1 checkpoint" ‖ recording id ‖ u64 sequence ‖ h ‖ u64 wall
 * seal:       as checkpoint, "brec/v1 seal"; the last frame of a segment that another one follows
 * close:      as checkpoint, over "brec/v1 close" ‖ … ‖ u64 wall ‖ u8 enum brec_end ‖ str reason (at most BREC_REASON_MAX
 *             bytes), and these two after the signature; the last frame of the recording
 *
 * Chain: h = SHA-256("brec/v1" ‖ header) at each header, which holds the value before it; then for each frame
 * h = SHA-256(0x02 ‖ h before ‖ frame).
 *
 * Event, in the plaintext of a data frame: u8 kind, varint µs since the recording's start, varint channel,
 * varint length, bytes. Kind 0 ends the events: padding with zeros to a multiple of 16. In a kind that is not
 * i, o or e the bit 0x80 says that the next event holds more of the same.
 */
#ifndef BASTION_BREC_H
#define BASTION_BREC_H

#include "buf.h"
#include "crypto.h"

#define BREC_FRAME_MAX 65536
#define BREC_FRAME_HEAD 20
#define BREC_FRAME_OVERHEAD (BREC_FRAME_HEAD + 16 + 4)
#define BREC_HEADER_MIN 204
#define BREC_HEADER_MAX 32768
#define BREC_PART_MAX (BREC_HEADER_MAX - BREC_HEADER_MIN)
#define BREC_ID_LEN 16
#define BREC_HASH_LEN 32
#define BREC_STANZA_LEN 64
#define BREC_RECIPIENTS_MAX 64		/* of one group */
#define BREC_REASON_MAX 256
#define BREC_EVENT_MAX (1U << 20)	/* one event that is not a piece of a byte stream, put together */
#define BREC_SEGMENT_BYTES (1U << 20)	/* a segment is sealed at this size, */
#define BREC_SEGMENT_SECONDS 60		/* or this long after its first data frame, or at close */

enum brec_type { BREC_DATA = 1, BREC_CHECKPOINT, BREC_SEAL, BREC_CLOSE };

/* Streams have keys of their own: input may be given to fewer people. */
enum brec_stream { BREC_META, BREC_INPUT, BREC_OUTPUT, BREC_STREAMS };

/* Key groups: what one set of people may read. */
enum brec_group { BREC_GROUP_MAIN, BREC_GROUP_INPUT, BREC_GROUP_SECOND, BREC_GROUPS };

/* Events. The bytes of each kind are in bastion-record(5). */
enum brec_kind {
	BREC_K_META = 'm',	/* JSON: who, where, under which grant; first event of the recording (META) */
	BREC_K_GRANT = 'G',	/* JSON, as META has it of its grant: a further one, from here on (META) */
	BREC_K_OPEN = 'C',	/* channel opened: JSON {"capability","command","term","cols","rows"} (META) */
	BREC_K_CLOSE = 'c',	/* channel closed: JSON {"in":bytes,"out":bytes,…} (META) */
	BREC_K_IN = 'i',	/* bytes from the user (INPUT) */
	BREC_K_OUT = 'o',	/* bytes of standard output (OUTPUT) */
	BREC_K_ERR = 'e',	/* bytes of standard error (OUTPUT) */
	BREC_K_RESIZE = 'r',	/* u16 columns, u16 rows (META) */
	BREC_K_ENV = 'v',	/* NAME=value (META) */
	BREC_K_SIGNAL = 's',	/* name, as in RFC 4254 6.9 (META) */
	BREC_K_EXIT = 'x',	/* u32 exit status (META) */
	BREC_K_EXIT_SIGNAL = 'X', /* u8 core dumped, name (META) */
	BREC_K_EOF = 'z',	/* u8 direction: 0 from the user, 1 from the target (META) */
	BREC_K_FILE = 'f',	/* JSON {"op","path","size",…} (META) */
	BREC_K_DIGEST = 'd',	/* JSON {"dir","bytes","sha256","final",…} (META) */
	BREC_K_RUN = 'R',	/* JSON {"dir","passed","more"}: sftp packets that go on as announced (META) */
	BREC_K_GAP = 'g',	/* JSON {"dir","from":byte offset}: bytes after this are counted and hashed, not kept (META) */
	BREC_K_AUDIT = 'a',	/* an event of the bastion: canonical row, hash (crypto_event.h) (META) */
	BREC_K_NOTE = 'n',	/* a line that the bastion said to the user (META) */
};
#define BREC_K_MORE 0x80	/* or'ed to a kind: the next event continues this one */

/* Why a recording closed. */
enum brec_end { BREC_END_NORMAL = 1, BREC_END_KILLED, BREC_END_EXPIRED, BREC_END_ERROR, BREC_END_ABANDONED };

/* What the decoders find wrong; brec_strerror() says it in words. */
enum brec_error {
	BREC_OK = 0,
	BREC_SHORT = -1,	/* a true beginning, but more bytes are needed */
	BREC_E_MAGIC = -2,	/* no BREC header here */
	BREC_E_VERSION = -3,	/* version or suite from another time */
	BREC_E_LENGTH = -4,
	BREC_E_FIELD = -5,	/* a value that no writer makes */
	BREC_E_CRC = -6,
	BREC_E_SIGNATURE = -7,
	BREC_E_CRYPTO = -8,	/* OpenSSL failed, or there was no memory */
};

struct brec_header {
	uint16_t version, suite;
	uint8_t id[BREC_ID_LEN];
	uint32_t segment, epoch;
	uint64_t first_seq;
	uint8_t prev[BREC_HASH_LEN];
	int64_t wall_us;
	uint8_t boot_id[16];
	uint8_t signer[32];
	const uint8_t *part;	/* into the decoded bytes */
	size_t part_len;
	const uint8_t *signature; /* 64 bytes */
	size_t len;		/* of the whole header */
};

struct brec_frame {
	enum brec_type type;
	enum brec_stream stream;
	uint32_t epoch;
	uint64_t seq;
	const uint8_t *body;
	size_t body_len;
	size_t len;		/* of the whole frame */
};

/* One key group of the session's part. */
struct brec_wrap {
	bool present;
	const uint8_t *commit;	/* 32 bytes */
	const uint8_t *stanzas;	/* count times BREC_STANZA_LEN */
	uint32_t count;
};

/* The three signed frames: checkpoint, seal, close. */
struct brec_mark {
	enum brec_type type;
	uint64_t seq;
	uint32_t epoch;
	uint8_t h[BREC_HASH_LEN]; /* chain value before this frame */
	int64_t wall_us;
	enum brec_end end;	/* close only, with reason */
	char reason[BREC_REASON_MAX + 1];
	const uint8_t *signature; /* decoded only */
};

struct brec_event {
	uint8_t kind;
	uint64_t t_us;
	uint64_t channel;
	const uint8_t *data;
	size_t len;
};

/* Words for an enum brec_error, an enum brec_end, a stream; "?" for another value. */
const char *brec_strerror(int error);
const char *brec_end_name(enum brec_end end);
const char *brec_stream_name(enum brec_stream stream);

/*
 * Appends a signed header to out. Taken from *h: id, segment, first_seq, prev, wall_us, boot_id, part, part_len; the
 * rest follows from them and the key. out needs room for 204 + part_len. 0, or BREC_E_*: E_LENGTH, E_FIELD for a part
 * that brec_part_decode refuses.
 */
int brec_header_build(struct buf *out, const struct brec_header *h, const struct sign_key *key);
/* Decodes a header at p; the signature is not checked. BREC_OK, BREC_SHORT or BREC_E_*. */
int brec_header_decode(const uint8_t *p, size_t len, struct brec_header *h);
/* True if `pub` is the header's signer and signed it; p as in brec_header_decode. */
bool brec_header_verify(const uint8_t *p, const struct brec_header *h, const uint8_t pub[KEY_LEN]);
/* The session's part; also the check that recorder makes on what a session sent. 0 or BREC_E_FIELD. */
int brec_part_decode(const uint8_t *part, size_t len, struct brec_wrap wraps[BREC_GROUPS]);

/*
 * Cheap check and decode of one frame at p: lengths, type, stream, zeros, crc; the chain, the sequence and the signature
 * are the caller's. BREC_OK, BREC_SHORT (f->len is set once 4 bytes are there) or BREC_E_*.
 */
int brec_frame_decode(const uint8_t *p, size_t len, struct brec_frame *f);
/* Writes the 20 bytes before a body of body_len bytes. */
void brec_frame_head(uint8_t out[BREC_FRAME_HEAD], enum brec_type type, enum brec_stream stream, uint32_t epoch,
    uint64_t seq, size_t body_len);
/* Completes a frame of `len` bytes: its last four become the crc of the others. */
void brec_frame_end(uint8_t *frame, size_t len);

/* Appends the checkpoint, seal or close frame that *m describes, signed. 0 or BREC_E_*. */
int brec_mark_build(struct buf *out, const uint8_t id[BREC_ID_LEN], const struct brec_mark *m, const struct sign_key *key);
/* Decodes the body of such a frame; the signature is not checked. 0 or BREC_E_FIELD. */
int brec_mark_decode(const struct brec_frame *f, struct brec_mark *m);
bool brec_mark_verify(const uint8_t id[BREC_ID_LEN], const struct brec_mark *m, const uint8_t pub[KEY_LEN]);

/* The chain: value after a header, and after one frame more. 0 or BREC_E_CRYPTO. */
int brec_chain_start(uint8_t h[BREC_HASH_LEN], const uint8_t *header, size_t len);
int brec_chain_add(uint8_t h[BREC_HASH_LEN], const uint8_t *frame, size_t len);

/* Keys, for the writer and the reader. Each 0 or BREC_E_CRYPTO. */
int brec_group_key(uint8_t key[KEY_LEN], const uint8_t file_key[16], const uint8_t id[BREC_ID_LEN], uint32_t epoch,
    enum brec_group group);
int brec_commitment(uint8_t out[HASH_LEN], const uint8_t group_key[KEY_LEN], const uint8_t id[BREC_ID_LEN],
    uint32_t epoch, enum brec_group group);
int brec_stream_key(uint8_t key[KEY_LEN], const uint8_t group_key[KEY_LEN], const uint8_t id[BREC_ID_LEN],
    uint32_t epoch, enum brec_stream stream);
/* The AEAD's nonce and, as two spans into frame and tail, its AAD. tail: recording id ‖ u32 segment. */
#define BREC_AAD_TAIL (BREC_ID_LEN + 4)
void brec_nonce(uint8_t nonce[AEAD_NONCE_LEN], uint64_t seq);
void brec_aad_tail(uint8_t tail[BREC_AAD_TAIL], const uint8_t id[BREC_ID_LEN], uint32_t segment);

/*
 * The next event of a data frame's plaintext; b is a view of it. 1; 0 at the end (padding checked);
 * BREC_E_FIELD for what no writer makes. e->data points into b.
 */
int brec_event_decode(struct buf *b, struct brec_event *e);

#endif
