/*
 * config.h - the configuration of bastiond: one option table makes the struct, the keywords, the
 * defaults, the ranges, the dump of `bastiond -T` and, by a test, the manual page bastiond.conf(5).
 *
 * Every role reads it once, as root, before it drops; nobody changes it afterwards. A reload builds a new
 * one beside the old and swaps the pointer.
 */
#ifndef BASTIOND_CONFIG_H
#define BASTIOND_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#define CONFIG_LIST_MAX 64		/* elements of a list option */
#define CONFIG_RECIPIENTS_MAX 32	/* in one list; each costs a stanza in every segment */
#define CONFIG_COLLECTORS_MAX 8
#define CONFIG_NAME_MAX 80		/* bytes of the name that clients know, without its port */
#define CONFIG_TEXT_MAX (256U << 10)	/* bytes of a file that an option names */
#define CONFIG_SEGMENT_MAX (32ULL << 20) /* bytes of a segment: bastion-replay fetches no object of more than twice that from a bucket */

/* An account as written, and what it stands for. */
struct config_user {
	char *name;
	uid_t uid;
	gid_t gid;
};

/* A text, either written in place or in a file whose absolute path was written. */
struct config_text {
	char *text;	/* never NULL; "" when not set */
	char *path;	/* NULL: it was written in place */
};

struct config_addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

struct config_addrs {
	struct config_addr *v;
	size_t n;
};

/* A network: the first `bits` bits of addr, 4 or 16 bytes. */
struct config_net {
	int family;
	uint8_t addr[16];
	unsigned bits;
};

struct config_nets {
	struct config_net *v;
	size_t n;
};

/* Random early drop as in sshd: from `start` waiting logins on refuse `rate` per cent, all from `full` on. */
struct config_startups {
	uint32_t start, rate, full;
};

enum config_sandbox { SANDBOX_ON, SANDBOX_STRICT };

struct config_collector {
	char *name;
	struct config_addr addr;	/* resolved when the configuration was read */
	struct config_text certificate;	/* PEM: the one certificate it must show */
	bool glass;			/* break_glass_collector: for that alone */
};

/* The type of a field, by the kind of its option. */
#define CONFIG_TYPE_STR char *
#define CONFIG_TYPE_DIR char *
#define CONFIG_TYPE_TEXT struct config_text
#define CONFIG_TYPE_USER struct config_user
#define CONFIG_TYPE_INT uint32_t
#define CONFIG_TYPE_BOOL bool
#define CONFIG_TYPE_TIME uint32_t	/* milliseconds */
#define CONFIG_TYPE_SIZE uint64_t	/* bytes */
#define CONFIG_TYPE_CHOICE int		/* index into the words of the table's last column but one */
#define CONFIG_TYPE_STARTUPS struct config_startups
#define CONFIG_TYPE_ADDRS struct config_addrs
#define CONFIG_TYPE_NETS struct config_nets

#define MS 1000ULL
#define CONFIG_DAY (86400ULL * MS)

/*
 * O(kind, keyword, default as in the file (a list: by spaces), least, most, choices, what it is). Another one is described in bastiond.conf(5),
 * with its place in RELOADING, and gets a row in tests/unit/test_reload_options.c.
 */
