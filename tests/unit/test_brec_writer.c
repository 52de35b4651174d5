/*
 * test_brec_writer.c - what the session writes is what the auditor reads, in order, whoever may read what; sequences are
 * right before the frame exists; seals and checkpoints come when they are due; speed.
 */
#include "brec_fixture.h"

#include <time.h>

static struct brec_reader *reader(const struct fixture *x, const struct age_identities *ids)
{
	char err[256] = "";
	struct brec_reader *r = brec_reader_open(x->dir, ids, err, sizeof(err));

	if (r == NULL)
		fail_msg("%s", err);
	return r;
}

/* All items as one line: kind and text of events, L of locked frames, | of marks, # of the close. */
static char *story(struct brec_reader *r)
{
	static char out[65536];
	struct brec_item it;
	size_t o = 0;
	int got;

	out[0] = '\0';
	while ((got = brec_reader_next(r, &it)) == 1) {
		if (it.type == BREC_ITEM_EVENT)
			o += (size_t)snprintf(out + o, sizeof(out) - o, "%c(%.*s)", it.event.kind, (int)it.event.len,
			    (const char *)it.event.data);
		else
			o += (size_t)snprintf(out + o, sizeof(out) - o, "%c", "-L|#"[it.type]);
	}
	if (got < 0)
		snprintf(out + o, sizeof(out) - o, " error %s", brec_reader_error(r));
	return out;
}

#define META "m({\"user\":\"alice\",\"host\":\"web1\"})C({\"capability\":\"shell\"})"

static void test_round(void **state)
{
	struct fixture *x = fx_open(false, false);
	struct age_identities ids = { &x->auditor, 1 }, other = { &x->input_auditor, 1 };
	struct brec_reader *r;

	(void)state;
	fx_small(x, true);
	r = reader(x, &ids);
	assert_string_equal(story(r), META "i(ls\r)o(ls\r\nREADME\r\n)||e(late words\r\n)x()#");
	assert_true(brec_reader_info(r)->closed);
	assert_int_equal(brec_reader_info(r)->segments, 2);
	assert_int_equal(brec_reader_rewind(r), 0);
	assert_string_equal(story(r), META "i(ls\r)o(ls\r\nREADME\r\n)||e(late words\r\n)x()#");
	brec_reader_close(r);
	/* a stranger sees that there is something, and how much */
	r = reader(x, &other);
	assert_string_equal(story(r), "LLL||LL#");
	assert_false(brec_reader_info(r)->can_read[BREC_META]);
	brec_reader_close(r);
	r = reader(x, NULL);
	assert_string_equal(story(r), "LLL||LL#");
	brec_reader_close(r);
	fx_destroy(x);
}

static void test_split_input(void **state)
{
	struct fixture *x = fx_open(true, false);
	struct age_identities ids = { &x->auditor, 1 }, input = { &x->input_auditor, 1 }, both;
	struct age_identity two[2] = { x->auditor, x->input_auditor };
	struct brec_reader *r;

	(void)state;
	fx_small(x, true);
	r = reader(x, &ids);
	assert_string_equal(story(r), META "Lo(ls\r\nREADME\r\n)||e(late words\r\n)x()#");
	assert_true(brec_reader_info(r)->can_read[BREC_OUTPUT]);
	assert_false(brec_reader_info(r)->can_read[BREC_INPUT]);
	assert_int_equal(brec_reader_info(r)->locked[BREC_INPUT], 1);
	brec_reader_close(r);
	r = reader(x, &input);
	assert_string_equal(story(r), "Li(ls\r)L||LL#");
	brec_reader_close(r);
	both = (struct age_identities){ two, 2 };
	r = reader(x, &both);
	assert_string_equal(story(r), META "i(ls\r)o(ls\r\nREADME\r\n)||e(late words\r\n)x()#");
	brec_reader_close(r);
	fx_destroy(x);
}

static const char *story_with(const struct fixture *x, struct age_identity *v, size_t n)
{
	struct age_identities ids = { v, n };
	struct brec_reader *r = reader(x, &ids);
	const char *text = story(r);

	brec_reader_close(r);
	return text;
}

