/*
 * policy_glass.c - see policy_glass.h. Role policy, between policy_authz.c (the socket is there) and policy_grant.c (WAY_OK).
 *
 * Fails closed: without recorder's answer the way waits for its deadline, and without its yes nothing is different from any other way,
 * whose recording the usual collectors take or nobody.
 */
#include "policy_glass.h"

#include <stdio.h>
#include <string.h>

#include "access_login.h"
#include "log.h"
#include "policy_events.h"

/*
 * A user may have an approved grant and a break-glass one; the one that lasts longer wins. With the store down the approved one opens nothing: then
 * it is the break-glass one.
 */
void glass_instead(struct peer *peer, struct host *h, const char *login, const struct access_more *more, struct access_answer *a)
{
	struct policy *p = peer->p;
	const struct host at = *h;
	struct access_answer other;
	struct events_state store;
	int64_t ticket;

	events_state(p, &store);
	if (a->glass || store.store_up || config_collectors(p->conf, true) == 0 ||
	    store_glass_grant(p->store, peer->user.id, h->id, access_login(h, &peer->user, login), &ticket) != 1)
		return;
	control_way_more(&p->control, peer->user.id, peer->address, at.name, login, NULL, ticket, more, &other, h);
	if (other.refusal == 0 && other.glass)
		*a = other;
	else
		*h = at; /* what was allowed is for that */
}

bool glass_holds_way(struct way *w)
{
	struct policy *p = w->peer->p;

	if (!w->glass || w->placed || config_collectors(p->conf, true) == 0 || events_ask_place(p, w->row.recording) != 0)
		return false;
	w->placed = true;
	return true;
}

struct look {
	const uint8_t *recording;
	struct way *found;
};

static void find_way(struct peer *peer, void *arg)
{
	struct look *l = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX; i++) {
		struct way *w = peer->ways[i];

		if (w != NULL && w->placed && w->stage == WAY_SIGNING && w->key_ask == 0 &&
		    memcmp(w->row.recording, l->recording, STORE_RECORDING_LEN) == 0)
			l->found = w;
	}
}

int glass_answer(struct policy *p, struct buf *b)
{
	uint8_t recording[STORE_RECORDING_LEN];
	struct look l = { recording, NULL };
	enum rec_place place;

	buf_get_copy(b, recording, sizeof(recording));
	place = (enum rec_place)buf_get_u8(b);
	if (!buf_end(b) || place > REC_PLACE_NONE)
		return -1;
	peers_each(p, find_way, &l);
	if (l.found == NULL) /* it ended meanwhile: its place at recorder lapses */
		return 0;
	if (place == REC_PLACE_NONE) {
		authz_refuse(l.found, WAY_BROKEN, "bastiond: neither the recording store answers nor the one for break-glass: no session "
		    "without a recording; tell the operator");
		return 0;
	}
	if (place == REC_PLACE_GLASS) {
		l.found->row.apart = true;
		l.found->reach = l.found->caps; /* what other grants give is recorded elsewhere, or not at all */
	}
	authz_key(l.found);
	return 0;
}

const char *glass_channel(struct way *w, const struct access_use *use, struct access_answer *a)
{
	struct peer *peer = w->peer;
	struct ticket t;

	control_way_again(&peer->p->control, peer->user.id, peer->address, w->host.name, w->login, w->tickets[0], a);
	if (a->refusal != 0)
		return a->line;
	if (!a->glass || store_ticket(peer->p->store, w->tickets[0], &t) != 1 || !access_may_use(use, a->caps, t.forwards, t.commands)) {
		snprintf(a->line, sizeof(a->line), "bastiond: while the recording store is down this session has what break-glass grant %lld "
		    "gives, and no more. When the store is back, open another one", (long long)w->tickets[0]);
		return a->line;
	}
	return class_allows(peer, &w->host, a->ticket, a->line, sizeof(a->line)) ? NULL : a->line;
}

void glass_alarm(const struct way *w)
{
	log_error("ALARM: break-glass while the recording store is down: %s goes to %s@%s by grant %lld, recorded by the collectors for "
	    "break-glass. A review is owed: bastionctl reviews", w->peer->user.name, w->login, w->host.name, (long long)w->tickets[0]);
}
