/*
 * s3.c - see s3.h. Below the collector's archiver and the readers of a bucket; above libcurl.
 *
 * What libcurl 7.88 needs to sign right: x-amz-content-sha256 among the headers, parameters sorted and written with '=', keys
 * of plain characters, no header without a value (so Expect cannot be switched off for long bodies, but is not waited for). The body goes by POSTFIELDS: as an upload it would cost a round trip more.
 */
#include "s3.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "crypto.h"
#include "hex.h"

#define CONNECT_SECONDS 10L
#define SLOW_BYTES 512L			/* a second, for */
#define SLOW_SECONDS 30L		/* so long: then the store is away */
#define HEADER_MAX 2200			/* of one header: a session token is long */
#define MD5_LEN 16

struct s3_transfer {
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	struct s3_transfer *next, **prev;	/* of all that are on their way */
	struct s3_request *request;
	bool too_long;				/* the answer did not fit, or its sink refused */
};

struct s3 {
	struct s3_target target;
	CURLM *multi;
	struct s3_transfer *first;
	unsigned running;
};

bool s3_endpoint_ok(const char *endpoint)
{
	static const char *const local[] = { "127.0.0.1", "localhost", "[::1]" };
	const bool tls = strncmp(endpoint, "https://", 8) == 0;
	const char *host = endpoint + (tls ? 8 : 7), *rest;

	if ((!tls && strncmp(endpoint, "http://", 7) != 0) || host[strcspn(host, "/?#@ \t\"\\")] != '\0' || strlen(endpoint) > 255)
		return false;
	rest = host + (host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":"));
	if (rest == host || rest > host + strlen(host))
		return false;
	if (rest[0] != '\0' && (rest[0] != ':' || rest[1] == '\0' || rest[1 + strspn(rest + 1, "0123456789")] != '\0'))
		return false;
	for (size_t i = 0; !tls && i < sizeof(local) / sizeof(local[0]); i++)
		if (strlen(local[i]) == (size_t)(rest - host) && strncmp(host, local[i], (size_t)(rest - host)) == 0)
			return true;
	return tls;
}

bool s3_key_ok(const char *key)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
	const size_t len = strlen(key);

	if (len == 0 || len >= S3_KEY_MAX || strspn(key, set) != len || key[0] == '/' || key[len - 1] == '/' || strstr(key, "//") != NULL)
		return false;
	/* a part of dots alone would be resolved on the way */
	for (const char *part = key; part != NULL; part = strchr(part, '/') != NULL ? strchr(part, '/') + 1 : NULL)
		if (part[strspn(part, ".")] == '/' || part[strspn(part, ".")] == '\0')
			return false;
	return true;
}

void s3_header(struct s3_request *r, const char *name, const char *value)
{
	if (r->nheaders < S3_HEADERS_MAX)
		snprintf(r->headers[r->nheaders++], sizeof(r->headers[0]), "%s: %s", name, value);
}

void s3_lock(struct s3_request *r, int64_t until, bool hold)
{
	char date[24];

	if (until != 0) {
		s3_header(r, "x-amz-object-lock-mode", "COMPLIANCE");
		s3_header(r, "x-amz-object-lock-retain-until-date", clock_format(date, sizeof(date), until + S3_LOCK_SPARE_S));
	}
	if (hold)
		s3_header(r, "x-amz-object-lock-legal-hold", "ON");
}

/* ---- credentials ---- */

