/*
 * test_s3_requests.c - requests on their way: what a small server on loopback answers, and who owns a request when it is done.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "s3.h"

#define DENIED "<Error><Code>PreconditionFailed</Code><Message>it is there</Message></Error>"

/* The answers of the server, one a connection, in turn; NULL: it hangs up; so it does at the next request behind one that keeps the connection. */
static struct server {
	const char *const *answers;
	unsigned n;
	int fd;
	uint16_t port;
	pthread_t thread;
} server;

static char request[8192];	/* the last one */

/* Reads a request with a body of at most a few bytes: libcurl sends both, or head first and the body behind it. */
static void read_request(int fd)
{
	size_t have = 0;
	ssize_t n;

	request[0] = '\0';
	while (have < sizeof(request) - 1 && strstr(request, "\r\n\r\nbody") == NULL &&
	    (n = read(fd, request + have, sizeof(request) - 1 - have)) > 0) {
		have += (size_t)n;
		request[have] = '\0';
	}
}

static void *serve(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < server.n; i++) {
		int fd = accept(server.fd, NULL, NULL);
		const char *text = server.answers[i];

		if (fd < 0)
			return NULL;
		read_request(fd);
		for (size_t at = 0, len = text != NULL ? strlen(text) : 0; at < len;) {
			ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		if (text != NULL && strstr(text, "Connection: close") == NULL)
			read_request(fd);
		close(fd);
	}
	return NULL;
}

static void answers(const char *const *texts, unsigned n)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);

	server = (struct server){ .answers = texts, .n = n, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_true(server.fd >= 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(server.fd, 8), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&sa, &len), 0);
	server.port = ntohs(sa.sin_port);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void served(void)
{
	pthread_join(server.thread, NULL);
	close(server.fd);
}

static struct s3 *client(void)
{
	static const struct s3_credentials credentials = { .access = "access", .secret = "secret" };
	static char endpoint[64];

	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", server.port);
	return s3_create(&(struct s3_target){ .endpoint = endpoint, .bucket = "bucket", .region = "here", .credentials = &credentials });
}

static unsigned ended;
static struct s3 *client_of;
static int last_status;
static unsigned last_sent;
static char last_text[256], last_why[256];

static void note(const struct s3_request *r)
{
	ended++;
	last_status = r->status;
	last_sent = r->sent;
	snprintf(last_text, sizeof(last_text), "%.*s", (int)r->text.len, r->text.len > 0 ? (const char *)r->text.data : "");
	snprintf(last_why, sizeof(last_why), "%s", r->why);
}

static void *(*const volatile poison)(void *p, int c, size_t n) = memset; /* what a compiler does not leave out */

/* As the archiver does: the request is part of what ends with it. Nothing of it is good after that. */
static void done_frees(struct s3_request *r)
{
	note(r);
	poison(r, 0xa5, sizeof(*r));
	free(r);
}

/* As the archiver does where an object is there already. */
static void done_again(struct s3_request *r)
{
	note(r);
	if (ended == 1)
		assert_int_equal(s3_start(client_of, r), 0);
	else
		free(r);
}

static struct s3_request *put(void (*done)(struct s3_request *r))
{
	struct s3_request *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	*r = (struct s3_request){ .method = "PUT", .key = "a/key", .body = "body", .len = 4, .done = done };
	ended = 0;
	return r;
}

/* One object is put, until each of the answers was one. */
static void run(const char *const *texts, unsigned n, void (*done)(struct s3_request *r))
{
	answers(texts, n);
	client_of = client();
	assert_int_equal(s3_start(client_of, put(done)), 0);
	while (ended < n)
		s3_turn(client_of, -1, 1000);
	assert_int_equal(s3_running(client_of), 0);
	s3_destroy(client_of);
	served();
}

static void freed_when_done(void **state)
{
	static const char *const texts[] = { "HTTP/1.1 412 Precondition Failed\r\nConnection: close\r\nContent-Length: 76\r\n\r\n" DENIED };

	(void)state;
	assert_int_equal(strlen(DENIED), 76);
	run(texts, 1, done_frees);
	assert_int_equal(last_status, 412);
	assert_string_equal(last_text, DENIED);
	assert_string_equal(last_why, "412 PreconditionFailed: it is there");
}

