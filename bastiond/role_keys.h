/*
 * role_keys.h - the keys role: the user CA's private key and the managed target keys.
 */
#ifndef BASTION_ROLE_KEYS_H
#define BASTION_ROLE_KEYS_H

struct config;

/*
 * Called by main() as root with the role's descriptors in place: 3 parent, 4 policy. Reads keys/user_ca.pem and
 * keys/managed/ of the state directory, drops to user_keys, says KEYS_READY, loops until a link ends. Returns the exit status.
 */
int role_keys(const struct config *conf);

#endif
