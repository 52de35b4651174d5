/*
 * replay.h - bastion-replay, the auditor's program: what its files share.
 *
 *   replay_main.c     main: options, dispatch
 *   replay_args.c     the command table and the options: they make --help, and a test holds them against the man page
 *   replay_store.c    finds recordings in a collector's directory, or in a copy of it
 *   replay_keys.c     the auditor's identity, the file of trusted keys (replay_trust.h)
 *   replay_bundle.c, replay_log.c   one file with a recording and its proofs; the collector's log of recordings
 *   replay_pull.c     a store in a bucket; its parts are in replay_bucket.h
 *   replay_scan.c     what a recording says about itself: metadata, channels
 *   replay_text.c, replay_term.c    events as lines of text; width, colours, progress, pager (replay_term.h); replay_pass.c: reads a whole recording
 *   replay_typed.c    what of the input is hidden; its parts are in replay_typed.h
 *   replay_readings.c readings are logged, and the bastion is told: replay_readings.h
 *   replay_approvals.c who approved, and the signatures (replay_approvals.h); replay_opened.c: what was opened under these
 *   replay_list.c, replay_show.c, replay_verify.c, replay_export.c, replay_cast.c, replay_svg.c
 *   replay_play.c     the player; its parts are in replay_player.h
 *   replay_follow.c   a recording that is still written; its parts are in replay_follow.h
 *   replay_events.c   what happened on the bastion; replay_ways.h, replay_apart.h
 *
 * It runs as the auditor, on any machine, reads only, and treats every byte of a recording as hostile: what it prints has gone through
 * escape.c or screen.c.
 */
#ifndef BASTION_REPLAY_H
#define BASTION_REPLAY_H

#include <jansson.h>
#include <sys/stat.h>

#include "age.h"
#include "brec_read.h"
#include "brec_verify.h"
#include "crypto_event.h"
#include "replay_trust.h"
#include "replay_typed.h"
#include "tlog_reader.h"

#define REPLAY_STORE "/var/lib/bastion-collectord"
#define REPLAY_IDS_MAX 256		/* arguments of one command */
#define REPLAY_RECORDINGS_MAX (TLOG_READ_MAX / 2)	/* in one store: the log, of which an open and a close are each, is the bound that is met first */
#define REPLAY_ALSO_MAX 7		/* stores beside the one */
#define REPLAY_CHANNELS_MAX 4096	/* of one recording, that are told apart */
#define REPLAY_TEXT_MAX 2048		/* an escaped value in a line */

enum replay_exit { EXIT_OK, EXIT_VERDICT, EXIT_USAGE, EXIT_UNREADABLE };

enum export_form {
	EXPORT_NONE, EXPORT_CAST, EXPORT_CAST3, EXPORT_TEXT, EXPORT_JSON, EXPORT_SVG, EXPORT_HTML
};
#define EXPORT_FORMS "--asciicast, --asciicast-v3, --text, --json, --svg, --html"

#define REPLAY_IDENTITIES_MAX 8		/* files: input may take auditors of two groups together */

/* ---- replay_args.c ---- */

struct args {
	const struct command *command;
	const char *store_option;		/* option -d, NULL: not given */
	const char *store, *identity, *trust;	/* identity: of the environment. From options, environment or defaults */
	const char *identities[REPLAY_IDENTITIES_MAX];	/* options -i: instead of `identity` */
	size_t nidentities;
	bool trust_named;			/* by the option or the environment: then that file has to be there */
	const char *output;			/* bundle: file to make; NULL: not given */
	const char *log;			/* verify: the collector whose store it is; NULL: not given */
	const char *from, *credentials, *region, *ca;	/* pull, and verify of a bucket; NULL: not given */
	const char *signers, *apart;		/* approvals; events: NULL: not given */
	const char *also[REPLAY_ALSO_MAX]; unsigned nalso;	/* events: stores of other collectors */
	bool bad, json, all, help, version;	/* bad: approvals: one does not hold */
	const char *user, *host;
	int64_t since, until;			/* unix seconds; 0 and INT64_MAX: no limit */
	unsigned speed;				/* per cent */
	uint64_t idle_us;			/* longest pause shown */
	uint64_t at_us;
	bool at_given;
	bool only_typed, only_shown;	/* search: only these */
	bool reveal;			/* show what was typed without an echo */
	bool deliver;			/* readings: tell the bastion */
	int64_t channel;			/* -1: chosen by the program */
	enum export_form form;
	const char *ids[REPLAY_IDS_MAX]; unsigned nids;
};

