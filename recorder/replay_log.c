/*
 * replay_log.c - the log of recordings beside the recordings that are verified: found, read, and read again while it grows.
 */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hex.h"
#include "tlog_proof.h"

static bool has(const char *dir, const char *name)
{
	char path[REPLAY_PATH_MAX];
	struct stat st;

	return snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) && stat(path, &st) == 0;
}

/*
 * The log lies beside `recordings`, and is there also when somebody took those away; *out is empty where nothing of that name is. A bundle is a
 * file, and its own log.
 */
static void log_path(struct logs *l, char out[REPLAY_PATH_MAX], const char *dir, bool recording)
{
	char path[REPLAY_PATH_MAX], *real;
	struct stat st;

	l->bundle = recording && stat(dir, &st) == 0 && S_ISREG(st.st_mode);
	if (l->bundle) {
		snprintf(out, REPLAY_PATH_MAX, "%s", dir);
		return;
	}
	if (!recording && (has(dir, "recordings") || has(dir, "log"))) {
		if (snprintf(out, REPLAY_PATH_MAX, "%s/log", dir) >= REPLAY_PATH_MAX)
			out[0] = '\0';
		return;
	}
	snprintf(path, sizeof(path), recording ? "%s/../.." : "%s", dir);
	real = realpath(path, NULL);
	out[0] = '\0';
	if (real != NULL && strlen(real) > 10 && strcmp(strrchr(real, '/'), "/recordings") == 0 &&
	    snprintf(out, REPLAY_PATH_MAX, "%.*s/log", (int)(strlen(real) - 11), real) >= REPLAY_PATH_MAX)
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

static void read_log(struct logs *l)
{
	uint8_t keys[TRUST_KEYS_MAX][KEY_LEN];
	const size_t n = trust_log_keys(l->trust, keys);
	struct brec_tar tar;
	int fd;

	if (!l->bundle) {
		tlog_read(&l->log, l->path, keys, n);
		return;
	}
	if ((fd = open(l->path, O_RDONLY | O_CLOEXEC)) >= 0 && brec_tar_open(&tar, fd) == 0) {
		tlog_read_bundle(&l->log, &tar, keys, n);
		brec_tar_close(&tar);
		return;
	}
	l->log = (struct tlog_log){ .state = TLOG_GOOD };
	tlog_judge(&l->log, TLOG_UNVERIFIABLE, "it cannot be opened: %s", brec_tar_error(errno));
	if (fd >= 0)
		close(fd);
}

const struct tlog_log *logs_read(struct logs *l, const char *dir, bool recording)
{
	char path[REPLAY_PATH_MAX];

	log_path(l, path, dir, recording);
	if (l->read && strcmp(path, l->path) == 0)
		return &l->log;
	logs_finish(l);
	memcpy(l->path, path, sizeof(path));
	l->read = true;
	signed_at(&l->seen, path);
	read_log(l);
	return &l->log;
}

bool logs_grew(struct logs *l)
{
	struct stat st;

	signed_at(&st, l->path);
	if (!l->read || (st.st_ino == l->seen.st_ino && st.st_mtim.tv_sec == l->seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == l->seen.st_mtim.tv_nsec))
		return false;
	l->seen = st;
	tlog_log_finish(&l->log);
	read_log(l);
	return true;
}

/* An emptied directory, or one that was removed since it was found, is judged by its leaves. */
static void judge_emptied(const char *name, const struct brec_trust *view, struct brec_report *r)
{
	const struct tlog_entry *leaves;
	uint8_t id[BREC_ID_LEN];
	size_t n;

	if (r->empty && view->log != NULL && view->log->state == TLOG_GOOD && hex_decode(id, sizeof(id), name) == 0 &&
	    (leaves = tlog_find(view->log, id, &n)) != NULL)
		brec_verify_missing(leaves, n, view, r);
}

void logs_verify(struct logs *l, const char *dir, bool recording, const struct recording *rec, struct brec_report *r)
{
	struct brec_trust view = trust_view(l->trust);

	view.log = logs_read(l, dir, recording);
	/* a recording and its log may both be growing: what the one has and the other not is looked at again */
	for (int i = 0; i < 2; i++) {
		brec_verify_dir(rec->dir, &view, r);
		judge_emptied(rec->id, &view, r);
		if (r->verdict == BREC_COMPLETE || r->verdict == BREC_ABANDONED || r->verdict == BREC_PRUNED || r->verdict == BREC_OPEN ||
		    (!r->empty && r->logged != BREC_LOG_MISSING && r->logged != BREC_LOG_PART) || i == 1)
			return;
		logs_grew(l);
	}
}

void logs_finish(struct logs *l)
{
	if (l->read)
		tlog_log_finish(&l->log);
	l->read = false;
}

bool logs_pruned(struct logs *l, const char *store, const char *id)
{
	struct brec_trust view = trust_view(l->trust);
	const struct tlog_entry *leaves;
	struct brec_report report;
	uint8_t raw[BREC_ID_LEN];
	size_t n;

	view.log = logs_read(l, store, false);
	if (view.log->state != TLOG_GOOD || hex_decode(raw, sizeof(raw), id) != 0 || (leaves = tlog_find(view.log, raw, &n)) == NULL)
		return false;
	brec_verify_missing(leaves, n, &view, &report);
	return report.verdict == BREC_PRUNED;
}
