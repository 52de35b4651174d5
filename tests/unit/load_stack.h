/*
 * load_stack.h - pam_stack_load() for tests that are looked at for leaks.
 *
 * pam_start() of Linux-PAM 1.5 leaks its table of modules when the service does not exist: 96 bytes, not ours.
 */
#ifndef BASTION_TEST_LOAD_STACK_H
#define BASTION_TEST_LOAD_STACK_H

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "pam_stack.h"

static struct pam_stack *load_stack(const struct config *conf)
{
	struct pam_stack *stack;

#ifdef __SANITIZE_ADDRESS__
	__lsan_disable();
#endif
	stack = pam_stack_load(conf);
#ifdef __SANITIZE_ADDRESS__
	__lsan_enable();
	if (stack != NULL) { /* what can be loaded is looked at as ever */
		pam_stack_free(stack);
		stack = pam_stack_load(conf);
	}
#endif
	return stack;
}

#endif
