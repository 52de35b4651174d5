/*
 * model_calls.c - the calls of the store that change something: counted, logged, and made to fail where the model says.
 *
 * In the process that works. The syncer's thread calls, too: one lock, held while a call is counted and logged, not while it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"

struct model *model;
static char top[256];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_syncfs(int fd);
int __real_openat(int dir, const char *name, int flags, ...);
int __real_mkdirat(int dir, const char *name, mode_t mode);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *name, int flags);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_syncfs(int fd);
int __wrap_openat(int dir, const char *name, int flags, ...);
int __wrap_mkdirat(int dir, const char *name, mode_t mode);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *name, int flags);

void model_watch(const char *path)
{
	snprintf(top, sizeof(top), "%s", path);
}

/* The store's path of a descriptor, or of a name below one. False: not the store's. */
static bool path_of(int fd, const char *name, char out[MODEL_PATH_MAX])
{
	char link[64], path[512];
	size_t n = strlen(top);
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (model == NULL || n == 0 || (len = readlink(link, path, sizeof(path) - 1)) < (ssize_t)n || memcmp(path, top, n) != 0)
		return false;
	path[len] = '\0';
	len = path[n] == '\0' ? snprintf(out, MODEL_PATH_MAX, "%s", name != NULL ? name : ".") :
	    snprintf(out, MODEL_PATH_MAX, "%s%s%s", path + n + 1, name != NULL ? "/" : "", name != NULL ? name : "");
	if (len >= MODEL_PATH_MAX)
		abort(); /* half a name would be another file's */
	return true;
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* Counts the call; `op` is its entry in the log, or NULL. What is to happen to it. */
static enum fault begin(enum op_kind kind, const char *path, struct op **op)
{
	enum fault f = FAULT_NONE;
	uint32_t n;

	pthread_mutex_lock(&lock);
	n = model->calls++;
	if (model->fault == FAULT_ENOSPC ? n >= model->fault_at && n < model->fault_at + model->fault_span : n == model->fault_at)
		f = model->fault;
	*op = NULL;
	if (f == FAULT_BEFORE)
		die();
	if (model->log && model->nops < MODEL_OPS_MAX) {
		*op = &model->ops[model->nops];
		**op = (struct op){ .kind = kind, .before = model->nops };
		/* the other thread's call may still run: at most the last ones have not ended */
		while ((*op)->before > 0 && !model->ops[(*op)->before - 1].done)
			(*op)->before--;
		memcpy((*op)->acked, model->acked, sizeof((*op)->acked));
		snprintf((*op)->path, sizeof((*op)->path), "%s", path);
		model->nops++;
	} else if (model->log) {
		model->overflow = true;
	}
	pthread_mutex_unlock(&lock);
	return f;
}

static void keep(struct op *op, const void *data, size_t len, uint64_t at)
{
	if (op == NULL)
		return;
	pthread_mutex_lock(&lock);
	if (len > MODEL_DATA_MAX - model->ndata) {
		model->overflow = true;
		len = 0;
	}
	op->at = at;
	op->data = model->ndata;
	op->len = len;
	memcpy(model->data + op->data, data, len);
	model->ndata += len;
	pthread_mutex_unlock(&lock);
}

static void end(struct op *op, enum fault f)
{
	if (op != NULL) {
		pthread_mutex_lock(&lock);
		op->end = model->nops;
		op->done = true;
		pthread_mutex_unlock(&lock);
	}
	if (f == FAULT_WITHIN || f == FAULT_AFTER)
		die();
}

static bool fails(enum fault f, bool space)
{
	if (f != FAULT_EIO && f != FAULT_EINTR && (f != FAULT_ENOSPC || !space))
		return false;
	errno = f == FAULT_EIO ? EIO : f == FAULT_EINTR ? EINTR : ENOSPC;
	return true;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	char path[MODEL_PATH_MAX];
	size_t part = len;
	enum fault f;
	struct op *op;
	ssize_t n;

	if (!path_of(fd, NULL, path))
		return __real_pwrite(fd, data, len, at);
	if (fails(f = begin(OP_WRITE, path, &op), true))
		return -1;
	if ((f == FAULT_WITHIN || f == FAULT_SHORT) && len > 1)
		part = 1 + (len * 7 + (size_t)at) % (len - 1);
	keep(op, data, part, (uint64_t)at);
	n = __real_pwrite(fd, data, part, at);
	end(op, f);
	return n;
}

/* Every file that the store writes so is one that it appends to. */
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	char path[MODEL_PATH_MAX];
	size_t part = len;
	struct stat st;
	enum fault f;
	struct op *op;
	ssize_t n;

	if (!path_of(fd, NULL, path) || fstat(fd, &st) != 0)
		return __real_write(fd, data, len);
	if (fails(f = begin(OP_WRITE, path, &op), true))
		return -1;
	if ((f == FAULT_WITHIN || f == FAULT_SHORT) && len > 1)
		part = 1 + len * 7 % (len - 1);
	keep(op, data, part, (uint64_t)st.st_size);
	n = __real_write(fd, data, part);
	end(op, f);
	return n;
}

