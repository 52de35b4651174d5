/*
 * policy_class.c - classes of hosts that ask for more than a grant, and what is known of where a user comes from.
 *
 * Role policy, between the decision on a way (policy_authz.c, policy_way.c) and what it opens. `no_grace` names the hosts,
 * by labels, for which mfa_grace does not count: the connection must have come with a one-time code. `step_up` names those for which
 * that code must be fresh, too: an old connection that a client kept does not do. `approve_new` names those for which the
 * grant must be approved after the device and the network were first seen: so that somebody looked, when they were new. All of
 * them only take away.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "policy.h"
#include "store_device.h"

/* Has the host one of these labels, or is it in the zone of a "zone=NAME"? */
static bool in_class(const struct host *h, const char *labels)
{
	char zone[sizeof(h->zone) + 8], word[LABEL_MAX + 1];

	snprintf(zone, sizeof(zone), "zone=%s", h->zone);
	for (const char *p = labels; *(p += strspn(p, " ")) != '\0'; p += strcspn(p, " ")) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
		if ((h->zone[0] != '\0' && strcmp(word, zone) == 0) || list_has(h->labels, word))
			return true;
	}
	return false;
}

/* The client's network, as it is remembered. An address that is none is its own network. */
static void network_of(const struct peer *peer, char out[NETWORK_TEXT_MAX])
{
	const struct config *conf = peer->p->conf;

	if (!access_network_of(peer->address, conf->known_bits4, conf->known_bits6, out))
		snprintf(out, NETWORK_TEXT_MAX, "%.*s", NETWORK_TEXT_MAX - 1, peer->address);
}

int class_login(struct peer *peer, int64_t now)
{
	struct store *s = peer->p->store;
	char network[NETWORK_TEXT_MAX];
	struct familiar f;

	network_of(peer, network);
	if (store_familiar_note(s, peer->user.id, peer->device.id, network, peer->client, now, &f) != 0 ||
	    (f.new_device &&
		event_writef(s, now, EVENT_LOGIN_DEVICE, peer->user.name, peer->user.name, "{s:s,s:s,s:s,s:s}", "device",
		    peer->device.name, "fingerprint", peer->device.fingerprint, "peer", peer->address, "client",
		    peer->client) != 0) ||
	    (f.new_network &&
		event_writef(s, now, EVENT_LOGIN_NETWORK, peer->user.name, peer->user.name, "{s:s,s:s,s:s,s:s}", "network",
		    network, "device", peer->device.name, "peer", peer->address, "client", peer->client) != 0))
		return -1;
	return 0;
}

/*
 * A code of this connection, young enough where that counts. Without one the next login must ask for a code, too, and must be a new connection:
 * with ControlMaster the client would use one again that it keeps. That may be the one to the bastion, inside it the one of ssh -J to the host,
 * or the one by name, which is known by the host's name alone.
 */
static bool fresh_code(struct peer *peer, const struct host *h, char *line, size_t size)
{
	const struct config *conf = peer->p->conf;
	uint64_t age = clock_mono_ms() - peer->code_ms;
	const bool step_up = in_class(h, conf->step_up), none = peer->code_ms == 0;
	char most[32], old[32], what[160] = "a one-time code at the login; this connection came without one";

	if (peer->user.kind == USER_SERVICE || !(step_up ? none || age > conf->step_up_time : none && in_class(h, conf->no_grace)))
		return true;
	if (store_grace_clear(peer->p->store, peer->user.id, 0) != 0)
		log_error("grace of %s not taken away: %s", peer->user.name, store_error(peer->p->store));
	duration_format(most, sizeof(most), conf->step_up_time / 1000);
	duration_format(old, sizeof(old), age / 1000);
	if (step_up)
		snprintf(what, sizeof(what), "a fresh one-time code, at most %s old; %s%s", most,
		    none ? "this connection came without one" : "yours has the age of ", none ? "" : old);
	snprintf(line, size, "bastiond: %s asks for %s. Log in anew; if your client keeps connections, first: ssh -O stop %s@%s, and "
	    "ssh -O stop with %s as you call it", h->name, what, peer->user.name, peer->p->control.name, h->name);
	return false;
}

bool class_knows(struct peer *peer, const struct host *h, int64_t ticket, char *line, size_t size)
{
	struct store *s = peer->p->store;
	char network[NETWORK_TEXT_MAX];
	struct familiar f;
	struct ticket t;
	int64_t at;

	if (!in_class(h, peer->p->conf->approve_new))
		return true;
	network_of(peer, network);
	if (store_ticket(s, ticket, &t) != 1 || store_ticket_approved_at(s, ticket, &at) < 0 ||
	    store_familiar(s, peer->user.id, peer->device.id, network, &f) != 0) {
		log_error("what is known of %s cannot be looked up: %s", peer->user.name, store_error(s));
		snprintf(line, size, "bastiond: the bastion cannot look up where you come from; tell the operator");
		return false;
	}
	/* a grant that begins later than it was approved was looked at then; a clock that was set back moves both sides of this */
	if (t.given > 0 && f.device_first <= at && f.network_first <= at)
		return true;
	if (t.given == 0)
		snprintf(line, size, "bastiond: %s wants a grant that a person approved, and yours granted itself; an administrator can "
		    "change the role", h->name);
	else
		snprintf(line, size, "bastiond: the %s is newer than the approval of grant %lld, and %s wants one that came after it: "
		    "cancel %lld, then request %s again", f.device_first > at ? "device" : "network you come from",
		    (long long)ticket, h->name, (long long)ticket, h->name);
	return false;
}

bool class_allows(struct peer *peer, const struct host *h, int64_t ticket, char *line, size_t size)
{
	return fresh_code(peer, h, line, size) && class_knows(peer, h, ticket, line, size);
}
