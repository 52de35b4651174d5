/*
 * replay_player.h - the parts of `bastion-replay play`.
 *
 *   replay_tape.c    one channel of a recording in memory
 *   replay_clock.c   recording time from real time: speed, pause, idle compression; pure
 *   replay_tty.c     the auditor's terminal: raw mode, keys, signals, and back as it was
 *   replay_draw.c    status line, help, messages
 *   replay_play.c    the loop, and what the keys do
 */
#ifndef BASTION_REPLAY_PLAYER_H
#define BASTION_REPLAY_PLAYER_H

#include <termios.h>

#include "replay.h"
#include "screen.h"
#include "screen_view.h"

/* ---- replay_clock.c ---- */

#define PCLOCK_NEVER UINT64_MAX

struct pclock {
	uint64_t pos_us;	/* where we are in the recording */
	uint64_t real_us;	/* when that was brought up to date */
	unsigned speed;		/* per cent */
	uint64_t idle_us; /* longest pause between two events, in recording time; 0: no limit */
	bool compress;		/* idle_us counts */
	bool paused;
};

/*
 * Brings pos_us up to date. prev_us, next_us: recording time of the event shown last and of the one
 * to come (PCLOCK_NEVER: none); the clock does not pass end_us.
 */
void pclock_advance(struct pclock *c, uint64_t now_us, uint64_t prev_us, uint64_t next_us,
    uint64_t end_us);
/* Real µs until the recording is at t_us, 0 if it is; PCLOCK_NEVER for that, and while paused. */
uint64_t pclock_wait(const struct pclock *c, uint64_t t_us);
/* The next speed up or down of the usual ones. */
unsigned pclock_faster(unsigned speed);
unsigned pclock_slower(unsigned speed);

/* ---- replay_tape.c ---- */

#define TAPE_BYTES_MAX (512U << 20)
#define TAPE_EVENTS_MAX (8U << 20)

struct tape_event {
	uint64_t t_us;		/* since the channel was opened */
	size_t off;		/* into data */
	uint32_t len;
	char kind;		/* 'o' for the screen, 'r' size, 'n' a line, 'k' return was typed */
};

struct tape {
	struct tape_event *v;
	size_t n, cap;
	char *data;
	size_t len, size;
	uint64_t end_us;	/* of the last event */
	bool cut;		/* the recording is longer than the limits above */
	char note[512];		/* why it ends early, if it does */
};

/* 0, or -1 with the reason in t->note. */
int tape_load(struct tape *t, const struct channel *c, const char *dir,
    const struct age_identities *ids);
void tape_finish(struct tape *t);
/* Does `n` stop here: a command, a file, a note, the end of a line that the user typed. */
bool tape_is_marker(const struct tape_event *e);

/* ---- replay_tty.c ---- */

enum key {
	KEY_NONE = 0, /* others below 256 are characters */
	KEY_LEFT = 256, KEY_RIGHT, KEY_UP, KEY_DOWN, KEY_HOME, KEY_END, KEY_ESC,
	KEY_RESIZE, KEY_STOP, KEY_QUIT, KEY_OTHER,
};

struct tty {
	int in, out, signals;
	struct termios saved;
	bool raw;
	int status;		/* signal that ends the program, 0: none */
};

/* Raw mode and the alternate screen. 0, or -1 with errno. */
int tty_enter(struct tty *t);
/* As it was before. Safe when not entered. */
void tty_leave(struct tty *t);
/* Leaves, stops the process as ^Z does, enters again. */
void tty_stop(struct tty *t);
void tty_size(const struct tty *t, unsigned *cols, unsigned *rows);
/* 0, or -1: the terminal is gone. */
int tty_write(struct tty *t, const void *data, size_t len);
/*
 * The next key or signal within timeout_us (PCLOCK_NEVER: no limit); KEY_NONE if none came,
 * KEY_QUIT when it is over.
 */
int tty_key(struct tty *t, uint64_t timeout_us);

/* ---- replay_play.c, replay_draw.c ---- */

enum player_mode { PLAYER_RUNS, PLAYER_HELP, PLAYER_GOTO };

struct player {
	const struct args *args;
	const struct scan *scan;
	const struct recording *rec;
	const struct age_identities *ids;
	const struct channel *chan;
	struct tape tape;
	size_t next;		/* first event that is not shown yet */
	struct screen *screen;
	struct view view;
	struct pclock clock;
	struct tty tty;
	enum player_mode mode;
	char typed[12];		/* the time after `g` */
	char message[256];
	uint64_t message_us;	/* real time when it goes */
	bool dirty, quit, resized;	/* resized: the terminal, while a seek ran */
	char who[200];
};

/* The whole picture. 0, or -1: the terminal is gone. */
int player_draw(struct player *p);
void player_say(struct player *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* replay_export.c: the text, of a->channel or of all. 0, or -1: said on standard error. */
int export_text(const struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids);

#endif
