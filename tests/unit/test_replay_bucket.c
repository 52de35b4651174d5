/*
 * test_replay_bucket.c - a store in a bucket: which names are a store's, what a page of versions says, what the copy's file `pulled` says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "replay_pull.h"
#include "tlog_tile.h"

#define DIR_A "recordings/2026-11-28/0123456789abcdef0123456789abcdef/"
#define DIR_B "recordings/2026-11-28/1123456789abcdef0123456789abcdef/"
#define HASH "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void test_names(void **state)
{
	static const char *const good[] = { "recordings/2026-11-28/0123456789abcdef0123456789abcdef/00000000.brec",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef/receipts.00000000", "log/checkpoint.12", "log/checkpoint.12.tsr",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef/conflict-00000000000000000012-0123456789abcdef", "log/checkpoint.12.cosigned",
		"log/tile/0/x001/234.p/5", "log/tile/entries/000", "log/tile/3/x001/x234/067", "log/tile/entries/999.p/255" };
	static const char *const bad[] = { "", "log", "log/", "log/checkpoint", "log/checkpoint.1/2", "log/../../x", "log/tile/../../x", "/log/tile/0/000",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef", "recordings/2026-11-28/0123456789abcdef0123456789abcdef/",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef/a/b", "recordings/2026-11-28/0123456789abcdef0123456789abcdef/..",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdeg/00000000.brec", "recordings/2026x11-28/0123456789abcdef0123456789abcdef/x",
		/* what is no name of the archiver's: its bytes could stand in the way of another object's */
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef/00000000.brec.part-0", "recordings/2026-11-28/0123456789abcdef0123456789abcdef/receipts",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef/00000000.brec.other-1", "recordings/2026-11-28/0123456789abcdef0123456789abcdef/hold",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef/000000000.brec", "recordings/2026-11-28/0123456789abcdef0123456789abcdef/receipts.000000000",
		"recordings/2026-11-28/0123456789abcdef0123456789abcdef/conflict-1-0123456789abcdef",
		"recordings/2026-11-28/0123456789ABCDEF0123456789abcdef/00000000.brec", "log/checkpoint.1.part-0", "log/checkpoint.1.tsr.part-0", "log/checkpoint.",
		"log/checkpoint.x", "log/tile/0/000.part-0", "log/tile/0/000.p/5.part-0", "log/tile/0/000.p/", "log/tile/0/000.p/5/6", "log/tile/x001/000",
		"log/tile/entries", "log/tile/0/00", "log/tile/0/x01/000", "log/tile/0/000.p/1234", "log/archive",
		"canary/2026-11-28-1", "journal/a", "log/tile/0/000 x", "recordings/x" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(bucket_name_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (bucket_name_ok(bad[i]))
			fail_msg("%s", bad[i]);
	assert_true(bucket_is_url("https://s3.example.com/b") && bucket_is_url("http://127.0.0.1/b"));
	assert_false(bucket_is_url("/var/lib/x") || bucket_is_url("https:") || bucket_is_url(""));
}

#define HEAD "<?xml version=\"1.0\"?><ListVersionsResult xmlns=\"x\"><Name>b</Name>"
#define VERSION(key, id, size) "<Version><Key>" key "</Key><VersionId>" id "</VersionId><LastModified>2026-11-28T08:00:00.123Z</LastModified>" \
	"<Size>" size "</Size></Version>"
#define TAGGED(tag) "<Version><Key>a</Key><VersionId>1</VersionId><LastModified>2026-11-28T08:00:00Z</LastModified><ETag>" tag "</ETag><Size>5</Size></Version>"
#define MARKER(key, id) "<DeleteMarker><Key>" key "</Key><VersionId>" id "</VersionId><LastModified>2026-11-28T09:00:00Z</LastModified></DeleteMarker>"

static struct s3_version seen[8];
static size_t nseen;

static int take(void *ctx, const struct s3_version *v)
{
	(void)ctx;
	assert_true(nseen < 8);
	seen[nseen++] = *v;
	return 0;
}

static int parse(struct s3_page *page, const char *xml)
{
	nseen = 0;
	return s3_page_parse(page, xml, strlen(xml), take, NULL);
}

