/*
 * replay_args.c - the command line of bastion-replay: one table of commands, one of options.
 */
#include "replay.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "release.h"

enum {
	B_LIST = 1, B_SHOW = 2, B_PLAY = 4, B_VERIFY = 8, B_EXPORT = 16, B_SEARCH = 32,
	B_COMMANDS = 64,
	B_BUNDLE = 128, B_EVENTS = 256, B_FOLLOW = 512, B_PULL = 1024, B_READINGS = 2048, B_APPROVALS = 4096, B_ALL = 8191
};

const struct command replay_commands[] = {
	{ "list", "", "recordings of the store, oldest first", B_LIST, 0, 0, cmd_list },
	{ "show", "ID", "metadata, channels, commands, files, gaps and notes of a recording",
	    B_SHOW, 1, 1, cmd_show },
	{ "play", "ID", "a terminal session as it was seen", B_PLAY, 1, 1, cmd_play },
	{ "follow", "ID", "a session as it happens, while the collector still stores it", B_FOLLOW, 1, 1,
	    cmd_follow },
	{ "bundle", "ID", "a recording with all that proves it, in one file for an outside auditor", B_BUNDLE, 1, 1,
	    cmd_bundle },
	{ "verify", "[ID ...]", "is it whole and untouched? Needs no identity", B_VERIFY, 0,
	    REPLAY_IDS_MAX, cmd_verify },
	{ "pull", "", "a copy of a bucket's store, or what is new of it", B_PULL, 0, 0, cmd_pull },
	{ "export", "ID", "a recording in a form for other programs, on standard output", B_EXPORT,
	    1, 1, cmd_export },
	{ "search", "TEXT", "what was on the screen or typed, over many recordings", B_SEARCH, 1, 1,
	    cmd_search },
	{ "commands", "ID", "what was typed at a prompt: a help, no boundary", B_COMMANDS, 1, 1,
	    cmd_commands },
	{ "events", "", "what happened on the bastion, and whether an event is missing", B_EVENTS, 0, 0,
	    cmd_events },
	{ "readings", "", "what was read on this machine, and what of it the bastion does not know", B_READINGS, 0, 0,
	    cmd_readings },
	{ "approvals", "ID", "who approved what a recording shows, and the signatures", B_APPROVALS, 1, 1, cmd_approvals },
	{ NULL, NULL, NULL, 0, 0, 0, NULL },
};

/* Options without a letter have a number of their own. */
enum {
	O_JSON = 256, O_USER, O_HOST, O_SINCE, O_UNTIL, O_SPEED, O_IDLE, O_AT, O_CHANNEL, O_ALL,
	O_CAST, O_CAST3, O_TEXT, O_SVG, O_TYPED, O_SHOWN, O_HTML, O_REVEAL,
	O_FROM, O_CREDENTIALS, O_REGION, O_CA, O_DELIVER, O_SIGNERS, O_APART, O_ALSO, O_LOG
};

