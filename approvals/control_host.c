/*
 * control_host.c - the words for hosts and keys, and the lines for ~/.ssh/config. Policy role; see
 * control_word.h.
 */
#include "control_word.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_key.h"
#include "store_target_key.h"

enum words_exit load_host(struct call *k, struct host *h)
{
	const char *name = arg_text(k, "host");
	int r = store_host_by_name(k->s, name, h);

	if (r < 0)
		return broken(k);
	return r == 1 ?
	    WORDS_OK :
	    refuse(k, WORDS_NOT_FOUND, "Look at: host list", "There is no host %s.", name);
}

/* The authorized_keys line of this managed key or "ca"; NULL. */
static const char *line_of(struct call *k, const char *wanted)
{
	const char *name, *line;

	for (size_t i = 0; (line = k->c->key_line(k->c->arg, i, &name)) != NULL; i++)
		if (strcmp(name, wanted) == 0)
			return line;
	return NULL;
}

/* Pins the keys that the arguments name, and adds "type fingerprint" of each to `pinned`. */
static enum words_exit pin_keys(struct call *k, const struct host *h, json_t *pinned)
{
	const json_t *keys = json_object_get(k->args, "key");
	size_t n = json_is_array(keys) ? json_array_size(keys) : 1;
	struct host_key key;
	char err[512];

	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_is_array(keys) ? json_array_get(keys, i) : keys;

		if (key_parse(json_string_value(v), true, &key, err, sizeof(err)) < 0)
			return refuse(k, WORDS_USAGE, NULL, "key: %s", err);
		if (store_host_key_add(k->s, h->id, &key) < 0)
			return errno == ENOSPC ?
			    refuse(k, WORDS_REFUSED, NULL, "%s", store_error(k->s)) :
			    broken(k);
		if (json_array_append_new(pinned, json_sprintf("%s %s", key.type, key.fingerprint)) < 0)
			return broken(k);
	}
	return WORDS_OK;
}

/* The arguments, with the keys by what people know them by: lines of any length have no place in an event. */
static int note_added(struct call *k, const struct host *h, json_t *pinned)
{
	json_t *args = json_copy(k->args);

	if (json_object_set(args, "key", pinned) == 0)
		return event_writef(k->s, k->now, EVENT_HOST_ADD, k->name, h->name, "{s:o}", "args", args);
	json_decref(args);
	return -1;
}

/* An account that comes and goes has no authorized_keys in which a managed key would stand. */
static enum words_exit check_self(struct call *k, const struct host *h)
{
	return h->method == LOGIN_MANAGED && list_has(h->logins, LOGIN_SELF) ?
	    refuse(k, WORDS_USAGE, "Leave out the managed key: the host must take the bastion's certificates.",
		"Accounts of one's own (" LOGIN_SELF ") need certificates.") :
	    WORDS_OK;
}

static enum words_exit set_rotate(struct call *k, const struct host *h)
{
	const char *age = arg_text(k, "rotate");

	if (age == NULL)
		return WORDS_OK;
	if (h->method != LOGIN_MANAGED)
		return refuse(k, WORDS_USAGE, "Leave out --rotate.", "%s is logged in to with certificates: no key stays there.", h->name);
	return store_host_rotate_set(k->s, h->id, words_rotate(age)) < 0 ? broken(k) : WORDS_OK;
}

enum words_exit word_host_add(struct call *k)
{
	const char *managed = arg_text(k, "managed_key"), *from = arg_text(k, "source_address");
	struct host h = { .port = (uint16_t)arg_int(k, "port", 22),
		.method = managed != NULL ? LOGIN_MANAGED : LOGIN_CERTIFICATE };
	enum words_exit r;
	json_t *pinned;

