/*
 * decide.c - the decision of approvals/access.c for worlds on standard input, one JSON object a line; tests/model/model.py
 * makes them and holds the answers against a model of its own. Answer: "refusal ticket role caps until", or of a request
 * (a world with "for") the number of the role that admits it, 0 for none.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"

#define LINE (1 << 20)
#define MANY 16

static void text(const json_t *o, const char *key, char *out, size_t size)
{
	const char *v = json_string_value(json_object_get(o, key));

	snprintf(out, size, "%s", v != NULL ? v : "");
}

static int64_t number(const json_t *o, const char *key, int64_t otherwise)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? (int64_t)json_integer_value(v) : otherwise;
}

#define TEXT(o, key, field) text(o, key, field, sizeof(field))

static void get_user(const json_t *o, struct user *u)
{
	*u = (struct user){ .id = 1, .uid = -1, .kind = (enum user_kind)number(o, "kind", 0),
		.state = (enum user_state)number(o, "state", 0), .until = number(o, "until", FOREVER) };
	strcpy(u->name, "alice");
	TEXT(o, "networks", u->networks);
}

static void get_role(const json_t *o, struct access_role *r)
{
	*r = (struct access_role){ .id = number(o, "id", 0), .kind = (enum rule_kind)number(o, "kind", 0),
		.caps = (unsigned)number(o, "caps", 0), .max = (uint32_t)number(o, "max", 3600),
		.approvals = (uint32_t)number(o, "approvals", 1), .ticket = number(o, "ticket", 0) != 0,
		.no_reason = number(o, "no_reason", 0) != 0 };
	snprintf(r->name, sizeof(r->name), "r%d", (int)r->id);
	TEXT(o, "hosts", r->hosts);
	TEXT(o, "labels", r->labels);
	TEXT(o, "zones", r->zones);
	TEXT(o, "logins", r->logins);
	TEXT(o, "forwards", r->forwards);
	TEXT(o, "commands", r->commands);
	TEXT(o, "hours", r->hours);
	TEXT(o, "networks", r->networks);
}

static void get_ticket(const json_t *o, struct ticket *t)
{
	*t = (struct ticket){ .id = number(o, "id", 0), .state = (enum ticket_state)number(o, "state", 0), .user_id = 1,
		.role_id = number(o, "role", 0), .caps = (unsigned)number(o, "caps", 0),
		.duration = (uint32_t)number(o, "duration", 3600), .needed = (uint32_t)number(o, "needed", 1),
		.given = (uint32_t)number(o, "given", 0), .asked_at = 1, .lapse_at = 2,
		.logins = (uint32_t)number(o, "logins", 0), .uses = (uint32_t)number(o, "uses", 0), .glass = number(o, "glass", 0) != 0,
		.not_before = number(o, "not_before", 0), .start_at = number(o, "start", 0),
		.end_at = number(o, "end", 0) };
	TEXT(o, "forwards", t->forwards);
	TEXT(o, "commands", t->commands);
	TEXT(o, "hours", t->role_hours);
	TEXT(o, "networks", t->role_networks);
}

static void answer(const json_t *w, const struct user *u, const struct host *h, const struct access_role *roles, size_t nroles)
{
	static struct ticket tickets[MANY];
	const json_t *list = json_object_get(w, "tickets");
	size_t n = json_array_size(list);
	struct access_answer a;
	char line[1024];

	if (json_object_get(w, "for") != NULL) {
		const struct request_ask r = { .user = u, .source = json_string_value(json_object_get(w, "source")), .host = h,
			.host_name = "web1", .login = json_string_value(json_object_get(w, "login")),
			.caps = (unsigned)number(w, "caps", 0), .forwards = json_string_value(json_object_get(w, "forwards")),
			.commands = json_string_value(json_object_get(w, "commands")), .duration = (uint32_t)number(w, "for", 0),
			.ref = json_string_value(json_object_get(w, "ref")), .reason = json_string_value(json_object_get(w, "reason")),
			.now = number(w, "now", 0), .roles = roles, .nroles = nroles, .bastion = "b" };
		const struct access_role *role = access_request(&r, line, sizeof(line));

		printf("%lld\n", role != NULL ? (long long)role->id : 0);
		return;
	}
	for (size_t i = 0; i < n; i++)
		get_ticket(json_array_get(list, i), &tickets[i]);
	const struct access_ask q = { .user = u, .source = json_string_value(json_object_get(w, "source")), .host_name = "web1",
		.login = json_string_value(json_object_get(w, "login")), .host = h, .now = number(w, "now", 0), .roles = roles,
		.nroles = nroles, .tickets = tickets, .ntickets = n, .only = number(w, "only", 0), .bastion = "b",
		.use = { .any = (unsigned)number(w, "any", 0), .command = json_string_value(json_object_get(w, "command")),
		    .forward = json_string_value(json_object_get(w, "forward")) } };

	access_decide(&q, &a);
	printf("%d %lld %lld %u %lld\n", (int)a.refusal, (long long)a.ticket, (long long)a.role, a.caps, (long long)a.until);
}

int main(void)
{
	static struct access_role roles[MANY];
	char *line = malloc(LINE);
	struct user u;
	struct host h = { .id = 1, .name = "web1", .port = 22 };

	while (line != NULL && fgets(line, LINE, stdin) != NULL) {
		json_t *w = json_loads(line, 0, NULL), *host = json_object_get(w, "host"), *list = json_object_get(w, "roles");
		size_t n = json_array_size(list);

		if (w == NULL || n > MANY || json_array_size(json_object_get(w, "tickets")) > MANY)
			return 1;
		get_user(json_object_get(w, "user"), &u);
		TEXT(host, "labels", h.labels);
		TEXT(host, "logins", h.logins);
		TEXT(host, "zone", h.zone);
		for (size_t i = 0; i < n; i++)
			get_role(json_array_get(list, i), &roles[i]);
		answer(w, &u, json_is_object(host) ? &h : NULL, roles, n);
		json_decref(w);
	}
	free(line);
	return 0;
}
