/*
 * test_file_events.c - what the trackers of sftp and scp and the gate say of a file has the members that bastion-record(5) lists for it, each
 * of its rows is said by somebody, and each member of a row comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "relay_bulk.h"
#include "sftp_gate.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define ROWS_MAX 24
#define MEMBERS_MAX 8

enum { OPEN = 3, CLOSE, READ, WRITE, SETSTAT = 9, FSETSTAT, OPENDIR, REMOVE = 13, MKDIR, RMDIR, RENAME = 18, SYMLINK = 20,
	STATUS = 101, HANDLE, DATA, EXTENDED = 200 };

/* ".It a, b Ta this that [now and then]", as the page has it. */
struct row {
	char ops[80];
	unsigned n, needed;			/* members; the first so many always come */
	char members[MEMBERS_MAX][16];
	unsigned seen;				/* a bit a member */
};

static struct row rows[ROWS_MAX];
static size_t nrows;

static void add_row(char *line)
{
	struct row *r = &rows[nrows++];
	char *members = strstr(line, " Ta "), *save = NULL;
	bool sometimes = false;

	assert_true(nrows <= ROWS_MAX);
	assert_non_null(members);
	*members = '\0';
	assert_true(strlen(line) + 4 <= sizeof(r->ops));
	snprintf(r->ops, sizeof(r->ops), ", %.70s,", line);
	for (char *word = strtok_r(members + 4, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		sometimes = sometimes || word[0] == '[';
		word += word[0] == '[';
		assert_true(r->n < MEMBERS_MAX && strcspn(word, "]") < sizeof(r->members[0]));
		sprintf(r->members[r->n++], "%.*s", (int)strcspn(word, "]"), word);
		r->needed += !sometimes;
	}
}

static int read_page(void **state)
{
	FILE *f = fopen("man/bastion-record.5", "r");
	bool inside = false;
	char line[512];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, ".It Sy op Ta ", 13) == 0)
			inside = true;
		else if (inside && strcmp(line, ".El") == 0)
			break;
		else if (inside && strncmp(line, ".It ", 4) == 0)
			add_row(line + 4);
	}
	fclose(f);
	return inside && nrows > 0 ? 0 : -1;
}

/* Are these the members that the row has? */
static bool fits(struct row *r, json_t *said)
{
	unsigned seen = 0, n = 0;

	for (unsigned i = 0; i < r->n; i++)
		if (json_object_get(said, r->members[i]) != NULL) {
			seen |= 1U << i;
			n++;
		} else if (i < r->needed) {
			return false;
		}
	if (n + 1 != json_object_size(said))
		return false;
	r->seen |= seen;
	return true;
}

static void hold_against_page(void *ctx, const char *json)
{
	json_t *said = json_loads(json, 0, NULL);
	char op[32];
	size_t i;

	(void)ctx;
	assert_non_null(said);
	snprintf(op, sizeof(op), ", %s,", json_string_value(json_object_get(said, "op")));
	for (i = 0; i < nrows && (strstr(rows[i].ops, op) == NULL || !fits(&rows[i], said)); i++)
		;
	if (i == nrows)
		fail_msg("bastion-record(5) has no row for %s", json);
	json_decref(said);
}

/* A packet: u8 type, then by fmt: u u32, q u64, s string. */
static void feed(struct sftp_track *t, int type, const char *fmt, ...)
{
	EVP_MD_CTX *rest = bulk_sha();
	struct buf b, packet;
	va_list ap;

	buf_init(&b, 4096);
	buf_init(&packet, 4096);
	buf_put_u8(&b, (uint8_t)type);
	va_start(ap, fmt);
	for (; *fmt != '\0'; fmt++)
		if (*fmt == 'u')
			buf_put_u32(&b, va_arg(ap, unsigned));
		else if (*fmt == 'q')
			buf_put_u64(&b, va_arg(ap, unsigned));
		else
			buf_put_cstring(&b, va_arg(ap, const char *));
	va_end(ap);
	buf_put_string(&packet, b.data, b.len);
	assert_true(buf_ok(&b) && buf_ok(&packet));
	sftp_track_feed(t, type < STATUS || type == EXTENDED, packet.data, packet.len, rest);
	buf_finish(&b);
	buf_finish(&packet);
	EVP_MD_CTX_free(rest);
}

static void opens(struct sftp_track *t, const char *handle)
{
	feed(t, OPEN, "usuu", 1, "file", 3, 0);
	feed(t, HANDLE, "us", 1, handle);
}

static void closes(struct sftp_track *t, const char *handle)
{
	feed(t, CLOSE, "us", 2, handle);
	feed(t, STATUS, "uu", 2, 0);
}

static void reads(struct sftp_track *t, const char *handle, unsigned offset)
{
	feed(t, READ, "usqu", 3, handle, offset, 1);
	feed(t, DATA, "us", 3, "x");
}

