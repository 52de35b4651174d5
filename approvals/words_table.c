/*
 * words_table.c - the table of the command words: the one place where a word is written down.
 *
 * Data only; words.c parses with it, words_help.c explains with it, render.c shows replies
 * with it, and tests/unit/test_words.c holds it against bastionctl(1) and against control.c.
 * Names of arguments and keys of rows: doc/PROTOCOL.control, sections 4 and 5.
 */
#include "access.h"
#include "render.h"
#include "words.h"

#define P (ARG_POS | ARG_NEED)
#define N ARG_NEED
#define M ARG_MANY

#define ARGS(...) .args = (const struct words_arg[]){ __VA_ARGS__ }, \
	.nargs = sizeof((const struct words_arg[]){ __VA_ARGS__ }) / sizeof(struct words_arg)
#define COLS(...) .cols = (const struct words_col[]){ __VA_ARGS__, { NULL, NULL, COL_TEXT, 0 } }

/* arguments that several words have */
#define A_USER { "user", "USER", ARG_USER, P, "the user's name", NULL }
#define A_OWN_CODE { "code", "CODE", ARG_CODE, 0, "of your token, for your own", NULL }
#define A_DEVICE { "device", "DEVICE", ARG_DEVICE, P, "name of the device", NULL }
#define A_ROLE { "role", "ROLE", ARG_ROLE, P, "the role's name", NULL }
#define A_HOST { "host", "HOST", ARG_HOST, P, "the host's registered name", NULL }
#define A_ID { "id", "NUMBER", ARG_NUMBER, P, "the request's number", NULL }
#define A_WHY(how) { "reason", "TEXT", ARG_TEXT, how, "why; the one concerned reads it", NULL }
#define A_CAPS(help) { "cap", "CAPABILITY", ARG_CAP, M, help, NULL }
#define A_ZONE(how) { "zone", "ZONE", ARG_CHOICE, how, "office, test, production or cloud", ZONE_LIST }
#define A_ROTATE { "rotate", "AGE", ARG_ROTATE, 0, "when a managed key rotates: 30d, never, or default", NULL }
/* what a role says; 'role change' takes the same */
#define A_RULE \
	{ "host", "PATTERN", ARG_PATTERN, M, "hosts, with *; may be repeated", NULL }, \
	{ "label", "KEY=VALUE", ARG_LABEL, M, "hosts by label; may be repeated", NULL }, A_ZONE(M), \
	{ "login", "LOGIN", ARG_LOGIN, M, "accounts; may be repeated", NULL }, \
	A_CAPS("may be repeated; otherwise shell, exec, sftp-read and sftp-write; of a rule that denies: all"), \
	{ "max", "DURATION", ARG_DURATION, 0, "longest grant; 8h for a new role", NULL }, \
	{ "approvals", "COUNT", ARG_COUNT, 0, "persons who must agree, at most 10; 1 for a new role", NULL }, \
	{ "approver_role", "ROLE", ARG_ROLE, M, "its members may approve; may be repeated", NULL }, \
	{ "ask_reason", "ANSWER", ARG_CHOICE, 0, "must a request say why: yes (otherwise) or no", "yes no" }, \
	{ "hours", "HOURS", ARG_HOURS, 0, "when: \"mon-fri 08:00-18:00 Europe/Berlin\"; UTC without a zone", NULL }, \
	A_FROM, { "everyone", NULL, ARG_FLAG, 0, "a rule that denies: not only to its members", NULL }
#define A_FROM { "from", "NETWORK", ARG_NETWORK, M, "source network; may be repeated", NULL }
#define A_PAGE { "limit", "COUNT", ARG_COUNT, 0, "at most so many rows, 1000 at the most", NULL }, \
	{ "after", "NUMBER", ARG_NUMBER, 0, "only rows with a higher number", NULL }
#define A_ALL(help) { "all", NULL, ARG_FLAG, 0, help, NULL }

/* Requests and grants are rows of one shape: a grant is a request that was approved. */
#define COLS_TICKET { "id", "ID", COL_TEXT, 0 }, { "state", "STATE", COL_STATE, 0 }, \
	{ "user", "USER", COL_TEXT, 2 }, { "login", "LOGIN", COL_TEXT, 2 }, \
	{ "host", "HOST", COL_TEXT, 1 }

#define COLS_DEVICES COLS({ "user", "USER", COL_TEXT, 1 }, { "device", "DEVICE", COL_TEXT, 1 }, \
	{ "state", "STATE", COL_STATE, 0 }, { "type", "TYPE", COL_TEXT, 4 }, \
	{ "fingerprint", "FINGERPRINT", COL_TEXT, 5 }, { "added", "ADDED", COL_TIME, 0 }, \
	{ "first_used", "FIRST USED", COL_TIME, 6 }, { "used", "LAST USED", COL_TIME, 4 }, \
	{ "used_from", "FROM", COL_TEXT, 5 }, { "client", "CLIENT", COL_TEXT, 6 })
/* What a departure ended. */
#define COLS_ENDED COLS({ "account", "ACCOUNT", COL_TEXT, 1 }, { "what", "WHAT", COL_TEXT, 0 }, \
	{ "name", "NAME", COL_TEXT, 1 }, { "state", "STATE", COL_TEXT, 0 }, { "detail", "DETAIL", COL_TEXT, 4 })