/* Input that takes one of each of two groups: either alone sees that something was typed. */
static void test_shared_input(void **state)
{
	struct fixture *x = fx_open(false, false);
	const char *to[] = { x->to, NULL }, *first[] = { x->to_input, NULL }, *second[2] = { NULL }, *none[] = { NULL };
	struct age_identity other;
	char to_other[AGE_RECIPIENT_LEN + 1];

	(void)state;
	assert_int_equal(age_identity_generate(&other), 0);
	age_recipient_format(to_other, other.pub);
	second[0] = to_other;
	assert_int_equal(brec_writer_recipients(x->w, to, none, second), -1);
	assert_int_equal(brec_writer_recipients(x->w, to, first, second), 0);
	fx_small(x, true);
#define LOCKED "|" META "Lo(ls\r\nREADME\r\n)||e(late words\r\n)x()#"
	assert_string_equal(story_with(x, (struct age_identity[]){ x->auditor }, 1), LOCKED);
	assert_string_equal(story_with(x, (struct age_identity[]){ x->auditor, x->input_auditor }, 2), LOCKED);
	assert_string_equal(story_with(x, (struct age_identity[]){ x->auditor, other }, 2), LOCKED);
	assert_string_equal(story_with(x, (struct age_identity[]){ x->input_auditor, other }, 2), "|Li(ls\r)L||LL#");
	assert_string_equal(story_with(x, (struct age_identity[]){ other, x->auditor, x->input_auditor }, 3),
	    "|" META "i(ls\r)o(ls\r\nREADME\r\n)||e(late words\r\n)x()#");
	fx_destroy(x);
}

/* An auditor who left cannot read what begins after that; the new one cannot read what was before. */
static void test_other_recipients(void **state)
{
	struct fixture *x = fx_open(false, false);
	const char *to[] = { x->to_input, NULL }, *bad[] = { "age1nonsense", NULL }, *none[] = { NULL };

	(void)state;
	fx_event(x, BREC_META, BREC_K_META, "{}");
	assert_int_equal(brec_writer_recipients(x->w, bad, none, none), -1);
	assert_int_equal(brec_writer_recipients(x->w, to, none, none), 0);
	fx_event(x, BREC_INPUT, BREC_K_IN, "after");
	/* the same again is no reason for a segment */
	assert_int_equal(brec_writer_recipients(x->w, to, none, none), 0);
	fx_event(x, BREC_INPUT, BREC_K_IN, " that");
	assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_NORMAL, ""), 0);
	fx_done(x);
	assert_string_equal(story_with(x, (struct age_identity[]){ x->auditor }, 1), "m({})|L#");
	assert_string_equal(story_with(x, (struct age_identity[]){ x->input_auditor }, 1), "L|i(after)i( that)#");
	fx_destroy(x);
}

