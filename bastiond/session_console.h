/*
 * session_console.h - `ssh alice@bastion` with a terminal: one console a connection, whose lines a worker of policy's edits. Part of session.h.
 */
#ifndef BASTION_SESSION_CONSOLE_H
#define BASTION_SESSION_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc.h"

struct chan;
struct session;

void console_open(struct chan *c);
void console_policy(struct session *s, struct ipc_msg *m);
int console_fds(const struct session *s, int *link, int *pty);	/* 0, or -1: there is no console */
bool console_pty_reads(const struct session *s);
bool console_pty_writes(const struct session *s);
void console_ready(struct session *s);				/* its link or its pty may be read */
void console_step(struct chan *c);
void console_prompt(struct chan *c);				/* asks the worker for the next line */
void console_word(struct chan *c, const char *path, const char *json); /* connect, exit */
/* A word that was typed is answered, with this exit status. */
void console_status(struct chan *c, uint32_t status);
void console_resize(struct chan *c);
/* A channel that `connect` lent to a target is the console's again. */
void console_return(struct chan *c);
/* A channel is over: it may have been the console's. */
void console_left(struct chan *c);
void console_destroy(struct session *s);

#endif
