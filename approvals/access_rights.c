/*
 * access_rights.c - capabilities: their names, and which right what use of a grant needs. Pure; see
 * access.h.
 */
#include "access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *name; unsigned bits; } caps[] = {
#define C(symbol, name, bit) { name, bit },
	CAP_LIST(C)
#undef C
	{ "sftp", CAP_SFTP_READ | CAP_SFTP_WRITE },	/* as it was called before it was two */
};

unsigned cap_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (strcmp(caps[i].name, name) == 0)
			return caps[i].bits;
	return 0;
}

char *cap_names(char *out, size_t size, unsigned mask)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i + 1 < sizeof(caps) / sizeof(caps[0]); i++)
		if ((mask & caps[i].bits) != 0 && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? " " : "",
			    caps[i].name);
	return out;
}

bool access_forward_ok(const char *text)
{
	char host[HOST_NAME_MAX_LEN + 1];
	const char *colon = strrchr(text, ':');
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;

	if (n == 0 || n >= sizeof(host) || strlen(colon + 1) > 5 || colon[1] == '0' || colon[1] == '\0' ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) || atol(colon + 1) > 65535)
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	/* the addresses that mean the host itself; all others by name */
	return name_is_host(host) || strcmp(host, "127.0.0.1") == 0;
}

static bool command_ok(const char *text, size_t n)
{
	if (n == 0 || n > TEXT_MAX || text[0] == ' ' || text[n - 1] == ' ')
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

bool cap_parse(const char *text, struct cap *cap)
{
	size_t n = strcspn(text, " ");

	*cap = (struct cap){ 0 };
	if (strncmp(text, "forward ", 8) == 0) {
		cap->bits = CAP_FORWARD;
		cap->what = text + 8;
		cap->len = strlen(cap->what);
		return access_forward_ok(cap->what);
	}
	if (strncmp(text, "command ", 8) == 0) {
		cap->bits = CAP_COMMAND;
		cap->what = text + 8;
		cap->len = strlen(cap->what);
		if (cap->len > 2 && cap->what[0] == '"' && cap->what[cap->len - 1] == '"') {
			cap->what++;
			cap->len -= 2;
		}
		return command_ok(cap->what, cap->len);
	}
	/* these two need their argument */
	cap->bits = text[n] == '\0' ? cap_by_name(text) & ~(unsigned)(CAP_FORWARD | CAP_COMMAND) : 0;
	return cap->bits != 0;
}

bool lines_have(const char *lines, const char *line, size_t len)
{
	while (*lines != '\0') {
		size_t n = strcspn(lines, "\n");

		if (n == len && memcmp(lines, line, n) == 0)
			return true;
		lines += n + (lines[n] == '\n');
	}
	return false;
}

bool access_may_use(const struct access_use *use, unsigned mask, const char *forwards, const char *commands)
{
	if (use->any == 0 && use->command == NULL && use->forward == NULL)
		return mask != 0;
	return (mask & use->any) != 0 ||
	    (use->command != NULL && (mask & CAP_COMMAND) != 0 &&
		lines_have(commands, use->command, strlen(use->command))) ||
	    (use->forward != NULL && (mask & CAP_FORWARD) != 0 && list_has(forwards, use->forward));
}

/* May a request under this role have these? A named command is less than any command. */
bool access_rights_within(const struct access_role *role, unsigned mask, const char *forwards,
    const char *commands)
{
	unsigned plain = mask & ~(unsigned)(CAP_FORWARD | CAP_COMMAND);
	char word[FORWARD_MAX + 1];

	if ((plain & ~role->caps) != 0)
		return false;
	while (*(forwards += strspn(forwards, " ")) != '\0') {
		size_t n = strcspn(forwards, " ");

		if (n > FORWARD_MAX)
			return false;
		memcpy(word, forwards, n);
		word[n] = '\0';
		if (!list_has(role->forwards, word))
			return false;
		forwards += n;
	}
	while (*commands != '\0') {
		size_t n = strcspn(commands, "\n");

		if ((role->caps & CAP_EXEC) == 0 && !lines_have(role->commands, commands, n))
			return false;
		commands += n + (commands[n] == '\n');
	}
	return true;
}

char *access_rights_text(char *out, size_t size, unsigned mask, const char *forwards, const char *commands,
    const char *between)
{
	unsigned plain = mask & ~(unsigned)(CAP_FORWARD | CAP_COMMAND);
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i + 1 < sizeof(caps) / sizeof(caps[0]) && n < size; i++)
		if ((plain & caps[i].bits) != 0)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? between : "", caps[i].name);
	if ((mask & CAP_FORWARD) != 0 && forwards[0] == '\0' && n < size)
		n += (size_t)snprintf(out + n, size - n, "%sforward", n > 0 ? between : "");
	if ((mask & CAP_COMMAND) != 0 && commands[0] == '\0' && n < size)
		n += (size_t)snprintf(out + n, size - n, "%scommand", n > 0 ? between : "");
	while ((mask & CAP_FORWARD) != 0 && *forwards != '\0' && n < size) {
		int len = (int)strcspn(forwards, " ");

		n += (size_t)snprintf(out + n, size - n, "%sforward %.*s", n > 0 ? between : "", len, forwards);
		forwards += len + (forwards[len] == ' ');
	}
	while ((mask & CAP_COMMAND) != 0 && *commands != '\0' && n < size) {
		int len = (int)strcspn(commands, "\n");

		n += (size_t)snprintf(out + n, size - n, "%scommand %.*s", n > 0 ? between : "", len, commands);
		commands += len + (commands[len] == '\n');
	}
	return out;
}
