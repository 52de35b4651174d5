/*
 * drop.h - a role gives up root, for good: one table says which account, root directory and network.
 */
#ifndef BASTIOND_DROP_H
#define BASTIOND_DROP_H

#include "config.h"
#include "msg.h"

/*
 * In this order: core dumps off, own network namespace (roles without network), root directory, capability bounding
 * set, groups, ids, capabilities, no new privileges; then tries to get root back and fails if that works.
 *
 * role       account         root directory        network
 * policy     user_policy     state_dir/db          none: the database is /policy.db from then on
 * keys       user_keys       run_dir/empty         none
 * recorder   user_recorder   run_dir/empty         yes
 * master     user_session    run_dir/empty         none
 * dial       user_dial       stays /               yes: the resolver's files
 * target     user_task       stays /               yes: the resolver's files, the ssh client
 * hook       user_hook       stays /               yes: what it runs is the administrator's
 * console    user_console    stays /               none: terminal descriptions
 * monitor    user_monitor    stays /               yes: sockets of syslog daemons
 * view       user_console    run_dir/empty         none
 *
 * 0, or -1 with the failed step logged: the caller must exit. Not root (unit tests, a developer): -1, too.
 */
int drop_to(const struct config *conf, enum role role);

/* Ends this process with SIGKILL when its parent process ends; checks that `parent` still is it. 0 or -1. */
int drop_die_with_parent(pid_t parent);

#endif