const struct words_word words_table[] = {
	/* what an engineer needs */
	{ .path = "hosts", .who = WHO_USER,
	  .help = "hosts that you may ask for, and those open to you now",
	  .more = "OPEN UNTIL is the end of a grant that lets you in now. Without one, ask with 'request'. At most 1000 are shown.",
	  .example = "hosts",
	  ARGS({ "host", "HOST", ARG_HOST, ARG_POS, "only this one", NULL },
	       { "after", "HOST", ARG_HOST, 0, "only those whose name comes behind it", NULL }),
	  COLS({ "name", "HOST", COL_TEXT, 1 }, { "logins", "LOGINS", COL_TEXT, 2 },
	       { "labels", "LABELS", COL_TEXT, 4 }, { "zone", "ZONE", COL_TEXT, 4 },
	       { "max", "LONGEST", COL_SPAN, 0 },
	       { "until", "OPEN UNTIL", COL_TIME, 0 }) },
	{ .path = "request", .who = WHO_USER,
	  .help = "ask for access to a host",
	  .more = "An approver of the role that covers the host decides. The time starts with the "
	  "approval. An undecided request expires after a day.",
	  .example = "request web1 --login dba --for 2h --reason \"index rebuild\" --ticket OPS-7",
	  ARGS(A_HOST, { "login", "LOGIN", ARG_LOGIN, N, "account on the host", NULL },
	       { "for", "DURATION", ARG_DURATION, 0, "how long: 30m, 2h, 1h30m, 1d; needed but for break-glass", NULL },
	       A_WHY(0),
	       { "also", "HOST", ARG_HOST, M, "one more host, decided with the first; may be repeated", NULL },
	       { "from", "TIME", ARG_TIME, 0, "not before: 2027-01-31T18:00Z", NULL },
	       { "logins", "COUNT", ARG_COUNT, 0, "for so many logins; any number otherwise", NULL },
	       { "break_glass", NULL, ARG_FLAG, 0, "at once, for an hour at most; everybody hears of it", NULL },
	       { "wait", NULL, ARG_FLAG, 0, "the answer comes when it is decided", NULL },
	       { "ticket", "ID", ARG_TEXT, 0, "outside ticket, where the role asks for one", NULL },
	       A_CAPS("shell, exec, sftp-read, sftp-write, forward or command; may be repeated; all of the role otherwise"),
	       { "user", "USER", ARG_USER, 0, "for a service account (administrators)", NULL }) },
	{ .path = "extend", .who = WHO_USER,
	  .help = "ask for more time under a running grant of yours",
	  .more = "A request like the one of the grant, for as many logins, to be approved anew. What is open goes on under the new grant when "
	  "the old one ends.", .example = "extend 17 --for 1h --reason \"the index is not done\"",
	  ARGS(A_ID, { "for", "DURATION", ARG_DURATION, N, "how long, from the approval on", NULL }, A_WHY(0)) },
	{ .path = "wait", .who = WHO_USER,
	  .help = "wait until a request of yours is decided", .more = "Named by its number, or by its host.",
	  .example = "wait 17",
	  ARGS({ "id", "NUMBER", ARG_NUMBER, ARG_POS, "the request's number", NULL },
	       { "host", "HOST", ARG_HOST, 0, "of the request", NULL }, { "login", "LOGIN", ARG_LOGIN, 0, "of the request", NULL }) },
	{ .path = "requests", .who = WHO_USER,
	  .help = "requests: yours, and those waiting for you",
	  .more = "", .example = "requests --all",
	  ARGS(A_ALL("also those that are decided"), A_PAGE),
	  COLS(COLS_TICKET, { "for", "FOR", COL_SPAN, 0 }, { "not_before", "FROM", COL_TIME, 0 }, { "logins", "LOGINS", COL_TEXT, 0 },
	       { "extends", "EXTENDS", COL_TEXT, 0 }, { "until", "UNTIL", COL_TIME, 6 },
	       { "approvals", "APPROVALS", COL_TEXT, 0 }, { "ticket", "TICKET", COL_TEXT, 4 },
	       { "reason", "REASON", COL_TEXT, 5 }) },
	{ .path = "cancel", .who = WHO_USER,
	  .help = "take back a request of yours, or give up its grant",
	  .more = "Open sessions under the grant end.",
	  .example = "cancel 17", ARGS(A_ID, A_WHY(0)) },
	{ .path = "grants", .who = WHO_USER,
	  .help = "running grants: yours, and those you may revoke",
	  .more = "", .example = "grants",
	  ARGS(A_ALL("also those that are over"), A_PAGE),
	  COLS(COLS_TICKET, { "left", "LEFT", COL_SPAN, 0 }, { "until", "UNTIL", COL_TIME, 6 },
	       { "caps", "CAPABILITIES", COL_TEXT, 4 }, { "approvers", "APPROVED BY", COL_TEXT, 3 },
	       { "store", "STORE", COL_TEXT, 1 }, { "reason", "REASON", COL_TEXT, 5 }) },
	{ .path = "sessions", .who = WHO_USER,
	  .help = "open sessions: yours, and those you may end",
	  .more = "", .example = "sessions",
	  ARGS(A_ALL("also those that are over"), A_PAGE),
	  COLS({ "id", "ID", COL_TEXT, 0 }, { "user", "USER", COL_TEXT, 2 },
	       { "login", "LOGIN", COL_TEXT, 2 }, { "host", "HOST", COL_TEXT, 1 },
	       { "doing", "DOING", COL_TEXT, 3 }, { "idle", "IDLE", COL_SPAN, 0 },
	       { "watchers", "WATCHED BY", COL_TEXT, 3 }, { "how", "WAY", COL_TEXT, 6 },
	       { "since", "SINCE", COL_TIME, 4 }, { "ended", "ENDED", COL_TIME, 0 },
	       { "grant", "GRANT", COL_TEXT, 0 }, { "store", "STORE", COL_TEXT, 1 }, { "until", "UNTIL", COL_TIME, 5 },
	       { "peer", "FROM", COL_TEXT, 4 }, { "device", "DEVICE", COL_TEXT, 5 },
	       { "recording", "RECORDING", COL_TEXT, 7 }) },
	{ .path = "kill", .who = WHO_USER,
	  .help = "end an open session",
	  .more = "Yours, or one under a grant that you may revoke. The grant stays.",
	  .example = "kill 5",
	  ARGS({ "id", "ID", ARG_NUMBER, P, "as 'sessions' shows it", NULL }, A_WHY(0)) },
	{ .path = "explain", .who = WHO_USER,
	  .help = "which rule decides over an access, and what is missing",
	  .more = "Of yourself; of others, or with PLACE alone of everyone, for administrators and auditors. With "
	  "--at it says how it was then: with the roles, members, hosts and grants of that moment, and who had approved.",
	  .example = "explain alice dba@web1",
	  ARGS({ "user", "USER", ARG_USER, ARG_POS, "the user's name", NULL },
	       { "place", "PLACE", ARG_PLACE, P, "an account and a host", NULL },
	       { "at", "TIME", ARG_TIME, 0, "as it was then: 2027-01-31T18:00Z", NULL },
	       { "from", "ADDRESS", ARG_ADDRESS, 0, "coming from there; networks do not count otherwise", NULL },
	       { "limit", "COUNT", ARG_COUNT, 0, "of everyone: at most so many, 1000 at the most", NULL },
	       { "after", "NUMBER", ARG_NUMBER, 0, "of everyone: what comes behind the page before", NULL }),
	  COLS({ "user", "user", COL_TEXT, 1 }, { "place", "place", COL_TEXT, 2 }, { "at", "at", COL_TIME, 6 },
	       { "allowed", "allowed", COL_YES, 0 }, { "rule", "decided by", COL_TEXT, 2 },
	       { "grant", "grant", COL_TEXT, 0 }, { "approvers", "approved by", COL_TEXT, 3 },
	       { "until", "until", COL_TIME, 5 }, { "says", "why", COL_TEXT, 3 }, { "rules", "rules", COL_TEXT, 4 }) },
	{ .path = "config", .who = WHO_USER,
	  .help = "lines for your ~/.ssh/config and known_hosts",
	  .more = "", .example = "config" },
	{ .path = "help", .who = WHO_USER, .where = AT_PARSER, .plain = true,
	  .help = "this overview, or everything about one word",
	  .more = "'help all' also shows the words for administrators.", .example = "help request",
	  ARGS({ "word", "WORD", ARG_WORD, ARG_POS | ARG_REST, "the word to explain", NULL }) },
	{ .path = "connect", .who = WHO_USER, .where = AT_CONSOLE, .plain = true,
	  .help = "log in to a host",
	  .more = "The login may be left out when the host has one only.",
	  .example = "connect web1 as dba",
	  ARGS(A_HOST, { "as", "as", ARG_KEYWORD, ARG_POS, "before the login", NULL },
	       { "login", "LOGIN", ARG_LOGIN, ARG_POS, "account on the host", NULL },
	       { "wait", NULL, ARG_FLAG, 0, "wait until your request is approved, and go on", NULL }) },
	{ .path = "exit", .who = WHO_USER, .where = AT_CONSOLE, .plain = true,
	  .help = "leave", .more = "", .example = "exit" },

	/* what approvers and auditors need */
	{ .path = "approve", .who = WHO_APPROVER,
	  .help = "grant a request",
	  .more = "Nobody approves their own. Where a role wants two approvals, two persons give "
	  "them. Where it wants them signed, 'approve NUMBER' prints the text to sign with the key of "
	  "one of your devices (ssh-keygen -Y sign -n bastiond-approval), and --signature gives back "
	  "the signature; over ssh as --signature - < FILE.sig", .example = "approve 17",
	  ARGS(A_ID, A_WHY(0),
	       { "signature", "FILE", ARG_SIGNATURE, 0,
	         "signed consent: a file of 'ssh-keygen -Y sign', - is standard input", NULL }) },
	{ .path = "deny", .who = WHO_APPROVER,
	  .help = "refuse a request", .more = "One denial denies.",
	  .example = "deny 17 --reason \"use the replica\"", ARGS(A_ID, A_WHY(N)) },
	{ .path = "revoke", .who = WHO_APPROVER,
	  .help = "end a grant before its time",
	  .more = "Sessions and transfers under it end within a second.",
	  .example = "revoke 17 --reason \"done early\"", ARGS(A_ID, A_WHY(0)) },
	{ .path = "review", .who = WHO_APPROVER,
	  .help = "look at a use of break-glass afterwards, and say what it was",
	  .more = "Owed by another person than the one who used it.",
	  .example = "review 17 --verdict justified --reason \"the database was down\"",
	  ARGS(A_ID, { "verdict", "VERDICT", ARG_CHOICE, N, "justified or misused", "justified misused" }, A_WHY(N)) },
	{ .path = "reviews", .who = WHO_APPROVER,
	  .help = "uses of break-glass whose review is owed", .more = "", .example = "reviews",
	  ARGS(A_ALL("also those that are reviewed"), A_PAGE),
	  COLS({ "id", "ID", COL_TEXT, 0 }, { "user", "USER", COL_TEXT, 1 }, { "login", "LOGIN", COL_TEXT, 2 },
	       { "host", "HOST", COL_TEXT, 1 }, { "start", "START", COL_TIME, 0 }, { "logins", "LOGINS", COL_TEXT, 3 },
	       { "store", "STORE", COL_TEXT, 1 },
	       { "reason", "REASON", COL_TEXT, 4 }, { "verdict", "VERDICT", COL_STATE, 0 }, { "by", "BY", COL_TEXT, 2 },
	       { "review", "REVIEW", COL_TEXT, 5 }) },
	{ .path = "watch", .who = WHO_ADMIN, .plain = true,
	  .help = "look at the terminal of an open session, live",
	  .more = "Also for auditors. Shows only: what you type does not reach the session; q ends "
	  "it. It begins with the screen as it is. Over ssh it needs 'ssh -t'. That you watch is an "
	  "event, is in the recording, and by default the user is told.",
	  .example = "watch 5",
	  ARGS({ "id", "ID", ARG_NUMBER, P, "as 'sessions' shows it", NULL },
	       { "terminal", "NUMBER", ARG_NUMBER, 0, "which of several; otherwise the one used last", NULL }) },
	{ .path = "events", .who = WHO_ADMIN,
	  .help = "what happened: the append-only record",
	  .more = "Also for auditors. The newest come last. --verify checks the hash chain and "
	  "names its head: a copy of that, kept elsewhere, shows later if the end was cut off.",
	  .example = "events --user alice --limit 50",
	  ARGS(A_PAGE, { "user", "USER", ARG_USER, 0, "only those about or by this user", NULL },
	       { "verify", NULL, ARG_FLAG, 0, "check the chain", NULL }),
	  COLS({ "id", "ID", COL_TEXT, 0 }, { "at", "TIME", COL_STAMP, 0 },
	       { "kind", "KIND", COL_TEXT, 1 }, { "actor", "BY", COL_TEXT, 2 },
	       { "subject", "ABOUT", COL_TEXT, 3 }, { "detail", "DETAIL", COL_DETAIL, 5 }) },
	{ .path = "events verify", .who = WHO_ADMIN, .where = AT_CTL, .plain = true,
	  .help = "check the whole record, also against what the collectors have",
	  .more = "Also for auditors. FILE is what 'bastion-replay events --json' prints on the auditor's machine: the first event "
	  "that the database has otherwise, or not at all, is named.",
	  .example = "events verify --against events.json",
	  ARGS({ "against", "FILE", ARG_FILE, 0, "events as the collectors have them", NULL }) },
	{ .path = "note-replay", .who = WHO_AUDITOR,
	  .help = "a recording is read: bastion-replay says it, for auditors",
	  .more = "An event: recording.replay, recording.export, recording.search, or "
	  "recording.reveal when what was typed without an echo is shown. NUMBER and HASH are those of the "
	  "auditor's own log of readings, AT its time in unix seconds.",
	  .example = "note-replay replay --recording 7c264f0e5b1d4a3f8e9d0c1b2a394857 --number 1 --at 1800000000 "
	  "--hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	  ARGS({ "how", "HOW", ARG_CHOICE, P, "replay, export or search", "replay export search" },
	       { "reveal", NULL, ARG_FLAG, 0, "with what was typed without an echo", NULL },
	       { "recording", "ID", ARG_RECORDING, 0, "which", NULL },
	       { "recordings", "NUMBER", ARG_NUMBER, 0, "how many were searched", NULL },
	       { "user", "USER", ARG_USER, 0, "only those of this user", NULL },
	       { "host", "HOST", ARG_HOST, 0, "only those of this host", NULL },
	       { "number", "NUMBER", ARG_NUMBER, N, "of the line in the auditor's log", NULL },
	       { "at", "SECONDS", ARG_NUMBER, N, "when, in unix seconds", NULL },
	       { "hash", "HASH", ARG_DIGEST, N, "of that line", NULL }) },

