/*
 * fuzz_s3_list.c - a page of the list of a bucket's versions: every version that comes out is one, within its bounds, and the page's order
 * is the input's.
 */
#include <stdlib.h>
#include <string.h>

#include "s3_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *ctx, const struct s3_version *v)
{
	char query[S3_QUERY_MAX] = "";
	unsigned *left = ctx;

	if (strlen(v->key) >= S3_KEY_MAX || v->version[0] == '\0' || strlen(v->version) > S3_VERSION_MAX || (v->marker && v->size != 0))
		abort();
	if (s3_query_add(query, sizeof(query), "versionId", v->version) == 0 && strlen(query) < strlen("versionId=") + strlen(v->version))
		abort();
	return (*left)-- == 0 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned left = 10000;
	struct s3_page page;
	char *copy = malloc(size + 1);

	/* exactly so long: what reads over its end is found */
	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	copy = realloc(copy, size != 0 ? size : 1);
	if (copy != NULL && s3_page_parse(&page, copy, size, take, &left) == 0 && page.more && page.key[0] == '\0')
		abort();
	free(copy);
	return 0;
}
