/*
 * init.c - `bastiond -I`, see init.h. Runs once, as root, before the daemon's first start;
 * `bastionctl init` execs it.
 *
 * A piece is made under the name X.new, synced, and renamed to X: so X is whole or not there. What
 * can be derived from a private key (.pub files) is written again whenever it is missing.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "crypto.h"
#include "sshkey.h"
#include "log.h"
#include "rotate.h"
#include "ssh_hostkeys.h"
#include "store.h"
#include "wire_tls.h"
#include "write_all.h"

#define SIDE_MAX (PATH_MAX + 16)
#define SIGNERS_MAX 32	/* keys in signer.pub: as many as a collector takes */

struct init {
	const struct config *conf;
	char path[PATH_MAX];		/* of the piece at hand; at() fills it */
	bool ran_before;		/* the database, which is made last, was there */
	char ca_line[SSH_HOSTKEY_LINE_MAX];
};

static const char *at(struct init *in, const char *name)
{
	snprintf(in->path, sizeof(in->path), "%s/%s", in->conf->state_dir, name);
	return in->path;
}

static void say(const char *did, const char *name, const char *what)
{
	printf("%-5s %-30s %s\n", did, name, what);
}

static void say_made(const struct init *in, bool have, const char *name, const char *what)
{
	say(have ? "kept" : "made", name, what);
	if (!have && in->ran_before)
		log_warn("%s was missing and is new now: whoever trusted the old one must be told",
		    name);
}

static int fail(const char *path, const char *step)
{
	log_error("%s: %s: %s", path, step, strerror(errno));
	return -1;
}

/* 1: there; 0: not; -1 after a line. A private piece is a plain file that root alone can read. */
static int is_there(const char *path, bool private)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : fail(path, "cannot look at it");
	if (!S_ISREG(st.st_mode)) {
		log_error("%s: not a plain file; move it away and run this again", path);
		return -1;
	}
	if (private && (st.st_uid != 0 || (st.st_mode & 077) != 0)) {
		log_error("%s: owner %u, mode %04o; chown root and chmod 0600 it, "
		    "if nobody else can have read it", path, (unsigned)st.st_uid,
		    (unsigned)st.st_mode & 07777);
		return -1;
	}
	return 1;
}

/* The name under which a piece is made; what an earlier run left there is of no use. */
static const char *side_name(const char *path, char side[SIDE_MAX])
{
	snprintf(side, SIDE_MAX, "%s.new", path);
	unlink(side);
	return side;
}

static int publish(const char *side, const char *path)
{
	if (rename(side, path) != 0)
		return fail(path, "cannot rename to it");
	return sync_dir_of(path) == 0 ? 0 : fail(path, "fsync of its directory");
}

/* A public text beside its private key. */
static int put_public(const char *path, const char *line)
{
	char side[SIDE_MAX];
	FILE *f = fopen(side_name(path, side), "wxe");
	bool ok;

	if (f == NULL)
		return fail(side, "cannot create");
	ok = fprintf(f, "%s\n", line) > 0 && fflush(f) == 0 && fchmod(fileno(f), 0644) == 0 &&
	    fsync(fileno(f)) == 0;
	if (fclose(f) != 0 || !ok)
		return fail(side, "cannot write");
	return publish(side, path);
}

static int make_dir(struct init *in, const char *name, mode_t mode, const struct config_user *owner)
{
	uid_t uid = owner != NULL ? owner->uid : 0;
	gid_t gid = owner != NULL ? owner->gid : 0;
	const char *path = at(in, name);
	struct stat st;

	if (mkdir(path, mode) == 0) {
		/* an explicit mode: the umask is the caller's */
		if (chmod(path, mode) != 0 || chown(path, uid, gid) != 0)
			return fail(path, "cannot give it to its owner");
		say("made", name[0] != '\0' ? name : path, "directory");
		return sync_dir_of(path) == 0 ? 0 : fail(path, "fsync of its directory");
	}
	if (errno != EEXIST)
		return fail(path, "cannot make this directory (the one above it must be there)");
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		log_error("%s: not a directory; move it away and run this again", path);
		return -1;
	}
	if (st.st_uid != uid || (st.st_mode & 07777 & ~mode) != 0) {
		log_error("%s: owner %u, mode %04o; chown %u:%u and chmod %04o it", path,
		    (unsigned)st.st_uid, (unsigned)st.st_mode & 07777, (unsigned)uid, (unsigned)gid,
		    (unsigned)mode);
		return -1;
	}
	return 0;
}

static int make_dirs(struct init *in)
{
	static const struct { const char *name; mode_t mode; } dirs[] = {
		{ "", 0755 }, { "keys", 0700 }, { "keys/managed", 0700 }, { "recorder", 0755 },
	};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (make_dir(in, dirs[i].name, dirs[i].mode, NULL) != 0)
			return -1;
	return init_database_dir(in->conf);
}

