/*
 * typing_check.c - what reached the two ends of a session against its recording, decrypted with the auditor's key; see typing.h.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "brec_read.h"
#include "typing.h"

#define RECORDED 65536
#define TRIES 100
#define TRY_NS 100000000L

struct recorded {
	bool there;
	size_t in, out;
	uint8_t from_user[RECORDED], from_target[RECORDED];
};

static char line[400];
static struct recorded *all;

static void add(uint8_t *to, size_t *len, const struct brec_event *e)
{
	size_t n = e->len < RECORDED - *len ? e->len : RECORDED - *len;

	memcpy(to + *len, e->data, n);
	*len += n;
}

/* The number in {"command":"type N"}. */
static long number_of(const struct brec_event *e)
{
	static const char mark[] = "\"type ";
	const char *at = memmem(e->data, e->len, mark, sizeof(mark) - 1);

	return at != NULL ? strtol(at + sizeof(mark) - 1, NULL, 10) : -1;
}

static void read_recording(const char *dir, const struct age_identities *ids, unsigned first, unsigned slots)
{
	struct recorded *r = NULL;
	struct brec_reader *reader = brec_reader_open(dir, ids, line, sizeof(line));
	struct brec_item it;
	long n;

	line[0] = '\0';
	if (reader == NULL)
		return;
	while (brec_reader_next(reader, &it) == 1) {
		if (it.type != BREC_ITEM_EVENT)
			continue;
		if (it.event.kind == BREC_K_OPEN && (n = number_of(&it.event) - (long)first) >= 0 && n < (long)slots) {
			r = &all[n];
			*r = (struct recorded){ .there = true };
		}
		if (r != NULL && it.event.kind == BREC_K_IN)
			add(r->from_user, &r->in, &it.event);
		if (r != NULL && it.event.kind == BREC_K_OUT)
			add(r->from_target, &r->out, &it.event);
	}
	brec_reader_close(reader);
}

/* Was something begun in it since then? */
static bool is_new(const char *path, time_t since)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_mtime >= since;
}

/* store/recordings/DATE/ID */
static void read_all(const char *store, const struct age_identities *ids, const struct batch *b)
{
	char top[300], day[600], path[900];
	struct dirent *d, *e;
	DIR *days, *one;

	snprintf(top, sizeof(top), "%s/recordings", store);
	for (days = opendir(top); days != NULL && (d = readdir(days)) != NULL;) {
		snprintf(day, sizeof(day), "%s/%s", top, d->d_name);
		if (d->d_name[0] == '.' || (one = opendir(day)) == NULL)
			continue;
		while ((e = readdir(one)) != NULL) {
			snprintf(path, sizeof(path), "%s/%s", day, e->d_name);
			if (e->d_name[0] != '.' && is_new(path, b->since))
				read_recording(path, ids, b->first, b->n);
		}
		closedir(one);
	}
	if (days != NULL)
		closedir(days);
}

static const char *compare(const struct slot *slots, const struct batch *b, struct tally *t)
{
	*t = (struct tally){ 0 };
	for (unsigned i = 0; i < b->n; i++) {
		const struct slot *s = &slots[i];
		const struct recorded *r = &all[i];

		if (s->got > r->in || memcmp(s->target, r->from_user, s->got) != 0) {
			snprintf(line, sizeof(line), "session %u: the target has %u bytes that are not the beginning of the %zu recorded%s", b->first + i, s->got,
			    r->in, r->there ? "" : ": there is no recording");
			return line;
		}
		if (s->echoed > r->out || memcmp(s->client, r->from_target, s->echoed) != 0) {
			snprintf(line, sizeof(line), "session %u: the client has %u bytes that are not the beginning of the %zu recorded", b->first + i, s->echoed,
			    r->out);
			return line;
		}
		t->recordings += r->there;
		t->in += s->got;
		t->out += s->echoed;
	}
	return NULL;
}

const char *typing_check(const char *store, const char *identity, const struct slot *slots, const struct batch *b, struct tally *t)
{
	const struct timespec pause = { .tv_nsec = TRY_NS };
	struct age_identities ids = { 0 };
	const char *wrong = NULL;

	if (all == NULL && (all = calloc(SLOTS, sizeof(*all))) == NULL)
		return "no memory";
	if (age_identities_load(&ids, identity, NULL, NULL, line, sizeof(line)) != 0)
		return line;
	for (int i = 0; i < TRIES; i++) {
		memset(all, 0, SLOTS * sizeof(*all));
		read_all(store, &ids, b);
		if ((wrong = compare(slots, b, t)) == NULL)
			break;
		nanosleep(&pause, NULL);
	}
	age_identities_finish(&ids);
	return wrong;
}