/* One line NAME = VALUE; other lines are passed over. 0; -1: the value does not fit. */
static int take_line(struct s3_credentials *c, const char *line, size_t len)
{
	const struct { const char *name; char *to; size_t size; } names[] = { { "aws_access_key_id", c->access, sizeof(c->access) },
		{ "aws_secret_access_key", c->secret, sizeof(c->secret) }, { "aws_session_token", c->token, sizeof(c->token) } };
	const char *eq = memchr(line, '=', len), *value;
	size_t n, name;

	if (eq == NULL)
		return 0;
	for (; len > 0 && (*line == ' ' || *line == '\t'); line++)
		len--;
	for (name = (size_t)(eq - line); name > 0 && (line[name - 1] == ' ' || line[name - 1] == '\t');)
		name--;
	for (value = eq + 1, n = len - (size_t)(value - line); n > 0 && (*value == ' ' || *value == '\t'); value++)
		n--;
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t' || value[n - 1] == '\r'))
		n--;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].name) != name || memcmp(line, names[i].name, name) != 0 || names[i].to[0] != '\0')
			continue;
		if (n >= names[i].size)
			return -1;
		for (size_t k = 0; k < n; k++)
			if (value[k] <= ' ' || value[k] >= 0x7f)
				return -1;
		memcpy(names[i].to, value, n);
		names[i].to[n] = '\0';
	}
	return 0;
}

int s3_credentials_parse(struct s3_credentials *c, const char *text, size_t len, const char **why)
{
	*c = (struct s3_credentials){ 0 };
	*why = "a value is too long or has a byte that is none of a key";
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		const size_t n = end != NULL ? (size_t)(end - text) - at : len - at;

		if (text[at] != '#' && take_line(c, text + at, n) != 0)
			return -1;
		at += n + 1;
	}
	*why = c->access[0] == '\0' ? "aws_access_key_id is missing" : "aws_secret_access_key is missing";
	return c->access[0] != '\0' && c->secret[0] != '\0' && strchr(c->access, ':') == NULL ? 0 : -1;
}

/* ---- one transfer ---- */

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char name[] = "x-amz-version-id:";
	struct s3_request *r = arg;
	size_t len = size * n, at = sizeof(name) - 1, k = 0;

	if (len < at || strncasecmp(data, name, at) != 0)
		return len;
	while (at < len && data[at] == ' ')
		at++;
	while (at < len && data[at] > ' ' && data[at] < 0x7f && k < S3_VERSION_MAX)
		r->version[k++] = data[at++];
	r->version[k] = '\0';
	/* one that does not fit is none that could be asked for */
	if (at < len && data[at] > ' ')
		r->version[0] = '\0';
	return len;
}

