/*
 * ctl_verify.c - `bastionctl events verify`: the whole chain in the database, and with --against the database beside what the
 * collectors have.
 *
 * The chain shows a row that was changed; it does not show one that was changed with every hash after it. The recording of the
 * events does: `bastion-replay events --json` prints number and hash of each, and here they are held against the database, one by
 * one, so that the first that differs is named.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define LINE_BYTES 65536

/* Rows of the database, in the order of their numbers. */
struct page {
	json_t *reply, *rows;	/* rows: borrowed from it */
	size_t next;		/* row to look at */
};

/* `events` with these arguments, behind this number (0: none); its reply parsed, NULL after a line. */
static json_t *ask(struct ctl *c, const char *what, json_int_t after, int *r)
{
	char request[160], behind[48] = "";

	if (after > 0)
		snprintf(behind, sizeof(behind), ",\"after\":%lld", (long long)after);
	snprintf(request, sizeof(request), "{\"word\":\"events\",\"args\":{%s%s}}", what, behind);
	return ctl_get(c, request, r);
}

/* The chain, in as many calls as it takes. */
static int verify_chain(struct ctl *c)
{
	json_int_t after = 0, rows = 0;
	json_t *json;
	bool more = true;
	int r;

	while (more) {
		if ((json = ask(c, "\"verify\":true", after, &r)) == NULL)
			return r;
		more = json_is_true(json_object_get(json, "more")) &&
		    json_integer_value(json_object_get(json, "number")) > after;
		after = json_integer_value(json_object_get(json, "number"));
		rows += json_integer_value(json_object_get(json, "events"));
		if (!more)
			printf("All %lld events fit the chain. Head: %lld %s\n", (long long)rows, (long long)after,
			    json_string_value(json_object_get(json, "hash")));
		json_decref(json);
	}
	return WORDS_OK;
}

static json_int_t id_of(const struct page *p, size_t i)
{
	return json_integer_value(json_object_get(json_array_get(p->rows, i), "id"));
}

/* The hash of the database's row with this number, from 2 on; NULL: there is none, or *r says why not. */
static const char *hash_of(struct ctl *c, struct page *p, json_int_t number, int *r)
{
	if (p->reply == NULL || id_of(p, json_array_size(p->rows) - 1) < number) {
		json_decref(p->reply);
		p->next = 0;
		p->reply = ask(c, "\"limit\":1000", number - 1, r);
		p->rows = json_object_get(p->reply, "rows");
		if (p->reply == NULL && *r == WORDS_OK)
			*r = WORDS_BROKEN;
	}
	for (; p->next < json_array_size(p->rows); p->next++)
		if (id_of(p, p->next) >= number)
			return id_of(p, p->next) == number ?
			    json_string_value(json_object_get(json_array_get(p->rows, p->next), "hash")) : NULL;
	return NULL;
}

/*
 * One line of the file. 1: the database has it so; 0: not; -1: it was pruned, or is the first, on which all others rest.
 */
static int compare_line(struct ctl *c, struct page *p, const char *line, bool begun, json_int_t *number, int *r)
{
	json_t *e = json_loads(line, 0, NULL);
	const char *hash = json_string_value(json_object_get(e, "hash")), *here;
	int found = 0;

	*number = json_integer_value(json_object_get(e, "number"));
	if (hash == NULL || *number <= 0) {
		*r = WORDS_USAGE;
	} else if (*number == 1) {
		found = -1;
	} else {
		here = hash_of(c, p, *number, r);
		found = here != NULL ? strcmp(here, hash) == 0 : begun ? 0 : -1;
	}
	json_decref(e);
	return found;
}

static int compare(struct ctl *c, FILE *f, const char *path)
{
	struct page p = { .rows = NULL };
	char *line = malloc(LINE_BYTES);
	json_int_t seen = 0, number = 0;
	unsigned at = 0;
	int r = line != NULL ? WORDS_OK : ctl_fail("no memory"), found = 1;

	while (r == WORDS_OK && found != 0 && fgets(line, LINE_BYTES, f) != NULL) {
		at++;
		found = compare_line(c, &p, line, seen > 0, &number, &r);
		seen += found == 1;
	}
	if (r == WORDS_USAGE) {
		ctl_fail("%s:%u: no line of 'bastion-replay events --json'", path, at);
	} else if (r == WORDS_OK && found == 0) {
		ctl_fail("event %lld is not in the database as the collectors have it: it is the first that was changed or taken away",
		    (long long)number);
		r = WORDS_REFUSED;
	} else if (r == WORDS_OK && seen == 0) {
		ctl_fail("%s: none of its events is in the database", path);
		r = WORDS_REFUSED;
	} else if (r == WORDS_OK) {
		printf("%lld events are in the database as in %s, up to number %lld.\n", (long long)seen, path, (long long)number);
	}
	json_decref(p.reply);
	free(line);
	return r;
}

int ctl_verify(struct ctl *c, const char *against)
{
	FILE *f = NULL;
	int r;

	if (against != NULL && (f = fopen(against, "re")) == NULL)
		return ctl_fail("%s: %s", against, strerror(errno));
	r = verify_chain(c);
	if (r == WORDS_OK && f != NULL)
		r = compare(c, f, against);
	if (f != NULL)
		fclose(f);
	return ctl_flush() == WORDS_OK ? r : WORDS_BROKEN;
}
