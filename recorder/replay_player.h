/*
 * replay_player.h - the parts of `bastion-replay play` and `follow`.
 *
 *   replay_tape.c       one channel of a recording in memory
 *   replay_clock.c      recording time from real time: speed, pause, idle compression; pure
 *   replay_core.c       the player: keys and time in, a screen out. Pure: it reads no clock, file or
 *                       terminal, and each call does a bounded piece of work
 *   replay_core_keys.c  what the keys do
 *   replay_core_draw.c  status line, help, messages
 *   replay_find.c       a text on the screens of a tape
 *   replay_tty.c        the auditor's terminal: raw mode, keys, signals, and back as it was
 *   replay_play.c       the loop around the player; replay_follow.c: around one that is still written
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
 * Brings pos_us up to date; a stop of the player counts as a second of the recording. prev_us,
 * next_us: recording time of the event shown last and of the one to come (PCLOCK_NEVER: none); the
 * clock does not pass end_us.
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
#define TAPE_US_MAX (100ULL * 366 * 86400 * 1000000)	/* no time of a tape is later */

struct tape_event {
	uint64_t t_us;		/* since the channel was opened */
	size_t off;		/* into data */
	uint32_t len;
	char kind;		/* 'o' for the screen, 'r' size, 'n' a line, 'k' return was typed, perhaps with a line */
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

/*
 * reveal: lines of 'k' have the keys that were not echoed in them, else TYPED_HIDDEN. 0, or -1 with the
 * reason in t->note.
 */
int tape_load(struct tape *t, const struct channel *c, const char *dir, const struct age_identities *ids,
    bool reveal);
void tape_finish(struct tape *t);
struct tape_feed;
/* A tape that grows: zeros *t. Both outlive the feed. reveal: lines of 'k' have what was typed. NULL with errno. */
struct tape_feed *tape_feed_begin(struct tape *t, const struct channel *c, bool reveal);
/* Takes an event of the recording, of whatever channel. 0, or -1: the tape is full, or there is no memory. */
int tape_feed_event(struct tape_feed *f, const struct brec_event *e);
void tape_feed_end(struct tape_feed *f);
/* Does `n` stop here: a command, a file, a note, the end of a line that the user typed. */
bool tape_is_marker(const struct tape_event *e);
/* The number of events up to and with t_us. */
size_t tape_until(const struct tape *t, uint64_t t_us);

/* ---- replay_find.c ---- */

#define NEEDLE_MAX 256
#define FIND_HITS_MAX 65536	/* moments that are kept of one search */

struct needle {
	char text[NEEDLE_MAX];	/* in small letters if any_case */
	size_t len;
	bool any_case;		/* it was given without capitals: ASCII capitals match, too */
};

/* 0, or -1: empty or too long. */
int needle_set(struct needle *n, const char *text);
/* The first place in text[len], or NULL. */
const char *needle_in(const struct needle *n, const char *text, size_t len);

struct finder;

/* A pass over a tape whose channel has a terminal of that size. NULL with errno. */
struct finder *finder_create(const struct needle *n, unsigned cols, unsigned rows, bool pty);
void finder_destroy(struct finder *f);
/* Goes on for about `bytes` of output. False: all that the tape has now was looked at. */
bool finder_work(struct finder *f, const struct tape *t, size_t bytes);
/* Of 100 that finder_work has still to do. */
unsigned finder_percent(const struct finder *f, const struct tape *t);
size_t finder_hits(const struct finder *f);
/* The number (from 0) of the first hit after t_us, or of the last before it; finder_hits() if there is none. */
size_t finder_after(const struct finder *f, uint64_t t_us);
size_t finder_before(const struct finder *f, uint64_t t_us);
/* When that text was on the screen. */
uint64_t finder_time(const struct finder *f, size_t hit);

/* ---- replay_core.c ---- */

enum key {
	KEY_NONE = 0, /* others below 256 are characters */
	KEY_LEFT = 256, KEY_RIGHT, KEY_UP, KEY_DOWN, KEY_HOME, KEY_END, KEY_PGUP, KEY_PGDN, KEY_ESC,
	KEY_RESIZE, KEY_STOP, KEY_QUIT, KEY_OTHER, KEY_DATA,
};

#define PLAYER_FRAMES_MAX 256		/* moments kept for going back, */
#define PLAYER_FRAMES_BYTES (64U << 20)	/* and what they may hold together */
#define PLAYER_FRAME_EVERY (1U << 20)	/* bytes of output between two, to begin with */
#define PLAYER_SLICE (256U << 10)	/* bytes of output in one piece of work */
#define PLAYER_PATIENCE 16		/* pieces that a key waits for before it stops the work: a blink of an eye */
#define PLAYER_LINE_MAX 200		/* what is typed at the prompt */

enum player_mode { PLAYER_RUNS, PLAYER_HELP, PLAYER_GOTO, PLAYER_FIND };
enum find_way { FIND_BACK, FIND_ON, FIND_FIRST };	/* FIRST: from here on, else from the beginning */
enum player_task { TASK_NONE, TASK_SEEK, TASK_FIND };

struct player_frame {
	size_t next;		/* event that follows */
	struct screen_moment *moment;
	size_t bytes;
};

struct player {
	/* given by the caller */
	const struct tape *tape;
	bool pty;		/* the channel has a terminal, */
	unsigned chan_cols, chan_rows;	/* of that size at its start */
	char who[200], who_short[100];	/* "alice as dba@web1", "dba@web1" */
	bool live;		/* the tape still grows */
	char note[160];		/* live: what is known of the recording, at the right, */
	bool alarm;		/* and it matters more than who it is */
	/* the player's own */
	size_t next;		/* first event that is not shown yet */
	struct screen *screen;
	struct view view;
	struct pclock clock;
	bool at_end;		/* live: what comes is shown at once */
	enum player_mode mode;
	enum player_task task;
	unsigned pieces;	/* of it that are done */
	uint64_t target_us;	/* TASK_SEEK: there; then */
	char arrived[160];	/* is said */
	bool say_event;		/* or the line of the event that was reached */
	enum find_way find_way;	/* TASK_FIND: then to this hit */
	bool to_hit, at_hit;	/* TASK_SEEK: it leads to one; what is shown is one */
	struct finder *finder;	/* of `needle`, NULL: no search */
	struct needle needle;
	struct screen_moment *base;	/* the beginning, if that is no blank screen */
	struct player_frame frames[PLAYER_FRAMES_MAX];
	size_t nframes, frames_bytes, frame_every;
	char typed[PLAYER_LINE_MAX];
	char message[256];
	uint64_t message_us;	/* real time when it goes */
	uint64_t drawn_us, second;	/* of the last picture: real time, shown second */
	bool dirty, quit;
	bool next_channel;	/* asked for: the caller loads it, or says why not */
};

/* For an auditor's terminal of that size. 0, or -1 with errno. player_finish takes what failed, and zeros. */
int player_init(struct player *p, unsigned cols, unsigned rows, unsigned speed, uint64_t idle_us);
void player_finish(struct player *p);
/* Another tape, from its beginning, seeking to at_us (live and PCLOCK_NEVER: its end). 0, or -1 with errno. */
int player_load(struct player *p, const struct tape *t, bool pty, unsigned cols, unsigned rows,
    uint64_t at_us, uint64_t now_us);
/* The tape is about to be emptied and filled anew: what is shown stays, and becomes its beginning. */
void player_cut(struct player *p);
/* The auditor's terminal has another size. 0, or -1 with errno. */
int player_resize(struct player *p, unsigned cols, unsigned rows, uint64_t now_us);
/* Does what is due, a bounded piece of it. */
void player_tick(struct player *p, uint64_t now_us);
/* Real µs until player_tick has something to do; 0: at once; PCLOCK_NEVER: not before a key. */
uint64_t player_wait(const struct player *p, uint64_t now_us);
/* Is a new picture due? */
bool player_due(const struct player *p, uint64_t now_us);
/* The picture: appends to out what changes on the terminal. 0, or -1: out is full. */
int player_draw(struct player *p, uint64_t now_us, struct buf *out);
void player_key(struct player *p, int key, uint64_t now_us);
/* Goes there, if need be in several pieces of work. */
void player_seek(struct player *p, uint64_t t_us, uint64_t now_us);
/* A line below the screen, for some seconds. */
void player_say(struct player *p, uint64_t now_us, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The next piece of a search; replay_core.c calls it. */
void player_find_work(struct player *p, uint64_t now_us);
/* Everything shown was the last there is. */
bool player_over(const struct player *p);

/* ---- replay_tty.c ---- */

struct tty {
	int in, out, signals;
	struct termios saved;
	bool raw;
	int status;		/* signal that ends the program, 0: none */
	int pending;		/* a key that a signal stands for, while something was written */
	int watch;		/* another descriptor: KEY_DATA when it can be read; -1: none */
};

/* Raw mode and the alternate screen; signals are taken from here on. 0, or -1 with errno. */
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
/* What the terminal can do, as far as the environment says. */
void tty_looks(struct view *v);

/* ---- replay_play.c ---- */

/* "alice as dba@web1" for the status line. */
void player_who(struct player *p, const struct scan *s);
/* Takes a key that concerns the terminal: false if it was none. */
bool play_terminal_key(struct player *p, struct tty *t, int key);
/* Draws if that is due. 0, or -1: the terminal is gone. */
int play_show(struct player *p, struct tty *t);

/* replay_export.c: the text, of a->channel or of all. 0, or -1: said on standard error. */
int export_text(const struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids);

#endif
