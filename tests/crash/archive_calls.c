/*
 * archive_calls.c - every call of the archiver that may be its last, its clock, and an object store in shared memory in place of s3.c. See
 * archive.c.
 */
#include "archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "collector_sandbox.h"

#define CALLS_MAX 100000	/* of one life: an archiver that makes more never ends */
#define IDLE_MS 60000		/* of the model's time without a request: it has done what it had to */

struct shared *shared;
char dir[128];
unsigned call, doom;
enum fault fault;
bool trouble, first_refused, full;
void (*later)(void), (*meanwhile)(void);
const char *never;
uint64_t dice;
static uint64_t mono = 1000000, busy_at;
static ino_t synced[64];
static unsigned nsynced;
static struct s3_request *pending[ARCHIVER_PARALLEL + 1];
static unsigned npending;

unsigned roll(unsigned n)
{
	dice = dice * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(dice >> 33) % n;
}

static void tick(void)
{
	if (++call == doom && fault == FAULT_KILL)
		raise(SIGKILL);
	shared->calls++;
	shared->life = call;
	if (call > CALLS_MAX) {
		snprintf(shared->bad, sizeof(shared->bad), "it makes calls without an end");
		_exit(2);
	}
}

/* A call of the system: true, with errno, if it is the one that fails. */
static bool fails(void)
{
	tick();
	if (call != doom || (fault != FAULT_EIO && fault != FAULT_ENOSPC))
		return false;
	shared->failed++;
	errno = fault == FAULT_EIO ? EIO : ENOSPC;
	return true;
}

/* How much of a write is done. */
static size_t share(size_t len)
{
	if (call != doom || fault != FAULT_SHORT || len < 2)
		return len;
	shared->failed++;
	return len / 2;
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat(int fd, const char *path, int flags, mode_t mode)
{
	return fails() ? -1 : __real_openat(fd, path, flags, mode);
}

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	/* half of it is there, and then the end comes */
	if (call + 1 == doom && fault == FAULT_KILL)
		__real_pwrite(fd, data, len / 2, at);
	if (full) {
		errno = ENOSPC;
		return -1;
	}
	return fails() ? -1 : __real_pwrite(fd, data, share(len), at);
}

int __real_fstatvfs(int fd, struct statvfs *v);
int __wrap_fstatvfs(int fd, struct statvfs *v);
int __wrap_fstatvfs(int fd, struct statvfs *v)
{
	const int r = __real_fstatvfs(fd, v);

	if (r == 0 && full)
		v->f_bavail = 0;
	return r;
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	return fails() ? -1 : __real_write(fd, data, share(len));
}

int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len)
{
	return fails() ? -1 : __real_ftruncate(fd, len);
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	struct stat st;

	if (fails())
		return -1;
	if (fstat(fd, &st) == 0 && nsynced < sizeof(synced) / sizeof(synced[0]))
		synced[nsynced++] = st.st_ino;
	return 0;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	(void)fd;
	return fails() ? -1 : 0;
}

int __real_renameat(int a, const char *from, int b, const char *to);
int __wrap_renameat(int a, const char *from, int b, const char *to);
int __wrap_renameat(int a, const char *from, int b, const char *to)
{
	return fails() ? -1 : __real_renameat(a, from, b, to);
}

/* Nobody else puts anything here: what is there already is of a life before, or of this one. */
void __wrap_log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void __wrap_log_error(const char *fmt, ...)
{
	if (strstr(fmt, "somebody else has put it") != NULL)
		snprintf(shared->bad, sizeof(shared->bad), "an object of its own is an alarm");
	shared->alarms += strncmp(fmt, "ALARM", 5) == 0;
	shared->others += strstr(fmt, "ALARM: another log") != NULL;
	shared->doubts += strstr(fmt, "ALARM: a log of recordings") != NULL;
}

uint64_t __wrap_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void)
{
	return mono;
}

/* ---- the object store ---- */

struct object *object(const char *name)
{
	for (unsigned i = 0; i < shared->objects; i++)
		if (strcmp(shared->object[i].key, name) == 0)
			return &shared->object[i];
	return NULL;
}

/* A receipt that is not synced may be another one after a power cut. */
static bool receipt_synced(const char *name)
{
	char path[512], *end;
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name + strlen("c1/"));
	if ((end = strstr(path, "/receipts.")) == NULL)
		return true;
	end[strlen("/receipts")] = '\0';
	if (stat(path, &st) != 0)
		return false;
	for (unsigned i = 0; i < nsynced; i++)
		if (synced[i] == st.st_ino)
			return true;
	return false;
}

