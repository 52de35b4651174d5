/*
 * ctl_import.c - `bastionctl import keys` and `import hosts`: what a machine had before the bastion, line by line.
 *
 * The whole file is read before anything is asked of policy: each line becomes the word that would do it (user key add, host add), or
 * it is named with its number, and then nothing is done. Without --apply the words are only shown; that there is the user who would get
 * the keys is asked even then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "names.h"

#define FILE_BYTES (1U << 20)
#define LINES_MAX 4096
#define ARGV_MAX 48
#define BLANK " \t\r"
#define DEVICE_SIZE (USER_NAME_MAX + 1)

struct task {
	char *json;		/* the request */
	char says[320];		/* what it does, and where it comes from */
};

struct import {
	struct ctl *c;
	const char *path;
	char *text;
	struct task tasks[LINES_MAX];
	size_t ntasks;
	unsigned faults;
};

/* A line that cannot be. The rest is still looked at, so that all are told at once. */
static void fault(struct import *in, unsigned line, const char *what)
{
	ctl_fail("%s:%u: %s", in->path, line, what);
	in->faults++;
}

/* The next line, cut at its end and at leading blanks; NULL: no more. */
static char *next_line(char **rest)
{
	char *line = *rest, *end;

	if (line == NULL || *line == '\0')
		return NULL;
	end = line + strcspn(line, "\n");
	*rest = *end != '\0' ? end + 1 : end;
	*end = '\0';
	while (end > line && strchr(BLANK, end[-1]) != NULL)
		*--end = '\0';
	return line + strspn(line, BLANK);
}

/* The word that argv is, checked as if it had been typed. */
static void add(struct import *in, unsigned line, int argc, char *const argv[], const char *says)
{
	static const struct words_env env = { .who = WHO_ADMIN, .prefix = "bastionctl " };
	struct words_call call;
	char err[WORDS_ERR_MAX];

	if (in->ntasks == LINES_MAX) {
		fault(in, line, "too many lines: split the file");
		return;
	}
	if (words_parse(argc, argv, &env, &call, err, sizeof(err)) != WORDS_OK) {
		fault(in, line, err);
		return;
	}
	in->tasks[in->ntasks].json = call.json;
	call.json = NULL;
	words_call_finish(&call);
	snprintf(in->tasks[in->ntasks++].says, sizeof(in->tasks[0].says), "%s:%u: %s", in->path, line, says);
}

static bool reply_ok(const struct buf *reply, char *error, size_t size)
{
	json_t *json = json_loadb((const char *)reply->data, reply->len, 0, NULL);
	const char *why = json_string_value(json_object_get(json, "error"));
	const bool ok = json_is_true(json_object_get(json, "ok"));

	snprintf(error, size, "%s", why != NULL ? why : "the answer makes no sense");
	json_decref(json);
	return ok;
}

static void print_line(const char *a, const char *b)
{
	struct buf out;

	buf_init(&out, RENDER_MAX);
	buf_put(&out, a, strlen(a));
	render_line(&out, b);
	fwrite(out.data, 1, out.len, stdout);
	buf_finish(&out);
}

/* All of it, or a list of what would be done. The exit status is that of the first line that was refused. */
static int carry_out(struct import *in, bool apply)
{
	int status = WORDS_OK, r;
	size_t done = 0;

	if (in->faults > 0) {
		ctl_fail("nothing was done: correct %u line%s first", in->faults, in->faults == 1 ? "" : "s");
		return WORDS_USAGE;
	}
	for (size_t i = 0; i < in->ntasks; i++) {
		struct buf reply;
		char error[640];

		if (!apply) {
			print_line("would do  ", in->tasks[i].says);
			continue;
		}
		buf_init(&reply, CTL_REPLY_MAX);
		if ((r = ctl_ask(in->c, in->tasks[i].json, &reply)) == WORDS_OK && !reply_ok(&reply, error, sizeof(error))) {
			ctl_fail("%s: refused: %s", in->tasks[i].says, error);
			r = WORDS_REFUSED;
		} else if (r == WORDS_OK) {
			print_line("done      ", in->tasks[i].says);
			done++;
		}
		buf_finish(&reply);
		if (status == WORDS_OK)
			status = r;
		if (r == WORDS_BROKEN)
			break;
	}
	if (apply)
		printf("%zu of %zu done.\n", done, in->ntasks);
	else
		printf("%zu to do, nothing was done. Do it with --apply.\n", in->ntasks);
	return ctl_flush() == WORDS_OK ? status : WORDS_BROKEN;
}

static struct import *begin(struct ctl *c, const char *path)
{
	struct import *in = calloc(1, sizeof(*in));

	if (in == NULL) {
		ctl_fail("no memory");
		return NULL;
	}
	in->c = c;
	in->path = path;
	if ((in->text = ctl_text(path, FILE_BYTES)) != NULL)
		return in;
	free(in);
	return NULL;
}

