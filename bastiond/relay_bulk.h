/*
 * relay_bulk.h - what a channel without a terminal carries, for the record: how much content is kept, digests of the
 * streams, and for sftp and scp the names, sizes and SHA-256 of files.
 *
 * Session process. relay_record.c gives it every byte before it is recorded; sftp_track.c and scp_track.c read along.
 * They only describe: nothing they find in a stream decides anything, and a stream they cannot follow is said to be so.
 */
#ifndef BASTION_RELAY_BULK_H
#define BASTION_RELAY_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "command.h"

/* Where a tracker says what it found: JSON of a 'f' event, terminated. */
typedef void (*bulk_report)(void *ctx, const char *json);

struct sftp_track;
struct scp_track;

struct bulk_stream {
	EVP_MD_CTX *sha;
	uint64_t bytes;		/* seen, */
	uint64_t apart;		/* of which so many, the content of files, are in those files' digests and not in sha */
	uint64_t marked;	/* seen at the last progress digest */
	bool gap;		/* the limit is passed: counted and hashed only */
	uint64_t seq;		/* of the event that what is not kept waits for: gap, file, the digest before the last */
	uint64_t digest_seq;	/* of the last progress digest */
};

struct bulk {
	bool active;		/* a channel with a terminal has no limit and no digests */
	uint64_t limit;		/* bytes of content kept in each direction */
	struct bulk_stream in, out;
	struct sftp_track *sftp;
	struct scp_track *scp;
	bulk_report report;
	void *ctx;
};

/* capability "sftp" or "scp" starts a tracker. 0 or -1. */
int bulk_start(struct bulk *b, uint64_t limit, const char *capability, const char *command, bulk_report report, void *ctx);
/*
 * Bytes of one direction, before they are recorded; is_err: of standard error, which no tracker follows. Returns how many of
 * them are content to keep (the first ones); *gap_from is set to the offset when the limit is passed in this call, else left alone.
 */
size_t bulk_feed(struct bulk *b, bool input, bool is_err, const uint8_t *data, size_t len, uint64_t *gap_from);
/* SHA-256 so far, as hex, size >= 65. "" without memory. */
void bulk_digest(const struct bulk_stream *st, char *hex, size_t size);
/* Digests so far of files whose content passed in this direction since the last call; sftp alone has any. */
void bulk_progress(struct bulk *b, bool input);
/* Tells of files that were still open. */
void bulk_end(struct bulk *b);
void bulk_finish(struct bulk *b);

/* Helpers of the trackers. A JSON text; bytes that are no UTF-8, or begin with "hex:", become "hex:…". */
json_t *bulk_text(const void *data, size_t len);
/* Reports it and gives it up; NULL, which is what there is without memory, is not reported. */
void bulk_say(bulk_report report, void *ctx, json_t *json);
EVP_MD_CTX *bulk_sha(void);
/* SHA-256 so far as hex, size >= 65; "" when there is none. */
void bulk_hex(const EVP_MD_CTX *sha, char *hex, size_t size);

/* sftp_track.c: draft-ietf-secsh-filexfer-02 (version 3), as OpenSSH speaks it. */
struct sftp_track *sftp_track_create(bulk_report report, void *ctx);
/*
 * Bytes of one direction. Each is hashed once: the content of a file, while it follows what passed before, into that file's
 * digest; all else into `rest`. Returns how many went into a file's.
 */
size_t sftp_track_feed(struct sftp_track *t, bool input, const uint8_t *data, size_t len, EVP_MD_CTX *rest);
/* Digests so far of the files whose content passed in this direction since the last call. */
void sftp_track_progress(struct sftp_track *t, bool input);
/* A request of this id does not pass, and its answer will. */
void sftp_track_refused(struct sftp_track *t, uint32_t id);
void sftp_track_end(struct sftp_track *t);
void sftp_track_destroy(struct sftp_track *t);

/* scp_track.c: the old scp protocol (`scp -O`). `upload`: the files come from the user (-t). */
struct scp_track *scp_track_create(bool upload, bulk_report report, void *ctx);
void scp_track_feed(struct scp_track *t, bool input, const uint8_t *data, size_t len);
void scp_track_end(struct scp_track *t);
void scp_track_destroy(struct scp_track *t);

#define CHAN_COMMAND_LEN 32768	/* bytes of a command that policy looks at */
enum { CHAN_READS = 1, CHAN_WRITES = 2 };	/* rights on an sftp channel, in CHAN_RE */

#endif
