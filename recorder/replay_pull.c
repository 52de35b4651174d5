/*
 * replay_pull.c - `bastion-replay pull`: a copy of a bucket's store, for verify and everything else; and the copy that verify makes for itself.
 *
 * Part of bastion-replay. Every version of every object is fetched and compared (replay_versions.c): first those of the log, which tell more
 * about themselves together than alone. What is here already (replay_mirror.c) is not fetched again.
 */
#include "replay_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"

#define BAR_EVERY 64	/* objects that are here, between two looks at the bar */

void pull_complain(struct pull *p, const char *what, const char *why)
{
	char text[REPLAY_TEXT_MAX];

	progress_clear(&p->bar);
	esc_quoted(text, sizeof(text), what, strlen(what));
	fprintf(stderr, "bastion-replay: %s: %s\n", text, why);
}

/* ---- places ---- */

static int fits(int n)
{
	errno = ENAMETOOLONG;
	return n > 0 && n < REPLAY_PATH_MAX ? 0 : -1;
}

/* Where the object's file is. */
int pull_place(const struct pull *p, char out[REPLAY_PATH_MAX], const char *name)
{
	return fits(snprintf(out, REPLAY_PATH_MAX, "%s/%s", p->to, name));
}

int pull_place_part(const struct pull *p, char out[REPLAY_PATH_MAX], const struct object *o, unsigned k)
{
	return fits(snprintf(out, REPLAY_PATH_MAX, "%s/" COPY_PARTS "/%zu-%u", p->to, (size_t)(o - p->objects.v), k));
}

int pull_place_other(const struct pull *p, char out[REPLAY_PATH_MAX], const struct object *o, unsigned number)
{
	return fits(snprintf(out, REPLAY_PATH_MAX, "%s/%s.other-%u", p->to, o->name, number));
}

/* ---- a version ---- */

/* All that was asked for is here, or is not to be had. */
static void finish_object(struct pull *p, struct object *o)
{
	p->done++;
	if (!o->failed) {
		versions_arrived(p, o);
		return;
	}
	p->failed++;
	free(o->hash);
	o->hash = NULL;
}

static void end_fetch(struct fetch *f)
{
	if (f->file != NULL)
		fclose(f->file);
	sha256_finish(&f->hash);
	f->file = NULL;
	f->o = NULL;
}

static void fail(struct fetch *f, const char *why)
{
	struct object *o = f->o;

	if (!o->failed && f->p->failed < TOLD_MAX)
		pull_complain(f->p, o->name, why);
	o->failed = true;
	o->left--;
	end_fetch(f);
	if (o->left == 0)
		finish_object(f->p, o);
}

static int on_data(void *ctx, const void *data, size_t len)
{
	struct fetch *f = ctx;

	f->got += len;
	if (f->got > f->o->v[f->k].size || fwrite(data, 1, len, f->file) != len)
		return -1;
	return sha256_update(&f->hash, data, len);
}

static void on_done(struct s3_request *r)
{
	struct fetch *f = r->ctx;
	struct object *o = f->o;
	int ms;

	if (r->status / 100 == 2 && f->got == o->v[f->k].size && fflush(f->file) == 0 && sha256_digest(&f->hash, o->hash[f->k]) == 0) {
		o->left--;
		end_fetch(f);
		if (o->left == 0)
			finish_object(f->p, o);
		return;
	}
	if (ferror(f->file)) {
		f->p->stop = true;
		fail(f, strerror(errno));
	} else if (r->status / 100 == 2) {
		fail(f, "its bytes are fewer, or more, than the list says");
	} else if ((ms = bucket_retry_ms(r->status, ++f->tries)) < 0) {
		fail(f, r->why[0] != '\0' ? r->why : "no answer");
	} else {
		f->again = true;
		f->again_ms = clock_mono_ms() + (uint64_t)ms;
	}
}

/* Asks for the version, once more if need be. 0 or -1. */
static int ask(struct fetch *f)
{
	struct pull *p = f->p;

	f->r = (struct s3_request){ .method = "GET", .sink = on_data, .done = on_done, .ctx = f };
	f->got = 0;
	rewind(f->file);
	if (ftruncate(fileno(f->file), 0) != 0 || sha256_digest(&f->hash, f->o->hash[f->k]) != 0)
		return -1;
	snprintf(f->r.key, sizeof(f->r.key), "%s%s", p->b.prefix, f->o->name);
	if (s3_query_add(f->r.query, sizeof(f->r.query), "versionId", f->o->v[f->k].id) != 0)
		return -1;
	return s3_start(p->b.s3, &f->r);
}

static void ask_again(struct fetch *f)
{
	f->again = false;
	if (ask(f) != 0)
		fail(f, "out of memory");
}

