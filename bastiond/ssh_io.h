/*
 * ssh_io.h - between libssh and the kernel: large reads, writes of a turn together, and an end of file that waits for what came before it.
 *
 * libssh reads its sockets 4 KiB at a time, two system calls each; the size is a constant inside the library. It writes
 * each packet by itself, and asks for leave before: a block of 32 KiB and the few bytes behind it wake its receiver twice. And at the
 * end of file of a socket it gives nothing out any more of what its channels still hold: a peer that sends, and closes, would
 * lose up to a window (1.3 MB) of it. Its calls go through the dynamic linker: ssh_io.c defines recv(), send(), poll() and close()
 * for the whole program. For a descriptor that is registered here a full read is followed by one large one, whose rest is
 * handed out from memory; what is written is gathered until the turn is over; poll() knows of both; close() writes what was gathered, and ends the registration.
 * For every other descriptor they are the system's.
 *
 *   start ──hold_end──▶ the end is held back ──the peer ended, all was handed out──▶ at_end ──let_end──▶ libssh sees it
 *     └────gather──▶ writes wait for flush ──direct──▶ they do not
 */
#ifndef BASTION_SSH_IO_H
#define BASTION_SSH_IO_H

#include <stdbool.h>

/* From now on, and until it is closed, reads of this stream socket may be large. Nothing happens for a descriptor over the table's size. */
void ssh_io_start(int fd);
/* Bytes that were read ahead wait in memory, for one that is not deaf: a loop must not sleep, whatever the kernel says. */
bool ssh_io_pending(int fd);
/*
 * May libssh write? Yes if the kernel last said so and nothing was written since, or if the buffer of gathered writes has room, after
 * an attempt to make some.
 */
bool ssh_io_writable(int fd);
/* While it is deaf, reads return nothing, also those that libssh does inside a write. It writes as before. */
void ssh_io_deaf(int fd, bool deaf);
/* The descriptor that was read last: what libssh says of a packet, it says of one from there. */
int ssh_io_received(void);
/* While libssh is asked to write: it need not look whether there is something to read, too. */
void ssh_io_writing(bool now);
/* From now on writes are gathered. Whoever does this must flush before it sleeps. */
void ssh_io_gather(int fd);
/* Writes what was gathered, as far as the kernel takes it. True: some is left, and waits for POLLOUT. */
bool ssh_io_flush(int fd);
/* No more gathering. What is left is written, waiting for the peer for at most so many ms. */
void ssh_io_direct(int fd, int ms);
/*
 * From now on the end of this stream (end of file, reset) is not shown before ssh_io_let_end(). Meanwhile what is
 * written to a peer that is gone is taken, and dropped: to libssh an error would be the end.
 */
void ssh_io_hold_end(int fd);
/* The peer ended, and everything it sent was handed out. poll(2) has nothing to say about such a descriptor but that, always. */
bool ssh_io_at_end(int fd);
/* The end may be seen. */
void ssh_io_let_end(int fd);

#endif
