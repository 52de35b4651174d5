/*
 * test_s3.c - what an object store answers, what may be asked of it, and the canary's verdict for every answer at every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive_canary.h"
#include "s3.h"

static void test_xml(void **state)
{
	static const char error[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code>"
				    "<Message>a &lt;b&gt; &amp; c &quot;d&apos;</Message><Empty></Empty><Nested><In>x</In></Nested></Error>";
	char out[32], small[5];

	(void)state;
	assert_int_equal(s3_xml_text(error, strlen(error), "Code", out, sizeof(out)), 12);
	assert_string_equal(out, "AccessDenied");
	assert_int_equal(s3_xml_text(error, strlen(error), "Message", out, sizeof(out)), 13);
	assert_string_equal(out, "a <b> & c \"d'");
	assert_int_equal(s3_xml_text(error, strlen(error), "Empty", out, sizeof(out)), 0);
	assert_int_equal(s3_xml_text(error, strlen(error), "Nested", out, sizeof(out)), -1);
	assert_int_equal(s3_xml_text(error, strlen(error), "Other", out, sizeof(out)), -1);
	assert_int_equal(s3_xml_text(error, strlen(error), "Code", small, sizeof(small)), -1);
	assert_int_equal(s3_xml_text(NULL, 0, "Code", out, sizeof(out)), -1);
	/* cut anywhere it is no element, or the whole one */
	for (size_t n = 0; n < strlen(error); n++) {
		char *part = malloc(n + 1);
		int r;

		memcpy(part, error, n);
		r = s3_xml_text(part, n, "Code", out, sizeof(out));
		assert_true(r == -1 || (r == 12 && n >= strlen(error) - strlen(strstr(error, "<Message>"))));
		free(part);
	}
	assert_int_equal(s3_xml_text("<Code>a\nb</Code>", 16, "Code", out, sizeof(out)), -1);
	assert_int_equal(s3_xml_text("<Code>a\0b</Code>", 16, "Code", out, sizeof(out)), -1);
}

static void test_dates(void **state)
{
	static const char answer[] = "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>COMPLIANCE</Mode>"
				     "<RetainUntilDate>2026-11-28T07:30:00.123456789Z</RetainUntilDate></Retention>";
	char mode[16];
	int64_t t = 0;

	(void)state;
	assert_int_equal(s3_date_parse("2026-11-28T07:30:00Z", &t), 0);
	assert_int_equal(t, 1795851000000000);
	assert_int_equal(s3_date_parse("2026-11-28T07:30:00.07Z", &t), 0);
	assert_int_equal(t, 1795851000070000);
	assert_int_equal(s3_date_parse("2026-11-28T07:30:00.123456789Z", &t), 0);
	assert_int_equal(t, 1795851000123456);
	t = 0;
	assert_int_equal(s3_retention_parse(answer, strlen(answer), mode, &t), 0);
	assert_string_equal(mode, "COMPLIANCE");
	assert_int_equal(t, 1795851000);
	assert_int_equal(s3_date_parse("2026-11-28T07:30:00.Z", &t), -1);
	assert_int_equal(s3_date_parse("2026-11-28T07:30:00.12", &t), -1);
	assert_int_equal(s3_date_parse("2026-11-28", &t), -1);
	assert_int_equal(s3_date_parse("", &t), -1);
	assert_int_equal(s3_date_parse("2026-11-28T07:30:00+00:00aaaaaaaaaaaaaaaaaaaaaaaaaaa", &t), -1);
}