static int end(struct import *in, int status)
{
	for (size_t i = 0; i < in->ntasks; i++)
		free(in->tasks[i].json);
	free(in->text);
	free(in);
	return status;
}

/* --- keys --- */

/*
 * A device's name out of the comment of a key: of alice@laptop the part behind the @; letters that no name has become '-'. Without a
 * comment, or where the name was in the file already, a number makes it one.
 */
static void device_name(const char *comment, char seen[][DEVICE_SIZE], size_t nseen, char out[DEVICE_SIZE])
{
	const char *at = strrchr(comment, '@'), *from = at != NULL && at[1] != '\0' ? at + 1 : comment;
	char base[DEVICE_SIZE];
	size_t n = 0;

	for (; *from != '\0' && n < 24; from++) {
		const char c = *from >= 'A' && *from <= 'Z' ? (char)(*from - 'A' + 'a') : *from;
		const bool fits = (c >= 'a' && c <= 'z') || (n > 0 && ((c >= '0' && c <= '9') || c == '.' || c == '_'));

		if (fits || n > 0)
			base[n++] = fits ? c : '-';
	}
	base[n] = '\0';
	snprintf(out, DEVICE_SIZE, "%s", n > 0 ? base : "key");
	for (unsigned i = 2; i < LINES_MAX; i++) {
		size_t k = 0;

		while (k < nseen && strcmp(seen[k], out) != 0)
			k++;
		if (k == nseen)
			return;
		snprintf(out, DEVICE_SIZE, "%.24s-%u", n > 0 ? base : "key", i);
	}
}

/* Is there somebody to have the keys? Also asked when they would only be shown. WORDS_OK, or another status after a line. */
static int ask_user(struct ctl *c, const char *user)
{
	json_t *ask = json_pack("{s:s, s:{s:s}}", "word", "user show", "args", "user", user), *reply = NULL;
	char *text = ask != NULL ? json_dumps(ask, JSON_COMPACT) : NULL;
	int r = WORDS_BROKEN;

	if (text == NULL)
		ctl_fail("no memory");
	else
		reply = ctl_get(c, text, &r);
	json_decref(reply);
	json_decref(ask);
	free(text);
	return reply != NULL ? WORDS_OK : r;
}

int ctl_import_keys(struct ctl *c, const json_t *args)
{
	const char *user = json_string_value(json_object_get(args, "user"));
	static char seen[LINES_MAX][DEVICE_SIZE];
	struct import *in = begin(c, json_string_value(json_object_get(args, "file")));
	char *rest, *line, device[DEVICE_SIZE], says[256];
	unsigned at = 0;
	int r;

	if (in == NULL)
		return WORDS_BROKEN;
	rest = in->text;
	while ((line = next_line(&rest)) != NULL) {
		char *const argv[] = { (char *)(uintptr_t)"user", (char *)(uintptr_t)"key", (char *)(uintptr_t)"add",
			(char *)(uintptr_t)user, device, line };
		const char *comment = line;

		at++;
		if (*line == '\0' || *line == '#')
			continue;
		for (int i = 0; i < 2; i++) {
			comment += strcspn(comment, BLANK);
			comment += strspn(comment, BLANK);
		}
		if (in->ntasks < LINES_MAX)
			device_name(comment, seen, in->ntasks, device);
		snprintf(says, sizeof(says), "user key add %s %s  (%.*s %.60s)", user, device, (int)strcspn(line, BLANK), line, comment);
		if (strncmp(line, "ssh-", 4) != 0 && strncmp(line, "ecdsa-", 6) != 0 && strncmp(line, "sk-", 3) != 0)
			fault(in, at, "no public key begins here. Options before a key (from=, command=) are not taken over: a role rule says "
			    "such things for every key");
		else
			add(in, at, 6, argv, says);
		if (in->ntasks > 0)
			snprintf(seen[in->ntasks - 1], DEVICE_SIZE, "%s", device);
	}
	if (in->faults == 0 && (r = ask_user(c, user)) != WORDS_OK)
		return end(in, r);
	return end(in, carry_out(in, json_is_true(json_object_get(args, "apply"))));
}

/* --- hosts --- */

struct hosts {
	struct import *in;
	char *keys;			/* known_hosts: lines cut by next_line() */
	const char *lines[LINES_MAX];
	size_t nlines;
	const json_t *logins, *labels;
};

/* Is `want` among the names of a known_hosts line, alone or as [want]:port? *port: that, 22 otherwise. */
static bool names_it(const char *line, const char *want, unsigned *port)
{
	const size_t len = strcspn(line, BLANK), n = strlen(want);

	for (size_t at = 0; at < len;) {
		const size_t one = strcspn(line + at, ", \t\r");

		if (one == n && strncasecmp(line + at, want, n) == 0) {
			*port = 22;
			return true;
		}
		if (one > n + 3 && line[at] == '[' && strncasecmp(line + at + 1, want, n) == 0 && line[at + n + 1] == ']' &&
		    line[at + n + 2] == ':' && (*port = (unsigned)strtoul(line + at + n + 3, NULL, 10)) > 0 && *port < 65536)
			return true;
		at += one + 1;
	}
	return false;
}

