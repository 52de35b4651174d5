/*
 * test_brec_verify.c - the verdicts: every flipped bit, every cut, every frame or segment taken out, moved or brought in from
 * elsewhere, with and without the collector's receipts.
 *
 * WRAP: clock_wall_us
 */
#include "brec_fixture.h"

#include "brec_follow.h"
#include "hex.h"
#include "tlog_act.h"
#include "tlog_reader.h"

#include "wire_receipt.h"

struct files {
	char name[3][128];		/* segments 0 and 1, receipts */
	uint8_t *data[3];
	size_t len[3];
};

static struct sign_key *collector;
static uint8_t collector_pub[1][KEY_LEN];

static enum brec_verdict judge(const struct fixture *x, struct brec_report *out, bool receipts)
{
	const struct brec_trust trust = { (const uint8_t (*)[KEY_LEN])x->pub, 1,
		(const uint8_t (*)[KEY_LEN])collector_pub, receipts ? 1 : 0, NULL };
	enum brec_verdict v = brec_verify_dir(x->dir, &trust, out);

	assert_int_equal(v, out->verdict);
	assert_true(out->reason[0] != '\0');
	assert_true(out->signed_seq <= out->last_seq);
	return v;
}

static void load(const struct fixture *x, struct files *f, bool receipts)
{
	for (uint32_t i = 0; i < 2; i++)
		fx_name(x, i, f->name[i]);
	snprintf(f->name[2], sizeof(f->name[2]), "%s/receipts", x->dir);
	f->data[2] = NULL;
	for (int i = 0; i < (receipts ? 3 : 2); i++)
		f->data[i] = fx_read(f->name[i], &f->len[i]);
}

static void unload(struct files *f)
{
	for (int i = 0; i < 3; i++)
		free(f->data[i]);
}

static void put_back(const struct files *f, int i)
{
	fx_write(f->name[i], f->data[i], f->len[i]);
}

/* One byte in place: writing a file anew costs a flush on some file systems. */
static void put_byte(const struct files *f, int i, size_t at)
{
	FILE *file = fopen(f->name[i], "r+b");

	assert_non_null(file);
	assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
	assert_int_equal(fputc(f->data[i][at], file), f->data[i][at]);
	assert_int_equal(fclose(file), 0);
}

/* Receipts for the logged frames `step` apart, each in a batch with two strangers. */
static void write_receipts(const struct fixture *x, size_t from, size_t step)
{
	char name[128];
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = from; i < x->logged; i += step) {
		struct wire_leaf leaves[3] = { { .seq = 9 }, { .seq = x->log[i].seq }, { .seq = 7 } };
		struct receipt r;
		uint8_t sig[SIG_LEN];

		memcpy(leaves[1].id, x->id, BREC_ID_LEN);
		memcpy(leaves[1].h, x->log[i].h, BREC_HASH_LEN);
		assert_int_equal(receipt_sign(collector, collector_pub[0], 5, leaves, 3, sig), 0);
		assert_int_equal(receipt_extract(&r, collector_pub[0], 5, leaves, 3, 1, sig), 0);
		assert_int_equal(receipt_put(&b, &r), 0);
	}
	snprintf(name, sizeof(name), "%s/receipts", x->dir);
	fx_write(name, b.data, b.len);
	buf_finish(&b);
}

static void test_good(void **state)
{
	struct fixture *x = fx_open(true, false), *y = fx_open(false, false);
	struct brec_report out;
	struct brec_trust nobody = { 0 };

	(void)state;
	fx_small(x, true);
	assert_int_equal(judge(x, &out, false), BREC_COMPLETE);
	assert_memory_equal(out.id, x->id, BREC_ID_LEN);
	assert_int_equal(out.segments, 2);
	assert_int_equal(out.last_seq, x->seq);
	assert_int_equal(out.signed_seq, x->seq);
	assert_int_equal(out.receipt_seq, 0);
	assert_true(out.closed);
	assert_int_equal(out.end, BREC_END_NORMAL);
	assert_string_equal(out.end_reason, "the user left");
	assert_int_equal(out.first_wall_us, FIXTURE_WALL + 5000000);
	assert_true(out.last_wall_us > out.first_wall_us);
	write_receipts(x, 0, 2);
	assert_int_equal(judge(x, &out, true), BREC_COMPLETE);
	assert_int_equal(out.receipts, (x->logged + 1) / 2);
	assert_true(out.receipt_seq + 1 >= x->seq);
	/* the receipts of a collector that nobody trusts prove nothing */
	assert_int_equal(judge(x, &out, false), BREC_COMPLETE);
	assert_int_equal(out.receipts, 0);
	assert_int_equal(brec_verify_dir(x->dir, &nobody, &out), BREC_UNVERIFIABLE);

	fx_small(y, false);
	assert_int_equal(judge(y, &out, false), BREC_ABANDONED);
	assert_int_equal(out.last_seq, y->seq);
	assert_true(out.signed_seq < out.last_seq && out.signed_seq > 0);
	fx_destroy(x);
	fx_destroy(y);
	assert_int_equal(brec_verify_dir("/nonexistent", &nobody, &out), BREC_UNVERIFIABLE);
	assert_int_equal(brec_verify_dir("/tmp", &nobody, &out), BREC_UNVERIFIABLE);
}