int init_database_dir(const struct config *conf)
{
	struct init in = { .conf = conf };

	return make_dir(&in, "db", 0700, &conf->user_policy);
}

static int make_hostkey(struct init *in, size_t i)
{
	const char *name = ssh_hostkeys_name(i), *path = at(in, name);
	char side[SIDE_MAX], public[SIDE_MAX], line[SSH_HOSTKEY_LINE_MAX], fingerprint[64];
	int have = is_there(path, true);

	if (have < 0)
		return -1;
	if (have == 0 &&
	    (ssh_hostkeys_make(i, side_name(path, side)) != 0 || publish(side, path) != 0))
		return -1;
	if (ssh_hostkeys_describe(i, path, line, fingerprint) != 0)
		return -1;
	say_made(in, have, name, fingerprint);
	snprintf(public, sizeof(public), "%s.pub", path);
	return put_public(public, line);
}

/*
 * An Ed25519 key that is ours: loaded if it is there, else made. *have: which. NULL after a line.
 */
static struct sign_key *make_sign_key(const char *path, int *have)
{
	char side[SIDE_MAX];
	struct sign_key *key;

	if ((*have = is_there(path, true)) < 0)
		return NULL;
	if (*have) {
		if ((key = sign_key_load(path)) == NULL)
			log_error("%s: no Ed25519 key in PKCS#8 PEM (%s); "
			    "put back the right one from the backup", path, strerror(errno));
		return key;
	}
	key = sign_key_generate();
	if (key == NULL || sign_key_save(key, side_name(path, side)) != 0) {
		fail(path, "cannot make this key");
	} else if (publish(side, path) == 0) {
		return key;
	}
	sign_key_destroy(key);
	return NULL;
}

/*
 * The certificate authority of the users' short-lived certificates. Its public line is what targets
 * trust.
 */
static int make_ca(struct init *in)
{
	static const char name[] = "keys/user_ca.pem";
	const char *path = at(in, name);
	char public[SIDE_MAX];
	uint8_t raw[KEY_LEN];
	struct sign_key *key;
	EVP_PKEY *evp;
	int have, r = -1;

	if ((key = make_sign_key(path, &have)) == NULL)
		return -1;
	sign_key_public(key, raw);
	sign_key_destroy(key);
	evp = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
	if (evp == NULL ||
	    sshkey_line(evp, "bastiond-user-ca", in->ca_line, sizeof(in->ca_line)) != 0) {
		log_error("%s: OpenSSL cannot tell its public key", path);
	} else {
		say_made(in, have, name, "signs what targets trust");
		snprintf(public, sizeof(public), "%s/keys/user_ca.pub", in->conf->state_dir);
		r = put_public(public, in->ca_line);
	}
	EVP_PKEY_free(evp);
	return r;
}

/*
 * signer.pub goes to the collector and the auditors: one that does not fit its key would make
 * recordings worthless.
 */
static int make_signer(struct init *in)
{
	static const char name[] = "recorder/signer.pem";
	char public[PATH_MAX], side[SIDE_MAX];
	uint8_t raw[KEY_LEN], seen[SIGNERS_MAX][KEY_LEN];
	struct sign_key *key;
	int have, have_public;

	if ((key = make_sign_key(at(in, name), &have)) == NULL)
		return -1;
	sign_key_public(key, raw);
	sign_key_destroy(key);
	snprintf(public, sizeof(public), "%s", at(in, "recorder/signer.pub"));
	if ((have_public = is_there(public, false)) < 0)
		return -1;
	say_made(in, have, name, "signs recordings");
	if (!have_public) {
		if (public_key_save(raw, side_name(public, side)) != 0)
			return fail(side, "cannot write");
		return publish(side, public);
	}
	/* rotate.c keeps those of earlier keys behind it */
	if (public_keys_load(public, seen, SIGNERS_MAX) > 0 && memcmp(seen[0], raw, KEY_LEN) == 0)
		return 0;
	log_error(
	    "%s: not the public key of %s; remove the one that is wrong (the .pub is made again)",
	    public, name);
	return -1;
}

/* The recorder's identity towards collectors: a pair, of which one half alone is of no use. */
static int make_client(struct init *in)
{
	char key[PATH_MAX], cert[PATH_MAX], key_side[SIDE_MAX], cert_side[SIDE_MAX], host[256],
	    why[256];
	int have_key, have_cert;

	snprintf(key, sizeof(key), "%s", at(in, "recorder/client.key"));
	snprintf(cert, sizeof(cert), "%s", at(in, "recorder/client.crt"));
	if ((have_key = is_there(key, true)) < 0 || (have_cert = is_there(cert, false)) < 0)
		return -1;
	if (have_key != have_cert) {
		log_error("%s is there, but %s is not; put it back from the backup, "
		    "or remove what is left, run this "
		    "again and give every collector the new certificate", have_key ? key : cert,
		    have_key ? cert : key);
		return -1;
	}
	if (!have_key) {
		if (gethostname(host, sizeof(host)) != 0)
			return fail("gethostname", "cannot name the certificate");
		host[sizeof(host) - 1] = '\0';
		if (tls_make_identity(side_name(key, key_side), side_name(cert, cert_side), host,
			why, sizeof(why)) != 0) {
			log_error("%s: %s", key, why);
			return -1;
		}
		/* a run cut short between the two is told by the lone certificate */
		if (publish(cert_side, cert) != 0 || publish(key_side, key) != 0)
			return -1;
	}
	say_made(in, have_key, "recorder/client.crt", "goes to every collector");
	return 0;
}

