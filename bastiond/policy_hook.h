/*
 * policy_hook.h - the administrator's programs: asked about outside tickets, told of events. Role policy.
 *
 * policy_hook.c runs them, in workers (worker_hook.c); policy_ticket.c keeps what they said of a ticket; policy_notify.c
 * hands them the events.
 */
#ifndef BASTION_POLICY_HOOK_H
#define BASTION_POLICY_HOOK_H

#include "policy.h"
#include "worker.h"

/* The run is over: what it answered, terminated; NULL: it failed, and reason (safe to show) says how. */
typedef void hook_done(struct policy *p, void *arg, const char *answer, const char *reason);

/* Is this hook configured? */
bool hook_there(const struct policy *p, enum hook_kind kind);
/* Room for one more run of this kind now? So many at once, so that no hook keeps the others, or logins, from their turn. */
bool hook_room(const struct policy *p, enum hook_kind kind);
/* Is the JSON short enough for a run? */
bool hook_fits(const json_t *input);
/* Runs it with this JSON, taken over. 0, or -1: nothing will come. done() comes from the loop, once. */
int hook_run(struct policy *p, enum hook_kind kind, json_t *input, hook_done *done, void *arg);
void hooks_finish(struct policy *p); /* no done() any more */

/* --- policy_ticket.c --- */

/* control.ticket: what is known of this outside ticket from a check of the last moments; why in line. */
enum outside ticket_state(void *arg, const char *ref, char *line, size_t size);
/*
 * Must the word wait for a check of its ticket? True: it is held, and carried out when the check is over, whatever it said:
 * control.ticket answers it then. `request` is copied. False: carry it out now.
 */
bool ticket_holds_word(struct policy *p, struct link *asker, uint32_t id, const struct actor *a, const struct buf *request);
/* Is a word of this asker held? One at a time. */
bool ticket_holding(const struct policy *p, const struct link *asker);
void ticket_owner_gone(struct policy *p, const struct link *asker);
/* The same for a way that a decision allows: true: it waits (WAY_CHECKING), and goes on by authz_checked(). */
bool ticket_holds_way(struct way *w, const char *ref);
/* Is just now being told to who waits that this one is not open, or cannot be checked? */
bool ticket_said_no(struct policy *p, const char *ref);
/* Periodic checks of what is open. */
void ticket_tick(struct policy *p, uint64_t now_ms);
void tickets_finish(struct policy *p);

/* --- policy_wait.c --- */

/* After control_handle(): does the reply to this word wait for a decision? True: it comes later, by words_resume(). */
bool wait_begin(struct policy *p, struct link *asker, uint32_t id, const struct actor *a);
bool wait_holding(const struct policy *p, const struct link *asker);
void wait_owner_gone(struct policy *p, const struct link *asker); /* NULL: all */
/* Something may have been decided. */
void wait_look(struct policy *p);

/* --- policy_notify.c --- */

/* At each tick: takes up new events, runs the hook. */
void notify_tick(struct policy *p, uint64_t now_ms);
void notify_finish(struct policy *p);

/* --- policy_control.c --- */

/* Carries out a word that was held, and answers it. */
void words_resume(struct policy *p, struct link *asker, uint32_t id, const struct actor *a, const struct buf *request);

/* --- policy_authz.c --- */

/* The check of a way's ticket is over. line NULL: it is open. */
void authz_checked(struct way *w, const char *line);

#endif
