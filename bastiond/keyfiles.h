/*
 * keyfiles.h - the private files of a role, read as root and handed over in one memory file.
 *
 * A role has no file system once it runs, so that a reload cannot have it open anything. At the start it collects its
 * own files, still root; at a reload a child of parent does (parent_reload.c), tries them, and parent passes the
 * descriptor on without having seen a byte of it. Either way the role loads them from here, by one function.
 *
 *   keys      keys/user_ca.pem, keys/target.key if it is there, keys/managed/NAME.pem
 *   recorder  recorder/client.crt, client.key, signer.pem
 *   master    keys/ssh_host_TYPE_key
 *   policy    what totp_key names (totpkey.h)
 */
#ifndef BASTIOND_KEYFILES_H
#define BASTIOND_KEYFILES_H

#include "buf.h"
#include "msg.h"

#define KEYFILES_NAME_MAX 320
#define KEYFILE_TARGET "keys/target.key"	/* seals managed keys that rotate (keys_seal.h) */
#define KEYFILE_BYTES_MAX (64U << 10)	/* of one file */
#define KEYFILES_BYTES_MAX (16U << 20)	/* of all files of a role */

/* One file. data is not terminated; both point into the bundle's buffer. */
struct keyfile {
	char name[KEYFILES_NAME_MAX];	/* below state_dir */
	const uint8_t *data;
	size_t len;
};

/* An empty memory file for keyfiles_collect: a descriptor, or -1 with errno. */
int keyfiles_create(void);
/*
 * Reads the files of `role` (keys, recorder or master) into fd and seals it. A private file must be a plain one that its
 * owner alone can read. 0, or -1 with the file, the reason and what to do logged.
 */
int keyfiles_collect(int fd, const char *state_dir, enum role role);
/* One more file for a bundle, under a name in it. 0, or -1 logged. */
int keyfiles_add(struct buf *bundle, const char *path, const char *name, bool public);
/* The bundle into fd, which is sealed. 0, or -1 logged. */
int keyfiles_seal(int fd, const struct buf *bundle, enum role role);
/* The whole bundle into out, which it initialises; the caller's buf_finish wipes it. 0, or -1 logged. */
int keyfiles_read(int fd, struct buf *out);
/* At a role's start: create, collect and read. 0, or -1 logged. */
int keyfiles_own(const char *state_dir, enum role role, struct buf *out);
/* The next file of the bundle. 1; 0 at the end; -1: it is not a bundle. */
int keyfiles_next(struct buf *b, struct keyfile *f);
/* The file of that name. 0, or -1: none; the bundle's position does not count and does not change. */
int keyfiles_find(const struct buf *b, const char *name, struct keyfile *f);

#endif