/* What seals the secrets of one-time codes. One that lies elsewhere is the administrator's own. */
static int make_totp_key(struct init *in)
{
	static const char name[] = "keys/totp.key";
	const char *path = at(in, name);
	int have;

	if (in->conf->totp_key[0] != '\0')
		return 0;
	if ((have = is_there(path, true)) < 0 || (have == 0 && totpkey_make(path) != 0))
		return -1;
	say(have ? "kept" : "made", name, "seals one-time code secrets");
	return 0;
}

/*
 * policy.db is never opened here when it is there: root would leave files in db/ that policy could
 * not write.
 */
static int make_database(struct init *in)
{
	static const char name[] = "db/policy.db";
	const struct config_user *owner = &in->conf->user_policy;
	char path[PATH_MAX], side[SIDE_MAX], wal[SIDE_MAX], err[STORE_ERR_MAX];
	struct stat st;
	int have, have_wal;

	snprintf(path, sizeof(path), "%s", at(in, name));
	snprintf(wal, sizeof(wal), "%s-wal", path);
	if ((have = is_there(path, false)) < 0 || (have_wal = is_there(wal, false)) < 0)
		return -1;
	if (have) {
		if (stat(path, &st) != 0 || st.st_uid != owner->uid) {
			log_error("%s: owner %u; chown %u:%u what is in db/ (user_policy = %s)",
			    path, (unsigned)st.st_uid, (unsigned)owner->uid, (unsigned)owner->gid,
			    owner->name);
			return -1;
		}
		say("kept", name, "users, roles, hosts, grants, events");
		return 0;
	}
	if (have_wal) {
		log_error("%s is there, but %s is not: the database was lost; "
		    "put both back from the backup, or move "
		    "the first away to begin without users and grants", wal, path);
		return -1;
	}
	if (store_create(side_name(path, side), err) != 0) {
		log_error("%s: %s", path, err);
		return -1;
	}
	if (chown(side, owner->uid, owner->gid) != 0)
		return fail(side, "cannot give it to user_policy");
	if (publish(side, path) != 0)
		return -1;
	say("made", name, "users, roles, hosts, grants, events");
	return 0;
}

static void next_steps(const struct init *in)
{
	const char *dir = in->conf->state_dir;

	printf(
	    "\nNext:\n"
	    "  1. Collector: copy %s/recorder/client.crt and signer.pub to it and\n"
	    "     name them in its collectord.conf, see bastion-collectord(8);\n"
	    "     name its certificate in bastiond.conf(5).\n"
	    "  2. Auditor: put the age1... recipients into the file that 'recipients' names.\n"
	    "  3. Check with 'bastiond -t', then start bastiond.\n"
	    "  4. bastionctl: 'user add', 'user key add', 'user totp enrol', 'host add', 'role add'.\n"
	    "  5. On each target, as 'bastionctl host trust HOST' explains, trust:\n     %s\n"
	    "Keep a backup of %s: its keys cannot be made again.\n",
	    dir, in->ca_line, dir);
}

int bastiond_init(const struct config *conf)
{
	struct init in = { .conf = conf };
	int lock, r = -1;

	if (geteuid() != 0) {
		log_error("only root can make a new bastion: use sudo");
		return -1;
	}
	if (strlen(conf->state_dir) > PATH_MAX - 64) {
		log_error("state_dir is too long");
		return -1;
	}
	umask(077);
	if (make_dirs(&in) != 0)
		return -1;
	if ((lock = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return fail(conf->state_dir, "cannot open");
	if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
		log_error("%s: another 'bastiond -I' is at work here", conf->state_dir);
		goto out;
	}
	in.ran_before = access(at(&in, "db/policy.db"), F_OK) == 0;
	for (size_t i = 0; i < SSH_HOSTKEYS_COUNT; i++)
		if (make_hostkey(&in, i) != 0)
			goto out;
	if (make_ca(&in) != 0 || make_totp_key(&in) != 0 || make_signer(&in) != 0 || make_client(&in) != 0 ||
	    make_database(&in) != 0)
		goto out;
	next_steps(&in);
	r = fflush(stdout) == 0 ? 0 : fail("standard output", "cannot write");
out:
	close(lock);
	return r;
}
