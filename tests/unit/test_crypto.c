/*
 * test_crypto.c - the primitives against the vectors of their standards; key files; hex, base64, crc32c.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "crc32c.h"
#include "crypto.h"
#include "hex.h"

static void unhex(uint8_t *out, size_t len, const char *text)
{
	assert_int_equal(hex_decode(out, len, text), 0);
}

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
	char text[1024];

	assert_true(len < sizeof(text) / 2);
	assert_string_equal(hex_encode(text, got, len), want);
}

static void test_sha256(void **state)
{
	struct sha256 s;
	uint8_t d[HASH_LEN];

	(void)state;
	assert_int_equal(sha256_init(&s), 0);
	assert_int_equal(sha256_digest(&s, d), 0);
	assert_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_int_equal(sha256_update(&s, "a", 1), 0);
	assert_int_equal(sha256_update(&s, "bc", 2), 0);
	assert_int_equal(sha256_digest(&s, d), 0);
	assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_finish(&s);
	sha256_finish(&s);
	assert_int_equal(sha256_update(&s, "x", 1), -1);
	assert_int_equal(sha256_digest(&s, d), -1);
	memset(d, 0, sizeof(d));
	assert_int_equal(sha256_spans(d, SPANS(SPAN_STR("ab"), SPAN(NULL, 0), SPAN_STR("c"))), 0);
	assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231, cases 1, 2 and 6; RFC 5869, cases 1 and 3 */
