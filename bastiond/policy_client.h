/*
 * policy_client.h - programs on this machine that speak to policy: bastionctl on control.sock,
 * pam_bastion.so on pam.sock.
 */
#ifndef BASTION_POLICY_CLIENT_H
#define BASTION_POLICY_CLIENT_H

#include <sys/types.h>

#include "policy.h"

enum client_kind { CLIENT_CONTROL, CLIENT_PAM };

struct client {
	struct link link;	/* first */
	struct policy *p;
	struct client *next;
	enum client_kind kind;
	uid_t uid;		/* of the process that connected, from the kernel */
	struct bucket bucket;	/* not root's */
	uint64_t seen_ms;	/* when it last said something */
};

/* policy_otp.c: one OTP_CHECK. */
int otp_on_check(struct client *c, struct ipc_msg *m);

#endif
