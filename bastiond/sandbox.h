/*
 * sandbox.h - the system calls that a role may make after its start, as lists for seccomp.
 */
#ifndef BASTIOND_SANDBOX_H
#define BASTIOND_SANDBOX_H

#include "config.h"
#include "msg.h"

/*
 * Builds the filter of a role now, so that a later sandbox_enter(), in this process or in one it forks, costs
 * one system call. Optional. 0, or -1 with errno.
 */
int sandbox_prepare(enum role role);

/*
 * Closes the sandbox: POLICY, KEYS, RECORDER, MASTER, SESSION (after MASTER, in the fork), DIAL, CONSOLE, VIEW, MONITOR.
 * A call outside the list kills the process (SIGSYS); harmless probes get EACCES. Logs which layers are active.
 * HOOK and TARGET, which run programs: for these and for themselves a list of what is refused (EPERM), and no Landlock.
 * 0; -1 when a layer is missing and conf->sandbox is SANDBOX_STRICT (with SANDBOX_ON it warns and returns 0).
 * BASTIOND_SANDBOX in the environment: see confine_filter().
 */
int sandbox_enter(const struct config *conf, enum role role);

#endif
