/*
 * words_check.h - one argument's text into its JSON value. Between words.c and the request; not for
 * others.
 */
#ifndef BASTION_WORDS_CHECK_H
#define BASTION_WORDS_CHECK_H

#include <jansson.h>

#include "words.h"

/*
 * Checks `value` by the argument's type and puts it into `args` under the argument's name; appends
 * for ARG_MANY. 0, or -1 with a line in why: what is wrong with the value, and what would be right.
 */
int words_put(json_t *args, const struct words_arg *arg, const char *value,
    const struct words_env *env, char *why, size_t size);

#endif