static void test_endpoint(void **state)
{
	static const char *const good[] = { "https://s3.example.com", "https://s3.example.com:9000", "https://[2001:db8::1]:9000", "http://127.0.0.1:80",
		"http://localhost", "http://[::1]:9000", "https://10.0.0.1" };
	static const char *const bad[] = { "", "s3.example.com", "http://s3.example.com", "https://", "https://s3.example.com/", "https://a b",
		"https://user@s3.example.com", "ftp://127.0.0.1", "http://127.0.0.1.evil.example", "http://localhost.evil.example:80", "https://x:",
		"https://x:80a", "https://[::1", "http://127.0.0.1@evil.example", "https://:80" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(s3_endpoint_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (s3_endpoint_ok(bad[i]))
			fail_msg("%s is taken", bad[i]);
	}
}

static void test_key(void **state)
{
	static const char *const bad[] = { "", "/a", "a/", "a//b", "a b", "a%b", "../a", "a/../b", "a/.", ".", "a?b", "\xc3\xa9" };
	char longest[S3_KEY_MAX + 1];

	(void)state;
	assert_true(s3_key_ok("c1/recordings/2026-11-28/0123/00000000.brec"));
	assert_true(s3_key_ok("a.b/.c"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(s3_key_ok(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[S3_KEY_MAX] = '\0';
	assert_false(s3_key_ok(longest));
	longest[S3_KEY_MAX - 1] = '\0';
	assert_true(s3_key_ok(longest));
}

static void test_credentials(void **state)
{
	static const char text[] = "# of the collector\n[default]\n  aws_access_key_id = AKIDEXAMPLE \r\naws_secret_access_key=wJalr/XU+tn=\n"
				   "[other]\naws_access_key_id = OTHER\n";
	struct s3_credentials c;
	const char *why;
	char big[400];

	(void)state;
	assert_int_equal(s3_credentials_parse(&c, text, strlen(text), &why), 0);
	assert_string_equal(c.access, "AKIDEXAMPLE");
	assert_string_equal(c.secret, "wJalr/XU+tn=");
	assert_string_equal(c.token, "");
	assert_int_equal(s3_credentials_parse(&c, "aws_access_key_id=a", 19, &why), -1);
	assert_string_equal(why, "aws_secret_access_key is missing");
	assert_int_equal(s3_credentials_parse(&c, "", 0, &why), -1);
	assert_int_equal(s3_credentials_parse(&c, "=", 1, &why), -1);
	assert_int_equal(s3_credentials_parse(&c, "aws_access_key_id=a b\n", 22, &why), -1);
	memset(big, 'k', sizeof(big));
	memcpy(big, "aws_access_key_id=", 18);
	assert_int_equal(s3_credentials_parse(&c, big, sizeof(big), &why), -1);
	for (size_t n = 0; n < strlen(text); n++)
		s3_credentials_parse(&c, text, n, &why);
}

/* ---- the canary ---- */

static const struct answer {
	int status;
	const char *code, *version, *text;
} good[] = {
	{ 200, "", "v1", "" },
	{ 403, "AccessDenied", "", "" },
	{ 403, "AccessDenied", "", "" },
	{ 403, "AccessDenied", "", "" },
	{ 403, "AccessDenied", "", "" },
	{ 412, "PreconditionFailed", "", "" },
	{ 403, "AccessDenied", "", "" },
};

static struct canary feed(const struct answer *answers, bool by_bucket)
{
	struct canary c;

	canary_begin(&c, "c1/canary/x", by_bucket, 1000000, 1000000 + 90 * 86400);
	for (int i = 0; c.step != CANARY_DONE; i++) {
		struct s3_request r;

		assert_true(i < CANARY_DONE);
		assert_int_equal(c.step, i);
		canary_request(&c, &r);
		assert_string_equal(r.key, "c1/canary/x");
		r.status = answers[i].status;
		snprintf(r.code, sizeof(r.code), "%s", answers[i].code);
		snprintf(r.version, sizeof(r.version), "%s", answers[i].version);
		snprintf(r.why, sizeof(r.why), "%d %s", r.status, r.code);
		buf_view(&r.text, answers[i].text, strlen(answers[i].text));
		canary_answer(&c, &r);
	}
	return c;
}

static void test_canary_holds(void **state)
{
	struct answer a[CANARY_DONE];
	struct canary c = feed(good, false);

	(void)state;
	assert_int_equal(c.verdict, CANARY_HOLDS);
	assert_false(c.hides);
	memcpy(a, good, sizeof(a));
	/* a store that keeps both, MinIO's words, and an owner who may hide it */
	a[CANARY_OVERWRITE] = (struct answer){ 200, "", "v2", "" };
	a[CANARY_DELETE] = (struct answer){ 400, "InvalidRequest", "", "" };
	a[CANARY_HIDE] = (struct answer){ 204, "", "v3", "" };
	c = feed(a, false);
	assert_int_equal(c.verdict, CANARY_HOLDS);
	assert_true(c.hides);
}

/* Whatever else is answered at any step, the lock is not said to hold. */
static void test_canary_fails(void **state)
{
	static const struct answer wrong[] = { { 200, "", "v1", "" }, { 200, "", "", "" }, { 204, "", "", "" }, { 403, "SignatureDoesNotMatch", "", "" },
		{ 403, "RequestTimeTooSkewed", "", "" }, { 403, "InvalidAccessKeyId", "", "" }, { 404, "NoSuchBucket", "", "" }, { 404, "NoSuchVersion", "", "" },
		{ 403, "", "", "" }, { 301, "PermanentRedirect", "", "" }, { 501, "NotImplemented", "", "" }, { 503, "SlowDown", "", "" }, { 0, "", "", "" } };

	(void)state;
	for (int step = 0; step < CANARY_HIDE; step++)
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			struct answer a[CANARY_DONE];
			struct canary c;
			const bool none = wrong[i].status == 0 || wrong[i].status >= 500;

			/* these are right for a put; and looking may be refused in any way */
			if ((step == CANARY_PUT && wrong[i].version[0] != '\0') || (step == CANARY_LOOK && !none && wrong[i].status / 100 != 2))
				continue;
			memcpy(a, good, sizeof(a));
			a[step] = wrong[i];
			c = feed(a, false);
			assert_int_equal(c.verdict, none ? CANARY_UNKNOWN : CANARY_FAILS);
			assert_true(c.why[0] != '\0');
		}
}

static void test_canary_looks(void **state)
{
#define LOCK(mode, date) "<Retention><Mode>" mode "</Mode><RetainUntilDate>" date "</RetainUntilDate></Retention>"
	static const struct { const char *text; enum canary_verdict verdict; } cases[] = {
		{ LOCK("COMPLIANCE", "1970-04-12T13:46:40Z"), CANARY_HOLDS },
		{ LOCK("COMPLIANCE", "1970-04-12T13:00:00Z"), CANARY_HOLDS },
		{ LOCK("COMPLIANCE", "1970-04-12T12:00:00Z"), CANARY_FAILS },
		{ LOCK("GOVERNANCE", "1970-04-12T13:46:40Z"), CANARY_FAILS },
		{ "", CANARY_FAILS },
	};
	struct answer a[CANARY_DONE];
	struct canary c;

	(void)state;
	memcpy(a, good, sizeof(a));
	for (int by_bucket = 0; by_bucket < 2; by_bucket++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			a[CANARY_LOOK] = (struct answer){ 200, "", "", cases[i].text };
			c = feed(a, by_bucket != 0);
			assert_int_equal(c.verdict, cases[i].verdict);
		}
	/* where the rule of the bucket is to lock, who cannot see that it does has no proof */
	assert_int_equal(feed(good, true).verdict, CANARY_FAILS);
}

static void test_canary_asks(void **state)
{
	struct s3_request r;
	struct canary c;

	(void)state;
	canary_begin(&c, "k", false, 1000000, 2000000);
	canary_request(&c, &r);
	assert_string_equal(r.method, "PUT");
	assert_int_equal(r.nheaders, 2);
	assert_string_equal(r.headers[0], "x-amz-object-lock-mode: COMPLIANCE");
	assert_string_equal(r.headers[1], "x-amz-object-lock-retain-until-date: 1970-01-24T04:33:20Z");
	snprintf(c.version, sizeof(c.version), "a+b/c");
	c.step = CANARY_DELETE;
	canary_request(&c, &r);
	assert_string_equal(r.method, "DELETE");
	assert_string_equal(r.query, "versionId=a%2Bb%2Fc");
	c.step = CANARY_SHORTEN;
	canary_request(&c, &r);
	assert_string_equal(r.query, "retention=&versionId=a%2Bb%2Fc");
	assert_non_null(strstr(c.body, "<Mode>COMPLIANCE</Mode><RetainUntilDate>1970-01-12T14:46:40Z<"));
	c.step = CANARY_HIDE;
	canary_request(&c, &r);
	assert_string_equal(r.query, "");
	assert_string_equal(r.method, "DELETE");
	canary_begin(&c, "k", true, 1000000, 2000000);
	canary_request(&c, &r);
	assert_int_equal(r.nheaders, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xml), cmocka_unit_test(test_dates), cmocka_unit_test(test_endpoint), cmocka_unit_test(test_key),
		cmocka_unit_test(test_credentials), cmocka_unit_test(test_canary_holds), cmocka_unit_test(test_canary_fails),
		cmocka_unit_test(test_canary_looks), cmocka_unit_test(test_canary_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