static const struct {
	const char *name;
	int key;
	const char *arg;	/* NULL: takes none */
	unsigned commands;
	const char *help;
} options[] = {
	{ "store", 'd', "DIR", B_ALL,
	    "the collector's directory, or a copy of it ($BASTION_STORE); verify: or a bucket" },
	{ "identity", 'i', "FILE", B_ALL, "the auditor's age identity ($BASTION_IDENTITY)" },
	{ "key", 'i', "FILE", B_ALL, "the same as --identity" },
	{ "trust", 'k', "FILE", B_ALL,
	    "the keys of bastions and collectors to believe ($BASTION_TRUST)" },
	{ "json", O_JSON, NULL, B_LIST | B_SHOW | B_VERIFY | B_EXPORT | B_SEARCH | B_COMMANDS |
	    B_EVENTS | B_READINGS | B_APPROVALS, "JSON, one object a line" },
	{ "user", O_USER, "NAME", B_LIST | B_SEARCH | B_EVENTS,
	    "only recordings of this user; events by or about it" },
	{ "host", O_HOST, "NAME", B_LIST | B_SEARCH, "only recordings of this host" },
	{ "since", O_SINCE, "TIME", B_LIST | B_SEARCH | B_EVENTS | B_PULL,
	    "only those begun at this time or later (2026-11-22, 2026-11-22T20:15Z)" },
	{ "until", O_UNTIL, "TIME", B_LIST | B_SEARCH | B_EVENTS | B_PULL, "only those begun before this time" },
	{ "all", O_ALL, NULL, B_VERIFY,
	    "all recordings of the store; so it is also without an ID" },
	{ "speed", O_SPEED, "N", B_PLAY, "times the speed of the recording, 0.1 to 100 (1)" },
	{ "idle-max", O_IDLE, "TIME", B_PLAY, "longest pause shown, 0 for no limit (2s)" },
	{ "at", O_AT, "TIME", B_PLAY | B_EXPORT, "there: 90, 1:30, 1h2m" },
	{ "channel", O_CHANNEL, "N", B_PLAY | B_FOLLOW | B_EXPORT | B_COMMANDS,
	    "this channel of the connection; show lists them" },
	{ "asciicast", O_CAST, NULL, B_EXPORT,
	    "asciicast v2 of a channel, for asciinema-player and agg" },
	{ "asciicast-v3", O_CAST3, NULL, B_EXPORT, "the same in version 3, with the exit status" },
	{ "text", O_TEXT, NULL, B_EXPORT, "what was to be read, as lines" },
	{ "html", O_HTML, NULL, B_EXPORT, "a page that plays a channel, with commands, files, events" },
	{ "svg", O_SVG, NULL, B_EXPORT, "the screen at the time of --at, or the last one" },
	{ "output", 'o', "FILE", B_BUNDLE | B_APPROVALS, "the file to make; - is standard output. approvals: a directory for texts and signatures" },
	{ "signers", O_SIGNERS, "FILE", B_APPROVALS, "the keys that approvers sign with, as ssh-keygen's allowed signers" },
	{ "apart", O_APART, "DIR", B_EVENTS, "the store of the collectors for break-glass: are its recordings those that events name?" },
	{ "also", O_ALSO, "DIR", B_EVENTS, "the store of another collector: a recording that is there is not missing; may be repeated" },
	{ "log", O_LOG, "NAME", B_VERIFY, "the collector of the trust file whose store this is: its log, and no other's" },
	{ "from", O_FROM, "URL", B_PULL, "the bucket: https://HOST[:PORT]/BUCKET[/PREFIX]" },
	{ "credentials", O_CREDENTIALS, "FILE", B_PULL | B_VERIFY,
	    "keys that may read the bucket ($AWS_ACCESS_KEY_ID)" },
	{ "region", O_REGION, "NAME", B_PULL | B_VERIFY, "of the bucket ($AWS_REGION, us-east-1)" },
	{ "ca", O_CA, "FILE", B_PULL | B_VERIFY,
	    "certificates that the bucket's must come from (the system's)" },
	{ "typed", O_TYPED, NULL, B_SEARCH, "only what was typed" },
	{ "shown", O_SHOWN, NULL, B_SEARCH, "only what was to be read" },
	{ "reveal", O_REVEAL, NULL, B_PLAY | B_EXPORT | B_SEARCH | B_FOLLOW,
	    "also what was typed without an echo, as passwords are: an event" },
	{ "deliver", O_DELIVER, NULL, B_READINGS, "tell the bastion what it does not know" },
	{ "help", 'h', NULL, B_ALL, "this text" },
	{ "version", 'V', NULL, B_ALL, "print the version" },
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static int complain(const char *what, const char *value, const char *right)
{
	char text[256];

	esc_quoted(text, sizeof(text), value, strlen(value));
	fprintf(stderr, "bastion-replay: %s %s: %s\n", what, text, right);
	return -1;
}

/* ---- values ---- */

int args_offset(const char *text, uint64_t *us)
{
	unsigned long part[3] = { 0 };
	const char *p = text;
	uint32_t seconds;
	int n = 0;
	char *end;

	if (strcmp(text, "0") == 0) {
		*us = 0;
		return 0;
	}
	if (text[strspn(text, "0123456789:")] != '\0') {
		if (duration_parse(text, &seconds) != 0)
			return -1;
		*us = seconds * 1000000ULL;
		return 0;
	}
	for (;;) {
		if (n == 3 || *p < '0' || *p > '9')
			return -1;
		errno = 0;
		part[n] = strtoul(p, &end, 10);
		if (errno != 0 || part[n] > 10000000 || (n > 0 && part[n] > 59))
			return -1;
		n++;
		if (*end == '\0')
			break;
		p = end + 1;
	}
	uint64_t s = 0;
	for (int i = 0; i < n; i++)
		s = s * 60 + part[i];
	*us = s * 1000000;
	return 0;
}

static int parse_speed(const char *text, unsigned *percent)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= 0.1 && v <= 100))
		return -1;
	*percent = (unsigned)(v * 100 + 0.5);
	return 0;
}

