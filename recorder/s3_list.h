/*
 * s3_list.h - a page of the list of a bucket's versions (GET ?versions), and the words of a query.
 *
 * Used by the auditor's tools. Pure. The bytes come from the network: a name that does not fit is none, and what is believed
 * of an object is what its bytes prove.
 */
#ifndef BASTION_S3_LIST_H
#define BASTION_S3_LIST_H

#include <stdbool.h>

#include "s3.h"

#define S3_TAG_LEN 16
#define S3_PAGE_VERSIONS "500"	/* asked for at once: such a page fits S3_TEXT_MAX */

struct s3_version {
	char key[S3_KEY_MAX];	/* "": it is longer, or has bytes that no name of ours has */
	char version[S3_VERSION_MAX + 1];	/* 0x21 to 0x7e only */
	uint64_t size;
	int64_t when;		/* unix microseconds, as finely as the store tells */
	bool marker;		/* of a deletion; it has no bytes */
	bool tagged;		/* the store gave it an entity tag like an MD5, which it is but where the store encrypts */
	uint8_t tag[S3_TAG_LEN];
};

struct s3_page {
	bool more;		/* another page follows: behind these two */
	char key[S3_KEY_MAX], version[S3_VERSION_MAX + 1];
};

/* Takes a version; not 0 ends the page. */
typedef int s3_version_fn(void *ctx, const struct s3_version *v);
/* Each version of the page in its order: by key, and of one key the newest first. 0; -1: it is no page, or fn said so. */
int s3_page_parse(struct s3_page *page, const void *xml, size_t len, s3_version_fn *fn, void *ctx);

/* "name=value" behind what is in query[size], value encoded as the signature wants it. 0, or -1: no room. Call in the order of the names. */
int s3_query_add(char *query, size_t size, const char *name, const char *value);

#endif
