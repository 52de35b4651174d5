/*
 * words_table.c - the table of the command words: the one place where a word is written down.
 *
 * Data only; words.c parses with it, words_help.c explains with it, render.c shows replies with it, and
 * tests/unit/test_words.c holds it against bastionctl(1) and against the handlers in control.c.
 */
#include "render.h"
#include "words.h"

#define P (ARG_POS | ARG_NEED)
#define N ARG_NEED
#define MANY ARG_MANY
#define END { NULL, NULL, COL_TEXT, 0 }

#define ARGS(...) .args = (const struct words_arg[]){ __VA_ARGS__ }, \
	.nargs = sizeof((const struct words_arg[]){ __VA_ARGS__ }) / sizeof(struct words_arg)
#define COLS(...) .list = true, .cols = (const struct words_col[]){ __VA_ARGS__, END }

#define A_USER { "user", "USER", ARG_USER, P, "the user's name", NULL }
#define A_ROLE { "role", "ROLE", ARG_ROLE, P, "the role's name", NULL }
#define A_HOST { "host", "HOST", ARG_HOST, P, "the host's registered name", NULL }
#define A_ID { "id", "NUMBER", ARG_NUMBER, P, "the request's number", NULL }
#define A_WHY { "reason", "TEXT", ARG_TEXT, 0, "why, for the record and the user concerned", NULL }
#define A_WHY_NEEDED { "reason", "TEXT", ARG_TEXT, N, "why, for the record and the user concerned", NULL }

/* Requests and grants are rows of one shape: a grant is a request that was approved. */
#define COLS_REQUEST { "id", "ID", COL_TEXT, 0 }, { "state", "STATE", COL_STATE, 0 }, \
	{ "user", "USER", COL_TEXT, 2 }, { "login", "LOGIN", COL_TEXT, 2 }, { "host", "HOST", COL_TEXT, 1 }