#define CONFIG_OPTIONS(O)                                                                             \
	O(ADDRS, listen, "0.0.0.0:22 [::]:22", 0, 0, "", "addresses to take connections on")          \
	O(STR, name, "", 0, 0, "", "what clients call the bastion; empty: the machine's name")        \
	O(NETS, allow_networks, "", 0, 0, "", "networks that may connect; empty: all")                \
	O(DIR, state_dir, "/var/lib/bastiond", 0, 0, "", "database and keys")                         \
	O(DIR, run_dir, "/run/bastiond", 0, 0, "", "sockets and pid file")                            \
	O(USER, user_policy, "bastiond-policy", 0, 0, "", "account of the policy role")               \
	O(USER, user_keys, "bastiond-keys", 0, 0, "", "account of the keys role")                     \
	O(USER, user_recorder, "bastiond-recorder", 0, 0, "", "account of the recorder role")         \
	O(USER, user_session, "bastiond-session", 0, 0, "", "account of the sessions")                \
	O(USER, user_dial, "bastiond-dial", 0, 0, "", "account of the dial workers")                  \
	O(USER, user_console, "bastiond-console", 0, 0, "", "account of the console workers")         \
	O(USER, user_monitor, "bastiond-monitor", 0, 0, "", "account of the monitor, if there is one")  \
	O(USER, user_hook, "bastiond-hook", 0, 0, "", "account of the hooks")                         \
	O(USER, user_task, "bastiond-task", 0, 0, "", "account of the bastion's own commands at hosts") \
	O(STR, pam_service, "bastiond", 0, 0, "", "name of the PAM stack")                            \
	O(STR, pam_confdir, "", 0, 0, "", "directory of PAM stacks; empty: the system's")             \
	O(STARTUPS, max_startups, "100:30:400", 1, 20000, "", "connections not yet logged in")        \
	O(INT, per_source_max, "64", 0, 20000, "", "of these, from one source; 0: no limit")          \
	O(INT, source_bits4, "32", 8, 32, "", "bits of an IPv4 address that make a source")           \
	O(INT, source_bits6, "64", 16, 128, "", "bits of an IPv6 address that make a source")         \
	O(TIME, penalty_auth, "5s", 0, CONFIG_DAY, "", "penalty for a failed login")                  \
	O(TIME, penalty_noauth, "1s", 0, CONFIG_DAY, "", "penalty for leaving without a login")       \
	O(TIME, penalty_grace, "20s", 0, CONFIG_DAY, "", "penalty for using up login_grace")          \
	O(TIME, penalty_crash, "90s", 0, CONFIG_DAY, "", "penalty for crashing a session")            \
	O(TIME, penalty_min, "15s", 0, CONFIG_DAY, "", "penalties below it are not enforced")         \
	O(TIME, penalty_max, "10m", 0, CONFIG_DAY, "", "penalties of a source add up to it")          \
	O(NETS, penalty_exempt, "", 0, 0, "", "networks without penalties")                           \
	O(INT, block_names, "10", 0, 64, "", "names failing from one source that block it; 0: never")  \
	O(TIME, block_window, "10m", 1 * MS, CONFIG_DAY, "", "failures are remembered for so long")   \
	O(TIME, block_time, "1h", 1 * MS, 30 * CONFIG_DAY, "", "a source stays blocked for so long")  \
	O(INT, max_sessions, "2000", 1, 20000, "", "connections in all")                              \
	O(INT, max_sessions_per_user, "50", 1, 20000, "", "connections of one user")                  \
	O(INT, max_workers, "512", 4, 20000, "", "PAM, dial, console, view processes at once")        \
	O(INT, max_channels, "64", 1, 1000, "", "channels in one connection")                         \
	O(TIME, login_grace, "60s", 1 * MS, CONFIG_DAY, "", "time to log in")                         \
	O(INT, max_auth_tries, "6", 1, 100, "", "authentication requests in one connection")          \
	O(TIME, auth_floor, "300ms", 0, 10 * MS, "", "least time that a refused login takes")         \
	O(TIME, mfa_grace, "0s", 0, CONFIG_DAY, "", "no second code for so long; 0s: always a code")  \
	O(INT, grace_bits4, "32", 8, 32, "", "bits of an IPv4 address that mfa_grace holds for")      \
	O(INT, grace_bits6, "128", 16, 128, "", "bits of an IPv6 address that mfa_grace holds for")   \
	O(STR, no_grace, "", 0, 0, "", "labels of hosts for which mfa_grace is no code")             \
	O(STR, step_up, "", 0, 0, "", "labels of hosts that want a fresh code: \"env=prod tier=db\"")   \
	O(TIME, step_up_time, "5m", 1 * MS, CONFIG_DAY, "", "so old a code may be for them")          \
	O(STR, approve_new, "", 0, 0, "", "labels of hosts: a new device or network wants approval")  \
	O(INT, known_bits4, "24", 8, 32, "", "bits of an IPv4 address that make a known network")     \
	O(INT, known_bits6, "48", 16, 128, "", "bits of an IPv6 address that make a known network")   \
	O(STR, totp_key, "", 0, 0, "", "key that one-time code secrets are sealed with")              \
	O(TIME, dial_timeout, "10s", 1 * MS, 120 * MS, "", "time to reach a target")                  \
	O(TIME, channel_timeout, "60s", 1 * MS, 600 * MS, "", "time for a target to start a command") \
	O(TIME, lease, "5s", 2 * MS, 60 * MS, "", "a session lives so long without policy")           \
	O(TEXT, banner, "", 0, 0, "", "text shown before login")                                      \
	O(STR, source_address, "", 0, 0, "", "source-address of certificates; empty: as dialled")     \
	O(STR, account_login, "root", 0, 0, "", "login that makes accounts at targets")               \
	O(STR, account_command, "/usr/local/sbin/bastion-account", 0, 0, "", "and what it runs")      \
	O(STR, account_uids, "65536-99999", 0, 0, "", "uids of these accounts, each given once")      \
	O(INT, account_hourly, "60", 1, 10000, "", "such accounts that one person gets in an hour")   \
	O(TEXT, recipients, "", 0, 0, "", "age1... keys that can read recordings")                    \
	O(TEXT, input_recipients, "", 0, 0, "", "age1... keys that can read typed input")             \
	O(TEXT, input_recipients_second, "", 0, 0, "", "of these one is needed, too, to read input")  \
	O(BOOL, strict, "true", 0, 0, "", "nothing moves before it is recorded")                      \
	O(SIZE, content_limit, "1MiB", 0, 1ULL << 40, "", "bytes of bulk content kept a direction")   \
	O(SIZE, segment_bytes, "1MiB", 65536, CONFIG_SEGMENT_MAX, "", "a segment is sealed at this size") \
	O(TIME, segment_time, "60s", 5 * MS, 3600 * MS, "", "a segment is sealed at this age")        \
	O(TIME, hold_deadline, "30s", 1 * MS, 3600 * MS, "", "a session ends when recording stalls")  \
	O(TIME, hold_banner, "2s", 100, 3600 * MS, "", "the user is told when recording stalls")      \
	O(INT, quorum, "1", 1, CONFIG_COLLECTORS_MAX, "", "collectors that must have a frame")        \
	O(INT, break_glass_quorum, "1", 1, CONFIG_COLLECTORS_MAX, "", "collectors for break-glass that must have a frame") \
	O(INT, max_watchers, "4", 0, 16, "", "who may watch one session at once; 0: nobody")          \
	O(BOOL, watch_notice, "true", 0, 0, "", "the watched user is told")                           \
	O(STR, ticket_check, "", 0, 0, "", "program that says whether an outside ticket is open")     \
	O(TIME, ticket_check_every, "60s", 1 * MS, CONFIG_DAY, "", "open tickets are checked again")  \
	O(STR, notify, "", 0, 0, "", "program that is told of events")                                \
	O(TIME, hook_timeout, "10s", 1 * MS, 60 * MS, "", "time of one run of these programs")        \
	O(INT, key_rotate, "0", 0, 3650, "", "days that a managed key stays at a host; 0: for ever")     \
	O(BOOL, key_rotate_after_use, "false", 0, 0, "", "a managed key goes when its last session ended") \
	O(INT, host_key_check, "24", 0, 8760, "", "hours after which a host's keys are looked at; 0: never") \
	O(INT, event_retention, "400", 90, 36500, "", "days that events stay in the database")        \
	O(STR, event_syslog, "", 0, 0, "", "where events go as syslog; empty: nowhere")                \
	O(STR, event_json, "", 0, 0, "", "where they go as JSON lines; empty: nowhere")                \
	O(ADDRS, metrics_listen, "", 0, 0, "", "addresses of /metrics and /healthz; empty: none")      \
	O(CHOICE, sandbox, "on", 0, 0, "on strict", "strict: no start without every layer")           \
	O(CHOICE, log_level, "info", 0, 0, "debug info notice warning error", "least level logged")