static void test_page(void **state)
{
	struct s3_page page;
	char query[64] = "";

	(void)state;
	assert_int_equal(parse(&page, HEAD "<IsTruncated>true</IsTruncated><NextKeyMarker>b</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker>"
	    VERSION("a", "2", "6") VERSION("a", "1", "5") MARKER("b", "m") VERSION("b", "1", "0") "</ListVersionsResult>"), 0);
	assert_true(page.more);
	assert_string_equal(page.key, "b");
	assert_string_equal(page.version, "1");
	assert_int_equal(nseen, 4);
	assert_string_equal(seen[0].version, "2");
	assert_string_equal(seen[1].version, "1");
	assert_int_equal(seen[1].size, 5);
	assert_int_equal(seen[1].when, 1795852800123000);
	assert_true(seen[2].marker && !seen[3].marker);
	/* a marker at the end, and only markers */
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "1", "5") MARKER("a", "m") "</ListVersionsResult>"), 0);
	assert_true(nseen == 2 && !page.more && seen[1].marker);
	/* a key that is none of ours is told as such; what else is odd is no page */
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a<b/>", "1", "5")), 0);
	assert_true(nseen == 1 && seen[0].key[0] == '\0');
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "", "5")), -1);
	/* one that would move a terminal's cursor, or break a line of the copy's list */
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "\xc2\x9b" "31m", "5")), -1);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "\x9b", "5")), -1);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "\x7f", "5")), -1);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "1 2", "5")), -1);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" MARKER("a", "\xc2\x9d")), -1);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "!~", "5")), 0);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "1", "-5")), -1);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" VERSION("a", "1", "99999999999999999999")), -1);
	assert_int_equal(parse(&page, HEAD "<IsTruncated>true</IsTruncated>" VERSION("a", "1", "5")), -1);
	/* a tag of another form is none */
	assert_int_equal(parse(&page, HEAD "<IsTruncated>false</IsTruncated>" TAGGED("&quot;000102030405060708090a0b0c0d0e0f&quot;")
	    TAGGED("&quot;000102030405060708090a0b0c0d0e0f-2&quot;") TAGGED("&quot;000102030405060708090a0b0c0d0e0g&quot;")
	    TAGGED("x000102030405060708090a0b0c0d0e0fx") TAGGED("") VERSION("a", "1", "5")), 0);
	assert_true(nseen == 6 && seen[0].tagged && seen[0].tag[15] == 15);
	for (size_t i = 1; i < nseen; i++)
		assert_false(seen[i].tagged);
	assert_int_equal(parse(&page, HEAD VERSION("a", "1", "5")), -1);
	assert_int_equal(parse(&page, "<html>no"), -1);
	assert_int_equal(parse(&page, ""), -1);

	assert_int_equal(s3_query_add(query, sizeof(query), "prefix", "a/b c~"), 0);
	assert_int_equal(s3_query_add(query, sizeof(query), "versions", ""), 0);
	assert_string_equal(query, "prefix=a%2Fb%20c~&versions=");
	assert_int_equal(s3_query_add(query, 32, "x", "//////////"), -1);
}

