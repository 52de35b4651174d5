/*
 * brec_prune.c - see brec_prune.h. Runs in the auditor's tools, after brec_verify.c found that something is missing.
 */
#include "brec_prune.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "tlog_act.h"

#define DAY_US 86400000000LL

/* What the leaf says in its close frame, or of a lapse in its last signed one. */
struct last {
	struct brec_frame frame;
	struct brec_mark mark;
	uint8_t h[BREC_HASH_LEN];	/* chain value after the frame */
};

static int decode_close(struct last *l, const struct tlog_act *a)
{
	if (brec_frame_decode(a->close.data, a->close.len, &l->frame) != BREC_OK || l->frame.len != a->close.len ||
	    (l->frame.type == BREC_CLOSE) != (a->type == TLOG_PRUNE) || l->frame.type == BREC_DATA || l->frame.epoch != a->segment || brec_mark_decode(&l->frame, &l->mark) != 0)
		return -1;
	memcpy(l->h, l->mark.h, sizeof(l->h));
	return brec_chain_add(l->h, a->close.data, a->close.len) == 0 ? 0 : -1;
}

/* Is it the close, or the seal, that the log has? */
static bool same_leaf(const struct last *l, const struct tlog_act *a, const struct tlog_entry *close)
{
	struct tlog_leaf leaf = { .type = l->frame.type == BREC_CLOSE ? TLOG_CLOSE : TLOG_SEAL, .segment = a->segment, .seq = l->frame.seq, .end = l->mark.end, .reason = l->mark.reason,
		.reason_len = strlen(l->mark.reason) };
	uint8_t data[TLOG_LEAF_MAX], hash[HASH_LEN];

	memcpy(leaf.id, a->id, BREC_ID_LEN);
	memcpy(leaf.h, l->h, BREC_HASH_LEN);
	memcpy(leaf.file_hash, a->file_hash, HASH_LEN);
	return close != NULL && tlog_hash_leaf(hash, data, tlog_leaf_encode(data, &leaf)) == 0 && memcmp(hash, close->hash, HASH_LEN) == 0;
}

static bool signed_close(const struct last *l, const struct tlog_act *a, const struct brec_trust *trust)
{
	for (size_t i = 0; i < trust->nsigners; i++)
		if (brec_mark_verify(a->id, &l->mark, trust->signers[i]))
			return true;
	return false;
}

/* May this have been the last signed frame of a recording that never closed, by all n leaves that it has? NULL, or why not. */
static const char *check_lapse(const struct last *l, const struct tlog_act *a, const struct tlog_entry *v, size_t n)
{
	const bool sealed = l->frame.type == BREC_SEAL;
	const struct tlog_entry *seal = NULL;
	uint64_t seals = 0, late = 0;	/* late: not before the frame */
	bool opened = false;

	for (size_t i = 0; i < n; i++) {
		if (v[i].type == TLOG_CLOSE)
			return "it closed: the log has its close";
		opened = opened || v[i].type == TLOG_OPEN;
		if (v[i].type == TLOG_SEAL) {
			seal = &v[i];
			seals++;
			late += v[i].seq >= l->frame.seq;
		}
	}
	if (!opened)
		return "the log has no open leaf";
	if (seals != (uint64_t)a->segment + sealed || late != sealed || (sealed && !same_leaf(l, a, seal)))
		return "its last signed frame is not the last one in the log";
	return NULL;
}

/* NULL, or why the leaf says nothing. part: the leaves are those that a bundle's maker chose. */
static const char *check(const struct tlog_act *a, const struct tlog_entry *close, bool held, const struct tlog_entry *v, size_t n, bool part,
    const struct brec_trust *trust)
{
	const int64_t now = clock_wall_us(), days = (int64_t)a->days + (a->type == TLOG_LAPSE ? TLOG_SESSION_DAYS : 0);
	const char *wrong;
	struct last l;

	/* that no hold was in force, and of a lapse that it never closed, is what the log does not have */
	if (part)
		return "a bundle does not show that the log has no hold and no close";
	if (decode_close(&l, a) != 0)
		return a->type == TLOG_LAPSE ? "its last signed frame does not decode" : "its close frame does not decode";
	if (a->type == TLOG_PRUNE && !same_leaf(&l, a, close))
		return "its close is not the one in the log";
	if (a->type == TLOG_LAPSE && (wrong = check_lapse(&l, a, v, n)) != NULL)
		return wrong;
	if (!signed_close(&l, a, trust))
		return a->type == TLOG_LAPSE ? "its last signed frame is not signed by a given key" : "its close is not signed by a given key";
	if (held)
		return "a hold was in force";
	if (a->days < TLOG_PRUNE_DAYS)
		return "its retention is less than 90 days";
	/* far outside of any date: no sum may overflow */
	if (a->wall_us < 0 || l.mark.wall_us < 0 || a->wall_us > INT64_MAX / 2 || l.mark.wall_us > INT64_MAX / 2)
		return "a time in it is no date";
	if (a->wall_us < l.mark.wall_us || (a->wall_us - l.mark.wall_us) / DAY_US < days)
		return a->type == TLOG_LAPSE ? "the retention, and 30 days more, were not over" : "the retention was not over";
	if (a->wall_us > now + BREC_PRUNE_AHEAD_US)
		return "it is from the future";
	return NULL;
}

static void say(struct brec_prune *out, const struct tlog_act *a, uint64_t index, const char *wrong)
{
	char who[80], why[128], when[32];

	clock_format(when, sizeof(when), a->wall_us / 1000000);
	esc_line(who, sizeof(who), a->who.data, a->who.len);
	esc_line(why, sizeof(why), a->why.data, a->why.len);
	if (wrong != NULL)
		snprintf(out->reason, sizeof(out->reason), "the %s leaf, number %llu, says nothing: %s", tlog_leaf_name(a->type),
		    (unsigned long long)index, wrong);
	else
		snprintf(out->reason, sizeof(out->reason), "removed at %s by %s: %s; leaf number %llu", when, who, why, (unsigned long long)index);
}

void brec_prune_judge(struct brec_prune *out, const struct tlog_log *log, const struct tlog_entry *v, size_t n, const struct brec_trust *trust)
{
	const struct tlog_entry *close = NULL;
	struct tlog_act a;

	*out = (struct brec_prune){ 0 };
	for (size_t i = 0; i < n; i++) {
		/* the first one: what closed after it came under its id later */
		if (v[i].type == TLOG_CLOSE)
			close = close == NULL ? &v[i] : close;
		else if (v[i].type == TLOG_HOLD || v[i].type == TLOG_RELEASE)
			out->held = v[i].type == TLOG_HOLD;
		if (!tlog_removes(v[i].type) || out->holds || tlog_act_decode(&a, log->acts.data + v[i].act, v[i].act_len) != 0)
			continue;
		const char *wrong = check(&a, close, out->held, v, n, log->part, trust);

		out->claimed = true;
		out->holds = wrong == NULL;
		say(out, &a, v[i].index, wrong);
	}
}