static void store(const struct s3_request *r)
{
	struct object *o = object(r->key);
	uint8_t hash[HASH_LEN];

	sha256_spans(hash, SPANS(SPAN(r->body, r->len)));
	if (o == NULL && shared->objects < OBJECTS_MAX) {
		o = &shared->object[shared->objects];
		snprintf(o->key, sizeof(o->key), "%s", r->key);
		memcpy(o->hash, hash, HASH_LEN);
		o->puts = 0;
		shared->objects++;
	}
	if (o == NULL || (memcmp(o->hash, hash, HASH_LEN) != 0 && strstr(r->key, "/canary/") == NULL))
		snprintf(shared->bad, sizeof(shared->bad), "%s was put with other bytes", r->key);
	else if (!receipt_synced(r->key))
		snprintf(shared->bad, sizeof(shared->bad), "%s was put before it was synced", r->key);
	else
		o->puts++;
	shared->versions++;
}

static void fail(struct s3_request *r, int status, const char *code)
{
	r->status = status;
	snprintf(r->code, sizeof(r->code), "%s", code);
	snprintf(r->why, sizeof(r->why), "%d %s", status, code);
}

static bool once(const struct s3_request *r)
{
	for (unsigned i = 0; i < r->nheaders; i++)
		if (strcmp(r->headers[i], "If-None-Match: *") == 0)
			return true;
	return false;
}

/* The answer to a put. */
static void answer(struct s3_request *r)
{
	const unsigned luck = first_refused && strstr(r->key, "/log/") != NULL ? 0 : trouble ? roll(20) : 19;

	tick();
	if (strstr(r->key, "/canary/") != NULL && (strcmp(r->method, "PUT") != 0 || r->query[0] != '\0')) {
		fail(r, 403, "AccessDenied");
	} else if (never != NULL && strstr(r->key, never) != NULL) {
		fail(r, 403, "AccessDenied");
		meanwhile();
	} else if (luck == 0) {
		first_refused = false;
		shared->refused++;
		fail(r, 503, "SlowDown");
	} else if (luck == 1) {
		shared->lost++;
		fail(r, 0, "no connection");
	} else if (once(r) && object(r->key) != NULL) {
		shared->beside++;
		fail(r, 412, "PreconditionFailed");
	} else {
		store(r);
		tick();
		if (luck == 2) {
			shared->lost++;
			fail(r, 0, "no answer");
			return;
		}
		r->status = 200;
		snprintf(r->version, sizeof(r->version), "v%" PRIu64, shared->versions);
	}
}

struct s3 *__wrap_s3_create(const struct s3_target *t);
struct s3 *__wrap_s3_create(const struct s3_target *t)
{
	(void)t;
	busy_at = mono;
	return (struct s3 *)(uintptr_t)&shared;
}

void __wrap_s3_destroy(struct s3 *s);
void __wrap_s3_destroy(struct s3 *s)
{
	(void)s;
}

int __wrap_s3_start(struct s3 *s, struct s3_request *r);
int __wrap_s3_start(struct s3 *s, struct s3_request *r)
{
	(void)s;
	tick();
	if (npending == sizeof(pending) / sizeof(pending[0])) {
		snprintf(shared->bad, sizeof(shared->bad), "too many puts at once");
		_exit(2);
	}
	r->status = 0;
	r->sent = 1;
	r->why[0] = r->code[0] = r->version[0] = '\0';
	buf_init(&r->text, 16);
	pending[npending++] = r;
	busy_at = mono;
	return 0;
}

unsigned __wrap_s3_running(const struct s3 *s);
unsigned __wrap_s3_running(const struct s3 *s)
{
	(void)s;
	return npending;
}

bool __wrap_s3_turn(struct s3 *s, int fd, int ms);
bool __wrap_s3_turn(struct s3 *s, int fd, int ms)
{
	(void)s, (void)fd;
	if (npending == 0) {
		mono += (uint64_t)ms;
		if (later != NULL && mono - busy_at > IDLE_MS / 2) {
			busy_at = mono;
			later();
			later = NULL;
		}
		if (mono - busy_at > IDLE_MS)
			_exit(0);
		return false;
	}
	/* in any order, as a network has it */
	for (unsigned at = roll(npending); npending != 0; at = npending != 0 ? roll(npending) : 0) {
		struct s3_request *r = pending[at];

		pending[at] = pending[--npending];
		answer(r);
		r->done(r);
		if (roll(2) == 0)
			break;
	}
	return false;
}

/* The kills come from inside, by a call that the archiver has no right to. */
int __wrap_coll_sandbox_enter(const struct coll_conf *c, enum coll_process process, const char *conf_file);
int __wrap_coll_sandbox_enter(const struct coll_conf *c, enum coll_process process, const char *conf_file)
{
	(void)c, (void)process, (void)conf_file;
	return 0;
}
