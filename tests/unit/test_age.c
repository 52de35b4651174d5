/*
 * test_age.c - we and the `age` program understand each other: keys, stanzas in both directions, passphrase files.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <pty.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "age.h"
#include "buf.h"
#include "crypto.h"
#include "hex.h"

static char dir[] = "/tmp/bastiond-age-XXXXXX";

static const char *path(const char *name)
{
	static char out[4][64];
	static unsigned turn;

	snprintf(out[turn %= 4], sizeof(out[0]), "%s/%s", dir, name);
	return out[turn++];
}

static void put_file(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(path(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static void put_text(const char *name, const char *text) { put_file(name, text, strlen(text)); }

static int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A shell command in the test's folder; its output is in the file "out". */
static int run(const char *fmt, ...)
{
	char command[2048];
	size_t n = (size_t)snprintf(command, sizeof(command), "cd %s && exec >out 2>err; ", dir);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command + n, sizeof(command) - n, fmt, ap);
	va_end(ap);
	return system(command);
}

static const char *output(void)
{
	static char text[8192];
	FILE *f = fopen(path("out"), "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static void test_keys(void **state)
{
	char to[AGE_RECIPIENT_LEN + 1], secret[AGE_IDENTITY_LEN + 1], text[80], line[200];
	struct age_identity id, again;
	uint8_t pub[32];

	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(age_identity_generate(&id), 0);
		assert_int_equal(age_recipient_format(to, id.pub), 0);
		assert_int_equal(age_identity_format(secret, &id), 0);
		assert_int_equal(strlen(to), AGE_RECIPIENT_LEN);
		assert_int_equal(strlen(secret), AGE_IDENTITY_LEN);
		assert_int_equal(age_recipient_parse(to, pub), 0);
		assert_memory_equal(pub, id.pub, 32);
		assert_int_equal(age_identity_parse(secret, &again), 0);
		assert_memory_equal(&id, &again, sizeof(id));
	}
	/* age-keygen reads ours */
	put_text("key", secret);
	assert_int_equal(run("age-keygen -y key"), 0);
	assert_int_equal(strncmp(output(), to, AGE_RECIPIENT_LEN), 0);
	/* every changed character is refused, and so is each other length and case */
	for (size_t i = 0; i < AGE_RECIPIENT_LEN; i++) {
		snprintf(text, sizeof(text), "%s", to);
		text[i] = text[i] == 'q' ? 'p' : 'q';
		assert_int_equal(age_recipient_parse(text, pub), -1);
	}
	snprintf(text, sizeof(text), "%.*s", AGE_RECIPIENT_LEN - 1, to);
	assert_int_equal(age_recipient_parse(text, pub), -1);
	snprintf(text, sizeof(text), "%sq", to);
	assert_int_equal(age_recipient_parse(text, pub), -1);
	snprintf(text, sizeof(text), "%s", to);
	text[10] = (char)(text[10] >= 'a' ? text[10] - 32 : 'Q');
	assert_int_equal(age_recipient_parse(text, pub), -1);
	assert_int_equal(age_recipient_parse("", pub), -1);
	assert_int_equal(age_recipient_parse(secret, pub), -1);
	assert_int_equal(age_identity_parse(to, &again), -1);
	for (char *p = secret; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	assert_int_equal(age_identity_parse(secret, &again), -1);
	snprintf(line, sizeof(line), "age1%.*s\x80", AGE_RECIPIENT_LEN - 5, to + 4);
	assert_int_equal(age_recipient_parse(line, pub), -1);
}

/* An age file around our stanza: the header as age writes it, its MAC, one empty-ended payload chunk. */
static void wrap_file(const uint8_t stanza[AGE_STANZA_LEN], const uint8_t file_key[16], const char *text, const char *name)
{
	uint8_t mac_key[32], mac[32], key[32], nonce[16] = { 1, 2, 3 }, counter[12] = { [11] = 1 };
	char b64[64];
	struct aead a;
	struct buf b;
	uint8_t *chunk;

	buf_init(&b, 4096);
	buf_put(&b, "age-encryption.org/v1\n-> X25519 ", 32);
	base64_encode(b64, stanza, 32);
	buf_put(&b, b64, strlen(b64));
	base64_encode(b64, stanza + 32, 32);
	buf_put(&b, "\n", 1);
	buf_put(&b, b64, strlen(b64));
	buf_put(&b, "\n---", 4);
	assert_int_equal(hkdf_sha256(mac_key, 32, SPAN(file_key, 16), SPAN(NULL, 0), SPAN_STR("header")), 0);
	assert_int_equal(hmac_sha256(mac, SPAN(mac_key, 32), SPANS(SPAN(b.data, b.len))), 0);
	base64_encode(b64, mac, 32);
	buf_put(&b, " ", 1);
	buf_put(&b, b64, strlen(b64));
	buf_put(&b, "\n", 1);
	buf_put(&b, nonce, 16);
	assert_int_equal(hkdf_sha256(key, 32, SPAN(file_key, 16), SPAN(nonce, 16), SPAN_STR("payload")), 0);
	chunk = buf_reserve(&b, strlen(text) + 16);
	memcpy(chunk, text, strlen(text));
	assert_int_equal(aead_init(&a, key, true), 0);
	assert_int_equal(aead_seal(&a, counter, NULL, 0, chunk, strlen(text)), 0);
	aead_finish(&a);
	put_file(name, b.data, b.len);
	buf_finish(&b);
}

static void test_age_opens_ours(void **state)
{
	char secret[AGE_IDENTITY_LEN + 1];
	uint8_t file_key[16], got[16], stanza[AGE_STANZA_LEN], low[32] = { 0 };
	struct age_identity id, other;

	(void)state;
	assert_int_equal(age_identity_generate(&id), 0);
	assert_int_equal(age_identity_generate(&other), 0);
	assert_int_equal(random_bytes(file_key, 16), 0);
	assert_int_equal(age_wrap(stanza, file_key, id.pub), 0);
	assert_int_equal(age_unwrap(got, stanza, &id), 0);
	assert_memory_equal(got, file_key, 16);
	assert_int_equal(age_unwrap(got, stanza, &other), -1);
	for (int i = 0; i < AGE_STANZA_LEN * 8; i++) {
		if (i == 31 * 8 + 7)
			continue; /* X25519 ignores the highest bit of the share; the salt does not */
		stanza[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(age_unwrap(got, stanza, &id), -1);
		stanza[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	stanza[31] ^= 0x80;
	assert_int_equal(age_unwrap(got, stanza, &id), -1);
	stanza[31] ^= 0x80;
	wrap_file(stanza, file_key, "opened by age itself", "ours.age");
	age_identity_format(secret, &id);
	put_text("key", secret);
	assert_int_equal(run("age -d -i key ours.age"), 0);
	assert_string_equal(output(), "opened by age itself");
	assert_int_equal(age_wrap(stanza, file_key, low), -1);
}

static void test_we_open_ages(void **state)
{
	struct age_identities ids = { 0 };
	char err[200], *text, *line;
	uint8_t file_key[16], stanza[AGE_STANZA_LEN], mac_key[32], mac[32], want[32];

	(void)state;
	assert_int_equal(run("rm -f key2; age-keygen -o key2 && echo hello | age -r $(age-keygen -y key2) >theirs && head -c 2000 theirs"), 0);
	assert_int_equal(age_identities_load(&ids, path("key2"), NULL, NULL, err, sizeof(err)), 0);
	assert_int_equal(ids.n, 1);
	text = strdup(output());
	assert_non_null(line = strstr(text, "-> X25519 "));
	assert_int_equal(base64_decode(stanza, 32, line + 10, 43), 32);
	assert_int_equal(base64_decode(stanza + 32, 32, line + 10 + 44, 43), 32);
	assert_int_equal(age_unwrap(file_key, stanza, &ids.v[0]), 0);
	/* it is the right one: the header's MAC holds under it */
	assert_non_null(line = strstr(text, "\n--- "));
	assert_int_equal(base64_decode(want, 32, line + 5, 43), 32);
	assert_int_equal(hkdf_sha256(mac_key, 32, SPAN(file_key, 16), SPAN(NULL, 0), SPAN_STR("header")), 0);
	assert_int_equal(hmac_sha256(mac, SPAN(mac_key, 32), SPANS(SPAN(text, (size_t)(line + 4 - text)))), 0);
	assert_memory_equal(mac, want, 32);
	free(text);
	age_identities_finish(&ids);
	age_identities_finish(&ids);
}

static int say(void *ctx, const char *file, char *out, size_t size)
{
	(void)file;
	if (ctx == NULL)
		return -1;
	snprintf(out, size, "%s", (const char *)ctx);
	return 0;
}

/* `age -p` reads the passphrase from a terminal only, twice: each prompt is answered as it appears. */
static void encrypt(const char *plain, const char *out, bool armor)
{
	char seen[4096] = "", *ask = seen;
	size_t n = 0;
	ssize_t got;
	int fd, status;
	pid_t pid = forkpty(&fd, NULL, NULL, NULL);

	assert_true(pid >= 0);
	if (pid == 0) {
		execlp("age", "age", "-p", armor ? "-a" : "-p", "-o", path(out), path(plain), (char *)NULL);
		_exit(127);
	}
	while (n < sizeof(seen) - 1 && (got = read(fd, seen + n, sizeof(seen) - 1 - n)) > 0) {
		char *prompt;

		seen[n += (size_t)got] = '\0';
		if ((prompt = strstr(ask, "passphrase")) != NULL && strchr(prompt, ':') != NULL) {
			ask = strchr(prompt, ':');
			assert_int_equal(write(fd, "horse\n", 6), 6);
		}
	}
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("age: status %d: %s", status, seen);
}

static void test_passphrase(void **state)
{
	struct age_identities ids = { 0 };
	char err[300] = "", secret[AGE_IDENTITY_LEN + 1], line[200];
	static const char *const files[] = { "binary.age", "armored.age" };
	struct age_identity id;

	(void)state;
	assert_int_equal(age_identity_generate(&id), 0);
	age_identity_format(secret, &id);
	snprintf(line, sizeof(line), "# created by a test\n\n%s\n", secret);
	put_text("plain", line);
	encrypt("plain", "binary.age", false);
	encrypt("plain", "armored.age", true);
	for (size_t i = 0; i < 2; i++) {
		if (age_identities_load(&ids, path(files[i]), say, "horse", err, sizeof(err)) != 0)
			fail_msg("%s", err);
		assert_int_equal(ids.n, 1);
		assert_memory_equal(&ids.v[0], &id, sizeof(id));
		age_identities_finish(&ids);
	}
	assert_int_equal(age_identities_load(&ids, path("binary.age"), say, "battery", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "wrong passphrase"));
	assert_int_equal(age_identities_load(&ids, path("binary.age"), say, NULL, err, sizeof(err)), -1);
	assert_int_equal(age_identities_load(&ids, path("binary.age"), NULL, NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "passphrase"));
	age_identities_finish(&ids);
}

/* Damage anywhere in such a file is an error, never a crash or a wrong key. The work factor is small, to be quick. */
static void test_passphrase_damage(void **state)
{
	static const uint8_t good[] =
	    "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
	    "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789012345678901234567890123456789";
	static const char *const bad[] = {
		"", "a", "age-encryption.org/v1\n", "age-encryption.org/v1\n-> X25519 abc\nabc\n--- abc\n",
		"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 0\n", "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 021\n",
		"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 99999\n", "age-encryption.org/v1\n-> scrypt AAAA 1\n",
		"-----BEGIN AGE ENCRYPTED FILE-----\n", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n-----END AGE ENCRYPTED FILE-----\n",
		"-----BEGIN AGE ENCRYPTED FILE-----\n****\n-----END AGE ENCRYPTED FILE-----\n",
	};
	uint8_t out[256], high[sizeof(good) + 1];
	char err[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(age_decrypt_scrypt(out, sizeof(out), (const uint8_t *)bad[i], strlen(bad[i]), "x", err, sizeof(err)), -1);
	for (size_t len = 0; len < sizeof(good); len++)
		assert_int_equal(age_decrypt_scrypt(out, sizeof(out), good, len, "x", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "wrong passphrase"));
	memcpy(high, good, 55);
	memcpy(high + 55, "99", 2);
	memcpy(high + 57, good + 56, sizeof(good) - 56);
	assert_int_equal(age_decrypt_scrypt(out, sizeof(out), high, sizeof(high), "x", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "work factor 99"));
}

static void test_files(void **state)
{
	struct age_identity id, id2;
	struct age_identities ids = { 0 };
	char text[4096], a[AGE_RECIPIENT_LEN + 1], b[AGE_RECIPIENT_LEN + 1], s1[AGE_IDENTITY_LEN + 1], s2[AGE_IDENTITY_LEN + 1];
	char err[300], **list, *big;

	(void)state;
	assert_int_equal(age_identity_generate(&id), 0);
	assert_int_equal(age_identity_generate(&id2), 0);
	age_recipient_format(a, id.pub);
	age_recipient_format(b, id2.pub);
	age_identity_format(s1, &id);
	age_identity_format(s2, &id2);
	snprintf(text, sizeof(text), "# auditors\n\n  %s \r\n%s\n%s", a, b, a);
	put_text("to", text);
	assert_non_null(list = age_recipients_load(path("to"), err, sizeof(err)));
	assert_string_equal(list[0], a);
	assert_string_equal(list[1], b);
	assert_null(list[2]);
	free(list);
	put_text("to", "# nobody\n");
	assert_null(age_recipients_load(path("to"), err, sizeof(err)));
	snprintf(text, sizeof(text), "%s\nage1wrong\n", a);
	put_text("to", text);
	assert_null(age_recipients_load(path("to"), err, sizeof(err)));
	assert_non_null(strstr(err, "to:2:"));
	assert_null(age_recipients_load(path("absent"), err, sizeof(err)));
	assert_non_null(strstr(err, "No such file"));

	snprintf(text, sizeof(text), "%s\n# and\n%s\n", s1, s2);
	put_text("ids", text);
	assert_int_equal(age_identities_load(&ids, path("ids"), NULL, NULL, err, sizeof(err)), 0);
	assert_int_equal(ids.n, 2);
	/* a second file adds; a wrong line says its number and keeps its contents to itself */
	put_text("ids", "# x\nAGE-SECRET-KEY-1TOPSECRET\n");
	assert_int_equal(age_identities_load(&ids, path("ids"), NULL, NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "line 2"));
	assert_null(strstr(err, "TOPSECRET"));
	put_text("ids", "");
	assert_int_equal(age_identities_load(&ids, path("ids"), NULL, NULL, err, sizeof(err)), -1);
	age_identities_finish(&ids);
	big = malloc(AGE_FILE_MAX + 1);
	assert_non_null(big);
	memset(big, '\n', AGE_FILE_MAX + 1);
	put_file("ids", big, AGE_FILE_MAX + 1);
	assert_int_equal(age_identities_load(&ids, path("ids"), NULL, NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "longer than"));
	free(big);
	age_identities_finish(&ids);
}

static int enter(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int leave(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys), cmocka_unit_test(test_age_opens_ours), cmocka_unit_test(test_we_open_ages),
		cmocka_unit_test(test_passphrase), cmocka_unit_test(test_passphrase_damage), cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
