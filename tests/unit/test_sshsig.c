/*
 * test_sshsig.c - signatures of approvals: those of ssh-keygen are taken and no others; those of security keys, made here, are what
 * ssh-keygen takes too. Then the word approve under a role that wants them.
 */
#include "store_rig.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <sys/wait.h>

#include "consent.h"
#include "crypto_sshsig.h"
#include "hex.h"
#include "sshkey.h"

#define SPACE CONSENT_SPACE
#define MESSAGE "consent\n"

static char dir[64];
static char err[256];

static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* In a folder of our own. The exit status. */
static int shell(const char *fmt, ...)
{
	char line[1024], cmd[1200];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(cmd, sizeof(cmd), "cd %s && { %s; } >out 2>&1", dir, line);
	r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

static size_t slurp(const char *name, char *out, size_t size)
{
	char path[128];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_non_null(f = fopen(path, "r"));
	n = fread(out, 1, size - 1, f);
	fclose(f);
	out[n] = '\0';
	return n;
}

static void spill(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fputs(text, f) >= 0, 1);
	fclose(f);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/sshsig-XXXXXX");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int drop_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* --- signatures --- */

static int check(const char *text, size_t len, const char *space, const char *message)
{
	struct sshsig s;

	err[0] = '\0';
	if (sshsig_parse(&s, text, len, err, sizeof(err)) != 0)
		return -2;
	return sshsig_verify(&s, space, message, strlen(message), err, sizeof(err));
}

static void those_of_ssh_keygen_are_taken(void **state)
{
	static const char *const how[] = { "-t ed25519", "-t ecdsa -b 256", "-t ecdsa -b 384", "-t ecdsa -b 521", "-t rsa -b 2048",
		"-t rsa -b 3072" };
	char sig[SSHSIG_TEXT_MAX], armored[SSHSIG_TEXT_MAX];
	struct sshsig s;

	(void)state;
	spill("text", MESSAGE);
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		size_t n;

		assert_int_equal(shell("rm -f k k.pub text.sig; ssh-keygen -q %s -N '' -f k && ssh-keygen -q -Y sign %s -n " SPACE " -f k text",
		    how[i], i == 5 ? "-O hashalg=sha256" : ""), 0);
		n = slurp("text.sig", sig, sizeof(sig));
		assert_int_equal(check(sig, n, SPACE, MESSAGE), 0);
		assert_int_equal(check(sig, n, "file", MESSAGE), -1);
		assert_non_null(strstr(err, "sign with -n file"));
		assert_int_equal(check(sig, n, SPACE, "Consent\n"), -1);
		assert_int_equal(check(sig, n, SPACE, "consent"), -1);
		assert_int_equal(sshsig_parse(&s, sig, n, err, sizeof(err)), 0);
		sshsig_armor(&s, armored);
		assert_string_equal(armored, sig);
	}
}

/* Every bit of a signature counts: with one changed it is no signature, or none of this text. */
static void every_bit_counts(void **state)
{
	char sig[SSHSIG_TEXT_MAX], armored[SSHSIG_TEXT_MAX + 8];
	struct sshsig s, bad;
	size_t n;

	(void)state;
	spill("text", MESSAGE);
	assert_int_equal(shell("rm -f k k.pub text.sig; ssh-keygen -q -t ed25519 -N '' -f k && ssh-keygen -q -Y sign -n " SPACE " -f k text"), 0);
	n = slurp("text.sig", sig, sizeof(sig));
	assert_int_equal(sshsig_parse(&s, sig, n, err, sizeof(err)), 0);
	for (size_t bit = 0; bit < s.len * 8; bit++) {
		memcpy(&bad, &s, sizeof(bad));
		bad.raw[bit / 8] ^= (uint8_t)(1U << bit % 8);
		sshsig_armor(&bad, armored);
		assert_int_not_equal(check(armored, strlen(armored), SPACE, MESSAGE), 0);
	}
	/* cut, longer, or something else */
	for (size_t cut = 0; cut < n - 1; cut++)
		assert_int_not_equal(check(sig, cut, SPACE, MESSAGE), 0);
	snprintf(armored, sizeof(armored), "%sx", sig);
	assert_int_equal(check(armored, strlen(armored), SPACE, MESSAGE), -2);
	assert_int_equal(check(KEY_A, strlen(KEY_A), SPACE, MESSAGE), -2);
	snprintf(armored, sizeof(armored), " \r\n%s\r\n ", sig);
	assert_int_equal(check(armored, strlen(armored), SPACE, MESSAGE), 0);
}

