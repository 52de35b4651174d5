/*
 * command.c - see command.h.
 */
#include "command.h"

#include <stdbool.h>
#include <string.h>

/* Shell words of scp in the old protocol; nothing that a shell would do more with than split. */
static bool is_plain(const char *s)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ._/~=,:+@%-*?[]";

	return strspn(s, plain) == strlen(s);
}

/* A word that scp cannot take for an option, whatever a shell makes of it. */
static bool is_path(const char *word, size_t n)
{
	return n > 0 && strchr("-*?[%+=,:@", word[0]) == NULL;
}

/* The options of `scp [flags] -t|-f`, at the end of which *p is left. Both directions, or an option with an argument
 * (-S would name a program): 0. */
static char scp_options(const char **p)
{
	bool to = false, from = false;
	size_t n;

	for (; **p == '-' && (*p)[1] != '-'; *p += n, *p += strspn(*p, " ")) {
		n = strcspn(*p, " ");
		for (size_t i = 1; i < n; i++) {
			to |= (*p)[i] == 't';
			from |= (*p)[i] == 'f';
			if (strchr("tfrpdqv", (*p)[i]) == NULL)
				return 0;
		}
		if (n == 1)
			return 0;
	}
	return to == from ? 0 : to ? 't' : 'f';
}

char command_scp_direction(const char *command)
{
	const char *p = command + 4;
	char dir;
	size_t n;

	if (strncmp(command, "scp ", 4) != 0 || !is_plain(command))
		return 0;
	p += strspn(p, " ");
	if ((dir = scp_options(&p)) == 0)
		return 0;
	if (strncmp(p, "-- ", 3) == 0)
		return dir; /* nothing after it is an option */
	for (; *p != '\0'; p += n, p += strspn(p, " ")) {
		n = strcspn(p, " ");
		if (!is_path(p, n))
			return 0;
	}
	return dir;
}

const char *command_capability(const char *command)
{
	static const char *const servers[] = {
		"internal-sftp", "sftp-server", "/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
		"/usr/libexec/sftp-server",
	};

	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		if (strcmp(command, servers[i]) == 0)
			return "sftp";
	return command_scp_direction(command) != 0 ? "scp" : "exec";
}
