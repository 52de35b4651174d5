/*
 * role_policy.c - the policy role: its start as root, the drop, the sandbox. policy_core.c has the
 * loop.
 *
 * Comes after parent's re-execution with the descriptors of roles.h; drops to user_policy with the
 * database's directory as its root. Every decision of the bastion is made in this process: policy.h
 * says in which file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access_zone.h"
#include "drop.h"
#include "log.h"
#include "policy.h"
#include "policy_events.h"
#include "roles.h"
#include "sandbox.h"
#include "totpkey.h"

#define DATABASE "/policy.db"	/* below the new root */

/* Still root. Without them the word `config` says less. */
static void read_host_keys(struct policy *p)
{
	struct buf lines;

	buf_init(&lines, HOSTKEY_LINES_BYTES);
	if (hostkey_lines_read(&lines, p->conf->state_dir) != 0 || hostkey_lines_take(&lines, p->host_keys) != 0)
		log_warn("the host keys' public lines cannot be read: config does not show them");
	buf_finish(&lines);
}

int role_policy(struct config *conf)
{
	const struct policy_fds fds = { ROLE_FD_PARENT, POLICY_FD_KEYS, POLICY_FD_CONTROL,
		POLICY_FD_PAM };
	struct policy *p = calloc(1, sizeof(*p));
	int status = 1;

	if (p == NULL)
		return 1;
	p->conf = conf;
	if (gethostname(p->machine, sizeof(p->machine) - 1) != 0 || p->machine[0] == '\0')
		strcpy(p->machine, "bastion");
	policy_name(p);
	read_host_keys(p);
	if (zones_preload() < 0)
		log_warn("the time zones cannot be read: roles with hours of a zone allow nothing");
	if (events_warm(conf) != 0)
		log_error("recipients: the events cannot be encrypted to them");
	else if (totpkey_own(conf, &p->seal) == 0 && drop_to(conf, ROLE_POLICY) == 0 && policy_open(p, DATABASE, &fds) == 0 &&
	    sandbox_enter(conf, ROLE_POLICY) == 0)
		status = policy_run(p);
	policy_close(p);
	free(p);
	return status;
}