static int on_request(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct s3_request *r = arg;

	(void)to, (void)from, (void)to_port, (void)from_port;
	r->sent++;
	return CURL_PREREQFUNC_OK;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct s3_request *r = arg;
	const size_t len = size * n;
	long status = 0;

	curl_easy_getinfo(r->transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (r->sink != NULL && status / 100 == 2) {
		if (r->sink(r->ctx, data, len) == 0)
			return len;
	} else if (buf_put(&r->text, data, len) == 0) {
		return len;
	}
	r->transfer->too_long = true;
	return 0;
}

static int add(struct curl_slist **list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int add(struct curl_slist **list, const char *fmt, ...)
{
	struct curl_slist *longer;
	char line[HEADER_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if ((longer = curl_slist_append(*list, line)) == NULL)
		return -1;
	*list = longer;
	return 0;
}

/* The digests of the body, for the signature and for the store's own check. */
static int add_digests(struct s3_transfer *t, const struct s3_request *r)
{
	uint8_t hash[HASH_LEN], md5[MD5_LEN];
	char hex[2 * HASH_LEN + 1], text[64];
	unsigned n;

	if (sha256_spans(hash, SPANS(SPAN(r->body, r->len))) != 0 || add(&t->headers, "x-amz-content-sha256: %s", hex_encode(hex, hash, HASH_LEN)) != 0)
		return -1;
	if (r->body == NULL)
		return 0;
	EVP_EncodeBlock((uint8_t *)text, hash, HASH_LEN);
	if (add(&t->headers, "x-amz-checksum-sha256: %s", text) != 0)
		return -1;
	/* a system that is kept to FIPS has no MD5: the SHA-256 is then the checksum */
	if (EVP_Digest(r->body, r->len, md5, &n, EVP_md5(), NULL) != 1)
		return 0;
	EVP_EncodeBlock((uint8_t *)text, md5, MD5_LEN);
	return add(&t->headers, "Content-MD5: %s", text);
}

static int set_headers(struct s3 *s, struct s3_transfer *t, const struct s3_request *r)
{
	if (add(&t->headers, "Content-Type: application/octet-stream") != 0 || add_digests(t, r) != 0)
		return -1;
	if (s->target.credentials->token[0] != '\0' && add(&t->headers, "x-amz-security-token: %s", s->target.credentials->token) != 0)
		return -1;
	for (unsigned i = 0; i < r->nheaders; i++)
		if (add(&t->headers, "%s", r->headers[i]) != 0)
			return -1;
	return 0;
}

static int set_options(struct s3 *s, struct s3_transfer *t, struct s3_request *r)
{
	char url[256 + 64 + S3_KEY_MAX + S3_QUERY_MAX + 8], sigv4[96], user[300];
	struct curl_blob ca = { (void *)(uintptr_t)s->target.ca, s->target.ca_len, CURL_BLOB_NOCOPY };
	CURL *e = t->easy;
	CURLcode bad = CURLE_OK;

	snprintf(url, sizeof(url), "%s/%s%s%s%s%s", s->target.endpoint, s->target.bucket, r->key[0] != '\0' ? "/" : "", r->key,
	    r->query[0] != '\0' ? "?" : "", r->query);
	snprintf(sigv4, sizeof(sigv4), "aws:amz:%s:s3", s->target.region);
	snprintf(user, sizeof(user), "%s:%s", s->target.credentials->access, s->target.credentials->secret);
#define SET(option, value) (bad = bad != CURLE_OK ? bad : curl_easy_setopt(e, CURLOPT_##option, value))
	SET(URL, url);
	SET(CUSTOMREQUEST, r->method);
	if (r->body != NULL) {
		SET(POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
		SET(POSTFIELDS, r->body);
	}
	SET(HTTPHEADER, t->headers);
	SET(AWS_SIGV4, sigv4);
	SET(USERPWD, user);
	SET(PREREQFUNCTION, on_request);
	SET(PREREQDATA, r);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, r);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, r);
	SET(ERRORBUFFER, t->error);
	SET(PRIVATE, t);
	SET(NOSIGNAL, 1L);
	SET(FOLLOWLOCATION, 0L);
	SET(PROTOCOLS_STR, "http,https");
	SET(PROXY, "");
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(PATH_AS_IS, 1L);
	SET(EXPECT_100_TIMEOUT_MS, 1L);
	SET(CONNECTTIMEOUT, CONNECT_SECONDS);
	SET(LOW_SPEED_LIMIT, SLOW_BYTES);
	SET(LOW_SPEED_TIME, SLOW_SECONDS);
	SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(SSL_VERIFYPEER, 1L);
	SET(SSL_VERIFYHOST, 2L);
	if (s->target.ca != NULL) {
		SET(CAINFO_BLOB, &ca);
		SET(CAPATH, NULL);
	}
#undef SET
	explicit_bzero(user, sizeof(user));
	return bad == CURLE_OK ? 0 : -1;
}

static void transfer_destroy(struct s3 *s, struct s3_transfer *t)
{
	if (t->prev != NULL) {
		curl_multi_remove_handle(s->multi, t->easy);
		if ((*t->prev = t->next) != NULL)
			t->next->prev = t->prev;
		s->running--;
	}
	if (t->easy != NULL)
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	free(t);
}

int s3_start(struct s3 *s, struct s3_request *r)
{
	struct s3_transfer *t = calloc(1, sizeof(*t));

	r->status = 0;
	r->sent = 0;
	r->why[0] = r->code[0] = r->version[0] = '\0';
	r->transfer = t;
	buf_init(&r->text, S3_TEXT_MAX);
	if (t == NULL)
		return -1;
	t->request = r;
	if ((t->easy = curl_easy_init()) == NULL || set_headers(s, t, r) != 0 || set_options(s, t, r) != 0 ||
	    curl_multi_add_handle(s->multi, t->easy) != CURLM_OK) {
		transfer_destroy(s, t);
		r->transfer = NULL;
		return -1;
	}
	if ((t->next = s->first) != NULL)
		t->next->prev = &t->next;
	t->prev = &s->first;
	s->first = t;
	s->running++;
	return 0;
}

/* What the store said, as status, code and one line. */
static void read_answer(struct s3_request *r, const struct s3_transfer *t, CURLcode result)
{
	char message[160] = "", clean[160];
	long status = 0;

	if (result != CURLE_OK || t->too_long) {
		const char *why = t->too_long ? "its answer is too long" : t->error[0] != '\0' ? t->error : curl_easy_strerror(result);

		s3_clean(r->why, sizeof(r->why), why, strlen(why));
		return;
	}
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	if (status / 100 == 2)
		return;
	if (s3_xml_text(r->text.data, r->text.len, "Code", r->code, sizeof(r->code)) < 0)
		r->code[0] = '\0';
	if (s3_xml_text(r->text.data, r->text.len, "Message", message, sizeof(message)) < 0)
		message[0] = '\0';
	s3_clean(clean, sizeof(clean), r->code, strlen(r->code));
	snprintf(r->code, sizeof(r->code), "%.63s", clean);
	s3_clean(clean, sizeof(clean), message, strlen(message));
	snprintf(r->why, sizeof(r->why), "%ld %s%s%s", status, r->code, message[0] != '\0' ? ": " : "", clean);
}

/* True if something ended. */
static bool finish_ended(struct s3 *s)
{
	bool ended = false;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(s->multi, &left)) != NULL) {
		struct s3_transfer *t = NULL;
		struct s3_request *r;

		if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) != CURLE_OK || t == NULL)
			continue;
		ended = true;
		r = t->request;
		read_answer(r, t, m->data.result);
		transfer_destroy(s, t);
		r->transfer = NULL;
		if (r->done != NULL) {
			/* the request is its owner's again, who may free it there, or begin it anew */
			struct buf text = r->text;

			r->done(r);
			buf_finish(&text);
		}
	}
	return ended;
}

