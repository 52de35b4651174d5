/*
 * replay_typed.h - which of the keys were not echoed: what a user typed while the target did not show
 * it is hidden wherever bastion-replay shows input, unless --reveal was given.
 *
 *   replay_typed_keys.c    bytes of the user as keys: characters, control keys, ends of lines; pure
 *   replay_typed.c         keys and the target's output, brought together on a screen; pure
 *   replay_typed_judge.c   a line of keys, judged; pure
 *   replay_typed_map.c     one pass over a recording, and what is hidden of each channel
 *
 * SSH does not tell whether a target's terminal echoes, so this is found out from what came back. The
 * rule fails closed: a character counts as echoed when it was written, as itself, into the cell where
 * it belongs, right after it was typed, or when the line that it belongs to stood on the screen behind
 * a prompt as it was left. What is left of a line is not echoed and hidden, with all between; so is a
 * mask (`*`). Keys of full-screen programs, which are commands and echoed nowhere, are shown only while
 * the cursor moves, no return ends them, and no prompt asks for a secret.
 *
 * Invariant: what is not known is hidden: input without output, input behind the part that was looked
 * at, everything beyond a bound.
 */
#ifndef BASTION_REPLAY_TYPED_H
#define BASTION_REPLAY_TYPED_H

#include "brec_read.h"
#include "buf.h"
#include "screen.h"

/* Stands for any number of keys. */
#define TYPED_HIDDEN "[hidden: not echoed]"

#define ECHO_KEYS_MAX 4096	/* of one line; a longer one is judged in parts, and hidden */
#define ECHO_LINES_MAX 32	/* typed ahead, or waiting to be seen; the oldest is hidden */
#define ECHO_WINDOW 4096	/* bytes of output in which an echo is waited for */
#define ECHO_LOOK_MAX 262144	/* bytes of output in which a line may turn up as a whole */

/* ---- replay_typed_keys.c ---- */

enum key_kind {
	KEY_CHAR,	/* something that an echo would show: cp */
	KEY_ERASE,	/* ^H, DEL */
	KEY_CONTROL,	/* other control characters, sequences, answers of the terminal */
	KEY_ENTER,	/* CR, LF */
	KEY_BREAK,	/* ^C, ^\, ^Z: the line is given up */
};

struct key_reader {
	uint8_t state, skip;	/* inside a sequence; raw bytes of a mouse report still to come */
	uint8_t more;		/* bytes of a code point still to come */
	uint32_t cp, least;
	uint16_t number;	/* of the sequence being read */
	bool paste;		/* between the marks of a bracketed paste */
};

/*
 * One byte. True: a key is complete, and *kind and *cp say which; its bytes are those since the last
 * one. cp of control characters: themselves; of sequences: 0. A code point that is none is a KEY_CHAR
 * that nothing echoes: UINT32_MAX.
 */
bool key_byte(struct key_reader *r, uint8_t c, enum key_kind *kind, uint32_t *cp);
/* Does the byte end what is being read, without belonging to it? Then that is a key by itself. */
bool key_is_cut(const struct key_reader *r, uint8_t c);
/* Was ESC the last byte, and may be a key or the beginning of one? */
bool key_is_escape(const struct key_reader *r);

/* ---- replay_typed_judge.c ---- */

enum key_state {
	ECHO_WAITS,	/* nothing came yet */
	ECHO_SHOWN,	/* echoed */
	ECHO_LATE,	/* among several at once: shown, if nothing else follows on the line */
	ECHO_MISSED,	/* something else came, or nothing */
};

struct typed_key {
	uint64_t from, to;	/* bytes of the channel's input */
	uint32_t cp;
	uint32_t shown_as;	/* what came in its place; 0: nothing */
	uint8_t kind, state;	/* enum key_kind, enum key_state */
	bool fresh;		/* something came since the key before */
	bool alternate;		/* a full-screen program had the screen */
	bool loose;		/* a control key came before, and no answer yet: the place is not known */
	bool jumped;		/* the cursor had moved elsewhere since the key before */
	bool still;		/* it had not moved at all */
	bool secret;		/* what stood before the cursor asked for a password */
	struct cursor at;	/* where the cursor was */
};

/* One line of keys, from one end to the next. */
struct typed_line {
	struct typed_key *v;
	size_t n, cap;
	size_t at;		/* first key that waits */
	bool ended;		/* with v[n-1], an ENTER or BREAK */
	bool noisy;		/* typed ahead, or mixed with other output: may turn up */
	bool paste;		/* bracketed */
	uint64_t looked;	/* bytes of output since it was left */
};

