/*
 * replay_bucket.c - see replay_bucket.h: the address of a bucket, whose credentials, and all versions of what is in it.
 *
 * Part of bastion-replay. Reads only: GET of the bucket's list and of objects.
 */
#include "replay_bucket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brec_dir.h"
#include "clock.h"
#include "escape.h"

#define CREDENTIALS_MAX 65536
#define CA_MAX (1U << 20)
#define TRIES 4			/* without an answer; */
#define TRIES_BUSY 6		/* with one that says: later */
#define PAUSE_FIRST_MS 250

static int complain(const char *what, const char *why)
{
	char text[512];

	esc_quoted(text, sizeof(text), what, strlen(what));
	fprintf(stderr, "bastion-replay: %s: %s\n", text, why);
	return -1;
}

/* ---- the address ---- */

bool bucket_is_url(const char *store)
{
	return strncmp(store, "https://", 8) == 0 || strncmp(store, "http://", 7) == 0;
}

static int parse_url(struct bucket *b, const char *url)
{
	const char *host = strstr(url, "//") + 2, *name = strchr(host, '/'), *prefix;
	size_t n;

	if (name == NULL || (size_t)snprintf(b->endpoint, sizeof(b->endpoint), "%.*s", (int)(name - url), url) >= sizeof(b->endpoint) ||
	    !s3_endpoint_ok(b->endpoint))
		return -1;
	name++;
	n = strcspn(name, "/");
	if (n < 3 || n >= sizeof(b->name) || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-")] != name[n])
		return -1;
	memcpy(b->name, name, n);
	b->name[n] = '\0';
	prefix = name + n + strspn(name + n, "/");
	n = strlen(prefix);
	while (n > 0 && prefix[n - 1] == '/')
		n--;
	if (n == 0)
		return 0;
	if (n + 1 + BUCKET_NAME_MAX >= sizeof(b->prefix))
		return -1;
	memcpy(b->prefix, prefix, n);
	b->prefix[n] = '\0';
	if (!s3_key_ok(b->prefix))
		return -1;
	strcpy(b->prefix + n, "/");
	return 0;
}

/* ---- whose credentials ---- */

/* A file, whole, up to `max` bytes. 0 or -1 with errno. */
static int slurp(struct buf *out, const char *path, size_t max)
{
	FILE *f = fopen(path, "re");
	uint8_t part[4096];
	size_t n;
	int r = 0;

	buf_init(out, max);
	if (f == NULL)
		return -1;
	while (r == 0 && (n = fread(part, 1, sizeof(part), f)) > 0)
		r = buf_put(out, part, n);
	if (r != 0)
		errno = EFBIG;
	else if (ferror(f))
		r = -1;
	explicit_bzero(part, sizeof(part));
	fclose(f);
	return r;
}

static const char *environment(const char *name)
{
	const char *v = getenv(name);

	return v != NULL ? v : "";
}

static int from_file(struct bucket *b, const char *path)
{
	const char *why = "";
	struct buf text;
	int r = slurp(&text, path, CREDENTIALS_MAX);

	if (r != 0)
		complain(path, strerror(errno));
	else if ((r = s3_credentials_parse(&b->credentials, (const char *)text.data, text.len, &why)) != 0)
		complain(path, why);
	buf_finish(&text);
	return r;
}

/* As the AWS command line takes them, but for its own default file: what is used shall have been named. */
static int from_environment(struct bucket *b)
{
	struct s3_credentials *c = &b->credentials;

	if (environment("AWS_ACCESS_KEY_ID")[0] == '\0' && environment("AWS_SHARED_CREDENTIALS_FILE")[0] != '\0')
		return from_file(b, environment("AWS_SHARED_CREDENTIALS_FILE"));
	if (environment("AWS_ACCESS_KEY_ID")[0] == '\0' || environment("AWS_SECRET_ACCESS_KEY")[0] == '\0')
		return complain("a bucket", "name a file of credentials that may read it by --credentials, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
	if ((size_t)snprintf(c->access, sizeof(c->access), "%s", environment("AWS_ACCESS_KEY_ID")) >= sizeof(c->access) ||
	    (size_t)snprintf(c->secret, sizeof(c->secret), "%s", environment("AWS_SECRET_ACCESS_KEY")) >= sizeof(c->secret) ||
	    (size_t)snprintf(c->token, sizeof(c->token), "%s", environment("AWS_SESSION_TOKEN")) >= sizeof(c->token))
		return complain("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN", "one is too long");
	return 0;
}

int bucket_open(struct bucket *b, const struct args *a, const char *url)
{
	struct s3_target t = { .endpoint = b->endpoint, .bucket = b->name, .credentials = &b->credentials };

	*b = (struct bucket){ 0 };
	if (parse_url(b, url) != 0)
		return complain(url, "a bucket is named https://HOST[:PORT]/BUCKET[/PREFIX]; http is for this machine only");
	t.region = a->region != NULL ? a->region : environment("AWS_REGION")[0] != '\0' ? environment("AWS_REGION") : "us-east-1";
	if ((a->credentials != NULL ? from_file(b, a->credentials) : from_environment(b)) != 0)
		return -1;
	if (a->ca != NULL && slurp(&b->ca, a->ca, CA_MAX) != 0) {
		complain(a->ca, strerror(errno));
		bucket_close(b);
		return -1;
	}
	t.ca = b->ca.data;
	t.ca_len = b->ca.len;
	if ((b->s3 = s3_create(&t)) != NULL)
		return 0;
	bucket_close(b);
	return complain(url, "out of memory");
}

void bucket_close(struct bucket *b)
{
	s3_destroy(b->s3);
	b->s3 = NULL;
	buf_finish(&b->ca);
	explicit_bzero(&b->credentials, sizeof(b->credentials));
}

/* ---- names ---- */

static bool digits(const char *p, size_t n)
{
	return strspn(p, "0123456789") >= n;
}

static bool hex_digits(const char *p, size_t n)
{
	return strspn(p, "0123456789abcdef") >= n;
}

/* YYYY-MM-DD/ID/FILE, as archive_plan.h says */
static bool is_recording_file(const char *name)
{
	const char *file = name + 44;

	if (strlen(name) < 45 || !digits(name, 4) || name[4] != '-' || !digits(name + 5, 2) || name[7] != '-' || !digits(name + 8, 2) ||
	    name[10] != '/' || !hex_digits(name + 11, 2 * BREC_ID_LEN) || name[43] != '/')
		return false;
	if (strncmp(file, "receipts.", 9) == 0)
		return digits(file + 9, 8) && file[17] == '\0';
	if (strncmp(file, "conflict-", 9) == 0)
		return digits(file + 9, 20) && file[29] == '-' && hex_digits(file + 30, 16) && file[46] == '\0';
	return brec_dir_number(file) >= 0;
}

/* Behind log/checkpoint. */
static bool is_checkpoint(const char *p)
{
	const char *end = p + strspn(p, "0123456789");

	return end != p && (*end == '\0' || strcmp(end, ".tsr") == 0 || strcmp(end, ".cosigned") == 0);
}

/* Behind log/tile/, as tlog_tile.h says */
static bool is_tile(const char *p)
{
	const size_t level = strncmp(p, "entries/", 8) == 0 ? 7 : strspn(p, "0123456789");
	size_t width;

	if (level == 0 || p[level] != '/')
		return false;
	for (p += level + 1; p[0] == 'x' && digits(p + 1, 3) && p[4] == '/';)
		p += 5;
	if (!digits(p, 3))
		return false;
	if (p[3] == '\0' || strncmp(p + 3, ".p/", 3) != 0)
		return p[3] == '\0';
	width = strspn(p + 6, "0123456789");
	return width != 0 && width <= 3 && p[6 + width] == '\0';
}

/* What the archiver makes, and nothing else: whoever may put must not choose names that are made here, or are those of other files. */
bool bucket_name_ok(const char *name)
{
	if (!s3_key_ok(name) || strlen(name) > BUCKET_NAME_MAX)
		return false;
	if (strncmp(name, "recordings/", 11) == 0)
		return is_recording_file(name + 11);
	return strncmp(name, "log/checkpoint.", 15) == 0 ? is_checkpoint(name + 15) : strncmp(name, "log/tile/", 9) == 0 && is_tile(name + 9);
}

/* ---- the list ---- */

struct listing {
	const struct bucket *b;
	const struct days *days;
	struct objects *out;
	bool past;			/* what follows is of later days */
};

static void day_of(char out[11], int64_t when)
{
	const time_t t = (time_t)when;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, 11, "%Y-%m-%d", &tm) != 10)
		out[0] = '\0';
}

