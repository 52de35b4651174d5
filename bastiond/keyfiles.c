/*
 * keyfiles.c - see keyfiles.h. Collects as root: in a role before it drops, in the child of parent_reload.c. Reads in the
 * roles keys, recorder and master.
 *
 * The bundle: for each file str name, str bytes (buf.h), nothing else.
 */
#include "keyfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "log.h"

static const struct { enum role role; const char *name; bool public; } fixed[] = {
	{ ROLE_KEYS, "keys/user_ca.pem", false },
	{ ROLE_RECORDER, "recorder/client.crt", true },
	{ ROLE_RECORDER, "recorder/client.key", false },
	{ ROLE_RECORDER, "recorder/signer.pem", false },
	{ ROLE_MASTER, "keys/ssh_host_ed25519_key", false },
	{ ROLE_MASTER, "keys/ssh_host_ecdsa_key", false },
	{ ROLE_MASTER, "keys/ssh_host_rsa_key", false },
};

#define MANAGED "keys/managed"

int keyfiles_create(void)
{
	return memfd_create("keyfiles", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* What is wrong with an open file; NULL: nothing. A key that others could read is not this bastion's own any more. */
static const char *unfit(int fd, bool public, char *why, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a plain file";
	if (!public && (st.st_mode & 077) != 0) {
		snprintf(why, size, "mode %04o; a private key must be a file of mode 0600", (unsigned)st.st_mode & 07777);
		return why;
	}
	return st.st_size >= (off_t)KEYFILE_BYTES_MAX ? "64 KiB or longer: no key" : NULL;
}

/* Reads to the end, at most what a key may have: the file may grow while it is read. */
static int slurp(int fd, struct buf *out)
{
	uint8_t *p = buf_reserve(out, KEYFILE_BYTES_MAX);
	size_t have = 0;
	ssize_t n = -1;

	while (p != NULL && have < KEYFILE_BYTES_MAX && (n = read(fd, p + have, KEYFILE_BYTES_MAX - have)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		have += (size_t)n;
	}
	out->len -= p != NULL ? KEYFILE_BYTES_MAX - have : 0;
	return n == 0 ? 0 : -1;
}

int keyfiles_add(struct buf *bundle, const char *path, const char *name, bool public)
{
	char why[96], shown[4 * KEYFILES_NAME_MAX];
	const char *wrong = NULL;
	struct buf bytes;
	int fd;

	buf_init(&bytes, KEYFILE_BYTES_MAX);
	esc_text(shown, sizeof(shown), path, strlen(path));
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		wrong = errno == ENOENT ? "no such file; 'bastionctl init' makes the keys" : strerror(errno);
	else if ((wrong = unfit(fd, public, why, sizeof(why))) == NULL && slurp(fd, &bytes) != 0)
		wrong = strerror(errno);
	if (wrong == NULL && (buf_put_cstring(bundle, name) != 0 || buf_put_string(bundle, bytes.data, bytes.len) != 0))
		wrong = "too many keys";
	if (wrong != NULL)
		log_error("%s: %s", shown, wrong);
	if (fd >= 0)
		close(fd);
	buf_finish(&bytes);
	return wrong == NULL ? 0 : -1;
}

static int add(struct buf *bundle, const char *state_dir, const char *name, bool public)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	return keyfiles_add(bundle, path, name, public);
}

/* One of before has none: role_keys.c makes it at the next start. */
static int add_target(struct buf *bundle, const char *state_dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" KEYFILE_TARGET, state_dir);
	return access(path, F_OK) != 0 && errno == ENOENT ? 0 : add(bundle, state_dir, KEYFILE_TARGET, false);
}

/* Every file of keys/managed; a directory that is not there is an empty one. */
static int add_managed(struct buf *bundle, const char *state_dir)
{
	char path[PATH_MAX], name[KEYFILES_NAME_MAX];
	struct dirent *entry;
	DIR *d;
	int r = 0;

	snprintf(path, sizeof(path), "%s/" MANAGED, state_dir);
	if ((d = opendir(path)) == NULL) {
		if (errno == ENOENT)
			return 0;
		log_error(MANAGED ": %s", strerror(errno));
		return -1;
	}
	while (r == 0 && (entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.') {
			snprintf(name, sizeof(name), MANAGED "/%s", entry->d_name);
			r = add(bundle, state_dir, name, false);
		}
	closedir(d);
	return r;
}

static int put(int fd, const struct buf *b)
{
	for (size_t done = 0; done < b->len;) {
		ssize_t n = write(fd, b->data + done, b->len - done);

		if (n < 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
}

int keyfiles_seal(int fd, const struct buf *bundle, enum role role)
{
	if (put(fd, bundle) == 0)
		return 0;
	log_error("cannot hand over the keys of %s: %s", role_name(role), strerror(errno));
	return -1;
}

int keyfiles_collect(int fd, const char *state_dir, enum role role)
{
	struct buf bundle;
	int r = 0;

	buf_init(&bundle, KEYFILES_BYTES_MAX);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i].role == role && add(&bundle, state_dir, fixed[i].name, fixed[i].public) != 0)
			r = -1;
	if (role == ROLE_KEYS && (add_target(&bundle, state_dir) != 0 || add_managed(&bundle, state_dir) != 0))
		r = -1;
	if (r == 0)
		r = keyfiles_seal(fd, &bundle, role);
	buf_finish(&bundle);
	return r;
}

int keyfiles_read(int fd, struct buf *out)
{
	uint8_t piece[4096];
	ssize_t n;

	buf_init(out, KEYFILES_BYTES_MAX);
	/* at explicit places: the descriptor's own is shared with who handed it over; no fstat: a sandbox has none */
	while ((n = pread(fd, piece, sizeof(piece), (off_t)out->len)) > 0 && buf_put(out, piece, (size_t)n) == 0)
		;
	explicit_bzero(piece, sizeof(piece));
	if (n == 0)
		return 0;
	log_error("cannot read the keys that were handed over: %s", n < 0 ? strerror(errno) : "too much, or no memory");
	buf_finish(out);
	return -1;
}

int keyfiles_own(const char *state_dir, enum role role, struct buf *out)
{
	int fd = keyfiles_create(), r = -1;

	if (fd < 0)
		log_error("memfd_create: %s", strerror(errno));
	else if (keyfiles_collect(fd, state_dir, role) == 0)
		r = keyfiles_read(fd, out);
	if (fd >= 0)
		close(fd);
	return r;
}

int keyfiles_next(struct buf *b, struct keyfile *f)
{
	if (buf_left(b) == 0)
		return 0;
	if (buf_get_cstring(b, f->name, sizeof(f->name)) != 0)
		return -1;
	f->data = buf_get_string(b, KEYFILE_BYTES_MAX, &f->len);
	return buf_ok(b) ? 1 : -1;
}

int keyfiles_find(const struct buf *b, const char *name, struct keyfile *f)
{
	struct buf all;

	buf_view(&all, b->data, b->len);
	while (keyfiles_next(&all, f) == 1)
		if (strcmp(f->name, name) == 0)
			return 0;
	return -1;
}
