/*
 * collector_peer.h - bastion-collectord -S: gives another collector what its copies of closed recordings lack.
 */
#ifndef BASTION_COLLECTOR_PEER_H
#define BASTION_COLLECTOR_PEER_H

#include "collector_conf.h"

/*
 * `address`: HOST:PORT, numeric or a name; `certificate`: a copy of the other's collector.crt. Speaks doc/PROTOCOL.collector as a
 * recorder does, with this collector's certificate. `drop`: gives up root once the files are read. Says on standard output what it gave. Exit status: 0; 1 after an error or when
 * the other has different bytes, said on standard error.
 */
int peer_sync(const struct coll_conf *c, const char *address, const char *certificate, void (*drop)(const struct coll_conf *));

#endif