static void put_signed(struct buf *b)
{
	uint8_t digest[64];
	unsigned n;

	EVP_Digest(MESSAGE, strlen(MESSAGE), digest, &n, EVP_sha512(), NULL);
	buf_put(b, "SSHSIG", 6);
	buf_put_cstring(b, SPACE);
	buf_put_cstring(b, "");
	buf_put_cstring(b, "sha512");
	buf_put_string(b, digest, n);
}

/* What a security key would make: its blob and its signature, with these flags. */
static void sk_signature(bool ecdsa, uint8_t flags, char out[SSHSIG_TEXT_MAX], char line[600])
{
	EVP_PKEY *key = ecdsa ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	const char *type = ecdsa ? "sk-ecdsa-sha2-nistp256@openssh.com" : "sk-ssh-ed25519@openssh.com";
	struct buf plain, blob, text, sig, all;
	uint8_t digest[32], der[128], *at = der;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct sshsig s;
	size_t len = sizeof(der), n;
	char b64[480];

	for (size_t i = 0; i < 5; i++)
		buf_init((struct buf *[]){ &plain, &blob, &text, &sig, &all }[i], 4096);
	assert_int_equal(sshkey_blob(key, &plain), 0);
	buf_get_string(&plain, 64, &n);
	buf_put_cstring(&blob, type);
	buf_put(&blob, plain.data + plain.off, plain.len - plain.off);
	buf_put_cstring(&blob, "ssh:");
	put_signed(&sig);
	EVP_Digest("ssh:", 4, digest, NULL, EVP_sha256(), NULL);
	buf_put(&text, digest, 32);
	buf_put_u8(&text, flags);
	buf_put_u32(&text, 7);
	EVP_Digest(sig.data, sig.len, digest, NULL, EVP_sha256(), NULL);
	buf_put(&text, digest, 32);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, ecdsa ? EVP_sha256() : NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, der, &len, text.data, text.len), 1);
	buf_reset(&sig);
	buf_put_cstring(&sig, type);
	if (ecdsa) {
		ECDSA_SIG *two = d2i_ECDSA_SIG(NULL, (const uint8_t **)&at, (long)len);
		uint8_t number[40];

		buf_reset(&text);
		for (int i = 0; i < 2; i++) {
			n = (size_t)BN_bn2bin(i == 0 ? ECDSA_SIG_get0_r(two) : ECDSA_SIG_get0_s(two), number + 1);
			number[0] = 0;
			buf_put_string(&text, number + !(number[1] & 0x80), n + !!(number[1] & 0x80));
		}
		buf_put_string(&sig, text.data, text.len);
		ECDSA_SIG_free(two);
	} else {
		buf_put_string(&sig, der, len);
	}
	buf_put_u8(&sig, flags);
	buf_put_u32(&sig, 7);
	buf_put(&all, "SSHSIG", 6);
	buf_put_u32(&all, 1);
	buf_put_string(&all, blob.data, blob.len);
	buf_put_cstring(&all, SPACE);
	buf_put_cstring(&all, "");
	buf_put_cstring(&all, "sha512");
	buf_put_string(&all, sig.data, sig.len);
	memcpy(s.raw, all.data, s.len = all.len);
	sshsig_armor(&s, out);
	base64_encode(b64, blob.data, blob.len);
	snprintf(line, 600, "bob %s %s%s\n", type, b64, &"=="[2 - (3 - blob.len % 3) % 3]);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	for (size_t i = 0; i < 5; i++)
		buf_finish((struct buf *[]){ &plain, &blob, &text, &sig, &all }[i]);
}

static void security_keys_must_be_touched(void **state)
{
	char sig[SSHSIG_TEXT_MAX], line[600];

	(void)state;
	spill("text", MESSAGE);
	for (int i = 0; i < 40; i++) {
		sk_signature(i % 2 != 0, 1, sig, line);
		assert_int_equal(check(sig, strlen(sig), SPACE, MESSAGE), 0);
		assert_int_equal(check(sig, strlen(sig), SPACE, "else"), -1);
		if (i < 2) { /* ssh-keygen is of the same opinion */
			spill("text.sig", sig);
			spill("allowed", line);
			assert_int_equal(shell("ssh-keygen -Y verify -f allowed -I bob -n " SPACE " -s text.sig <text"), 0);
		}
		sk_signature(i % 2 != 0, 0, sig, line);
		assert_int_equal(check(sig, strlen(sig), SPACE, MESSAGE), -1);
		assert_non_null(strstr(err, "touched"));
	}
}

