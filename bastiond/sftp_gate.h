/*
 * sftp_gate.h - SFTP of version 3, and in one direction only: what the grant does not allow never reaches the target.
 *
 * Session process; between a client and its target on an sftp channel. One whose grant has both directions needs it until the version is
 * agreed. Where it has sftp-read or sftp-write alone, a request that is not allowed is taken out of the stream and answered here, with
 * SSH_FX_PERMISSION_DENIED, in between two answers of the target. Pure: bytes in, bytes out by a callback.
 */
#ifndef BASTION_SFTP_GATE_H
#define BASTION_SFTP_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay_bulk.h"

/* Bytes that pass: towards the target (input), or towards the client. False: no more, the channel is over. */
typedef bool (*gate_pass)(void *ctx, bool input, const uint8_t *data, size_t len);
/* A request that is refused, by its id, as a 'f' event. Its answer passes later. */
typedef void (*gate_refused)(void *ctx, uint32_t id, const char *json);

struct sftp_gate;

/* rights: CHAN_READS, CHAN_WRITES. NULL without memory. */
struct sftp_gate *sftp_gate_create(unsigned rights, gate_pass pass, gate_refused report, void *ctx);
/* All of the bytes. False: pass() said no, or the stream is no SFTP: it cannot be followed, so nothing more may pass. */
bool sftp_gate_feed(struct sftp_gate *g, bool input, const uint8_t *data, size_t len);
/* Everything is allowed, and the version is agreed: from here on it would pass all bytes as they are. */
bool sftp_gate_done(const struct sftp_gate *g);
/* Requests that were refused so far. */
uint64_t sftp_gate_refused(const struct sftp_gate *g);
void sftp_gate_destroy(struct sftp_gate *g);
/* Is it one whose needs are known? */
bool sftp_gate_knows(const char *extension);

#endif