#include "words_report.inc"

	{ .path = "blocks", .who = WHO_ADMIN,
	  .help = "sources that are kept out: they guessed, or failed too often",
	  .more = "Also for auditors. 'unblock' releases one.", .example = "blocks",
	  COLS({ "network", "NETWORK", COL_TEXT, 1 }, { "why", "WHY", COL_TEXT, 2 }, { "names", "NAMES", COL_TEXT, 3 },
	       { "since", "SINCE", COL_TIME, 4 }, { "until", "UNTIL", COL_TIME, 0 }) },
	{ .path = "unblock", .who = WHO_ADMIN,
	  .help = "let sources of a network in again",
	  .more = "", .example = "unblock 192.0.2.0/24",
	  ARGS({ "network", "NETWORK", ARG_NETWORK, P, "address or network", NULL }, A_WHY(0)) },
	{ .path = "ticket check", .who = WHO_ADMIN,
	  .help = "ask now whether an outside ticket is still open",
	  .more = "For a ticket that was closed just now. The program of ticket_check says what it is; if it is closed, the grants that rest on it "
	  "are revoked, and their sessions end.",
	  .example = "ticket check OPS-7",
	  ARGS({ "ticket", "ID", ARG_TEXT, P, "outside ticket, as requests name it", NULL }) },

	/* users */
	{ .path = "user add", .who = WHO_ADMIN,
	  .help = "add a user or a service account",
	  .more = "A service account has no second factor: it must have a source network and an "
	  "end. Two accounts with the same --person are one person when approvals count.",
	  .example = "user add alice --person \"Alice Example\" --uid 1001",
	  ARGS(A_USER, { "person", "TEXT", ARG_TEXT, 0, "who it is: name or staff number", NULL },
	       { "uid", "UID", ARG_NUMBER, 0, "local account that is this user to bastionctl", NULL },
	       { "admin", NULL, ARG_FLAG, 0, "may set up the bastion", NULL },
	       { "auditor", NULL, ARG_FLAG, 0, "may see all lists and events", NULL },
	       { "service", NULL, ARG_FLAG, 0, "a service account", NULL }, A_FROM,
	       { "until", "TIME", ARG_TIME, 0, "end of the account: 2027-01-31", NULL }) },
	{ .path = "user list", .who = WHO_ADMIN,
	  .help = "all users", .more = "", .example = "user list", ARGS(A_PAGE),
	  COLS({ "name", "USER", COL_TEXT, 1 }, { "kind", "KIND", COL_TEXT, 0 },
	       { "state", "STATE", COL_STATE, 0 }, { "admin", "ADMIN", COL_YES, 0 },
	       { "auditor", "AUDITOR", COL_YES, 0 }, { "keys", "KEYS", COL_TEXT, 0 },
	       { "totp", "TOTP", COL_STATE, 0 }, { "person", "PERSON", COL_TEXT, 4 },
	       { "from", "FROM", COL_TEXT, 6 }, { "until", "UNTIL", COL_TIME, 5 }) },
	{ .path = "user show", .who = WHO_USER,
	  .help = "everything about a user: yourself, or another",
	  .more = "Others: administrators and auditors only.", .example = "user show alice",
	  ARGS(A_USER),
	  COLS({ "name", "user", COL_TEXT, 0 }, { "person", "person", COL_TEXT, 0 },
	       { "kind", "kind", COL_TEXT, 0 }, { "state", "state", COL_STATE, 0 },
	       { "uid", "local uid", COL_TEXT, 0 }, { "admin", "administrator", COL_YES, 0 },
	       { "auditor", "auditor", COL_YES, 0 }, { "roles", "asks under", COL_TEXT, 0 },
	       { "approves", "approves under", COL_TEXT, 0 }, { "keys", "keys", COL_TEXT, 0 },
	       { "totp", "one-time codes", COL_STATE, 0 },
	       { "recovery", "recovery codes left", COL_TEXT, 0 }, { "from", "comes from", COL_TEXT, 0 },
	       { "added", "added", COL_TIME, 0 }, { "until", "ends", COL_TIME, 0 }) },
	{ .path = "user lock", .who = WHO_ADMIN,
	  .help = "lock a user out, and end the user's sessions",
	  .more = "Grants rest until 'user unlock', and go on running out.",
	  .example = "user lock alice --reason \"laptop stolen\"", ARGS(A_USER, A_WHY(0)) },
	{ .path = "user unlock", .who = WHO_ADMIN,
	  .help = "let a locked user in again", .more = "", .example = "user unlock alice",
	  ARGS(A_USER) },
	{ .path = "user remove", .who = WHO_ADMIN,
	  .help = "remove a user with keys, codes, roles and grants",
	  .more = "What is open ends. The name stays taken, but for the same person.",
	  .example = "user remove alice", ARGS(A_USER, A_WHY(0)) },
	{ .path = "user leave", .who = WHO_ADMIN,
	  .help = "a person leaves: everything of theirs ends at once",
	  .more = "All accounts of the person, with sessions, grants, requests, roles, devices and codes; lists "
	  "what ended. STATE kept: what was asked for another account, which goes on.",
	  .example = "user leave --person \"Alice Example\"",
	  ARGS({ "user", "USER", ARG_USER, ARG_POS, "an account of the person", NULL },
	       { "person", "TEXT", ARG_TEXT, 0, "the person", NULL }, A_WHY(0)), COLS_ENDED },
	{ .path = "user move", .who = WHO_ADMIN,
	  .help = "a person changes post: what the old one gave ends at once",
	  .more = "As 'user leave', but the accounts stay, with nothing: no role, no right, no device and no codes.",
	  .example = "user move alice --keep-devices",
	  ARGS({ "user", "USER", ARG_USER, ARG_POS, "an account of the person", NULL },
	       { "person", "TEXT", ARG_TEXT, 0, "the person", NULL },
	       { "keep_devices", NULL, ARG_FLAG, 0, "devices and one-time codes stay", NULL }, A_WHY(0)), COLS_ENDED },
	{ .path = "user key add", .who = WHO_ADMIN,
	  .help = "register a device of a user by its public key",
	  .more = "KEY is the line of a .pub file; for bastionctl also the file's name, or - for "
	  "standard input. Nobody but root registers their own.",
	  .example = "user key add alice laptop laptop.pub",
	  ARGS(A_USER, A_DEVICE, { "key", "KEY", ARG_PUBKEY, P | ARG_REST, "public key", NULL }) },
	{ .path = "user key list", .who = WHO_USER,
	  .help = "registered devices: yours, or a user's",
	  .more = "Others': administrators and auditors only.", .example = "user key list",
	  ARGS({ "user", "USER", ARG_USER, ARG_POS, "the user's name; yourself otherwise", NULL }),
	  COLS_DEVICES },
	{ .path = "user key revoke", .who = WHO_USER,
	  .help = "revoke a device, and end what it has open",
	  .more = "Yours; others': administrators only. A revoked key is never taken again.",
	  .example = "user key revoke alice laptop", ARGS(A_USER, A_DEVICE, A_WHY(0)) },
	{ .path = "user key invite", .who = WHO_ADMIN,
	  .help = "a code with which a user enrols one new device",
	  .more = "Shown only this once; good for a day, or for --for; a new one voids the old. Nobody invites themselves.",
	  .example = "user key invite alice --for 2h",
	  ARGS(A_USER, { "for", "DURATION", ARG_DURATION, 0, "1d otherwise, 30d at most", NULL }) },
	{ .path = "user key approve", .who = WHO_ADMIN,
	  .help = "let in a device that its owner has brought with 'device add'",
	  .more = "Compare the fingerprint with the one that the owner reads to you. 'user key revoke' turns it down.",
	  .example = "user key approve alice desk", ARGS(A_USER, A_DEVICE) },
	{ .path = "device add", .who = WHO_USER,
	  .help = "bring a new device of yours, from one that is known",
	  .more = "With an administrator's code it is in force at once; otherwise it waits for 'user key approve'. KEY is the "
	  "line of a .pub file, or - for standard input: over ssh with < FILE.pub.",
	  .example = "device add desk --code k3m7-x2ab-qq5d-7hzt -",
	  ARGS(A_DEVICE, { "code", "CODE", ARG_TEXT, 0, "of 'user key invite'", NULL },
	       { "key", "KEY", ARG_PUBKEY, P | ARG_REST, "public key", NULL }) },
	{ .path = "device list", .who = WHO_USER,
	  .help = "your devices: since when, last used, from where, with what",
	  .more = "", .example = "device list", COLS_DEVICES },
	{ .path = "device revoke", .who = WHO_USER,
	  .help = "revoke a device of yours, and end what it has open",
	  .more = "A revoked key is never taken again.", .example = "device revoke laptop", ARGS(A_DEVICE, A_WHY(0)) },
	{ .path = "user totp enrol", .who = WHO_ADMIN,
	  .help = "make a user's new one-time code secret",
	  .more = "Prints the otpauth URI, which is shown only this once. bastionctl also draws "
	  "its QR code and asks for two codes, one after the other, which put the new secret in "
	  "the place of the old one. One's own, while there is a secret, with a one-time code only.",
	  .example = "user totp enrol alice", ARGS(A_USER, A_OWN_CODE) },
	{ .path = "user totp confirm", .who = WHO_USER,
	  .help = "confirm an enrolment with two codes in a row",
	  .more = "Yours; others': administrators only.",
	  .example = "user totp confirm alice 492039 038174",
	  ARGS(A_USER, { "code1", "CODE", ARG_CODE, P, "a code", NULL },
	       { "code2", "CODE", ARG_CODE, P, "the code after it", NULL }) },
	{ .path = "user totp reset", .who = WHO_ADMIN,
	  .help = "take away a user's one-time code secret",
	  .more = "The user cannot log in before the next enrolment. One's own with a one-time code only.",
	  .example = "user totp reset alice", ARGS(A_USER, A_OWN_CODE, A_WHY(0)) },
	{ .path = "user totp resync", .who = WHO_USER,
	  .help = "make the clock of a token known, with two codes in a row",
	  .more = "Yours; others': administrators only. For a token whose clock is up to ten minutes off. Small "
	  "drifts are followed at each login.",
	  .example = "user totp resync alice 492039 038174",
	  ARGS(A_USER, { "code1", "CODE", ARG_CODE, P, "a code", NULL },
	       { "code2", "CODE", ARG_CODE, P, "the code after it", NULL }) },
	{ .path = "user totp recovery", .who = WHO_USER,
	  .help = "make ten recovery codes, for a lost token",
	  .more = "Yours, with a one-time code; others': administrators only. Shown only this once; earlier ones are void. Each is "
	  "good for one login in place of a code, and its use is an event.",
	  .example = "user totp recovery alice --code 492039",
	  ARGS(A_USER, A_OWN_CODE), COLS({ "code", "CODE", COL_TEXT, 0 }) },

	/* roles */
	{ .path = "role add", .who = WHO_ADMIN,
	  .help = "add a role: who may ask for what, or what is denied",
	  .more = "A role covers hosts by --host, --label and --zone; all that are given must hold. It gives "
	  "the right to ask, never access by itself. With --approvals 0 a request grants itself. --deny "
	  "makes a rule that refuses what it covers to its members, or to everyone, and beats every "
	  "role that allows. --group makes a role whose members only approve, where --approver-role "
	  "names it. \"forward HOST:PORT\" is a port that the host itself reaches, \"command TEXT\" "
	  "exactly this command.",
	  .example = "role add dba --label tier=db --login dba --cap shell --cap sftp-read --max 8h",
	  ARGS(A_ROLE, A_RULE,
	       { "ticket", NULL, ARG_FLAG, 0, "a request must name an outside ticket", NULL },
	       { "signed", NULL, ARG_FLAG, 0, "approvers sign with their own ssh key", NULL },
	       { "break_glass", NULL, ARG_FLAG, 0, "members may ask with --break-glass", NULL },
	       { "deny", NULL, ARG_FLAG, 0, "a rule that denies", NULL },
	       { "group", NULL, ARG_FLAG, 0, "a group of approvers", NULL }) },
	{ .path = "role change", .who = WHO_ADMIN,
	  .help = "change a role, by the options of 'role add'",
	  .more = "What is given replaces what was; a list is replaced whole. Requests and grants that the "
	  "role does not cover any more end, and so does what is open against a rule that denies. The "
	  "name, and whether it denies, stay.",
	  .example = "role change dba --max 4h --hours \"mon-fri 08:00-18:00 Europe/Berlin\"",
	  ARGS(A_ROLE, A_RULE,
	       { "ask_ticket", "ANSWER", ARG_CHOICE, 0, "must a request name an outside ticket: yes or no", "yes no" },
	       { "ask_signed", "ANSWER", ARG_CHOICE, 0, "must approvers sign: yes or no", "yes no" },
	       { "ask_break_glass", "ANSWER", ARG_CHOICE, 0, "may members ask with --break-glass: yes or no", "yes no" },
	       { "clear", "LIST", ARG_CHOICE, M, "empty it: host, label, zone, from, hours or approver_role",
	         "host label zone from hours approver_role" }) },
	{ .path = "role list", .who = WHO_ADMIN,
	  .help = "all roles", .more = "", .example = "role list", ARGS(A_PAGE),
	  COLS({ "name", "ROLE", COL_TEXT, 1 }, { "kind", "KIND", COL_STATE, 0 },
	       { "hosts", "HOSTS", COL_TEXT, 3 }, { "labels", "LABELS", COL_TEXT, 4 },
	       { "zones", "ZONES", COL_TEXT, 4 }, { "logins", "LOGINS", COL_TEXT, 3 },
	       { "caps", "CAPABILITIES", COL_TEXT, 5 }, { "max", "LONGEST", COL_SPAN, 0 },
	       { "quorum", "APPROVALS", COL_TEXT, 0 }, { "members", "MEMBERS", COL_TEXT, 5 },
	       { "approvers", "APPROVERS", COL_TEXT, 5 }, { "approver_roles", "APPROVER ROLES", COL_TEXT, 6 },
	       { "hours", "HOURS", COL_TEXT, 6 }, { "from", "FROM", COL_TEXT, 6 }) },
	{ .path = "role show", .who = WHO_ADMIN,
	  .help = "everything about a role", .more = "", .example = "role show dba", ARGS(A_ROLE),
	  COLS({ "name", "role", COL_TEXT, 0 }, { "kind", "kind", COL_STATE, 0 },
	       { "everyone", "for everyone", COL_YES, 0 }, { "hosts", "hosts", COL_TEXT, 0 },
	       { "labels", "labels", COL_TEXT, 0 }, { "zones", "zones", COL_TEXT, 0 },
	       { "logins", "logins", COL_TEXT, 0 },
	       { "caps", "capabilities", COL_TEXT, 0 }, { "max", "longest grant", COL_SPAN, 0 },
	       { "quorum", "approvals", COL_TEXT, 0 },
	       { "approver_roles", "approver roles", COL_TEXT, 0 },
	       { "reason", "needs a reason", COL_YES, 0 },
	       { "ticket", "needs a ticket", COL_YES, 0 },
	       { "signed", "signed approvals", COL_YES, 0 },
	       { "break_glass", "break-glass", COL_YES, 0 },
	       { "hours", "hours", COL_TEXT, 0 }, { "from", "comes from", COL_TEXT, 0 },
	       { "members", "members", COL_TEXT, 0 }, { "approvers", "approvers", COL_TEXT, 0 }) },
	{ .path = "role remove", .who = WHO_ADMIN,
	  .help = "remove a role; requests and grants under it end", .more = "",
	  .example = "role remove dba", ARGS(A_ROLE) },
	{ .path = "role member add", .who = WHO_ADMIN,
	  .help = "let a user ask under a role", .more = "",
	  .example = "role member add dba alice", ARGS(A_ROLE, A_USER) },
	{ .path = "role member remove", .who = WHO_ADMIN,
	  .help = "take a user out of a role; the grants under it end", .more = "",
	  .example = "role member remove dba alice", ARGS(A_ROLE, A_USER) },
	{ .path = "role approver add", .who = WHO_ADMIN,
	  .help = "let a user decide requests under a role", .more = "",
	  .example = "role approver add dba bob", ARGS(A_ROLE, A_USER) },
	{ .path = "role approver remove", .who = WHO_ADMIN,
	  .help = "take that right away", .more = "",
	  .example = "role approver remove dba bob", ARGS(A_ROLE, A_USER) },

	/* hosts */
	{ .path = "host add", .who = WHO_ADMIN,
	  .help = "register a host",
	  .more = "Only registered hosts can be reached, at this address and with one of these "
	  "host keys. KEY is a line of ssh-keyscan or of a .pub file; for bastionctl also the "
	  "name of a file of such lines, or - for standard input. Compare its fingerprint with "
	  "the one that the host itself shows. The login @self lets the bastion make accounts on it: each user's "
	  "own, for the time of a grant (bastion-account(8)).",
	  .example = "host add web1 --address 10.0.0.11 --key web1.pub --label tier=db --login dba",
	  ARGS(A_HOST,
	       { "address", "ADDRESS", ARG_ADDRESS, N, "what is dialled: name or address", NULL },
	       { "port", "PORT", ARG_PORT, 0, "22 otherwise", NULL },
	       { "key", "KEY", ARG_HOSTKEY, M | N, "pinned host key; may be repeated", NULL },
	       { "label", "KEY=VALUE", ARG_LABEL, M, "may be repeated", NULL }, A_ZONE(0),
	       { "login", "LOGIN", ARG_LOGIN, M | N, "account on it; may be repeated", NULL },
	       { "managed_key", "NAME", ARG_KEYNAME, 0, "log in with this, not certificates", NULL }, A_ROTATE,
	       { "source_address", "ADDRESS", ARG_ADDRESS, 0,
	         "address of the bastion as the host sees it, if it is another than the dialling one's",
	         NULL }) },
	{ .path = "host list", .who = WHO_ADMIN,
	  .help = "all hosts", .more = "", .example = "host list", ARGS(A_PAGE),
	  COLS({ "name", "HOST", COL_TEXT, 1 }, { "address", "ADDRESS", COL_TEXT, 2 },
	       { "port", "PORT", COL_TEXT, 0 }, { "logins", "LOGINS", COL_TEXT, 3 },
	       { "labels", "LABELS", COL_TEXT, 4 }, { "zone", "ZONE", COL_TEXT, 0 },
	       { "method", "METHOD", COL_TEXT, 0 },
	       { "managed_key", "KEY", COL_TEXT, 4 }, { "rotate", "ROTATES", COL_TEXT, 6 }, { "keys", "HOST KEYS", COL_TEXT, 5 }) },
	{ .path = "host change", .who = WHO_ADMIN,
	  .help = "say where a host stands, its labels and accounts",
	  .more = "Requests and grants of roles that do not cover it any more, or for an account that it has not any more, end.",
	  .example = "host change web1 --zone production --label tier=web",
	  ARGS(A_HOST, A_ZONE(0), { "login", "LOGIN", ARG_LOGIN, M, "account on it, replaces all; may be repeated", NULL }, { "label", "KEY=VALUE", ARG_LABEL, M, "replaces all; may be repeated", NULL },
	       { "no_label", NULL, ARG_FLAG, 0, "no label any more", NULL }, A_ROTATE) },
	{ .path = "host remove", .who = WHO_ADMIN,
	  .help = "remove a host; requests and grants for it end", .more = "",
	  .example = "host remove web1", ARGS(A_HOST) },
	{ .path = "host trust", .who = WHO_ADMIN,
	  .help = "what the host's sshd needs to let the bastion in", .more = "",
	  .example = "host trust web1", ARGS(A_HOST) },