static void sftp_names(struct sftp_track *t)
{
	static const int by_path[] = { OPENDIR, REMOVE, RMDIR };

	feed(t, OPEN, "usuu", 1, "none", 1, 0);
	feed(t, STATUS, "uu", 1, 2);
	for (unsigned i = 0; i < 3; i++) {
		feed(t, by_path[i], "us", 10 + i, "a");
		feed(t, STATUS, "uu", 10 + i, 0);
	}
	feed(t, MKDIR, "usu", 20, "d", 0);
	feed(t, SETSTAT, "usu", 21, "a", 0);
	feed(t, RENAME, "uss", 22, "a", "b");
	feed(t, SYMLINK, "uss", 23, "a", "b");
	feed(t, EXTENDED, "usss", 24, "hardlink@openssh.com", "a", "b");
	opens(t, "h");
	feed(t, FSETSTAT, "usu", 25, "h", 0);
	feed(t, FSETSTAT, "usu", 26, "nobody's", 0);
	feed(t, EXTENDED, "ussqqsq", 27, "copy-data", "h", 0, 0, "h", 0);
	feed(t, EXTENDED, "ussqqsq", 28, "copy-data", "h", 0, 0, "nobody's", 0);
	feed(t, EXTENDED, "usss", 29, "copy-file", "a", "b");
	closes(t, "h");
}

static void over_sftp(void **state)
{
	struct sftp_track *t = sftp_track_create(hold_against_page, NULL);

	(void)state;
	assert_non_null(t);
	sftp_names(t);
	/* in order, from the middle on; then one that jumps, and one of which more may have passed */
	opens(t, "p");
	feed(t, WRITE, "usqs", 4, "p", 5, "abc");
	feed(t, STATUS, "uu", 4, 0);
	sftp_track_progress(t, true);
	closes(t, "p");
	opens(t, "g");
	reads(t, "g", 0);
	reads(t, "g", 100);
	closes(t, "g");
	opens(t, "q");
	reads(t, "q", 0);
	feed(t, READ, "usqu", 5, "q", 1, 1);
	closes(t, "q");
	/* no answer came; and a request that version 3 does not have */
	feed(t, OPEN, "usuu", 6, "late", 1, 0);
	feed(t, 99, "u", 7);
	sftp_track_end(t);
	sftp_track_destroy(t);
}

static void over_scp(void **state)
{
	static const char whole[] = "C0644 3 a\nabc\0C0644 9 b\nabc", wrong[] = "what?\n", file[] = "C0644 1 c\n", no[] = "\0\1scp: c: no\n";
	struct scp_track *t = scp_track_create(true, hold_against_page, NULL), *u = scp_track_create(false, hold_against_page, NULL);

	(void)state;
	assert_true(t != NULL && u != NULL);
	scp_track_feed(t, true, BYTES(whole));
	scp_track_end(t);
	scp_track_feed(u, false, BYTES(file));
	scp_track_feed(u, true, BYTES(no));
	scp_track_feed(u, false, BYTES(wrong));
	scp_track_destroy(t);
	scp_track_destroy(u);
}

static bool pass(void *ctx, bool input, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)input;
	(void)data;
	(void)len;
	return true;
}

static void refused(void *ctx, uint32_t id, const char *json)
{
	(void)id;
	hold_against_page(ctx, json);
}

static void by_the_gate(void **state)
{
	static const char remove_it[] = "\0\0\0\12\15\0\0\0\1\0\0\0\1a", nameless[] = "\0\0\0\5\143\0\0\0\2";
	struct sftp_gate *g = sftp_gate_create(CHAN_READS, pass, refused, NULL);

	(void)state;
	assert_non_null(g);
	assert_true(sftp_gate_feed(g, true, BYTES(remove_it)));
	assert_true(sftp_gate_feed(g, true, BYTES(nameless)));
	assert_int_equal(sftp_gate_refused(g), 2);
	sftp_gate_destroy(g);
}

/* What is no UTF-8 is hex, and nothing else looks like that. */
static void one_name_for_each(void **state)
{
	static const struct { const char *bytes, *name; } cases[] = { { "a\303\251", "a\303\251" }, { "\377", "hex:ff" },
		{ "hex:ff", "hex:6865783a6666" }, { "hex:", "hex:6865783a" }, { "hex", "hex" }, { "HEX:ff", "HEX:ff" }, { "", "" } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *name = bulk_text(cases[i].bytes, strlen(cases[i].bytes));

		assert_string_equal(json_string_value(name), cases[i].name);
		json_decref(name);
	}
}

/* The last test: after all that was said. Rows that share their members are said by one of their ops at least. */
static void the_page_has_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < nrows; i++)
		for (unsigned k = 0; k < rows[i].n; k++)
			if ((rows[i].seen & 1U << k) == 0)
				fail_msg("nobody says '%s' of %s", rows[i].members[k], rows[i].ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(over_sftp), cmocka_unit_test(over_scp), cmocka_unit_test(by_the_gate), cmocka_unit_test(one_name_for_each),
		cmocka_unit_test(the_page_has_nothing_else) };

	return cmocka_run_group_tests(tests, read_page, NULL);
}
