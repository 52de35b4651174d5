/*
 * test_otp.c - one-time codes: the RFC's vectors, one code one login, throttling, enrolment, grace.
 */
#include "store_rig.h"

#include <liboath/oath.h>
#include <sys/wait.h>

static const uint8_t rfc_secret[TOTP_SECRET_LEN] = "12345678901234567890";

static const char *code_at(const uint8_t *secret, int64_t t)
{
	static char out[OTP_DIGITS + 1];

	assert_int_equal(oath_totp_generate((const char *)secret, TOTP_SECRET_LEN, (time_t)t, OTP_STEP, 0, OTP_DIGITS, out), OATH_OK);
	return out;
}

/* RFC 6238 appendix B, SHA-1, the last six digits. */
static void vectors(void **state)
{
	static const struct { int64_t t; const char *code; } v[] = {
		{ 59, "287082" }, { 1111111109, "081804" }, { 1111111111, "050471" }, { 1234567890, "005924" },
		{ 2000000000, "279037" }, { 20000000000, "353130" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_int_equal(otp_match(rfc_secret, v[i].code, v[i].t + 60, 2), v[i].t / 30);
}

static void window_is_one_step(void **state)
{
	(void)state;
	for (int d = -3; d <= 3; d++) {
		int64_t want = d >= -1 && d <= 1 ? NOW / 30 + d : -1;

		assert_int_equal(otp_match(rfc_secret, code_at(rfc_secret, NOW + 30 * d), NOW, OTP_WINDOW), want);
	}
}

static void six_digits_and_nothing_else(void **state)
{
	static const char *const bad[] = { "", "1", "12345", "1234567", "12345678", "12345a", " 12345", "123456 ", "-12345", "\xd9\xa1""2345" };
	char longer[9];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(otp_match(rfc_secret, bad[i], NOW, OTP_WINDOW), -1);
	/* eight digits that would be right as eight digits */
	assert_int_equal(oath_totp_generate((const char *)rfc_secret, 20, (time_t)NOW, 30, 0, 8, longer), OATH_OK);
	assert_int_equal(otp_match(rfc_secret, longer, NOW, OTP_WINDOW), -1);
}

static struct user alice;

/* alice with a secret in force. */
static int setup_enrolled(void **state)
{
	setup_world(state);
	assert_int_equal(store_user_by_name(rig.s, "alice", &alice), 1);
	assert_int_equal(store_totp_enrol(rig.s, alice.id, rfc_secret, NOW - 1000), 0);
	assert_int_equal(store_totp_confirm(rig.s, alice.id, 1, 0, NOW - 1000), 0);
	return 0;
}

#define CHECK(dev, code, t) otp_check(rig.s, &alice, dev, "10.0.0.9", code, t)

static void one_code_one_login(void **state)
{
	int64_t failures, not_before;

	(void)state;
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW), NOW), OTP_ACCEPTED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW), NOW), OTP_REPLAYED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW), NOW + 29), OTP_REPLAYED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW - 30), NOW), OTP_REPLAYED); /* older than the last */
	assert_int_equal(store_throttle(rig.s, alice.id, 1, &failures, &not_before), 0); /* none of it counted */
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + 30), NOW), OTP_ACCEPTED);
	assert_int_equal(CHECK(1, "000000", NOW), OTP_REFUSED);
}

static void replay_takes_no_failure_back(void **state)
{
	int64_t failures, not_before;

	(void)state;
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW), NOW), OTP_ACCEPTED);
	assert_int_equal(CHECK(1, "000000", NOW), OTP_REFUSED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW), NOW), OTP_REPLAYED);
	assert_int_equal(store_throttle(rig.s, alice.id, 1, &failures, &not_before), 1);
	assert_int_equal(failures, 1);
}