/* No flipped bit passes, and none moves what is proven past the place where it is. */
static void test_every_bit(void **state)
{
	struct fixture *x = fx_open(true, false);
	struct brec_report out;
	struct files f;

	(void)state;
	fx_small(x, true);
	load(x, &f, false);
	for (int i = 0; i < 2; i++) {
		for (size_t byte = 0; byte < f.len[i]; byte++) {
			for (int bit = 0; bit < 8; bit++) {
				f.data[i][byte] ^= (uint8_t)(1 << bit);
				put_byte(&f, i, byte);
				judge(x, &out, false);
				if (out.verdict == BREC_COMPLETE || out.verdict == BREC_ABANDONED)
					fail_msg("segment %d byte %zu bit %d: %s: %s", i, byte, bit,
					    brec_verdict_name(out.verdict), out.reason);
				if (out.file[0] != '\0' && (strcmp(out.file, i == 0 ? "00000000.brec" : "00000001.brec") != 0 ||
				    out.offset > byte))
					fail_msg("segment %d byte %zu bit %d: found at %s %llu", i, byte, bit, out.file,
					    (unsigned long long)out.offset);
				f.data[i][byte] ^= (uint8_t)(1 << bit);
			}
			put_byte(&f, i, byte);
		}
	}
	assert_int_equal(judge(x, &out, false), BREC_COMPLETE);
	unload(&f);
	fx_destroy(x);
}

/* Every shorter file is cut, abandoned or a gap, never complete; with receipts never even abandoned. */
static void test_every_cut(void **state)
{
	struct fixture *x = fx_open(false, false);
	struct brec_report out;
	struct files f;

	(void)state;
	fx_small(x, true);
	write_receipts(x, 0, 1);
	load(x, &f, true);
	for (int i = 1; i >= 0; i--) {
		for (size_t len = f.len[i]; len-- > 0;) {
			assert_int_equal(truncate(f.name[i], (off_t)len), 0);
			judge(x, &out, false);
			assert_true(out.verdict == BREC_CUT || out.verdict == BREC_ABANDONED);
			assert_true(out.offset <= len);
			judge(x, &out, true);
			assert_int_equal(out.verdict, BREC_CUT);
		}
		unlink(f.name[i]);
		judge(x, &out, true);
		assert_int_equal(out.verdict, i == 1 ? BREC_CUT : BREC_UNVERIFIABLE);
	}
	/* the same in the first segment while the second is there */
	put_back(&f, 1);
	assert_int_equal(judge(x, &out, false), BREC_GAP);
	for (size_t len = 0; len < f.len[0]; len += 3) {
		fx_write(f.name[0], f.data[0], len);
		assert_int_equal(judge(x, &out, false), BREC_GAP);
	}
	unload(&f);
	fx_destroy(x);
}

/* Where the frames of a segment begin; n of them, and the end. */
static size_t frames(const uint8_t *data, size_t len, size_t at[32])
{
	struct brec_header h;
	struct brec_frame fr;
	size_t n = 0, off;

	assert_int_equal(brec_header_decode(data, len, &h), 0);
	for (off = h.len; off < len; off += fr.len) {
		at[n++] = off;
		assert_true(n < 32);
		assert_int_equal(brec_frame_decode(data + off, len - off, &fr), 0);
	}
	at[n] = off;
	return n;
}

