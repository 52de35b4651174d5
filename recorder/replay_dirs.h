/*
 * replay_dirs.h - where bastion-replay keeps what is its user's: the log of readings, the index of searches.
 */
#ifndef BASTION_REPLAY_DIRS_H
#define BASTION_REPLAY_DIRS_H

#include <stddef.h>

/*
 * Into dir[size]: the environment's `variable` if it is an absolute path, else `below` ("/.cache") in the home: HOME, or the account's
 * where HOME is none, as in a job that begins with an empty environment. 0, or -1 with why[]: one sentence about what is wrong.
 */
int user_dir(char *dir, size_t size, const char *variable, const char *below, const char **why);

#endif
