/*
 * archive_canary.c - see archive_canary.h. Pure but for the requests that it writes.
 */
#include "archive_canary.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"

const char *canary_step_name(enum canary_step step)
{
	static const char *const names[] = { "putting a locked object", "looking at its lock", "deleting it", "shortening its lock",
		"lifting its lock to GOVERNANCE", "putting other bytes over it", "hiding it", "done" };

	return (unsigned)step < sizeof(names) / sizeof(names[0]) ? names[step] : "?";
}

void canary_begin(struct canary *c, const char *key, bool by_bucket, int64_t now, int64_t until)
{
	*c = (struct canary){ .by_bucket = by_bucket, .now = now, .until = until };
	snprintf(c->key, sizeof(c->key), "%s", key);
}

/* Percent-encoded as the signature wants it: upper-case, all but what is never reserved. */
static void encode(char *out, size_t size, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t n = 0;

	for (; *text != '\0' && n + 4 < size; text++)
		n += (size_t)snprintf(out + n, size - n, strchr(plain, *text) != NULL ? "%c" : "%%%02X", (unsigned char)*text);
	out[n] = '\0';
}

static void retention(struct canary *c, struct s3_request *r, const char *mode)
{
	char date[24];

	snprintf(c->body, sizeof(c->body), "<Retention><Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", mode,
	    clock_format(date, sizeof(date), c->now + CANARY_SECONDS_LESS));
	r->body = c->body;
	r->len = strlen(c->body);
}

void canary_request(struct canary *c, struct s3_request *r)
{
	char version[3 * S3_VERSION_MAX + 8];

	*r = (struct s3_request){ .method = "PUT" };
	memcpy(r->key, c->key, sizeof(r->key));
	encode(version, sizeof(version), c->version);
	switch (c->step) {
	case CANARY_PUT:
	case CANARY_OVERWRITE:
		snprintf(c->body, sizeof(c->body), "%s\n", c->step == CANARY_PUT ? "This object is locked." : "These are other bytes.");
		r->body = c->body;
		r->len = strlen(c->body);
		s3_lock(r, c->by_bucket ? 0 : c->until, false);
		break;
	case CANARY_LOOK:
	case CANARY_SHORTEN:
	case CANARY_DOWNGRADE:
		snprintf(r->query, sizeof(r->query), "retention=&versionId=%s", version);
		if (c->step == CANARY_LOOK)
			r->method = "GET";
		else
			retention(c, r, c->step == CANARY_SHORTEN ? "COMPLIANCE" : "GOVERNANCE");
		if (c->step == CANARY_DOWNGRADE)
			s3_header(r, "x-amz-bypass-governance-retention", "true");
		break;
	case CANARY_DELETE:
		snprintf(r->query, sizeof(r->query), "versionId=%s", version);
		/* fall through */
	default:
		r->method = "DELETE";
	}
}

static void end(struct canary *c, enum canary_verdict verdict, const char *what, const char *answer)
{
	c->verdict = verdict;
	snprintf(c->why, sizeof(c->why), "%s%s%s", what, answer[0] != '\0' ? ": " : "", answer);
	c->step = CANARY_DONE;
}

/* The words of a store that will not do it: for want of a right, or because the object is locked. */
static bool refused(const struct s3_request *r)
{
	static const char *const codes[] = { "AccessDenied", "InvalidRequest", "MethodNotAllowed", "ObjectLocked", "PreconditionFailed",
		"InvalidRetentionPeriod" };

	if (r->status != 403 && r->status != 400 && r->status != 405 && r->status != 409 && r->status != 412)
		return false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(r->code, codes[i]) == 0)
			return true;
	return false;
}

static void take_put(struct canary *c, const struct s3_request *r)
{
	if (r->status / 100 != 2) {
		end(c, CANARY_FAILS, "a locked object cannot be put", r->why);
	} else if (r->version[0] == '\0') {
		end(c, CANARY_FAILS, "the bucket keeps no versions, so it has no Object Lock", "");
	} else {
		memcpy(c->version, r->version, sizeof(c->version));
		c->step = CANARY_LOOK;
	}
}

static void take_look(struct canary *c, const struct s3_request *r)
{
	char mode[16], is[24], shall[24], why[160];
	int64_t until;

	if (r->status / 100 != 2 && c->by_bucket) {
		end(c, CANARY_FAILS, "the bucket's rule is to lock, and these credentials may not look at what it did (s3:GetObjectRetention)", r->why);
	} else if (r->status / 100 != 2) {
		c->step = CANARY_DELETE;
	} else if (s3_retention_parse(r->text.data, r->text.len, mode, &until) != 0) {
		end(c, CANARY_FAILS, "the object that was put has no lock", "");
	} else if (strcmp(mode, "COMPLIANCE") != 0 || until < c->until - CANARY_SLACK) {
		s3_clean(is, sizeof(is), mode, strlen(mode));
		snprintf(why, sizeof(why), "%s until %s, in place of COMPLIANCE until ", is, clock_format(shall, sizeof(shall), until));
		clock_format(shall, sizeof(shall), c->until);
		snprintf(why + strlen(why), sizeof(why) - strlen(why), "%s", shall);
		end(c, CANARY_FAILS, "the object that was put is locked", why);
	} else {
		c->looked = true;
		c->step = CANARY_DELETE;
	}
}

void canary_answer(struct canary *c, const struct s3_request *r)
{
	const char *step = canary_step_name(c->step);
	char what[128];

	if (r->status == 0 || r->status / 100 == 5 || r->status == 429) {
		snprintf(what, sizeof(what), "%s", step);
		end(c, CANARY_UNKNOWN, what, r->why);
		return;
	}
	if (c->step == CANARY_PUT) {
		take_put(c, r);
		return;
	}
	if (c->step == CANARY_LOOK) {
		take_look(c, r);
		return;
	}
	/* another version beside the locked one takes nothing away */
	if (c->step == CANARY_OVERWRITE && r->status / 100 == 2 && r->version[0] != '\0' && strcmp(r->version, c->version) != 0) {
		c->step = CANARY_HIDE;
		return;
	}
	if (c->step == CANARY_HIDE) {
		c->hides = r->status / 100 == 2;
		end(c, CANARY_HOLDS, c->looked ? "the lock is there and holds" : "the lock holds", "");
		return;
	}
	if (refused(r)) {
		c->step++;
		return;
	}
	snprintf(what, sizeof(what), "%s was %s", step, r->status / 100 == 2 ? "not refused" : "answered strangely, which proves nothing");
	end(c, CANARY_FAILS, what, r->why);
}