typedef void hide_fn(void *ctx, uint64_t from, uint64_t to);
/*
 * Calls hide for each part of the line that is hidden, in order. `whole`: no part of it may be shown
 * but what is certain: it was cut off by a bound.
 */
void line_judge(const struct typed_line *l, bool whole, hide_fn *hide, void *ctx);
/* Has it anything that line_judge would hide, and may it still turn up as a whole (line_text)? */
bool line_may_turn_up(const struct typed_line *l);
/*
 * What the line shows if it is echoed: its characters, erased ones taken away, as UTF-8 into
 * out[size]. Its length; 0: control keys changed it, it asked for a secret, or it does not fit.
 */
size_t line_text(const struct typed_line *l, char *out, size_t size);
/* Does this text, of what stands before a cursor, ask for a secret? */
bool asks_for_secret(const char *text, size_t len);

/* ---- replay_typed.c ---- */

struct echo;

/* A terminal of that size. hide is called for parts of the input, as they are known, in any order. NULL with errno. */
struct echo *echo_create(unsigned cols, unsigned rows, hide_fn *hide, void *ctx);
void echo_destroy(struct echo *e);
/* Bytes as they went over the channel, in their order. 0, or -1: no memory. */
int echo_input(struct echo *e, const uint8_t *data, size_t len);
void echo_output(struct echo *e, const uint8_t *data, size_t len);
void echo_resize(struct echo *e, unsigned cols, unsigned rows);
/* Nothing follows: what is left is judged. */
void echo_end(struct echo *e);

/* ---- replay_typed_map.c ---- */

#define TYPED_RANGES_MAX 4000000U	/* of one channel; more are one */
#define TYPED_RUN_MAX 65536		/* bytes of keys without echo that are kept together */
#define TYPED_SHOWN_MAX (4U << 20)	/* of one event, with the marks in it */

struct typed_range {
	uint64_t from, to;
};

struct typed_channel {
	uint64_t number;
	struct typed_range *v;	/* sorted, apart from each other */
	size_t n, cap;
	uint64_t known;		/* bytes of input that were looked at; those after it are hidden */
	bool all;		/* all of it is hidden */
	bool terminal, sftp;	/* sftp: standard output is packets, which ask for nothing */
	struct echo *echo;	/* while it is read */
	char last[256];		/* without a terminal: the line of output that goes on */
	size_t last_len;
	/* while it is shown */
	uint64_t off;		/* bytes of input seen */
	size_t next;		/* range */
	bool hiding;		/* the last byte was hidden */
	struct buf run;		/* with reveal: hidden bytes up to here */
};

/* Zeroed: nothing is known, and all input hidden. */
struct typed_map {
	struct typed_channel *v;
	size_t n;
	bool reveal;		/* what was not echoed is shown all the same */
	struct typed_channel other;	/* stands for channels that are not known */
};

/*
 * Reads the recording once. 0, or -1 with a sentence in err: then nothing of it may be shown.
 */
int typed_map_load(struct typed_map *m, const char *dir, const struct age_identities *ids, bool reveal,
    char *err, size_t errsize);
void typed_map_finish(struct typed_map *m);

/* Some input, as it may be shown. */
struct typed_part {
	struct buf shown;	/* a row of hidden bytes is TYPED_HIDDEN where it begins, nothing where it goes on */
	bool hidden;		/* some were not echoed; with reveal they are in `shown` nonetheless */
	bool ended;		/* a row of hidden bytes ended here: run */
	struct buf run;		/* those bytes, with reveal; else empty */
};

void typed_part_init(struct typed_part *p);
void typed_part_finish(struct typed_part *p);
/* The next input event of a channel, in their order. 0, or -1: no memory, nothing may be shown. */
int typed_show(struct typed_map *m, uint64_t channel, const uint8_t *data, size_t len, struct typed_part *out);
/* No more input comes: a row of hidden bytes that is open ends. */
void typed_close(struct typed_map *m, uint64_t channel, struct typed_part *out);
/* From the beginning again. */
void typed_rewind(struct typed_map *m);
/* The line for out->run, if out->ended: the mark, or with reveal the escaped keys. Returns out. */
char *typed_line_of(const struct typed_map *m, const struct typed_part *part, char *out, size_t size);

#endif
