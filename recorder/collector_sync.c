/*
 * collector_sync.c - see collector_sync.h. Comes after collector_store.c, which gives it the files of one journal file.
 */
#include "collector_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

static int sync_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd >= 0 ? fsync(fd) : -1;

	if (fd >= 0)
		close(fd);
	return r;
}

/* From the file up: each directory must hold the entry of what was synced below it. */
static int sync_dirs(int recordings, const struct sync_item *item)
{
	char date[STORE_DIR_LEN];

	if (sync_dir(recordings, item->dir) != 0)
		return -1;
	if (!item->first)
		return 0;
	memcpy(date, item->dir, sizeof(date));
	date[strcspn(date, "/")] = '\0';
	return sync_dir(recordings, date) == 0 && fsync(recordings) == 0 ? 0 : -1;
}

int sync_items(int recordings, const struct sync_item *items, size_t n)
{
	/* the device begins on all of them before the first one is waited for */
	for (size_t i = 0; i < n; i++)
		sync_file_range(items[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < n; i++)
		if (fsync(items[i].fd) != 0 || (items[i].created && sync_dirs(recordings, &items[i]) != 0))
			return -1;
	return 0;
}

static void free_items(struct sync_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(items[i].fd);
	free(items);
}

static void *syncer_main(void *arg)
{
	struct syncer *y = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&y->lock);
	for (;;) {
		while (y->items == NULL && !y->stop)
			pthread_cond_wait(&y->wake, &y->lock);
		if (y->items == NULL)
			break;
		pthread_mutex_unlock(&y->lock);
		if (sync_items(y->recordings, y->items, y->nitems) != 0) {
			/* The page cache may have dropped what it could not write: the journal must replay it. */
			log_error("syncing recordings: %s. The collector ends; its journal still holds what it acknowledged: "
			    "see to the disk, then start it again", strerror(errno));
			_exit(1);
		}
		free_items(y->items, y->nitems);
		pthread_mutex_lock(&y->lock);
		y->items = NULL;
		y->busy = false;
		pthread_cond_broadcast(&y->idle);
		if (write(y->event, &one, sizeof(one)) < 0)
			log_debug("syncer: eventfd: %s", strerror(errno));
	}
	pthread_mutex_unlock(&y->lock);
	return NULL;
}

int syncer_start(struct syncer *y, int recordings)
{
	sigset_t all, before;
	int r;

	*y = (struct syncer){ .recordings = recordings, .event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (y->event < 0)
		return -1;
	pthread_mutex_init(&y->lock, NULL);
	pthread_cond_init(&y->wake, NULL);
	pthread_cond_init(&y->idle, NULL);
	/* signals belong to the loop */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&y->thread, NULL, syncer_main, y);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		close(y->event);
		errno = r;
		return -1;
	}
	y->running = true;
	return 0;
}

void syncer_give(struct syncer *y, struct sync_item *items, size_t n)
{
	pthread_mutex_lock(&y->lock);
	y->items = items;
	y->nitems = n;
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
	close(y->event);
	y->running = false;
}
