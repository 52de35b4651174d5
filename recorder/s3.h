/*
 * s3.h - requests to an object store that speaks S3, by libcurl: signed with AWS Signature Version 4, over TLS that is verified.
 *
 * Runs in the collector's archiver (puts) and in the auditor's tools (gets). One struct s3 holds the connections to one bucket;
 * several requests may be on their way at once. Objects are put whole, in one request, each with the SHA-256 that the
 * signature covers, with x-amz-checksum-sha256 and with Content-MD5, which a bucket with Object Lock wants.
 * Paths are ENDPOINT/BUCKET/KEY.
 */
#ifndef BASTION_S3_H
#define BASTION_S3_H

#include <stdbool.h>

#include "buf.h"
#include "s3_answer.h"

#define S3_KEY_MAX 320			/* bytes of an object's key */
#define S3_QUERY_MAX 512
#define S3_HEADERS_MAX 8		/* of a caller's own */
#define S3_TEXT_MAX (1U << 20)		/* of an answer that is kept in memory */
#define S3_OBJECT_MAX ((uint64_t)5 << 30) /* S3's own limit for an object that is put at once */
#define S3_PARALLEL_MAX 64

struct s3_credentials {
	char access[129], secret[129];
	char token[2049];		/* of temporary credentials; "": none */
};

/* Borrowed until s3_destroy. */
struct s3_target {
	const char *endpoint;		/* "https://s3.example.com"; see s3_endpoint_ok */
	const char *bucket, *region;
	const struct s3_credentials *credentials;
	const void *ca;			/* certificates in PEM that the server's must come from; NULL: the system's */
	size_t ca_len;
};

struct s3;

struct s3_request {
	const char *method;		/* "PUT", "GET", "DELETE" */
	char key[S3_KEY_MAX];		/* without a slash in front; "": the bucket itself */
	char query[S3_QUERY_MAX];	/* parameters sorted and encoded, each with its '='; "": none */
	char headers[S3_HEADERS_MAX][160]; /* "name: value" */
	unsigned nheaders;
	const void *body;		/* borrowed until done */
	size_t len;
	int (*sink)(void *ctx, const void *data, size_t len); /* takes the body of a 2xx answer, 0 to go on; NULL: into text */
	void (*done)(struct s3_request *r); /* called from s3_turn; the request is the caller's again, to be freed or begun anew */
	void (*dropped)(struct s3_request *r); /* called from s3_destroy in its place; NULL: the owner knows by itself */
	void *ctx;

	/* the answer */
	int status;			/* of HTTP; 0: there was none, */
	char why[256];			/* and why; or what the store said, in one line of printable ASCII */
	char code[S3_CODE_MAX + 1];	/* the store's word for an error, "AccessDenied"; "": none */
	char version[S3_VERSION_MAX + 1]; /* of the object that was put; "": the store named none */
	unsigned sent;			/* how often: once more, by libcurl itself, where a kept connection ended without an answer */
	struct buf text;		/* of the answer, at most S3_TEXT_MAX; valid in done() */
	struct s3_transfer *transfer;	/* private */
};

/* https, or http to this machine itself; a host and perhaps a port, nothing behind. */
bool s3_endpoint_ok(const char *endpoint);
/* Letters, digits and . _ - / only, no empty part, at most S3_KEY_MAX - 1 bytes: what every store takes as it is. */
bool s3_key_ok(const char *key);
#define S3_LOCK_SPARE_S 3600		/* a policy on the bucket counts whole days that remain when the PUT arrives */
/*
 * "Object Lock until then", and S3_LOCK_SPARE_S more: the two headers of a PUT, and a third for a legal hold. until: unix seconds;
 * 0: the bucket's own rule.
 */
void s3_lock(struct s3_request *r, int64_t until, bool hold);
void s3_header(struct s3_request *r, const char *name, const char *value);

/*
 * Text of a credentials file, as the AWS command line has it: aws_access_key_id, aws_secret_access_key and perhaps
 * aws_session_token, NAME = VALUE, the first of each. 0; -1: *why (static) says what is missing.
 */
int s3_credentials_parse(struct s3_credentials *c, const char *text, size_t len, const char **why);

/* NULL: out of memory. */
struct s3 *s3_create(const struct s3_target *t);
/* Ends what is on its way: dropped() instead of done(). Takes NULL. */
void s3_destroy(struct s3 *s);
/* Begins. done() will be called. 0, or -1: out of memory; then it will not. */
int s3_start(struct s3 *s, struct s3_request *r);
unsigned s3_running(const struct s3 *s);
/*
 * Waits until something happened: on connections, or on `fd` (-1: none), at most `ms`; and lets requests go on. True if fd is
 * readable or has ended.
 */
bool s3_turn(struct s3 *s, int fd, int ms);
/* Begins it and waits for its end: r->done is not called, r->text is the caller's to finish. 0 if the store answered, -1. */
int s3_perform(struct s3 *s, struct s3_request *r);

#endif
