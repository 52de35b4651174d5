/*
 * replay_dirs.c - see replay_dirs.h.
 */
#include "replay_dirs.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *absolute(const char *path)
{
	return path != NULL && path[0] == '/' ? path : NULL;
}

int user_dir(char *dir, size_t size, const char *variable, const char *below, const char **why)
{
	const char *own = absolute(getenv(variable)), *home = absolute(getenv("HOME"));
	const struct passwd *pw;
	int n;

	if (own == NULL && home == NULL && (pw = getpwuid(getuid())) != NULL)
		home = absolute(pw->pw_dir);
	*why = "neither the environment nor the account names a directory for it";
	if (own == NULL && home == NULL)
		return -1;
	*why = "the path is too long";
	n = snprintf(dir, size, "%s%s", own != NULL ? own : home, own != NULL ? "" : below);
	return n >= 0 && (size_t)n < size ? 0 : -1;
}
