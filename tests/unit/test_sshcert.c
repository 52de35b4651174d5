/*
 * test_sshcert.c - certificates against ssh-keygen's reading of them, the bounds of the keys role,
 * and the lent key's agent. tests/system/test_certificate.py shows the same certificates to a real
 * sshd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/rsa.h>

#include "keys_agent.h"
#include "sshkey.h"
#include "log.h"
#include "sshcert.h"

#define NOW 1700000000

static EVP_PKEY *ca, *ed, *p256, *p384, *rsa;

static int make_keys(void **state)
{
	(void)state;
	log_init("test", true, LOG_LVL_ERROR);
	ca = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	return ca != NULL && ed != NULL && p256 != NULL && p384 != NULL && rsa != NULL ? 0 : -1;
}

static int free_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(ca);
	EVP_PKEY_free(ed);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(rsa);
	return 0;
}

static struct sshcert example(struct buf *blob, EVP_PKEY *key)
{
	struct sshcert c = { .principal = "dba",
		.key_id = "alice/17/00ff",
		.serial = 7,
		.after = NOW - 60,
		.before = NOW + 240,
		.source = "127.0.0.1,10.0.0.0/8" };

	buf_init(blob, SSHKEY_BLOB_MAX);
	assert_int_equal(sshkey_blob(key, blob), 0);
	c.key = blob->data;
	c.key_len = blob->len;
	return c;
}

/* What `ssh-keygen -L` says of the certificate, in out. */
static void keygen_reads(const struct buf *cert, const char *type, char *out, size_t size)
{
	uint8_t *text = malloc(cert->len * 2 + 8);
	char path[] = "/tmp/test_sshcert.XXXXXX", command[128];
	int fd = mkstemp(path);
	FILE *f;

	assert_true(fd >= 0 && text != NULL);
	EVP_EncodeBlock(text, cert->data, (int)cert->len);
	assert_true(dprintf(fd, "%s %s\n", type, (char *)text) > 0);
	close(fd);
	free(text);
	snprintf(command, sizeof(command), "TZ=UTC ssh-keygen -L -f %s 2>&1", path);
	f = popen(command, "r");
	assert_non_null(f);
	out[fread(out, 1, size - 1, f)] = '\0';
	assert_int_equal(pclose(f), 0);
	unlink(path);
}

static void keygen_agrees(EVP_PKEY *key, const char *type, const char *shown)
{
	struct buf blob, cert;
	struct sshcert c = example(&blob, key);
	char text[4096];

	buf_init(&cert, SSHCERT_MAX);
	assert_int_equal(sshcert_sign(&c, ca, &cert), 0);
	keygen_reads(&cert, type, text, sizeof(text));
	assert_non_null(strstr(text, shown));
	assert_non_null(strstr(text, "user certificate"));
	assert_non_null(strstr(text, "Signing CA: ED25519"));
	assert_non_null(strstr(text, "Key ID: \"alice/17/00ff\""));
	assert_non_null(strstr(text, "Serial: 7"));
	assert_non_null(strstr(text, "from 2023-11-14T22:12:20 to 2023-11-14T22:17:20"));
	assert_non_null(strstr(text, "Principals: \n                dba\n"));
	assert_non_null(strstr(text, "source-address 127.0.0.1,10.0.0.0/8"));
	assert_non_null(strstr(text, "Extensions: \n                permit-pty\n"));
	assert_null(strstr(text, "permit-user-rc"));
	assert_null(strstr(text, "forwarding"));
	buf_finish(&cert);
	buf_finish(&blob);
}

static void keygen_reads_each_type(void **state)
{
	(void)state;
	keygen_agrees(ed, "ssh-ed25519-cert-v01@openssh.com", "ED25519-CERT");
	keygen_agrees(p256, "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ECDSA-CERT");
	keygen_agrees(rsa, "ssh-rsa-cert-v01@openssh.com", "RSA-CERT");
}