static void test_frames_moved(void **state)
{
	struct fixture *x = fx_open(false, false);
	struct brec_report out;
	struct files f;
	size_t at[32], n;
	uint8_t *copy = malloc(1 << 20);

	(void)state;
	assert_non_null(copy);
	fx_small(x, true);
	load(x, &f, false);
	n = frames(f.data[0], f.len[0], at);
	assert_true(n >= 5);
	for (size_t i = 0; i < n; i++) {
		const size_t size = at[i + 1] - at[i], rest = f.len[0] - at[i + 1];

		/* taken out */
		memcpy(copy, f.data[0], at[i]);
		memcpy(copy + at[i], f.data[0] + at[i + 1], rest);
		fx_write(f.name[0], copy, f.len[0] - size);
		assert_int_equal(judge(x, &out, false), BREC_GAP);
		assert_int_equal(out.last_seq, i);
		/* twice */
		memcpy(copy, f.data[0], at[i + 1]);
		memcpy(copy + at[i + 1], f.data[0] + at[i], size);
		memcpy(copy + at[i + 1] + size, f.data[0] + at[i + 1], rest);
		fx_write(f.name[0], copy, f.len[0] + size);
		assert_int_equal(judge(x, &out, false), BREC_FORGED);
		/* its body changed, with a good crc: the next signature shows it */
		memcpy(copy, f.data[0], f.len[0]);
		copy[at[i] + BREC_FRAME_HEAD] ^= 1;
		brec_frame_end(copy + at[i], size);
		fx_write(f.name[0], copy, f.len[0]);
		assert_int_equal(judge(x, &out, false), BREC_FORGED);
		assert_true(out.signed_seq <= i);
	}
	/* bytes behind the close, a segment behind the close */
	put_back(&f, 0);
	memcpy(copy, f.data[1], f.len[1]);
	copy[f.len[1]] = 0;
	fx_write(f.name[1], copy, f.len[1] + 1);
	assert_int_equal(judge(x, &out, false), BREC_FORGED);
	put_back(&f, 1);
	x->segment = 2;
	fx_name(x, 2, f.name[2]);
	fx_write(f.name[2], f.data[1], f.len[1]);
	assert_int_equal(judge(x, &out, false), BREC_FORGED);
	unlink(f.name[2]);
	/* segments swapped */
	fx_write(f.name[0], f.data[1], f.len[1]);
	fx_write(f.name[1], f.data[0], f.len[0]);
	assert_int_equal(judge(x, &out, false), BREC_FORGED);
	unload(&f);
	free(copy);
	fx_destroy(x);
}

/* A segment of another recording by the same bastion, and one by another bastion. */
static void test_splice(void **state)
{
	struct fixture *x = fx_open(false, false), *y = fx_open(false, false);
	struct brec_report out;
	struct files fx, fy;
	struct sign_key *own = y->key;

	(void)state;
	fx_small(x, true);
	/* after its first header y is signed by x's signer */
	y->key = x->key;
	sign_key_public(y->key, y->pub);
	fx_small(y, true);
	load(x, &fx, false);
	load(y, &fy, false);
	fx_write(fx.name[1], fy.data[1], fy.len[1]);
	assert_int_equal(judge(x, &out, false), BREC_FORGED);
	/* y's first header was signed by its own key before the exchange: an unknown signer */
	assert_int_equal(judge(y, &out, false), BREC_UNVERIFIABLE);
	sign_key_public(own, y->pub);
	/* the right signer for segment 0, another one in its frames */
	assert_int_equal(judge(y, &out, false), BREC_FORGED);
	y->key = own;
	unload(&fx);
	unload(&fy);
	fx_destroy(x);
	fx_destroy(y);
}

