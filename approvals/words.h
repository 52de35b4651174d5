/*
 * words.h - the command words: one table that makes the parser, the help, the completion and the
 * tests.
 *
 * Used by bastionctl (arguments of a shell), by the session process (`ssh alice@bastion WORDS`, a
 * line of the console) and by the unit tests, which hold the table against bastionctl(1) and
 * against policy's handlers. Pure: no file, no socket, no shell. A parsed line becomes the JSON
 * request of doc/PROTOCOL.control,
 *     {"word": "user key add", "args": {"user": "alice", "device": "laptop", "key": "ssh-ed25519 …"}}
 * Policy checks every argument again: what is checked here is checked for a good error message.
 */
#ifndef BASTION_WORDS_H
#define BASTION_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

#define WORDS_LINE_MAX 4096	/* bytes of one line */
#define WORDS_ARGV_MAX 64	/* words in it */
#define WORDS_JSON_MAX 16000	/* bytes of a request; a message holds 16384 */
#define WORDS_ERR_MAX 512	/* enough for every message of this file */
#define WORDS_HELP_MAX 65536
#define CAP_ADVICE "shell, exec, sftp-read, sftp-write, \"forward HOST:PORT\" or \"command TEXT\""

/* Exit status of bastionctl and of `ssh alice@bastion WORDS`, as in bastionctl(1). */
enum words_exit {
	WORDS_OK = 0,		/* done */
	WORDS_REFUSED = 1,	/* the bastion said no: its state does not allow it */
	WORDS_USAGE = 2,	/* no such word or argument: nothing was asked */
	WORDS_DENIED = 3,	/* not allowed to this user */
	WORDS_NOT_FOUND = 4,	/* what was named does not exist */
	WORDS_BROKEN = 5,	/* the bastion cannot be reached, or failed itself */
};

/* Who may use a word. For help and completion; policy decides. Each includes those before it, but that auditors' words are theirs alone. */
enum words_who { WHO_USER, WHO_APPROVER, WHO_ADMIN, WHO_AUDITOR, WHO_ROOT };

/* Who carries a word out. */
enum words_where {
	AT_POLICY,	/* the request goes to policy */
	AT_PARSER,	/* answered here: words_call.text (help) */
	AT_CTL,		/* bastionctl alone: init, key add, completion */
	AT_CONSOLE,	/* the console alone: connect, exit */
};

enum arg_type {
	ARG_FLAG,	/* --name without value → true */
	ARG_USER,	/* a user, role, device or managed key: name_is_user() */
	ARG_ROLE,
	ARG_DEVICE,
	ARG_KEYNAME,
	ARG_LOGIN,
	ARG_HOST,
	ARG_PATTERN,	/* a host name, in which * stands for any characters */
	ARG_LABEL,
	ARG_CAP,	/* shell exec sftp-read sftp-write, "forward HOST:PORT", "command TEXT" */
	ARG_DURATION,	/* → seconds */
	ARG_TIME,	/* → unix seconds */
	ARG_HOURS,	/* "mon-fri 08:00-18:00 Europe/Berlin" */
	ARG_PLACE,	/* login@host */
	ARG_NETWORK,	/* address or address/bits */
	ARG_ADDRESS,	/* name or literal that the bastion dials */
	ARG_PORT,
	ARG_NUMBER,	/* 1 … 2^53 */
	ARG_COUNT,	/* 0 … 1000 */
	ARG_CODE,	/* six digits, as text */
	ARG_RECORDING,	/* 32 hexadecimal digits */
	ARG_DIGEST,	/* 64 of them */
	ARG_ROTATE,	/* 30d, never, default: words_rotate() */
	ARG_PUBKEY,	/* one line: type, base64, comment */
	ARG_FILE,	/* the name of a file, here */
	ARG_SIGNATURE,	/* the text of `ssh-keygen -Y sign`; the name of its file, or - for standard input */
	ARG_HOSTKEY,	/* the same, or a line of known_hosts: the names in front are dropped */
	ARG_TEXT,	/* UTF-8, 1 to 500 bytes, no control characters */
	ARG_WORD,	/* part of a command word (help) */
	ARG_CHOICE,	/* one of struct words_arg.choices */
	ARG_KEYWORD,	/* its own name, for reading's sake; not in the request */
};

enum {
	ARG_POS = 1,	/* by its place, without a --name */
	ARG_NEED = 2,
	ARG_MANY = 4,	/* may be repeated: an array */
	ARG_REST = 8,	/* takes the rest of the line */
};