struct days days_of(int64_t since, int64_t until)
{
	struct days d = { "", "" };

	if (since > 0)
		day_of(d.first, since);
	if (until < INT64_MAX)
		day_of(d.last, until - 1);
	return d;
}

bool days_have(const struct days *d, const char *name)
{
	if (strncmp(name, "recordings/", 11) != 0)
		return true;
	return strncmp(name + 11, d->first, strlen(d->first)) >= 0 && (d->last[0] == '\0' || strncmp(name + 11, d->last, 10) <= 0);
}

static struct object *add_object(struct objects *o, const char *name)
{
	if (o->n == BUCKET_OBJECTS_MAX) {
		errno = EFBIG;
		return NULL;
	}
	if (o->n == o->cap) {
		const size_t cap = o->cap == 0 ? 256 : 2 * o->cap;
		struct object *v = reallocarray(o->v, cap, sizeof(*v));

		if (v == NULL)
			return NULL;
		o->v = v;
		o->cap = cap;
	}
	o->v[o->n] = (struct object){ .name = strdup(name) };
	return o->v[o->n].name != NULL ? &o->v[o->n++] : NULL;
}

static void drop_version(struct object *one, unsigned k)
{
	free(one->v[k].id);
	memmove(one->v + k, one->v + k + 1, (--one->n - k) * sizeof(*one->v));
}