static int sync_call(int fd, bool all, int (*real)(int))
{
	char path[MODEL_PATH_MAX];
	enum fault f;
	struct op *op;
	int r;

	if (!path_of(fd, NULL, path))
		return real(fd);
	if (fails(f = begin(OP_SYNC, all ? "" : path, &op), true))
		return -1;
	r = real(fd);
	end(op, f);
	return r;
}

int __wrap_fdatasync(int fd) { return sync_call(fd, false, __real_fdatasync); }
int __wrap_fsync(int fd) { return sync_call(fd, false, __real_fsync); }
int __wrap_syncfs(int fd) { return sync_call(fd, true, __real_syncfs); }

int __wrap_openat(int dir, const char *name, int flags, ...)
{
	char path[MODEL_PATH_MAX];
	mode_t mode = 0;
	struct stat st;
	struct op *op;
	enum fault f;
	va_list ap;
	bool there = false;
	int r;

	va_start(ap, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & (O_CREAT | O_TRUNC)) == 0 || !path_of(dir, name, path) ||
	    ((there = fstatat(dir, name, &st, 0) == 0) && (flags & O_TRUNC) == 0))
		return __real_openat(dir, name, flags, mode);
	if (fails(f = begin(there ? OP_TRUNCATE : OP_CREATE, path, &op), true))
		return -1;
	r = __real_openat(dir, name, flags, mode);
	end(op, f);
	return r;
}

int __wrap_mkdirat(int dir, const char *name, mode_t mode)
{
	char path[MODEL_PATH_MAX];
	struct stat st;
	struct op *op;
	enum fault f;
	int r;

	if (!path_of(dir, name, path) || fstatat(dir, name, &st, 0) == 0)
		return __real_mkdirat(dir, name, mode);
	if (fails(f = begin(OP_MKDIR, path, &op), true))
		return -1;
	r = __real_mkdirat(dir, name, mode);
	end(op, f);
	return r;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	char path[MODEL_PATH_MAX], other[MODEL_PATH_MAX];
	struct op *op;
	enum fault f;
	int r;

	if (!path_of(from_dir, from, path) || !path_of(to_dir, to, other))
		return __real_renameat(from_dir, from, to_dir, to);
	if (fails(f = begin(OP_RENAME, path, &op), true))
		return -1;
	if (op != NULL)
		snprintf(op->to, sizeof(op->to), "%s", other);
	r = __real_renameat(from_dir, from, to_dir, to);
	end(op, f);
	return r;
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	char path[MODEL_PATH_MAX];
	struct op *op;
	enum fault f;
	int r;

	if (!path_of(dir, name, path))
		return __real_unlinkat(dir, name, flags);
	if (fails(f = begin(OP_UNLINK, path, &op), false))
		return -1;
	r = __real_unlinkat(dir, name, flags);
	end(op, f);
	return r;
}
