/*
 * fuzz_target_parse.c - what a stranger writes as a user name: what is taken is made of good names alone, and says the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), again[200];
	struct target t;

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	name_is_label(text);
	if (target_parse(text, &t) == 0) {
		must(name_is_user(t.user));
		must((t.login[0] == '\0') == (t.host[0] == '\0'));
		must(t.host[0] == '\0' || (name_is_login(t.login) && name_is_host(t.host)));
		if (t.host[0] == '\0')
			snprintf(again, sizeof(again), "%s", t.user);
		else
			snprintf(again, sizeof(again), "%s@%s@%s", t.user, t.login, t.host);
		must(strcmp(again, text) == 0);
	} else {
		must(t.user[0] == '\0' && t.login[0] == '\0' && t.host[0] == '\0');
	}
	free(text);
	return 0;
}
