/*
 * sftp_run.h - SFTP packets that only go on with what the one before them did: recorded by a word in advance.
 *
 * Session process; one for each direction of an sftp channel, between the client or target (sftp_gate.c, if the grant has one
 * direction) and the recording (relay_take.c). Pure: bytes in, calls out.
 *
 * A download is thousands of READ requests, an upload as many answers of success. Each would be content, durable before it
 * passes (P2), and cost a disk flush to say nothing new: id + 1, the same file, the offset behind the one before. So
 * when some have come so, the recording says that up to RUN_MORE further ones may pass, and those that are to the byte what was
 * said pass when that word is durable. When the run ends, or is extended, it says how many did. What differs in a
 * single bit is content as ever. bastion-record(5), Files over sftp.
 */
#ifndef BASTION_SFTP_RUN_H
#define BASTION_SFTP_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_AFTER 8	/* packets that continued one another before a run begins */
#define RUN_MORE 128	/* packets that may pass without another word: of a file 32 MiB in OpenSSH's pieces, 4 in those of 32 KiB */

/* Each returns false, announce 0, when nothing more may pass. */
struct sftp_run_ops {
	/* Bytes to be recorded, that pass when they are durable. */
	bool (*content)(void *ctx, bool input, const uint8_t *data, size_t len);
	/* A whole packet as it was announced: it passes when the frame with this sequence is durable. */
	bool (*covered)(void *ctx, bool input, const uint8_t *data, size_t len, uint64_t seq);
	/*
	 * Records that of the run `passed` packets did pass, and `more` further ones may. The sequence to wait for. A run
	 * begins with passed 0, behind the packet that it continues, and ends with more 0.
	 */
	uint64_t (*announce)(void *ctx, bool input, uint64_t passed, uint32_t more);
};

struct sftp_run;

/* input: requests, whose READs are looked at; else answers, whose STATUS of success are. NULL without memory. */
struct sftp_run *sftp_run_create(bool input, const struct sftp_run_ops *ops, void *ctx);
/* All of the bytes; a packet that could belong to a run waits until it is whole. False: as an operation said. */
bool sftp_run_feed(struct sftp_run *r, const uint8_t *data, size_t len);
/* Something else of this direction is to be recorded: a run ends. */
bool sftp_run_break(struct sftp_run *r);
/* No more bytes come, or they are not kept any more: what waits is content, a run ends, and none begins. May be called again. */
bool sftp_run_end(struct sftp_run *r);
void sftp_run_destroy(struct sftp_run *r);

/*
 * The packet that continues this one: a READ request or a STATUS of success, whole, with its length; into `next`, of the same size.
 * False: it is none, or nothing can continue it.
 */
bool sftp_run_next(const uint8_t *packet, size_t len, uint8_t *next);

#endif
