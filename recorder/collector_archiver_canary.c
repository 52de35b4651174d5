/*
 * collector_archiver_canary.c - the proof that the lock holds, at the start and then as often as the configuration says. See
 * archive_canary.h for what is tried. Until the first proof nothing is put, nor after one that failed.
 */
#include "collector_archiver.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "hex.h"
#include "log.h"

static void begin(struct archiver *a)
{
	const struct coll_archive *c = &a->conf->archive;
	const int64_t now = clock_wall();
	const time_t t = (time_t)now;
	char key[S3_KEY_MAX], stamp[24] = "", hex[9];
	uint8_t random[4] = { 0 };
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	random_bytes(random, sizeof(random));
	snprintf(key, sizeof(key), "%s/canary/%s-%s", c->prefix, stamp, hex_encode(hex, random, sizeof(random)));
	canary_begin(&a->canary, key, c->by_bucket, now, archive_until(&c->rules, now, !c->by_bucket));
}

static void report(struct archiver *a, int64_t now)
{
	const struct canary *c = &a->canary;
	const struct coll_archive *conf = &a->conf->archive;

	if (c->verdict == CANARY_UNKNOWN) {
		/* after the pause that a failure brings */
		a->canary_at = now;
		archiver_failed(a, c->key, c->why);
	} else if (c->verdict == CANARY_FAILS) {
		a->proven = false;
		a->canary_at = now + (conf->canary_s < ARCHIVER_CANARY_RETRY_SECONDS ? (int64_t)conf->canary_s : ARCHIVER_CANARY_RETRY_SECONDS);
		log_error("ALARM: the object store does not keep what is put into it: bucket %s, %s: %s. Nothing is put until it does; "
		    "see bastion-collectord(8), OBJECT STORE", conf->bucket, c->key, c->why);
	} else {
		if (c->hides)
			log_warn("bucket %s: these credentials may put delete markers, which hide objects: take s3:DeleteObject from them", conf->bucket);
		log_notice("object store: bucket %s at %s: %s (%s)", conf->bucket, conf->endpoint, c->why, c->key);
		a->proven = true;
		a->canary_at = now + (int64_t)conf->canary_s;
		archiver_succeeded(a);
	}
}

static void ask(struct archiver *a);

static void answered(struct s3_request *r)
{
	struct archiver *a = r->ctx;

	canary_answer(&a->canary, r);
	if (a->canary.step != CANARY_DONE && !a->stop) {
		ask(a);
		return;
	}
	a->canary_running = false;
	report(a, (int64_t)(clock_mono_ms() / 1000));
}

static void ask(struct archiver *a)
{
	canary_request(&a->canary, &a->canary_request);
	a->canary_request.done = answered;
	a->canary_request.ctx = a;
	a->canary_running = s3_start(a->s3, &a->canary_request) == 0;
	if (!a->canary_running)
		a->canary_at = (int64_t)(clock_mono_ms() / 1000) + ARCHIVER_CANARY_RETRY_SECONDS;
}

void archiver_canary_turn(struct archiver *a, int64_t now)
{
	if (a->canary_running || now < a->canary_at || clock_mono_ms() < a->pause_until_ms)
		return;
	begin(a);
	ask(a);
}