/* Whatever the events and sizes: order, bytes, and the sequence that was promised. */
static void test_order_and_sequence(void **state)
{
	enum { EVENTS = 400 };
	static uint8_t noise[200000];
	static struct { uint8_t kind; uint64_t seq, sum; size_t len; } sent[EVENTS];
	static const struct { enum brec_stream stream; enum brec_kind kind; } what[] = {
		{ BREC_INPUT, BREC_K_IN }, { BREC_OUTPUT, BREC_K_OUT }, { BREC_OUTPUT, BREC_K_ERR }, { BREC_META, BREC_K_FILE },
	};
	struct fixture *x = fx_open(true, false);
	struct age_identity two[2] = { x->auditor, x->input_auditor };
	struct age_identities ids = { two, 2 };
	struct brec_reader *r;
	struct brec_item it;
	size_t n = 0, len = 0;
	uint64_t sum = 0;

	(void)state;
	srand(7);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)rand();
	brec_writer_limits(x->w, 300000, 1);
	for (size_t i = 0; i < EVENTS; i++) {
		const size_t k = (size_t)rand() % 4, size = rand() % 9 == 0 ? (size_t)rand() % sizeof(noise) : (size_t)rand() % 90;
		const uint64_t before = brec_writer_seq(x->w);

		sent[i].kind = (uint8_t)what[k].kind;
		sent[i].len = size;
		sent[i].sum = 0;
		for (size_t j = 0; j < size; j++)
			sent[i].sum = sent[i].sum * 31 + noise[j];
		sent[i].seq = brec_writer_event(x->w, what[k].stream, what[k].kind, x->now, i, noise, size);
		assert_true(sent[i].seq > before);
		x->now += (uint64_t)rand() % 20000;
		if (rand() % 3 == 0)
			assert_int_equal(brec_writer_flush(x->w, x->now), 0);
		if (rand() % 5 == 0)
			assert_true(brec_writer_tick(x->w, x->now) >= 0);
	}
	assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_KILLED, "revoked"), 0);
	assert_int_equal(brec_writer_event(x->w, BREC_META, BREC_K_NOTE, x->now, 0, "x", 1), 0);
	assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_KILLED, ""), -1);
	fx_done(x);
	assert_true(x->segment > 3);
	r = reader(x, &ids);
	while (brec_reader_next(r, &it) == 1 && it.type != BREC_ITEM_CLOSE) {
		if (it.type != BREC_ITEM_EVENT)
			continue;
		assert_int_equal(it.event.channel, n);
		assert_int_equal(it.event.kind, sent[n].kind);
		for (size_t j = 0; j < it.event.len; j++)
			sum = sum * 31 + it.event.data[j];
		if ((len += it.event.len) < sent[n].len)
			continue;
		assert_int_equal(len, sent[n].len);
		assert_int_equal(sum, sent[n].sum);
		assert_int_equal(it.seq, sent[n].seq);
		n++;
		len = sum = 0;
	}
	assert_string_equal(brec_reader_error(r), "");
	assert_int_equal(n, EVENTS);
	assert_int_equal(it.end, BREC_END_KILLED);
	assert_string_equal(it.reason, "revoked");
	brec_reader_close(r);
	fx_destroy(x);
}

/* The next item that is no mark. */
static int next_event(struct brec_reader *r, struct brec_item *it)
{
	int got;

	do {
		got = brec_reader_next(r, it);
	} while (got == 1 && it->type == BREC_ITEM_MARK);
	return got;
}

static void test_long_metadata(void **state)
{
	struct fixture *x = fx_open(false, false);
	struct age_identities ids = { &x->auditor, 1 };
	struct brec_reader *r = reader(x, &ids);
	struct brec_item it;
	char *text = malloc(BREC_EVENT_MAX + 1);

	(void)state;
	assert_non_null(text);
	memset(text, 'j', BREC_EVENT_MAX + 1);
	assert_int_equal(brec_writer_event(x->w, BREC_META, BREC_K_META, x->now, 0, text, BREC_EVENT_MAX + 1), 0);
	assert_true(brec_writer_event(x->w, BREC_META, BREC_K_META, x->now, 0, text, BREC_EVENT_MAX) > 1);
	fx_event(x, BREC_META, BREC_K_NOTE, "after");
	assert_int_equal(brec_writer_flush(x->w, x->now), 0);
	fflush(x->file);
	assert_int_equal(next_event(r, &it), 1);
	assert_int_equal(it.event.len, BREC_EVENT_MAX);
	assert_int_equal(it.event.kind, 'm');
	assert_memory_equal(it.event.data, text, BREC_EVENT_MAX);
	assert_int_equal(next_event(r, &it), 1);
	assert_int_equal(it.event.kind, 'n');
	/* it grows: nothing, then something */
	assert_int_equal(next_event(r, &it), 0);
	assert_int_equal(next_event(r, &it), 0);
	fx_event(x, BREC_OUTPUT, BREC_K_OUT, "more");
	assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_NORMAL, ""), 0);
	fflush(x->file);
	assert_int_equal(next_event(r, &it), 1);
	assert_memory_equal(it.event.data, "more", 4);
	assert_int_equal(next_event(r, &it), 1);
	assert_int_equal(it.type, BREC_ITEM_CLOSE);
	assert_int_equal(next_event(r, &it), 0);
	brec_reader_close(r);
	free(text);
	fx_destroy(x);
}

