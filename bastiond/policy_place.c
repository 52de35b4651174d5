/*
 * policy_place.c - see policy_place.h. Role policy; before it: policy_rotate.c.
 *
 * Two names may also be two machines that were made from one image, host keys and all. Then an old key stays at the one until the other has
 * rotated, too, which costs time and locks nobody out.
 */
#include "policy_place.h"

#include <stdio.h>
#include <string.h>

#include "policy_task.h"
#include "store_key.h"

static int put_other(void *arg, const struct host *h)
{
	struct place *pl = arg;

	if (pl->n == PLACE_MAX) {
		pl->more = true;
		return 1;
	}
	pl->v[pl->n].host_id = h->id;
	snprintf(pl->v[pl->n].managed, sizeof(pl->v[0].managed), "%s", h->managed_key);
	snprintf(pl->v[pl->n++].name, sizeof(pl->v[0].name), "%s", h->name);
	return 0;
}

int place_others(struct policy *p, const struct host *h, const char *login, struct place *pl)
{
	pl->n = 0;
	pl->more = false;
	return store_target_others(p->store, h, login, put_other, pl) < 0 ? -1 : 0;
}

bool place_has(const struct place *pl, int64_t host_id)
{
	for (size_t i = 0; i < pl->n; i++)
		if (pl->v[i].host_id == host_id)
			return true;
	return false;
}

bool managed_public(const struct policy *p, const char *name, struct host_key *k)
{
	char err[512];

	for (size_t i = 0; i < p->nkey_lines; i++)
		if (strcmp(p->key_names[i], name) == 0 && strcmp(name, "ca") != 0)
			return key_parse(p->key_lines[i], true, k, err, sizeof(err)) == 0;
	return false;
}

int place_key(struct policy *p, int64_t host_id, const char *managed, const char *login, char out[STORE_FPR_MAX + 1])
{
	struct target_row t;
	struct host_key k;
	const int r = store_target_active(p->store, host_id, login, &t);

	out[0] = '\0';
	if (r < 0 || (r == 0 && !managed_public(p, managed, &k)))
		return r;
	snprintf(out, STORE_FPR_MAX + 1, "%s", r == 1 ? t.public.fingerprint : k.fingerprint);
	return 1;
}

const char *place_keeps(struct policy *p, const struct place *pl, const char *login, const char *fingerprint)
{
	char now[STORE_FPR_MAX + 1];
	int r;

	for (size_t i = 0; i < pl->n; i++)
		if ((r = place_key(p, pl->v[i].host_id, pl->v[i].managed, login, now)) < 0)
			return NULL;
		/* a managed key whose file is missing now may be this one, and be back tomorrow */
		else if (r == 1 ? strcmp(now, fingerprint) == 0 : pl->v[i].managed[0] != '\0')
			return pl->v[i].name;
	return pl->more ? "more hosts than are looked at" : "";
}

static void look_at_ways(struct peer *peer, void *arg)
{
	struct lent_to *l = arg;

	for (size_t i = 0; i < PEER_WAYS_MAX; i++) {
		const struct way *w = peer->ways[i];

		if (w == NULL || w->stage == WAY_EARLY || strcmp(w->login, l->login) != 0 || (w->lent[0] != '\0' && strcmp(w->lent, l->fingerprint) != 0) ||
		    (w->host.id != l->host_id && !place_has(l->others, w->host.id)))
			continue;
		l->open = true;
		l->logging_in = l->logging_in || w->stage == WAY_SIGNING || w->stage == WAY_GIVEN;
	}
}

struct lent_to place_lent(struct policy *p, int64_t host_id, const char *login, const char *fingerprint, const struct place *others)
{
	struct lent_to l = { .others = others, .host_id = host_id, .login = login, .fingerprint = fingerprint };

	peers_each(p, look_at_ways, &l);
	l.logging_in = l.logging_in || task_lent(p, host_id, login, fingerprint);
	for (size_t i = 0; i < others->n; i++)
		l.logging_in = l.logging_in || task_lent(p, others->v[i].host_id, login, fingerprint);
	return l;
}
