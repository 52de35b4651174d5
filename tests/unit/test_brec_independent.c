/*
 * test_brec_independent.c - tests/brec_independent.py, which was written from bastion-record(5) alone, agrees with our own
 * reader and verifier about recordings that are whole, cut, damaged and without a key.
 */
#include "brec_fixture.h"

#include <jansson.h>
#include <libgen.h>
#include <sys/socket.h>

#include "crc32c.h"
#include "wire_receipt.h"

static char tests[4096];	/* the folder of the script */

/*
 * The script in one process, which is loaded once: each start of its own would cost a third of a second of processor. A line of words is answered
 * by a line, the status and the length of what was printed on either output, and by that.
 */
static const char loop[] = "import contextlib, io, runpy, sys, traceback\n"
    "sys.path.insert(0, sys.argv[1])\n"
    "for line in sys.stdin:\n"
    "    sys.argv[1:], said, status = line.split(), io.StringIO(), 0\n"
    "    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):\n"
    "        try:\n"
    "            runpy.run_path(sys.path[0] + '/brec_independent.py', run_name='__main__')\n"
    "        except SystemExit as end:\n"
    "            status = int(end.code or 0)\n"
    "        except BaseException:\n"
    "            status = traceback.print_exc() or 1\n"
    "    print(status, len(said.getvalue()), said.getvalue(), sep='\\n', end='', flush=True)\n";

static FILE *script(void)
{
	static FILE *it;
	int ends[2];

	if (it != NULL)
		return it;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	if (fork() == 0) {
		dup2(ends[1], 0);
		dup2(ends[1], 1);
		execl("/usr/bin/python3", "/usr/bin/python3", "-c", loop, tests, NULL);
		_exit(127);
	}
	close(ends[1]);
	assert_non_null(it = fdopen(ends[0], "r"));
	return it;
}

/* The script's output and, in *status, its exit status. */
static char *run(const char *args, int *status)
{
	static char out[65536];
	size_t n;

	assert_true(dprintf(fileno(script()), "%s\n", args) > 0);
	assert_int_equal(fscanf(script(), "%d %zu", status, &n), 2);
	assert_int_equal(fgetc(script()), '\n');
	assert_true(n < sizeof(out));
	assert_int_equal(fread(out, 1, n, script()), n);
	out[n] = '\0';
	return out;
}

static void keys(const struct fixture *x, const struct sign_key *collector)
{
	uint8_t pub[KEY_LEN];
	char path[128], text[AGE_IDENTITY_LEN + 1];

	snprintf(path, sizeof(path), "%s/signer.pub", x->dir);
	assert_int_equal(public_key_save(x->pub, path), 0);
	sign_key_public(collector, pub);
	snprintf(path, sizeof(path), "%s/collector.pub", x->dir);
	assert_int_equal(public_key_save(pub, path), 0);
	age_identity_format(text, &x->auditor);
	snprintf(path, sizeof(path), "%s/auditor.key", x->dir);
	fx_write(path, text, AGE_IDENTITY_LEN);
	age_identity_format(text, &x->input_auditor);
	snprintf(path, sizeof(path), "%s/input.key", x->dir);
	fx_write(path, text, AGE_IDENTITY_LEN);
}

static void remove_keys(const struct fixture *x)
{
	static const char *const names[] = { "signer.pub", "collector.pub", "auditor.key", "input.key" };
	char path[128];

	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", x->dir, names[i]);
		unlink(path);
	}
}

/* Receipts in batches of different sizes, at different places. */
static void receipts(const struct fixture *x, const struct sign_key *collector)
{
	uint8_t pub[KEY_LEN], sig[SIG_LEN];
	struct wire_leaf leaves[7] = { { .seq = 1 } };
	char name[128];
	struct buf b;

	buf_init(&b, 1 << 20);
	sign_key_public(collector, pub);
	for (size_t i = 0; i < x->logged; i++) {
		const size_t n = 1 + i % 7, at = i * 3 % n;
		struct receipt r;

		memcpy(leaves[at].id, x->id, BREC_ID_LEN);
		memcpy(leaves[at].h, x->log[i].h, BREC_HASH_LEN);
		leaves[at].seq = x->log[i].seq;
		assert_int_equal(receipt_sign(collector, pub, 77, leaves, n, sig), 0);
		assert_int_equal(receipt_extract(&r, pub, 77, leaves, n, at, sig), 0);
		assert_int_equal(receipt_put(&b, &r), 0);
	}
	snprintf(name, sizeof(name), "%s/receipts", x->dir);
	fx_write(name, b.data, b.len);
	buf_finish(&b);
}