static void begin(struct fetch *f, struct object *o, unsigned k)
{
	char path[REPLAY_PATH_MAX];

	f->o = o;
	f->k = k;
	f->tries = 0;
	if (pull_place_part(f->p, path, o, k) != 0 || (f->file = copy_create(path)) == NULL || sha256_init(&f->hash) != 0) {
		f->p->stop = true;
		fail(f, strerror(errno));
	} else if (ask(f) != 0) {
		fail(f, "out of memory");
	}
}

/* ---- all of them ---- */

/* Is it here, as it is in the bucket? Where versions differ they are compared anew: what was learnt since may tell. */
static bool is_here(const struct pull *p, struct object *o)
{
	const struct mirrored *m = mirror_find(&p->mirror, o->name);
	char path[REPLAY_PATH_MAX];
	unsigned k = 0;
	struct stat st;

	while (m != NULL && k < o->n && strcmp(m->version, o->v[k].id) != 0)
		k++;
	/* one that is not listed any more: the disk may be full before it is fetched anew, and the log is sifted all the same */
	o->taken = k < o->n ? k : 0;
	return m != NULL && m->versions == o->all && !m->differs && k < o->n && m->size == o->v[k].size &&
	    pull_place(p, path, o->name) == 0 && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->size &&
	    copy_has(path, m->hash);
}

static void show_bar(struct pull *p)
{
	char count[64];

	snprintf(count, sizeof(count), "%zu of %zu", p->done, p->objects.n);
	progress_at(&p->bar, p->done, p->objects.n, count);
}

/* The next version that is to be fetched. False: none. */
static bool next(struct pull *p, struct object **o, unsigned *k)
{
	for (; p->at < p->end && !p->stop; p->at++, p->k = 0) {
		struct object *one = &p->objects.v[p->at];

		if (p->k == one->n)
			continue;
		if (p->k == 0) {
			if (is_here(p, one)) {
				p->alarms += mirror_find(&p->mirror, one->name)->others;
				p->done++;
				if (p->at % BAR_EVERY == 0)
					show_bar(p);
				continue;
			}
			if ((one->hash = calloc(one->n, HASH_LEN)) == NULL) {
				pull_complain(p, one->name, "out of memory");
				p->stop = true;
				return false;
			}
			one->left = one->n;
		}
		*o = one;
		*k = one->n - 1 - p->k++;
		return true;
	}
	return false;
}

/* All before p->end. */
static void fetch_all(struct pull *p)
{
	struct object *o;
	unsigned k, idle;
	int wait;

	do {
		const uint64_t now = clock_mono_ms();

		idle = 0;
		wait = 1000;
		for (size_t i = 0; i < FETCHES; i++) {
			struct fetch *f = &p->fetch[i];

			f->p = p;
			if (f->o == NULL && next(p, &o, &k))
				begin(f, o, k);
			else if (f->o != NULL && f->again && now >= f->again_ms)
				ask_again(f);
			else if (f->o != NULL && f->again && f->again_ms - now < (uint64_t)wait)
				wait = (int)(f->again_ms - now);
			idle += f->o == NULL;
		}
		if (idle < FETCHES)
			s3_turn(p->b.s3, -1, wait);
		show_bar(p);
	} while (idle < FETCHES || (p->at < p->end && !p->stop));
}

/* The log first, whose names come first. 0, or -1: said. */
static int fetch_and_sift(struct pull *p)
{
	int r;

	progress_begin(&p->bar, "pull");
	while (p->end < p->objects.n && strncmp(p->objects.v[p->end].name, "log/", 4) == 0)
		p->end++;
	fetch_all(p);
	r = sift_log(p);
	p->end = p->objects.n;
	fetch_all(p);
	if (sift_recordings(p) != 0)
		r = -1;
	progress_end(&p->bar);
	return r;
}

/* ---- the command ---- */

/* What else the list said. */
static void tell(struct pull *p)
{
	size_t told = 0, gone = 0;

	for (size_t i = 0; i < p->objects.n && told < TOLD_MAX; i++)
		if (p->objects.v[i].hidden) {
			pull_complain(p, p->objects.v[i].name, "a delete marker hides it; its bytes are there and were taken");
			told++;
		}
	for (size_t i = 0; i < p->mirror.n; i++)
		gone += objects_find(&p->objects, p->mirror.v[i].name) == NULL;
	fprintf(stderr, "%zu objects in %zu versions: %zu fetched, %zu were here", p->objects.n, p->objects.versions, p->fetched,
	    p->done - p->fetched - p->failed);
	if (p->failed != 0)
		fprintf(stderr, ", %zu could not be fetched", p->failed);
	if (p->alarms != 0)
		fprintf(stderr, ", %zu ALARMS", p->alarms);
	if (p->objects.hidden != 0)
		fprintf(stderr, "; %zu hidden by a delete marker", p->objects.hidden);
	if (gone != 0)
		fprintf(stderr, "; %zu that were pulled before are not in the bucket any more", gone);
	if (p->objects.foreign != 0)
		fprintf(stderr, "; %zu of other names passed over", p->objects.foreign);
	fputc('\n', stderr);
}