	snprintf(h.name, sizeof(h.name), "%s", arg_text(k, "host"));
	snprintf(h.zone, sizeof(h.zone), "%s", arg_text(k, "zone") != NULL ? arg_text(k, "zone") : "");
	snprintf(h.address, sizeof(h.address), "%s", arg_text(k, "address"));
	snprintf(h.managed_key, sizeof(h.managed_key), "%s", managed != NULL ? managed : "");
	snprintf(h.source_address, sizeof(h.source_address), "%s", from != NULL ? from : "");
	if (arg_list(k, "label", h.labels) < 0 || arg_list(k, "login", h.logins) < 0)
		return refuse(k, WORDS_USAGE, NULL,
		    "label or login: the list takes more than %d bytes.", LIST_MAX);
	if ((r = check_self(k, &h)) != WORDS_OK)
		return r;
	if (managed != NULL && (strcmp(managed, "ca") == 0 || line_of(k, managed) == NULL))
		return refuse(k, WORDS_NOT_FOUND,
		    "Make it with 'bastionctl key add', and look at: key list",
		    "There is no managed key %s.", managed);
	if (from != NULL && !access_network_ok(from))
		return refuse(k, WORDS_USAGE, NULL,
		    "source_address: not an IPv4 or IPv6 address, or network.");
	if (store_host_add(k->s, &h, k->now) < 0) {
		if (errno == EEXIST)
			return refuse(k, WORDS_REFUSED, "Remove it first, or take another name.",
			    "There is a host %s already.", h.name);
		return errno == ENOSPC ? refuse(k, WORDS_REFUSED, NULL, "%s", store_error(k->s)) :
					 broken(k);
	}
	pinned = json_array();
	if ((r = pin_keys(k, &h, pinned)) == WORDS_OK && (r = set_rotate(k, &h)) == WORDS_OK)
		r = note_added(k, &h, pinned) < 0 ? broken(k) :
						    say(k, "The host %s is there. What its sshd needs: host trust %s", h.name, h.name);
	json_decref(pinned);
	return r;
}

/* Tickets of each role for this host that its new place or labels leave outside. 0, or -1. */
static int close_moved(struct call *k, const struct host *h)
{
	struct ticket t = { .id = 0 };
	struct access_role r;
	int n;

	while ((n = store_ticket_open(k->s, 0, 0, h->id, t.id, &t)) == 1) {
		int found = store_role(k->s, t.role_id, &r);

		if (found < 0 || ((found == 0 || !access_allows(&r, h, t.login)) &&
		    close_ticket(k, &t, "the host was changed") < 0))
			return -1;
	}
	return n;
}

enum words_exit word_host_change(struct call *k)
{
	const char *zone = arg_text(k, "zone");
	struct host h;
	enum words_exit r = load_host(k, &h);

	if (r != WORDS_OK)
		return r;
	if (json_object_size(k->args) == 1)
		return refuse(k, WORDS_USAGE, "Look at: help host change", "Nothing is to change.");
	if (json_object_get(k->args, "label") != NULL && arg_flag(k, "no_label"))
		return refuse(k, WORDS_USAGE, NULL, "--label and --no-label: one of them.");
	if (zone != NULL)
		snprintf(h.zone, sizeof(h.zone), "%s", zone);
	if ((json_object_get(k->args, "label") != NULL || arg_flag(k, "no_label")) &&
	    arg_list(k, "label", h.labels) < 0)
		return refuse(k, WORDS_USAGE, NULL, "label: the list takes more than %d bytes.", LIST_MAX);
	if (json_object_get(k->args, "login") != NULL && arg_list(k, "login", h.logins) < 0)
		return refuse(k, WORDS_USAGE, NULL, "login: the list takes more than %d bytes.", LIST_MAX);
	if ((r = check_self(k, &h)) != WORDS_OK || (r = set_rotate(k, &h)) != WORDS_OK)
		return r;
	if (store_host_change(k->s, &h) < 0 ||
	    event_writef(k->s, k->now, EVENT_HOST_CHANGE, k->name, h.name, "{s:O}", "args", k->args) < 0 ||
	    close_moved(k, &h) < 0 || recheck(k) < 0)
		return broken(k);
	return say(k, "The host %s is changed. Grants of roles that do not cover it any more ended.", h.name);
}

enum words_exit word_host_list(struct call *k)
{
	return say_list(k, "hosts", LIST_HOSTS,
	    (struct list_ask){ .after = arg_int(k, "after", 0), .limit = (int)arg_int(k, "limit", CONTROL_LIMIT) });
}

