/*
 * access_rule.c - the single rules of a role: hosts, labels, logins, networks, hours, capabilities.
 * Pure; see access.h.
 */
#include "access.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY 86400
#define WEEK (7 * DAY)
#define WINDOWS_MAX 16	/* parts of one hours text */

static const struct { const char *name; unsigned bit; } caps[] = {
#define C(symbol, name, bit) { name, bit },
	CAP_LIST(C)
#undef C
};

unsigned cap_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (strcmp(caps[i].name, name) == 0)
			return caps[i].bit;
	return 0;
}

char *cap_names(char *out, size_t size, unsigned mask)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if ((mask & caps[i].bit) != 0 && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? " " : "",
			    caps[i].name);
	return out;
}

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
	if (role->hosts[0] == '\0' && role->labels[0] == '\0')
		return false;
	if (role->hosts[0] != '\0' && !name_matches(role->hosts, host->name))
		return false;
	if (!has_labels(role->labels, host->labels))
		return false;
	return login == NULL || (list_has(role->logins, login) && list_has(host->logins, login));
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

bool access_from(const char *networks, const char *address)
{
	struct address from, net;
	unsigned bits;
	const char *w;
	size_t n;
	bool v4;

	if (networks[0] == '\0')
		return true;
	if (!parse_address(address, &from, &v4))
		return false;
	while ((n = next_word(&networks, &w)) > 0)
		if (parse_network(w, n, &net, &bits) && same_bits(&from, &net, bits))
			return true;
	return false;
}

/* --- hours --- */

/* Allowed from `from` for `len` seconds, in seconds since Monday 00:00. */
struct window {
	int from, len;
};

static int day_of(const char **p)
{
	static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

	for (int i = 0; i < 7; i++) {
		if (strncmp(*p, days[i], 3) == 0) {
			*p += 3;
			return i;
		}
	}
	return -1;
}

/* "08:30" → seconds of the day; 24:00 is its end. */
static int clock_of(const char **p)
{
	const char *t = *p;
	int h, m;

	for (int i = 0; i < 5; i++)
		if (i == 2 ? t[i] != ':' : t[i] < '0' || t[i] > '9')
			return -1;
	h = (t[0] - '0') * 10 + t[1] - '0';
	m = (t[3] - '0') * 10 + t[4] - '0';
	*p += 5;
	return m > 59 || h > 24 || (h == 24 && m > 0) ? -1 : h * 3600 + m * 60;
}

/* "mon-fri 08:00-18:00" → one window a day, appended at w[*n]. */
static int parse_part(const char **p, struct window *w, int *n)
{
	int first = day_of(p), last = first, from, to;

	if (first >= 0 && **p == '-') {
		++*p;
		last = day_of(p);
	}
	if (first < 0 || last < 0 || *(*p)++ != ' ' || (from = clock_of(p)) < 0 || *(*p)++ != '-' ||
	    (to = clock_of(p)) < 0 || from == to || from == DAY)
		return -1;
	for (int d = first;; d = (d + 1) % 7) {
		w[(*n)++] = (struct window){ d * DAY + from,
			to > from ? to - from : to - from + DAY };
		if (d == last)
			return 0;
	}
}

int64_t access_hours(const char *hours, int64_t now)
{
	struct window w[WINDOWS_MAX * 7];
	int64_t second, reach = 0;
	int n = 0;

	if (hours[0] == '\0')
		return FOREVER;
	for (const char *p = hours;; p++) {
		if (n > (WINDOWS_MAX - 1) * 7 || parse_part(&p, w, &n) < 0)
			return -1;
		if (*p == '\0')
			break;
		if (*p != ',')
			return -1;
		p += strspn(p + 1, " ");
	}
	second = (now % WEEK + WEEK + 3 * DAY) % WEEK; /* 1970-01-01 was a Thursday */
	/* windows that touch are one: go on from end to end, a week at most */
	for (bool more = true; more && reach < WEEK;) {
		more = false;
		for (int i = 0; i < n; i++) {
			int64_t into = ((second + reach - w[i].from) % WEEK + WEEK) % WEEK;

			if (into < w[i].len) {
				reach += w[i].len - into;
				more = true;
			}
		}
	}
	return reach == 0 ? 0 : reach >= WEEK ? FOREVER : now + reach;
}