/* A version that is larger than any file of a store is none of a collector's, and is not fetched. */
static void drop_large(struct pull *p)
{
	for (size_t i = 0; i < p->objects.n; i++) {
		struct object *o = &p->objects.v[i];
		unsigned n = 0;

		for (unsigned k = 0; k < o->n; k++)
			if (o->v[k].size <= BUCKET_OBJECT_MAX)
				o->v[n++] = o->v[k];
			else
				free(o->v[k].id);
		if (n != o->n && p->alarms++ < TOLD_MAX)
			pull_complain(p, o->name, "ALARM: it is larger than any file of a store: not fetched");
		o->large = n == 0 && o->n != 0;
		o->n = n;
	}
}

/* An object of which only a delete marker is left is none any more. */
static void drop_empty(struct pull *p)
{
	struct objects *o = &p->objects;
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		if (o->v[i].n != 0) {
			o->v[n++] = o->v[i];
			continue;
		}
		if (i - n < TOLD_MAX && !o->v[i].large)
			pull_complain(p, o->v[i].name, "it was deleted: only a delete marker is there");
		free(o->v[i].name);
	}
	o->n = n;
}

static int open_copy(struct pull *p)
{
	char path[REPLAY_PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/journal", p->to) >= (int)sizeof(path)) {
		pull_complain(p, p->to, "the name is too long");
		return -1;
	}
	if (access(path, F_OK) == 0) {
		pull_complain(p, p->to, "this is the store of a collector; --store names the directory of a copy, which may be new");
		return -1;
	}
	snprintf(path, sizeof(path), "%s/" MIRROR_FILE, p->to);
	if ((mkdir(p->to, 0700) == 0 || errno == EEXIST) && copy_parts(p->to, true) == 0 && mirror_load(&p->mirror, p->to, &p->days) == 0 && (p->list = fopen(path, "ae")) != NULL)
		return 0;
	pull_complain(p, p->to, strerror(errno));
	return -1;
}

int pull_bucket(const struct args *a, const char *url, const char *to)
{
	struct pull *p = calloc(1, sizeof(*p));
	int status = EXIT_UNREADABLE;
	struct trust trust;

	if (p == NULL)
		return EXIT_UNREADABLE;
	p->to = to;
	p->days = days_of(a->since, a->until);
	/* a file that was named, or that is there, is to be read; only who has none goes without */
	if (!keys_trust_there(a)) {
		fprintf(stderr, "bastion-replay: no trust file: which objects are the collector's is not proven; pull again with --trust FILE\n");
	} else if (keys_trust(&trust, a) == 0) {
		p->trust = &trust;
	} else {
		free(p);
		return EXIT_UNREADABLE;
	}
	if (bucket_open(&p->b, a, url) != 0) {
		free(p);
		return EXIT_UNREADABLE;
	}
	if (bucket_list(&p->b, &p->days, &p->objects) == 0 && open_copy(p) == 0) {
		drop_large(p);
		drop_empty(p);
		/* what follows a line that was cut is a line of its own */
		fputc('\n', p->list);
		status = fetch_and_sift(p) != 0 || p->failed != 0 || p->stop ? EXIT_UNREADABLE :
		    p->alarms != 0 ? EXIT_VERDICT : EXIT_OK;
		tell(p);
		copy_parts(p->to, false);
	}
	if (p->list != NULL && fclose(p->list) != 0) {
		pull_complain(p, to, strerror(errno));
		status = EXIT_UNREADABLE;
	}
	objects_finish(&p->objects);
	mirror_finish(&p->mirror);
	bucket_close(&p->b);
	free(p);
	return status;
}

int cmd_pull(struct args *a)
{
	if (a->from == NULL || !bucket_is_url(a->from)) {
		fprintf(stderr, "bastion-replay: pull needs --from https://HOST/BUCKET[/PREFIX]\n");
		return EXIT_USAGE;
	}
	if (bucket_is_url(a->store)) {
		fprintf(stderr, "bastion-replay: pull needs --store DIR, the directory of the copy\n");
		return EXIT_USAGE;
	}
	return pull_bucket(a, a->from, a->store);
}