/* At every length of a growing recording the reader gives a prefix of the same story, and no error. */
static void test_growing(void **state)
{
	struct fixture *x = fx_open(false, false);
	struct age_identities ids = { &x->auditor, 1 };
	char names[2][128], whole[4096];
	uint8_t *data[2];
	size_t len[2];
	struct brec_reader *r;

	(void)state;
	fx_small(x, true);
	r = reader(x, &ids);
	snprintf(whole, sizeof(whole), "%s", story(r));
	brec_reader_close(r);
	for (uint32_t i = 0; i < 2; i++) {
		fx_name(x, i, names[i]);
		data[i] = fx_read(names[i], &len[i]);
		unlink(names[i]);
	}
	fx_write(names[0], data[0], 0);
	r = reader(x, &ids);
	for (size_t i = 0, told = 0; i <= len[0] + len[1]; i++) {
		const char *more;

		if (i <= len[0])
			fx_write(names[0], data[0], i);
		else
			fx_write(names[1], data[1], i - len[0]);
		more = story(r);
		assert_memory_equal(more, whole + told, strlen(more));
		told += strlen(more);
		assert_string_equal(brec_reader_error(r), "");
		if (i == len[0] + len[1])
			assert_int_equal(told, strlen(whole));
	}
	brec_reader_close(r);
	free(data[0]);
	free(data[1]);
	fx_destroy(x);
}

/* Any byte bent: the reader tells the beginning of the true story, then that something is wrong, or stops. */
static void test_damage(void **state)
{
	struct fixture *x = fx_open(true, false);
	struct age_identity two[2] = { x->auditor, x->input_auditor };
	struct age_identities ids = { two, 2 };
	char name[128], whole[4096];
	struct brec_reader *r;
	uint8_t *data;
	size_t len;

	(void)state;
	fx_small(x, true);
	r = reader(x, &ids);
	snprintf(whole, sizeof(whole), "%s", story(r));
	brec_reader_close(r);
	for (uint32_t i = 0; i < 2; i++) {
		fx_name(x, i, name);
		data = fx_read(name, &len);
		for (size_t at = 0; at < len; at++) {
			FILE *f = fopen(name, "r+b");
			char *told, *error;

			assert_non_null(f);
			assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
			fputc(data[at] ^ 1 << at % 8, f);
			fflush(f);
			r = reader(x, &ids);
			told = story(r);
			if ((error = strstr(told, " error ")) != NULL)
				*error = '\0';
			/* LOCKED where a stanza was bent; header fields that only the signature covers change nothing */
			if (strchr(told, 'L') == NULL)
				assert_memory_equal(told, whole, strlen(told));
			brec_reader_close(r);
			fseek(f, (long)at, SEEK_SET);
			fputc(data[at], f);
			fclose(f);
		}
		free(data);
	}
	fx_destroy(x);
}

static void test_due(void **state)
{
	struct fixture *x = fx_open(false, false);

	(void)state;
	/* idle: a checkpoint a minute, and no seal */
	assert_int_equal(brec_writer_tick(x->w, x->now), 60000);
	x->now += 59999000;
	assert_int_equal(brec_writer_tick(x->w, x->now), 1);
	assert_int_equal(x->seq, 0);
	x->now += 1000;
	assert_int_equal(brec_writer_tick(x->w, x->now), 60000);
	assert_int_equal(x->seq, 1);
	x->now += 600000000;
	assert_int_equal(brec_writer_tick(x->w, x->now), 60000);
	assert_int_equal(x->seq, 2);
	assert_int_equal(x->segment, 0);
	/* a frame: checkpoint 1 s after, seal 60 s after */
	fx_event(x, BREC_OUTPUT, BREC_K_OUT, "x");
	assert_int_equal(brec_writer_tick(x->w, x->now), 1000);
	assert_int_equal(x->seq, 3);
	x->now += 500000;
	fx_event(x, BREC_OUTPUT, BREC_K_OUT, "y");
	assert_int_equal(brec_writer_tick(x->w, x->now), 500);
	x->now += 500000;
	assert_int_equal(brec_writer_tick(x->w, x->now), 59000);
	assert_int_equal(x->seq, 5);
	x->now += 59000000;
	assert_int_equal(brec_writer_tick(x->w, x->now), 60000);
	assert_int_equal(x->segment, 1);
	assert_int_equal(x->seq, 6);
	/* only the first segment's part can be asked for */
	struct buf b;
	buf_init(&b, BREC_PART_MAX);
	assert_int_equal(brec_writer_part(x->w, &b), -1);
	buf_finish(&b);
	fx_destroy(x);
}

