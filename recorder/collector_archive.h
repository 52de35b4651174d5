/*
 * collector_archive.h - the collector's side of the archive: starts the archiver, tells it what there is to do, and hears how much is
 * not confirmed yet.
 *
 * The archiver (collector_archiver.h) is a process of its own, executed anew, so that it has neither the TLS key nor the
 * receipt key in its memory. It reads the disk and nothing else: what is said here are hints, which may be lost. Nothing in the
 * collector ever waits for it.
 *
 * Packets on the link (SOCK_SEQPACKET): from the collector, one letter and perhaps a path:
 *   R YYYY-MM-DD/ID   that recording has something new that is complete
 *   L                 the log of recordings has a new checkpoint
 *   A                 hints were lost: look at everything
 *   H                 read the credentials anew
 *   T SECONDS         the newest time that a bastion said: what is dead is judged by it. After each packet of the archiver's, once known
 * and from the archiver, at least every 5 s: u8 'S', u8 full, u64 bytes that are not confirmed (big-endian).
 */
#ifndef BASTION_COLLECTOR_ARCHIVE_H
#define BASTION_COLLECTOR_ARCHIVE_H

#include <event2/event.h>

#include "collector_conf.h"
#include "collector_store.h"

#define ARCHIVE_LINK_FD 3
#define ARCHIVE_PACKET_MAX 128
#define ARCHIVE_SILENT_MS 60000		/* an archiver that says nothing for so long is taken for a full spool */

struct archive_link {
	int fd;				/* -1: no archive */
	bool lost;			/* a hint did not fit */
	uint64_t heard_ms;
	bool silent, told_full;
	uint64_t spool_max;
};

/*
 * Starts the archiver's supervisor, still root, after the process has detached: bastion-collectord -R archive. Without an archive
 * section nothing. 0, or -1 with errno.
 */
int archive_link_start(struct archive_link *k, const struct coll_conf *c, const char *conf_file, bool foreground, bool debug);
/* Hints. dir: below recordings; NULL: the log. */
void archive_link_hint(struct archive_link *k, const char *dir);
void archive_link_reload(struct archive_link *k);
/*
 * Takes what the archiver said, without waiting; to be called every second. *full: is the spool at its bound, or is nobody there
 * to say? heard_us: the newest time that a bastion said, 0: none did.
 */
void archive_link_tick(struct archive_link *k, int64_t heard_us, bool *full);

#endif
