/*
 * collector_hold.c - see collector_hold.h. Comes after collector_control.c, before collector_store.c.
 */
#include "collector_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "log.h"
#include "tlog_act.h"

/* The recording, whatever state it is in. NULL with a sentence. */
static struct rec *find(struct store *s, const uint8_t id[BREC_ID_LEN], char *text, size_t size)
{
	struct rec *r = store_lookup(s, id);
	uint64_t day_us;
	int found = 0;

	if (r == NULL && (found = known_look(s, id, &day_us)) == 1)
		store_find(s, id, day_us, &r);
	if (found < 0)
		snprintf(text, size, "error it cannot be looked for: %s", strerror(errno));
	else if (r == NULL)
		snprintf(text, size, "error no recording of this ID is here");
	else if (r->pruned)
		snprintf(text, size, "error it was removed already, after its retention");
	return r == NULL || r->pruned ? NULL : r;
}

void hold_set(struct store *s, const uint8_t id[BREC_ID_LEN], bool hold, const char *who, const char *why, char *text, size_t size)
{
	struct rec *r = find(s, id, text, size);
	struct tlog_act act = { .type = hold ? TLOG_HOLD : TLOG_RELEASE, .wall_us = clock_wall_us(), .who = SPAN(who, strlen(who)),
		.why = SPAN(why, strlen(why)) };
	char path[STORE_DIR_LEN + 16];
	struct apply_leaf leaf;
	struct stat st;

	if (r == NULL)
		return;
	/* what came before is in its files: is there one? */
	if (act.why.len > TLOG_WHY_MAX || store_commit(s) != 0 || store_write_out(s) != 0) {
		snprintf(text, size, "error %s", act.why.len > TLOG_WHY_MAX ? "the reason is too long" : "the disk is full");
		return;
	}
	snprintf(path, sizeof(path), "%s/" STORE_HOLD, r->dir);
	if ((fstatat(s->recordings, path, &st, AT_SYMLINK_NOFOLLOW) == 0) == hold) {
		snprintf(text, size, hold ? "error it is on hold already: %s says since when and why" : "error it is not on hold: there is no %s", path);
		return;
	}
	memcpy(act.id, id, BREC_ID_LEN);
	leaf.len = tlog_act_encode(leaf.data, &act);
	if (store_act(s, r, act.type, &leaf) != 0 || store_commit(s) != 0 || store_write_out(s) != 0) {
		snprintf(text, size, "error it is not known whether that was noted: %s. Say it again when the disk is well", strerror(errno));
		return;
	}
	/* what the object store has of it is put once more, under its legal hold */
	if (hold && s->complete != NULL)
		s->complete(s->ctx, r->dir);
	log_notice("%s: %s by %s: %s; leaf %" PRIu64 " of the log", hold ? "hold" : "hold released", r->dir, who, why, leaf.index);
	snprintf(text, size, "ok %s %s: leaf %" PRIu64 " of the log", hold ? "on hold:" : "released:", r->dir, leaf.index);
}
