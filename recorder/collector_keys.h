/*
 * collector_keys.h - the collector's certificate and keys, read again at SIGHUP although only root can read them.
 *
 * A child that was forked before the collector gave root up does nothing but read these three files when it is asked, and
 * ends with the collector. It parses nothing and knows no other names than those of the start.
 */
#ifndef BASTION_COLLECTOR_KEYS_H
#define BASTION_COLLECTOR_KEYS_H

#include "buf.h"
#include "collector_conf.h"

#define COLL_KEY_BYTES_MAX 32768	/* of either file */

/* Still root. A socket to ask, or -1 with errno. The paths are copied by the fork. */
int keyholder_start(const struct coll_conf *c);
struct coll_keys {
	struct buf certificate, key, receipt_key;
};

/*
 * The files as they are now; initialises all buffers, whose owner calls keyholder_finish in any case. 0, or -1 with why[size]:
 * the file and the reason.
 */
int keyholder_ask(int fd, struct coll_keys *k, char *why, size_t size);
void keyholder_finish(struct coll_keys *k);

#endif