static void test_receipts(void **state)
{
	struct fixture *x = fx_open(false, false), *y = fx_open(false, false);
	struct brec_report out;
	struct files f;

	(void)state;
	fx_small(x, false);
	write_receipts(x, x->logged - 1, 1);
	load(x, &f, true);
	assert_int_equal(judge(x, &out, true), BREC_ABANDONED);
	assert_int_equal(out.receipt_seq, x->seq);
	/* the last frame is gone: without the receipt nobody could know */
	fx_write(f.name[1], f.data[1], f.len[1] - 64);
	assert_int_equal(judge(x, &out, true), BREC_CUT);
	put_back(&f, 1);
	/* damaged in any bit: a lone receipt counts as torn or shows as false, it is never used */
	for (size_t byte = 0; byte < f.len[2]; byte++) {
		f.data[2][byte] ^= 0x10;
		put_back(&f, 2);
		judge(x, &out, true);
		assert_true(out.verdict == BREC_ABANDONED && out.receipt_seq == 0);
		f.data[2][byte] ^= 0x10;
	}
	/* with others behind it: false */
	write_receipts(x, 0, 1);
	free(f.data[2]);
	f.data[2] = fx_read(f.name[2], &f.len[2]);
	f.data[2][60] ^= 1;
	put_back(&f, 2);
	assert_int_equal(judge(x, &out, true), BREC_FORGED);
	assert_string_equal(out.file, "receipts");
	/* also where few bytes follow; but not for who trusts no collector */
	f.data[2][60] ^= 1;
	f.data[2][f.len[2] - 300] ^= 1;
	put_back(&f, 2);
	assert_int_equal(judge(x, &out, true), BREC_FORGED);
	assert_int_equal(judge(x, &out, false), BREC_ABANDONED);
	/* receipts of another recording, and for other frames of this one */
	fx_small(y, false);
	write_receipts(y, 0, 1);
	unload(&f);
	load(y, &f, true);
	fx_write(strcat(strcpy(f.name[0], x->dir), "/receipts"), f.data[2], f.len[2]);
	assert_int_equal(judge(x, &out, true), BREC_FORGED);
	memcpy(y->id, x->id, BREC_ID_LEN);
	write_receipts(y, 0, 1);
	free(f.data[2]);
	f.data[2] = fx_read(f.name[2], &f.len[2]);
	fx_write(f.name[0], f.data[2], f.len[2]);
	assert_int_equal(judge(x, &out, true), BREC_FORGED);
	/* an untrusted collector may say what it likes */
	assert_int_equal(judge(x, &out, false), BREC_ABANDONED);
	unload(&f);
	fx_destroy(x);
	fx_destroy(y);
}

static int64_t now_us;

int64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void)
{
	return now_us;
}

/* The leaf that the recording's segment makes: of its header, or of all of it. */
static void add_leaf(struct tlog_log *log, const struct fixture *x, enum tlog_leaf_type type)
{
	struct tlog_leaf leaf = { .type = type, .reason = "" };
	uint8_t bytes[TLOG_LEAF_MAX], hash[HASH_LEN], *data;
	struct brec_header h;
	struct brec_frame f;
	char name[128];
	size_t len, at;

	fx_name(x, 0, name);
	data = fx_read(name, &len);
	assert_int_equal(brec_header_decode(data, len, &h), 0);
	memcpy(leaf.id, x->id, BREC_ID_LEN);
	assert_int_equal(brec_chain_start(leaf.h, data, h.len), 0);
	for (at = h.len; type != TLOG_OPEN && at < len; at += f.len) {
		assert_int_equal(brec_frame_decode(data + at, len - at, &f), 0);
		assert_int_equal(brec_chain_add(leaf.h, data + at, f.len), 0);
		leaf.seq = f.seq;
	}
	assert_int_equal(sha256_spans(leaf.file_hash, SPANS(SPAN(data, at))), 0);
	len = tlog_leaf_encode(bytes, &leaf);
	assert_int_equal(tlog_hash_leaf(hash, bytes, len), 0);
	assert_int_equal(tlog_log_add(log, log->n, bytes, len, hash), 0);
	tlog_log_sort(log);
	free(data);
}

static enum brec_verdict judge_at(const struct fixture *x, const struct tlog_log *log, int64_t at_us)
{
	const struct brec_trust trust = { (const uint8_t (*)[KEY_LEN])x->pub, 1, (const uint8_t (*)[KEY_LEN])collector_pub, 1, log };
	struct brec_report out;

	now_us = at_us;
	return brec_verify_dir(x->dir, &trust, &out);
}

