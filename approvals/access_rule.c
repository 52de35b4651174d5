/*
 * access_rule.c - the single rules of a role: hosts, labels, zones, logins, networks. Pure; see
 * access.h. Hours and capabilities have files of their own.
 */
#include "access_login.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The next word of a list: its length, 0 at the end; *p moves past it. */
static size_t next_word(const char **p, const char **word)
{
	size_t n;

	*p += strspn(*p, " ");
	*word = *p;
	n = strcspn(*p, " ");
	*p += n;
	return n;
}

bool list_has(const char *list, const char *word)
{
	const char *w;
	size_t n, len = strlen(word);

	while ((n = next_word(&list, &w)) > 0)
		if (n == len && memcmp(w, word, n) == 0)
			return true;
	return false;
}

/* One restart point is enough: a later * makes the earlier ones' further tries pointless. */
static bool glob(const char *p, size_t plen, const char *name)
{
	size_t i = 0, star = plen, n = 0, mark = 0, len = strlen(name);

	while (n < len) {
		if (i < plen && p[i] == '*') {
			star = i++;
			mark = n;
		} else if (i < plen && strncasecmp(&p[i], &name[n], 1) == 0) {
			i++;
			n++;
		} else if (star < plen) {
			i = star + 1;
			n = ++mark;
		} else {
			return false;
		}
	}
	while (i < plen && p[i] == '*')
		i++;
	return i == plen;
}

bool access_glob(const char *pattern, const char *name)
{
	return glob(pattern, strlen(pattern), name);
}

static bool name_matches(const char *patterns, const char *name)
{
	const char *w;
	size_t n;

	while ((n = next_word(&patterns, &w)) > 0)
		if (glob(w, n, name))
			return true;
	return false;
}

static bool has_labels(const char *wanted, const char *labels)
{
	char word[LABEL_MAX + 1];
	const char *w;
	size_t n;

	while ((n = next_word(&wanted, &w)) > 0) {
		if (n > LABEL_MAX)
			return false;
		memcpy(word, w, n);
		word[n] = '\0';
		if (!list_has(labels, word))
			return false;
	}
	return true;
}

bool access_covers(const struct access_role *role, const struct host *host, const char *login)
{
	if (role->hosts[0] == '\0' && role->labels[0] == '\0' && role->zones[0] == '\0')
		return false;
	if (role->hosts[0] != '\0' && !name_matches(role->hosts, host->name))
		return false;
	if (!has_labels(role->labels, host->labels))
		return false;
	if (role->zones[0] != '\0' && !list_has(role->zones, host->zone))
		return false;
	return login == NULL || list_has(role->logins, "*") || list_has(role->logins, login);
}

bool access_allows(const struct access_role *role, const struct host *host, const char *login)
{
	return role->kind == RULE_ALLOW && access_covers(role, host, login) &&
	    (login == NULL || list_has(host->logins, login));
}

const char *access_login(const struct host *host, const struct user *user, const char *login)
{
	if (strcmp(login, user->name) != 0 && strcmp(login, LOGIN_SELF) != 0)
		return login;
	if (list_has(host->logins, user->name))
		return user->name;
	return list_has(host->logins, LOGIN_SELF) ? LOGIN_SELF : login;
}

bool access_denies(const struct access_role *role, const struct host *host, const struct user *user, const char *login)
{
	const char *own = access_login(host, user, login);

	return role->kind == RULE_DENY && (access_covers(role, host, own) ||
	    access_covers(role, host, strcmp(own, LOGIN_SELF) == 0 ? user->name : own));
}

/* --- networks --- */

struct address {
	uint8_t b[16];	/* IPv4 as ::ffff:a.b.c.d: one space for both */
};

static bool parse_address(const char *text, struct address *a, bool *v4)
{
	struct in_addr in;

	*v4 = inet_pton(AF_INET, text, &in) == 1;
	if (*v4) {
		memset(a->b, 0, 10);
		a->b[10] = a->b[11] = 0xff;
		memcpy(a->b + 12, &in, 4);
		return true;
	}
	return inet_pton(AF_INET6, text, a->b) == 1;
}

/* An address as the kernel has it: that of a link names the link, fe80::1%eth0, which no network does. */
static bool parse_source(const char *text, struct address *a, bool *v4)
{
	char plain[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%");

	if (len >= sizeof(plain))
		return false;
	memcpy(plain, text, len);
	plain[len] = '\0';
	return parse_address(plain, a, v4);
}

/* "10.0.0.0/8" → address and bits in the space of struct address. */
static bool parse_network(const char *text, size_t len, struct address *a, unsigned *bits)
{
	char copy[INET6_ADDRSTRLEN + 8], *slash, *end;
	unsigned long n, most;
	bool v4;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if ((slash = strchr(copy, '/')) != NULL)
		*slash++ = '\0';
	if (!parse_address(copy, a, &v4))
		return false;
	most = v4 ? 32 : 128;
	n = most;
	if (slash != NULL) {
		if (strspn(slash, "0123456789") != strlen(slash) || *slash == '\0' ||
		    strlen(slash) > 3)
			return false;
		n = strtoul(slash, &end, 10);
	}
	*bits = (unsigned)n + (v4 ? 96 : 0);
	return n <= most;
}

static bool same_bits(const struct address *a, const struct address *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a->b, b->b, bits / 8) != 0)
		return false;
	return rest == 0 || ((a->b[bits / 8] ^ b->b[bits / 8]) & (0xff00U >> rest) & 0xff) == 0;
}

bool access_network_ok(const char *network)
{
	struct address a, masked = { 0 };
	unsigned bits;

	if (!parse_network(network, strlen(network), &a, &bits))
		return false;
	for (unsigned i = 0; i < bits; i++)
		masked.b[i / 8] |= a.b[i / 8] & (0x80 >> i % 8);
	return memcmp(&a, &masked, sizeof(a)) == 0;
}

bool access_network_of(const char *address, unsigned bits4, unsigned bits6, char out[NETWORK_TEXT_MAX])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];
	struct address a;
	unsigned bits;
	bool v4;

	if (!parse_source(address, &a, &v4))
		return false;
	v4 = memcmp(a.b, mapped, sizeof(mapped)) == 0;
	bits = v4 ? bits4 : bits6;
	for (unsigned i = bits + (v4 ? 96U : 0U); i < 128; i++)
		a.b[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a.b + 12 : a.b, text, sizeof(text));
	snprintf(out, NETWORK_TEXT_MAX, "%s/%u", text, bits);
	return true;
}

bool access_from(const char *networks, const char *address)
{
	struct address from, net;
	unsigned bits;
	const char *w;
	size_t n;
	bool v4;

	if (networks[0] == '\0')
		return true;
	if (!parse_source(address, &from, &v4))
		return false;
	while ((n = next_word(&networks, &w)) > 0)
		if (parse_network(w, n, &net, &bits) && same_bits(&from, &net, bits))
			return true;
	return false;
}
