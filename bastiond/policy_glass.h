/*
 * policy_glass.h - break-glass while the recording store is down: which ways are recorded by the collectors for break-glass.
 *
 * Role policy. A way whose grant is break-glass, and no other, is announced to recorder before its key is made: recorder says whether the
 * usual collectors answer, and if they do not, keeps a place at the others for that one recording (role_recorder_glass.c). Such a way is
 * `row.apart` from there on: its row, an event of its own and the recording's metadata say so; it rests on that one grant until its end.
 */
#ifndef BASTIOND_POLICY_GLASS_H
#define BASTIOND_POLICY_GLASS_H

#include <stdbool.h>

#include "policy.h"

/* While the usual collectors are away: is there a break-glass grant, with all of `more`, besides the one that *a rests on? Then *a is about that. */
void glass_instead(struct peer *peer, struct host *h, const char *login, const struct access_more *more, struct access_answer *a);
/* Must it wait for recorder's word? Then authz_key() or authz_refuse() follows. */
bool glass_holds_way(struct way *w);
/* REC_GLASS_RE. 0, or -1: malformed. */
int glass_answer(struct policy *p, struct buf *b);
/* A channel of a way that is recorded apart: only what its own grant gives. NULL: allowed. */
const char *glass_channel(struct way *w, const struct access_use *use, struct access_answer *a);
/* In the log of the machine at once, whoever else may hear of it later. */
void glass_alarm(const struct way *w);

/* policy_authz.c: goes on with the certificate, or the managed key. */
void authz_key(struct way *w);

#endif
