/*
 * ssh_readahead.h - libssh reads its sockets 4 KiB at a time, two system calls each; this makes it 256 KiB.
 *
 * The size is a constant inside the library, the calls go through the dynamic linker: this file defines recv() and poll() for
 * the whole program. For a descriptor that is registered here a full read is followed by one large one, whose rest is
 * handed out from memory; poll() says that it is there. For every other descriptor they are the system's.
 */
#ifndef BASTION_SSH_READAHEAD_H
#define BASTION_SSH_READAHEAD_H

#include <stdbool.h>

/* From now on reads of this stream socket may be large. Nothing happens for a descriptor over the table's size. */
void ssh_readahead_start(int fd);
/* Bytes that were read ahead wait in memory: a loop must not sleep, whatever the kernel says. */
bool ssh_readahead_pending(int fd);
/* Before the descriptor is closed; what was read ahead is dropped. Safe on one that was never started. */
void ssh_readahead_stop(int fd);

#endif