static void test_hmac_hkdf(void **state)
{
	uint8_t key[131], d[HASH_LEN], okm[42], ikm[22], salt[13], info[10];

	(void)state;
	memset(key, 0x0b, 20);
	assert_int_equal(hmac_sha256(d, SPAN(key, 20), SPANS(SPAN_STR("Hi "), SPAN_STR("There"))), 0);
	assert_hex(d, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	assert_int_equal(hmac_sha256(d, SPAN_STR("Jefe"), SPANS(SPAN_STR("what do ya want for nothing?"))), 0);
	assert_hex(d, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	assert_int_equal(hmac_sha256(d, SPAN(key, 131),
	    SPANS(SPAN_STR("Test Using Larger Than Block-Size Key - Hash Key First"))), 0);
	assert_hex(d, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");

	memset(ikm, 0x0b, sizeof(ikm));
	unhex(salt, 13, "000102030405060708090a0b0c");
	unhex(info, 10, "f0f1f2f3f4f5f6f7f8f9");
	assert_int_equal(hkdf_sha256(okm, 42, SPAN(ikm, 22), SPAN(salt, 13), SPAN(info, 10)), 0);
	assert_hex(okm, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
	assert_int_equal(hkdf_sha256(okm, 42, SPAN(ikm, 22), SPAN(NULL, 0), SPAN("", 0)), 0);
	assert_hex(okm, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* RFC 8439, 2.8.2 */
static void test_aead(void **state)
{
	const char *text = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
	    "sunscreen would be it.";
	uint8_t key[32], nonce[12], aad[12], data[114 + 16];
	struct aead seal, open;

	(void)state;
	unhex(key, 32, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	unhex(nonce, 12, "070000004041424344454647");
	unhex(aad, 12, "50515253c0c1c2c3c4c5c6c7");
	assert_int_equal(aead_init(&seal, key, true), 0);
	assert_int_equal(aead_init(&open, key, false), 0);
	for (int i = 0; i < 3; i++) {
		memcpy(data, text, 114);
		/* the AAD in pieces is the AAD */
		assert_int_equal(aead_seal(&seal, nonce, (const struct span[]){ SPAN(aad, 5), SPAN(aad + 5, 7) }, 2, data, 114), 0);
		assert_hex(data, 16, "d31a8d34648e60db7b86afbc53ef7ec2");
		assert_hex(data + 114, 16, "1ae10b594f09e26a7e902ecbd0600691");
		assert_int_equal(aead_open(&open, nonce, (const struct span[]){ SPAN(aad, 12) }, 1, data, 114), 0);
		assert_memory_equal(data, text, 114);
		/* a failed one leaves the context good for the next */
		data[3] ^= 1;
		assert_int_equal(aead_open(&open, nonce, NULL, 0, data, 114), -1);
	}
	/* each only in its direction */
	assert_int_equal(aead_open(&seal, nonce, NULL, 0, data, 114), -1);
	assert_int_equal(aead_seal(&open, nonce, NULL, 0, data, 114), -1);
	aead_finish(&seal);
	aead_finish(&open);
	aead_finish(&open);
	assert_int_equal(aead_seal(&seal, nonce, NULL, 0, data, 114), -1);
}

/* RFC 7748, 6.1 */
static void test_x25519(void **state)
{
	uint8_t a[32], b[32], pa[32], pb[32], k1[32], k2[32], zero[32] = { 0 };

	(void)state;
	unhex(a, 32, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	unhex(b, 32, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	assert_int_equal(x25519_public(pb, b), 0);
	assert_hex(pb, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	assert_int_equal(x25519_public(pa, a), 0);
	assert_hex(pa, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_int_equal(x25519_shared(k1, a, pb), 0);
	assert_int_equal(x25519_shared(k2, b, pa), 0);
	assert_memory_equal(k1, k2, 32);
	assert_hex(k1, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	assert_int_equal(x25519_shared(k1, a, zero), -1);
	zero[0] = 1;
	assert_int_equal(x25519_shared(k1, a, zero), -1);
}

/* RFC 8032, 7.1, test 2 */
static void test_ed25519(void **state)
{
	uint8_t seed[32], pub[32], sig[64];
	struct sign_key *k;

	(void)state;
	unhex(seed, 32, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
	assert_non_null(k = sign_key_from_seed(seed));
	sign_key_public(k, pub);
	assert_hex(pub, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sign_key_sign(k, sig, "\x72", 1), 0);
		assert_hex(sig, 64, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
	}
	assert_true(ed25519_verify(pub, sig, "\x72", 1));
	assert_false(ed25519_verify(pub, sig, "\x73", 1));
	assert_false(ed25519_verify(pub, sig, "\x72", 0));
	for (int i = 0; i < 64 * 8; i++) {
		sig[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(ed25519_verify(pub, sig, "\x72", 1));
		sig[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	sign_key_destroy(k);
	sign_key_destroy(NULL);
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_key_files(void **state)
{
	char dir[] = "/tmp/bastiond-crypto-XXXXXX", priv[64], pub[64], both[64], command[256];
	uint8_t p[2][KEY_LEN], want[KEY_LEN], sig[SIG_LEN], id[HASH_LEN], hash[HASH_LEN];
	struct sign_key *k, *again;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(priv, sizeof(priv), "%s/key.pem", dir);
	snprintf(pub, sizeof(pub), "%s/key.pub", dir);
	snprintf(both, sizeof(both), "%s/both.pub", dir);
	assert_non_null(k = sign_key_generate());
	sign_key_public(k, want);
	umask(0);
	assert_int_equal(sign_key_save(k, priv), 0);
	assert_int_equal(public_key_save(want, pub), 0);
	assert_int_equal(stat(priv, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(pub, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(sign_key_save(k, priv), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(sign_key_save(k, "/nonexistent/key"), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(again = sign_key_load(priv));
	assert_int_equal(sign_key_sign(again, sig, "x", 1), 0);
	assert_true(ed25519_verify(want, sig, "x", 1));
	assert_int_equal(key_id(id, want), 0);
	assert_int_equal(sha256_spans(hash, SPANS(SPAN(want, 32))), 0);
	assert_memory_equal(id, hash, 32);

	assert_int_equal(public_keys_load(pub, p, 2), 1);
	assert_memory_equal(p[0], want, 32);
	snprintf(command, sizeof(command), "(echo the first; cat %s; echo the second; cat %s) >%s", pub, pub, both);
	assert_int_equal(system(command), 0);
	assert_int_equal(public_keys_load(both, p, 2), 2);
	assert_int_equal(public_keys_load(both, p, 1), -1);
	put_file(both, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
	assert_int_equal(public_keys_load(both, p, 2), -1);
	put_file(both, "-----BEGIN PUBLIC KEY-----\nMCow");
	assert_int_equal(public_keys_load(both, p, 2), -1);
	put_file(both, "nothing\n");
	assert_int_equal(public_keys_load(both, p, 2), -1);
	assert_int_equal(errno, EINVAL);
	assert_null(sign_key_load(both));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(public_keys_load("/nonexistent", p, 2), -1);
	assert_int_equal(errno, ENOENT);
	/* another kind of key, and one with a passphrase, which must not be asked for */
	snprintf(command, sizeof(command), "openssl genpkey -quiet -algorithm X25519 -out %s 2>/dev/null || "
	    "openssl genpkey -algorithm X25519 -out %s 2>/dev/null", both, both);
	assert_int_equal(system(command), 0);
	assert_null(sign_key_load(both));
	snprintf(command, sizeof(command), "openssl pkcs8 -topk8 -in %s -out %s -passout pass:x 2>/dev/null", priv, both);
	assert_int_equal(system(command), 0);
	assert_null(sign_key_load(both));
	sign_key_destroy(k);
	sign_key_destroy(again);
	unlink(priv);
	unlink(pub);
	unlink(both);
	assert_int_equal(rmdir(dir), 0);
}

static void test_random(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	assert_int_equal(random_bytes(a, sizeof(a)), 0);
	assert_int_equal(random_bytes(b, sizeof(b)), 0);
	assert_false(equal_secret(a, b, sizeof(a)));
	assert_true(equal_secret(a, a, sizeof(a)));
}

static void test_hex(void **state)
{
	uint8_t out[2];

	(void)state;
	assert_int_equal(hex_decode(out, 2, "aF09"), 0);
	assert_memory_equal(out, "\xaf\x09", 2);
	assert_int_equal(hex_decode(out, 2, "aF0"), -1);
	assert_int_equal(hex_decode(out, 2, "aF091"), -1);
	assert_int_equal(hex_decode(out, 2, "aF0g"), -1);
	assert_int_equal(hex_decode(out, 2, "a/0:"), -1);
	assert_int_equal(hex_decode(out, 0, ""), 0);
}

/* RFC 4648, 10, and what a strict decoder refuses */
static void test_base64(void **state)
{
	static const char *const good[][2] = {
		{ "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" },
	};
	static const char *const padded[][2] = { { "f", "Zg==" }, { "fo", "Zm8=" }, { "foob", "Zm9vYg==" } };
	static const char *const bad[] = { "Z", "Zg=", "Zg===", "Zh", "Zm9", "Zm9vZ", "Zm9v=", "Zm 9v", "Zm9v\n", "Z=g=", "====", "Zm-_" };
	char text[64];
	uint8_t out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		size_t len = strlen(good[i][0]);

		assert_string_equal(base64_encode(text, good[i][0], len), good[i][1]);
		assert_int_equal(strlen(text) + 1, BASE64_SIZE(len));
		assert_int_equal(base64_decode(out, sizeof(out), text, strlen(text)), len);
		assert_memory_equal(out, good[i][0], len);
		if (len > 0)
			assert_int_equal(base64_decode(out, len - 1, text, strlen(text)), -1);
	}
	for (size_t i = 0; i < sizeof(padded) / sizeof(padded[0]); i++)
		assert_int_equal(base64_decode(out, sizeof(out), padded[i][1], strlen(padded[i][1])), strlen(padded[i][0]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (base64_decode(out, sizeof(out), bad[i], strlen(bad[i])) != -1)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(base64_decode(out, sizeof(out), "Zm\0v", 4), -1);
}

static void test_crc32c(void **state)
{
	uint8_t data[300];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c_table(0, "123456789", 9), 0xe3069283);
	memset(data, 0, 32);
	assert_int_equal(crc32c(0, data, 32), 0x8a9136aa);
	assert_int_equal(crc32c(0, data, 0), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 3);
	/* every alignment and length: the two agree, and pieces make the whole */
	for (size_t at = 0; at < 9; at++)
		for (size_t len = 0; at + len <= sizeof(data); len += 5) {
			uint32_t whole = crc32c(0, data + at, len);

			assert_int_equal(whole, crc32c_table(0, data + at, len));
			assert_int_equal(whole, crc32c(crc32c(0, data + at, len / 3), data + at + len / 3, len - len / 3));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256), cmocka_unit_test(test_hmac_hkdf), cmocka_unit_test(test_aead),
		cmocka_unit_test(test_x25519), cmocka_unit_test(test_ed25519), cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_random), cmocka_unit_test(test_hex), cmocka_unit_test(test_base64), cmocka_unit_test(test_crc32c),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