struct config {
#define O(kind, keyword, def, least, most, choices, text) CONFIG_TYPE_##kind keyword;
	CONFIG_OPTIONS(O)
#undef O
	struct config_collector collectors[CONFIG_COLLECTORS_MAX];
	size_t ncollectors;
};

/* How many there are for break-glass, or of the usual ones. */
size_t config_collectors(const struct config *conf, bool glass);

/* Takes one finished line "FILE:LINE: what is wrong, and what would be right" (already escaped). */
typedef void config_report(void *arg, const char *line);

enum {
	/* For `bastiond -I`, which makes what others need: files that an option names and collectors may be missing. */
	CONFIG_INIT = 1,
};

/*
 * Reads and checks a configuration file, and the files it names; resolves accounts and collectors. It waits for name servers, up to
 * CONFIG_LOOKUP_MS: not for a loop. NULL when anything is wrong: every fault found was reported. The caller owns the result.
 */
struct config *config_load(const char *path, unsigned flags, config_report *report, void *arg);
/* The same from an open descriptor (a role's start, a reload message), which stays the caller's. */
struct config *config_load_fd(int fd, const char *name, config_report *report, void *arg);
/* What is no fault of the file, and keeps people out all the same: a line for the operator, or NULL. For whoever still sees /etc. */
const char *config_warning(const struct config *conf);
/* The next key of a checked list of recipients (TEXT option), len bytes, not terminated; *text moves on. NULL: no more. */
const char *config_recipient_next(const char **text, size_t *len);
/*
 * Splits what the option `name` has: "bastion.example.org", "192.0.2.1:2222", "2001:db8::1", "[2001:db8::1]:2222". *port
 * stays as it is when none is written. 0; -1: neither name nor address, or no port.
 */
int config_name_split(const char *text, char host[CONFIG_NAME_MAX + 1], uint16_t *port);
/* What account_uids has: "65536-99999". 0; -1: no range of uids from 1000 to 2147483646. */
int config_uids(const char *text, int64_t *low, int64_t *high);
/* Only the defaults, nothing resolved or read. NULL without memory. */
struct config *config_defaults(void);
void config_destroy(struct config *conf);

/*
 * Writes it in the syntax of the file. `flat`: with the texts of files in place, numeric accounts and addresses,
 * so that a role without a file system can load it. 0, or -1 with errno.
 */
int config_dump(const struct config *conf, FILE *out, bool flat);
/* config_dump(flat) into a sealed memory file, read position 0. A descriptor, or -1 with errno. */
int config_to_fd(const struct config *conf);
/* The same in two steps, for a file that two processes have: it is made, and filled and sealed. -1 with errno. */
int config_fd_create(void);
int config_fd_fill(int fd, const struct config *conf);

/* Is the address in one of the networks? An IPv4-mapped IPv6 address counts as IPv4. */
bool config_nets_match(const struct config_nets *nets, const struct sockaddr *sa);

#endif
