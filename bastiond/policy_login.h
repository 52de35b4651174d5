/*
 * policy_login.h - who is it, and what else is asked of them: the part of policy.h about logins, which includes it.
 */
#ifndef BASTION_POLICY_LOGIN_H
#define BASTION_POLICY_LOGIN_H

#include "policy.h"

/* --- policy_authn.c --- */

int authn_key(struct peer *peer, struct ipc_msg *m);
/* All factors are there: opens the connection's row. AUTH_YES, AUTH_NO, or AUTH_BARRED with the line. `event`: how it came. */
enum auth_verdict authn_login(struct peer *peer, enum event_kind event, char line[LINE_LEN]);
/* Counts a refused attempt; too many end the peer. `penalty`: tell parent, too. */
void authn_failed(struct peer *peer, bool penalty);
/* AUTH_KEY_RE or AUTH_FACTOR_RE. delay_ms: how much longer a refusal takes. */
void authn_answer(struct peer *peer, enum msg_type type, uint32_t id, enum auth_verdict verdict, uint32_t delay_ms);
/* The same with AUTH_BARRED and its line. */
void authn_bar(struct peer *peer, enum msg_type type, uint32_t id, const char *line);
/* Forgets what is known of the client; a running attempt dies. */
void authn_forget(struct peer *peer);

/* --- policy_class.c --- */

/* In the transaction of the login: notes device and network; events for what is new. 0, or -1. */
int class_login(struct peer *peer, int64_t now);
/* Does the host's class allow this way, under this grant, to this connection? False with the line for the user. */
bool class_allows(struct peer *peer, const struct host *h, int64_t ticket, char *line, size_t size);
/* The part of that which is no matter of the connection's age: was the grant approved by somebody who could know this device and network? */
bool class_knows(struct peer *peer, const struct host *h, int64_t ticket, char *line, size_t size);

/* --- policy_factor.c --- */

int factor_start(struct peer *peer, uint32_t attempt);
int factor_answer(struct peer *peer, struct ipc_msg *m);
int factor_abort(struct peer *peer);
/* The attempt of this name on the pam socket; NULL. */
struct peer *factor_by_token(struct policy *p, uint64_t token);
void factor_kill(struct peer *peer); /* the attempt that runs, if one does */

#endif