static void one_command_and_nothing_else(void **state)
{
	struct buf blob, cert;
	struct sshcert c = example(&blob, ed);
	char text[4096];

	(void)state;
	snprintf(c.command, sizeof(c.command), "/usr/local/sbin/bastion-account");
	assert_null(sshcert_refusal(&c, NOW));
	buf_init(&cert, SSHCERT_MAX);
	assert_int_equal(sshcert_sign(&c, ca, &cert), 0);
	keygen_reads(&cert, "ssh-ed25519-cert-v01@openssh.com", text, sizeof(text));
	assert_non_null(strstr(text, "Critical Options: \n                force-command /usr/local/sbin/bastion-account\n"
				     "                source-address 127.0.0.1,10.0.0.0/8\n"));
	assert_non_null(strstr(text, "Extensions: (none)"));
	c.forward = true;
	assert_non_null(sshcert_refusal(&c, NOW));
	buf_finish(&cert);
	buf_finish(&blob);
}

static void destinations_may_be_forwarded_to(void **state)
{
	struct buf blob, cert;
	struct sshcert c = example(&blob, ed);
	char text[4096];

	(void)state;
	c.forward = true;
	buf_init(&cert, SSHCERT_MAX);
	assert_int_equal(sshcert_sign(&c, ca, &cert), 0);
	keygen_reads(&cert, "ssh-ed25519-cert-v01@openssh.com", text, sizeof(text));
	assert_non_null(strstr(text, "Extensions: \n                permit-port-forwarding\n                permit-pty\n"));
	buf_finish(&cert);
	buf_finish(&blob);
}

static void bounds_hold(void **state)
{
	struct buf blob;
	const struct sshcert good = example(&blob, ed);
	struct sshcert c;

	(void)state;
	assert_null(sshcert_refusal(&good, NOW));
#define BAD(change) do { c = good; change; assert_non_null(sshcert_refusal(&c, NOW)); } while (0)
	BAD(c.before = NOW + 241); /* 301 seconds in all */
	BAD(c.after = NOW + 2; c.before = NOW + 301);
	BAD(c.before = UINT64_MAX);
	BAD(c.after = NOW - 61; c.before = NOW + 1);
	BAD(c.after = 0);
	BAD(c.before = NOW);
	BAD(c.after = c.before);
	BAD(c.principal[0] = '\0');
	BAD(strcpy(c.principal, "dba,root"));
	BAD(strcpy(c.principal, "dba root"));
	BAD(strcpy(c.principal, "-dba"));
	BAD(c.key_id[0] = '\0');
	BAD(c.source[0] = '\0'); /* good from everywhere */
	BAD(strcpy(c.source, "example.org"));
	BAD(strcpy(c.source, "127.0.0.1,"));
	BAD(strcpy(c.source, "127.0.0.1/33"));
	BAD(strcpy(c.source, "::1/129"));
	BAD(strcpy(c.source, "10.0.0.0/"));
	BAD(strcpy(c.source, "10.0.0.0/-1"));
	BAD(strcpy(c.source, "0.0.0.0/0 ,::/0"));
	BAD(c.key_len--);
	BAD(c.key_len = 0);
#undef BAD
	c = good;
	strcpy(c.source, "::1/128,fd00::/8,192.0.2.7");
	assert_null(sshcert_refusal(&c, NOW));
	c.after = NOW;
	c.before = NOW + 300;
	assert_null(sshcert_refusal(&c, NOW));
	buf_finish(&blob);
}

static void key_types_are_listed(void **state)
{
	EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	struct buf blob, fields;
	struct sshcert c;

	(void)state;
	c = example(&blob, p384);
	assert_non_null(sshcert_refusal(&c, NOW));
	buf_reset(&blob);
	assert_int_equal(sshkey_blob(weak, &blob), -1);
	buf_finish(&blob);
	c = example(&blob, p256);
	blob.data[blob.len - 1] ^= 1; /* a point beside the curve */
	assert_non_null(sshcert_refusal(&c, NOW));
	buf_put_u8(&blob, 0);
	blob.data[blob.len - 2] ^= 1;
	assert_null(sshkey_check_blob(blob.data, blob.len, &fields)); /* one byte too many */
	assert_non_null(sshkey_check_blob(blob.data, blob.len - 1, &fields));
	buf_finish(&blob);
	EVP_PKEY_free(weak);
}

