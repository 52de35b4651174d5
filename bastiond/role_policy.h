/*
 * role_policy.h - the policy role: who may do what. The only process that opens the database.
 */
#ifndef BASTION_ROLE_POLICY_H
#define BASTION_ROLE_POLICY_H

struct config;

/*
 * Called by main() as root with the role's descriptors in place: 3 parent, 4 keys, 5 control socket and 6 pam
 * socket (both listening, SOCK_SEQPACKET). Drops to user_policy, says POLICY_READY, loops until parent's link
 * ends. Returns the exit status.
 */
int role_policy(const struct config *conf);

#endif