static void agree(const struct fixture *x, const struct sign_key *collector)
{
	uint8_t pub[1][KEY_LEN];
	struct brec_trust trust = { (const uint8_t (*)[KEY_LEN])x->pub, 1, (const uint8_t (*)[KEY_LEN])pub, 1, NULL };
	struct brec_report ours;
	char args[512], want[128], *got;
	int status;

	sign_key_public(collector, pub[0]);
	brec_verify_dir(x->dir, &trust, &ours);
	snprintf(args, sizeof(args), "verify %s --signer %s/signer.pub --collector %s/collector.pub", x->dir, x->dir, x->dir);
	got = run(args, &status);
	snprintf(want, sizeof(want), "%s %llu %llu %llu ", brec_verdict_name(ours.verdict), (unsigned long long)ours.last_seq,
	    (unsigned long long)ours.signed_seq, (unsigned long long)ours.receipt_seq);
	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("we say '%s%s', it says '%s'", want, ours.reason, got);
	assert_int_equal(status == 0, ours.verdict == BREC_COMPLETE);
}

static void both_say(const struct fixture *x, const struct sign_key *collector, enum brec_verdict want)
{
	uint8_t pub[1][KEY_LEN];
	struct brec_trust trust = { (const uint8_t (*)[KEY_LEN])x->pub, 1, (const uint8_t (*)[KEY_LEN])pub, 1, NULL };
	struct brec_report ours;
	const char *name = brec_verdict_name(want);
	char args[512], *got;
	int status;

	sign_key_public(collector, pub[0]);
	assert_string_equal(brec_verdict_name(brec_verify_dir(x->dir, &trust, &ours)), name);
	snprintf(args, sizeof(args), "verify %s --signer %s/signer.pub --collector %s/collector.pub", x->dir, x->dir, x->dir);
	got = run(args, &status);
	if (strncmp(got, name, strlen(name)) != 0 || got[strlen(name)] != ' ')
		fail_msg("we say %s, it says '%s'", name, got);
	if (want != BREC_FORGED)
		agree(x, collector);
}

static void test_verdicts(void **state)
{
	struct sign_key *collector = sign_key_generate();
	struct fixture *x = fx_open(true, false);
	char name[2][128];
	uint8_t *data[2];
	size_t len[2];

	(void)state;
	fx_small(x, true);
	keys(x, collector);
	agree(x, collector);
	for (uint32_t i = 0; i < 2; i++) {
		fx_name(x, i, name[i]);
		data[i] = fx_read(name[i], &len[i]);
	}
	for (size_t cut = 1; cut < len[1]; cut += 97) {
		assert_int_equal(truncate(name[1], (off_t)(len[1] - cut)), 0);
		agree(x, collector);
	}
	fx_write(name[1], data[1], len[1]);
	receipts(x, collector);
	agree(x, collector);
	assert_int_equal(truncate(name[1], (off_t)(len[1] - 150)), 0);
	/* a part of a frame at the end */
	agree(x, collector);
	unlink(name[1]);
	agree(x, collector);
	fx_write(name[1], data[1], len[1]);
	data[0][len[0] / 2] ^= 4;
	fx_write(name[0], data[0], len[0]);
	agree(x, collector);
	free(data[0]);
	free(data[1]);
	remove_keys(x);
	fx_destroy(x);
	sign_key_destroy(collector);
}

/* What a collector says of a frame: the truth, of another value, or with a signature that does not hold. */
enum says { TRUTH, OTHER, FALSE_SIGNATURE };

struct said {
	size_t frame;
	enum says says;
};

static void put_said(struct buf *b, const struct fixture *x, const struct sign_key *collector, const struct said *s)
{
	struct wire_leaf leaf = { .seq = x->log[s->frame].seq };
	uint8_t pub[KEY_LEN], sig[SIG_LEN];
	struct receipt r;

	sign_key_public(collector, pub);
	memcpy(leaf.id, x->id, BREC_ID_LEN);
	memcpy(leaf.h, x->log[s->frame].h, BREC_HASH_LEN);
	leaf.h[0] ^= s->says == OTHER;
	assert_int_equal(receipt_sign(collector, pub, 77, &leaf, 1, sig), 0);
	sig[SIG_LEN - 1] ^= s->says == FALSE_SIGNATURE;
	assert_int_equal(receipt_extract(&r, pub, 77, &leaf, 1, 0, sig), 0);
	assert_int_equal(receipt_put(b, &r), 0);
}

