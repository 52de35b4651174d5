/*
 * test_monitor.c - events as lines: RFC 5424 and JSON, with what users could put into them; outlets: places, bounds, drops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "event.h"
#include "log.h"
#include "monitor.h"

static const struct origin origin = { "bastion.example", 42 };
static const uint8_t hash[EVENT_HASH_LEN] = { 0xab, 1 };
#define HASH "ab01000000000000000000000000000000000000000000000000000000000000"
static struct buf out;

static const char *line(bool json, const struct event_row *e, const uint8_t *h)
{
	buf_finish(&out);
	buf_init(&out, LINE_JSON_MAX);
	assert_int_equal(json ? format_json(&out, &origin, e, h) : format_syslog(&out, &origin, e, h), 0);
	assert_null(memchr(out.data, '\n', out.len));
	assert_int_equal(buf_put_u8(&out, '\0'), 0);
	return (const char *)out.data;
}

static void syslog_lines(void **state)
{
	struct event_row e = { 7, 1800000000, "user.lock", "adam", "alice", "{\"reason\":\"lost\"}" };

	(void)state;
	assert_string_equal(line(false, &e, hash), "<85>1 2027-01-15T08:00:00Z bastion.example bastiond 42 user.lock "
	    "[bastiond@32473 id=\"7\" actor=\"adam\" subject=\"alice\" hash=\"" HASH "\"][detail@32473 reason=\"lost\"] "
	    "user.lock by adam, about alice");
	e = (struct event_row){ 8, 1800000000, "word.refused", "bob", "", "" };
	assert_string_equal(line(false, &e, hash), "<84>1 2027-01-15T08:00:00Z bastion.example bastiond 42 word.refused "
	    "[bastiond@32473 id=\"8\" actor=\"bob\" hash=\"" HASH "\"] word.refused by bob");
	e.kind = "recorder.alarm";
	assert_memory_equal(line(false, &e, hash), "<81>1 ", 6);
	e.detail = "{\"a b\":1,\"ok\":[1,\"]\"],\"no\":{\"x\":null}}"; /* a name that is none is left out */
	assert_non_null(strstr(line(false, &e, hash), "[detail@32473 ok=\"[1,\\\"\\]\\\"\\]\" no=\"{\\\"x\\\":null}\"]"));
	e.detail = "no json\n\"";
	assert_non_null(strstr(line(false, &e, hash), "[detail@32473 text=\"no json\\\\n\\\"\"]"));
}

/* What notify tells as a fault is for a receiver of lines the same, and nothing is by its name alone. */
static void severities(void **state)
{
	static const struct { const char *kind, *pri; } some[] = {
		{ "clock.back", "<81>" }, { "otp.guessed", "<81>" }, { "otp.replay", "<81>" }, { "session.hung", "<81>" }, { "target-key.failed", "<81>" },
		{ "break-glass.store", "<81>" }, { "break-glass.away", "<81>" }, { "break-glass", "<81>" }, { "outlet.dropped", "<81>" },
		{ "recording.replay", "<85>" }, { "request.approve", "<85>" }, { "login.new-device", "<85>" }, { "login.fail", "<84>" }, { "x11.refused", "<84>" },
	};
	struct event_row e = { 8, 1800000000, "", "bob", "", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		e.kind = some[i].kind;
		assert_memory_equal(line(false, &e, hash), some[i].pri, 4);
	}
	for (int i = 0; i < EVENT_COUNT; i++) {
		const char *class = event_class(e.kind = event_name((enum event_kind)i));

		assert_int_equal(memcmp(line(false, &e, hash), "<81>", 4) == 0, class != NULL &&
		    (strcmp(class, "alarm") == 0 || strcmp(class, "emergency") == 0 || strcmp(class, "break-glass") == 0));
	}
}

