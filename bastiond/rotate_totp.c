/*
 * rotate_totp.c - `rotate begin totp`, `rotate end totp`: the key-encryption key of the one-time code secrets changes.
 * Runs once, as root, beside the daemon; see rotate.h and totpkey.h.
 *
 * begin makes X.next; from the next reload on policy seals with it, and seals everything anew. end links X to X.old and
 * renames X.next to X: whichever of the three policy read last, it opens what the database has, whatever the moment of a crash.
 */
#include "rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "totpkey.h"
#include "write_all.h"

static int fail(const char *path, const char *step)
{
	log_error("%s: %s: %s", path, step, strerror(errno));
	return -1;
}

static bool there(const char *path)
{
	return access(path, F_OK) == 0;
}

int totpkey_make(const char *path)
{
	char text[SEAL_TEXT_MAX], side[PATH_MAX];
	size_t len;
	int fd, r = -1;

	if ((size_t)snprintf(side, sizeof(side), "%s.new", path) >= sizeof(side) || seal_key_text(text) != 0)
		return fail(path, "cannot make this key");
	len = strlen(text);
	unlink(side);
	if ((fd = open(side, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0) {
		fail(side, "cannot create");
	} else {
		if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0)
			fail(side, "cannot write");
		else if (rename(side, path) != 0)
			fail(path, "cannot rename to it");
		else
			r = sync_dir_of(path) == 0 ? 0 : fail(path, "fsync of its directory");
		close(fd);
	}
	explicit_bzero(text, sizeof(text));
	if (r != 0)
		unlink(side);
	return r;
}

static int begin(const char *key, const char *next, const char *old)
{
	if (there(old)) {
		log_error("%s: of the last change: reload bastiond, look for the event totp.seal without lost ones, and "
		    "remove it first", old);
		return -1;
	}
	if (!there(key)) {
		errno = ENOENT;
		return fail(key, "'bastionctl init' makes the first");
	}
	if (there(next))
		printf("kept  %s\n", next);
	else if (totpkey_make(next) != 0)
		return -1;
	else
		printf("made  %s\n", next);
	printf("\nReload bastiond: it seals every one-time code secret anew under this key (event totp.seal). "
	    "Put a copy beside your backup. Then: bastionctl rotate end totp\n");
	return 0;
}

static int end(const char *key, const char *next, const char *old)
{
	if (!there(next)) {
		log_error("%s: not there: 'bastionctl rotate begin totp' comes first", next);
		return -1;
	}
	if (link(key, old) != 0 && errno != EEXIST)
		return fail(old, "cannot keep the old key");
	if (rename(next, key) != 0)
		return fail(key, "cannot rename to it");
	printf("now   %s\n\nReload bastiond. When its events show totp.seal without lost ones, remove\n%s:\n"
	    "backups of the database from before need it.\n", key, old);
	return sync_dir_of(key) == 0 ? 0 : fail(key, "fsync of its directory");
}

int rotate_totp(const struct config *conf, bool ends)
{
	char key[PATH_MAX - 8], next[PATH_MAX], old[PATH_MAX];

	if (strncmp(conf->totp_key, TOTPKEY_CREDENTIAL, sizeof(TOTPKEY_CREDENTIAL) - 1) == 0) {
		log_error("totp_key is a credential of the service manager: give it the next key as NAME.next and restart, "
		    "then as NAME, with the one before as NAME.old");
		return -1;
	}
	if (totpkey_path(conf, key, sizeof(key)) != 0)
		return -1;
	snprintf(next, sizeof(next), "%s.next", key);
	snprintf(old, sizeof(old), "%s.old", key);
	return ends ? end(key, next, old) : begin(key, next, old);
}
