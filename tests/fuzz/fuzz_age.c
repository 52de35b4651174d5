/*
 * fuzz_age.c - an auditor's key file: recipient, identity list, or file under a passphrase (with a work factor that the
 * fuzzer can afford), by the first byte.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "age.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void try_line(const char *text)
{
	char out[128];
	struct age_identity id;
	uint8_t pub[AGE_KEY_LEN];

	if (age_recipient_parse(text, pub) == 0) {
		age_recipient_format(out, pub);
		must(strcmp(out, text) == 0);
	}
	if (age_identity_parse(text, &id) == 0) {
		age_identity_format(out, &id);
		must(strcmp(out, text) == 0);
	}
}

/* More than 2^10 would take the fuzzer's time; what is refused above the limit is a unit test. */
static bool affordable(const uint8_t *data, size_t size)
{
	const uint8_t *p = memmem(data, size, "-> scrypt ", 10);
	const uint8_t *digits = p != NULL ? memchr(p + 10, ' ', (size_t)(data + size - p - 10)) : NULL;

	return size == 0 || data[0] != 'a' ? true : digits == NULL || digits + 2 >= data + size || digits[2] == '\n';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct age_identities ids = { 0 };
	char err[200] = "", *text;
	uint8_t out[1024];
	int n;

	if (size < 1 || (text = malloc(size)) == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] % 3 == 0) {
		try_line(text);
	} else if (data[0] % 3 == 1) {
		if (age_identities_parse(&ids, text, size - 1, err, sizeof(err)) != 0)
			must(err[0] != '\0');
		must(ids.n <= AGE_KEYS_MAX);
	} else if (text[0] == 'a' ? affordable(data + 1, size - 1) : size < 100) {
		n = age_decrypt_scrypt(out, sizeof(out), (const uint8_t *)text, size - 1, "passphrase", err, sizeof(err));
		must(n <= (int)sizeof(out) && (n >= 0 || err[0] != '\0'));
	}
	age_identities_finish(&ids);
	free(text);
	return 0;
}