static int parse_channel(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || v < 0)
		return -1;
	*out = v;
	return 0;
}

static int set_form(struct args *a, enum export_form form)
{
	if (a->form != EXPORT_NONE && a->form != form) {
		fprintf(stderr, "bastion-replay: export makes one thing at a time: "
		    EXPORT_FORMS "\n");
		return -1;
	}
	a->form = form;
	return 0;
}

/* r is what a parser of values said. */
static int judge(int r, const char *option, const char *value, const char *right)
{
	return r == 0 ? 0 : complain(option, value, right);
}

static int set_option(struct args *a, int key, const char *value)
{
	static const char wall[] = "a time is 2026-11-22 or 2026-11-22T20:15Z";

	switch (key) {
	case 'd': a->store = a->store_option = value; return 0;
	case 'i':
		if (a->nidentities == REPLAY_IDENTITIES_MAX)
			return complain("--identity", value, "at most 8 of them are taken");
		a->identities[a->nidentities++] = value;
		return 0;
	case 'k': a->trust = value; a->trust_named = true; return 0;
	case 'o': a->output = value; return 0;
	case 'h': a->help = true; return 0;
	case 'V': a->version = true; return 0;
	case O_LOG: a->log = value; return 0;
	case O_FROM: a->from = value; return 0;
	case O_CREDENTIALS: a->credentials = value; return 0;
	case O_REGION: a->region = value; return 0;
	case O_CA: a->ca = value; return 0;
	case O_SIGNERS: a->signers = value; return 0;
	case O_APART: a->apart = value; return 0;
	case O_ALSO:
		if (a->nalso == REPLAY_ALSO_MAX)
			return complain("--also", value, "at most 7 of them are taken");
		a->also[a->nalso++] = value;
		return 0;
	case O_USER: a->user = value; return 0;
	case O_HOST: a->host = value; return 0;
	case O_ALL: a->all = true; return 0;
	case O_CAST: return set_form(a, EXPORT_CAST);
	case O_TYPED: a->only_typed = true; return 0;
	case O_SHOWN: a->only_shown = true; return 0;
	case O_REVEAL: a->reveal = true; return 0;
	case O_DELIVER: a->deliver = true; return 0;
	case O_CAST3: return set_form(a, EXPORT_CAST3);
	case O_HTML: return set_form(a, EXPORT_HTML);
	case O_TEXT: return set_form(a, EXPORT_TEXT);
	case O_SVG: return set_form(a, EXPORT_SVG);
	case O_JSON:
		a->json = true;
		return set_form(a, EXPORT_JSON);
	case O_SINCE:
		return judge(clock_parse(value, &a->since), "--since", value, wall);
	case O_UNTIL:
		return judge(clock_parse(value, &a->until), "--until", value, wall);
	case O_SPEED:
		return judge(parse_speed(value, &a->speed), "--speed", value,
		    "a number from 0.1 to 100");
	case O_IDLE:
		return judge(args_offset(value, &a->idle_us), "--idle-max", value,
		    "a time is 0, 2s, 1:30");
	case O_AT:
		a->at_given = true;
		return judge(args_offset(value, &a->at_us), "--at", value,
		    "a time is 90, 1:30, 1h2m");
	default:
		return judge(parse_channel(value, &a->channel), "--channel", value,
		    "a number; show lists the channels");
	}
}

/* ---- the command line ---- */