static void add_list(char **argv, int *argc, const char *flag, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list) && *argc + 2 < ARGV_MAX; i++) {
		argv[(*argc)++] = (char *)(uintptr_t)flag;
		argv[(*argc)++] = (char *)(uintptr_t)json_string_value(json_array_get(list, i));
	}
}

static void add_host(struct hosts *h, unsigned at, const char *name, const char *address)
{
	char *argv[ARGV_MAX], port[8] = "", says[256], what[256];
	unsigned first = 0, this;
	int argc = 0, keys = 0;

	argv[argc++] = (char *)(uintptr_t)"host";
	argv[argc++] = (char *)(uintptr_t)"add";
	argv[argc++] = (char *)(uintptr_t)name;
	argv[argc++] = (char *)(uintptr_t)"--address";
	argv[argc++] = (char *)(uintptr_t)address;
	for (size_t i = 0; i < h->nlines && keys < 8; i++) {
		if ((!names_it(h->lines[i], address, &this) && !names_it(h->lines[i], name, &this)) || (first != 0 && this != first))
			continue;
		first = this;
		argv[argc++] = (char *)(uintptr_t)"--key";
		argv[argc++] = (char *)(uintptr_t)h->lines[i];
		keys++;
	}
	if (keys == 0) {
		snprintf(what, sizeof(what), "no host key of %.64s in the file of --keys: ssh-keyscan %.64s, and compare", name, address);
		fault(h->in, at, what);
		return;
	}
	if (first != 22) {
		snprintf(port, sizeof(port), "%u", first);
		argv[argc++] = (char *)(uintptr_t)"--port";
		argv[argc++] = port;
	}
	add_list(argv, &argc, "--login", h->logins);
	add_list(argv, &argc, "--label", h->labels);
	snprintf(says, sizeof(says), "host add %.64s --address %.64s%s%s  (%d key%s)", name, address, port[0] != '\0' ? " --port " : "", port,
	    keys, keys == 1 ? "" : "s");
	add(h->in, at, argc, argv, says);
}

/* "10.0.0.11 web1 web1.example.org": the first name counts. What names this machine, or a group, is passed over. */
static void host_line(struct hosts *h, unsigned at, char *line)
{
	static const char *const own[] = { "127.", "::1", "fe00::", "ff00::", "ff02::", "0.0.0.0", "255.255.255.255" };
	char *save = NULL, *address = strtok_r(line, BLANK, &save), *name = strtok_r(NULL, BLANK, &save);
	uint8_t number[16];

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(address, own[i], strlen(own[i])) == 0)
			return;
	if (inet_pton(AF_INET, address, number) != 1 && inet_pton(AF_INET6, address, number) != 1)
		fault(h->in, at, "a line is an address and a name: 10.0.0.11 web1");
	else if (name == NULL)
		fault(h->in, at, "there is an address, and no name behind it");
	else
		add_host(h, at, name, address);
}

static int read_keys(struct hosts *h, const char *path)
{
	char *rest, *line;
	unsigned at = 0, hashed = 0;

	if ((h->keys = ctl_text(path, FILE_BYTES)) == NULL)
		return WORDS_BROKEN;
	rest = h->keys;
	while ((line = next_line(&rest)) != NULL) {
		at++;
		if (*line == '\0' || *line == '#' || *line == '@') /* @revoked, @cert-authority: not pins */
			continue;
		hashed += *line == '|';
		if (h->nlines == LINES_MAX) {
			ctl_fail("%s:%u: too many lines", path, at);
			return WORDS_USAGE;
		}
		h->lines[h->nlines++] = line;
	}
	if (hashed > 0)
		ctl_fail("%s: %u lines with hashed names are not used: ssh-keyscan prints names", path, hashed);
	return WORDS_OK;
}

int ctl_import_hosts(struct ctl *c, const json_t *args)
{
	struct hosts *h = calloc(1, sizeof(*h));
	unsigned at = 0;
	char *rest, *line;
	int r = WORDS_BROKEN;

	if (h == NULL || (h->in = begin(c, json_string_value(json_object_get(args, "file")))) == NULL) {
		free(h);
		return WORDS_BROKEN;
	}
	h->logins = json_object_get(args, "login");
	h->labels = json_object_get(args, "label");
	if ((r = read_keys(h, json_string_value(json_object_get(args, "keys")))) == WORDS_OK) {
		rest = h->in->text;
		while ((line = next_line(&rest)) != NULL) {
			at++;
			line[strcspn(line, "#")] = '\0';
			if (*line != '\0')
				host_line(h, at, line);
		}
		r = carry_out(h->in, json_is_true(json_object_get(args, "apply")));
	}
	r = end(h->in, r);
	free(h->keys);
	free(h);
	return r;
}
