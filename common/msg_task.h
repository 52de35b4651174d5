/*
 * msg_task.h - the end of the list in msg.h: what a task at a target takes (bastiond/policy_task.h). Notation and columns as there.
 */
#ifndef BASTION_MSG_TASK_H
#define BASTION_MSG_TASK_H

#define MSG_LIST_TASK(M)                                                                              \
	/* policy → parent: id = worker. str host address (name or literal); u16 port; u32 time limit ms */ \
	M(RUN_TARGET,     POLICY,   PARENT,   S_ANY,     512,   0, 0)                                 \
	/* target → policy: str public key blob, made for this task; str the addresses that the bastion may have at that host, */ \
	/* with commas; "": unknown */                                                                \
	M(TASK_KEY,       TARGET,   POLICY,   S_ANY,     2048,  0, 1)                                 \
	/* str name of the host; str login; str command; str certificate blob, or ""; str managed public key blob, or ""; */ \
	/* list(str pinned host key blob); str standard input. fd: with a managed key, the agent socket that keys serves */ \
	M(TASK_GO,        POLICY,   TARGET,   S_ANY,     64000, -1, 1)                                \
	/* u8 enum task_end; u32 exit status; u8 the host is the pinned one and let us in; str standard output; str line, raw; */ \
	/* list(str host key blob that it announced and proved), list(the same, pinned and not announced any more) */ \
	M(TASK_DONE,      TARGET,   POLICY,   S_ANY,     65000, 0, 1)                                 \
	/* policy → keys: id = request. u64 host id; str login; u64 generation: a managed key for that place */ \
	M(MAKE_KEY,       POLICY,   KEYS,     S_ANY,     128,   0, 0)                                 \
	/* id = request. u8 ok; str (str public key blob; str sealed private half, which keys alone can open), or str reason */ \
	M(MAKE_KEY_RE,    KEYS,     POLICY,   S_ANY,     8192,  0, 0)

#endif
