/*
 * typing.h - kill -9 of real sessions at every system call, while a puppet types through each into a puppet target.
 *
 * typing.c traces master, whose children the sessions are, and kills them; typing_ends.c is the client and the target of each; typing_check.c
 * holds what both received against what the auditor can replay. tests/crash/sessions makes the lab around them.
 */
#ifndef TYPING_H
#define TYPING_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define SLOTS 512		/* sessions whose ends are remembered: one batch at most */
#define SLOT_BYTES 8192		/* that a session carries in each direction, at most */

/* One session: what came out of it at its two ends. Shared memory, written by the end alone that it is of. */
struct slot {
	uint32_t typed, got, echoed;	/* bytes that the client sent, and that the target, and the client, received */
	bool in, out;			/* the target, and the client, began */
	bool terminal, done;		/* has one; the client has ended */
	uint8_t target[SLOT_BYTES], client[SLOT_BYTES];
};

struct typing {
	uint16_t bastion_port, target_port;
	const char *user, *key, *host_key;
	unsigned first;			/* number of the first session */
};

/* --- typing_ends.c --- */

/* The target's socket. */
int typing_listen(uint16_t port);
/* The target: takes connections until it is killed; what `type N` is sent goes into its slot, and back. Does not return. */
void typing_target(const struct typing *t, struct slot *slots, int fd) __attribute__((noreturn));
/* The client of session number N: logs in, runs `type N`, types until it has typed enough or the session is gone. 0; -1: it did not get through. */
int typing_client(const struct typing *t, struct slot *slots, unsigned n);

/* --- typing_check.c --- */

struct batch {
	unsigned first, n;	/* numbers of its sessions, slot 0 is of the first */
	time_t since;		/* none of its recordings is older */
};

struct tally {
	uint64_t recordings, in, out;	/* compared: recordings, bytes at targets, bytes at clients */
};

/*
 * What each session of the batch received is a prefix of what its recording gives, in both directions. Recordings end up in the store a
 * moment after their session's death: looks again for some seconds. NULL, or a line.
 */
const char *typing_check(const char *store, const char *identity, const struct slot *slots, const struct batch *b, struct tally *t);

#endif
