/*
 * test_store_faults.c - the database when its disk is full or fails, when its bytes are wrong, when others hold it, and
 * when a process is killed or stopped at any step of a transaction: access stays closed, and nothing is half done.
 *
 * Faults are put under SQLite: it lets its system calls be replaced (xSetSystemCall).
 * WRAP: sqlite3_busy_timeout sqlite3_exec
 */
#include "store_rig.h"

#include <signal.h>
#include <sys/wait.h>

#include "clock.h"

/* Under the sanitizers each fifth of the calls has to do: there it takes that much longer. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 5
#else
#define STRIDE 1
#endif

/* Instead of five seconds: what is waited for here does not come. */
#define BUSY_MS 100

int __real_sqlite3_busy_timeout(sqlite3 *db, int ms);
int __wrap_sqlite3_busy_timeout(sqlite3 *db, int ms);
int __wrap_sqlite3_busy_timeout(sqlite3 *db, int ms)
{
	return __real_sqlite3_busy_timeout(db, ms < BUSY_MS ? ms : BUSY_MS);
}

/* Without its syncs, which take most of the time, and which a process that dies does not need: pages in the kernel outlive it. */
int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **), void *arg, char **err);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **), void *arg, char **err);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **), void *arg, char **err)
{
	const int rc = __real_sqlite3_exec(db, sql, fn, arg, err);

	return rc == SQLITE_OK && strncmp(sql, "PRAGMA synchronous=FULL", 23) == 0 ?
	    __real_sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL) : rc;
}

/* --- system calls of SQLite --- */

enum fault { FAULT_NONE, FAULT_ERROR, FAULT_SHORT, FAULT_KILL, FAULT_STOP };

static enum fault fault;
static int fault_errno;
static long calls_left = -1;		/* the call with this number, and with FAULT_ERROR all after it */
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, off_t, off_t);

/* Does this call fail? FAULT_KILL and FAULT_STOP do not return, or much later. */
static bool strikes(void)
{
	if (fault == FAULT_NONE || calls_left < 0 || calls_left-- > 0)
		return false;
	if (fault == FAULT_KILL)
		kill(getpid(), SIGKILL);
	if (fault == FAULT_STOP) {
		kill(getpid(), SIGSTOP);
		return false;
	}
	calls_left = fault == FAULT_ERROR ? 0 : -1;
	errno = fault_errno;
	return true;
}

static ssize_t do_pwrite(int fd, const void *data, size_t len, off_t at)
{
	if (!strikes())
		return real_pwrite(fd, data, len, at);
	return fault == FAULT_SHORT && len > 1 ? real_pwrite(fd, data, len / 2, at) : -1;
}

static ssize_t do_write(int fd, const void *data, size_t len)
{
	return strikes() ? -1 : real_write(fd, data, len);
}

static int do_ftruncate(int fd, off_t len)
{
	return strikes() ? -1 : real_ftruncate(fd, len);
}

static int do_fallocate(int fd, off_t at, off_t len)
{
	return strikes() ? fault_errno : real_fallocate(fd, at, len);
}

static void hook(const char *name, sqlite3_syscall_ptr ours, sqlite3_syscall_ptr *real)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
	sqlite3_syscall_ptr was = vfs->xGetSystemCall(vfs, name);

	if (was == NULL) /* not used in this build */
		return;
	*real = was;
	assert_int_equal(vfs->xSetSystemCall(vfs, name, ours), SQLITE_OK);
}

static int hook_all(void **state)
{
	(void)state;
	hook("pwrite", (sqlite3_syscall_ptr)do_pwrite, (sqlite3_syscall_ptr *)&real_pwrite);
	hook("pwrite64", (sqlite3_syscall_ptr)do_pwrite, (sqlite3_syscall_ptr *)&real_pwrite);
	hook("write", (sqlite3_syscall_ptr)do_write, (sqlite3_syscall_ptr *)&real_write);
	hook("ftruncate", (sqlite3_syscall_ptr)do_ftruncate, (sqlite3_syscall_ptr *)&real_ftruncate);
	hook("fallocate", (sqlite3_syscall_ptr)do_fallocate, (sqlite3_syscall_ptr *)&real_fallocate);
	return 0;
}

/* --- a transaction, and what it is worth --- */

