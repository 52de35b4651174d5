/*
 * collector_sync.c - see collector_sync.h. Comes after collector_store.c, which lets it run before
 * a journal file is begun anew.
 */
#include "collector_sync.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static void *syncer_main(void *arg)
{
	struct syncer *y = arg;

	pthread_mutex_lock(&y->lock);
	for (;;) {
		while (!y->busy && !y->stop)
			pthread_cond_wait(&y->wake, &y->lock);
		if (!y->busy)
			break;
		pthread_mutex_unlock(&y->lock);
		if (syncfs(y->fd[0]) != 0 || (y->nfd == 2 && syncfs(y->fd[1]) != 0)) {
			/*
			 * The page cache may have dropped what it could not write: only a replay of
			 * the journal mends that.
			 */
			log_error(
			    "syncing recordings: %s. The collector ends; its journal still holds what it acknowledged: "
			    "see to the disk, then start it again",
			    strerror(errno));
			_exit(1);
		}
		pthread_mutex_lock(&y->lock);
		y->busy = false;
		pthread_cond_broadcast(&y->idle);
	}
	pthread_mutex_unlock(&y->lock);
	return NULL;
}

int syncer_start(struct syncer *y, int fd, int other)
{
	sigset_t all, before;
	struct stat a, b;
	int r;

	if (fstat(fd, &a) != 0 || fstat(other, &b) != 0)
		return -1;
	*y = (struct syncer){ .fd = { fd, other }, .nfd = a.st_dev == b.st_dev ? 1 : 2 };
	pthread_mutex_init(&y->lock, NULL);
	pthread_cond_init(&y->wake, NULL);
	pthread_cond_init(&y->idle, NULL);
	/* signals belong to the loop */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&y->thread, NULL, syncer_main, y);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		errno = r;
		return -1;
	}
	y->running = true;
	return 0;
}

void syncer_go(struct syncer *y)
{
	pthread_mutex_lock(&y->lock);
	y->busy = true;
	pthread_cond_signal(&y->wake);
	pthread_mutex_unlock(&y->lock);
}

void syncer_wait(struct syncer *y)
{
	pthread_mutex_lock(&y->lock);
	while (y->busy)
		pthread_cond_wait(&y->idle, &y->lock);
	pthread_mutex_unlock(&y->lock);
}

bool syncer_busy(struct syncer *y)
{
	bool busy;

	pthread_mutex_lock(&y->lock);
	busy = y->busy;
	pthread_mutex_unlock(&y->lock);
	return busy;
}

void syncer_stop(struct syncer *y)
{
	if (!y->running)
		return;
	syncer_wait(y);
	pthread_mutex_lock(&y->lock);
	y->stop = true;
	pthread_cond_signal(&y->wake);
	pthread_mutex_unlock(&y->lock);
	pthread_join(y->thread, NULL);
	y->running = false;
}
