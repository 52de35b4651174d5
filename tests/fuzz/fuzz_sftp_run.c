/*
 * fuzz_sftp_run.c - one direction of an SFTP channel, chosen by the first byte; pieces of the length that their first byte says. What
 * is recorded and what is covered are together the stream, and no more is covered than was announced.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sftp_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *out;
static size_t len;
static uint64_t passed, allowed, seq;

static void must(bool ok)
{
	if (!ok)
		__builtin_trap();
}

static bool content(void *ctx, bool input, const uint8_t *data, size_t n)
{
	(void)ctx;
	(void)input;
	must(allowed == 0);
	memcpy(out + len, data, n);
	len += n;
	return true;
}

static bool covered(void *ctx, bool input, const uint8_t *data, size_t n, uint64_t word)
{
	uint8_t next[512];

	(void)ctx;
	(void)input;
	must(word <= seq && passed++ < allowed && len >= n && sftp_run_next(out + len - n, n, next) && memcmp(next, data, n) == 0);
	memcpy(out + len, data, n);
	len += n;
	return true;
}

static uint64_t announce(void *ctx, bool input, uint64_t n, uint32_t more)
{
	(void)ctx;
	(void)input;
	if (allowed == 0)
		passed = 0;
	must(n == passed);
	allowed = more == 0 ? 0 : n + more;
	return ++seq;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sftp_run_ops ops = { content, covered, announce };
	struct sftp_run *r = size > 0 ? sftp_run_create((data[0] & 1) != 0, &ops, NULL) : NULL;
	uint8_t *in = malloc(size + 1);
	size_t total = 0;

	out = malloc(size + 1);
	len = 0;
	passed = allowed = seq = 0;
	if (r != NULL && in != NULL && out != NULL) {
		for (data++, size--; size > 1;) {
			size_t n = data[0] < size - 1 ? data[0] : size - 1;

			memcpy(in + total, data + 1, n);
			total += n;
			must(sftp_run_feed(r, data + 1, n));
			data += n + 1;
			size -= n + 1;
		}
		must(sftp_run_end(r) && allowed == 0 && len == total && memcmp(in, out, len) == 0);
	}
	sftp_run_destroy(r);
	free(in);
	free(out);
	return 0;
}