struct words_arg {
	const char *name;	/* in the request; a flag's --name, with '-' for '_' */
	const char *show;	/* stands for the value in help: HOST */
	enum arg_type type;
	unsigned how;		/* mask of ARG_POS … */
	const char *help;
	const char *choices;	/* ARG_CHOICE: "a b c" */
};

/* What an ARG_ROTATE says: 1 to ROTATE_DAYS_MAX days, or one of these. */
enum { ROTATE_NEVER = 0, ROTATE_DEFAULT = -1, ROTATE_WRONG = -2, ROTATE_DAYS_MAX = 3650 };
#define ROTATE_ADVICE "days, as 30d; never; or default, which is what the configuration says"
int words_rotate(const char *v);

struct words_col;	/* how a list is shown: render.h */

struct words_word {
	const char *path;	/* "user key add" */
	enum words_who who;
	enum words_where where;
	const char *help;	/* one line, for the overview */
	const char *more;	/* what else to know; may be "" */
	const char *example;	/* one line without the program's name */
	const struct words_arg *args;
	size_t nargs;
	const struct words_col *cols;	/* how rows are shown; ends with key NULL */
	bool plain;	/* there is no reply, but text for people or a terminal: --json is refused */
};

extern const struct words_word words_table[];
extern const size_t words_count;

/* What the caller is and can: differs between bastionctl, ssh and the console. */
struct words_env {
	enum words_who who;	/* help and completion leave out what this person may not do */
	bool ctl, console;	/* AT_CTL, AT_CONSOLE words exist */
	const char *prefix;	/* before a word in advice: "ssh alice@bastion "; NULL: none */
	int columns;		/* of the terminal, for help; 0: no limit */
	/*
	 * Reads the file that a KEY argument names: a terminated text, at most size-1 bytes.
	 * 0, or -1 with errno. NULL: a file name is refused.
	 */
	int (*read_file)(const char *path, char *out, size_t size);
};

struct words_call {
	const struct words_word *word;
	char *json;	/* the request, also of AT_CTL and AT_CONSOLE; NULL for AT_PARSER */
	char *text;	/* AT_PARSER: what to print */
	bool as_json, as_csv;	/* --json, --csv were given: hand them to render_reply */
};

/*
 * argv[0] is the first word (no program name). WORDS_OK: *call holds what to do, end it with
 * words_call_finish. WORDS_USAGE: err (WORDS_ERR_MAX bytes do) holds one escaped line or two: what
 * was wrong, with which value, and what would be right. WORDS_BROKEN: no memory.
 */
int words_parse(int argc, char *const argv[], const struct words_env *env, struct words_call *call,
    char *err, size_t errsize);
/* The same from one line, by words_split. An empty line is WORDS_OK with word NULL. */
int words_parse_line(const char *line, const struct words_env *env, struct words_call *call,
    char *err, size_t errsize);
void words_call_finish(struct words_call *call);

/*
 * Splits a line at blanks into at most `max` words, stored in out[size], terminated; size >
 * strlen(line) is enough. Quotes ('…', "…" with \" and \\) count where a word begins, or after the
 * '=' of --name=; elsewhere they are characters, so that `--reason can't wait` survives a shell
 * that took the user's quotes away. \x is x. Nothing is expanded. The number of words, or -1 with a
 * line in err.
 */
int words_split(const char *line, char *out, size_t size, char **argv, int max, char *err,
    size_t errsize);

/*
 * Help. NULL: the overview ("all": of every word); "user": the words that start so; "user key add":
 * everything about one. 0, -1 if there is none.
 */
int words_help(const char *path, const struct words_env *env, struct buf *out);
/*
 * The lines that the console completes, one for each word: "approve NUMBER --reason TEXT", newline
 * after each.
 */
void words_completions(const struct words_env *env, struct buf *out);
/* Completion script for "bash" or "zsh". 0, -1 for another shell. */
int words_shell_completion(const char *shell, struct buf *out);

/* Is `word` one of the words in `list`, which blanks separate? */
bool words_one_of(const char *word, const char *list);
/* The word with exactly this path; NULL. */
const struct words_word *words_find(const char *path);
/*
 * The known text nearest to `given`, if it is near enough to be meant; NULL. `next` hands them out,
 * NULL ends.
 */
const char *words_nearest(const char *given, const char *(*next)(void *ctx), void *ctx);

#endif