#include "words_target.inc"

#include "words_accounts.inc"

	/* the bastion itself */
	{ .path = "init", .who = WHO_ROOT, .where = AT_CTL, .plain = true,
	  .help = "make the keys and the database of a new bastion",
	  .more = "Runs 'bastiond -I'. Keeps what is there already.", .example = "init" },
	{ .path = "rotate begin", .who = WHO_ROOT, .where = AT_CTL, .plain = true,
	  .help = "make the next signer, client, ca, hostkey or totp, beside the one in use",
	  .more = "Runs 'bastiond -N'. Says who needs a copy before the change.", .example = "rotate begin signer",
	  ARGS({ "key", "KEY", ARG_CHOICE, P, "signer, client, ca, hostkey or totp", "signer client ca hostkey totp" }) },
	{ .path = "rotate end", .who = WHO_ROOT, .where = AT_CTL, .plain = true,
	  .help = "change to the key that 'rotate begin' made",
	  .more = "Runs 'bastiond -C'. A reload of bastiond brings it into use.", .example = "rotate end signer",
	  ARGS({ "key", "KEY", ARG_CHOICE, P, "signer, client, ca, hostkey or totp", "signer client ca hostkey totp" }) },
	{ .path = "import keys", .who = WHO_ADMIN, .where = AT_CTL, .plain = true,
	  .help = "register the keys of an authorized_keys file",
	  .more = "Says line by line what it would do, and does it with --apply. If a line is malformed nothing is done. A device is "
	  "named by the key's comment. Options before a key are refused: they would not hold.",
	  .example = "import keys alice /home/alice/.ssh/authorized_keys --apply",
	  ARGS(A_USER, { "file", "FILE", ARG_FILE, P, "in the format of authorized_keys", NULL },
	       { "apply", NULL, ARG_FLAG, 0, "do it", NULL }) },
	{ .path = "import hosts", .who = WHO_ADMIN, .where = AT_CTL, .plain = true,
	  .help = "register the hosts of a hosts file",
	  .more = "FILE is as /etc/hosts: an address and a name a line; of several names the first counts, and what names this machine "
	  "is passed over. Their keys come out of known_hosts, or what ssh-keyscan printed. Says line by line what it would do, and "
	  "does it with --apply. If a line is malformed, or a host has no key, nothing is done.",
	  .example = "import hosts /etc/hosts --keys scanned --login dba --label tier=db",
	  ARGS({ "file", "FILE", ARG_FILE, P, "in the format of /etc/hosts", NULL },
	       { "keys", "FILE", ARG_FILE, N, "in the format of known_hosts", NULL },
	       { "login", "LOGIN", ARG_LOGIN, M | N, "account on them; may be repeated", NULL },
	       { "label", "KEY=VALUE", ARG_LABEL, M, "may be repeated", NULL },
	       { "apply", NULL, ARG_FLAG, 0, "do it", NULL }) },
	{ .path = "backup", .who = WHO_ROOT, .where = AT_CTL, .plain = true,
	  .help = "copy the database into a file, while bastiond runs",
	  .more = "Users, roles, hosts, requests, grants, events. The keys in state_dir are not in it: they are files "
	  "that you copy once, and keep elsewhere.",
	  .example = "backup /var/backups/bastion.db",
	  ARGS({ "file", "FILE", ARG_FILE, P, "where it goes; one of that name is replaced when this one is whole", NULL }) },
	{ .path = "backup check", .who = WHO_ROOT, .where = AT_CTL, .plain = true,
	  .help = "is a backup whole, and what is in it",
	  .more = "Runs 'bastiond -K'. Looks at pages, references, version and the whole chain of events.",
	  .example = "backup check /var/backups/bastion.db",
	  ARGS({ "file", "FILE", ARG_FILE, P, "the backup", NULL }) },
	{ .path = "restore", .who = WHO_ROOT, .where = AT_CTL, .plain = true,
	  .help = "put a backup in the place of the database; bastiond must not run",
	  .more = "Runs 'bastiond -B', which checks it first and keeps the database that was there. Grants and requests that "
	  "are open in the backup end: they may have been revoked since.",
	  .example = "restore /var/backups/bastion.db",
	  ARGS({ "file", "FILE", ARG_FILE, P, "the backup", NULL },
	       { "keep_grants", NULL, ARG_FLAG, 0, "they stay in force", NULL }) },
	{ .path = "sync", .who = WHO_ROOT, .where = AT_CTL,
	  .help = "bring the people and roles of a directory here",
	  .more = "FILE says where it is: a file, or LDAP. Who is gone there ends here, as by 'user leave', but no more than --share "
	  "per cent at once (10 otherwise), and nobody if it names nobody; no more lose their last role.",
	  .example = "sync /etc/bastiond/directory.conf --dry-run",
	  ARGS({ "file", "FILE", ARG_TEXT, P, "what and where the directory is", NULL },
	       { "share", "COUNT", ARG_COUNT, 0, "per cent that may end, or lose their last role, at once", NULL },
	       { "dry_run", NULL, ARG_FLAG, 0, "only show what would change", NULL }), COLS_ENDED },
	{ .path = "directory stage", .who = WHO_ROOT,
	  .help = "one batch of what a directory has: 'sync' sends it",
	  .more = "", .example = "directory stage --begin --entry \"alice|dba ops|Alice Example\"",
	  ARGS({ "entry", "TEXT", ARG_TEXT, M, "NAME|ROLES|PERSON, ROLES * to leave them; may be repeated", NULL },
	       { "keep", "USER", ARG_USER, M, "it is there, but cannot be taken: stays as it is; may be repeated", NULL },
	       { "begin", NULL, ARG_FLAG, 0, "forget what was staged before", NULL }) },
	{ .path = "directory apply", .who = WHO_ROOT,
	  .help = "bring what was staged into force, as one change",
	  .more = "", .example = "directory apply --share 20",
	  ARGS({ "count", "NUMBER", ARG_NUMBER, 0, "refuse if it is not so many that are staged", NULL },
	       { "share", "COUNT", ARG_COUNT, 0, "per cent that may end, or lose their last role, at once; 10 otherwise", NULL },
	       { "dry_run", NULL, ARG_FLAG, 0, "only show what would change", NULL }), COLS_ENDED },
	{ .path = "key add", .who = WHO_ROOT, .where = AT_CTL,
	  .help = "make a managed key, for hosts that take no certificates",
	  .more = "Prints the line for the host's authorized_keys. The daemon knows the key from "
	  "its next reload on.", .example = "key add legacy --type rsa",
	  ARGS({ "name", "NAME", ARG_KEYNAME, P, "the key's name", NULL },
	       { "type", "TYPE", ARG_CHOICE, 0, "ed25519 (otherwise), ecdsa or rsa",
	         "ed25519 ecdsa rsa" }) },
	{ .path = "key list", .who = WHO_ADMIN,
	  .help = "the certificate authority and the managed keys", .more = "",
	  .example = "key list",
	  COLS({ "name", "NAME", COL_TEXT, 1 }, { "key", "PUBLIC KEY", COL_TEXT, 5 }) },
	{ .path = "names", .who = WHO_USER, .where = AT_CTL,
	  .help = "names of what there is, for completion", .more = "A name a line; with --json a row.", .example = "names host",
	  ARGS({ "kind", "KIND", ARG_CHOICE, P, "user, role, host, request, grant, review, session or account",
	       "user role host request grant review session account" }) },
	{ .path = "completion", .who = WHO_USER, .where = AT_CTL, .plain = true,
	  .help = "a completion script for your shell", .more = "", .example = "completion bash",
	  ARGS({ "shell", "SHELL", ARG_CHOICE, P, "bash or zsh", "bash zsh" }) },
};

const size_t words_count = sizeof(words_table) / sizeof(words_table[0]);