enum words_exit word_host_remove(struct call *k)
{
	struct host h;
	enum words_exit r = load_host(k, &h);

	if (r != WORDS_OK)
		return r;
	if (close_tickets(k, 0, 0, h.id, "the host was removed") < 0 ||
	    store_host_remove(k->s, h.id, k->now) < 0 ||
	    event_write(k->s, k->now, EVENT_HOST_REMOVE, k->name, h.name, NULL) < 0)
		return broken(k);
	return say(k, "The host %s is removed; requests and grants for it ended.", h.name);
}

static void put_text(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

/* For each login its own line once its key has rotated; for those before, the line of the key they share. */
static enum words_exit trust_keys(struct call *k, const struct host *h, const char *shared)
{
	char list[LIST_MAX + 1], *rest = list, *login, line[STORE_BLOB_MAX * 2];
	struct target_row t;
	struct buf b;
	json_t *text;
	int r = 0;

	buf_init(&b, CONTROL_REPLY_MAX / 2);
	memcpy(list, h->logins, sizeof(list));
	while (r >= 0 && (login = strsep(&rest, " ")) != NULL) {
		if ((r = store_target_active(k->s, h->id, login, &t)) < 0 || (r == 1 && key_format(&t.public, line, sizeof(line)) != 0))
			break;
		put_text(&b, b.len > 0 ? "\n# on " : "# on ");
		put_text(&b, h->name);
		put_text(&b, ", in ~/.ssh/authorized_keys of: ");
		put_text(&b, name_is_login(login) ? login : "root, or what account_login names");
		put_text(&b, "\nrestrict,pty ");
		put_text(&b, r == 1 ? line : shared);
	}
	text = r >= 0 && buf_ok(&b) ? json_stringn((const char *)b.data, b.len) : NULL;
	r = text != NULL ? (int)say(k, "%s", "") : (int)broken(k);
	if (r == WORDS_OK)
		say_more(k, "text", text);
	else
		json_decref(text);
	buf_finish(&b);
	return (enum words_exit)r;
}

enum words_exit word_host_trust(struct call *k)
{
	const char *line;
	struct host h;
	enum words_exit r = load_host(k, &h);

	if (r != WORDS_OK)
		return r;
	if ((line = line_of(k, h.method == LOGIN_MANAGED ? h.managed_key : "ca")) == NULL)
		return refuse(k, WORDS_BROKEN, "Look at the log of the keys role.",
		    "The key for %s is not there.", h.name);
	if (h.method == LOGIN_MANAGED)
		return trust_keys(k, &h, line);
	return say(k,
	    "# on %s, in /etc/ssh/bastion_user_ca.pub\n%s\n# and in /etc/ssh/sshd_config, then "
	    "reload sshd\n"
	    "TrustedUserCAKeys /etc/ssh/bastion_user_ca.pub%s",
	    h.name, line, list_has(h.logins, LOGIN_SELF) ? "\n# for the accounts that the bastion makes there, with bastion-account(8) "
	    "installed and account_login root\nPermitRootLogin forced-commands-only" : "");
}

enum words_exit word_keys(struct call *k)
{
	json_t *rows = json_array();
	const char *name, *line;

	for (size_t i = 0; rows != NULL && (line = k->c->key_line(k->c->arg, i, &name)) != NULL;
	     i++)
		json_array_append_new(rows, json_pack("{s:s,s:s}", "name", name, "key", line));
	return say_rows(k, "keys", rows);
}

/* --- what one user sees --- */

struct mine {
	struct call *k;
	struct access_role *roles;
	int nroles;
	struct open { int64_t host_id, until; } *open;	/* the user's grants that let in now */
	size_t nopen;
	json_t *rows;
	char last[HOST_NAME_MAX_LEN + 1];	/* of them */
	bool failed, more;
};

static int load_open(struct mine *m)
{
	struct ticket t = { .id = 0 };
	int r;

	while ((r = store_ticket_open(m->k->s, m->k->me.id, 0, 0, t.id, &t)) == 1) {
		struct open *more;

		if (!ticket_lets_in(&t, m->k->now))
			continue;
		if ((more = realloc(m->open, (m->nopen + 1) * sizeof(*more))) == NULL)
			return -1;
		m->open = more;
		m->open[m->nopen++] = (struct open){ t.host_id, t.end_at };
	}
	return r;
}

/* Logins that some role of the user has on the host, into an array; the longest grant of these
 * roles. */
static json_t *logins_of(const struct mine *m, const struct host *h, uint32_t *longest)
{
	json_t *logins = json_array();
	char list[LIST_MAX + 1], *rest = list, *word;

	*longest = 0;
	memcpy(list, h->logins, sizeof(list));
	while ((word = strsep(&rest, " ")) != NULL) {
		bool mine = false;

		for (int i = 0; i < m->nroles; i++) {
			if (word[0] == '\0' || !access_allows(&m->roles[i], h, word))
				continue;
			mine = true;
			if (m->roles[i].max > *longest)
				*longest = m->roles[i].max;
		}
		if (mine)
			json_array_append_new(logins, json_string(strcmp(word, LOGIN_SELF) == 0 ? m->k->me.name : word));
	}
	return logins;
}

static json_t *labels_of(const struct host *h)
{
	json_t *labels = json_array();
	char list[LIST_MAX + 1], *rest = list, *word;

	memcpy(list, h->labels, sizeof(list));
	while ((word = strsep(&rest, " ")) != NULL)
		if (word[0] != '\0')
			json_array_append_new(labels, json_string(word));
	return labels;
}

static int see_host(void *arg, const struct host *h)
{
	struct mine *m = arg;
	int64_t until = 0;
	uint32_t longest;
	json_t *logins = logins_of(m, h, &longest), *row;

	for (size_t i = 0; i < m->nopen; i++)
		if (m->open[i].host_id == h->id && m->open[i].until > until)
			until = m->open[i].until;
	if (json_array_size(logins) == 0 && until == 0) {
		json_decref(logins);
		return 0;
	}
	if (json_array_size(m->rows) >= CONTROL_LIMIT_MAX) {
		json_decref(logins);
		m->more = true;
		return 1;
	}
	snprintf(m->last, sizeof(m->last), "%s", h->name);
	row = json_pack("{s:s,s:o,s:o,s:I}", "name", h->name, "logins", logins, "labels",
	    labels_of(h), "max", (json_int_t)longest);
	if (row != NULL && h->zone[0] != '\0')
		json_object_set_new(row, "zone", json_string(h->zone));
	if (row != NULL && until > 0)
		json_object_set_new(row, "until", json_integer(until));
	m->failed = row == NULL || json_array_append_new(m->rows, row) < 0;
	return m->failed;
}

static int see_one(struct mine *m, const char *name)
{
	struct host h;
	int r = store_host_by_name(m->k->s, name, &h);

	if (r == 1)
		see_host(m, &h);
	return r < 0 ? -1 : 0;
}

/*
 * The hosts that exist for this user, as rows by name: this one if it is one of them, or (NULL) all behind the name `after`. NULL when the
 * store or memory failed. last: if there are more than fit, the name of the last row; otherwise "".
 */
static json_t *my_hosts(struct call *k, const char *one, const char *after, char last[HOST_NAME_MAX_LEN + 1])
{
	struct mine m = { .k = k, .rows = json_array() };
	int r = -1;

	if (m.rows != NULL && (m.nroles = store_user_roles(k->s, k->me.id, &m.roles)) >= 0 &&
	    load_open(&m) == 0)
		r = one != NULL ? see_one(&m, one) : store_hosts(k->s, after != NULL ? after : "", see_host, &m);
	free(m.roles);
	free(m.open);
	memcpy(last, m.last, sizeof(m.last));
	if (!m.more)
		last[0] = '\0';
	if (r == 0 && !m.failed)
		return m.rows;
	json_decref(m.rows);
	return NULL;
}

enum words_exit word_hosts(struct call *k)
{
	char last[HOST_NAME_MAX_LEN + 1];
	enum words_exit r = say_rows(k, "hosts", my_hosts(k, arg_text(k, "host"), arg_text(k, "after"), last));

	if (r == WORDS_OK && last[0] != '\0')
		say_more(k, "after", json_string(last));
	return r;
}

/* "web1,[web1]:*,web2,…": the inner SSH of `ssh -J` shows itself under the target's name. */
static void put_patterns(struct buf *b, const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		const char *name = json_string_value(json_object_get(row, "name"));

		buf_put(b, i > 0 ? "," : "", i > 0);
		buf_put(b, name, strlen(name));
		buf_put(b, ",[", 2);
		buf_put(b, name, strlen(name));
		buf_put(b, "]:*", 3);
	}
}

