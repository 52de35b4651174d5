/*
 * ctl_key.c - `key add`: a managed key, made by root on the bastion. The keys role loads it at its
 * next reload.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "sshkey.h"

#define LINE_MAX_LEN 1500	/* of authorized_keys */

static EVP_PKEY *make_key(const char *type)
{
	if (strcmp(type, "rsa") == 0)
		return EVP_RSA_gen(3072);
	if (strcmp(type, "ecdsa") == 0)
		return EVP_EC_gen("P-256");
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

/*
 * Whole or not at all: PATH.new, then a link to PATH, which fails if that is there. 0, or -1 with
 * errno.
 */
static int write_key(const char *path, const EVP_PKEY *key)
{
	char side[CTL_PATH_MAX + 64];
	int fd, r = -1;
	FILE *f;

	snprintf(side, sizeof(side), "%s.new", path);
	unlink(side);
	if ((fd = open(side, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
		return -1;
	if ((f = fdopen(fd, "w")) == NULL) {
		close(fd);
		goto out;
	}
	errno = EIO;
	if (PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fflush(f) == 0 &&
	    fsync(fd) == 0)
		r = 0;
	if (fclose(f) != 0)
		r = -1;
	if (r == 0)
		r = link(side, path);
out:
	unlink(side);
	return r;
}

/* The reply, as if policy had made it: the same rendering, the same --json. */
static int show_key(struct ctl *c, const char *name, const char *line)
{
	json_t *reply = json_pack("{s:b, s:s+++, s:s, s:s}", "ok", 1, "text", line,
	    "\nPut this line into ~/.ssh/authorized_keys of the logins on the target. After the\n"
	    "next reload of bastiond: bastionctl host add ... --managed-key ",
	    name, "", "name", name, "key", line);
	char *dump = reply != NULL ? json_dumps(reply, JSON_COMPACT) : NULL;
	struct buf b;
	int r;

	json_decref(reply);
	if (dump == NULL)
		return ctl_fail("no memory");
	buf_view(&b, dump, strlen(dump));
	r = ctl_show(c, &b);
	free(dump);
	return r;
}

static int cannot_write(const char *path)
{
	if (errno == EEXIST) {
		ctl_fail("%s: there is such a key already; its line: bastionctl key list", path);
		return WORDS_REFUSED;
	}
	if (errno == ENOENT)
		return ctl_fail("%s: cannot be written: 'bastionctl init' comes first", path);
	return ctl_fail("%s: %s", path, strerror(errno));
}

int ctl_key_add(struct ctl *c, const json_t *args)
{
	const char *name = json_string_value(json_object_get(args, "name"));
	const char *type = json_string_value(json_object_get(args, "type"));
	char path[CTL_PATH_MAX + 48], comment[48], line[LINE_MAX_LEN];
	EVP_PKEY *key;
	int r;

	snprintf(path, sizeof(path), "%s/keys/managed/%s.pem", c->state_dir, name);
	snprintf(comment, sizeof(comment), "bastiond-%s", name);
	if ((key = make_key(type != NULL ? type : "ed25519")) == NULL ||
	    sshkey_line(key, comment, line, sizeof(line)) != 0) {
		r = ctl_fail("key add: OpenSSL cannot make this key");
	} else if (write_key(path, key) != 0) {
		r = cannot_write(path);
	} else {
		r = show_key(c, name, line);
	}
	EVP_PKEY_free(key);
	return r;
}
