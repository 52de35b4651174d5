/*
 * ssh_hostkeys.c - see ssh_hostkeys.h. Runs as root in `bastiond -I`, and in master at its start
 * and at a reload.
 */
#include "ssh_hostkeys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libssh/libssh.h>

#include "keyfiles.h"
#include "log.h"

static const struct {
	enum ssh_keytypes_e type;
	int bits;
	const char *name;
} kinds[SSH_HOSTKEYS_COUNT] = {
	{ SSH_KEYTYPE_ED25519, 0, "keys/ssh_host_ed25519_key" },
	{ SSH_KEYTYPE_ECDSA_P256, 256, "keys/ssh_host_ecdsa_key" },
	{ SSH_KEYTYPE_RSA, 3072, "keys/ssh_host_rsa_key" },
};

const char *ssh_hostkeys_name(size_t i)
{
	return i < SSH_HOSTKEYS_COUNT ? kinds[i].name : NULL;
}

/*
 * A key that others could read, or that somebody put a link to, is not this bastion's own any more.
 */
static int check_file(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		log_error("%s: %s; 'bastionctl init' makes the host keys", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
		log_error("%s: mode %04o; a private key must be a file of mode 0600", path,
		    (unsigned)st.st_mode & 07777);
	else
		return 0;
	return -1;
}

/* Takes over `key`, which may be NULL: one of the kind of number i, or NULL with a line logged. */
static ssh_key of_kind(size_t i, const char *path, ssh_key key)
{
	if (key == NULL)
		log_error("%s: no private key without passphrase; move it away and run 'bastionctl init'", path);
	else if (ssh_key_type(key) != kinds[i].type)
		log_error("%s: a key of type %s; %s belongs here", path, ssh_key_type_to_char(ssh_key_type(key)),
		    ssh_key_type_to_char(kinds[i].type));
	else
		return key;
	ssh_key_free(key);
	return NULL;
}

static ssh_key load_one(size_t i, const char *path)
{
	ssh_key key = NULL;

	if (check_file(path) != 0)
		return NULL;
	if (ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) != SSH_OK)
		key = NULL;
	return of_kind(i, path, key);
}

/* From the bundle. */
static ssh_key take_one(size_t i, const struct buf *files)
{
	struct keyfile f;
	ssh_key key = NULL;
	char *text;

	if (keyfiles_find(files, kinds[i].name, &f) != 0 || (text = strndup((const char *)f.data, f.len)) == NULL) {
		log_error("%s: not handed over", kinds[i].name);
		return NULL;
	}
	if (ssh_pki_import_privkey_base64(text, NULL, NULL, NULL, &key) != SSH_OK)
		key = NULL;
	explicit_bzero(text, f.len);
	free(text);
	return of_kind(i, kinds[i].name, key);
}

int ssh_hostkeys_load(const struct buf *files, ssh_key keys[SSH_HOSTKEYS_COUNT])
{
	for (size_t i = 0; i < SSH_HOSTKEYS_COUNT; i++) {
		if ((keys[i] = take_one(i, files)) != NULL)
			continue;
		while (i-- > 0) {
			ssh_key_free(keys[i]);
			keys[i] = NULL;
		}
		return -1;
	}
	return 0;
}

static int write_private(const char *path, const char *pem)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok = f != NULL && fputs(pem, f) >= 0 && fflush(f) == 0 && fsync(fd) == 0;

	if (f == NULL && fd >= 0)
		close(fd);
	if (f != NULL && fclose(f) != 0)
		ok = false;
	if (!ok)
		log_error("%s: cannot write: %s", path, strerror(errno));
	return ok ? 0 : -1;
}

int ssh_hostkeys_make(size_t i, const char *path)
{
	ssh_key key = NULL;
	char *pem = NULL;
	int r = -1;

	if (ssh_pki_generate(kinds[i].type, kinds[i].bits, &key) != SSH_OK ||
	    ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &pem) != SSH_OK)
		log_error("%s: libssh cannot make a key", path);
	else
		r = write_private(path, pem);
	if (pem != NULL)
		explicit_bzero(pem, strlen(pem));
	ssh_string_free_char(pem);
	ssh_key_free(key);
	return r;
}

int ssh_hostkeys_describe(size_t i, const char *path, char line[SSH_HOSTKEY_LINE_MAX],
    char fingerprint[64])
{
	ssh_key key = load_one(i, path);
	unsigned char *hash = NULL;
	char *base64 = NULL, *text = NULL;
	size_t len;
	int r = -1, n;

	if (key == NULL)
		return -1;
	if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK ||
	    ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &len) != 0 ||
	    (text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, len)) == NULL) {
		log_error("%s: libssh cannot tell its public key", path);
		goto out;
	}
	n = snprintf(line, SSH_HOSTKEY_LINE_MAX, "%s %s", ssh_key_type_to_char(ssh_key_type(key)),
	    base64);
	if (n > 0 && n < SSH_HOSTKEY_LINE_MAX && snprintf(fingerprint, 64, "%s", text) < 64)
		r = 0;
	else
		log_error(
		    "%s: an RSA key of more than 5000 bits; move it away and run 'bastionctl init'",
		    path);
out:
	ssh_clean_pubkey_hash(&hash);
	ssh_string_free_char(base64);
	ssh_string_free_char(text);
	ssh_key_free(key);
	return r;
}