/*
 * A newer version of the log with the same bytes as this one, by its tag: the older one stands for both. The log is put again and again, for longer
 * locks, and is not fetched as often. Nobody finds other bytes with the MD5 of a tile or a checkpoint that he did not choose; and a store that
 * gives a wrong tag could leave the version out of its list as well.
 */
static void drop_newer(struct object *one, const struct s3_version *v)
{
	unsigned k = 0;

	if (!v->tagged || strncmp(one->name, "log/", 4) != 0)
		return;
	while (k < one->n && (!one->v[k].tagged || one->v[k].size != v->size || memcmp(one->v[k].tag, v->tag, S3_TAG_LEN) != 0))
		k++;
	if (k == one->n)
		return;
	drop_version(one, k);
	one->all--;
}

static int add_version(struct objects *o, struct object *one, const struct s3_version *v)
{
	struct object_version *more;

	/* the newest first: a marker before all versions hides the object */
	if (v->marker) {
		o->hidden += one->n == 0 && !one->hidden;
		one->hidden = one->hidden || one->n == 0;
		return 0;
	}
	drop_newer(one, v);
	if (one->n == BUCKET_VERSIONS_MAX) {
		/* who may put can put as many as he likes before the honest one, or behind it; and where he was first, the next longer lock comes last */
		one->more = true;
		drop_version(one, BUCKET_VERSIONS_MAX / 2);
	}
	if ((more = reallocarray(one->v, one->n + 1, sizeof(*more))) == NULL)
		return -1;
	one->v = more;
	one->v[one->n] = (struct object_version){ .id = strdup(v->version), .size = v->size, .when = v->when, .tagged = v->tagged };
	memcpy(one->v[one->n].tag, v->tag, S3_TAG_LEN);
	one->all++;
	o->versions++;
	o->bytes += v->size;
	return one->v[one->n++].id != NULL ? 0 : -1;
}

static int take(void *ctx, const struct s3_version *v)
{
	struct listing *l = ctx;
	struct objects *o = l->out;
	const size_t skip = strlen(l->b->prefix);
	const char *name = v->key + skip;
	struct object *one;

	if (v->key[0] == '\0' || strncmp(v->key, l->b->prefix, skip) != 0 || !bucket_name_ok(name)) {
		o->foreign++;
		return 0;
	}
	if (!days_have(l->days, name)) {
		/* days come in order, and begin with the first one */
		l->past = l->past || (l->days->last[0] != '\0' && strncmp(name, "recordings/", 11) == 0 && strncmp(name + 11, l->days->last, 10) > 0);
		return 0;
	}
	/* one key's versions stand together */
	one = o->n != 0 && strcmp(o->v[o->n - 1].name, name) == 0 ? &o->v[o->n - 1] : add_object(o, name);
	return one == NULL ? -1 : add_version(o, one, v);
}