static const struct step { const char *who, *json; } steps[] = {
	{ "alice", REQUEST_WEB1 },
	{ "bob", "{\"word\":\"approve\",\"args\":{\"id\":1}}" },
	{ "bob", "{\"word\":\"revoke\",\"args\":{\"id\":1}}" },
	{ "root", "{\"word\":\"user key revoke\",\"args\":{\"user\":\"alice\",\"device\":\"laptop\"}}" },
	{ "root", "{\"word\":\"user remove\",\"args\":{\"user\":\"alice\"}}" },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* All rows that a word may change, as one number: a word is done whole, or the number is the one before. */
static int64_t world(void)
{
	static const char *const sums[] = {
		"SELECT ifnull(sum(id*17+length(state)*3+length(why)), 0) FROM requests", "SELECT count(*)*7 FROM verdicts",
		"SELECT ifnull(sum(id*5+ifnull(ended_at,0)%1000), 0) FROM grants", "SELECT ifnull(max(id), 0)*1000003 FROM events",
		"SELECT count(*)*11 FROM devices WHERE revoked IS NOT NULL", "SELECT sum(length(state))*13 FROM users",
		"SELECT count(*)*19 FROM role_users",
	};
	sqlite3_stmt *st;
	sqlite3 *db;
	int64_t sum = 0;

	assert_int_equal(sqlite3_open(rig.path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		assert_int_equal(sqlite3_prepare_v2(db, sums[i], -1, &st, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		sum += sqlite3_column_int64(st, 0);
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
	return sum;
}

/* The reply is "ok", or a code; nothing is asserted about it, for a fault may make it anything. */
static bool try_word(const struct step *w)
{
	struct actor a = { .root = strcmp(w->who, "root") == 0, .local = true };
	struct buf out;
	bool ok;

	a.user_id = a.root ? 0 : id_of(w->who);
	buf_init(&out, CONTROL_REPLY_MAX);
	if (control_handle(&rig.c, &a, w->json, strlen(w->json), &out) < 0)
		buf_reset(&out);
	buf_put_u8(&out, 0);
	ok = strncmp((char *)out.data, "{\"ok\":true", 10) == 0 || strstr((char *)out.data, "\"ok\":true") != NULL;
	buf_finish(&out);
	return ok;
}

static bool may_enter(void)
{
	struct access_answer a;
	struct host h;

	control_way(&rig.c, id_of("alice"), "10.0.0.9", "web1", "dba", 0, &a, &h);
	return a.refusal == 0;
}

static void reopen(void)
{
	char err[STORE_ERR_MAX];

	store_close(rig.s);
	rig.s = store_open(rig.path, err);
	if (rig.s == NULL)
		fail_msg("%s", err);
	rig.c.store = rig.s;
}

static void all_is_sound(void)
{
	struct event_report r;
	char err[STORE_ERR_MAX] = "";

	if (store_check(rig.s, err) != 0)
		fail_msg("%s", err);
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	assert_int_equal(r.bad, 0);
}

/* Brings the world to where step `i` is next, without faults. Each world is made once: after that its bytes are written. */
static void play_to(size_t i)
{
	static uint8_t saved[1 << 20];
	static size_t saved_for = STEPS;
	static ssize_t len;
	int fd;

	if (saved_for == i) {
		strcpy(rig.dir + strlen(rig.dir) - 6, "XXXXXX"); /* as mkdtemp() wants it */
		assert_non_null(mkdtemp(rig.dir));
		snprintf(rig.path, sizeof(rig.path), "%s/policy.db", rig.dir);
		assert_true((fd = open(rig.path, O_WRONLY | O_CREAT | O_EXCL, 0600)) >= 0);
		assert_int_equal(write(fd, saved, (size_t)len), len);
	} else {
		rig_world();
		for (size_t k = 0; k < i; k++)
			OK(steps[k].who, steps[k].json);
		store_close(rig.s); /* and what is beside the file is in it */
		assert_true((fd = open(rig.path, O_RDONLY)) >= 0);
		assert_true((len = read(fd, saved, sizeof(saved))) > 0 && len < (ssize_t)sizeof(saved));
		saved_for = i;
	}
	close(fd);
	rig.s = NULL;
	reopen();
}

/* --- a disk that is full, or fails --- */

/*
 * From the n-th write on the disk takes nothing more; then it has room again. In between the word was refused
 * and changed nothing, whoever had no access got none, and afterwards the same connection works.
 */
static void a_disk_that_takes_nothing(enum fault how, int error)
{
	for (size_t i = 0; i < STEPS; i++) {
		bool through = false;

		for (long n = 0; !through; n += STRIDE) {
			int64_t before;
			bool in, ok;

			assert_true(n < 500);
			play_to(i);
			before = world();
			in = may_enter();
			fault = how;
			fault_errno = error;
			calls_left = n;
			ok = try_word(&steps[i]);
			through = calls_left > 0 || (how == FAULT_SHORT && calls_left >= 0);
			fault = FAULT_NONE;
			calls_left = -1;
			if (!ok) {
				assert_int_equal(world(), before);
				assert_int_equal(may_enter(), in);
				assert_true(try_word(&steps[i]));
			}
			assert_int_not_equal(world(), before);
			reopen();
			all_is_sound();
			rig_close();
		}
	}
}

static void a_full_disk(void **state)
{
	(void)state;
	a_disk_that_takes_nothing(FAULT_ERROR, ENOSPC);
}

static void a_failing_disk(void **state)
{
	(void)state;
	a_disk_that_takes_nothing(FAULT_ERROR, EIO);
}

static void a_disk_that_writes_half(void **state)
{
	(void)state;
	a_disk_that_takes_nothing(FAULT_SHORT, ENOSPC);
}

/* --- a process that ends, or stands still, in the middle --- */

/* The child's exit status: 1 refused, 0 done. It opens the database itself: connections are not carried over a fork. */
static pid_t in_child(const struct step *w, enum fault how, long n)
{
	char err[STORE_ERR_MAX];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(60);
	rig.s = store_open(rig.path, err);
	rig.c.store = rig.s;
	if (rig.s == NULL)
		_exit(2);
	fault = how;
	calls_left = n;
	_exit(try_word(w) ? 0 : 1);
}

/* kill -9 at each write of each word: what is found afterwards is the world before it, or after it. */
static void killed_at_every_write(void **state)
{
	int64_t kills = 0;

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		int64_t before, after = -1;
		int status = -1;

		for (long n = 0; n < 500 && (status == -1 || WIFSIGNALED(status)); n += STRIDE) {
			int64_t now;
			pid_t pid;

			play_to(i);
			store_close(rig.s);
			rig.s = NULL;
			before = world();
			pid = in_child(&steps[i], FAULT_KILL, n);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
			kills += WIFSIGNALED(status);
			reopen();
			all_is_sound();
			now = world();
			if (now == before)
				assert_true(try_word(&steps[i])); /* and it can be done now */
			after = after == -1 ? world() : after;
			assert_int_equal(world(), after);
			rig_close();
		}
		assert_true(WIFEXITED(status));
	}
	assert_true(kills >= (int64_t)STEPS);
}

/* A process that stands still inside its transaction: others are refused after their patience and read what was before. */
static void stopped_at_every_write(void **state)
{
	size_t refused = 0;

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		int status = -1;

		for (long n = 0; n < 500 && (status == -1 || !WIFEXITED(status)); n += 3 * STRIDE) {
			static const struct step other = { "root", "{\"word\":\"user add\",\"args\":{\"user\":\"zoe\"}}" };
			int64_t before;
			pid_t pid;
			bool in;

			play_to(i);
			before = world();
			in = may_enter();
			pid = in_child(&steps[i], FAULT_STOP, n);
			assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
			if (WIFSTOPPED(status)) {
				/* it holds the lock, or has just given it back */
				const uint64_t since = clock_mono_ms();
				const bool ok = try_word(&other);

				assert_true(clock_mono_ms() - since < 20 * BUSY_MS);
				if (!ok) {
					refused++;
					assert_int_equal(world(), before);
					assert_int_equal(may_enter(), in);
				}
				kill(pid, SIGKILL);
				assert_int_equal(waitpid(pid, NULL, 0), pid);
				assert_true(ok || try_word(&other)); /* the dead hold no lock */
			}
			reopen();
			all_is_sound();
			rig_close();
		}
		assert_true(WIFEXITED(status));
	}
	assert_true(refused > 0);
}

/* --- many at once --- */

#define WRITERS 4
#define ROUNDS 60

/* Processes that write side by side, each by a connection of its own: each word that was answered yes is there, once. */
static void writers_side_by_side(void **state)
{
	pid_t pids[WRITERS];
	struct event_report r;
	int64_t done = 0;
	int out[2];
	uint32_t n;

	(void)state;
	play_to(0);
	store_close(rig.s);
	rig.s = NULL;
	assert_int_equal(pipe(out), 0);
	for (int w = 0; w < WRITERS; w++) {
		if ((pids[w] = fork()) != 0)
			continue;
		char err[STORE_ERR_MAX], json[128];

		alarm(60);
		if ((rig.s = rig.c.store = store_open(rig.path, err)) == NULL)
			_exit(2);
		n = 0;
		for (int i = 0; i < ROUNDS; i++) {
			const struct step s = { "root", json };

			snprintf(json, sizeof(json), "{\"word\":\"user add\",\"args\":{\"user\":\"w%dx%d\"}}", w, i);
			n += try_word(&s);
		}
		_exit(write(out[1], &n, sizeof(n)) == sizeof(n) ? 0 : 3);
	}
	for (int w = 0; w < WRITERS; w++) {
		int status;

		assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
		assert_int_equal(status, 0);
		assert_int_equal(read(out[0], &n, sizeof(n)), sizeof(n));
		done += n;
	}
	close(out[0]);
	close(out[1]);
	reopen();
	all_is_sound();
	assert_int_equal(event_verify(rig.s, 0, &r), 0);
	OK("root", "{\"word\":\"user list\",\"args\":{\"limit\":1000}}");
	assert_int_equal(json_array_size(json_object_get(last, "rows")), done + 6);
	assert_true(done > 0);
	rig_close();
}

/* --- wrong bytes --- */

/*
 * Bytes of the file are changed by chance, some hundred times over. Whatever SQLite makes of it, alice, who has no grant, gets in
 * never, and she never approves her own request.
 */
static void wrong_bytes_open_nothing(void **state)
{
	static const struct step own = { "alice", "{\"word\":\"approve\",\"args\":{\"id\":1}}" };
	static uint8_t good[1 << 20], bad[1 << 20];
	uint64_t dice = 20261128;
	size_t opened = 0;
	ssize_t len;
	int fd;

	(void)state;
	play_to(1); /* a request of alice's, that nobody approved */
	store_close(rig.s);
	rig.s = NULL;
	fd = open(rig.path, O_RDWR);
	assert_true((len = read(fd, good, sizeof(good))) > 100 * 1024 && len < (ssize_t)sizeof(good));
	for (int round = 0; round < 400; round++) {
		char err[STORE_ERR_MAX], tail[128];

		memcpy(bad, good, (size_t)len);
		for (int k = 0; k < 1 + round % 8; k++) {
			dice = dice * 6364136223846793005ULL + 1442695040888963407ULL;
			bad[(dice >> 20) % (uint64_t)len] = (uint8_t)(dice >> 50);
		}
		assert_int_equal(pwrite(fd, bad, (size_t)len, 0), len);
		assert_int_equal(ftruncate(fd, len), 0);
		for (int t = 0; t < 2; t++) {
			snprintf(tail, sizeof(tail), "%s%s", rig.path, t == 0 ? "-wal" : "-shm");
			unlink(tail);
		}
		if ((rig.s = rig.c.store = store_open(rig.path, err)) == NULL)
			continue;
		opened++;
		assert_false(may_enter());
		try_word(&own);
		assert_false(may_enter());
		store_close(rig.s);
		rig.s = NULL;
	}
	close(fd);
	assert_true(opened > 20 && opened < 400);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk), cmocka_unit_test(a_failing_disk), cmocka_unit_test(a_disk_that_writes_half),
		cmocka_unit_test(killed_at_every_write), cmocka_unit_test(stopped_at_every_write),
		cmocka_unit_test(writers_side_by_side), cmocka_unit_test(wrong_bytes_open_nothing),
	};
	int r = cmocka_run_group_tests(tests, hook_all, NULL);

	json_decref(last);
	return r;
}
