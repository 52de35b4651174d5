/*
 * rotate.c - see rotate.h. Runs once, as root, beside the daemon; SIGHUP then brings what it made into use.
 *
 * Of a private key X with its public file P: begin makes X.next and P.next, then P = P + P.next. end renames X.next to X, then
 * P = P.next (signer: + the old P), then removes P.next. P.next says how far it came, whatever the moment of a crash.
 */
#include "rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "config.h"
#include "crypto.h"
#include "log.h"
#include "ssh_hostkeys.h"
#include "sshkey.h"
#include "wire_tls.h"
#include "write_all.h"

#define PUBLIC_MAX (64U << 10)

enum kind { SIGNER, CLIENT, CA, HOSTKEY };

struct piece {
	enum kind kind;
	size_t number;			/* HOSTKEY: which of ssh_hostkeys.h */
	char key[PATH_MAX], next[PATH_MAX + 8], public[PATH_MAX + 8], public_next[PATH_MAX + 16];
};

static const struct { const char *what; enum kind kind; const char *key, *public, *begun, *ended; } table[] = {
	{ "signer", SIGNER, "recorder/signer.pem", "recorder/signer.pub",
	    "Copy recorder/signer.pub, which now holds both keys, to every collector (then SIGHUP it) and to the auditors' trust files.",
	    "When no recording of before runs any more, remove the old key from the collectors' copies (SIGHUP): they then refuse what it "
	    "signs. Auditors keep it, for what it has signed." },
	{ "client", CLIENT, "recorder/client.key", "recorder/client.crt",
	    "Copy recorder/client.crt, which now holds both certificates, to every collector, and SIGHUP it.",
	    "Then copy recorder/client.crt to every collector again, and SIGHUP it: the old certificate is worth nothing any more." },
	{ "ca", CA, "keys/user_ca.pem", "keys/user_ca.pub",
	    "Copy keys/user_ca.pub, which now holds both lines, to what TrustedUserCAKeys of every target names.",
	    "Then copy keys/user_ca.pub to the targets again: the old CA is trusted no more." },
	{ "hostkey", HOSTKEY, NULL, NULL,
	    "Give users the last line of each keys/ssh_host_*_key.pub for their known_hosts, beside the lines they have.",
	    "Then users remove the old lines." },
};

static int fail(const char *path, const char *step)
{
	log_error("%s: %s: %s", path, step, strerror(errno));
	return -1;
}

static bool there(const char *path)
{
	return access(path, F_OK) == 0;
}

static int read_text(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t piece[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0 && buf_put(out, piece, (size_t)n) == 0)
		;
	if (fd >= 0)
		close(fd);
	return n == 0 ? 0 : fail(path, "cannot read");
}

/* The file is the old one or the new one, never a part. */
static int write_text(const char *path, const void *data, size_t len)
{
	char side[PATH_MAX + 32];
	FILE *f;
	bool ok;

	snprintf(side, sizeof(side), "%s.new", path);
	unlink(side);
	if ((f = fopen(side, "wxe")) == NULL)
		return fail(side, "cannot create");
	ok = fwrite(data, 1, len, f) == len && fflush(f) == 0 && fchmod(fileno(f), 0644) == 0 && fsync(fileno(f)) == 0;
	if (fclose(f) != 0 || !ok)
		return fail(side, "cannot write");
	return rename(side, path) != 0 ? fail(path, "cannot rename to it") : sync_dir_of(path) == 0 ? 0 : fail(path, "fsync of its directory");
}

/* --- making --- */

/* "ssh-ed25519 AAAA… bastiond-user-ca" of an Ed25519 key. */
static int ca_line(const uint8_t pub[KEY_LEN], char *line, size_t size)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, KEY_LEN);
	int r = key != NULL ? sshkey_line(key, "bastiond-user-ca", line, size - 1) : -1;

	EVP_PKEY_free(key);
	if (r == 0)
		strcat(line, "\n");
	return r;
}

static int make_sign_key(const struct piece *p)
{
	struct sign_key *key = sign_key_generate();
	char line[SSH_HOSTKEY_LINE_MAX];
	uint8_t pub[KEY_LEN];
	int r = -1;

	if (key == NULL || sign_key_save(key, p->next) != 0) {
		fail(p->next, "cannot make this key");
	} else {
		sign_key_public(key, pub);
		if (p->kind == SIGNER)
			r = public_key_save(pub, p->public_next) == 0 ? 0 : fail(p->public_next, "cannot write");
		else if (ca_line(pub, line, sizeof(line)) == 0)
			r = write_text(p->public_next, line, strlen(line));
	}
	sign_key_destroy(key);
	return r;
}

static int make_host_key(const struct piece *p)
{
	char line[SSH_HOSTKEY_LINE_MAX + 1], fingerprint[64];

	if (ssh_hostkeys_make(p->number, p->next) != 0 ||
	    ssh_hostkeys_describe(p->number, p->next, line, fingerprint) != 0)
		return -1;
	strcat(line, "\n");
	return write_text(p->public_next, line, strlen(line));
}

static int make_client(const struct piece *p)
{
	char host[256], why[256];

	if (gethostname(host, sizeof(host)) != 0)
		return fail("gethostname", "cannot name the certificate");
	host[sizeof(host) - 1] = '\0';
	if (tls_make_identity(p->next, p->public_next, host, why, sizeof(why)) == 0)
		return 0;
	log_error("%s", why);
	return -1;
}

