/*
 * sftp_file.h - files that are open over SFTP: what passed of each one's content, and what the recording says of it.
 *
 * Session process, for sftp_track.c. Content is hashed in the order of its offsets as long as these follow one another, from wherever
 * they begin; from the first piece that does not, a file has no digest of the whole, which is said.
 */
#ifndef BASTION_SFTP_FILE_H
#define BASTION_SFTP_FILE_H

#include "relay_bulk.h"

#define SFTP_FILES_MAX 256	/* open at a time */
#define SFTP_HANDLE_MAX 256

struct sftp_content {		/* one direction of an open file */
	EVP_MD_CTX *sha;
	uint64_t from, next;	/* the first offset; the one that would follow */
	uint64_t bytes, hashed;	/* seen; in sha, the first of them */
	uint64_t marked;	/* hashed at the last progress digest */
	bool begun, jumped, partly;	/* partly: more may have passed than was seen */
};

struct sftp_file {
	uint8_t handle[SFTP_HANDLE_MAX];
	size_t handle_len;
	char *path;
	size_t path_len;
	struct sftp_content put, get;
	bool used;
	bool closing;		/* its CLOSE was asked for: the handle may be another file's at any time */
};

struct sftp_files {
	struct sftp_file all[SFTP_FILES_MAX];
	bulk_report report;
	void *ctx;
};

/* Takes the path, on the heap. NULL: so many are open already, the path is the caller's. handle: at most SFTP_HANDLE_MAX bytes. */
struct sftp_file *sftp_file_add(struct sftp_files *s, const uint8_t *handle, size_t len, char *path, size_t path_len);
/* The one that what is asked for by this handle now is of: not one that is closing. */
struct sftp_file *sftp_file_find(struct sftp_files *s, const uint8_t *handle, size_t len);
/* The same for the same handle, and hardly ever for two. */
uint32_t sftp_handle_tag(const uint8_t *handle, size_t len);
/* Says what passed of it; unseen: and that more may have. */
void sftp_file_close(struct sftp_files *s, struct sftp_file *f, bool unseen);
/* Says that it was opened; untracked: and that nothing is known of what was done with it. */
void sftp_file_say_open(struct sftp_files *s, const char *path, size_t len, bool untracked);
/* Digests so far of the files whose content passed in this direction since the last call. */
void sftp_files_progress(struct sftp_files *s, bool input);
/* Says nothing of those that are open. */
void sftp_files_finish(struct sftp_files *s);

/* Content is about to pass at this offset. */
void sftp_content_start(struct sftp_content *c, uint64_t offset);
/* More may pass, or have passed, than is seen. */
void sftp_content_partly(struct sftp_content *c);
/* Returns how many bytes went into the file's digest: all or none. */
size_t sftp_content_feed(struct sftp_content *c, const uint8_t *data, size_t len);

#endif
