/*
 * pam_stack.h - the site's PAM stack, read and linked once, and taken by each fork as long as its files are the same.
 *
 * Parent loads it; the PAM workers of logins, forks of parent, take it (worker_pam.c). pam_start() reads the service's files and
 * opens their modules, which compares each with all libraries that are loaded: a fifth of what a worker costs. An edit of the stack holds from
 * the next login on, as sites expect: what was loaded is good only while every file that could be a part of it is the one that
 * it was, by name, inode, size, and times of change. Who includes a file by an absolute path has the stack read at each login.
 */
#ifndef BASTION_PAM_STACK_H
#define BASTION_PAM_STACK_H

#include <security/pam_appl.h>

struct config;
struct pam_stack;

/* Parent: NULL if there is no memory or the stack is broken, which is logged: the logins will say so, too. pam_stack_free(NULL) is a no-op. */
struct pam_stack *pam_stack_load(const struct config *conf);
void pam_stack_free(struct pam_stack *stack);
/*
 * In a fork, once: a transaction of this user, as pam_start() would make it. `stack` may be NULL. PAM's status; *pam is the caller's to
 * end, NULL on errors.
 */
int pam_stack_start(struct pam_stack *stack, const struct config *conf, const char *user, const struct pam_conv *conv, pam_handle_t **pam);

#endif
