/*
 * target_files.h - what the ssh client of a task reads and writes: key, certificate, known_hosts. Relative to the working directory.
 *
 * Role target (worker_target.c). Pure but for the files.
 */
#ifndef BASTIOND_TARGET_FILES_H
#define BASTIOND_TARGET_FILES_H

#include <stdbool.h>

#include "buf.h"
#include "task_values.h"

#define TARGET_KEYS_MAX 64	/* of a known_hosts that a host may have made longer */

struct task_keys {
	size_t n;
	uint32_t more;		/* there were that many keys beyond, at least */
	struct task_key v[TARGET_KEYS_MAX];
};

/* A fresh Ed25519 key: its private half in `file` as OpenSSH writes it, its public blob appended to `blob`. 0, or -1. */
int target_key_write(const char *file, struct buf *blob);
/* A public key or certificate as a line, "TYPE BASE64", in a new file. 0, or -1. */
int target_line_write(const char *file, const void *blob, size_t len);
/* known_hosts with these keys for `host`. 0, or -1. */
int target_hosts_write(const char *file, const char *host, const struct task_keys *keys);
/*
 * A host key that no host has, of a type that hosts hardly have, for known_hosts beside the pinned ones: the client takes it out when the host
 * announces its keys. So one that announces what is pinned already is told from one that announces nothing. 0, or -1.
 */
int target_mark_make(struct task_key *mark);
/* Is this key among them? Then it is taken out. */
bool target_keys_drop(struct task_keys *keys, const struct task_key *k);
/* What stands in it now; what is no such line is passed over. 0, or -1: it cannot be read. */
int target_hosts_read(const char *file, struct task_keys *keys);
/* Those of `keys` that are not among `others`. */
void target_keys_without(const struct task_keys *keys, const struct task_keys *others, struct task_keys *out);
/*
 * How a client ended that could not log in as `login` at `host`, by its log: TASK_REFUSED, TASK_HOSTKEY or TASK_UNREACHABLE; and in *met
 * whether it was let in after all. Text that the peer chose, before it proved anything, is no ground for more than TASK_UNREACHABLE.
 */
enum task_end target_log_end(const char *log, const char *login, const char *host, bool *met);

#endif
