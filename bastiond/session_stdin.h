/*
 * session_stdin.h - arguments of words that come on standard input. Role: session.
 */
#ifndef BASTIOND_SESSION_STDIN_H
#define BASTIOND_SESSION_STDIN_H

#include <stdbool.h>

#include "relay.h"
#include "words.h"

/* Does this request wait for standard input? True: it does, and c->given holds it, or it was refused and answered. */
bool stdin_wanted(struct chan *c, const char *json);
/* Once a turn while c->given is there. The whole request, the caller's to free, when the input has ended; NULL: not yet, or it was refused. */
char *stdin_step(struct chan *c);
/* The channel is over. */
void stdin_drop(struct chan *c);

#endif
