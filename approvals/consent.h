/*
 * consent.h - the text that an approver signs: what is asked for, by whom, and whose consent this is.
 *
 * Pure; policy role. One text for one request and one approver, the same each time it is made: every value in it is fixed when the
 * request is filed (or the request is cancelled when it goes: a host, a role, a user). Lines of "name: value", each value escaped
 * (esc_text), so that what a terminal shows is what is signed. The names are those of bastion-record(5), APPROVALS;
 * bastion-replay(1) reads them again and holds them against the recording.
 */
#ifndef BASTION_CONSENT_H
#define BASTION_CONSENT_H

#include "access.h"

#define CONSENT_SPACE "bastiond-approval"	/* the namespace: ssh-keygen -Y sign -n */
#define CONSENT_TEXT_MAX 3600	/* bytes with the last line end: a reply's text holds 4096 */
#define CONSENT_SIGNERS_MAX 3	/* signed approvals that one request may need: all are in the recording's metadata */

struct consent {
	const char *bastion;
	const struct ticket *ticket;
	const struct user *user, *approver;
	const char *by;		/* who asked */
	const struct host *host;
	const char *role;
};

/* The text, terminated, with a line end after each line. 0, or -1: it does not fit. */
int consent_text(const struct consent *c, char out[CONSENT_TEXT_MAX]);

#endif