/* Nobody writes another's line, or another element, with what they are called or say. */
static void nothing_breaks_out(void **state)
{
	static const char *const bad[] = { "\"] [x@1 a=\"1\"]", "\n<0>1 - - - - - -", "\033[2J", "\xe2\x80\xae", "\xff\xfe", "]", "\\", "\x7f" };
	char detail[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct event_row e = { 9, 1, "k", bad[i], bad[i], detail };
		const char *s;
		size_t elements = 0;
		bool quoted = false;

		snprintf(detail, sizeof(detail), "{\"v\":\"%s\"}", i == 0 || i == 5 ? "\\\"] [y@2 b=\\\"2\\\"]" : "x");
		s = line(false, &e, hash);
		for (const char *c = strchr(s, '['); *c != '\0'; c++) {
			assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
			if (*c == '\\' && quoted)
				c++;
			else if (*c == '"')
				quoted = !quoted;
			else if (!quoted && *c == ']' && c[1] == ' ') {
				elements++;
				break;
			} else if (!quoted && *c == ']')
				elements++;
		}
		assert_int_equal(elements, 2);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct event_row e = { 9, 1, "k", "a", bad[i], "" };
		json_t *o;

		if (strcmp(bad[i], "\xff\xfe") == 0)
			continue; /* no text: the database has none such */
		o = json_loads(line(true, &e, hash), 0, NULL);
		assert_string_equal(json_string_value(json_object_get(o, "subject")), bad[i]);
		json_decref(o);
		for (const uint8_t *c = out.data; *c != '\0'; c++)
			assert_true(*c >= ' ' && *c < 0x7f);
	}
}

static void long_ones_lose_their_detail(void **state)
{
	static char detail[EVENT_DETAIL_MAX + 1] = "{\"a\":\"";
	struct event_row e = { 9, 1, "k", "a", "", detail };
	char much[1100];

	(void)state;
	memset(much, '"', sizeof(much));
	/* many members, each long: more than a message takes */
	strcpy(detail, "{");
	for (int i = 0; i < 7; i++)
		snprintf(detail + strlen(detail), sizeof(detail) - strlen(detail), "%s\"m%d\":\"%0*d\"", i > 0 ? "," : "", i, 1100, i);
	strcat(detail, ",\"q\":\"");
	for (int i = 0; i < 200; i++)
		strcat(detail, "\\\"");
	strcat(detail, "\"}");
	assert_true(strlen(line(false, &e, hash)) <= LINE_SYSLOG_MAX + 1);
	e.kind = "a-kind-that-is-longer-than-thirty-two-bytes";
	assert_non_null(strstr(line(false, &e, hash), " a-kind-that-is-longer-than-thirt ["));
}