/* An object is put whole, with the digests by which the store checks it: AWS refuses a locked one that has none, radosgw asks for none. */
static void put_with_its_digests(void **state)
{
	static const char *const texts[] = { "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" };
	static const char *const lines[] = {
		"PUT /bucket/a/key HTTP/1.1\r\n",
		"\r\nx-amz-content-sha256: 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5\r\n",
		"\r\nx-amz-checksum-sha256: Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=\r\n",
		"\r\nContent-MD5: hBotaJrYa9FhFEdFPCLG/A==\r\n",
		"\r\nContent-Length: 4\r\n",
	};

	(void)state;
	run(texts, 1, done_frees);
	assert_int_equal(last_status, 200);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (strstr(request, lines[i]) == NULL)
			fail_msg("no %s in %s", lines[i], request);
}

static void begun_anew_when_done(void **state)
{
	static const char *const texts[] = { "HTTP/1.1 412 Precondition Failed\r\nConnection: close\r\nContent-Length: 76\r\n\r\n" DENIED,
		"HTTP/1.1 200 OK\r\nConnection: close\r\nx-amz-version-id: v2\r\nContent-Length: 6\r\n\r\nsecond" };

	(void)state;
	run(texts, 2, done_again);
	assert_int_equal(last_status, 200);
	assert_string_equal(last_text, "second");
	assert_string_equal(last_why, "");
}

static void no_answer(void **state)
{
	static const char *const texts[] = { NULL };

	(void)state;
	run(texts, 1, done_frees);
	assert_int_equal(last_status, 0);
	assert_string_equal(last_text, "");
	assert_true(last_why[0] != '\0');
}

/* A request on a kept connection that ends without an answer is sent once more, by libcurl: its owner is told, as the first may have been done. */
static void sent_once_more(void **state)
{
	static const char *const texts[] = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 412 Precondition Failed\r\nConnection: close\r\nContent-Length: 76\r\n\r\n" DENIED };

	(void)state;
	answers(texts, 2);
	client_of = client();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(s3_start(client_of, put(done_frees)), 0);
		while (ended == 0)
			s3_turn(client_of, -1, 1000);
		assert_int_equal(last_status, i == 0 ? 200 : 412);
		assert_int_equal(last_sent, i + 1);
	}
	s3_destroy(client_of);
	served();
}

/* Of an answer without end S3_TEXT_MAX is kept, and the request fails. */
static void too_long(void **state)
{
	static const char head[] = "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n";
	const char *texts[1];
	char *text = malloc(sizeof(head) + S3_TEXT_MAX + 1);

	(void)state;
	assert_non_null(text);
	memcpy(text, head, sizeof(head) - 1);
	memset(text + sizeof(head) - 1, 'x', S3_TEXT_MAX + 1);
	text[sizeof(head) - 1 + S3_TEXT_MAX + 1] = '\0';
	texts[0] = text;
	run(texts, 1, done_frees);
	assert_int_equal(last_status, 0);
	assert_string_equal(last_why, "its answer is too long");
	free(text);
}

static void drop(struct s3_request *r)
{
	assert_null(r->transfer);
	ended = 100;
	poison(r, 0xa5, sizeof(*r));
	free(r);
}

/* What is on its way when the client goes is its owner's: dropped, not done. */
static void destroyed_on_the_way(void **state)
{
	static const char *const texts[] = { NULL };
	struct s3_request *r = put(done_frees);

	(void)state;
	answers(texts, 1);
	client_of = client();
	r->dropped = drop;
	assert_int_equal(s3_start(client_of, r), 0);
	s3_destroy(client_of);
	assert_int_equal(ended, 100);
	shutdown(server.fd, SHUT_RDWR); /* it may not have been called at all */
	served();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freed_when_done),
		cmocka_unit_test(put_with_its_digests),
		cmocka_unit_test(begun_anew_when_done),
		cmocka_unit_test(no_answer),
		cmocka_unit_test(sent_once_more),
		cmocka_unit_test(too_long),
		cmocka_unit_test(destroyed_on_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
