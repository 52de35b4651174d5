/*
 * replay_readings.h - reading a recording is an event: the log of readings on the auditor's machine, and
 * the notes to the bastion.
 *
 *   replay_readings.c       the log: appended and synced before anything is shown
 *   replay_readings_line.c  one line of it; pure
 *   replay_note.c           a note, given to a command such as `ssh auditor@bastion`
 *   replay_readings_cmd.c   `bastion-replay readings`, and what the other commands call
 *
 * The log, $XDG_STATE_HOME/bastion-replay/readings, mode 0600: a line a reading,
 *
 *     HASH {"number":1,"at":1800000000,"uid":1000,"login":"eve","command":"play","recording":"…","reveal":false}
 *
 * HASH of line n, in hexadecimal, is SHA-256(hash of line n-1 ‖ the JSON text), before line 1: 32 zero
 * bytes. A line {"number":…,"command":"delivered","of":1} says that the bastion took the note of reading 1.
 * A line without an end is what a crash left of one: nothing was shown for it.
 */
#ifndef BASTION_REPLAY_READINGS_H
#define BASTION_REPLAY_READINGS_H

#include "replay.h"

#define READINGS_LINE_MAX 1024		/* bytes, with the line feed */
#define READINGS_BYTES_MAX (64U << 20)	/* of the log; then it is to be moved away by hand */
#define NOTE_WORDS_MAX 32		/* of the command */
#define NOTE_OUTPUT_MAX 2048		/* bytes of what it says that are shown */
#define NOTE_SECONDS 20			/* for a note that may come later */
#define NOTE_REVEAL_SECONDS 120		/* for one that must come first: somebody may have to type a code */

enum reading_kind { READING_REPLAY, READING_EXPORT, READING_SEARCH, READING_DELIVERED };

struct reading {
	uint64_t number;
	int64_t at;			/* unix seconds */
	int64_t uid;
	char login[64];			/* of the auditor's machine; "" if it has none */
	char command[16];		/* play, show, commands, export, search, delivered */
	char recording[2 * BREC_ID_LEN + 1];	/* "": several */
	uint64_t recordings;		/* how many were looked through */
	char user[64], host[64];	/* search: what it was limited to */
	bool reveal;
	uint64_t of;			/* delivered: that reading */
	uint8_t hash[HASH_LEN];
};

/* ---- replay_readings_line.c ---- */

/*
 * The line for *r with its line feed, at most READINGS_LINE_MAX bytes; before: the hash of the line
 * before. r->hash is set. Its length, or -1.
 */
int reading_format(struct reading *r, const uint8_t before[HASH_LEN], char *out, size_t size);
/* The other way, one line without its feed. 0; -1: it is none. *follows: the hash fits `before`. */
int reading_parse(struct reading *r, const char *line, size_t len, const uint8_t before[HASH_LEN], bool *follows);

/* ---- replay_readings.c ---- */

/*
 * Fills number, at, uid, login and hash, appends and syncs it. 0, or -1: said on standard error, and
 * nothing may be shown.
 */
int readings_append(struct reading *r);
/*
 * Calls fn for each line, oldest first; torn: a line without an end, which is no reading. 0; 1: there is
 * no log; -1: cannot be read, said on standard error; or what fn returned, if that was not 0.
 */
typedef int reading_fn(void *ctx, const struct reading *r, bool follows);
int readings_each(reading_fn *fn, void *ctx, size_t *torn);

/* ---- replay_note.c ---- */

/* The command that takes notes, by words, from $BASTION_NOTE or the trust file. */
struct notify {
	char text[1024];
	char *words[NOTE_WORDS_MAX + 24];	/* room for the note's own */
	size_t n;				/* 0: there is none */
};

/* 0, or -1: it is no command, said on standard error. */
int notify_find(struct notify *n, const struct args *a);
/* Runs it with the note of *r. 0; -1: it was not taken, with the reason, escaped, in err. */
int notify_send(const struct notify *n, const struct reading *r, unsigned seconds, char *err, size_t errsize);

/* ---- replay_readings_cmd.c ---- */

/*
 * Before a command shows anything: logs the reading, and tells the bastion. With a->reveal there must be
 * a command for notes, and the bastion must have taken the note. rec NULL: `recordings` of a store are looked through.
 * 0, or -1: said on standard error, nothing may be shown.
 */
int reading_begin(const struct args *a, const struct recording *rec, size_t recordings);

#endif