const struct words_word words_table[] = {
	/* what an engineer needs */
	{ .path = "hosts", .who = WHO_USER, .help = "hosts that you may ask for, and those open to you now",
	  .more = "OPEN UNTIL is the end of a running grant. Without one, ask with 'request'.", .example = "hosts",
	  COLS({ "name", "HOST", COL_TEXT, 1 }, { "logins", "LOGINS", COL_LIST, 2 }, { "labels", "LABELS", COL_LIST, 4 },
	       { "max", "LONGEST", COL_SPAN, 0 }, { "until", "OPEN UNTIL", COL_TIME, 0 }) },
	{ .path = "request", .who = WHO_USER, .help = "ask for access to a host",
	  .more = "An approver of the role that covers the host decides. The time starts with the approval.",
	  .example = "request web1 --login dba --for 2h --reason \"index rebuild\" --ticket OPS-4711",
	  ARGS(A_HOST, { "login", "LOGIN", ARG_LOGIN, N, "account on the host", NULL },
	       { "for", "DURATION", ARG_DURATION, N, "how long: 30m, 2h, 1h30m, 1d", NULL }, A_WHY_NEEDED,
	       { "ticket", "ID", ARG_TEXT, 0, "number of the outside ticket, where the role asks for one", NULL },
	       { "cap", "CAPABILITY", ARG_CAP, MANY, "shell, exec, sftp or scp; may be repeated; all that the role has otherwise", NULL }) },
	{ .path = "requests", .who = WHO_USER, .help = "requests: yours, and those waiting for you",
	  .more = "Shows what is pending; --all also what was decided.", .example = "requests --all",
	  ARGS({ "all", NULL, ARG_FLAG, 0, "also those that are decided", NULL }),
	  COLS(COLS_REQUEST, { "for", "FOR", COL_SPAN, 0 }, { "until", "UNTIL", COL_TIME, 3 },
	       { "approvals", "APPROVALS", COL_TEXT, 3 }, { "ticket", "TICKET", COL_TEXT, 4 }, { "reason", "REASON", COL_TEXT, 5 }) },
	{ .path = "cancel", .who = WHO_USER, .help = "take back a request of yours, or give up its grant",
	  .more = "Open sessions under the grant end.", .example = "cancel 17", ARGS(A_ID) },
	{ .path = "grants", .who = WHO_USER, .help = "running grants: yours, and those you may revoke",
	  .more = "", .example = "grants",
	  COLS(COLS_REQUEST, { "until", "UNTIL", COL_TIME, 0 }, { "left", "LEFT", COL_SPAN, 0 }, { "caps", "CAPABILITIES", COL_LIST, 4 },
	       { "approvers", "APPROVED BY", COL_LIST, 3 }, { "reason", "REASON", COL_TEXT, 5 }) },
	{ .path = "sessions", .who = WHO_USER, .help = "open sessions: yours, and those you may end",
	  .more = "", .example = "sessions",
	  COLS({ "id", "ID", COL_TEXT, 0 }, { "user", "USER", COL_TEXT, 2 }, { "login", "LOGIN", COL_TEXT, 2 },
	       { "host", "HOST", COL_TEXT, 1 }, { "since", "SINCE", COL_TIME, 0 }, { "grant", "GRANT", COL_TEXT, 0 },
	       { "peer", "FROM", COL_TEXT, 4 }, { "recording", "RECORDING", COL_TEXT, 5 }) },
	{ .path = "config", .who = WHO_USER, .help = "lines for your ~/.ssh/config and known_hosts",
	  .more = "Put the first part into ~/.ssh/config and the line under it into ~/.ssh/known_hosts.", .example = "config" },
	{ .path = "help", .who = WHO_USER, .where = AT_PARSER, .help = "this overview, or everything about one word",
	  .more = "", .example = "help request",
	  ARGS({ "word", "WORD", ARG_WORD, ARG_POS | ARG_REST, "the word to explain", NULL }) },
	{ .path = "connect", .who = WHO_USER, .where = AT_CONSOLE, .help = "log in to a host",
	  .more = "The login may be left out when the host has one only.", .example = "connect web1 as dba",
	  ARGS(A_HOST, { "as", "as", ARG_CHOICE, ARG_POS, "before the login", "as" },
	       { "login", "LOGIN", ARG_LOGIN, ARG_POS, "account on the host", NULL }) },
	{ .path = "exit", .who = WHO_USER, .where = AT_CONSOLE, .help = "leave", .more = "", .example = "exit" },

	/* what an approver needs */
	{ .path = "approve", .who = WHO_APPROVER, .help = "grant a request",
	  .more = "Nobody approves their own. Where a role wants two approvals, two persons give them.", .example = "approve 17",
	  ARGS(A_ID, A_WHY) },
	{ .path = "deny", .who = WHO_APPROVER, .help = "refuse a request",
	  .more = "", .example = "deny 17 --reason \"use the replica\"", ARGS(A_ID, A_WHY_NEEDED) },
	{ .path = "revoke", .who = WHO_APPROVER, .help = "end a grant before its time, and its open sessions",
	  .more = "Sessions and transfers under it end within a second.", .example = "revoke 17 --reason \"done early\"",
	  ARGS(A_ID, A_WHY) },
	{ .path = "kill", .who = WHO_USER, .help = "end an open session",
	  .more = "Yours, or one under a grant that you may revoke. The grant stays.", .example = "kill 5",
	  ARGS({ "id", "ID", ARG_TEXT, P, "as 'sessions' shows it", NULL }, A_WHY) },
	{ .path = "events", .who = WHO_APPROVER, .help = "what happened: the append-only record",
	  .more = "The newest come last. --verify checks the record's hash chain first.", .example = "events --user alice --limit 50",
	  ARGS({ "limit", "COUNT", ARG_COUNT, 0, "at most so many; 100 otherwise", NULL },
	       { "after", "ID", ARG_NUMBER, 0, "only those with a higher number", NULL },
	       { "user", "USER", ARG_USER, 0, "only those about one user", NULL },
	       { "verify", NULL, ARG_FLAG, 0, "check the chain", NULL }),
	  COLS({ "id", "ID", COL_TEXT, 0 }, { "at", "TIME", COL_TIME, 0 }, { "kind", "KIND", COL_TEXT, 1 },
	       { "actor", "BY", COL_TEXT, 2 }, { "subject", "ABOUT", COL_TEXT, 3 }, { "detail", "DETAIL", COL_TEXT, 5 }) },

	/* users */
	{ .path = "user add", .who = WHO_ADMIN, .help = "add a user or a service account",
	  .more = "A service account has no second factor; it must have a source network and an end.",
	  .example = "user add alice --person \"Alice Example\" --uid 1001",
	  ARGS(A_USER, { "person", "TEXT", ARG_TEXT, 0, "who it is: name or staff number", NULL },
	       { "uid", "UID", ARG_NUMBER, 0, "account on the bastion that may use bastionctl as this user", NULL },
	       { "admin", NULL, ARG_FLAG, 0, "may set up the bastion", NULL },
	       { "service", NULL, ARG_FLAG, 0, "a service account", NULL },
	       { "from", "NETWORK", ARG_NETWORK, MANY, "source network; may be repeated", NULL },
	       { "until", "TIME", ARG_TIME, 0, "end of the account: 2027-01-31", NULL }) },
	{ .path = "user list", .who = WHO_ADMIN, .help = "all users", .more = "", .example = "user list",
	  COLS({ "name", "USER", COL_TEXT, 1 }, { "kind", "KIND", COL_TEXT, 0 }, { "state", "STATE", COL_STATE, 0 },
	       { "admin", "ADMIN", COL_YES, 0 }, { "person", "PERSON", COL_TEXT, 4 }, { "keys", "KEYS", COL_TEXT, 0 },
	       { "totp", "TOTP", COL_TEXT, 0 }, { "from", "FROM", COL_LIST, 5 }, { "until", "UNTIL", COL_TIME, 0 }) },
	{ .path = "user show", .who = WHO_ADMIN, .help = "everything about a user", .more = "", .example = "user show alice", ARGS(A_USER) },
	{ .path = "user lock", .who = WHO_ADMIN, .help = "lock a user out, and end the user's sessions", .more = "Grants stay and rest until 'user unlock'.",
	  .example = "user lock alice --reason \"laptop stolen\"", ARGS(A_USER, A_WHY) },
	{ .path = "user unlock", .who = WHO_ADMIN, .help = "let a locked user in again", .more = "", .example = "user unlock alice", ARGS(A_USER) },
	{ .path = "user remove", .who = WHO_ADMIN, .help = "remove a user, keys and grants", .more = "The record of events keeps the name; it cannot be used for another person.",
	  .example = "user remove alice", ARGS(A_USER) },
	{ .path = "user key add", .who = WHO_ADMIN, .help = "register a device of a user by its public key",
	  .more = "KEY is the line of a .pub file. For bastionctl it may also be the file's name, or - for standard input.",
	  .example = "user key add alice laptop ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFZ0…",
	  ARGS(A_USER, { "device", "DEVICE", ARG_DEVICE, P, "name of the device", NULL },
	       { "key", "KEY", ARG_PUBKEY, P | ARG_REST, "public key", NULL }) },
	{ .path = "user key list", .who = WHO_USER, .help = "registered devices: yours, or a user's", .more = "Of another user: administrators only.",
	  .example = "user key list", ARGS({ "user", "USER", ARG_USER, ARG_POS, "the user's name; yourself otherwise", NULL }),
	  COLS({ "user", "USER", COL_TEXT, 1 }, { "device", "DEVICE", COL_TEXT, 1 }, { "state", "STATE", COL_STATE, 0 },
	       { "type", "TYPE", COL_TEXT, 3 }, { "fingerprint", "FINGERPRINT", COL_TEXT, 4 }, { "added", "ADDED", COL_TIME, 2 },
	       { "used", "LAST USED", COL_TIME, 2 }) },
	{ .path = "user key revoke", .who = WHO_ADMIN, .help = "revoke a device, and end what it has open", .more = "A revoked key cannot be registered again.",
	  .example = "user key revoke alice laptop", ARGS(A_USER, { "device", "DEVICE", ARG_DEVICE, P, "name of the device", NULL }) },
	{ .path = "user totp enrol", .who = WHO_ADMIN, .help = "give a user a new one-time code secret",
	  .more = "Prints the otpauth URI and, on a terminal, its QR code; bastionctl then asks for two codes, one after the other, that prove that "
	  "the device has it. Until then the old secret stays in force.", .example = "user totp enrol alice",
	  ARGS(A_USER) },
	{ .path = "user totp confirm", .who = WHO_ADMIN, .help = "confirm an enrolment with two codes in a row", .more = "",
	  .example = "user totp confirm alice 492039 038174",
	  ARGS(A_USER, { "code1", "CODE", ARG_CODE, P, "a code", NULL }, { "code2", "CODE", ARG_CODE, P, "the code after it", NULL }) },
	{ .path = "user totp reset", .who = WHO_ADMIN, .help = "take away a user's one-time code secret", .more = "The user cannot log in before the next enrolment.",
	  .example = "user totp reset alice", ARGS(A_USER) },

	/* roles */
	{ .path = "role add", .who = WHO_ADMIN, .help = "add a role: who may ask for what",
	  .more = "A role covers hosts by --host (names, * for any characters) and --label. It gives the right to ask; access is a grant, and a grant ends.",
	  .example = "role add dba --label tier=db --login dba --cap shell --cap sftp --max 8h --approvals 1",
	  ARGS(A_ROLE, { "host", "PATTERN", ARG_PATTERN, MANY, "hosts by name; may be repeated", NULL },
	       { "label", "KEY=VALUE", ARG_LABEL, MANY, "hosts by label; may be repeated", NULL },
	       { "login", "LOGIN", ARG_LOGIN, MANY | N, "accounts; may be repeated", NULL },
	       { "cap", "CAPABILITY", ARG_CAP, MANY, "shell, exec, sftp, scp; may be repeated; all four otherwise", NULL },
	       { "max", "DURATION", ARG_DURATION, 0, "longest grant; 8h otherwise", NULL },
	       { "approvals", "COUNT", ARG_COUNT, 0, "persons who must approve; 1 otherwise", NULL },
	       { "ticket", NULL, ARG_FLAG, 0, "a request must name an outside ticket", NULL },
	       { "hours", "HOURS", ARG_HOURS, 0, "when: \"mon-fri 08:00-18:00\" (UTC)", NULL },
	       { "from", "NETWORK", ARG_NETWORK, MANY, "source networks; may be repeated", NULL }) },
	{ .path = "role list", .who = WHO_ADMIN, .help = "all roles", .more = "", .example = "role list",
	  COLS({ "name", "ROLE", COL_TEXT, 1 }, { "hosts", "HOSTS", COL_LIST, 3 }, { "labels", "LABELS", COL_LIST, 4 }, { "logins", "LOGINS", COL_LIST, 3 },
	       { "caps", "CAPABILITIES", COL_LIST, 4 }, { "max", "LONGEST", COL_SPAN, 0 }, { "approvals", "APPROVALS", COL_TEXT, 0 },
	       { "members", "MEMBERS", COL_LIST, 5 }, { "approvers", "APPROVERS", COL_LIST, 5 }) },
	{ .path = "role show", .who = WHO_ADMIN, .help = "everything about a role", .more = "", .example = "role show dba", ARGS(A_ROLE) },
	{ .path = "role remove", .who = WHO_ADMIN, .help = "remove a role; grants under it end", .more = "", .example = "role remove dba", ARGS(A_ROLE) },
	{ .path = "role member add", .who = WHO_ADMIN, .help = "let a user ask under a role", .more = "", .example = "role member add dba alice", ARGS(A_ROLE, A_USER) },
	{ .path = "role member remove", .who = WHO_ADMIN, .help = "take a user out of a role; the user's grants under it end", .more = "",
	  .example = "role member remove dba alice", ARGS(A_ROLE, A_USER) },
	{ .path = "role approver add", .who = WHO_ADMIN, .help = "let a user decide requests under a role", .more = "", .example = "role approver add dba bob", ARGS(A_ROLE, A_USER) },
	{ .path = "role approver remove", .who = WHO_ADMIN, .help = "take that right away", .more = "", .example = "role approver remove dba bob", ARGS(A_ROLE, A_USER) },

	/* hosts */
	{ .path = "host add", .who = WHO_ADMIN, .help = "register a host",
	  .more = "Only registered hosts can be reached, at this address and with one of these host keys. KEY is a line of ssh-keyscan (with or without the name in "
	  "front) or of a .pub file; for bastionctl also the file's name. Compare the fingerprint with the one that the host shows on its console.",
	  .example = "host add web1 --address 10.0.0.11 --key \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFZ0…\" --label tier=web --login dba",
	  ARGS(A_HOST, { "address", "ADDRESS", ARG_ADDRESS, N, "what the bastion dials: a name or an address", NULL },
	       { "port", "PORT", ARG_PORT, 0, "22 otherwise", NULL },
	       { "key", "KEY", ARG_PUBKEY, MANY | N, "pinned host key; may be repeated", NULL },
	       { "label", "KEY=VALUE", ARG_LABEL, MANY, "may be repeated", NULL },
	       { "login", "LOGIN", ARG_LOGIN, MANY | N, "accounts that exist for users of the bastion; may be repeated", NULL },
	       { "managed_key", "NAME", ARG_KEYNAME, 0, "log in with this managed key; with a certificate otherwise", NULL }) },
	{ .path = "host list", .who = WHO_ADMIN, .help = "all hosts", .more = "", .example = "host list",
	  COLS({ "name", "HOST", COL_TEXT, 1 }, { "address", "ADDRESS", COL_TEXT, 2 }, { "port", "PORT", COL_TEXT, 0 },
	       { "logins", "LOGINS", COL_LIST, 3 }, { "labels", "LABELS", COL_LIST, 4 }, { "managed_key", "MANAGED KEY", COL_TEXT, 4 },
	       { "keys", "HOST KEYS", COL_LIST, 5 }) },
	{ .path = "host remove", .who = WHO_ADMIN, .help = "remove a host; grants for it end", .more = "", .example = "host remove web1", ARGS(A_HOST) },
	{ .path = "host trust", .who = WHO_ADMIN, .help = "what the host's sshd needs to let the bastion in", .more = "", .example = "host trust web1", ARGS(A_HOST) },

	/* on the bastion itself */
	{ .path = "init", .who = WHO_ROOT, .where = AT_CTL, .help = "make the keys and the database of a new bastion",
	  .more = "Runs 'bastiond -I'. Keeps what is there already.", .example = "init" },
	{ .path = "key add", .who = WHO_ROOT, .where = AT_CTL, .help = "make a managed key, for targets without certificates",
	  .more = "Written to keys/managed/ in the state directory; the running daemon has it after a restart. Prints the line for the target's authorized_keys.",
	  .example = "key add legacy --type rsa", ARGS({ "name", "NAME", ARG_KEYNAME, P, "the key's name", NULL },
	       { "type", "TYPE", ARG_CHOICE, 0, "ed25519 (otherwise), ecdsa or rsa", "ed25519 ecdsa rsa" }) },
	{ .path = "key list", .who = WHO_ADMIN, .help = "the certificate authority and the managed keys", .more = "", .example = "key list",
	  COLS({ "name", "NAME", COL_TEXT, 1 }, { "key", "PUBLIC KEY", COL_TEXT, 5 }) },
	{ .path = "completion", .who = WHO_USER, .where = AT_CTL, .help = "a completion script for your shell", .more = "",
	  .example = "completion bash", ARGS({ "shell", "SHELL", ARG_CHOICE, P, "bash or zsh", "bash zsh" }) },
};

const size_t words_count = sizeof(words_table) / sizeof(words_table[0]);