static const struct command *find_command(const char *name)
{
	for (const struct command *c = replay_commands; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static const char *from_environment(const char *name, const char *otherwise)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : otherwise;
}

static void set_defaults(struct args *a)
{
	memset(a, 0, sizeof(*a));
	a->store = from_environment("BASTION_STORE", REPLAY_STORE);
	a->identity = from_environment("BASTION_IDENTITY", NULL);
	a->trust = from_environment("BASTION_TRUST", release_trust);
	a->trust_named = strcmp(a->trust, release_trust) != 0;
	a->until = INT64_MAX;
	a->speed = 100;
	a->idle_us = 2000000;
	a->channel = -1;
}

/* The long options and the letters for getopt, from the table. */
static void make_getopt(struct option lopts[OPTIONS + 1], char letters[2 * OPTIONS + 2])
{
	size_t n = 0;

	letters[n++] = ':';
	for (size_t i = 0; i < OPTIONS; i++) {
		lopts[i] = (struct option){ options[i].name,
			options[i].arg != NULL ? required_argument : no_argument, NULL,
			options[i].key };
		if (options[i].key < 256 && strchr(letters + 1, options[i].key) == NULL) {
			letters[n++] = (char)options[i].key;
			if (options[i].arg != NULL)
				letters[n++] = ':';
		}
		letters[n] = '\0';
	}
	lopts[OPTIONS] = (struct option){ 0 };
}

static int take_operands(struct args *a, int argc, char **argv)
{
	unsigned n = (unsigned)(argc - optind);

	if (a->version || (n == 0 && a->help))
		return 0;
	if (n == 0) {
		args_help(stderr, NULL);
		return -1;
	}
	a->command = find_command(argv[optind]);
	if (strcmp(argv[optind], "help") == 0) {
		a->help = true;
		a->command = n > 1 ? find_command(argv[optind + 1]) : NULL;
		return 0;
	}
	if (a->command == NULL)
		return complain("unknown command", argv[optind],
		    "bastion-replay --help lists them");
	if (a->help)
		return 0;
	n--;
	if (n < a->command->least || n > a->command->most) {
		fprintf(stderr, "bastion-replay: usage: bastion-replay %s %s\n", a->command->name,
		    a->command->args);
		return -1;
	}
	for (a->nids = 0; a->nids < n; a->nids++)
		a->ids[a->nids] = argv[optind + 1 + (int)a->nids];
	return 0;
}

int args_parse(struct args *a, int argc, char **argv)
{
	struct option lopts[OPTIONS + 1];
	char letters[2 * OPTIONS + 2] = "";
	bool used[OPTIONS] = { false };
	int c, at = -1;

	set_defaults(a);
	make_getopt(lopts, letters);
	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, letters, lopts, &at)) != -1) {
		if (c == ':')
			return complain("option", argv[optind - 1], "it needs a value");
		if (c == '?')
			return complain("unknown option", argv[optind - 1],
			    "bastion-replay --help lists them");
		for (size_t i = 0; i < OPTIONS; i++)
			if (options[i].key == c)
				used[i] = true;
		if (set_option(a, c, optarg) != 0)
			return -1;
	}
	if (take_operands(a, argc, argv) != 0)
		return -1;
	for (size_t i = 0; i < OPTIONS && a->command != NULL; i++)
		if (used[i] && (options[i].commands & a->command->bit) == 0) {
			fprintf(stderr, "bastion-replay: --%s means nothing to %s\n",
			    options[i].name, a->command->name);
			return -1;
		}
	return 0;
}

static void help_options(FILE *out, unsigned mask, bool common)
{
	char left[64];

	for (size_t i = 0; i < OPTIONS; i++) {
		if ((options[i].commands & mask) == 0 || (options[i].commands == B_ALL) != common)
			continue;
		snprintf(left, sizeof(left), "%s%c%s--%s%s%s", options[i].key < 256 ? "-" : "",
		    options[i].key < 256 ? options[i].key : ' ',
		    options[i].key < 256 ? ", " : "   ", options[i].name,
		    options[i].arg != NULL ? " " : "",
		    options[i].arg != NULL ? options[i].arg : "");
		fprintf(out, "  %-22s %s\n", left, options[i].help);
	}
}

void args_help(FILE *out, const struct command *c)
{
	if (c != NULL)
		fprintf(out, "usage: bastion-replay %s [options] %s\n\n  %s\n\n", c->name, c->args,
		    c->help);
	else {
		fprintf(out, "usage: bastion-replay COMMAND [options] [ID]\n\n");
		for (c = replay_commands; c->name != NULL; c++)
			fprintf(out, "  %-8s %-10s %s\n", c->name, c->args, c->help);
		fprintf(out, "\n  An ID may be cut to what is unique in the store, or be a "
		    "recording's directory.\n\n");
		c = NULL;
	}
	if (c != NULL)
		help_options(out, c->bit, false);
	help_options(out, c != NULL ? c->bit : B_ALL, true);
	fprintf(out, c == NULL ?
	    "\nbastion-replay COMMAND --help says more; bastion-replay(1) says it all.\n" :
	    "\nExit status: 0 done, 1 a verdict is a failure, 2 wrong usage, "
	    "3 cannot be read or decrypted.\n");
}