/* What the log knows no end of is open, for as long as the last signature and the first header are near; a bundle never knows. */
static void test_open(void **state)
{
	const int64_t bound = BREC_OPEN_US, longest = 30 * 86400000000LL;
	struct fixture *x = fx_open(false, false), *old = fx_open(false, false);
	struct tlog_log log = { .state = TLOG_GOOD }, other = { .state = TLOG_GOOD };
	struct brec_header h;
	int64_t first, alive;
	char last[128];
	uint8_t *data;
	size_t len;

	(void)state;
	fx_small(x, false);
	alive = FIXTURE_WALL + (int64_t)x->now;
	assert_int_equal(judge_at(x, &log, alive), BREC_ABANDONED);
	add_leaf(&log, x, TLOG_OPEN);
	assert_int_equal(judge_at(x, &log, alive), BREC_ABANDONED); /* its seal is not in the log */
	add_leaf(&log, x, TLOG_SEAL);
	assert_int_equal(judge_at(x, &log, alive), BREC_OPEN);
	assert_int_equal(judge_at(x, &log, alive + bound), BREC_OPEN);
	assert_int_equal(judge_at(x, &log, alive + bound + 1), BREC_ABANDONED);
	assert_int_equal(judge_at(x, &log, alive - bound), BREC_OPEN);
	assert_int_equal(judge_at(x, &log, alive - bound - 1), BREC_ABANDONED);
	log.part = true;
	assert_int_equal(judge_at(x, &log, alive), BREC_ABANDONED);
	log.part = false;
	log.state = TLOG_UNVERIFIABLE;
	assert_int_equal(judge_at(x, &log, alive), BREC_UNVERIFIABLE);
	log.state = TLOG_GOOD;
	/* somebody signed for what is not here */
	write_receipts(x, x->logged - 1, 1);
	assert_int_equal(judge_at(x, &log, alive), BREC_OPEN);
	fx_name(x, 1, last);
	assert_int_equal(unlink(last), 0);
	assert_int_equal(judge_at(x, &log, alive), BREC_CUT);
	/* so did the bastion, with a seal: it is in the log */
	snprintf(last, sizeof(last), "%s/receipts", x->dir);
	assert_int_equal(unlink(last), 0);
	fx_name(x, 0, last);
	data = fx_read(last, &len);
	assert_int_equal(brec_header_decode(data, len, &h), 0);
	fx_write(last, data, h.len);
	assert_int_equal(judge_at(x, &log, FIXTURE_WALL), BREC_CUT);
	free(data);

	first = FIXTURE_WALL + (int64_t)old->now;
	fx_event(old, BREC_META, BREC_K_META, "{}");
	assert_int_equal(brec_writer_flush(old->w, old->now), 0);
	old->now += (uint64_t)longest;
	assert_true(brec_writer_tick(old->w, old->now) > 0); /* seals */
	fx_done(old);
	add_leaf(&other, old, TLOG_OPEN);
	add_leaf(&other, old, TLOG_SEAL);
	assert_int_equal(judge_at(old, &other, first + longest), BREC_OPEN);
	assert_int_equal(judge_at(old, &other, first + longest + 1), BREC_ABANDONED);
	tlog_log_finish(&log);
	tlog_log_finish(&other);
	fx_destroy(x);
	fx_destroy(old);
}

/* The leaf that removes a recording whose last signed frame is the seal of segment 0; or one of a hold. */
static void add_act(struct tlog_log *log, const struct fixture *x, enum tlog_leaf_type type, int64_t wall_us)
{
	struct tlog_act a = { .type = type, .wall_us = wall_us, .days = TLOG_PRUNE_DAYS, .who = SPAN("retention", 9), .why = SPAN("its time", 8) };
	uint8_t bytes[TLOG_ACT_MAX], hash[HASH_LEN], *data;
	struct brec_header h;
	struct brec_frame f;
	char name[128];
	size_t len, at;

	fx_name(x, 0, name);
	data = fx_read(name, &len);
	assert_int_equal(brec_header_decode(data, len, &h), 0);
	for (at = h.len; at < len; at += f.len) {
		assert_int_equal(brec_frame_decode(data + at, len - at, &f), 0);
		a.close = SPAN(data + at, f.len);
	}
	memcpy(a.id, x->id, BREC_ID_LEN);
	assert_int_equal(sha256_spans(a.file_hash, SPANS(SPAN(data, len))), 0);
	len = tlog_act_encode(bytes, &a);
	assert_int_equal(tlog_hash_leaf(hash, bytes, len), 0);
	assert_int_equal(tlog_log_add(log, log->n, bytes, len, hash), 0);
	tlog_log_sort(log);
	free(data);
}

