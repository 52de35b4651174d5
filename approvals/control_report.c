/*
 * control_report.c - the reports for auditors. Policy role; see control_word.h. What is in them:
 * store_report.c.
 */
#include "control_word.h"

#include "store_report.h"

#define REPORT_LIMIT CONTROL_LIMIT_MAX	/* rows, if the request names no limit: bastionctl pages by itself */
#define DORMANT_DAYS 90
#define DAY 86400

static enum words_exit report(struct call *k, const char *kind, enum report which, struct report_ask *ask)
{
	int64_t next;
	enum words_exit r;

	ask->user = arg_text(k, "user");
	ask->host = arg_text(k, "host");
	ask->login = arg_text(k, "login");
	ask->after = arg_int(k, "after", 0);
	ask->limit = (int)arg_int(k, "limit", REPORT_LIMIT);
	ask->now = k->now;
	r = say_rows(k, kind, store_report(k->s, which, ask, &next));
	if (r == WORDS_OK && next > 0)
		say_more(k, "next", json_integer(next));
	return r;
}

/* From --since to --until. */
static enum words_exit between(struct call *k, const char *kind, enum report which, bool all)
{
	struct report_ask ask = { .since = arg_int(k, "since", 0), .until = arg_int(k, "until", FOREVER), .all = all };

	if (ask.since >= ask.until)
		return refuse(k, WORDS_USAGE, NULL, "until lies before since: nothing can be in between.");
	return report(k, kind, which, &ask);
}

enum words_exit word_report_logins(struct call *k)
{
	return between(k, "logins", REPORT_LOGINS, true);
}

enum words_exit word_report_privileges(struct call *k)
{
	return between(k, "privileges", REPORT_PRIVILEGES, true);
}

enum words_exit word_report_refused(struct call *k)
{
	return between(k, "refused", REPORT_REFUSED, true);
}

enum words_exit word_report_requests(struct call *k)
{
	return between(k, "requests", REPORT_REQUESTS, true);
}

enum words_exit word_report_grants(struct call *k)
{
	return between(k, "grants", REPORT_GRANTS, !arg_flag(k, "unused"));
}

enum words_exit word_report_glass(struct call *k)
{
	return between(k, "break-glass", REPORT_GLASS, !arg_flag(k, "owed"));
}

enum words_exit word_report_access(struct call *k)
{
	struct report_ask ask = { .since = arg_int(k, "at", k->now) };

	if (ask.since > k->now)
		return refuse(k, WORDS_USAGE, NULL, "at lies in the future: nobody knows yet.");
	return report(k, "access", REPORT_ACCESS, &ask);
}

enum words_exit word_report_services(struct call *k)
{
	struct report_ask ask = { .all = true };

	return report(k, "services", REPORT_SERVICES, &ask);
}

enum words_exit word_report_dormant(struct call *k)
{
	struct report_ask ask = { .since = k->now - arg_int(k, "days", DORMANT_DAYS) * DAY };

	return report(k, "dormant", REPORT_DORMANT, &ask);
}
