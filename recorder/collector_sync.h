/*
 * collector_sync.h - the one other thread of the collector: it syncs the segment files while the
 * loop goes on.
 *
 * Runs in bastion-collectord. One syncfs(2) for all files and directories, instead of one or two
 * flushes for each of a thousand recordings. From Linux 5.8 on it also reports every error of
 * writing back since the descriptor was opened, whichever file it hit and whether or not that is
 * still open. The store is best on a file system of its own.
 */
#ifndef BASTION_COLLECTOR_SYNC_H
#define BASTION_COLLECTOR_SYNC_H

#include <pthread.h>
#include <stdbool.h>

struct syncer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, idle;
	bool running, busy, stop;
	int fd[2];		/* anything on those file systems, open since before the first write; borrowed */
	unsigned nfd;
};

/* Syncs the file systems of `fd` and `other`: once, if they are the same. */
int syncer_start(struct syncer *y, int fd, int other);
/*
 * Everything written before this call will be durable when the syncer is idle again. It must be
 * idle: syncer_wait first.
 */
void syncer_go(struct syncer *y);
/*
 * Blocks until it is idle. An error of the disk ends the process there: the journal holds what was
 * acknowledged.
 */
void syncer_wait(struct syncer *y);
bool syncer_busy(struct syncer *y);
void syncer_stop(struct syncer *y);

#endif