static void throttle_grows_and_is_bounded(void **state)
{
	int64_t now = NOW, wait = 0;

	(void)state;
	for (int i = 0; i < OTP_FREE; i++)
		assert_int_equal(CHECK(1, "000000", now), OTP_REFUSED);
	for (int i = 0; i < 12; i++) {
		int64_t before = wait;

		assert_int_equal(CHECK(1, "000000", now), OTP_REFUSED);
		for (wait = 0; CHECK(1, code_at(rfc_secret, now + 600), now + wait) == OTP_THROTTLED; wait++)
			assert_true(wait < OTP_DELAY_MAX);
		assert_true(wait >= before || wait == OTP_DELAY_MAX);
		now += wait + 1000; /* well after: that attempt failed, too */
	}
	assert_int_equal(wait, OTP_DELAY_MAX);
	/* the right code is not even looked at while it waits; another device of the same user is not held up */
	assert_int_equal(CHECK(1, "000000", now), OTP_REFUSED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, now), now + 1), OTP_THROTTLED);
	assert_int_equal(CHECK(2, code_at(rfc_secret, now), now + 1), OTP_ACCEPTED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, now + OTP_DELAY_MAX), now + OTP_DELAY_MAX), OTP_ACCEPTED);
	assert_int_equal(CHECK(1, "000000", now + OTP_DELAY_MAX), OTP_REFUSED); /* a success forgives */
	/* a clock that was set back a year does not lock out for a year */
	for (int i = 0; i < 12; i++)
		CHECK(3, "000000", now + i * 100);
	assert_int_equal(CHECK(3, code_at(rfc_secret, now + 3000), NOW - 31536000), OTP_REFUSED);
}

/* Told with the first that waits and each time that there are twice as many, by the name of the device; a right code ends it. */
static void guessing_is_told(void **state)
{
	int64_t now = NOW;

	(void)state;
	for (int i = 1; i <= 10; i++, now += 1000) {
		assert_int_equal(CHECK(1, "000000", now), OTP_REFUSED);
		assert_int_equal(events_of("otp.guessed"), i < 4 ? 0 : i < 8 ? 1 : 2);
		if (i == 8) {
			const char *said;

			OK("root", "{\"word\":\"events\",\"args\":{\"user\":\"alice\",\"limit\":1}}");
			said = json_string_value(json_object_get(json_array_get(json_object_get(last, "rows"), 0), "detail"));
			assert_non_null(strstr(said, "\"failures\":8"));
			assert_non_null(strstr(said, "\"device\":\"laptop\""));
		}
	}
	assert_int_equal(CHECK(1, code_at(rfc_secret, now), now), OTP_ACCEPTED);
	for (int i = 0; i < 4; i++, now += 1000)
		assert_int_equal(CHECK(1, "000000", now), OTP_REFUSED);
	assert_int_equal(events_of("otp.guessed"), 3);
	/* another PAM service's are told, too; a code that was spent is no guess */
	for (int i = 0; i < 4; i++, now += 1000)
		assert_int_equal(CHECK(0, "000000", now), OTP_REFUSED);
	assert_int_equal(events_of("otp.guessed"), 4);
	assert_int_equal(CHECK(2, code_at(rfc_secret, now), now), OTP_ACCEPTED);
	for (int i = 0; i < 4; i++)
		assert_int_equal(CHECK(2, code_at(rfc_secret, now), now), OTP_REPLAYED);
	assert_int_equal(events_of("otp.guessed"), 4);
}

/* The database is from before a login: whoever saw that code does not come in with it. */
static void no_code_is_good_again_after_a_restore(void **state)
{
	const int64_t by_token = NOW + 5 * OTP_STEP;

	(void)state;
	assert_int_equal(otp_restored(rig.s, NOW), 0);
	for (int i = -1; i <= 1; i++)
		assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + i * OTP_STEP), NOW), OTP_REPLAYED);
	for (int i = 0; i <= 1; i++)
		assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + i * OTP_STEP), NOW + OTP_STEP), OTP_REPLAYED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + 2 * OTP_STEP), NOW + OTP_STEP), OTP_ACCEPTED);
	/* of a token that is ahead, those of its clock */
	assert_int_equal(store_totp_enrol(rig.s, alice.id, rfc_secret, NOW - 1000), 0);
	assert_int_equal(store_totp_confirm(rig.s, alice.id, 1, 5, NOW - 1000), 0);
	assert_int_equal(otp_restored(rig.s, NOW), 0);
	assert_int_equal(CHECK(1, code_at(rfc_secret, by_token + OTP_STEP), NOW), OTP_REPLAYED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, by_token + 2 * OTP_STEP), NOW + OTP_STEP), OTP_ACCEPTED);
	/* what was used later than this clock can know stays used */
	assert_int_equal(otp_restored(rig.s, NOW - 1000), 0);
	assert_int_equal(CHECK(1, code_at(rfc_secret, by_token + 2 * OTP_STEP), NOW + OTP_STEP), OTP_REPLAYED);
}

