/*
 * collector_sandbox.h - the system calls that each of the collector's processes may make, and the files it may reach.
 */
#ifndef BASTION_COLLECTOR_SANDBOX_H
#define BASTION_COLLECTOR_SANDBOX_H

#include "collector_conf.h"

enum coll_process {
	COLL_COLLECTOR,		/* its store's directories; the configuration and what that names, to be read */
	COLL_KEYS,		/* collector_keys.c: the directories of certificate and keys, to be read; root, or who started it */
	COLL_SUPERVISOR,	/* of the archiver; root, or who started it: reads all, writes below the store */
	COLL_ARCHIVER,		/* recordings and log; to be read: /etc (resolver, authorities) and libraries; the network */
	COLL_PEER,		/* -S: the recordings, to be read; the one connection that it has */
};

/*
 * Closes the sandbox of this process, and of the threads and children it makes. A system call outside the list kills it (SIGSYS).
 * Says in the log which layers are active (common/confine.h). conf_file: of COLL_COLLECTOR alone. 0; -1: a layer is missing
 * and sandbox = strict.
 */
int coll_sandbox_enter(const struct coll_conf *c, enum coll_process process, const char *conf_file);

#endif