struct command {
	const char *name, *args, *help;
	unsigned bit;				/* in the options' masks */
	unsigned least, most;			/* arguments */
	int (*run)(struct args *a);		/* an exit status */
};

extern const struct command replay_commands[];

/* Reads the command line. 0, or -1: a sentence is on standard error. */
int args_parse(struct args *a, int argc, char **argv);
/* For all commands, or for one. */
void args_help(FILE *out, const struct command *c);
/* "90", "1:30", "1:02:03", "1h2m" to µs. 0, or -1. */
int args_offset(const char *text, uint64_t *us);

int cmd_list(struct args *a);
int cmd_show(struct args *a);
int cmd_play(struct args *a);
int cmd_follow(struct args *a);
int cmd_verify(struct args *a);
int cmd_bundle(struct args *a);
int cmd_export(struct args *a);
int cmd_search(struct args *a);
int cmd_commands(struct args *a);
int cmd_readings(struct args *a);
int cmd_approvals(struct args *a);

/* ---- replay_events.c ---- */

int cmd_events(struct args *a);

/* ---- replay_pull.c ---- */

int cmd_pull(struct args *a);

/* An event of the bastion, decoded. */
struct audit {
	struct event_row row;
	struct event_text text;
	uint8_t hash[EVENT_HASH_LEN];
};

/* Is it one (BREC_K_AUDIT), and well formed? */
bool audit_decode(struct audit *a, const struct brec_event *e);
/* As one escaped line; returns out. */
char *audit_line(const struct audit *a, char *out, size_t size);
json_t *audit_json(const struct audit *a);
/* Is the recording with this metadata one of events, and of no session? */
bool meta_is_events(const json_t *meta);

/* ---- replay_store.c ---- */

struct recording {
	char *dir;			/* path */
	char id[2 * BREC_ID_LEN + 1];
	int64_t wall_us; /* of its first header, as it says; 0 if that cannot be read */
};

struct recordings {
	struct recording *v;
	size_t n, cap;
};

/* All below a store (or `recordings` directory), oldest first. 0, or -1: said on standard error. */
int store_scan(struct recordings *out, const char *store);
/* The same without order and times: nothing of them is opened. */
int store_names(struct recordings *out, const char *store);
/*
 * The one that `name` means: the path of its directory, its id, or a beginning of that which no
 * other has. 0, or -1: said on standard error.
 */
int store_find(struct recording *out, const char *store, const char *name);
void recording_finish(struct recording *r);
void recordings_finish(struct recordings *r);
/* Bytes of its files. */
uint64_t recording_size(const struct recording *r);

/* ---- replay_keys.c ---- */

/*
 * Needed: -1 and a sentence if there is none. Otherwise *ids stays empty, unless a file that was
 * named cannot be read.
 */
int keys_identity(struct age_identities *ids, const struct args *a, bool needed);
/* Was a file of a->trust named, or is the usual one there? And what it says: 0, or -1: said on standard error. */
bool keys_trust_there(const struct args *a);
int keys_trust(struct trust *t, const struct args *a);

/* ---- replay_log.c ---- */

/* The log of recordings that was read last. Zeroed but for trust: none. */
struct logs {
	const struct trust *trust;
	char path[REPLAY_PATH_MAX];	/* its directory, or the bundle; "": there is none */
	bool read, bundle;
	struct tlog_log log;
	struct stat seen;		/* its checkpoint, when it was read */
};

/* The log of a store, or (recording) of a bundle, or of the store that a recording lies in; the one before is forgotten unless it is the same. */
const struct tlog_log *logs_read(struct logs *l, const char *dir, bool recording);
/* Did it grow since? Then it is read again. */
bool logs_grew(struct logs *l);
/* The verdict on a recording by that log, which is named as for logs_read. */
void logs_verify(struct logs *l, const char *dir, bool recording, const struct recording *rec, struct brec_report *r);
/* Does the log of that store say that this recording was removed when its retention was over? */
bool logs_pruned(struct logs *l, const char *store, const char *id);
void logs_finish(struct logs *l);

/* ---- replay_scan.c ---- */

struct channel {
	uint64_t number;
	char capability[32], term[64];
	char command[REPLAY_TEXT_MAX];	/* escaped, and cut */
	bool pty, closed;
	unsigned cols, rows;
	uint64_t open_us, close_us;	/* on the recording's clock; close_us: of its last event */
	uint64_t in, out;		/* bytes, as the close event or the kept data say */
	int64_t exit_status;		/* -1: none */
};