static void request_decodes_or_not(void **state)
{
	struct buf blob, body, view;
	struct sshcert c = example(&blob, ed), d;

	(void)state;
	buf_init(&body, 4096);
	buf_put_string(&body, c.key, c.key_len);
	buf_put_cstring(&body, c.principal);
	buf_put_cstring(&body, c.key_id);
	buf_put_u64(&body, c.serial);
	buf_put_u64(&body, c.after);
	buf_put_u64(&body, c.before);
	buf_put_cstring(&body, c.source);
	buf_put_u8(&body, 1);
	buf_put_cstring(&body, "");
	buf_view(&view, body.data, body.len);
	assert_int_equal(sshcert_decode(&view, &d), 0);
	assert_null(sshcert_refusal(&d, NOW));
	assert_true(d.forward);
	for (size_t cut = 0; cut < body.len; cut++) {
		buf_view(&view, body.data, cut);
		assert_int_equal(sshcert_decode(&view, &d), -1);
	}
	buf_finish(&body);
	buf_finish(&blob);
}

/* --- agent --- */

struct userauth {
	size_t id_len;
	uint8_t type, flag;
	const char *user, *service, *method, *alg;
	EVP_PKEY *key;
};

static struct userauth login_as(const char *user, EVP_PKEY *key, const char *alg)
{
	return (struct userauth){ 32, 50, 1, user, "ssh-connection", "publickey", alg, key };
}

static void put_key(struct buf *out, EVP_PKEY *key)
{
	struct buf blob;

	buf_init(&blob, SSHKEY_BLOB_MAX);
	assert_int_equal(sshkey_blob(key, &blob), 0);
	buf_put_string(out, blob.data, blob.len);
	buf_finish(&blob);
}

static void put_userauth(struct buf *out, const struct userauth *u)
{
	static const uint8_t id[64] = { 1, 2, 3 };

	buf_put_string(out, id, u->id_len);
	buf_put_u8(out, u->type);
	buf_put_cstring(out, u->user);
	buf_put_cstring(out, u->service);
	buf_put_cstring(out, u->method);
	buf_put_u8(out, u->flag);
	buf_put_cstring(out, u->alg);
	put_key(out, u->key);
}

/* Sends SIGN_REQUEST, returns the type of the answer; the signature blob in *sig if it is one. */
static uint8_t ask_sign(struct agent *a, EVP_PKEY *key, const struct userauth *u, uint32_t flags,
    struct buf *sig)
{
	struct buf request, data, out;
	uint8_t type;
	uint32_t len;

	buf_init(&request, AGENT_MESSAGE_MAX);
	buf_init(&data, AGENT_MESSAGE_MAX);
	buf_init(&out, AGENT_MESSAGE_MAX + 4);
	put_userauth(&data, u);
	buf_put_u8(&request, 13);
	put_key(&request, key);
	buf_put_string(&request, data.data, data.len);
	buf_put_u32(&request, flags);
	assert_int_equal(agent_answer(a, request.data, request.len, &out), 0);
	len = buf_get_u32(&out);
	assert_int_equal(len, buf_left(&out));
	type = buf_get_u8(&out);
	if (type == 14 && sig != NULL) {
		size_t n;
		const uint8_t *p = buf_get_string(&out, AGENT_MESSAGE_MAX, &n);

		buf_put(sig, p, n);
		assert_true(buf_end(&out));
	}
	buf_finish(&request);
	buf_finish(&data);
	buf_finish(&out);
	return type;
}

static void lent_key_logs_in_twice(void **state)
{
	struct userauth u = login_as("dba", ed, "ssh-ed25519");
	struct agent a;

	(void)state;
	agent_init(&a, ed, "dba");
	assert_int_equal(ask_sign(&a, ed, &u, 0, NULL), 14);
	assert_int_equal(ask_sign(&a, ed, &u, 0, NULL), 14);
	assert_int_equal(ask_sign(&a, ed, &u, 0, NULL), 5);
}