static int by_name(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int bucket_retry_ms(int status, unsigned tries)
{
	/* what the store refused it refuses again */
	if (status != 0 && status != 429 && status / 100 != 5)
		return -1;
	return tries < (status == 0 ? TRIES : TRIES_BUSY) ? PAUSE_FIRST_MS << (tries - 1) : -1;
}

static void pause_for(struct bucket *b, int ms)
{
	const uint64_t until = clock_mono_ms() + (uint64_t)ms;

	for (uint64_t now; (now = clock_mono_ms()) < until;)
		s3_turn(b->s3, -1, (int)(until - now));
}

static int give_up(struct bucket *b, const char *why)
{
	progress_end(&b->bar);
	return complain(b->name, why);
}

/* One page of what is below that part of the store, asked for until there is an answer. 0, or -1: said. */
static int ask_page(struct bucket *b, const char *below, const struct s3_page *after, struct s3_request *r)
{
	char prefix[S3_KEY_MAX + 16];
	int ms = 0;

	snprintf(prefix, sizeof(prefix), "%s%s", b->prefix, below);
	for (unsigned tries = 1; ms >= 0; tries++) {
		pause_for(b, ms);
		*r = (struct s3_request){ .method = "GET" };
		if ((after->key[0] != '\0' && s3_query_add(r->query, sizeof(r->query), "key-marker", after->key) != 0) ||
		    s3_query_add(r->query, sizeof(r->query), "max-keys", S3_PAGE_VERSIONS) != 0 || s3_query_add(r->query, sizeof(r->query), "prefix", prefix) != 0 ||
		    (after->version[0] != '\0' && s3_query_add(r->query, sizeof(r->query), "version-id-marker", after->version) != 0) ||
		    s3_query_add(r->query, sizeof(r->query), "versions", "") != 0)
			return give_up(b, "a name in it is too long");
		if (s3_perform(b->s3, r) == 0 && r->status / 100 == 2)
			return 0;
		buf_finish(&r->text);
		ms = bucket_retry_ms(r->status, tries);
	}
	return give_up(b, r->why);
}

static int list_part(struct bucket *b, const char *below, struct listing *l)
{
	struct s3_page page = { .more = true }, next;
	struct s3_request r;
	unsigned pages = 0;
	int result = 0;

	/* a day's keys come behind its name */
	if (l->days->first[0] != '\0' && strcmp(below, "recordings/") == 0 &&
	    (size_t)snprintf(page.key, sizeof(page.key), "%s%s%s", b->prefix, below, l->days->first) >= sizeof(page.key))
		return give_up(b, "a name in it is too long");
	while (result == 0 && page.more && !l->past) {
		if (ask_page(b, below, &page, &r) != 0)
			return -1;
		errno = EBADMSG;
		if (s3_page_parse(&next, r.text.data, r.text.len, take, l) != 0)
			result = give_up(b, errno == EBADMSG ? "its list of versions is none" :
			    errno == EFBIG ? "it has more objects than are pulled at once: pull it some days at a time, with --since and --until" : strerror(errno));
		else if (next.more && (++pages == BUCKET_PAGES_MAX || (strcmp(next.key, page.key) == 0 && strcmp(next.version, page.version) == 0)))
			result = give_up(b, "its list of versions has no end");
		buf_finish(&r.text);
		page = next;
		progress_count(&b->bar, l->out->n, "objects");
	}
	return result;
}

int bucket_list(struct bucket *b, const struct days *d, struct objects *out)
{
	struct listing l = { .b = b, .days = d, .out = out };
	const bool all = d->first[0] == '\0' && d->last[0] == '\0';
	int result;

	*out = (struct objects){ 0 };
	progress_begin(&b->bar, "list");
	result = list_part(b, all ? "" : "log/", &l);
	if (result == 0 && !all)
		result = list_part(b, "recordings/", &l);
	progress_end(&b->bar);
	for (size_t i = 1; i < out->n && result == 0; i++)
		if (by_name(&out->v[i - 1], &out->v[i]) >= 0)
			result = give_up(b, "its list of versions is not in order");
	return result;
}

struct object *objects_find(const struct objects *o, const char *name)
{
	const struct object key = { .name = (char *)(uintptr_t)name };

	return o->n == 0 ? NULL : bsearch(&key, o->v, o->n, sizeof(key), by_name);
}

void objects_finish(struct objects *o)
{
	for (size_t i = 0; i < o->n; i++) {
		for (unsigned k = 0; k < o->v[i].n; k++)
			free(o->v[i].v[k].id);
		free(o->v[i].v);
		free(o->v[i].hash);
		free(o->v[i].name);
	}
	free(o->v);
	*o = (struct objects){ 0 };
}
