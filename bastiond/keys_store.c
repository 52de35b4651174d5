/*
 * keys_store.c - see keys_store.h. Role keys, at its start, still root.
 */
#include "keys_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "sshkey.h"
#include "log.h"

/* OpenSSL would ask at the terminal: a daemon has none. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
	(void)out, (void)size, (void)writing, (void)ctx;
	return -1;
}

/* A key that cannot sign is found out here, not at the first login; OpenSSL's lazy starts happen
   before the sandbox, too. */
static bool key_works(EVP_PKEY *key)
{
	const char *alg = sshkey_algorithm(key);
	struct buf out;
	bool ok;

	buf_init(&out, (size_t)2 * SSHKEY_BLOB_MAX);
	ok = alg != NULL && sshkey_blob(key, &out) == 0 &&
	    sshkey_sign(key, alg, "try", 3, &out) == 0;
	buf_finish(&out);
	return ok;
}

static EVP_PKEY *load_key(int dir, const char *name, const char *shown)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	EVP_PKEY *key = NULL;
	struct stat st;
	FILE *f = NULL;

	if (fd < 0 || fstat(fd, &st) != 0) {
		log_error("%s: %s; `bastionctl init` makes the keys", shown, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
		log_error("%s: mode %04o; a private key must be a file of mode 0600", shown,
		    (unsigned)st.st_mode & 07777);
	} else if ((f = fdopen(fd, "r")) == NULL) {
		log_error("%s: %s", shown, strerror(errno));
	} else if ((key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL)) == NULL ||
	    !key_works(key)) {
		log_error("%s: no PKCS#8 PEM of an Ed25519, ECDSA or RSA (2048 bits or more) key "
			  "without passphrase",
		    shown);
		EVP_PKEY_free(key);
		key = NULL;
	}
	if (f != NULL)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	return key;
}

/* "web1.pem" to "web1"; false for a name that is no key's. */
static bool key_name(const char *file, char *name, size_t size)
{
	size_t len = strlen(file);

	if (len <= 4 || len - 4 >= size || strcmp(file + len - 4, ".pem") != 0)
		return false;
	memcpy(name, file, len - 4);
	name[len - 4] = '\0';
	return name_is_user(name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct managed_key *)a)->name, ((const struct managed_key *)b)->name);
}

static int add_managed(struct keys *k, int dir, const char *file)
{
	char name[USER_NAME_MAX + 1], shown[PATH_MAX], safe[4 * NAME_MAX + 8];
	struct managed_key *bigger;
	EVP_PKEY *key;

	esc_text(safe, sizeof(safe), file, strlen(file));
	snprintf(shown, sizeof(shown), "keys/managed/%s", safe);
	if (!key_name(file, name, sizeof(name))) {
		log_warn("%s: ignored, a managed key's file is called NAME.pem", shown);
		return 0;
	}
	if (k->n == KEYS_MANAGED_MAX) {
		log_error("keys/managed: more than %d keys", KEYS_MANAGED_MAX);
		return -1;
	}
	if ((key = load_key(dir, file, shown)) == NULL)
		return -1;
	if ((bigger = realloc(k->managed, (k->n + 1) * sizeof(*bigger))) == NULL) {
		EVP_PKEY_free(key);
		log_error("%s: no memory", shown);
		return -1;
	}
	k->managed = bigger;
	k->managed[k->n].key = key;
	memcpy(k->managed[k->n++].name, name, sizeof(name));
	return 0;
}

static int load_managed(struct keys *k, int dir)
{
	int fd = openat(dir, "managed", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *entry;
	DIR *d;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		log_error("keys/managed: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (r == 0 && (entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.')
			r = add_managed(k, dirfd(d), entry->d_name);
	closedir(d);
	if (k->n > 1)
		qsort(k->managed, k->n, sizeof(k->managed[0]), by_name);
	return r;
}

int keys_load(struct keys *k, const char *state_dir)
{
	char path[PATH_MAX];
	int dir, r = -1;

	*k = (struct keys){ 0 };
	snprintf(path, sizeof(path), "%s/keys", state_dir);
	if ((dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		log_error("%s: %s; `bastionctl init` makes the keys", path, strerror(errno));
		return -1;
	}
	if ((k->ca = load_key(dir, "user_ca.pem", "keys/user_ca.pem")) == NULL)
		goto out;
	if (EVP_PKEY_get_base_id(k->ca) != EVP_PKEY_ED25519) {
		log_error("keys/user_ca.pem: the user CA must be an Ed25519 key");
		goto out;
	}
	r = load_managed(k, dir);
out:
	close(dir);
	if (r != 0)
		keys_finish(k);
	return r;
}

void keys_finish(struct keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->managed[i].key);
	free(k->managed);
	EVP_PKEY_free(k->ca);
	*k = (struct keys){ 0 };
}

EVP_PKEY *keys_find(const struct keys *k, const char *name)
{
	struct managed_key want = { .key = NULL }, *found;

	if (!name_is_user(name))
		return NULL;
	snprintf(want.name, sizeof(want.name), "%s", name);
	found = k->n == 0 ? NULL : bsearch(&want, k->managed, k->n, sizeof(want), by_name);
	return found != NULL ? found->key : NULL;
}
