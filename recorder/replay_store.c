/*
 * replay_store.c - finds recordings: STORE/recordings/YYYY-MM-DD/<id>/, as the collector writes
 * them.
 */
#include "replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "brec_dir.h"
#include "escape.h"
#include "hex.h"

static int complain(const char *path, const char *what)
{
	char text[512];

	esc_quoted(text, sizeof(text), path, strlen(path));
	fprintf(stderr, "bastion-replay: %s: %s\n", text, what);
	return -1;
}

void recording_finish(struct recording *r)
{
	free(r->dir);
	r->dir = NULL;
}

void recordings_finish(struct recordings *r)
{
	for (size_t i = 0; i < r->n; i++)
		recording_finish(&r->v[i]);
	free(r->v);
	memset(r, 0, sizeof(*r));
}

/* Written as the collector writes it, or it would be found under two names. */
static bool is_id(const char *name)
{
	return strlen(name) == (size_t)2 * BREC_ID_LEN && name[strspn(name, "0123456789abcdef")] == '\0';
}

/* A link to a directory is one. */
static bool is_dir(DIR *d, const struct dirent *e)
{
	struct stat st;

	return e->d_type == DT_DIR || (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode));
}

static int add(struct recordings *out, const char *dir, const char *name)
{
	struct recording *r;

	if (out->n == REPLAY_RECORDINGS_MAX) {
		errno = EOVERFLOW;
		return -1;
	}
	if (out->n == out->cap) {
		size_t cap = out->cap == 0 ? 64 : 2 * out->cap;
		struct recording *v = reallocarray(out->v, cap, sizeof(*v));

		if (v == NULL)
			return -1;
		out->v = v;
		out->cap = cap;
	}
	r = &out->v[out->n];
	if (asprintf(&r->dir, "%s/%s", dir, name) < 0)
		return -1;
	memcpy(r->id, name, sizeof(r->id)); /* is_id(): exactly so long */
	out->n++;
	return 0;
}

/* Recordings that lie in `dir`, and, one level deeper, those of its days, whose ID begins so. A name that is neither is
 * passed over, and so is what is no directory: a bundle is named by its path. */
static int scan_dir(struct recordings *out, const char *dir, const char *begins, int depth)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int r = 0;

	if (d == NULL)
		return -1;
	while (r == 0 && (errno = 0, e = readdir(d)) != NULL) {
		char path[REPLAY_PATH_MAX];

		if (e->d_name[0] == '.')
			continue;
		if (is_id(e->d_name)) {
			if (strncasecmp(e->d_name, begins, strlen(begins)) == 0 && is_dir(d, e))
				r = add(out, dir, e->d_name);
			continue;
		}
		if (depth == 0 ||
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path))
			continue;
		/* gone since, or a link to nowhere: what is missing is said by the log */
		if (scan_dir(out, path, begins, depth - 1) != 0 && errno != ENOTDIR && errno != ENOENT && errno != ELOOP)
			r = -1;
	}
	if (errno != 0)
		r = -1;
	int saved = errno;
	closedir(d);
	errno = saved;
	return r;
}

/* The time in the header of segment 0 (brec.h): for the order of the list, so nothing is verified
 * here. */
static int64_t header_wall(const char *dir)
{
	char path[REPLAY_PATH_MAX];
	struct brec_header h;
	int64_t wall = 0;
	uint8_t *data = malloc(BREC_HEADER_MAX);
	ssize_t n = -1;
	int fd = -1;

	if (data != NULL && snprintf(path, sizeof(path), "%s/00000000.brec", dir) < (int)sizeof(path) &&
	    (fd = brec_open_plain(AT_FDCWD, path)) >= 0)
		n = read(fd, data, BREC_HEADER_MAX);
	if (n > 0 && brec_header_decode(data, (size_t)n, &h) == BREC_OK)
		wall = h.wall_us;
	free(data);
	if (fd >= 0)
		close(fd);
	return wall;
}

