/*
 * brec.h - BREC v1, the recording format: constants, the pure encoders and decoders, the chain.
 *
 * The normative text is man/bastion-record.5. A recording is a directory of segments, numbered from 0;
 * a segment is a header and then frames. All integers big-endian. One writer, append only.
 *
 * Segment header
 *   0    8  magic "BREC\r\n\x1a\n"
 *   8    2  version, 1
 *   10   2  suite, 1: age X25519, HKDF-SHA-256, ChaCha20-Poly1305, SHA-256, Ed25519
 *   12   4  length of the whole header, signature included
 *   16   16 recording id
 *   32   4  segment number, from 0
 *   36   4  epoch: number of the key change, one more in each segment
 *   40   8  sequence of the segment's first frame; the recording's first frame is 1
 *   48   32 chain value before this segment: h of the last frame of the segment before; zero in segment 0
 *   80   8  wall clock, unix µs
 *   88   16 boot id of the bastion
 *   104  32 signer: SHA-256 of the raw Ed25519 public key
 *   136  4  length n of the session's part
 *   140  n  the session's part (below): made in the session process, opaque to the recorder
 *   140+n 64 Ed25519 signature by the recorder over everything before
 *
 * The session's part
 *   u8 number of key groups (1 or 2), then for each: u8 group (0: output and meta, 1: input),
 *   b32 key commitment = HMAC-SHA-256(group key, "brec/v1 commit" ‖ recording id ‖ epoch ‖ group),
 *   list(str stanza): the group key wrapped to one recipient each, as an age X25519 stanza body:
 *   b32 ephemeral share, b32 wrapped 16... see bastion-record(5) for the exact bytes.
 *   Stream keys: HKDF-SHA-256(group key, salt = recording id ‖ u32 epoch, info = "brec/v1 stream" ‖ u8 stream), 32 bytes.
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
 * checkpoint: b32 h of the frame before; u64 wall µs; b64 Ed25519 over "brec/v1 checkpoint" ‖ recording id ‖ u64 sequence ‖ h ‖ wall
 * seal: as checkpoint, "brec/v1 seal"; the last frame of a segment that another one follows
 * close: u8 enum brec_end; str reason; then as checkpoint, "brec/v1 close" ‖ end ‖ reason … ; the last frame of the recording
 * receipt: the collector's signed receipt for an earlier sequence, as PROTOCOL.collector has it
 *
 * Chain: h0 = SHA-256("brec/v1" ‖ header); h = SHA-256(0x02 ‖ h before ‖ frame), restarted from each header,
 * which holds the value before it.
 *
 * Event, in the plaintext of a data frame: u8 kind, varint µs since the recording's start, varint channel,
 * varint length, bytes. Kind 0 ends the events: padding with zeros to a multiple of 16.
 */
#ifndef BASTION_BREC_H
#define BASTION_BREC_H

#include "buf.h"

#define BREC_FRAME_MAX 65536
#define BREC_FRAME_HEAD 20
#define BREC_FRAME_OVERHEAD (BREC_FRAME_HEAD + 16 + 4)
#define BREC_HEADER_MAX 32768
#define BREC_ID_LEN 16
#define BREC_HASH_LEN 32
#define BREC_SEGMENT_BYTES (1U << 20)	/* a segment is sealed at this size, */
#define BREC_SEGMENT_SECONDS 60		/* or this age, or at close */

enum brec_type { BREC_DATA = 1, BREC_CHECKPOINT, BREC_SEAL, BREC_CLOSE, BREC_RECEIPT };

/* Streams have keys of their own: input may be given to fewer people. */
enum brec_stream { BREC_META, BREC_INPUT, BREC_OUTPUT, BREC_STREAMS };

/* Events. The bytes of each kind are in bastion-record(5). */
enum brec_kind {
	BREC_K_META = 'm',	/* JSON: who, where, under which grant; first event of the recording (META) */
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
	BREC_K_DIGEST = 'd',	/* JSON {"dir"|"path","bytes","sha256"} (META) */
	BREC_K_GAP = 'g',	/* JSON {"dir","from":byte offset}: bytes after this are counted and hashed, not kept (META) */
	BREC_K_NOTE = 'n',	/* a line that the bastion said to the user (META) */
};

/* Why a recording closed. */
enum brec_end { BREC_END_NORMAL = 1, BREC_END_KILLED, BREC_END_EXPIRED, BREC_END_ERROR, BREC_END_ABANDONED };

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

struct brec_event {
	uint8_t kind;
	uint64_t t_us;
	uint64_t channel;
	const uint8_t *data;
	size_t len;
};

#endif