/* --- approve --- */

#define APPROVE(n) "{\"word\":\"approve\",\"args\":{\"id\":" #n "}}"

/* A key for each, registered, in `dir`/NAME; the role `vault` covers db1 and wants two signatures. */
static int setup_signed(void **state)
{
	static const char *const who[] = { "bob", "carol" };
	char json[1024], pub[512];

	rig_world();
	if (make_dir(state) != 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(shell("ssh-keygen -q -t ed25519 -N '' -C %s -f %s", who[i], who[i]), 0);
		snprintf(json, sizeof(json), "%s.pub", who[i]);
		slurp(json, pub, sizeof(pub));
		pub[strcspn(pub, "\n")] = '\0';
		snprintf(json, sizeof(json), "{\"word\":\"user key add\",\"args\":{\"user\":\"%s\",\"device\":\"desk\",\"key\":\"%s\"}}", who[i], pub);
		OK("root", json);
	}
	OK("root", "{\"word\":\"role remove\",\"args\":{\"role\":\"twin\"}}");
	OK("root", "{\"word\":\"role add\",\"args\":{\"role\":\"vault\",\"host\":\"db1\",\"login\":\"dba\",\"approvals\":2,\"signed\":true}}");
	OK("root", "{\"word\":\"role member add\",\"args\":{\"role\":\"vault\",\"user\":\"alice\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"vault\",\"user\":\"bob\"}}");
	OK("root", "{\"word\":\"role approver add\",\"args\":{\"role\":\"vault\",\"user\":\"carol\"}}");
	return 0;
}

static int drop_signed(void **state)
{
	teardown(state);
	return drop_dir(state);
}

/* `who` gives back a signature over `text` by `key`; the reply's code. */
static const char *give(const char *who, const char *text, const char *key)
{
	char sig[SSHSIG_TEXT_MAX];
	json_t *request;
	const char *r;
	char *json;

	spill("text", text);
	assert_int_equal(shell("rm -f text.sig; ssh-keygen -q -Y sign -n " SPACE " -f %s text", key), 0);
	slurp("text.sig", sig, sizeof(sig));
	request = json_pack("{s:s, s:{s:i, s:s}}", "word", "approve", "args", "id", 1, "signature", sig);
	assert_non_null(json = json_dumps(request, 0));
	r = code(who, json);
	free(json);
	json_decref(request);
	return r;
}

static void text_for(const char *who, char out[CONSENT_TEXT_MAX])
{
	OK(who, APPROVE(1));
	snprintf(out, CONSENT_TEXT_MAX, "%s\n", field("text"));
	assert_non_null(strstr(field("note"), "ssh-keygen -Y sign -n bastiond-approval"));
}

static int64_t given(void)
{
	struct ticket t;

	assert_int_equal(store_ticket(rig.s, 1, &t), 1);
	return t.given;
}

static void two_signatures_make_a_grant(void **state)
{
	char bob[CONSENT_TEXT_MAX], carol[CONSENT_TEXT_MAX], changed[CONSENT_TEXT_MAX];
	struct ticket t;
	json_t *list;

	(void)state;
	OK("alice", "{\"word\":\"request\",\"args\":{\"host\":\"db1\",\"login\":\"dba\",\"for\":3600,\"reason\":\"a \\\\ b \\u202e c\",\"ticket\":\"OPS-7\"}}");
	text_for("bob", bob);
	text_for("carol", carol);
	assert_string_not_equal(bob, carol);
	assert_non_null(strstr(bob, "\nrequest: 1\n"));
	assert_non_null(strstr(bob, "\nreason: a \\\\ b \\u{202e} c\n"));
	assert_non_null(strstr(bob, "\napprover: bob\n"));
	assert_int_equal(given(), 0); /* to look is not to approve */
	/* another's text, another's key, another text, another purpose */
	assert_string_equal(give("bob", carol, "bob"), "refused");
	assert_string_equal(give("bob", bob, "carol"), "refused");
	snprintf(changed, sizeof(changed), "%s", bob);
	memcpy(strstr(changed, "login: dba"), "login: dbb", 10);
	assert_string_equal(give("bob", changed, "bob"), "refused");
	assert_string_equal(give("alice", bob, "bob"), "denied");
	NO("bob", "usage", "{\"word\":\"approve\",\"args\":{\"id\":1,\"signature\":\"-\"}}");
	NO("bob", "usage", "{\"word\":\"approve\",\"args\":{\"id\":1,\"signature\":\"\"}}");
	assert_int_equal(given(), 0);
	assert_string_equal(give("bob", bob, "bob"), "");
	assert_int_equal(given(), 1);
	assert_string_equal(give("bob", bob, "bob"), "refused"); /* one a person */
	OK("root", "{\"word\":\"user key revoke\",\"args\":{\"user\":\"carol\",\"device\":\"desk\"}}");
	assert_string_equal(give("carol", carol, "carol"), "refused"); /* no device any more */
	assert_int_equal(given(), 1);
	assert_int_equal(store_ticket(rig.s, 1, &t), 1);
	assert_int_equal(t.state, TICKET_PENDING);
	list = store_list(rig.s, LIST_APPROVALS, &(struct list_ask){ .id = 1, .limit = 10 });
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "text")), bob);
	json_decref(list);
}

