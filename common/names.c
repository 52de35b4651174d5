/*
 * names.c - see names.h. Pure; every role, and the first thing that a user name from the network meets.
 */
#include "names.h"

#include <arpa/inet.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* `first` and then any of `rest`, up to max bytes in all. Locale plays no part. */
static bool matches(const char *s, const char *first, const char *rest, size_t max)
{
	return s[0] != '\0' && strchr(first, s[0]) != NULL && strspn(s, rest) == strlen(s) && strlen(s) <= max;
}

bool name_is_user(const char *s)
{
	return matches(s, LOWER "_", LOWER DIGIT "_.-", USER_NAME_MAX);
}

bool name_is_login(const char *s)
{
	return matches(s, LOWER UPPER "_", LOWER UPPER DIGIT "_.-", LOGIN_MAX);
}

bool name_is_login_word(const char *s)
{
	return name_is_login(s) || strcmp(s, LOGIN_SELF) == 0;
}

bool name_is_host(const char *s)
{
	return matches(s, LOWER UPPER DIGIT, LOWER UPPER DIGIT "_.-", HOST_NAME_MAX_LEN) &&
	    strspn(s, DIGIT ".") != strlen(s);
}

bool name_is_place(const char *s)
{
	char login[LOGIN_MAX + 1];
	size_t n = strcspn(s, "@");

	if (n > LOGIN_MAX || s[n] == '\0')
		return false;
	memcpy(login, s, n);
	login[n] = '\0';
	return name_is_login(login) && name_is_host(s + n + 1);
}

bool name_is_pattern(const char *s)
{
	char name[HOST_NAME_MAX_LEN + 1];
	size_t n = strlen(s);

	if (n == 0 || n > HOST_NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i <= n; i++)
		name[i] = s[i] == '*' ? 'x' : s[i];
	return name_is_host(name);
}

/* An address in figures; the zone of an IPv6 one may stand behind it. */
static bool is_literal(int family, const char *s)
{
	const size_t n = family == AF_INET6 ? strcspn(s, "%") : strlen(s);
	char text[INET6_ADDRSTRLEN];
	struct in6_addr a;

	if (n >= sizeof(text) || (s[n] == '%' && s[n + 1] == '\0'))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	return inet_pton(family, text, &a) == 1;
}

bool name_is_address(const char *s)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_%";

	if (s[0] == '\0' || s[0] == '-' || strlen(s) > ADDRESS_MAX || strspn(s, set) != strlen(s))
		return false;
	if (strchr(s, ':') != NULL)
		return is_literal(AF_INET6, s);
	return strspn(s, DIGIT ".") == strlen(s) ? is_literal(AF_INET, s) : strchr(s, '%') == NULL;
}

bool name_is_label(const char *s)
{
	size_t key = strspn(s, LOWER DIGIT "_.-");

	return key > 0 && strchr(LOWER DIGIT, s[0]) != NULL && s[key] == '=' && strlen(s) <= LABEL_MAX &&
	    matches(s + key + 1, LOWER DIGIT, LOWER DIGIT "_.-", LABEL_MAX);
}

int target_parse(const char *text, struct target *t)
{
	const char *at = strchr(text, '@');
	const char *at2 = at != NULL ? strchr(at + 1, '@') : NULL;
	size_t user = at != NULL ? (size_t)(at - text) : strlen(text);

	*t = (struct target){ .user = "" };
	if (user > USER_NAME_MAX || (at != NULL && at2 == NULL))
		return -1;
	memcpy(t->user, text, user);
	if (at != NULL) {
		size_t login = (size_t)(at2 - at - 1), host = strlen(at2 + 1);

		if (login > LOGIN_MAX || host > HOST_NAME_MAX_LEN)
			goto bad;
		memcpy(t->login, at + 1, login);
		memcpy(t->host, at2 + 1, host);
		if (!name_is_login(t->login) || !name_is_host(t->host))
			goto bad;
	}
	if (name_is_user(t->user))
		return 0;
bad:
	*t = (struct target){ .user = "" };
	return -1;
}