/* Every receipt counts, in whatever order they stand, and whatever became of the recording. */
static void test_receipts_in_any_order(void **state)
{
	struct sign_key *collector = sign_key_generate();
	struct fixture *x = fx_open(true, false);
	const struct { struct said said[2]; enum brec_verdict whole, cut; } cases[] = {
		{ { { 5, TRUTH }, { 2, TRUTH } }, BREC_COMPLETE, BREC_CUT },
		{ { { 5, TRUTH }, { 2, OTHER } }, BREC_FORGED, BREC_FORGED },
		{ { { 2, OTHER }, { 5, TRUTH } }, BREC_FORGED, BREC_FORGED },
		{ { { 5, TRUTH }, { 2, FALSE_SIGNATURE } }, BREC_FORGED, BREC_FORGED },
		{ { { 2, FALSE_SIGNATURE }, { 5, TRUTH } }, BREC_FORGED, BREC_FORGED },
		{ { { 2, FALSE_SIGNATURE }, { 2, TRUTH } }, BREC_FORGED, BREC_FORGED },
		{ { { 0, TRUTH }, { 0, OTHER } }, BREC_FORGED, BREC_FORGED },
	};
	char name[2][128];
	uint8_t *data;
	struct buf b;
	size_t len;

	(void)state;
	fx_small(x, true);
	assert_true(x->logged > 6);
	keys(x, collector);
	snprintf(name[0], sizeof(name[0]), "%s/receipts", x->dir);
	fx_name(x, 1, name[1]);
	data = fx_read(name[1], &len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, 4096);
		put_said(&b, x, collector, &cases[i].said[0]);
		put_said(&b, x, collector, &cases[i].said[1]);
		fx_write(name[0], b.data, b.len);
		buf_finish(&b);
		both_say(x, collector, cases[i].whole);
		assert_int_equal(truncate(name[1], (off_t)(len - 10)), 0);
		both_say(x, collector, cases[i].cut);
		fx_write(name[1], data, len);
	}
	/* one for a frame that is not here any more is looked at as closely */
	for (int i = 0; i < 2; i++) {
		const struct said last = { x->logged - 1, i == 0 ? TRUTH : FALSE_SIGNATURE };

		buf_init(&b, 4096);
		put_said(&b, x, collector, &last);
		fx_write(name[0], b.data, b.len);
		buf_finish(&b);
		assert_int_equal(truncate(name[1], (off_t)(len - 10)), 0);
		both_say(x, collector, i == 0 ? BREC_CUT : BREC_FORGED);
	}
	free(data);
	remove_keys(x);
	fx_destroy(x);
	sign_key_destroy(collector);
}

static void put32(uint8_t *at, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		at[i] = (uint8_t)v;
}

/* A receipt whose fields are not what they may be, and whose length and crc are right. */
struct odd {
	uint32_t leaves, index, path;	/* numbers that it has; */
	size_t hashes, more;		/* it holds so many hashes, and so many bytes that are nobody's */
	size_t first;			/* not 0: these bytes of it alone, and a crc */
};

static void put_odd(struct buf *b, const struct fixture *x, const struct sign_key *collector, const struct odd *o)
{
	const size_t path = 112, len = o->first != 0 ? o->first : path + 32 * o->hashes + o->more + SIG_LEN;
	uint8_t bytes[1024] = { 0 };
	struct buf good;

	buf_init(&good, 4096);
	put_said(&good, x, collector, &(struct said){ 1, TRUTH });
	memcpy(bytes, good.data, path);
	memcpy(bytes + path + 32 * o->hashes + o->more, good.data + path, SIG_LEN);
	buf_finish(&good);
	put32(bytes, (uint32_t)len);
	put32(bytes + 100, o->leaves);
	put32(bytes + 104, o->index);
	put32(bytes + 108, o->path);
	put32(bytes + len, crc32c(0, bytes, len));
	assert_int_equal(buf_put(b, bytes, len + 4), 0);
}

