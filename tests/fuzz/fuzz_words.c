/*
 * fuzz_words.c - any line as a command: no crash, and what comes out is a request in ASCII-safe JSON or a clean message.
 *
 * The first byte chooses who and where; the rest is the line, and the contents of every file that it names.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char input[1 << 16];

static int read_file(const char *path, char *out, size_t size)
{
	(void)path;
	snprintf(out, size, "%s", input + 1);
	return 0;
}

static void check_clean(const char *text)
{
	for (; *text != '\0'; text++)
		if (((unsigned char)*text < 0x20 && *text != '\n') || *text == 0x7f)
			abort();
}

static void one(void)
{
	struct words_env env = { .who = (enum words_who)(input[0] & 3), .ctl = (input[0] & 4) != 0,
	    .console = (input[0] & 8) != 0, .read_file = (input[0] & 16) != 0 ? read_file : NULL };
	struct words_call call;
	char err[WORDS_ERR_MAX];
	json_t *request;
	int r = words_parse_line(input + 1, &env, &call, err, sizeof(err));

	check_clean(err);
	if (r != WORDS_OK && (call.json != NULL || call.text != NULL || err[0] == '\0'))
		abort();
	if (r == WORDS_OK && call.json != NULL) {
		if ((request = json_loads(call.json, JSON_REJECT_DUPLICATES, NULL)) == NULL ||
		    strcmp(json_string_value(json_object_get(request, "word")), call.word->path) != 0)
			abort();
		json_decref(request);
	}
	words_call_finish(&call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size >= sizeof(input))
		return 0;
	memcpy(input, data, size);
	input[size] = '\0';
	one();
	return 0;
}