/* Half of it is gone. A lapse leaf explains that in a log that has neither a close nor a hold; a bundle cannot show that there is none. */
static void test_pruned(void **state)
{
	const int64_t day = 86400000000LL, late = FIXTURE_WALL + (TLOG_PRUNE_DAYS + TLOG_SESSION_DAYS + 1) * day;
	struct fixture *x = fx_open(false, false);
	struct tlog_log log = { .state = TLOG_GOOD }, held = { .state = TLOG_GOOD }, twice = { .state = TLOG_GOOD };
	struct tlog_log *const logs[] = { &log, &held, &twice };
	char last[128];

	(void)state;
	fx_small(x, true);
	fx_name(x, 1, last);
	assert_int_equal(unlink(last), 0);
	for (int i = 0; i < 3; i++) {
		add_leaf(logs[i], x, TLOG_OPEN);
		add_leaf(logs[i], x, TLOG_SEAL);
	}
	/* one seal more than the segments that the lapse leaf speaks of */
	add_leaf(&twice, x, TLOG_SEAL);
	add_act(&twice, x, TLOG_LAPSE, late);
	assert_int_equal(judge_at(x, &twice, late), BREC_CUT);
	add_act(&held, x, TLOG_HOLD, late);
	add_act(&held, x, TLOG_LAPSE, late);
	assert_int_equal(judge_at(x, &held, late), BREC_CUT);
	assert_int_equal(judge_at(x, &log, late), BREC_CUT);
	add_act(&log, x, TLOG_LAPSE, late);
	assert_int_equal(judge_at(x, &log, late), BREC_PRUNED);
	log.part = true;
	assert_int_equal(judge_at(x, &log, late), BREC_CUT);
	for (int i = 0; i < 3; i++)
		tlog_log_finish(logs[i]);
	fx_destroy(x);
}

static void test_strange_files(void **state)
{
	struct fixture *x = fx_open(false, false);
	const struct brec_trust trust = { .signers = &x->pub, .nsigners = 1 };
	struct brec_follow follow;
	struct brec_report out;
	struct files f;
	char other[160], id[2 * BREC_ID_LEN + 1];

	(void)state;
	fx_small(x, true);
	load(x, &f, false);
	/* under its own name, and under that of another recording */
	snprintf(other, sizeof(other), "%s/%s", x->dir, hex_encode(id, x->id, BREC_ID_LEN));
	assert_int_equal(symlink(".", other), 0);
	assert_int_equal(brec_verify_dir(other, &trust, &out), BREC_COMPLETE);
	unlink(other);
	id[31] = id[31] == '0' ? '1' : '0';
	snprintf(other, sizeof(other), "%s/%s", x->dir, id);
	assert_int_equal(symlink(".", other), 0);
	assert_int_equal(brec_verify_dir(other, &trust, &out), BREC_FORGED);
	assert_int_equal(brec_follow_open(&follow, other, &trust), 0);
	assert_int_equal(brec_follow_step(&follow), -1);
	brec_follow_close(&follow);
	strcat(other, "//");
	assert_int_equal(brec_verify_dir(other, &trust, &out), BREC_FORGED);
	other[strlen(other) - 2] = '\0';
	unlink(other);
	/* files of other names are nobody's business */
	snprintf(other, sizeof(other), "%s/000000002.brec", x->dir);
	fx_write(other, "x", 1);
	assert_int_equal(judge(x, &out, false), BREC_COMPLETE);
	unlink(other);
	/* a link or a pipe in place of a segment is not followed */
	unlink(f.name[1]);
	assert_int_equal(symlink("/etc/passwd", f.name[1]), 0);
	assert_int_equal(judge(x, &out, false), BREC_UNVERIFIABLE);
	unlink(f.name[1]);
	assert_int_equal(mkfifo(f.name[1], 0600), 0);
	assert_int_equal(judge(x, &out, false), BREC_UNVERIFIABLE);
	unlink(f.name[1]);
	/* another version */
	f.data[0][9] = 2;
	put_back(&f, 0);
	assert_int_equal(judge(x, &out, false), BREC_UNVERIFIABLE);
	unload(&f);
	fx_destroy(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_every_bit), cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_frames_moved), cmocka_unit_test(test_splice), cmocka_unit_test(test_receipts),
		cmocka_unit_test(test_open), cmocka_unit_test(test_pruned), cmocka_unit_test(test_strange_files),
	};
	int r;

	collector = sign_key_generate();
	sign_key_public(collector, collector_pub[0]);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	sign_key_destroy(collector);
	return r;
}
