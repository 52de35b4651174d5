/*
 * replay_copy.c - the files of a copy of a bucket: what is on its way has a directory of its own, and comes to its place whole.
 *
 * Part of bastion-replay, below replay_pull.c. Which names there are the bucket says: so none of them may be one that is made here.
 */
#include "replay_bucket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_parents(const char *top, const char *path)
{
	char part[REPLAY_PATH_MAX];

	for (const char *slash = strchr(path + strlen(top) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

FILE *copy_create(const char *path)
{
	int fd = -1;

	if (unlink(path) == 0 || errno == ENOENT)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 ? fdopen(fd, "w") : NULL;
}

int copy_move(const char *top, const char *from, const char *to)
{
	return make_parents(top, to) == 0 ? rename(from, to) : -1;
}

int copy_parts(const char *top, bool keep)
{
	char path[REPLAY_PATH_MAX];
	struct dirent *e;
	int fd, r;
	DIR *d;

	errno = ENAMETOOLONG;
	if (snprintf(path, sizeof(path), "%s/" COPY_PARTS, top) >= (int)sizeof(path) || (keep && mkdir(path, 0700) != 0 && errno != EEXIST))
		return -1;
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(fd, e->d_name, 0);
	r = closedir(d);
	return keep ? r : rmdir(path);
}

bool copy_has(const char *path, const uint8_t want[HASH_LEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	uint8_t part[16384], hash[HASH_LEN] = { 0 };
	struct sha256 sum = { 0 };
	bool fine = fd >= 0 && sha256_init(&sum) == 0;
	ssize_t n = 0;

	while (fine && (n = read(fd, part, sizeof(part))) > 0)
		fine = sha256_update(&sum, part, (size_t)n) == 0;
	fine = fine && n == 0 && sha256_digest(&sum, hash) == 0 && memcmp(hash, want, HASH_LEN) == 0;
	sha256_finish(&sum);
	if (fd >= 0)
		close(fd);
	return fine;
}

int copy_append(FILE *out, const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t part[4096];
	size_t n;
	int r = 0;

	if (f == NULL)
		return -1;
	while (r == 0 && (n = fread(part, 1, sizeof(part), f)) > 0)
		r = fwrite(part, 1, n, out) == n ? 0 : -1;
	if (ferror(f))
		r = -1;
	fclose(f);
	return r;
}