static int refuse_frame(void *ctx, const uint8_t *frame, size_t len, uint64_t seq)
{
	(void)ctx, (void)frame, (void)len, (void)seq;
	return -1;
}

static void test_broken(void **state)
{
	static const struct brec_writer_ops ops = { refuse_frame, fx_mark, fx_seal, fx_close };
	struct fixture *x = fx_open(false, false);
	const char *to[] = { x->to, NULL }, *bad[] = { x->to, "age1nonsense", NULL }, *none[] = { NULL };
	struct brec_writer *w = brec_writer_create(x->id, to, NULL, 0, &ops, NULL);

	(void)state;
	assert_non_null(w);
	assert_int_equal(brec_writer_event(w, BREC_META, BREC_K_META, 0, 0, "{}", 2), 1);
	assert_int_equal(brec_writer_flush(w, 0), -1);
	assert_int_equal(brec_writer_flush(w, 0), -1);
	assert_int_equal(brec_writer_tick(w, 0), -1);
	assert_int_equal(brec_writer_close(w, 0, BREC_END_NORMAL, ""), -1);
	assert_int_equal(brec_writer_event(w, BREC_META, BREC_K_META, 0, 0, "{}", 2), 0);
	brec_writer_destroy(w);
	brec_writer_destroy(NULL);
	assert_null(brec_writer_create(x->id, bad, NULL, 0, &ops, NULL));
	assert_null(brec_writer_create(x->id, to, bad, 0, &ops, NULL));
	assert_null(brec_writer_create(x->id, none, NULL, 0, &ops, NULL));
	fx_destroy(x);
}

static uint64_t cpu_us(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Not a measurement, a floor: far under what any machine does, far over what a mistake would leave. */
static void test_speed(void **state)
{
	enum { PIECE = 32768, TIMES = 8192 };
	static uint8_t data[PIECE];
	struct fixture *x = fx_open(false, true);
	uint64_t start = cpu_us(), us;

	(void)state;
	for (int i = 0; i < TIMES; i++)
		assert_true(brec_writer_event(x->w, BREC_OUTPUT, BREC_K_OUT, x->now += 100, 1, data, PIECE) != 0);
	us = cpu_us() - start + 1;
	print_message("bulk: %.0f MB/s with chain, %u seals\n", (double)PIECE * TIMES / (double)us, x->segment);
	assert_true((double)PIECE * TIMES / (double)us > 20);
	start = cpu_us();
	for (int i = 0; i < 100000; i++) {
		assert_true(brec_writer_event(x->w, BREC_OUTPUT, BREC_K_OUT, x->now += 100, 1, data, 80) != 0);
		assert_int_equal(brec_writer_flush(x->w, x->now), 0);
	}
	us = cpu_us() - start + 1;
	print_message("80-byte frames: %.2f us each with chain\n", (double)us / 100000);
	fx_destroy(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round), cmocka_unit_test(test_split_input), cmocka_unit_test(test_shared_input),
		cmocka_unit_test(test_other_recipients), cmocka_unit_test(test_order_and_sequence),
		cmocka_unit_test(test_long_metadata), cmocka_unit_test(test_growing), cmocka_unit_test(test_damage), cmocka_unit_test(test_due),
		cmocka_unit_test(test_broken), cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
