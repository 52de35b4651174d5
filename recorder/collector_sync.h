/*
 * collector_sync.h - the one other thread of the collector: it syncs segment files while the loop goes on.
 *
 * Runs in bastion-collectord. A file stays open from its first write until it is synced, so that an error of the disk cannot get
 * lost between two descriptors. The loop hands its descriptors over; a file that is written meanwhile is opened again.
 */
#ifndef BASTION_COLLECTOR_SYNC_H
#define BASTION_COLLECTOR_SYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define STORE_DIR_LEN 48

struct sync_item {
	int fd;
	bool created;			/* the directory entry is not durable yet, */
	bool first;			/* and neither are those of its directories */
	char dir[STORE_DIR_LEN];	/* "2026-11-22/<hex id>" below recordings */
};

struct syncer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, idle;
	bool running, busy, stop;
	int recordings;		/* directory, borrowed */
	int event;		/* readable when a job is done */
	struct sync_item *items;
	size_t nitems;
};

int syncer_start(struct syncer *y, int recordings);
/* Takes over items (freed, and their fds closed, by the thread). The syncer must be idle: syncer_wait first. */
void syncer_give(struct syncer *y, struct sync_item *items, size_t n);
/* Blocks until it is idle. */
void syncer_wait(struct syncer *y);
bool syncer_busy(struct syncer *y);
void syncer_stop(struct syncer *y);

/* Syncs the items and the directories of new ones. 0, or -1 with errno. Used by the thread, and directly at recovery. */
int sync_items(int recordings, const struct sync_item *items, size_t n);

#endif
