/*
 * fuzz_sftp_track.c - both directions of an SFTP channel, cut by the first byte of each piece: direction and length.
 */
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#include "relay_bulk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(void *ctx, const char *json)
{
	(void)ctx;
	/* what is reported is text: nothing in it may end it early */
	if (json[0] != '{' || json[strlen(json) - 1] != '}')
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sftp_track *t = sftp_track_create(report, NULL);
	EVP_MD_CTX *rest = bulk_sha();

	while (t != NULL && rest != NULL && size > 1) {
		size_t n = data[0] & 0x7f;

		if (n > size - 1)
			n = size - 1;
		/* no byte is counted that was not there */
		if (sftp_track_feed(t, (data[0] & 0x80) != 0, data + 1, n, rest) > n)
			__builtin_trap();
		if (n % 16 == 0)
			sftp_track_progress(t, (data[0] & 0x80) != 0);
		data += n + 1;
		size -= n + 1;
	}
	if (t != NULL)
		sftp_track_end(t);
	sftp_track_destroy(t);
	EVP_MD_CTX_free(rest);
	return 0;
}