static void the_last_signature_grants(void **state)
{
	char text[CONSENT_TEXT_MAX];
	struct ticket t;

	(void)state;
	OK("alice", REQUEST_DB1);
	text_for("bob", text);
	assert_string_equal(give("bob", text, "bob"), "");
	text_for("carol", text);
	assert_string_equal(give("carol", text, "carol"), "");
	assert_int_equal(store_ticket(rig.s, 1, &t), 1);
	assert_int_equal(t.state, TICKET_APPROVED);
}

/* What may be run and where to it may go is signed whole, or not at all. */
static void what_is_allowed_is_in_the_text(void **state)
{
	char text[CONSENT_TEXT_MAX];

	(void)state;
	OK("root", "{\"word\":\"role change\",\"args\":{\"role\":\"vault\",\"cap\":[\"command /bin/backup --all\",\"forward db2:5432\"]}}");
	OK("alice", REQUEST_DB1);
	text_for("bob", text);
	if (strstr(text, "\ncapabilities: forward command\nforward: db2:5432\ncommand: /bin/backup --all\n") == NULL)
		fail_msg("%s", text);
}

/* The database says no as well, to a hand with sqlite3(1). */
static void no_grant_without_signatures(void **state)
{
	(void)state;
	OK("alice", REQUEST_DB1);
	assert_int_equal(by_hand("INSERT INTO verdicts SELECT 1, person, id, 1, '', 1 FROM users WHERE name IN ('bob', 'carol');"
				 "UPDATE requests SET state='approved' WHERE id=1"), SQLITE_OK);
	assert_int_equal(by_hand("INSERT INTO grants (id, start_at, end_at) VALUES (1, 10, 3610)"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("UPDATE requests SET signed=0"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO signatures VALUES (1, 'Alice', 1, 'x', 'y')"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO signatures SELECT 1, 'Bob', id, 'x', 'y' FROM devices WHERE user_id=(SELECT id FROM users WHERE name='bob')"), SQLITE_OK);
	assert_int_equal(by_hand("UPDATE signatures SET text='z'"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("DELETE FROM signatures"), SQLITE_CONSTRAINT);
	assert_int_equal(by_hand("INSERT INTO grants (id, start_at, end_at) VALUES (1, 10, 3610)"), SQLITE_CONSTRAINT);
}

static void a_role_wants_what_can_be_kept(void **state)
{
	(void)state;
	NO("root", "usage", "{\"word\":\"role add\",\"args\":{\"role\":\"r\",\"host\":\"*\",\"login\":\"x\",\"approvals\":0,\"signed\":true}}");
	NO("root", "usage", "{\"word\":\"role add\",\"args\":{\"role\":\"r\",\"host\":\"*\",\"login\":\"x\",\"approvals\":4,\"signed\":true}}");
	OK("root", "{\"word\":\"role show\",\"args\":{\"role\":\"vault\"}}");
	assert_true(json_is_true(json_object_get(json_object_get(last, "row"), "signed")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_of_ssh_keygen_are_taken, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(every_bit_counts, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(security_keys_must_be_touched, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(two_signatures_make_a_grant, setup_signed, drop_signed),
		cmocka_unit_test_setup_teardown(the_last_signature_grants, setup_signed, drop_signed),
		cmocka_unit_test_setup_teardown(what_is_allowed_is_in_the_text, setup_signed, drop_signed),
		cmocka_unit_test_setup_teardown(no_grant_without_signatures, setup_signed, drop_signed),
		cmocka_unit_test_setup_teardown(a_role_wants_what_can_be_kept, setup_signed, drop_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