/* A restore by a clock that is ahead keeps nobody out until that time: set right, what tokens have shown by then stays spent, and what was used. */
static void a_restore_by_a_clock_that_was_ahead(void **state)
{
	const int64_t ahead = NOW + 3600, used = NOW + 7200;

	(void)state;
	assert_int_equal(otp_restored(rig.s, ahead), 0);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + 2 * OTP_STEP), NOW + OTP_STEP), OTP_REPLAYED);
	assert_int_equal(otp_clock_back(rig.s, NOW), 0);
	for (int i = -1; i <= 1; i++)
		assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + i * OTP_STEP), NOW), OTP_REPLAYED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + 2 * OTP_STEP), NOW + OTP_STEP), OTP_ACCEPTED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, used), used), OTP_ACCEPTED);
	assert_int_equal(otp_clock_back(rig.s, NOW), 0);
	assert_int_equal(CHECK(1, code_at(rfc_secret, used), used), OTP_REPLAYED);
}

static void without_a_secret_nobody_comes_in(void **state)
{
	struct user bob;

	(void)state;
	assert_int_equal(store_user_by_name(rig.s, "bob", &bob), 1);
	assert_int_equal(otp_check(rig.s, &bob, 1, "", "000000", NOW), OTP_NOT_ENROLLED);
	assert_int_equal(store_totp_enrol(rig.s, bob.id, rfc_secret, NOW), 0);
	assert_int_equal(otp_check(rig.s, &bob, 1, "", code_at(rfc_secret, NOW), NOW), OTP_NOT_ENROLLED); /* not confirmed */
}

static void enrolment(void **state)
{
	char secret[OTP_SECRET_TEXT], uri[OTP_URI_MAX], one[8], two[8], *raw;
	size_t n;
	uint8_t bin[TOTP_SECRET_LEN];

	(void)state;
	assert_int_equal(otp_enrol(rig.s, &alice, "my bastion:22", NOW, secret, uri), 0);
	assert_non_null(strstr(uri, "otpauth://totp/my%20bastion%3A22:alice?secret="));
	assert_non_null(strstr(uri, "&issuer=my%20bastion%3A22&"));
	assert_int_equal(oath_base32_decode(secret, strlen(secret), &raw, &n), OATH_OK);
	assert_int_equal(n, TOTP_SECRET_LEN);
	memcpy(bin, raw, n);
	free(raw);
	/* the old secret is in force until the new one is confirmed */
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW), NOW), OTP_ACCEPTED);
	strcpy(one, code_at(bin, NOW));
	strcpy(two, code_at(bin, NOW + 30));
	assert_int_equal(otp_confirm(rig.s, &alice, two, one, NOW + 30), OTP_REFUSED);	/* the wrong way round */
	assert_int_equal(otp_confirm(rig.s, &alice, one, one, NOW + 30), OTP_REFUSED);
	assert_int_equal(otp_confirm(rig.s, &alice, one, two, NOW + 120), OTP_REFUSED);	/* too old */
	assert_int_equal(otp_confirm(rig.s, &alice, one, two, NOW + 30), OTP_ACCEPTED);
	assert_int_equal(otp_confirm(rig.s, &alice, one, two, NOW + 30), OTP_NOT_ENROLLED);
	assert_int_equal(CHECK(1, two, NOW + 30), OTP_REPLAYED);		/* both codes are spent */
	assert_int_equal(CHECK(1, one, NOW + 30), OTP_REPLAYED);
	assert_int_equal(CHECK(1, code_at(rfc_secret, NOW + 60), NOW + 60), OTP_REFUSED);
	assert_int_equal(CHECK(1, code_at(bin, NOW + 60), NOW + 60), OTP_ACCEPTED);
	assert_int_equal(store_totp_reset(rig.s, alice.id), 0);
	assert_int_equal(CHECK(1, code_at(bin, NOW + 90), NOW + 90), OTP_NOT_ENROLLED);
}

