/*
 * sftp_pending.h - SFTP's requests without an answer, by their ids: whose answer is this?
 *
 * Session process, for sftp_track.c. Clients ask for a whole file at once (paramiko) or keep 64 requests on their way (OpenSSH). The table is
 * bounded; READs alone never fill it: one that has no place costs its file the digest, and nothing else.
 */
#ifndef BASTION_SFTP_PENDING_H
#define BASTION_SFTP_PENDING_H

#include "sftp_file.h"

/* draft-ietf-secsh-filexfer-02 */
enum { FXP_INIT = 1, FXP_VERSION, FXP_OPEN, FXP_CLOSE, FXP_READ, FXP_WRITE, FXP_SETSTAT = 9, FXP_FSETSTAT, FXP_OPENDIR, FXP_REMOVE = 13, FXP_MKDIR, FXP_RMDIR,
	FXP_RENAME = 18, FXP_SYMLINK = 20, FXP_STATUS = 101, FXP_HANDLE, FXP_DATA, FXP_EXTENDED = 200,
	FXP_REFUSED = 255 /* none of the protocol: one that sftp_gate.c answers */ };

struct sftp_request {
	uint32_t id;
	uint32_t handle;	/* READ, WRITE, CLOSE: its tag, */
	struct sftp_file *file;	/* and whose it was then; NULL: of no file that is followed */
	uint64_t offset;	/* READ */
	char *path;		/* OPEN */
	uint32_t path_len;
	uint8_t type;		/* 0: free */
};

struct sftp_pending {
	struct sftp_request *all;	/* n places, of which so many are taken */
	size_t n, taken;
	size_t unplaced;		/* READs without an answer that have no place, */
	uint32_t unplaced_low, unplaced_high; /* with ids from, to; */
	bool unplaced_stray;		/* one of them is of no file that is followed */
};

/* 0, or -1 without memory. */
int sftp_pending_init(struct sftp_pending *s);
void sftp_pending_finish(struct sftp_pending *s);
/* NULL: it is not followed, and *why says why, but of a READ without a place. */
struct sftp_request *sftp_pending_add(struct sftp_pending *s, uint32_t id, uint8_t type, const char **why);
/* Whose answer this is; NULL: of a READ without a place. The caller ends it. */
struct sftp_request *sftp_pending_answered(struct sftp_pending *s, uint32_t id);
/* Frees its path. Others may move: no pointer to a request lives on. */
void sftp_pending_end(struct sftp_pending *s, struct sftp_request *p);
/*
 * What was asked for by this handle while no file had it: 1 << FXP_READ, FXP_WRITE, FXP_CLOSE. A server that gives the handle to a file
 * does it to that file, if it was asked in advance: OpenSSH's handles count from 0, and the one closed last is the next.
 */
unsigned sftp_pending_strays(const struct sftp_pending *s, uint32_t handle);
/* The file is no more. True: a READ of it has no answer. */
bool sftp_pending_forget(struct sftp_pending *s, const struct sftp_file *f);

#endif
