/*
 * replay_mirror.c - the file `pulled` of a copy: a line an object, appended when its bytes are in their place; the last line of a name counts.
 *
 *   NAME VERSION SIZE SHA256 VERSIONS same|others|differs
 *
 * VERSIONS is 0 where one was taken for another without a key that could tell.
 *
 * Part of bastion-replay; read by pull, which goes on where it stopped, and by verify, which says where versions differ.
 */
#include "replay_bucket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brec_dir.h"
#include "hex.h"

int mirror_format(char *out, size_t size, const struct mirrored *m)
{
	char hash[2 * HASH_LEN + 1];
	int n = snprintf(out, size, "%s %s %" PRIu64 " %s %u %s", m->name, m->version, m->size, hex_encode(hash, m->hash, HASH_LEN), m->versions,
	    m->differs ? "differs" : m->others ? "others" : "same");

	return n > 0 && (size_t)n < size ? 0 : -1;
}

int mirror_parse(struct mirrored *m, const char *line, size_t len)
{
	char text[BUCKET_NAME_MAX + S3_VERSION_MAX + 160], hash[2 * HASH_LEN + 1], state[8], size[20], versions[10];
	int end = -1;

	*m = (struct mirrored){ 0 };
	if (len >= sizeof(text) || memchr(line, '\0', len) != NULL)
		return -1;
	memcpy(text, line, len);
	text[len] = '\0';
	if (sscanf(text, "%160[^ ] %127[^ ] %19[0-9] %64[0-9a-f] %9[0-9] %7[a-z]%n", m->name, m->version, size, hash, versions, state, &end) != 6 ||
	    end != (int)len || hex_decode(m->hash, HASH_LEN, hash) != 0 || !bucket_name_ok(m->name))
		return -1;
	m->size = strtoull(size, NULL, 10);
	m->versions = (unsigned)strtoul(versions, NULL, 10);
	m->differs = strcmp(state, "differs") == 0;
	m->others = strcmp(state, "others") == 0;
	return m->differs || m->others || strcmp(state, "same") == 0 ? 0 : -1;
}

static int by_name(const void *a, const void *b)
{
	const struct mirrored *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_name_and_line(const void *a, const void *b)
{
	const struct mirrored *x = a, *y = b;
	const int r = by_name(a, b);

	return r != 0 ? r : x->line < y->line ? -1 : x->line > y->line;
}

static int add(struct mirror *m, const struct mirrored *one)
{
	if (m->n == BUCKET_OBJECTS_MAX) {
		errno = EFBIG;
		return -1;
	}
	if (m->n == m->cap) {
		const size_t cap = m->cap == 0 ? 64 : 2 * m->cap;
		struct mirrored *v = reallocarray(m->v, cap, sizeof(*v));

		if (v == NULL)
			return -1;
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n] = *one;
	m->v[m->n].line = m->n;
	m->n++;
	return 0;
}

/* One a name: the last line. */
static void settle(struct mirror *m)
{
	size_t n = 0;

	if (m->n != 0)
		qsort(m->v, m->n, sizeof(*m->v), by_name_and_line);
	for (size_t i = 0; i < m->n; i++)
		if (i + 1 == m->n || by_name(&m->v[i], &m->v[i + 1]) != 0)
			m->v[n++] = m->v[i];
	m->n = n;
}

/* What is done with a line. 0, or -1 with errno. */
typedef int take_line(struct mirror *m, const struct mirrored *one, const struct days *d);

static int read_lines(struct mirror *m, const char *store, const struct days *d, take_line *take)
{
	char path[REPLAY_PATH_MAX], line[MIRROR_LINE_MAX];
	struct mirrored one;
	FILE *f;
	int r = 0, fd;

	errno = ENAMETOOLONG;
	if (snprintf(path, sizeof(path), "%s/" MIRROR_FILE, store) >= (int)sizeof(path))
		return -1;
	if ((fd = brec_open_plain(AT_FDCWD, path)) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	if ((f = fdopen(fd, "r")) == NULL) {
		close(fd);
		return -1;
	}
	/* a line that was cut when a pull was ended says nothing */
	while (r == 0 && fgets(line, sizeof(line), f) != NULL) {
		const size_t len = strcspn(line, "\n");

		if (line[len] == '\n' && mirror_parse(&one, line, len) == 0)
			r = take(m, &one, d);
	}
	if (ferror(f))
		r = -1;
	fclose(f);
	return r;
}

static int add_of_days(struct mirror *m, const struct mirrored *one, const struct days *d)
{
	return days_have(d, one->name) ? add(m, one) : 0;
}

static int add_differing(struct mirror *m, const struct mirrored *one, const struct days *d)
{
	(void)d;
	return one->differs ? add(m, one) : 0;
}

/* A later line about an object that differed. */
static int renew(struct mirror *m, const struct mirrored *one, const struct days *d)
{
	const struct mirrored *have = mirror_find(m, one->name);

	(void)d;
	if (have != NULL)
		m->v[have - m->v] = *one;
	return 0;
}

int mirror_load(struct mirror *m, const char *store, const struct days *d)
{
	int r;

	*m = (struct mirror){ 0 };
	r = read_lines(m, store, d, add_of_days);
	settle(m);
	return r;
}

int mirror_load_differing(struct mirror *m, const char *store)
{
	int r;

	*m = (struct mirror){ 0 };
	r = read_lines(m, store, NULL, add_differing);
	settle(m);
	return r != 0 ? r : read_lines(m, store, NULL, renew);
}

void mirror_finish(struct mirror *m)
{
	free(m->v);
	*m = (struct mirror){ 0 };
}

const struct mirrored *mirror_find(const struct mirror *m, const char *name)
{
	struct mirrored key = { .line = 0 };

	if (m->n == 0 || snprintf(key.name, sizeof(key.name), "%s", name) >= (int)sizeof(key.name))
		return NULL;
	return bsearch(&key, m->v, m->n, sizeof(key), by_name);
}

const struct mirrored *mirror_differs(const struct mirror *m, const char *below)
{
	const size_t len = strlen(below);
	size_t low = 0, high = m->n;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (strcmp(m->v[middle].name, below) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < m->n && strncmp(m->v[low].name, below, len) == 0; low++)
		if (m->v[low].differs)
			return &m->v[low];
	return NULL;
}
