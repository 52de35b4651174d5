/*
 * tlog_log.c - see tlog_reader.h: the table of leaves that a log, or a bundle, gives to the verifier. Runs in the auditor's tools.
 */
#include "tlog_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"

const char *tlog_state_name(enum tlog_state state)
{
	static const char *const names[] = { "absent", "good", "forged", "unverifiable" };

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

void tlog_judge(struct tlog_log *log, enum tlog_state state, const char *fmt, ...)
{
	va_list ap;

	if (log->state != TLOG_GOOD)
		return;
	log->state = state;
	va_start(ap, fmt);
	vsnprintf(log->reason, sizeof(log->reason), fmt, ap);
	va_end(ap);
}

int tlog_log_checkpoint(struct tlog_log *log, const void *note, size_t len, const uint8_t (*keys)[KEY_LEN], size_t nkeys)
{
	struct tlog_checkpoint c;
	size_t i = 0;

	if (tlog_checkpoint_parse(&c, note, len) != 0) {
		/* as a power cut can leave it: bytes that say nothing contradict nothing */
		tlog_judge(log, TLOG_UNVERIFIABLE, "the checkpoint does not decode");
		return -1;
	}
	esc_line(log->origin, sizeof(log->origin), c.origin, strlen(c.origin));
	log->size = c.size;
	memcpy(log->root, c.root, HASH_LEN);
	while (i < nkeys && !tlog_checkpoint_signed(&c, keys[i]))
		i++;
	if (i == nkeys) {
		tlog_judge(log, TLOG_UNVERIFIABLE, "no key that is believed for it signed the checkpoint of %llu leaves", (unsigned long long)c.size);
		return -1;
	}
	memcpy(log->key, keys[i], KEY_LEN);
	return 0;
}

/* What a leaf is, and of which recording. 1; 0: a leaf of another version says nothing about the recordings that we know; -1. */
static int make_entry(struct tlog_log *log, struct tlog_entry *e, const void *data, size_t len)
{
	struct tlog_leaf leaf;
	struct tlog_act act;

	if (tlog_leaf_decode(&leaf, data, len) == 0) {
		*e = (struct tlog_entry){ .seq = leaf.seq, .type = leaf.type };
		memcpy(e->id, leaf.id, BREC_ID_LEN);
		return 1;
	}
	if (tlog_act_decode(&act, data, len) != 0)
		return 0;
	*e = (struct tlog_entry){ .type = act.type, .act = log->acts.len, .act_len = (uint16_t)len };
	memcpy(e->id, act.id, BREC_ID_LEN);
	if (!tlog_removes(act.type))
		return 1;
	log->acts.max = TLOG_ACTS_MAX;
	errno = ENOMEM;
	return buf_put(&log->acts, data, len) == 0 ? 1 : -1;
}

int tlog_log_add(struct tlog_log *log, uint64_t index, const void *data, size_t len, const uint8_t hash[HASH_LEN])
{
	struct tlog_entry made;
	int r = make_entry(log, &made, data, len);

	if (r <= 0)
		return r;
	if ((log->n & (log->n - 1)) == 0) {
		struct tlog_entry *v = reallocarray(log->v, log->n == 0 ? 1 : 2 * log->n, sizeof(*v));

		if (v == NULL)
			return -1;
		log->v = v;
	}
	made.index = index;
	memcpy(made.hash, hash, HASH_LEN);
	log->v[log->n++] = made;
	return 0;
}

static int by_recording(const void *a, const void *b)
{
	const struct tlog_entry *x = a, *y = b;
	int r = memcmp(x->id, y->id, BREC_ID_LEN);

	return r != 0 ? r : x->index < y->index ? -1 : x->index > y->index;
}

void tlog_log_sort(struct tlog_log *log)
{
	if (log->n != 0)
		qsort(log->v, log->n, sizeof(*log->v), by_recording);
}

const struct tlog_entry *tlog_find(const struct tlog_log *log, const uint8_t id[BREC_ID_LEN], size_t *n)
{
	size_t low = 0, high = log->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(log->v[middle].id, id, BREC_ID_LEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (*n = 0; low + *n < log->n && memcmp(log->v[low + *n].id, id, BREC_ID_LEN) == 0; (*n)++)
		;
	return *n == 0 ? NULL : &log->v[low];
}

void tlog_log_finish(struct tlog_log *log)
{
	free(log->v);
	buf_finish(&log->acts);
	*log = (struct tlog_log){ 0 };
}

uint8_t *tlog_slurp(int dir, const char *name, size_t max, size_t *len)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), saved;
	uint8_t *data = NULL;
	struct stat st;
	ssize_t n = 1;

	*len = 0;
	if (fd < 0)
		return NULL;
	errno = EINVAL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (errno = EFBIG, (uint64_t)st.st_size <= max))
		data = malloc((size_t)st.st_size + 1);
	while (data != NULL && n != 0 && *len < (size_t)st.st_size) {
		if ((n = read(fd, data + *len, (size_t)st.st_size - *len)) > 0) {
			*len += (size_t)n;
		} else if (n < 0 && errno != EINTR) {
			free(data);
			data = NULL;
		}
	}
	saved = errno;
	close(fd);
	errno = saved;
	return data;
}