/* Promise P8: processes with connections of their own, one code, one instant. */
static void simultaneous_checks_open_one(void **state)
{
	enum { PROCESSES = 20, TRIES = 10 };
	int gate[2], won = 0, lost = 0;
	char err[STORE_ERR_MAX], c;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct store *mine = store_open(rig.path, err);
			int accepted = 0;

			close(gate[1]);
			if (mine != NULL)
				rig_seal(mine);
			if (mine == NULL || read(gate[0], &c, 1) != 0) /* closed for all at once */
				_exit(100);
			for (int k = 0; k < TRIES; k++) {
				enum otp_result r = otp_check(mine, &alice, i + 1, "10.0.0.9", code_at(rfc_secret, NOW), NOW);

				if (r != OTP_ACCEPTED && r != OTP_REPLAYED)
					_exit(101 + (int)r);
				accepted += r == OTP_ACCEPTED;
			}
			store_close(mine);
			_exit(accepted);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 100);
		won += WEXITSTATUS(status);
		lost += TRIES - WEXITSTATUS(status);
	}
	assert_int_equal(won, 1);
	assert_int_equal(lost, PROCESSES * TRIES - 1);
}

static void grace_is_bound_to_device_and_source(void **state)
{
	struct device d;
	int64_t u = alice.id;

	(void)state;
	assert_int_equal(store_device_by_name(rig.s, u, "laptop", &d), 1);
	assert_int_equal(store_grace(rig.s, u, d.id, "10.0.0.9", NOW), 0);
	assert_int_equal(store_grace_set(rig.s, u, d.id, "10.0.0.9", NOW + 60), 0);
	assert_int_equal(store_grace(rig.s, u, d.id, "10.0.0.9", NOW), 1);
	assert_int_equal(store_grace(rig.s, u, d.id, "10.0.0.9", NOW + 60), 0);
	assert_int_equal(store_grace(rig.s, u, d.id, "10.0.0.8", NOW), 0);
	assert_int_equal(store_grace(rig.s, u, d.id + 1, "10.0.0.9", NOW), 0);
	assert_int_equal(store_grace(rig.s, u + 1, d.id, "10.0.0.9", NOW), 0);
	OK("root", "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(store_grace(rig.s, u, d.id, "10.0.0.9", NOW), 0);
	assert_int_equal(store_grace_set(rig.s, u, d.id, "10.0.0.9", NOW + 60), 0);
	OK("root", "{\"word\":\"user totp reset\",\"args\":{\"user\":\"alice\"}}");
	assert_int_equal(store_grace(rig.s, u, d.id, "10.0.0.9", NOW), 0);
	assert_int_equal(store_grace_set(rig.s, u, d.id, "10.0.0.9", NOW + 60), 0);
	OK("root", "{\"word\":\"user key revoke\",\"args\":{\"user\":\"alice\",\"device\":\"laptop\"}}");
	assert_int_equal(store_grace(rig.s, u, d.id, "10.0.0.9", NOW), 0);
}

/* A clock that drifts is followed a step at a login, up to the bound; one that jumps is not. */
static void a_drifting_clock_is_followed(void **state)
{
	int64_t now = NOW;
	struct totp t;

	(void)state;
	for (int off = 1; off <= OTP_DRIFT_MAX + 3; off++, now += 3600) {
		enum otp_result r = CHECK(1, code_at(rfc_secret, now + off * OTP_STEP), now);

		assert_int_equal(r, off <= OTP_DRIFT_MAX + 1 ? OTP_ACCEPTED : OTP_REFUSED);
	}
	assert_int_equal(store_totp(rig.s, alice.id, &t), 1);
	assert_int_equal(t.drift, OTP_DRIFT_MAX);
	now += 3600;
	assert_int_equal(CHECK(1, code_at(rfc_secret, now + (OTP_DRIFT_MAX - 2) * OTP_STEP), now), OTP_REFUSED);
	/* a right clock is right always */
	assert_int_equal(CHECK(1, code_at(rfc_secret, now), now), OTP_ACCEPTED);
}

static enum otp_result resync(int64_t first, int64_t now)
{
	char code1[OTP_DIGITS + 1];
	int64_t drift;

	snprintf(code1, sizeof(code1), "%s", code_at(rfc_secret, first));
	return otp_resync(rig.s, &alice, code1, code_at(rfc_secret, first + OTP_STEP), now, &drift);
}

static void two_codes_show_the_clock(void **state)
{
	const int64_t off = 12 * OTP_STEP;
	int64_t drift, now = NOW;

	(void)state;
	assert_int_equal(CHECK(1, code_at(rfc_secret, now + off), now), OTP_REFUSED);
	assert_int_equal(resync(now + off, now), OTP_ACCEPTED);
	assert_int_equal(resync(now + off, now), OTP_REPLAYED); /* both are spent, */
	assert_int_equal(resync(now + off + OTP_STEP, now), OTP_REPLAYED); /* and one of two is not enough */
	assert_int_equal(CHECK(2, code_at(rfc_secret, now + off + OTP_STEP), now), OTP_REPLAYED);
	now += 120;
	assert_int_equal(CHECK(2, code_at(rfc_secret, now + off), now), OTP_ACCEPTED);
	/* beyond the bound, or not in a row: charged, then throttled */
	now += 3600;
	assert_int_equal(resync(now + (OTP_DRIFT_MAX + 2) * OTP_STEP, now), OTP_REFUSED);
	assert_int_equal(otp_resync(rig.s, &alice, "000000", "111111", now + 200, &drift), OTP_REFUSED);
	for (int i = 0; i < OTP_FREE; i++)
		resync(now - 3000, now + 400);
	assert_int_equal(resync(now + off, now + 400), OTP_THROTTLED);
}

static void a_recovery_code_opens_one_login(void **state)
{
	char codes[OTP_RECOVERY_CODES][OTP_RECOVERY_TEXT], typed[32];
	int64_t failures, not_before, left;

	(void)state;
	assert_int_equal(CHECK(1, "abcd-efgh-ijkl-mnop", NOW), OTP_REFUSED); /* there are none */
	assert_int_equal(otp_recovery(rig.s, &alice, NOW, codes), 0);
	for (size_t i = 0; i < OTP_RECOVERY_CODES; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(codes[i], codes[k]);
	assert_int_equal(CHECK(1, codes[3], NOW + 5), OTP_ACCEPTED);
	assert_int_equal(store_throttle(rig.s, alice.id, 1, &failures, &not_before), 0);
	assert_int_equal(CHECK(1, codes[3], NOW + 5), OTP_REPLAYED);
	snprintf(typed, sizeof(typed), "%.4s %.4s%.4s%.4s", codes[4], codes[4] + 5, codes[4] + 10, codes[4] + 15);
	typed[0] = (char)(typed[0] >= 'a' ? typed[0] - 32 : typed[0]);
	assert_int_equal(CHECK(1, typed, NOW + 5), OTP_ACCEPTED);
	assert_int_equal(store_recovery_left(rig.s, alice.id, &left), 0);
	assert_int_equal(left, OTP_RECOVERY_CODES - 2);
	codes[5][0] = codes[5][0] == 'a' ? 'b' : 'a';
	for (int i = 0; i < OTP_FREE; i++)
		assert_int_equal(CHECK(1, codes[5], NOW + 10), OTP_REFUSED);
	assert_int_equal(CHECK(1, codes[5], NOW + 10), OTP_REFUSED);
	assert_int_equal(CHECK(1, codes[6], NOW + 10), OTP_THROTTLED); /* guessing them is slowed, too */
	/* a new set voids the old one; a spent one stays spent whatever is done by hand */
	assert_int_equal(otp_recovery(rig.s, &alice, NOW, (char[OTP_RECOVERY_CODES][OTP_RECOVERY_TEXT]){ "" }), 0);
	assert_int_equal(CHECK(2, codes[7], NOW + 10), OTP_REFUSED);
	assert_int_equal(store_totp_reset(rig.s, alice.id), 0);
	assert_int_equal(CHECK(3, codes[7], NOW + 10), OTP_NOT_ENROLLED);
}

/* By the words: an attempt that was refused stays charged, and nobody makes recovery codes out of an open session. */
static void words_charge_too(void **state)
{
	char json[256];
	int64_t failures, not_before;

	(void)state;
	NO("alice", "refused", "{\"word\":\"user totp recovery\",\"args\":{\"user\":\"alice\"}}");
	NO("alice", "refused", "{\"word\":\"user totp recovery\",\"args\":{\"user\":\"alice\",\"code\":\"000000\"}}");
	assert_int_equal(store_throttle(rig.s, alice.id, 0, &failures, &not_before), 1);
	assert_int_equal(failures, 1);
	NO("alice", "refused", "{\"word\":\"user totp resync\",\"args\":{\"user\":\"alice\",\"code1\":\"000000\",\"code2\":\"111111\"}}");
	assert_int_equal(store_throttle(rig.s, alice.id, 0, &failures, &not_before), 1);
	assert_int_equal(failures, 2);
	snprintf(json, sizeof(json), "{\"word\":\"user totp recovery\",\"args\":{\"user\":\"alice\",\"code\":\"%s\"}}", code_at(rfc_secret, NOW));
	OK("alice", json);
	assert_int_equal(json_array_size(json_object_get(last, "rows")), OTP_RECOVERY_CODES);
	NO("alice", "refused", json); /* the code is spent */
	OK("adam", "{\"word\":\"user totp recovery\",\"args\":{\"user\":\"alice\"}}");
}

/* An administrator at whose open session somebody sits keeps the second factor, also of the other accounts that are theirs. */
static void ones_own_factor_needs_its_code(void **state)
{
	static const char *const words[] = { "user totp enrol", "user totp reset", "user totp recovery" };
	struct user own;
	char json[256];
	int64_t now = NOW;

	(void)state;
	OK("root", "{\"word\":\"user add\",\"args\":{\"user\":\"adam2\",\"person\":\"ADAM\"}}");
	OK("adam", "{\"word\":\"user totp enrol\",\"args\":{\"user\":\"adam2\"}}"); /* there is none yet */
	assert_int_equal(store_user(rig.s, id_of("adam2"), &own), 1);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(store_totp_enrol(rig.s, own.id, rfc_secret, now - 1000), 0);
		assert_int_equal(store_totp_confirm(rig.s, own.id, now / OTP_STEP - 2, 0, now), 0);
		for (int k = 0; k < 2; k++) {
			snprintf(json, sizeof(json), "{\"word\":\"%s\",\"args\":{\"user\":\"adam2\"%s}}", words[i], k > 0 ? ",\"code\":\"000000\"" : "");
			NO("adam", "refused", json);
			assert_non_null(strstr(field("error"), "code"));
		}
		snprintf(json, sizeof(json), "{\"word\":\"%s\",\"args\":{\"user\":\"adam2\",\"code\":\"%s\"}}", words[i], code_at(rfc_secret, now));
		OK("adam", json);
		rig.now = now += 10 * OTP_STEP;
	}
	/* of others as ever, and root is no person */
	OK("adam", "{\"word\":\"user totp reset\",\"args\":{\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"user totp enrol\",\"args\":{\"user\":\"adam2\"}}");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_enrolled, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors), cmocka_unit_test(window_is_one_step), cmocka_unit_test(six_digits_and_nothing_else),
		T(one_code_one_login), T(replay_takes_no_failure_back), T(throttle_grows_and_is_bounded),
		T(guessing_is_told), T(no_code_is_good_again_after_a_restore), T(a_restore_by_a_clock_that_was_ahead), T(without_a_secret_nobody_comes_in), T(enrolment), T(simultaneous_checks_open_one),
		T(grace_is_bound_to_device_and_source), T(a_drifting_clock_is_followed), T(two_codes_show_the_clock),
		T(a_recovery_code_opens_one_login), T(words_charge_too), T(ones_own_factor_needs_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