bool s3_turn(struct s3 *s, int fd, int ms)
{
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	int n;

	/* who is called back may have more to begin: then nothing is waited for */
	if (curl_multi_perform(s->multi, &n) == CURLM_OK && finish_ended(s))
		ms = 0;
	if (curl_multi_poll(s->multi, &extra, fd >= 0, ms, NULL) == CURLM_OK && curl_multi_perform(s->multi, &n) == CURLM_OK)
		finish_ended(s);
	return fd >= 0 && extra.revents != 0;
}

unsigned s3_running(const struct s3 *s)
{
	return s->running;
}

int s3_perform(struct s3 *s, struct s3_request *r)
{
	void (*done)(struct s3_request *) = r->done;

	r->done = NULL;
	if (s3_start(s, r) == 0)
		while (r->transfer != NULL)
			s3_turn(s, -1, 1000);
	else
		snprintf(r->why, sizeof(r->why), "out of memory");
	r->done = done;
	return r->status != 0 ? 0 : -1;
}

struct s3 *s3_create(const struct s3_target *t)
{
	struct s3 *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->target = *t;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || (s->multi = curl_multi_init()) == NULL) {
		free(s);
		return NULL;
	}
	curl_multi_setopt(s->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)S3_PARALLEL_MAX);
	return s;
}

void s3_destroy(struct s3 *s)
{
	if (s == NULL)
		return;
	while (s->first != NULL) {
		struct s3_request *r = s->first->request;

		buf_finish(&r->text);
		r->transfer = NULL;
		transfer_destroy(s, s->first);
		if (r->dropped != NULL)
			r->dropped(r);
	}
	curl_multi_cleanup(s->multi);
	free(s);
}
