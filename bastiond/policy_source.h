/*
 * policy_source.h - sources that guess: how refusals slow down, who is blocked, and the words for it. Private to the policy role.
 */
#ifndef BASTIOND_POLICY_SOURCE_H
#define BASTIOND_POLICY_SOURCE_H

#include "policy.h"

#define SOURCE_PAIRS 8192	/* (name, source) remembered */
#define SOURCE_TRIED 4096	/* sources whose names are counted */
#define SOURCE_HELD 1024	/* listed by `blocks` */
#define SOURCE_NAMES_MAX 64	/* names of one source; block_names is at most that */
#define SOURCE_FREE 6		/* failures for a name from a source without a delay: the keys of an agent */
#define SOURCE_DELAY 500	/* ms, then doubled */
#define SOURCE_DELAY_MAX 8000

int sources_open(struct policy *p); /* 0, or -1 without memory */
void sources_close(struct policy *p);
/* A key or a code was refused for this name, known or not. Milliseconds that the answer is to take longer. */
uint32_t source_failed(struct peer *peer, const char *name);
/* The key was nobody's: the name counts as one that was tried. */
void source_tried(struct peer *peer, const char *name);
/* The peer logged in: its failures are forgotten. */
void source_in(struct peer *peer);
/* SOURCE_HELD: what parent holds a source under. 0, or -1: malformed. May kill the peers from there. */
int source_on_held(struct policy *p, struct ipc_msg *m);
/* control.blocks and control.unblock. */
json_t *source_blocks(void *arg);
int source_unblock(void *arg, const char *network, bool let_in);

#endif