static void places(void **state)
{
	static const struct { enum outlet_kind kind; const char *place; int ok; } cases[] = {
		{ OUTLET_SYSLOG, "/dev/log", 0 }, { OUTLET_SYSLOG, "udp:127.0.0.1:514", 0 }, { OUTLET_SYSLOG, "tcp:[::1]:601", 0 },
		{ OUTLET_JSON, "/var/log/x.json", 0 }, { OUTLET_JSON, "unix:/run/x", 0 }, { OUTLET_JSON, "tcp:127.0.0.1:1", 0 },
		{ OUTLET_SYSLOG, "dev/log", -1 }, { OUTLET_SYSLOG, "udp:localhost:514", -1 }, { OUTLET_SYSLOG, "udp:127.0.0.1", -1 },
		{ OUTLET_SYSLOG, "unix:/dev/log", -1 }, { OUTLET_JSON, "udp:127.0.0.1:514", -1 }, { OUTLET_JSON, "x.json", -1 },
		{ OUTLET_JSON, "/var/log/", -1 }, { OUTLET_JSON, "unix:run", -1 }, { OUTLET_SYSLOG, "tcp:127.0.0.1:0", -1 },
		{ OUTLET_SYSLOG, "/a-path-of-a-socket-that-is-longer-than-what-an-address-of-a-unix-socket-can-hold-which-is-one-hundred-and-eight", -1 },
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (outlet_check(cases[i].kind, cases[i].place, &why) != cases[i].ok)
			fail_msg("%s", cases[i].place);
}

/* A socket that nobody reads: the queue fills to its bound, what is more is dropped and counted, and said when there is room. */
static void a_queue_has_a_bound(void **state)
{
	char dir[] = "/tmp/test_monitor-XXXXXX", path[64], text[9000];
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct event_base *base = event_base_new();
	struct outlet *o, *all[OUTLET_COUNT] = { NULL, NULL };
	struct event_row e = { 0, 1, "k", "a", "", "" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), got = 0, dropped = 0;
	ssize_t n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_non_null(o = all[OUTLET_SYSLOG] = outlet_create(OUTLET_SYSLOG, path, &origin, base));
	for (e.id = 1; e.id <= 3 * OUTLET_QUEUE_MAX; e.id++)
		outlet_put(o, &e, hash);
	event_base_loop(base, EVLOOP_NONBLOCK);
	buf_finish(&out);
	buf_init(&out, METRICS_MAX);
	outlet_metrics((const struct outlet *const *)all, &out);
	assert_int_equal(buf_put_u8(&out, '\0'), 0);
	assert_null(strstr((char *)out.data, "bastiond_outlet_dropped_total{outlet=\"syslog\"} 0"));
	assert_non_null(strstr((char *)out.data, "bastiond_outlet_up{outlet=\"syslog\"} 1"));
	for (int rounds = 0; rounds < 20000; rounds++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		if ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
			text[n] = '\0';
			if (strstr(text, " outlet.dropped ") == NULL)
				got++;
			else
				assert_int_equal(sscanf(strstr(text, "dropped=\""), "dropped=\"%d", &dropped), 1);
		} else if (dropped == 0) {
			outlet_put(o, &e, hash); /* it comes when there is room, with the next event */
			e.id++;
		} else {
			break;
		}
	}
	assert_true(dropped > OUTLET_QUEUE_MAX);
	assert_int_equal(got + dropped, e.id - 1);
	outlet_destroy(o);
	event_base_free(base);
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* A file has whole lines only, and no link leads the writer away. */
static void files(void **state)
{
	char dir[] = "/tmp/test_monitor-XXXXXX", path[64], there[64], text[4096];
	struct event_base *base = event_base_new();
	const struct event_row e = { 3, 1, "k", "a", "", "{\"x\":1}" };
	struct outlet *o;
	struct stat st;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/events", dir);
	snprintf(there, sizeof(there), "%s/there", dir);
	assert_non_null(o = outlet_create(OUTLET_JSON, path, &origin, base));
	outlet_put(o, &e, hash);
	outlet_put(o, &e, hash);
	outlet_destroy(o);
	assert_non_null(f = fopen(path, "r"));
	for (int i = 0; i < 2; i++)
		assert_string_equal(fgets(text, sizeof(text), f), "{\"host\":\"bastion.example\",\"at\":\"1970-01-01T00:00:01Z\",\"time\":1,\"id\":3,"
		    "\"kind\":\"k\",\"actor\":\"a\",\"subject\":\"\",\"detail\":{\"x\":1},\"hash\":\"" HASH "\"}\n");
	assert_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	unlink(path);
	assert_int_equal(symlink(there, path), 0);
	assert_non_null(o = outlet_create(OUTLET_JSON, path, &origin, base));
	outlet_put(o, &e, hash);
	outlet_destroy(o);
	assert_int_not_equal(stat(there, &st), 0);
	unlink(path);
	rmdir(dir);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syslog_lines), cmocka_unit_test(severities), cmocka_unit_test(nothing_breaks_out), cmocka_unit_test(long_ones_lose_their_detail),
		cmocka_unit_test(places), cmocka_unit_test(a_queue_has_a_bound), cmocka_unit_test(files),
	};
	int r;

	log_init("test", true, LOG_LVL_ERROR + 1);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	buf_finish(&out);
	return r;
}
