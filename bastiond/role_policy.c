/*
 * role_policy.c - the policy role: its start as root, the drop, the sandbox. policy_core.c has the
 * loop.
 *
 * Comes after parent's re-execution with the descriptors of roles.h; drops to user_policy with the
 * database's directory as its root. Every decision of the bastion is made in this process: policy.h
 * says in which file.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drop.h"
#include "log.h"
#include "policy.h"
#include "policy_events.h"
#include "roles.h"
#include "sandbox.h"
#include "ssh_hostkeys.h"

#define DATABASE "/policy.db"	/* below the new root */

/* Still root: the public halves of the bastion's host keys, for `config`. Without them that word
   says less. */
static void read_host_keys(struct policy *p)
{
	size_t n = 0;

	for (size_t i = 0;
	     ssh_hostkeys_name(i) != NULL && n + 1 < sizeof(p->host_keys) / sizeof(p->host_keys[0]);
	     i++) {
		char path[PATH_MAX], line[SSH_HOSTKEY_LINE_MAX];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s.pub", p->conf->state_dir, ssh_hostkeys_name(i));
		if ((f = fopen(path, "re")) == NULL) {
			log_warn("%s: %s", path, strerror(errno));
			continue;
		}
		if (fgets(line, sizeof(line), f) != NULL) {
			line[strcspn(line, "\r\n")] = '\0';
			if ((p->host_keys[n] = strdup(line)) != NULL)
				n++;
		}
		fclose(f);
	}
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
	if (events_warm(conf) != 0)
		log_error("recipients: the events cannot be encrypted to them");
	else if (drop_to(conf, ROLE_POLICY) == 0 && policy_open(p, DATABASE, &fds) == 0 &&
	    sandbox_enter(conf, ROLE_POLICY) == 0)
		status = policy_run(p);
	policy_close(p);
	free(p);
	return status;
}