/* A host where this user has one login only needs no "login@" before it. ssh takes the first User that it finds. */
static void put_users(struct buf *b, const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i), *logins = json_object_get(row, "logins");

		if (json_array_size(logins) != 1)
			continue;
		put_text(b, "Host ");
		put_text(b, json_string_value(json_object_get(row, "name")));
		put_text(b, "\n    User ");
		put_text(b, json_string_value(json_array_get(logins, 0)));
		put_text(b, "\n");
	}
}

/* Comments, because an OpenSSH before 10.1 stops at a word it does not know, in whichever Host; IgnoreUnknown would have to be the file's first. */
#define CONFIG_WARNS "# OpenSSH from 10.1 on, and none before, takes the lines with WarnWeakCrypto without their #. It warns no more then that\n" \
	"# the key exchange is not post-quantum: bastiond(8), POST-QUANTUM.\n"
#define CONFIG_WARN "    #WarnWeakCrypto no-pq-kex\n"

/* The bastion by its own name, too: that is how refusals advise to reach it. */
static void put_config(struct call *k, struct buf *b, const json_t *rows, const char *last)
{
	char head[1024], port[16];
	const char *line;

	snprintf(port, sizeof(port), "%u", k->c->port);
	snprintf(head, sizeof(head),
	    "# ~/.ssh/config\n" CONFIG_WARNS "Host bastion%s%s\n    HostName %s\n    Port %s\n    User %s\n" CONFIG_WARN,
	    strcmp(k->c->name, "bastion") != 0 ? " " : "",
	    strcmp(k->c->name, "bastion") != 0 ? k->c->name : "", k->c->name, port, k->me.name);
	put_text(b, head);
	if (json_array_size(rows) > 0) {
		put_text(b, "Host");
		for (size_t i = 0; i < json_array_size(rows); i++) {
			put_text(b, " ");
			put_text(b,
			    json_string_value(json_object_get(json_array_get(rows, i), "name")));
		}
		put_text(b, "\n    ProxyJump bastion\n" CONFIG_WARN);
		put_users(b, rows);
	}
	if (last[0] != '\0') {
		put_text(b, "# There are more hosts than fit here, behind ");
		put_text(b, last);
		put_text(b, "\n");
	}
	put_text(b, "# ~/.ssh/known_hosts");
	for (size_t i = 0; (line = k->c->host_key(k->c->arg, i)) != NULL; i++) {
		put_text(b, k->c->port == 22 ? "\n" : "\n[");
		put_text(b, k->c->name);
		if (k->c->port != 22) {
			put_text(b, "]:");
			put_text(b, port);
		}
		put_text(b, json_array_size(rows) > 0 ? "," : "");
		put_patterns(b, rows);
		put_text(b, " ");
		put_text(b, line);
	}
}

enum words_exit word_config(struct call *k)
{
	char last[HOST_NAME_MAX_LEN + 1];
	json_t *rows = my_hosts(k, NULL, NULL, last), *text;
	enum words_exit r;
	struct buf b;

	buf_init(&b, CONTROL_REPLY_MAX / 2);
	if (rows == NULL) {
		r = broken(k);
	} else {
		put_config(k, &b, rows, last);
		text = buf_ok(&b) ? json_stringn((const char *)b.data, b.len) : NULL;
		r = text != NULL ? say(k, "%s", "") : broken(k);
		if (r == WORDS_OK)
			say_more(k, "text", text);
		else
			json_decref(text);
	}
	json_decref(rows);
	buf_finish(&b);
	return r;
}