/* What is no receipt counts as torn at the end, and as damage before others, whoever's it would be and however well its crc fits. */
static void test_odd_receipts(void **state)
{
	static const struct odd odds[] = { { .first = 4 }, { .first = 8 }, { .first = 111 }, { 1, 0, 11, 11, 0, 0 }, { 1, 0, 0, 0, 1, 0 },
		{ 1, 0, 0, 0, 32, 0 }, { 4, 0, 2, 1, 0, 0 }, { 0, 0, 0, 0, 0, 0 }, { 1025, 0, 0, 0, 0, 0 }, { 1, 1, 0, 0, 0, 0 },
		{ UINT32_MAX, 0, 0, 0, 0, 0 }, { 1, 0, UINT32_MAX, 0, 0, 0 } };
	struct sign_key *collector = sign_key_generate(), *stranger = sign_key_generate();
	struct fixture *x = fx_open(true, false);
	char name[128];

	(void)state;
	fx_small(x, true);
	keys(x, collector);
	snprintf(name, sizeof(name), "%s/receipts", x->dir);
	for (size_t i = 0; i < 4 * sizeof(odds) / sizeof(odds[0]); i++) {
		const bool last = i % 2 == 0;
		struct buf b;
		size_t len;

		buf_init(&b, 4096);
		put_said(&b, x, collector, &(struct said){ 1, TRUTH });
		len = b.len;
		put_odd(&b, x, i % 4 < 2 ? collector : stranger, &odds[i / 4]);
		len = b.len - len;
		for (size_t k = 1; k < 5 && !last; k++)
			put_said(&b, x, collector, &(struct said){ k, TRUTH });
		fx_write(name, b.data, b.len);
		buf_finish(&b);
		/* no power cut leaves more than one has */
		both_say(x, collector, last && len <= 4 + RECEIPT_LEN_MAX ? BREC_COMPLETE : BREC_FORGED);
	}
	remove_keys(x);
	fx_destroy(x);
	sign_key_destroy(collector);
	sign_key_destroy(stranger);
}

static void test_events(void **state)
{
	struct sign_key *collector = sign_key_generate();
	struct fixture *x = fx_open(true, false);
	char args[512], *out;
	int status;

	(void)state;
	fx_small(x, true);
	keys(x, collector);
	snprintf(args, sizeof(args), "events %s --identity %s/auditor.key --identity %s/input.key", x->dir, x->dir, x->dir);
	out = run(args, &status);
	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "\"stream\": \"metadata\", \"kind\": \"m\", \"channel\": 1"));
	assert_non_null(strstr(out, "\"t\": 1000, \"stream\": \"input\", \"kind\": \"i\", \"channel\": 1, \"seq\": 2, \"data\": \"ls\\r\""));
	assert_non_null(strstr(out, "\"data\": \"ls\\r\\nREADME\\r\\n\""));
	assert_non_null(strstr(out, "late words"));
	assert_null(strstr(out, "locked"));
	snprintf(args, sizeof(args), "events %s --identity %s/auditor.key", x->dir, x->dir);
	out = run(args, &status);
	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "{\"locked\": \"input\", \"seq\": 2}"));
	assert_null(strstr(out, "\"data\": \"ls\\r\"}"));
	assert_non_null(strstr(out, "late words"));
	remove_keys(x);
	fx_destroy(x);
	sign_key_destroy(collector);
}

/* Pieces of events, one a frame, and what both readers make of them: the joined event, or none of what follows. */
struct piece {
	enum brec_stream stream;
	unsigned kind;
	uint64_t channel;
	const char *text;
};

static void pieces(struct fixture *x, const struct piece *p, size_t n)
{
	fx_event(x, BREC_META, BREC_K_META, "{}");
	assert_int_equal(brec_writer_flush(x->w, x->now), 0);
	for (size_t i = 0; i < n && (i == 0 || p[i].text != NULL); i++) {
		assert_true(brec_writer_event(x->w, p[i].stream, p[i].kind, x->now, p[i].channel, p[i].text, strlen(p[i].text)) != 0);
		assert_int_equal(brec_writer_flush(x->w, x->now), 0);
	}
	assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_NORMAL, ""), 0);
	fx_done(x);
}

