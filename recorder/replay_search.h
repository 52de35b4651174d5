/*
 * replay_search.h - recordings as lines of text: for `search`, `commands` and the page of
 * `export --html`.
 *
 *   replay_search_typed.c   keys as lines; pure
 *   replay_search_rows.c    a terminal's screen as the lines that stood on it, and the commands
 *                           typed at a prompt
 *   replay_search_lines.c   a whole recording as lines
 *   replay_index.c          those lines kept on the auditor's machine, encrypted
 *   replay_search.c         the command; replay_commands.c: the other one
 *
 * All text is safe for a terminal: it comes from screen.c, or has gone through escape.c.
 */
#ifndef BASTION_REPLAY_SEARCH_H
#define BASTION_REPLAY_SEARCH_H

#include "buf.h"
#include "replay.h"

#define LINE_BYTES_MAX 16384	/* a longer line of output is cut into such pieces */
#define SEARCH_TEXT_MAX 1024		/* of a text to search: so much of a piece leads up to the next one */

enum line_kind {
	LINE_SCREEN = 's',	/* was to be read: a row of the screen, a line of output */
	LINE_TYPED = 't',	/* a line that the user typed */
	LINE_EVENT = 'e',	/* a command given, a file, a note */
	LINE_COMMAND = 'c',	/* typed at a prompt, as the screen showed it */
	LINE_GIVEN = 'g',	/* given to ssh as a command: all of it, as long as it is */
};

struct text_line {
	enum line_kind kind;
	uint64_t channel;
	uint64_t t_us;		/* since the channel was opened: what `play --at` takes */
	const char *text;	/* UTF-8, until the call returns */
	size_t len;
	size_t head;		/* bytes of text that only lead up to it: the row before a wrapped
				   one, the end of the piece before, the prompt before a command */
};

/* 0, or -1 to stop (the reason has been said). */
typedef int line_fn(void *ctx, const struct text_line *l);

/* ---- replay_search_typed.c ---- */

#define TYPED_MAX 4096		/* bytes of one line of keys; what is longer begins a new one */

struct typed {
	char line[TYPED_MAX];
	size_t len, kept;	/* kept: so much of it is not erased by what follows: it ends with a mark */
	uint8_t state;		/* inside an escape sequence */
};

/* Called for a line that was ended, or given up with ^C, ^U or ^W: keys as they came, unescaped. */
typedef void typed_fn(void *ctx, const char *keys, size_t len);
/* Erasing keys erase; cursor keys and other sequences leave nothing. */
void typed_feed(struct typed *t, const void *data, size_t len, typed_fn *fn, void *ctx);
/* Keys that are not shown: this stands for them. */
void typed_mark(struct typed *t, const char *mark, typed_fn *fn, void *ctx);
/* Nothing follows. */
void typed_end(struct typed *t, typed_fn *fn, void *ctx);

/* ---- replay_search_rows.c ---- */

struct rows;

/*
 * Sizes are those of the recording, bounded as a screen's. Lines go to fn with their channel and time
 * filled in; fn's result is kept for rows_failed. NULL with errno.
 */
struct rows *rows_create(unsigned cols, unsigned rows, uint64_t channel, line_fn *fn, void *ctx);
void rows_destroy(struct rows *r);
/* Keys of the user, and bytes for the screen, at that time of the channel. */
void rows_input(struct rows *r, uint64_t t_us, const uint8_t *data, size_t len);
void rows_output(struct rows *r, uint64_t t_us, const uint8_t *data, size_t len);
void rows_resize(struct rows *r, uint64_t t_us, unsigned cols, unsigned rows);
/* The channel ends: what still stands on the screen goes to fn. */
void rows_end(struct rows *r);
bool rows_failed(const struct rows *r);
/* Nothing more is known for now: rows of the primary screen above the cursor are told. */
void rows_settle(struct rows *r);

/* ---- replay_search_lines.c ---- */

#define LINES_CHANNELS_MAX 64	/* open at a time with a screen of their own; others are shown plain */

struct lines_info {
	bool locked_input;	/* frames of input that the identity does not open */
	char error[512];	/* why it ends early, "" if it does not */
};

/*
 * One recording as lines. What was typed without an echo is TYPED_HIDDEN in them, unless reveal. 0, or
 * -1: nothing could be read (info->error), or fn stopped it.
 */
int lines_read(const char *dir, const struct age_identities *ids, bool reveal, line_fn *fn, void *ctx,
    struct lines_info *info);
/* Gives a line to fn in pieces of at most LINE_BYTES_MAX, in which every text is found that the line has. 0, or what fn returned. */
int line_pieces(const struct text_line *l, line_fn *fn, void *ctx);

/* ---- replay_index.c ---- */

#define INDEX_BLOCK 65536		/* plaintext bytes of a block, at most two such */
#define INDEX_TEXT_MAX (1ULL << 30)	/* of one recording; a larger one is read anew each time */
#define INDEX_TOTAL_MAX (4ULL << 30)	/* of all files; the oldest go first */

/* Where the index is, and its key, which comes from the auditor's identities. */
struct index {
	char dir[REPLAY_PATH_MAX];	/* "": there is none, and nothing is kept */
	uint8_t key[KEY_LEN];
};

/* Of which recording it is. */
struct index_head {
	uint8_t files[HASH_LEN];	/* names, sizes, times of change of the recording's files, and
					   the trusted keys: unchanged, the verdict still holds */
	uint8_t chain[HASH_LEN];	/* its chain value at last_seq: else the text still holds */
	uint64_t last_seq;
	uint8_t verdict;		/* enum brec_verdict */
};

/*
 * Makes the directory, 0700, in $XDG_CACHE_HOME or ~/.cache. 0, or -1: said on standard error, and
 * nothing will be kept.
 */
int index_init(struct index *x, const struct age_identities *ids);
/* Wipes the key, and removes the oldest files over INDEX_TOTAL_MAX. */
void index_finish(struct index *x);

/* Reads the entry of a recording. 0; -1: there is none, or it is damaged, or was not made with this key. */
int index_head(const struct index *x, const char *id, struct index_head *head);
/*
 * Its lines, to fn, of those blocks that `wanted` says yes to (it sees all text of a block, lower case;
 * NULL: all). 0; -1: damaged; 1: fn stopped it.
 */
typedef bool index_wanted_fn(void *ctx, const char *text, size_t len);
int index_read(const struct index *x, const char *id, index_wanted_fn *wanted, line_fn *fn, void *ctx);
/* Renders a recording and keeps it. 0, or -1: nothing is kept. */
int index_build(const struct index *x, const char *id, const struct index_head *head,
    const char *dir, const struct age_identities *ids);

/* ---- replay_commands.c ---- */

/* Stands over every list of commands. */
#define COMMANDS_NOTE "commands are recognised by what the screen showed: a help, no boundary"

#endif
