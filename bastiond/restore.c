/*
 * restore.c - see restore.h. Runs as root in a process of its own, started by hand.
 *
 * All is done to a copy under another name; the last step is a rename. So a run that is cut short leaves the database
 * as it was, and what it left behind is overwritten by the next.
 */
#include "restore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "drop.h"
#include "hex.h"
#include "init.h"
#include "log.h"
#include "otp.h"
#include "store_account.h"
#include "store_backup.h"
#include "store_report.h"
#include "write_all.h"

#define CHUNK 65536

struct restore {
	const struct config *conf;
	const char *file;
	char db[PATH_MAX], copy[PATH_MAX + 16], aside[PATH_MAX + 64];
	struct store *s;
	int64_t rows;			/* events in the backup, */
	char head[2 * EVENT_HASH_LEN + 1];	/* and the hash of the last */
	int64_t last;
	int ended;			/* grants and requests */
};

static int fail(const char *path, const char *step)
{
	log_error("%s: %s: %s", path, step, strerror(errno));
	return -1;
}

/* Parent holds a lock on its pid file for as long as it lives. */
static int check_stopped(const struct config *conf)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX + 32];
	int fd, r;

	snprintf(path, sizeof(path), "%s/bastiond.pid", conf->run_dir);
	if ((fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return errno == ENOENT ? 0 : fail(path, "cannot look at it");
	r = fcntl(fd, F_GETLK, &lock);
	close(fd);
	if (r == 0 && lock.l_type == F_UNLCK)
		return 0;
	log_error("bastiond runs: end it first (systemctl stop bastiond)");
	return -1;
}

static void drop_copy(const struct restore *r)
{
	static const char *const tails[] = { "", "-wal", "-shm", "-journal" };
	char path[PATH_MAX + 32];

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", r->copy, tails[i]);
		unlink(path);
	}
}

