/*
 * collector_archiver_put.c - one object on its way into the store, and what is done while the store is away. See collector_archiver.h.
 */
#include "collector_archiver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "clock.h"
#include "log.h"

#define ROOM_BYTES (1 << 20)	/* of free disk that confirmations need, */
#define ROOM_FILES 64		/* and of files that can be made */

bool archiver_may_put(const struct archiver *a)
{
	return a->proven && !a->stop && !a->log.other && s3_running(a->s3) < ARCHIVER_PARALLEL && clock_mono_ms() >= a->pause_until_ms;
}

struct archiver_put *archiver_put_create(struct archiver *a, const char *top, const char *dir, const char *name)
{
	struct archiver_put *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->a = a;
	p->r.method = "PUT";
	snprintf(p->r.key, sizeof(p->r.key), "%s/%s/%s%s%s", a->conf->archive.prefix, top, dir, dir[0] != '\0' ? "/" : "", name);
	snprintf(p->item.name, sizeof(p->item.name), "%s", name);
	return p;
}

void archiver_put_destroy(struct archiver_put *p)
{
	if (p->map != NULL)
		munmap(p->map, p->map_len);
	free(p->copy);
	free(p);
}

/* ---- the store is away, and is there again ---- */

void archiver_failed(struct archiver *a, const char *key, const char *why)
{
	const int64_t now = (int64_t)(clock_mono_ms() / 1000);

	a->pause_until_ms = clock_mono_ms() + archive_pause_ms(++a->failures);
	if (a->away_since == 0) {
		a->away_since = now;
		a->alarm_at = now + ARCHIVER_AWAY_ALARM_SECONDS;
		log_error("object store: %s: %s. What it has not confirmed stays here and is tried again", key, why);
	} else if (now >= a->alarm_at) {
		a->alarm_at = now + ARCHIVER_AWAY_ALARM_SECONDS;
		log_error("ALARM: the object store has confirmed nothing for %" PRId64 " minutes, and %" PRIu64 " MiB wait: %s: %s", (now - a->away_since) / 60,
		    a->spool >> 20, key, why);
	} else {
		log_debug("object store: %s: %s", key, why);
	}
}

bool archiver_refused(struct archiver_put *p, struct archiver_refusals *r)
{
	const int64_t now = (int64_t)(clock_mono_ms() / 1000);
	const int status = p->r.status;
	struct archiver *a = p->a;

	/* "too slow", "another one is just being put" and "too many" are said of the moment */
	if (status / 100 != 4 || status == 408 || status == 409 || status == 429)
		return false;
	if (a->confirmed != r->confirmed) {
		r->confirmed = a->confirmed;
		r->times += r->times < ARCHIVER_REFUSED_TIMES;
		if (r->times == ARCHIVER_REFUSED_TIMES && now >= a->refused_alarm) {
			a->refused_alarm = now + ARCHIVER_REFUSED_SECONDS;
			log_error("ALARM: the object store takes other objects, and again and again not %s: %s", p->r.key, p->r.why);
		}
	}
	return r->times == ARCHIVER_REFUSED_TIMES;
}

bool archiver_room(struct archiver *a)
{
	struct statvfs v;

	if (fstatvfs(a->recordings, &v) != 0 ||
	    ((uint64_t)v.f_bavail * v.f_frsize >= ROOM_BYTES && (v.f_files == 0 || v.f_favail >= ROOM_FILES)))
		return true;
	archiver_failed(a, "nothing is put", "this disk is full, and a confirmation could not be noted");
	return false;
}

void archiver_succeeded(struct archiver *a)
{
	if (a->away_since != 0)
		log_notice("the object store takes objects again, after %" PRId64 " s", (int64_t)(clock_mono_ms() / 1000) - a->away_since);
	a->failures = 0;
	a->pause_until_ms = 0;
	a->away_since = 0;
}

/* ---- one put ---- */

static int start(struct archiver_put *p)
{
	p->r.nheaders = 0;
	s3_lock(&p->r, p->a->conf->archive.by_bucket ? 0 : p->item.until, p->hold);
	if (!p->plain)
		s3_header(&p->r, "If-None-Match", "*");
	return s3_start(p->a->s3, &p->r);
}

/* No answer of ours was lost, and yet there is an object of that name. */
static void stranger(struct archiver *a, const char *key)
{
	const int64_t now = (int64_t)(clock_mono_ms() / 1000);

	a->strangers++;
	if (now < a->strangers_alarm)
		return;
	a->strangers_alarm = now + ARCHIVER_STRANGER_SECONDS;
	log_error("ALARM: object store: %s is there already, and no answer was lost: somebody else has put it, %" PRIu64 " such objects since the start. "
	    "The right one is put beside it", key, a->strangers);
}

/*
 * There is an object of that name: ours, whose answer was lost, or another one. Who may only put cannot look; but a second version
 * with the right bytes, locked, is worth more than an answer would be. Who reads sees all versions.
 */
static bool put_beside(struct archiver_put *p)
{
	if (p->r.status != 412 || p->plain)
		return false;
	/* the answer to an earlier sending of it may have been the lost one */
	p->asked = p->asked || p->r.sent > 1;
	if (p->first) {
		archiver_log_other(p->a, p->r.key, p->asked);
		return false;
	}
	if (p->asked)
		log_info("object store: %s is there already: put once more, as a second version", p->r.key);
	else
		stranger(p->a, p->r.key);
	p->plain = true;
	return start(p) == 0;
}

static void done(struct s3_request *r)
{
	struct archiver_put *p = r->ctx;
	struct archiver *a = p->a;
	const bool confirmed = r->status / 100 == 2;

	if (put_beside(p))
		return;
	if (confirmed) {
		memcpy(p->item.version, r->version, sizeof(p->item.version));
		log_debug("object store: %s confirmed", r->key);
		archiver_succeeded(a);
		a->confirmed++;
	} else {
		archiver_failed(a, r->key, r->why);
	}
	p->end(p, confirmed);
	archiver_put_destroy(p);
}

/* The archiver ends: what the store did with it shows at the next start. */
static void dropped(struct s3_request *r)
{
	archiver_put_destroy(r->ctx);
}

int archiver_put_send(struct archiver_put *p, bool over, bool hold, bool again)
{
	p->item.when = clock_wall();
	p->item.until = archive_until(&p->a->conf->archive.rules, p->item.when, over);
	p->item.size = p->r.len;
	p->hold = p->item.held = hold;
	p->plain = again;
	p->r.done = done;
	p->r.dropped = dropped;
	p->r.ctx = p;
	if (sha256_spans(p->item.hash, SPANS(SPAN(p->r.body, p->r.len))) == 0 && start(p) == 0)
		return 0;
	archiver_failed(p->a, p->r.key, "out of memory");
	archiver_put_destroy(p);
	return -1;
}
