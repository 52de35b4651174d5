/*
 * store_report.h - reports for auditors, out of the database. Policy role: control_report.c asks.
 */
#ifndef BASTION_STORE_REPORT_H
#define BASTION_STORE_REPORT_H

#include "store.h"

#define REPORT_SCAN 100000	/* events that one call looks at: a fraction of a second, in which policy waits */

enum report {
	REPORT_LOGINS, REPORT_PRIVILEGES, REPORT_REFUSED,	/* out of the events */
	REPORT_REQUESTS, REPORT_GRANTS, REPORT_GLASS, REPORT_ACCESS, REPORT_SERVICES, REPORT_DORMANT,
	REPORT_COUNT
};

struct report_ask {
	int64_t since, until;	/* unix seconds: from, and before; ACCESS: the instant; DORMANT: not since */
	const char *user, *host, *login;	/* only these; NULL: any */
	int64_t after;		/* page: numbers over this */
	int64_t now;
	bool all;		/* GRANTS: also those that were used; GLASS: also those that were reviewed */
	int limit;
};

/* Rows in the order of their numbers; NULL with store_error(). The caller's. *next: where the next
 * page begins (as `after`), 0: that was all. */
json_t *store_report(struct store *s, enum report which, const struct report_ask *ask, int64_t *next);

/* Numbers for those who watch the bastion. */
struct store_counts {
	int64_t pending, oldest;	/* requests that wait; seconds since the oldest was made */
	int64_t grants, users, hosts;	/* in force; not removed */
	int64_t bytes;			/* of the database file */
};

/* 0, or -1. */
int store_counts(struct store *s, int64_t now, struct store_counts *c);

#endif
