/*
 * policy_backup.h - `bastionctl backup`: a copy of the database for root, while everything goes on.
 *
 * Role policy. Root's client sends an open file (CTL_BACKUP). The copy is made beside the database, BACKUP_PAGES at a time
 * between the turns of the loop, then written into that file, and gone. One at a time; it ends with its client.
 */
#ifndef BASTIOND_POLICY_BACKUP_H
#define BASTIOND_POLICY_BACKUP_H

#include "ipc.h"

struct client;
struct policy;
struct link;

#define BACKUP_PAGES 64		/* in one turn: 256 KiB, a millisecond or two */
#define BACKUP_CHUNK 262144	/* bytes written to the client's file in one turn */
#define BACKUP_SAY_MS 1000	/* so often the client hears that it goes on */

/* 0, or -1: not permitted. */
int backup_start(struct client *c, struct ipc_msg *m);
/* This client, or policy (NULL), is gone. */
void backup_abort(struct policy *p, const struct link *client);

#endif
