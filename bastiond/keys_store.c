/*
 * keys_store.c - see keys_store.h. Role keys, at its start and at a reload.
 */
#include "keys_store.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "sshkey.h"
#include "log.h"

#define MANAGED "keys/managed/"
#define TARGET KEYFILE_TARGET

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

static EVP_PKEY *load_key(const struct keyfile *f, const char *shown)
{
	BIO *bio = BIO_new_mem_buf(f->data, (int)f->len);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	if (key != NULL && key_works(key))
		return key;
	log_error("%s: no PKCS#8 PEM of an Ed25519, ECDSA or RSA (2048 bits or more) key without passphrase", shown);
	EVP_PKEY_free(key);
	return NULL;
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

static int add_managed(struct keys *k, const struct keyfile *f)
{
	char name[USER_NAME_MAX + 1], safe[4 * KEYFILES_NAME_MAX];
	struct managed_key *bigger;
	EVP_PKEY *key;

	esc_text(safe, sizeof(safe), f->name, strlen(f->name));
	if (!key_name(f->name + strlen(MANAGED), name, sizeof(name))) {
		log_warn("%s: ignored, a managed key's file is called NAME.pem", safe);
		return 0;
	}
	if (k->n == KEYS_MANAGED_MAX) {
		log_error(MANAGED ": more than %d keys", KEYS_MANAGED_MAX);
		return -1;
	}
	if ((key = load_key(f, safe)) == NULL)
		return -1;
	if ((bigger = realloc(k->managed, (k->n + 1) * sizeof(*bigger))) == NULL) {
		EVP_PKEY_free(key);
		log_error("%s: no memory", safe);
		return -1;
	}
	k->managed = bigger;
	k->managed[k->n].key = key;
	memcpy(k->managed[k->n++].name, name, sizeof(name));
	return 0;
}

static int add_ca(struct keys *k, const struct keyfile *f)
{
	if ((k->ca = load_key(f, f->name)) == NULL)
		return -1;
	if (EVP_PKEY_get_base_id(k->ca) == EVP_PKEY_ED25519)
		return 0;
	log_error("%s: the user CA must be an Ed25519 key", f->name);
	return -1;
}

static int add_seal(struct keys *k, const struct keyfile *f)
{
	if (seal_ring_add(&k->seal, f->data, f->len) == 0)
		return 0;
	log_error("%s: 64 hexadecimal digits are expected; put back the right one from the backup", f->name);
	return -1;
}

int keys_load(struct keys *k, const struct buf *files)
{
	struct keyfile f;
	struct buf all;
	int r = 0, got;

	*k = (struct keys){ 0 };
	buf_view(&all, files->data, files->len);
	while (r == 0 && (got = keyfiles_next(&all, &f)) != 0) {
		if (got < 0)
			r = -1;
		else if (strncmp(f.name, MANAGED, strlen(MANAGED)) == 0)
			r = add_managed(k, &f);
		else if (strcmp(f.name, TARGET) == 0)
			r = add_seal(k, &f);
		else if (k->ca == NULL)
			r = add_ca(k, &f);
	}
	if (r == 0 && k->ca == NULL)
		r = -1;
	if (k->n > 1)
		qsort(k->managed, k->n, sizeof(k->managed[0]), by_name);
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
	explicit_bzero(&k->seal, sizeof(k->seal));
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