static void test_mirror(void **state)
{
	static const char *const bad[] = { "", "x", DIR_A "00000000.brec v1 5 " HASH " 1", DIR_A "00000000.brec v1 5 " HASH " 1 sam",
		DIR_A "00000000.brec v1 5 " HASH " 1 same x", DIR_A "00000000.brec v1 -5 " HASH " 1 same", "../x v1 5 " HASH " 1 same",
		DIR_A "00000000.brec v1 5 00 1 same" };
	char dir[] = "/tmp/test_replay_bucket.XXXXXX", path[128], line[MIRROR_LINE_MAX];
	const struct days all = days_of(0, INT64_MAX), before = days_of(0, 1795824000);
	struct mirrored one;
	struct mirror m;
	FILE *f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mirror_parse(&one, bad[i], strlen(bad[i])), -1);
	assert_int_equal(mirror_parse(&one, DIR_A "00000000.brec v1 5 " HASH " 3 differs", strlen(DIR_A "00000000.brec v1 5 " HASH " 3 differs")), 0);
	assert_true(one.size == 5 && one.versions == 3 && one.differs && !one.others && one.hash[31] == 0x1f);
	assert_int_equal(mirror_format(line, sizeof(line), &one), 0);
	assert_string_equal(line, DIR_A "00000000.brec v1 5 " HASH " 3 differs");

	assert_int_equal(mirror_parse(&one, DIR_A "00000000.brec v1 5 " HASH " 3 others", strlen(DIR_A "00000000.brec v1 5 " HASH " 3 others")), 0);
	assert_true(one.others && !one.differs);

	assert_non_null(mkdtemp(dir));
	assert_int_equal(mirror_load(&m, dir, &all), 0);
	assert_int_equal(m.n, 0);
	assert_null(mirror_find(&m, "log/checkpoint.1"));
	assert_null(mirror_differs(&m, "log/"));
	mirror_finish(&m);
	snprintf(path, sizeof(path), "%s/" MIRROR_FILE, dir);
	assert_non_null(f = fopen(path, "w"));
	/* the last line of a name counts; a line without an end says nothing */
	fputs(DIR_B "00000000.brec v1 5 " HASH " 1 same\n" DIR_A "00000001.brec v1 5 " HASH " 2 differs\n\nnonsense\n"
	    DIR_A "00000000.brec v1 5 " HASH " 1 same\n" DIR_B "00000000.brec v2 6 " HASH " 1 same\nlog/checkpoint.7 v 1 " HASH " 2 differs", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(mirror_load(&m, dir, &all), 0);
	assert_int_equal(m.n, 3);
	assert_string_equal(mirror_find(&m, DIR_B "00000000.brec")->version, "v2");
	assert_string_equal(mirror_differs(&m, DIR_A)->name, DIR_A "00000001.brec");
	assert_null(mirror_differs(&m, DIR_B));
	assert_null(mirror_differs(&m, "log/"));
	mirror_finish(&m);
	/* of other days nothing is kept in mind, and for verify only what differs */
	assert_int_equal(mirror_load(&m, dir, &before), 0);
	assert_int_equal(m.n, 0);
	mirror_finish(&m);
	assert_int_equal(mirror_load_differing(&m, dir), 0);
	assert_int_equal(m.n, 1);
	assert_string_equal(mirror_differs(&m, DIR_A)->name, DIR_A "00000001.brec");
	mirror_finish(&m);
	assert_non_null(f = fopen(path, "a"));
	fputs("\n" DIR_A "00000001.brec v1 5 " HASH " 2 others\n", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(mirror_load_differing(&m, dir), 0);
	assert_null(mirror_differs(&m, DIR_A));
	mirror_finish(&m);
	unlink(path);
	rmdir(dir);
}

static void test_days(void **state)
{
	struct days d = days_of(1795824000, 1795824000 + 86400);

	(void)state;
	/* until that moment: its day is not one of them */
	assert_string_equal(d.first, "2026-11-28");
	assert_string_equal(d.last, "2026-11-28");
	assert_true(days_have(&d, DIR_A "00000000.brec") && days_have(&d, "log/checkpoint.5"));
	assert_false(days_have(&d, "recordings/2026-11-27/x") || days_have(&d, "recordings/2026-11-29/x"));
	d = days_of(1795824000, INT64_MAX);
	assert_true(d.last[0] == '\0' && days_have(&d, "recordings/2099-01-01/x") && !days_have(&d, "recordings/2026-11-27/x"));
	d = days_of(0, 1795824000);
	assert_true(d.first[0] == '\0' && days_have(&d, "recordings/2026-11-27/x") && !days_have(&d, DIR_A "x"));
}

/* Of a tile's name which tile it is; what is written in another way is none. */
static void test_tile_names(void **state)
{
	static const struct {
		const char *name;
		struct tile_name is;
	} good[] = { { "log/tile/0/000", { 0, 0, 256 } }, { "log/tile/entries/000.p/5", { TLOG_ENTRIES, 0, 5 } }, { "log/tile/2/x001/x234/067", { 2, 1234067, 256 } },
		{ "log/tile/entries/x001/234.p/255", { TLOG_ENTRIES, 1234, 255 } } };
	static const char *const bad[] = { "log/checkpoint.5", "log/tile/0/x000/001", "log/tile/0/000.p/05", "log/tile/0/000.p/0", "log/tile/0/000.p/256", "log/tile/7/000",
		"log/tile/00/000", "log/tile/4294967295/000", "log/tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999" };
	struct tile_name t;
	struct object o = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		o.name = (char *)(uintptr_t)good[i].name;
		assert_true(fit_tile_name(&t, &o));
		assert_true(t.level == good[i].is.level && t.n == good[i].is.n && t.width == good[i].is.width);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.name = (char *)(uintptr_t)bad[i];
		if (fit_tile_name(&t, &o))
			fail_msg("%s", bad[i]);
	}
}

/* Who says that he is busy is left alone for a while, and longer each time; who refuses is believed. */
static void test_retries(void **state)
{
	static const int busy[] = { 429, 500, 503 }, refusal[] = { 301, 400, 403, 404, 412 };
	int before = 0, ms, total = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(busy) / sizeof(busy[0]); i++)
		assert_true(bucket_retry_ms(busy[i], 1) > 0);
	for (unsigned i = 0; i < sizeof(refusal) / sizeof(refusal[0]); i++)
		assert_int_equal(bucket_retry_ms(refusal[i], 1), -1);
	for (unsigned tries = 1; (ms = bucket_retry_ms(503, tries)) >= 0; tries++) {
		assert_true(ms > before && tries < 20);
		total += before = ms;
	}
	assert_in_range(total, 5000, 60000);
	for (ms = 0; ms < 3; ms++)
		assert_true(bucket_retry_ms(0, (unsigned)ms + 1) > 0);
	assert_int_equal(bucket_retry_ms(0, 4), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_tile_names), cmocka_unit_test(test_days), cmocka_unit_test(test_retries), cmocka_unit_test(test_page), cmocka_unit_test(test_mirror) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
