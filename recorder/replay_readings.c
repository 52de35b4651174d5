/*
 * replay_readings.c - see replay_readings.h: the log of readings, a file that only grows.
 *
 * It is open and locked while a line is put behind the last one. Whatever is wrong with it, a directory
 * or a file that somebody else could change, a line that is none, a disk that is full, ends in a refusal:
 * what cannot be logged is not shown.
 */
#include "replay_readings.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "replay_dirs.h"

static const uint8_t nothing[HASH_LEN];

static int complain(const char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int complain(const char *path, const char *fmt, ...)
{
	char name[512], why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	esc_quoted(name, sizeof(name), path, strlen(path));
	fprintf(stderr, "bastion-replay: the log of readings %s: %s\n", name, why);
	return -1;
}

/* mkdir for this user alone, also of the directory above. 0, or -1 with errno. */
static int make_dir(char *path)
{
	char *slash = strrchr(path, '/');
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno == ENOENT && slash != NULL && slash != path) {
		*slash = '\0';
		if (make_dir(path) != 0)
			return -1;
		*slash = '/';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return -1;
	}
	if (stat(path, &st) != 0)
		return -1;
	errno = ENOTDIR;
	return S_ISDIR(st.st_mode) ? 0 : -1;
}

/* Into dir[REPLAY_PATH_MAX]; `make`: it must be there. 0, or -1: said. */
static int state_dir(char *dir, bool make)
{
	struct stat st;
	const char *why;

	if (user_dir(dir, REPLAY_PATH_MAX - 64, "XDG_STATE_HOME", "/.local/state", &why) != 0)
		return complain("readings", "%s", why);
	strcat(dir, "/bastion-replay");
	if (!make)
		return 0;
	if (make_dir(dir) != 0 || lstat(dir, &st) != 0)
		return complain(dir, "%s", strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return complain(dir, "it must be a directory of this user, with mode 0700");
	return 0;
}

/* Open, checked, locked. The descriptor; -1: said; -2: there is none (and none is to be made). */
static int open_log(char path[REPLAY_PATH_MAX], bool append)
{
	char dir[REPLAY_PATH_MAX];
	struct stat st;
	int fd, d = -1;

	if (state_dir(dir, append) != 0)
		return -1;
	snprintf(path, REPLAY_PATH_MAX, "%.*s/readings", REPLAY_PATH_MAX - 16, dir);
	fd = open(path, (append ? O_RDWR | O_CREAT : O_RDONLY) | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == ENOENT && !append)
		return -2;
	if (fd < 0)
		return complain(path, "%s", strerror(errno));
	if (flock(fd, append ? LOCK_EX : LOCK_SH) != 0 || fstat(fd, &st) != 0) {
		complain(path, "%s", strerror(errno));
		goto bad;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		complain(path, "it must be a file of this user, with mode 0600");
		goto bad;
	}
	if (st.st_size > READINGS_BYTES_MAX - 2 * READINGS_LINE_MAX && append) {
		complain(path, "it is full. Keep it elsewhere: mv readings readings.old; the next reading begins another");
		goto bad;
	}
	/* its name is as durable as what will stand in it */
	if (append && st.st_size == 0 && ((d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || fsync(d) != 0)) {
		complain(dir, "%s", strerror(errno));
		goto bad;
	}
	if (d >= 0)
		close(d);
	return fd;
bad:
	if (d >= 0)
		close(d);
	close(fd);
	return -1;
}

/* The last whole line. *torn: something without an end follows it. 0, or -1: said. */
static int last_line(int fd, const char *path, struct reading *last, bool *torn)
{
	char text[2 * READINGS_LINE_MAX];
	const off_t size = lseek(fd, 0, SEEK_END), from = size > (off_t)sizeof(text) ? size - (off_t)sizeof(text) : 0;
	const ssize_t n = size < 0 ? -1 : pread(fd, text, (size_t)(size - from), from);
	const char *end, *begin;
	bool follows;

	*last = (struct reading){ .number = 0 };
	*torn = false;
	if (n < 0 || n != size - from)
		return complain(path, "%s", strerror(errno));
	end = n > 0 ? memrchr(text, '\n', (size_t)n) : NULL;
	*torn = n > 0 && (end == NULL || end != text + n - 1);
	if (end == NULL)
		return from == 0 ? 0 : complain(path, "its last line is too long: somebody changed it");
	begin = memrchr(text, '\n', (size_t)(end - text));
	begin = begin != NULL ? begin + 1 : text;
	/* an empty one ends what a crash had left */
	while (begin == end && begin > text) {
		end = begin - 1;
		begin = memrchr(text, '\n', (size_t)(end - text));
		begin = begin != NULL ? begin + 1 : text;
	}
	if (begin == end && from == 0)
		return 0;
	if (reading_parse(last, begin, (size_t)(end - begin), nothing, &follows) != 0)
		return complain(path, "its last line is none of ours. Keep it elsewhere: mv readings readings.old");
	return 0;
}

static int write_line(int fd, const char *path, const char *line, size_t len)
{
	ssize_t n = write(fd, line, len);

	if (n >= 0 && (size_t)n != len)
		errno = ENOSPC;
	if (n != (ssize_t)len || fdatasync(fd) != 0)
		return complain(path, "%s: nothing is shown that is not logged", strerror(errno));
	return 0;
}

int readings_append(struct reading *r)
{
	char path[REPLAY_PATH_MAX], line[READINGS_LINE_MAX + 1];
	const struct passwd *pw = getpwuid(getuid());
	struct reading last;
	bool torn;
	int fd = open_log(path, true), n, bad;

	if (fd < 0)
		return -1;
	r->at = clock_wall();
	r->uid = getuid();
	snprintf(r->login, sizeof(r->login), "%s", pw != NULL ? pw->pw_name : "");
	bad = last_line(fd, path, &last, &torn);
	if (bad == 0 && torn) {
		/* a crash left a part of a line: it stays, and so do the ends of both */
		bad = write_line(fd, path, "\n", 1);
	}
	r->number = last.number + 1;
	n = bad != 0 ? -1 : reading_format(r, last.number == 0 ? nothing : last.hash, line, sizeof(line));
	if (bad == 0)
		bad = n < 0 ? complain(path, "a line could not be made") : write_line(fd, path, line, (size_t)n);
	close(fd);
	return bad;
}

int readings_each(reading_fn *fn, void *ctx, size_t *torn)
{
	char path[REPLAY_PATH_MAX], line[READINGS_LINE_MAX + 2];
	uint8_t before[HASH_LEN] = { 0 };
	struct reading r;
	bool follows;
	int fd = open_log(path, false), result = 0;
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	*torn = 0;
	if (fd == -2)
		return 1;
	if (f == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (result == 0 && fgets(line, sizeof(line), f) != NULL) {
		const size_t len = strcspn(line, "\n");

		if (line[len] != '\n' || reading_parse(&r, line, len, before, &follows) != 0) {
			(*torn)++;
			continue;
		}
		memcpy(before, r.hash, HASH_LEN);
		result = fn(ctx, &r, follows);
	}
	if (result == 0 && ferror(f))
		result = complain(path, "%s", strerror(errno));
	fclose(f);
	return result;
}
