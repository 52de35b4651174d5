/*
 * store_directory.h - what a directory said, until it is applied (store_directory.c). Results as in store.h. Policy role.
 */
#ifndef BASTION_STORE_DIRECTORY_H
#define BASTION_STORE_DIRECTORY_H

#include "store.h"

#define DIRECTORY_SHARE 10	/* per cent of the directory's users that may end, or be left without a role, at once, without --share */

struct staged {
	char name[USER_NAME_MAX + 1], person[PERSON_MAX + 1];
	char roles[LIST_MAX + 1];	/* words, one space between */
	bool kept;			/* it is there, but its entry could not be taken: the account stays as it is */
};

int store_stage_clear(struct store *s);
/* errno EEXIST: the name is staged already. */
int store_stage_add(struct store *s, const struct staged *e);
/* The next by name. */
int store_stage_next(struct store *s, const char *after, struct staged *e);
/* Is an account of this person staged? 1, 0, -1. */
int store_stage_person(struct store *s, const char *person);
/* Users that are the directory's, those of them that are not staged, and what is staged. 0, or -1. */
int store_directory_counts(struct store *s, int64_t *known, int64_t *gone, int64_t *staged);
/* The next user of the directory, by number, that is not staged. */
int store_directory_gone(struct store *s, int64_t after, struct user *u);
int store_directory_is(struct store *s, int64_t user_id);
int store_directory_mark(struct store *s, int64_t user_id);

#endif