/* P = P + P.next, unless it is in it already. */
static int add_public(const struct piece *p)
{
	struct buf have, next;
	int r = -1;

	buf_init(&have, PUBLIC_MAX);
	buf_init(&next, PUBLIC_MAX);
	if (read_text(p->public, &have) == 0 && read_text(p->public_next, &next) == 0) {
		if (have.len >= next.len && memmem(have.data, have.len, next.data, next.len) != NULL)
			r = 0;
		else if (buf_put(&have, next.data, next.len) == 0)
			r = write_text(p->public, have.data, have.len);
	}
	buf_finish(&have);
	buf_finish(&next);
	return r;
}

static int begin_one(const struct piece *p)
{
	if (!there(p->key)) {
		errno = ENOENT;
		return fail(p->key, "'bastionctl init' makes the first");
	}
	/* a private key whose public half did not follow is of no use */
	if (!there(p->public_next))
		unlink(p->next);
	if (there(p->next)) {
		printf("kept  %s\n", p->next);
	} else {
		int r = p->kind == CLIENT ? make_client(p) : p->kind == HOSTKEY ? make_host_key(p) : make_sign_key(p);

		if (r != 0) {
			unlink(p->next);
			unlink(p->public_next);
			return -1;
		}
		printf("made  %s\n", p->next);
	}
	return add_public(p);
}

/* --- the change --- */

/* P.next alone, for a signer with what P holds besides: what the old key signed is verified for years. */
static int replace_public(const struct piece *p)
{
	struct buf all, old;
	uint8_t *at = NULL;
	int r = -1;

	buf_init(&all, 2 * PUBLIC_MAX);
	buf_init(&old, PUBLIC_MAX);
	if (read_text(p->public_next, &all) != 0 || read_text(p->public, &old) != 0)
		goto out;
	if (p->kind == SIGNER) {
		const size_t len = all.len;

		if (old.len >= len && (at = memmem(old.data, old.len, all.data, len)) != NULL) {
			buf_put(&all, old.data, (size_t)(at - old.data));
			buf_put(&all, at + len, old.len - len - (size_t)(at - old.data));
		} else {
			buf_put(&all, old.data, old.len);
		}
	}
	if (buf_ok(&all))
		r = write_text(p->public, all.data, all.len);
out:
	buf_finish(&all);
	buf_finish(&old);
	return r;
}

static int end_one(const struct piece *p)
{
	if (!there(p->public_next)) {
		log_error("%s: not there: 'bastionctl rotate begin' comes first", p->public_next);
		return -1;
	}
	if (there(p->next) && rename(p->next, p->key) != 0)
		return fail(p->key, "cannot rename to it");
	if (sync_dir_of(p->key) != 0)
		return fail(p->key, "fsync of its directory");
	if (replace_public(p) != 0)
		return -1;
	printf("now   %s\n", p->key);
	return unlink(p->public_next) == 0 && sync_dir_of(p->key) == 0 ? 0 : fail(p->public_next, "cannot remove");
}

static void name_piece(struct piece *p, const char *dir, enum kind kind, size_t number, const char *key, const char *public)
{
	p->kind = kind;
	p->number = number;
	snprintf(p->key, sizeof(p->key), "%s/%s", dir, key);
	snprintf(p->next, sizeof(p->next), "%s.next", p->key);
	if (public != NULL)
		snprintf(p->public, sizeof(p->public), "%.*s/%s", (int)(PATH_MAX - 64), dir, public);
	else
		snprintf(p->public, sizeof(p->public), "%s.pub", p->key);
	snprintf(p->public_next, sizeof(p->public_next), "%s.next", p->public);
}

static int each(const struct config *conf, const char *what, bool end)
{
	int (*const work)(const struct piece *) = end ? end_one : begin_one;
	const char *name;
	struct piece p;
	size_t i = 0;
	int r = 0;

	if (strcmp(what, "totp") == 0 && geteuid() == 0)
		return rotate_totp(conf, end) == 0 && fflush(stdout) == 0 ? 0 : -1;
	while (i < sizeof(table) / sizeof(table[0]) && strcmp(table[i].what, what) != 0)
		i++;
	if (i == sizeof(table) / sizeof(table[0]) || geteuid() != 0 || strlen(conf->state_dir) > PATH_MAX - 64) {
		log_error("%s", i == sizeof(table) / sizeof(table[0]) ? "what to rotate: signer, client, ca, hostkey or totp" :
		    geteuid() != 0 ? "only root can change the keys: use sudo" : "state_dir is too long");
		return -1;
	}
	umask(077);
	if (table[i].kind != HOSTKEY) {
		name_piece(&p, conf->state_dir, table[i].kind, 0, table[i].key, table[i].public);
		r = work(&p);
	}
	for (size_t k = 0; r == 0 && table[i].kind == HOSTKEY && (name = ssh_hostkeys_name(k)) != NULL; k++) {
		name_piece(&p, conf->state_dir, HOSTKEY, k, name, NULL);
		r = work(&p);
	}
	if (r == 0 && end)
		printf("\nReload bastiond, which then uses the new one. %s\n", table[i].ended);
	else if (r == 0)
		printf("\n%s Then: bastionctl rotate end %s\n", table[i].begun, what);
	return r == 0 && fflush(stdout) == 0 ? 0 : -1;
}

int rotate_begin(const struct config *conf, const char *what)
{
	return each(conf, what, false);
}

int rotate_end(const struct config *conf, const char *what)
{
	return each(conf, what, true);
}