static int by_time(const void *a, const void *b)
{
	const struct recording *x = a, *y = b;

	if (x->wall_us != y->wall_us)
		return x->wall_us < y->wall_us ? -1 : 1;
	return strcmp(x->dir, y->dir);
}

static int names(struct recordings *out, const char *store, const char *begins)
{
	char path[REPLAY_PATH_MAX];
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (snprintf(path, sizeof(path), "%s/recordings", store) >= (int)sizeof(path))
		return complain(store, "the name is too long");
	if (stat(path, &st) != 0)
		snprintf(path, sizeof(path), "%s", store);
	if (scan_dir(out, path, begins, 1) != 0) {
		complain(path,
		    errno == EOVERFLOW ? "too many recordings for one store" : strerror(errno));
		if (errno == ENOENT)
			fprintf(stderr,
			    "bastion-replay: --store names the collector's directory, or a copy\n");
		recordings_finish(out);
		return -1;
	}
	return 0;
}

int store_names(struct recordings *out, const char *store)
{
	return names(out, store, "");
}

int store_scan(struct recordings *out, const char *store)
{
	if (store_names(out, store) != 0)
		return -1;
	for (size_t i = 0; i < out->n; i++)
		out->v[i].wall_us = header_wall(out->v[i].dir);
	if (out->n > 0)
		qsort(out->v, out->n, sizeof(*out->v), by_time);
	return 0;
}

/* What the first header says, for a bundle or a directory of another name; "?": nothing. */
static void id_of_header(struct recording *r)
{
	struct brec_header h;
	struct brec_dir d;
	const uint8_t *p;
	size_t have;

	strcpy(r->id, "?");
	if (brec_dir_open(&d, r->dir) != 0)
		return;
	if (brec_dir_segment(&d, 0) == 1 && brec_dir_header(&d, &h, &p, &have) == BREC_OK)
		hex_encode(r->id, h.id, BREC_ID_LEN);
	brec_dir_close(&d);
}

/* A directory, or a bundle, that was named by its path. */
static int find_path(struct recording *out, const char *name)
{
	size_t len = strlen(name);
	const char *base;
	struct stat st;

	while (len > 1 && name[len - 1] == '/')
		len--;
	out->dir = strndup(name, len);
	if (out->dir == NULL)
		return complain(name, strerror(errno));
	base = strrchr(out->dir, '/');
	base = base != NULL ? base + 1 : out->dir;
	/* the name of a bundle is anybody's */
	if (is_id(base) && stat(out->dir, &st) == 0 && S_ISDIR(st.st_mode))
		memcpy(out->id, base, sizeof(out->id));
	else
		id_of_header(out);
	return 0;
}

/* Of those whose ID begins so there must be one. */
static int pick(struct recording *out, struct recordings *all, const char *name)
{
	if (all->n == 0)
		return complain(name,
		    "no ID in the store begins so; bastion-replay list shows them");
	if (all->n > 1)
		return complain(name, "more than one ID begins so; write more of it");
	*out = all->v[0];
	all->v[0].dir = NULL;
	out->wall_us = header_wall(out->dir);
	return 0;
}

int store_find(struct recording *out, const char *store, const char *name)
{
	struct recordings all;
	struct stat st;
	int r;

	memset(out, 0, sizeof(*out));
	if (strchr(name, '/') != NULL || (stat(name, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))))
		return stat(name, &st) == 0 ? find_path(out, name) :
		    complain(name, strerror(errno));
	if (name[0] == '\0' || name[strspn(name, "0123456789abcdefABCDEF")] != '\0')
		return complain(name,
		    "an ID is made of hexadecimal digits; bastion-replay list shows them");
	/* only those are kept, and no header but that of the one is read: there may be millions */
	if (names(&all, store, name) != 0)
		return -1;
	r = pick(out, &all, name);
	recordings_finish(&all);
	return r;
}

uint64_t recording_size(const struct recording *r)
{
	struct dirent *e;
	uint64_t sum = 0;
	struct stat st;
	DIR *d = opendir(r->dir);

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	closedir(d);
	return sum;
}
