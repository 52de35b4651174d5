/*
 * test_seal.c - secrets at rest: what seals, what opens, what must not; and the database's migration and change of key.
 */
#include "store_rig.h"

#include "seal.h"

static const char *const hex1 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
static const uint8_t secret[TOTP_SECRET_LEN] = "12345678901234567890";

static struct seal_ring ring_of(const char *raw)
{
	struct seal_ring ring = { .n = 0 };

	assert_int_equal(seal_ring_add(&ring, raw, SEAL_KEY_LEN), 0);
	return ring;
}

#define KEY1 "11111111111111111111111111111111"
#define KEY2 "22222222222222222222222222222222"

static void key_files(void **state)
{
	static const char *const bad[] = { "", "\n", "00", "00010203", "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f \n",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n\n" };
	struct seal_ring ring = { .n = 0 };
	char text[SEAL_TEXT_MAX], raw[SEAL_KEY_LEN] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(seal_ring_add(&ring, bad[i], strlen(bad[i])), -1);
	assert_int_equal(ring.n, 0);
	assert_int_equal(seal_ring_add(&ring, hex1, strlen(hex1)), 0);
	assert_int_equal(seal_ring_add(&ring, hex1, strlen(hex1) - 1), -1); /* the same again */
	for (int i = 0; i < 32; i++)
		raw[i] = (char)i;
	assert_int_equal(seal_ring_add(&ring, raw, 32), -1);
	for (unsigned i = 1; i < SEAL_KEYS_MAX; i++) {
		assert_int_equal(seal_key_text(text), 0);
		assert_int_equal(strlen(text), 65);
		assert_int_equal(seal_ring_add(&ring, text, strlen(text)), 0);
	}
	assert_int_equal(seal_key_text(text), 0);
	assert_int_equal(seal_ring_add(&ring, text, strlen(text)), -1); /* no room */
}

static void whose_and_what_for_is_sealed_in(void **state)
{
	struct seal_ring one = ring_of(KEY1), two = ring_of(KEY2), none = { .n = 0 };
	uint8_t sealed[20 + SEAL_OVER], other[20 + SEAL_OVER], back[20];

	(void)state;
	assert_int_equal(seal_close(&none, "totp", 7, secret, 20, sealed), -1);
	assert_int_equal(seal_close(&one, "totp", 7, secret, 20, sealed), 0);
	assert_int_equal(seal_close(&one, "totp", 7, secret, 20, other), 0);
	assert_memory_not_equal(sealed, other, sizeof(sealed)); /* a nonce each */
	assert_int_equal(seal_open(&one, "totp", 7, sealed, back, 20), 0);
	assert_memory_equal(back, secret, 20);
	assert_int_equal(seal_open(&one, "totp", 8, sealed, back, 20), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(seal_open(&one, "recovery", 7, sealed, back, 20), -1);
	assert_int_equal(seal_open(&two, "totp", 7, sealed, back, 20), -1);
	assert_int_equal(errno, ENOKEY);
	seal_ring_join(&two, &one);
	assert_int_equal(seal_open(&two, "totp", 7, sealed, back, 20), 0);
	assert_false(seal_is_current(&two, sealed));
	assert_true(seal_is_current(&one, sealed));
	for (size_t i = 0; i < sizeof(sealed) * 8; i++) {
		memcpy(other, sealed, sizeof(sealed));
		other[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(seal_open(&one, "totp", 7, other, back, 20), -1);
		assert_memory_equal(back, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	}
}

static int64_t enrolled(const char *name)
{
	int64_t id = id_of(name);

	assert_int_equal(store_totp_enrol(rig.s, id, secret, NOW), 0);
	assert_int_equal(store_totp_confirm(rig.s, id, 1, 0, NOW), 0);
	return id;
}

/* Who can write to the database gives nobody a secret of their choice, nor another user's. */
static void a_hand_at_the_database(void **state)
{
	int64_t alice = enrolled("alice"), bob = id_of("bob");
	struct totp t;

	(void)state;
	assert_int_equal(store_totp(rig.s, alice, &t), 1);
	assert_memory_equal(t.secret, secret, 20);
	assert_int_equal(by_hand("INSERT INTO totp (user_id, secret, last_counter, enrolled) SELECT u.id, t.secret, 0, 0 "
				 "FROM totp t, users u WHERE u.name='bob'"), SQLITE_OK);
	assert_int_equal(store_totp(rig.s, bob, &t), -1);
	assert_non_null(strstr(store_error(rig.s), "does not open"));
	assert_false(t.confirmed);
	assert_int_equal(by_hand("UPDATE totp SET secret=x'3132333435363738393031323334353637383930'"), SQLITE_CONSTRAINT);
	store_seal_with(rig.s, NULL);
	assert_int_equal(store_totp(rig.s, alice, &t), -1);
	assert_int_equal(store_totp_enrol(rig.s, alice, secret, NOW), -1);
	assert_int_equal(store_seal(rig.s, NOW), -1);
}

/* A database of before: everything in it is sealed at the first start, and nothing plain stays in the files. */
static void plain_secrets_are_sealed(void **state)
{
	int64_t alice = id_of("alice");
	char file[128], *found = NULL;
	struct totp t;
	FILE *f;

	(void)state;
	assert_int_equal(by_hand("CREATE TABLE totp_plain (user_id INTEGER PRIMARY KEY, secret BLOB, fresh BLOB, last_counter INTEGER, "
				 "enrolled INTEGER, confirmed INTEGER); INSERT INTO totp_plain SELECT id, x'3132333435363738393031323334353637383930', "
				 "iif(name='bob', x'3132333435363738393031323334353637383930', NULL), 55, 1, 2 FROM users"), SQLITE_OK);
	assert_int_equal(store_seal(rig.s, NOW), 0);
	assert_int_equal(store_totp(rig.s, alice, &t), 1);
	assert_true(t.confirmed && !t.enrolled);
	assert_memory_equal(t.secret, secret, 20);
	assert_int_equal(t.last_counter, 55);
	assert_int_equal(store_totp(rig.s, id_of("bob"), &t), 1);
	assert_true(t.enrolled);
	assert_int_equal(by_hand("SELECT * FROM totp_plain"), SQLITE_ERROR);
	for (int i = 0; i < 2; i++) {
		static char bytes[4 << 20];
		size_t n;

		snprintf(file, sizeof(file), "%s%s", rig.path, i == 0 ? "" : "-wal");
		assert_non_null(f = fopen(file, "r"));
		n = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
		found = n > 0 ? memmem(bytes, n, secret, 20) : NULL;
		assert_null(found);
	}
	assert_int_equal(store_seal(rig.s, NOW), 0); /* nothing to do, no event */
	json_decref(last); /* the rig's, which frees what stands here at the end */
	assert_int_equal(json_array_size(last = store_list(rig.s, LIST_EVENTS, &(struct list_ask){ .limit = 1000, .text = "bastiond" })), 1);
}

static void the_key_changes(void **state)
{
	struct seal_ring both = ring_of(KEY2), fresh = ring_of(KEY2), old = ring_of(KEY1);
	int64_t alice = id_of("alice");
	char codes[OTP_RECOVERY_CODES][OTP_RECOVERY_TEXT];
	struct user u;
	struct totp t;

	(void)state;
	store_seal_with(rig.s, &old);
	enrolled("alice");
	assert_int_equal(store_user(rig.s, alice, &u), 1);
	assert_int_equal(otp_recovery(rig.s, &u, NOW, codes), 0);
	/* without the old one nothing opens, and nothing is lost by the attempt */
	store_seal_with(rig.s, &fresh);
	assert_int_equal(store_seal(rig.s, NOW), 0);
	assert_int_equal(store_totp(rig.s, alice, &t), -1);
	assert_non_null(strstr(store_error(rig.s), "key that is not here"));
	seal_ring_join(&both, &old);
	store_seal_with(rig.s, &both);
	/* fails in the middle: nothing is changed */
	assert_int_equal(by_hand("CREATE TRIGGER no BEFORE UPDATE ON recovery_sets BEGIN SELECT RAISE(ABORT, 'no'); END"), SQLITE_OK);
	assert_int_equal(store_seal(rig.s, NOW), -1);
	assert_int_equal(by_hand("DROP TRIGGER no"), SQLITE_OK);
	store_seal_with(rig.s, &old);
	assert_int_equal(store_totp(rig.s, alice, &t), 1);
	store_seal_with(rig.s, &both);
	assert_int_equal(store_seal(rig.s, NOW), 0);
	store_seal_with(rig.s, &fresh);
	assert_int_equal(store_totp(rig.s, alice, &t), 1);
	assert_memory_equal(t.secret, secret, 20);
	assert_int_equal(otp_check(rig.s, &u, 1, "10.0.0.9", codes[0], NOW), OTP_ACCEPTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_files), cmocka_unit_test(whose_and_what_for_is_sealed_in),
		cmocka_unit_test_setup_teardown(a_hand_at_the_database, setup_world, teardown),
		cmocka_unit_test_setup_teardown(plain_secrets_are_sealed, setup_world, teardown),
		cmocka_unit_test_setup_teardown(the_key_changes, setup_world, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
