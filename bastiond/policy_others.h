/*
 * policy_others.h - another policy at the same database, during an upgrade. Role policy.
 */
#ifndef BASTIOND_POLICY_OTHERS_H
#define BASTIOND_POLICY_OTHERS_H

#include <stdint.h>

struct policy;

#define OTHERS_MS 250	/* so often it is looked whether another process wrote */

/* 0, or -1 without memory. */
int others_open(struct policy *p);
/* The other one serves: this one keeps its sessions, and ships no events. */
void others_retire(struct policy *p);
/* A connection that is not one of ours is to end. */
void others_kill(struct policy *p, int64_t connection, const char *line);
void others_close(struct policy *p);

#endif