struct scan {
	json_t *meta;			/* NULL: not readable */
	bool begun, opens, described;	/* something came; an event did: the identity opens it; the first one are metadata */
	bool ended, silent;		/* it was read to the end of what is there; and nothing came */
	uint8_t meta_hash[HASH_LEN];	/* of their text */
	struct channel *chans;
	size_t nchans;
	uint64_t last_us;		/* of the last event */
	struct brec_info info;
	bool broken;			/* it stopped at `error` */
	char error[512];
};

/* Reads it, up to its first channel if `brief`. 0, or -1: nothing can be read (error says why). */
int scan_recording(struct scan *s, const char *dir, const struct age_identities *ids, bool brief);
/* One event more, for a scan that grows; zeros are an empty one. 0, or -1 with errno. */
int scan_event(struct scan *s, const struct brec_event *e);
void scan_finish(struct scan *s);
#define NOT_CLOSED "the recording has no end: it goes on, was abandoned, or its last part is missing; verify says which"
/* What a recording that was scanned lacks at its end, as a sentence; NULL: nothing. */
const char *scan_lack(const struct scan *s);
/* For whoever has shown all of it, r: 0 or -1, with its own sentence. Says what it lacks. -1, too, if it cannot be read to its end. */
int scan_shown(const struct scan *s, int r);
/* What a command does with one recording that its identity opens. 0 or -1. */
typedef int scan_visit(struct args *a, const struct recording *rec, const struct scan *s, const struct age_identities *ids);
/* Finds a->ids[0], reads it and calls visit. EXIT_OK, or EXIT_UNREADABLE with the reason on standard error. */
int scan_visited(struct args *a, scan_visit *visit);
const struct channel *scan_channel(const struct scan *s, uint64_t number);
/* A string of the metadata, escaped, to out[size], or "". Returns out. */
const char *meta_text(const json_t *meta, const char *key, char *out, size_t size);

/* ---- replay_text.c ---- */

/* What an event other than data says, as one escaped line without a line end; false: nothing worth a line. `out` is empty or initialised. */
bool text_event(const struct brec_event *e, char *out, size_t size);
/* What is there of an event whose end is not, as a line of at least 64 bytes, or as an object with it below `key`; false and NULL: nothing. */
bool text_begun(const struct brec_reader *r, enum brec_stream stream, struct brec_event *e, char *out, size_t size);
json_t *json_begun(const struct brec_reader *r, enum brec_stream stream, const char *key);

/*
 * Bytes of a channel without a terminal, escaped; tab and line feed stay. A code point cut at the
 * end waits.
 */
struct plain {
	uint8_t held[4];
	size_t nheld;
	bool cr;			/* a CR waits for its LF */
};
typedef void plain_put_fn(void *ctx, const char *text, size_t len);
void plain_feed(struct plain *p, const uint8_t *data, size_t len, plain_put_fn *put, void *ctx);
void plain_end(struct plain *p, plain_put_fn *put, void *ctx);
/* Is its content worth showing (a command's output), or a protocol (sftp, scp)? */
bool channel_is_text(const struct channel *c);

/* "2026-11-22 20:15:03", "3:07", "1:02:03", "35B", "1.2M"; return out. */
char *text_time(char *out, size_t size, int64_t wall_us);
char *text_span(char *out, size_t size, uint64_t us);
char *text_size(char *out, size_t size, uint64_t bytes);

/* ---- replay_cast.c ---- */

/* Takes a line of a cast, without its end. 0, or -1: it has said why on standard error. */
typedef int cast_line_fn(void *ctx, const char *line);
/* asciicast of one channel, version 2 or 3, line by line. 0, or -1: said on standard error. */
int cast_write(const struct scan *s, const struct channel *c, const char *dir, const struct age_identities *ids,
    struct typed_map *typed, int version, cast_line_fn *line, void *ctx);
/* The same on standard output. */
int cast_export(const struct scan *s, const struct channel *c, const char *dir, const struct age_identities *ids,
    struct typed_map *typed, int version);
/* Prints a value as one line, ASCII only, and drops it. 0, or -1: standard output failed. */
int json_line(json_t *v);
/* Bytes as a string where they are UTF-8, else as {"base64": …}. */
json_t *json_bytes(const void *data, size_t len);

/* ---- replay_svg.c ---- */

/* The screen of a channel at a->at_us of its time, as an SVG picture on standard output. 0 or -1. */
int svg_export(const struct args *a, const struct scan *s, const struct channel *c, const char *dir,
    const struct age_identities *ids);

/*
 * The channel to show: a->channel, else the first with a terminal, else the first. NULL: said on
 * standard error.
 */
const struct channel *choose_channel(const struct scan *s, const struct args *a);

#endif
