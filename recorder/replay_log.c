/*
 * replay_log.c - the log of recordings beside the recordings that are verified: found, read, and read again while it grows.
 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hex.h"

/* A store's log lies in it, or beside `recordings` if that was named; a recording's three levels above it. */
static void log_path(char out[REPLAY_PATH_MAX], const char *dir, bool recording)
{
	char path[REPLAY_PATH_MAX], *real;
	struct stat st;

	if (!recording && snprintf(out, REPLAY_PATH_MAX, "%s/log", dir) < REPLAY_PATH_MAX && stat(out, &st) == 0)
		return;
	snprintf(path, sizeof(path), recording ? "%s/../../.." : "%s/..", dir);
	real = realpath(path, NULL);
	if (snprintf(out, REPLAY_PATH_MAX, "%s/log", real != NULL ? real : path) >= REPLAY_PATH_MAX)
		out[0] = '\0';
	free(real);
}

/* When was the log last signed? Zeroed: never. */
static void signed_at(struct stat *st, const char *path)
{
	char name[REPLAY_PATH_MAX + 16];

	snprintf(name, sizeof(name), "%s/checkpoint", path);
	if (stat(name, st) != 0)
		memset(st, 0, sizeof(*st));
}

const struct tlog_log *logs_read(struct logs *l, const char *dir, bool recording)
{
	char path[REPLAY_PATH_MAX];

	log_path(path, dir, recording);
	if (l->path[0] != '\0' && strcmp(path, l->path) == 0)
		return &l->log;
	logs_finish(l);
	memcpy(l->path, path, sizeof(path));
	signed_at(&l->seen, path);
	tlog_read(&l->log, path, l->trust->collectors, l->trust->ncollectors);
	return &l->log;
}

bool logs_grew(struct logs *l)
{
	struct stat st;

	signed_at(&st, l->path);
	if (l->path[0] == '\0' || (st.st_ino == l->seen.st_ino && st.st_mtim.tv_sec == l->seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == l->seen.st_mtim.tv_nsec))
		return false;
	l->seen = st;
	tlog_log_finish(&l->log);
	tlog_read(&l->log, l->path, l->trust->collectors, l->trust->ncollectors);
	return true;
}

void logs_finish(struct logs *l)
{
	if (l->path[0] != '\0')
		tlog_log_finish(&l->log);
	l->path[0] = '\0';
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, BREC_ID_LEN);
}

/* The ids of a list, sorted, for free(). */
static uint8_t (*sorted_ids(const struct recordings *list))[BREC_ID_LEN]
{
	uint8_t (*ids)[BREC_ID_LEN] = calloc(list->n + 1, BREC_ID_LEN);

	for (size_t i = 0; ids != NULL && i < list->n; i++)
		hex_decode(ids[i], BREC_ID_LEN, list->v[i].id);
	if (ids != NULL)
		qsort(ids, list->n, BREC_ID_LEN, by_id);
	return ids;
}

int logs_missing(const struct tlog_log *log, const struct recordings *here, log_missing_fn *fn, void *ctx)
{
	uint8_t (*ids)[BREC_ID_LEN] = sorted_ids(here);
	int found = 0;

	if (ids == NULL)
		return -1;
	for (size_t i = 0; i < log->n; i++) {
		const struct tlog_entry *e = &log->v[i];

		if ((i != 0 && memcmp(e->id, e[-1].id, BREC_ID_LEN) == 0) || bsearch(e->id, ids, here->n, BREC_ID_LEN, by_id) != NULL)
			continue;
		found++;
		fn(ctx, e);
	}
	free(ids);
	return found;
}