static void lent_key_signs_nothing_else(void **state)
{
	const struct userauth good = login_as("dba", ed, "ssh-ed25519");
	struct userauth u;
	struct agent a;

	(void)state;
	agent_init(&a, ed, "dba");
#define BAD(change) \
	do { u = good; change; assert_int_equal(ask_sign(&a, ed, &u, 0, NULL), 5); } while (0)
	BAD(u.user = "root");
	BAD(u.user = "");
	BAD(u.type = 51);
	BAD(u.flag = 0);
	BAD(u.service = "ssh-userauth");
	BAD(u.method = "hostbased");
	BAD(u.method = "publickey-hostbound-v00@openssh.com");
	BAD(u.alg = "ssh-rsa");
	BAD(u.key = p256);
	BAD(u.id_len = 0);
#undef BAD
	assert_int_equal(ask_sign(&a, p256, &good, 0, NULL), 5);
	assert_int_equal(a.left, AGENT_SIGNATURES);
	assert_int_equal(ask_sign(&a, ed, &good, 0, NULL), 14);
}

static void rsa_never_with_sha1(void **state)
{
	struct userauth u = login_as("dba", rsa, "ssh-rsa");
	struct agent a;
	struct buf sig;
	char alg[32];

	(void)state;
	agent_init(&a, rsa, "dba");
	assert_int_equal(ask_sign(&a, rsa, &u, 0, NULL), 5);
	assert_int_equal(ask_sign(&a, rsa, &u, 2, NULL), 5);
	u.alg = "rsa-sha2-256";
	assert_int_equal(ask_sign(&a, rsa, &u, 4, NULL), 5); /* flag and request differ */
	buf_init(&sig, AGENT_MESSAGE_MAX);
	assert_int_equal(ask_sign(&a, rsa, &u, 2, &sig), 14);
	assert_int_equal(buf_get_cstring(&sig, alg, sizeof(alg)), 0);
	assert_string_equal(alg, "rsa-sha2-256");
	buf_finish(&sig);
	u.alg = "rsa-sha2-512";
	assert_int_equal(ask_sign(&a, rsa, &u, 4, NULL), 14);
}

static void signatures_verify(void **state)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct buf sig;
	const uint8_t *raw;
	char alg[32];
	size_t n;

	(void)state;
	buf_init(&sig, 4096);
	assert_int_equal(sshkey_sign(ed, "ssh-ed25519", "abc", 3, &sig), 0);
	buf_get_u32(&sig);
	buf_get_cstring(&sig, alg, sizeof(alg));
	raw = buf_get_string(&sig, 64, &n);
	assert_true(buf_end(&sig));
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, ed), 1);
	assert_int_equal(EVP_DigestVerify(ctx, raw, n, (const uint8_t *)"abc", 3), 1);
	assert_int_equal(sshkey_sign(ed, "rsa-sha2-256", "abc", 3, &sig), -1);
	assert_int_equal(sshkey_sign(rsa, "ssh-rsa", "abc", 3, &sig), -1);
	EVP_MD_CTX_free(ctx);
	buf_finish(&sig);
}

static void other_requests_fail(void **state)
{
	struct agent a;
	struct buf out;

	(void)state;
	agent_init(&a, ed, "dba");
	for (unsigned type = 0; type < 256; type++) {
		uint8_t request[6] = { (uint8_t)type, 0, 0, 0, 0, 0 };

		buf_init(&out, AGENT_MESSAGE_MAX + 4);
		assert_int_equal(agent_answer(&a, request, type == 11 ? 2 : sizeof(request), &out),
		    0);
		assert_int_equal(out.len, 5);
		assert_int_equal(out.data[4], 5);
		buf_finish(&out);
	}
	buf_init(&out, AGENT_MESSAGE_MAX + 4);
	assert_int_equal(agent_answer(&a, (const uint8_t *)"\x0b", 1, &out), 0);
	assert_int_equal(out.data[4], 12);
	buf_reset(&out);
	assert_int_equal(agent_answer(&a, NULL, 0, &out), 0);
	assert_int_equal(out.data[4], 5);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keygen_reads_each_type),
		cmocka_unit_test(destinations_may_be_forwarded_to),
		cmocka_unit_test(one_command_and_nothing_else),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(key_types_are_listed),
		cmocka_unit_test(request_decodes_or_not),
		cmocka_unit_test(lent_key_logs_in_twice),
		cmocka_unit_test(lent_key_signs_nothing_else),
		cmocka_unit_test(rsa_never_with_sha1),
		cmocka_unit_test(signatures_verify),
		cmocka_unit_test(other_requests_fail),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