static int copy_bytes(int from, int to, const char *name)
{
	static char piece[CHUNK];
	ssize_t n;

	while ((n = read(from, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(name, "cannot read");
		if (write_all(to, piece, (size_t)n) != 0)
			return fail(name, "cannot copy it");
	}
	return 0;
}

static int make_copy(const struct restore *r)
{
	int from = open(r->file, O_RDONLY | O_CLOEXEC), to = -1, done = -1;
	struct stat st;

	drop_copy(r);
	if (from < 0 || fstat(from, &st) != 0) {
		fail(r->file, "cannot open");
	} else if (!S_ISREG(st.st_mode)) {
		log_error("%s: no plain file", r->file);
	} else if ((to = open(r->copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
		fail(r->copy, "cannot create");
	} else {
		done = copy_bytes(from, to, r->file);
	}
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return done;
}

static int check_chain(struct restore *r)
{
	struct event_report rep = { .more = true };
	int64_t after = 0;

	while (rep.more) {
		if (event_verify(r->s, after, &rep) < 0) {
			log_error("%s: %s", r->file, store_error(r->s));
			return -1;
		}
		if (rep.bad != 0) {
			log_error("%s: event %lld does not fit the chain: somebody changed it. Take another backup", r->file,
			    (long long)rep.bad);
			return -1;
		}
		r->rows += rep.rows;
		after = rep.after + rep.rows;
	}
	r->last = after;
	hex_encode(r->head, rep.head, sizeof(rep.head));
	return 0;
}

static int check_copy(struct restore *r)
{
	struct store_counts n;
	char err[STORE_ERR_MAX];

	if ((r->s = store_open(r->copy, err)) == NULL) {
		log_error("%s: %s", r->file, err);
		return -1;
	}
	if (store_check(r->s, err) != 0) {
		log_error("%s: %s", r->file, err);
		return -1;
	}
	if (check_chain(r) != 0 || store_counts(r->s, clock_wall(), &n) != 0)
		return -1;
	printf("%s is whole: %lld users, %lld hosts, %lld grants in force, %lld events that fit their chain. Head: %lld %s\n",
	    r->file, (long long)n.users, (long long)n.hosts, (long long)n.grants, (long long)r->rows, (long long)r->last, r->head);
	return 0;
}

/* What was open when the backup was made may have been revoked since. */
static int end_open(struct restore *r, int64_t now)
{
	static const char why[] = "the database was restored from a backup";
	struct ticket t = { .id = 0 };
	struct user u;
	int n;

	while ((n = store_ticket_open(r->s, 0, 0, 0, t.id, &t)) == 1) {
		bool granted = ticket_gives_access(t.state);

		if (store_user(r->s, t.user_id, &u) != 1 ||
		    store_ticket_move(r->s, &t, granted ? ACT_REVOKE : ACT_CANCEL, "root", why, now) != 1 ||
		    event_writef(r->s, now, granted ? EVENT_GRANT_REVOKE : EVENT_CANCEL, "root", u.name, "{s:I,s:s}", "request",
			(json_int_t)t.id, "reason", why) < 0)
			return -1;
		r->ended++;
	}
	return n;
}

static int adapt(struct restore *r, bool keep_grants)
{
	const int64_t now = clock_wall();
	int done = -1;

	if (store_begin(r->s) == 0) {
		if ((keep_grants || end_open(r, now) == 0) && store_accounts_restored(r->s) == 0 && otp_restored(r->s, now) == 0 &&
		    event_writef(r->s, now, EVENT_RESTORE, "root", NULL, "{s:I,s:s,s:i,s:b}", "events", (json_int_t)r->last, "head",
			r->head, "ended", r->ended, "grants_kept", keep_grants) == 0)
			done = store_commit(r->s);
		else
			store_rollback(r->s);
	}
	if (done != 0)
		log_error("%s: %s", r->file, store_error(r->s));
	return done;
}

static int sync_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), r;

	if (fd < 0)
		return fail(path, "cannot open");
	r = fsync(fd) == 0 ? 0 : fail(path, "fsync");
	close(fd);
	return r;
}

/*
 * What policy left in the write-ahead log goes into the file, which is whole without its log then, whenever this run is cut short. Done as
 * policy: its files are none that root reads. One that is damaged stays as it is, and goes aside with its log. 0, or -1.
 */
static int settle(const struct restore *r)
{
	const pid_t pid = fork();
	char err[STORE_ERR_MAX];
	int done, status = -1;

	if (pid == 0) {
		snprintf(err, sizeof(err), "cannot become user_policy");
		done = drop_to(r->conf, ROLE_POLICY) == 0 ? store_settle("/policy.db", err) : -1;
		if (done < 0)
			log_error("%s: cannot write what is in its log into it: %s. If it is lost, move it away, with its log", r->db, err);
		_exit(done < 0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (pid < 0)
		return fail(r->db, "cannot start a process for it");
	if (WIFSIGNALED(status))
		log_error("%s: the process that writes what is in its log into it was ended: %s", r->db, strsignal(WTERMSIG(status)));
	return status == 0 ? 0 : -1;
}

/* What was the database is kept, with its write-ahead log: by link, so that its name is never without a file. */
static int put_in_place(struct restore *r)
{
	const struct config_user *owner = &r->conf->user_policy;
	char from[PATH_MAX + 32], to[PATH_MAX + 80], dir[PATH_MAX + 8], at[32];
	bool was = access(r->db, F_OK) == 0;

	clock_format(at, sizeof(at), clock_wall());
	snprintf(r->aside, sizeof(r->aside), "%s.before-%s", r->db, at);
	snprintf(dir, sizeof(dir), "%s/db", r->conf->state_dir);
	if (chown(r->copy, owner->uid, owner->gid) != 0)
		return fail(r->copy, "cannot give it to user_policy");
	if (sync_path(r->copy, O_RDONLY) != 0)
		return -1;
	if (was && settle(r) != 0)
		return -1;
	if (was && link(r->db, r->aside) != 0)
		return fail(r->aside, "cannot keep the database there");
	/* the log belongs to the old file; beside the new one it would be taken for its own */
	snprintf(from, sizeof(from), "%s-wal", r->db);
	snprintf(to, sizeof(to), "%s-wal", r->aside);
	if (was && rename(from, to) != 0 && errno != ENOENT)
		return fail(from, "cannot move it away");
	snprintf(from, sizeof(from), "%s-shm", r->db);
	unlink(from);
	if (rename(r->copy, r->db) != 0)
		return fail(r->db, "cannot rename to it");
	if (sync_path(dir, O_RDONLY | O_DIRECTORY) != 0)
		return -1;
	printf("Restored. %d grants and requests that were open in it have ended.\n", r->ended);
	if (was)
		printf("The database that was there: %s\n", r->aside);
	return 0;
}

static int run(const struct config *conf, const char *file, bool replace, bool keep_grants)
{
	struct restore r = { .conf = conf, .file = file };
	int done = -1;

	if (geteuid() != 0) {
		log_error("only root can read the database: use sudo");
		return -1;
	}
	if (strlen(conf->state_dir) > PATH_MAX - 64 || (replace && check_stopped(conf) != 0))
		return -1;
	umask(077);
	snprintf(r.db, sizeof(r.db), "%s/db/policy.db", conf->state_dir);
	snprintf(r.copy, sizeof(r.copy), "%s.%s", r.db, replace ? "restore" : "check");
	/* on a machine that never had a database there is none */
	if (init_database_dir(conf) == 0 && make_copy(&r) == 0 && check_copy(&r) == 0)
		done = replace ? adapt(&r, keep_grants) : 0;
	store_close(r.s);
	if (done == 0 && replace)
		done = put_in_place(&r);
	drop_copy(&r);
	return done == 0 && fflush(stdout) == 0 ? 0 : -1;
}

int restore_check(const struct config *conf, const char *file)
{
	return run(conf, file, false, false);
}

int restore_backup(const struct config *conf, const char *file, bool keep_grants)
{
	return run(conf, file, true, keep_grants);
}
