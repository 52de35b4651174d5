/*
 * collector_init.c - bastion-collectord -I: directories, keys, certificate, and the words that say
 * what goes where.
 */
#include "collector_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto.h"
#include "hex.h"
#include "tlog_note.h"

/* A directory of the store that belongs to the collector. 0, or -1 with a sentence on standard error. */
static int make_dir(const struct coll_conf *c, const char *name, mode_t mode)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", c->store, name);
	if ((mkdir(path, mode) == 0 || errno == EEXIST) && (geteuid() != 0 || chown(path, c->uid, c->gid) == 0))
		return 0;
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return -1;
}

int coll_make_log(const struct coll_conf *c)
{
	return make_dir(c, "log", 0755);
}

/* The store itself stays root's, with the keys in it; the collector gets the directories below. */
static int make_store(const struct coll_conf *c)
{
	if (mkdir(c->store, 0755) != 0 && errno != EEXIST) {
		fprintf(stderr, "%s: %s; make the directory above it first\n", c->store, strerror(errno));
		return -1;
	}
	return make_dir(c, "recordings", 0750) != 0 || make_dir(c, "journal", 0750) != 0 || coll_make_log(c) != 0 ? -1 : 0;
}

static int make_receipt_key(const struct coll_conf *c, uint8_t pub[KEY_LEN])
{
	struct sign_key *key = sign_key_load(c->receipt_key);

	if (key == NULL && errno == ENOENT && (key = sign_key_generate()) != NULL &&
	    sign_key_save(key, c->receipt_key) != 0) {
		sign_key_destroy(key);
		key = NULL;
	}
	if (key == NULL) {
		fprintf(stderr, "receipt key %s: %s\n", c->receipt_key, strerror(errno));
		return -1;
	}
	sign_key_public(key, pub);
	sign_key_destroy(key);
	return 0;
}

/* The certificate's file carries the receipt key's public half as well: one file to copy. */
static int append_receipt_key(const struct coll_conf *c, const uint8_t pub[KEY_LEN])
{
	/*
	 * SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 10.1) is these bytes and the key
	 */
	static const uint8_t prefix[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21,
		0x00 };
	uint8_t der[sizeof(prefix) + KEY_LEN];
	char text[BASE64_SIZE(sizeof(der))];
	FILE *f = fopen(c->certificate, "ae");
	bool ok;

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", c->certificate, strerror(errno));
		return -1;
	}
	memcpy(der, prefix, sizeof(prefix));
	memcpy(der + sizeof(prefix), pub, KEY_LEN);
	base64_encode(text, der, sizeof(der));
	/* 44 bytes: 59 characters and one of padding */
	ok = fprintf(f, "-----BEGIN PUBLIC KEY-----\n%s=\n-----END PUBLIC KEY-----\n", text) > 0 &&
	    fflush(f) == 0 && fsync(fileno(f)) == 0;
	if (fclose(f) != 0 || !ok) {
		fprintf(stderr, "%s: %s\n", c->certificate, strerror(errno));
		return -1;
	}
	return 0;
}

void coll_log_origin(char *out, const struct coll_conf *c, const uint8_t receipt_key[KEY_LEN])
{
	char hex[17];
	uint8_t id[HASH_LEN] = { 0 };

	key_id(id, receipt_key);
	snprintf(out, TLOG_NAME_MAX + 1, "%s%s", c->log_origin, c->log_origin[0] != '\0' ? "" : "bastion-collectord/");
	if (c->log_origin[0] == '\0')
		snprintf(out + strlen(out), sizeof(hex), "%s", hex_encode(hex, id, 8));
}

/* A log that is there goes on with its own name, whatever key signs it. */
static void keep_origin(const struct coll_conf *c, char name[TLOG_NAME_MAX + 1])
{
	char path[4096], line[TLOG_NAME_MAX + 2];
	FILE *f;

	snprintf(path, sizeof(path), "%s/log/checkpoint", c->store);
	if ((f = fopen(path, "re")) == NULL)
		return;
	if (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (tlog_name_ok(line))
			strcpy(name, line);
	}
	fclose(f);
}

/* Does the certificate's file name the receipt key already? */
static bool has_receipt_key(const struct coll_conf *c, const uint8_t pub[KEY_LEN])
{
	uint8_t have[TLS_PINS_MAX][KEY_LEN];
	const int n = public_keys_load(c->certificate, have, TLS_PINS_MAX);

	for (int i = 0; i < n; i++)
		if (memcmp(have[i], pub, KEY_LEN) == 0)
			return true;
	return false;
}

/* The log's key as public tools take it, beside the certificate: its name and the receipt key's public half. */
static int write_vkey(const struct coll_conf *c, const uint8_t pub[KEY_LEN], char text[TLOG_VKEY_MAX + 1])
{
	struct tlog_vkey k = { .type = TLOG_KEY_LOG };
	char path[4096];
	FILE *f;
	bool ok;

	coll_log_origin(k.name, c, pub);
	keep_origin(c, k.name);
	memcpy(k.key, pub, KEY_LEN);
	tlog_vkey_format(text, &k);
	snprintf(path, sizeof(path), "%s/log.vkey", c->store);
	if ((f = fopen(path, "we")) == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	ok = fprintf(f, "%s\n", text) > 0 && fflush(f) == 0;
	if (fclose(f) == 0 && ok)
		return 0;
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return -1;
}

static void say(const struct coll_conf *c, const char *vkey)
{
	const char *port = strrchr(c->listen[0].text, ':');

	printf(
	    "Made, or found already there: %s (certificate and public receipt key), %s, %s.\n"
	    "Copy %s to the bastion, and name the copy in its bastiond.conf:\n\n"
	    "    collector c1 {\n"
	    "        address = \"ADDRESS OF THIS MACHINE\"\n"
	    "        port = %s\n"
	    "        certificate = \"/etc/bastiond/c1.crt\"\n"
	    "    }\n\n"
	    "Copy recorder/client.crt and recorder/signer.pub from the bastion's state_dir to here, and name them here:\n\n"
	    "    recorder NAME {\n"
	    "        certificate = \"/etc/bastiond/NAME.crt\"\n"
	    "        signer = \"/etc/bastiond/NAME.signer.pub\"\n"
	    "    }\n\n"
	    "Key of the log of recordings, for witnesses and public tools (also in %s/log.vkey):\n\n"
	    "    %s\n",
	    c->certificate, c->key, c->receipt_key, c->certificate, port != NULL ? port + 1 : "7422", c->store, vkey);
}

int coll_init(const struct coll_conf *c)
{
	uint8_t pub[KEY_LEN];
	char host[64] = "", why[256], vkey[TLOG_VKEY_MAX + 1];

	if (make_store(c) != 0 || make_receipt_key(c, pub) != 0)
		return 1;
	if (access(c->certificate, F_OK) != 0) {
		gethostname(host, sizeof(host) - 1);
		if (tls_make_identity(
			c->key, c->certificate, host[0] != '\0' ? host : "collector", why, sizeof(why)) != 0) {
			fprintf(stderr, "%s\n", why);
			return 1;
		}
	}
	/* behind that of the key before, if it was changed: what that signed stays verifiable */
	if (!has_receipt_key(c, pub) && append_receipt_key(c, pub) != 0)
		return 1;
	if (write_vkey(c, pub, vkey) != 0)
		return 1;
	say(c, vkey);
	return 0;
}
