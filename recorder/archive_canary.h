/*
 * archive_canary.h - does the object store's lock hold? One object is put, and then everything is tried on it that the lock must
 * refuse, with the credentials at hand: which answers prove it, and which are its failure.
 *
 * Used by the collector's archiver (collector_archiver_canary.c). A state machine without a network: canary_request says what to
 * send, canary_answer takes what came back.
 *
 *   put the object, locked        must be there, as a version of its own. A bucket without Object Lock refuses the lock's headers
 *   look at its lock              if the credentials may: COMPLIANCE, and long enough. With the bucket's own rule they must be able to
 *   delete that version           must be refused
 *   lock it for less              must be refused
 *   lock it in GOVERNANCE mode    must be refused, also with the header that bypasses that mode
 *   put other bytes there         must be refused, or become another version
 *   delete without a version      should be refused; where it is not, these credentials can hide objects, and that is said
 *
 * Refused by the lock or for want of a right: both mean that these credentials cannot do it. An answer that says nothing of the kind
 * (a wrong signature, a wrong clock, no such bucket) is no proof, and neither is no answer.
 */
#ifndef BASTION_ARCHIVE_CANARY_H
#define BASTION_ARCHIVE_CANARY_H

#include "s3.h"

#define CANARY_SECONDS_LESS 3600	/* the lock that is tried in place of the long one */
#define CANARY_SLACK 3600		/* seconds by which the store's clock may be behind */

enum canary_step { CANARY_PUT, CANARY_LOOK, CANARY_DELETE, CANARY_SHORTEN, CANARY_DOWNGRADE, CANARY_OVERWRITE, CANARY_HIDE, CANARY_DONE };
enum canary_verdict {
	CANARY_UNKNOWN,			/* not done, or the store could not be asked */
	CANARY_HOLDS,
	CANARY_FAILS,
};

struct canary {
	enum canary_step step;
	enum canary_verdict verdict;
	bool by_bucket;			/* no lock's headers: the bucket's rule locks */
	int64_t now, until;		/* of the lock that is asked for, or expected of the rule */
	char key[S3_KEY_MAX];
	char version[S3_VERSION_MAX + 1];
	char body[160];			/* of the request */
	bool hides;			/* the credentials may put a delete marker over an object */
	bool looked;
	char why[448];			/* of the verdict, for a person */
};

/* Begins anew. `key`: of a new object. now, until: unix seconds. */
void canary_begin(struct canary *c, const char *key, bool by_bucket, int64_t now, int64_t until);
/* Fills *r (zeroed by it) for the present step; r borrows c->body. */
void canary_request(struct canary *c, struct s3_request *r);
/* The answer to that. c->step is CANARY_DONE when there is a verdict. */
void canary_answer(struct canary *c, const struct s3_request *r);
const char *canary_step_name(enum canary_step step);

#endif