/* "o1:between v1:A=longer ", then "!" where it cannot be read further, or "cut v1:A=long " where an event has no end. */
static const char *our_story(const struct fixture *x)
{
	const struct age_identities ids = { (struct age_identity *)&x->auditor, 1 };
	static char out[512];
	char err[256];
	struct brec_reader *r = brec_reader_open(x->dir, &ids, err, sizeof(err));
	struct brec_item it;
	size_t n = 0;
	int got;

	assert_non_null(r);
	while ((got = brec_reader_next(r, &it)) == 1)
		if (it.type == BREC_ITEM_EVENT && it.event.kind != BREC_K_META)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%c%d:%.*s ", it.event.kind, (int)it.event.channel, (int)it.event.len, it.event.data);
	if (got < 0)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "!");
	for (enum brec_stream s = BREC_META; s < BREC_STREAMS && got == 0; s++)
		if (brec_reader_begun(r, s, &it.event))
			n += (size_t)snprintf(out + n, sizeof(out) - n, "cut %c%d:%.*s ", it.event.kind, (int)it.event.channel, (int)it.event.len, it.event.data);
	out[n] = '\0';
	brec_reader_close(r);
	return out;
}

/* The same of the script's lines. */
static const char *its_story(const struct fixture *x)
{
	static char out[512];
	char args[512], *save;
	size_t n = 0;
	int status;

	snprintf(args, sizeof(args), "events %s --identity %s/auditor.key", x->dir, x->dir);
	out[0] = '\0';
	for (char *line = strtok_r(run(args, &status), "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		json_t *e = json_loads(line, 0, NULL);
		const char *kind = json_string_value(json_object_get(e, "kind")), *data = json_string_value(json_object_get(e, "data"));

		if (e == NULL)
			break; /* of a traceback */
		assert_true(kind != NULL && data != NULL);
		if (strcmp(kind, "m") != 0)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s%d:%s ", json_object_get(e, "cut") != NULL ? "cut " : "", kind,
			    (int)json_integer_value(json_object_get(e, "channel")), data);
		json_decref(e);
	}
	if (status != 0)
		snprintf(out + n, sizeof(out) - n, "!");
	return out;
}

/* The next event of the stream goes on, whatever comes of others; and what does not decode is not read over. */
static void test_pieces(void **state)
{
#define MORE(kind) ((unsigned)(kind) | BREC_K_MORE)
	static const struct { struct piece p[4]; const char *story; } cases[] = {
		{ { { BREC_META, MORE('v'), 1, "A=long" }, { BREC_OUTPUT, 'o', 1, "between" }, { BREC_META, 'v', 1, "er" } }, "o1:between v1:A=longer " },
		{ { { BREC_OUTPUT, MORE('o'), 1, "a" }, { BREC_META, MORE('v'), 2, "x" }, { BREC_OUTPUT, 'o', 1, "b" }, { BREC_META, 'v', 2, "=1" } },
		    "o1:ab v2:x=1 " },
		{ { { BREC_META, MORE('v'), 1, "A=" }, { BREC_META, 'v', 2, "1" } }, "!" },
		{ { { BREC_META, MORE('v'), 1, "A=" }, { BREC_META, 'n', 1, "1" } }, "!" },
		{ { { BREC_META, MORE('v'), 1, "A=" }, { BREC_META, MORE('v'), 1, "lon" } }, "cut v1:A=lon " },
		{ { { BREC_META, 'n', 1, "x" }, { BREC_META, MORE(0), 1, "y" } }, "n1:x !" },
		/* 16 bytes of padding and nothing else */
		{ { { BREC_META, 'n', 1, "x" }, { BREC_META, 0, 0, "" } }, "n1:x !" },
		{ { { BREC_META, 'n', 1, "x" }, { BREC_OUTPUT, 1, 1, "new" } }, "n1:x \1" "1:new " },
	};
#undef MORE

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sign_key *collector = sign_key_generate();
		struct fixture *x = fx_open(false, false);

		pieces(x, cases[i].p, sizeof(cases[i].p) / sizeof(cases[i].p[0]));
		keys(x, collector);
		assert_string_equal(our_story(x), cases[i].story);
		assert_string_equal(its_story(x), cases[i].story);
		remove_keys(x);
		fx_destroy(x);
		sign_key_destroy(collector);
	}
}

int main(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(test_verdicts), cmocka_unit_test(test_receipts_in_any_order),
		cmocka_unit_test(test_odd_receipts),
		cmocka_unit_test(test_events), cmocka_unit_test(test_pieces) };
	char here[] = __FILE__;

	/* tests/unit/… to tests/ */
	snprintf(tests, sizeof(tests), "%s/..", dirname(here));
	return cmocka_run_group_tests(all, NULL, NULL);
}
