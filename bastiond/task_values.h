/*
 * task_values.h - what policy and the target worker have to agree on about a task (policy_task.h, worker_target.c).
 */
#ifndef BASTION_TASK_VALUES_H
#define BASTION_TASK_VALUES_H

#include <stddef.h>
#include <stdint.h>

#define TASK_COMMAND_MAX 2048
#define TASK_IN_MAX 16384
#define TASK_OUT_MAX 16384	/* of standard output; more is a failure */
#define TASK_LINE_MAX 512
#define TASK_KEYS_MAX 16	/* host keys: pinned, announced, gone, each */
#define TASK_BLOB_MAX 2200	/* of one, as SSHKEY_BLOB_MAX; larger ones are passed over */
#define TASK_LIMIT_MS 30000
#define TASK_LIMIT_MAX_MS 120000

#define TASK_END_LIST(E)                                                                       \
	E(OK, "ok")			/* exit status 0 */                                    \
	E(UNREACHABLE, "unreachable")	/* no connection, or no SSH */                         \
	E(HOSTKEY, "hostkey")		/* it showed none of the pinned host keys */           \
	E(REFUSED, "refused")		/* the login was not let in */                         \
	E(EXIT, "exit")			/* it ran, and its exit status was another */          \
	E(FAILED, "failed")		/* it could not be run here, or took too long */
enum task_end {
#define E(name, text) TASK_##name,
	TASK_END_LIST(E)
#undef E
	TASK_ENDS
};

struct task_key {
	size_t len;
	uint8_t blob[TASK_BLOB_MAX];	/* public key blob, RFC 4253 */
};

#endif
