/*
 * ssh_readahead.h - between libssh and the kernel: reads of 256 KiB, and an end of file that waits for what came before it.
 *
 * libssh reads its sockets 4 KiB at a time, two system calls each; the size is a constant inside the library. And at the
 * end of file of a socket it gives nothing out any more of what its channels still hold: a peer that sends, and closes, would
 * lose up to a window (1.3 MB) of it. Its calls go through the dynamic linker: this file defines recv(), send() and poll() for
 * the whole program. For a descriptor that is registered here a full read is followed by one large one, whose rest is
 * handed out from memory; poll() says that it is there. For every other descriptor they are the system's.
 *
 *   start ──hold_end──▶ the end is held back ──the peer ended, all was handed out──▶ at_end ──let_end──▶ libssh sees it
 */
#ifndef BASTION_SSH_READAHEAD_H
#define BASTION_SSH_READAHEAD_H

#include <stdbool.h>

/* From now on reads of this stream socket may be large. Nothing happens for a descriptor over the table's size. */
void ssh_readahead_start(int fd);
/* Bytes that were read ahead wait in memory: a loop must not sleep, whatever the kernel says. */
bool ssh_readahead_pending(int fd);
/*
 * From now on the end of this stream (end of file, reset) is not shown before ssh_readahead_let_end(). Meanwhile what is
 * written to a peer that is gone is taken, and dropped: to libssh an error would be the end.
 */
void ssh_readahead_hold_end(int fd);
/* The peer ended, and everything it sent was handed out. poll(2) has nothing to say about such a descriptor but that, always. */
bool ssh_readahead_at_end(int fd);
/* The end may be seen. */
void ssh_readahead_let_end(int fd);
/* Before the descriptor is closed; what was read ahead is dropped. Safe on one that was never started. */
void ssh_readahead_stop(int fd);

#endif
