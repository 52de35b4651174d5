/*
 * words.c - a line or an argv into a request. See words.h.
 *
 * Runs in bastionctl and in the session process; before it comes a line that a user typed, after it
 * the request goes to policy (control.c). The order: split, find the word, take its arguments,
 * check that none is missing.
 */
#include "words.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "words_check.h"

#define PATH_MAX_LEN 64		/* longest "user totp confirm", and room for a wrong one */
#define WORD_DEPTH 3		/* most parts of a path */

struct parse {
	const struct words_env *env;
	const char *prefix;
	const struct words_word *word;
	json_t *args;
	const struct words_arg *text; /* the text flag set last, if what follows may belong to it */
	size_t place;			/* next argument by place */
	bool as_json, as_csv, help;
	char *err;
	size_t errsize;
	char shown[64], flag[40];	/* for messages */
};

static int complain(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int complain(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err, p->errsize, fmt, ap);
	va_end(ap);
	return -1;
}

/* A foreign text for a message: quoted, escaped, not too long. One at a time. */
static const char *show(struct parse *p, const char *s)
{
	esc_quoted(p->shown, sizeof(p->shown), s, strlen(s));
	return p->shown;
}

/*
 * "managed_key" in the request is --managed-key for people. The result goes with the parse, one at
 * a time.
 */
static const char *flag_of(struct parse *p, const char *name)
{
	snprintf(p->flag, sizeof(p->flag), "--%s", name);
	for (char *c = p->flag; *c != '\0'; c++)
		if (*c == '_')
			*c = '-';
	return p->flag;
}

/* How an argument is called in a message: HOST, or --login. */
static const char *arg_of(struct parse *p, const struct words_arg *arg)
{
	return (arg->how & ARG_POS) != 0 ? arg->show : flag_of(p, arg->name);
}

/*
 * One word of the line at *p to *o. `open`: a quote would count here: where the word begins, after
 * the '=' of a flag, and after a quoted part, so that 'can'\''t' is as in a shell. Returns the
 * quote that was not closed, or 0.
 */
static int split_word(const char **p, char **o)
{
	const char *s = *p;
	bool flag = s[0] == '-' && s[1] == '-', open = true;
	char quote = '\0';

	for (; *s != '\0' && (quote != '\0' || (*s != ' ' && *s != '\t')); s++) {
		if (quote != '\0' ? *s == quote : open && (*s == '\'' || *s == '"')) {
			quote = quote != '\0' ? '\0' : *s;
			open = true;
			continue;
		}
		if (*s == '\\' && s[1] != '\0' &&
		    (quote == '\0' || (quote == '"' && strchr("\"\\", s[1]) != NULL))) {
			s++;
		} else if (quote == '\0') {
			open = flag && *s == '=';
			flag = flag && *s != '=';
		}
		*(*o)++ = *s;
	}
	*(*o)++ = '\0';
	*p = s;
	return quote;
}

int words_split(const char *line, char *out, size_t size, char **argv, int max, char *err,
    size_t errsize)
{
	char *o = out;
	int n = 0, quote;

	if (strlen(line) >= size || strlen(line) > WORDS_LINE_MAX) {
		snprintf(err, errsize, "the line is too long: at most %d bytes", WORDS_LINE_MAX);
		return -1;
	}
	for (;;) {
		line += strspn(line, " \t");
		if (*line == '\0' || (n == 0 && *line == '#'))
			return n;
		if (n == max) {
			snprintf(err, errsize, "too many words in one line: at most %d", max);
			return -1;
		}
		argv[n++] = o;
		if ((quote = split_word(&line, &o)) != '\0') {
			snprintf(err, errsize,
			    "a quote (%c) is not closed: close it, or write \\%c", quote, quote);
			return -1;
		}
	}
}

const struct words_word *words_find(const char *path)
{
	for (size_t i = 0; i < words_count; i++)
		if (strcmp(words_table[i].path, path) == 0)
			return &words_table[i];
	return NULL;
}

/*
 * Does the word exist where the caller is? Rights are not looked at: a refusal by policy says more
 * than "no such word".
 */
static bool exists_here(const struct words_word *w, const struct words_env *env)
{
	return (w->where != AT_CTL || env->ctl) && (w->where != AT_CONSOLE || env->console);
}

/* argv[0..n) joined by blanks; false if that cannot be a word's path. */
static bool join(char out[PATH_MAX_LEN], char *const argv[], int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		size_t w = strlen(argv[i]);

		if (len + w + 2 > PATH_MAX_LEN)
			return false;
		if (i > 0)
			out[len++] = ' ';
		memcpy(out + len, argv[i], w);
		len += w;
	}
	out[len] = '\0';
	return n > 0;
}

/* What "did you mean" may answer: the words that exist here, and nothing else. */
struct candidates {
	const struct words_env *env;
	size_t next;
};

static const char *next_path(void *ctx)
{
	struct candidates *c = ctx;

	while (c->next < words_count) {
		const struct words_word *w = &words_table[c->next++];

		if (exists_here(w, c->env))
			return w->path;
	}
	return NULL;
}

/* One more of the words that go on from here; where they do not fit, dots stand for the rest. */
static void add_more(char *more, size_t size, const char *path)
{
	const size_t n = strlen(more);

	if (n + strlen(path) + sizeof(", , ...") <= size)
		snprintf(more + n, size - n, "%s%s", n > 0 ? ", " : "", path);
	else if (strcmp(more + n - 3, "...") != 0)
		snprintf(more + n, size - n, ", ...");
}

/* A word that exists, but not where the caller is: where it does. NULL: there is none of that name. */
static const char *elsewhere(struct parse *p, int argc, char *const argv[])
{
	char path[PATH_MAX_LEN];
	const struct words_word *w;

	for (int n = argc < WORD_DEPTH ? argc : WORD_DEPTH; n > 0; n--) {
		if (!join(path, argv, n) || (w = words_find(path)) == NULL)
			continue;
		show(p, path);
		return w->where == AT_CONSOLE ? "is a word of the console, which 'ssh -t USER@BASTION' opens" :
		    "works with bastionctl alone, on the bastion itself";
	}
	return NULL;
}

/* No such word: the nearest, or the words that go on from here, or where help is. */
static int no_word(struct parse *p, int argc, char *const argv[])
{
	char path[PATH_MAX_LEN], more[400] = "";
	const char *near = NULL, *where = elsewhere(p, argc, argv);
	size_t len;

	if (where != NULL)
		return complain(p, "%s %s", p->shown, where);
	for (int n = argc < WORD_DEPTH ? argc : WORD_DEPTH; n > 0 && near == NULL; n--) {
		struct candidates c = { .env = p->env };

		if (!join(path, argv, n))
			continue;
		for (size_t i = 0; i < words_count; i++) {
			const struct words_word *w = &words_table[i];

			len = strlen(path);
			if (exists_here(w, p->env) && strncmp(w->path, path, len) == 0 && w->path[len] == ' ')
				add_more(more, sizeof(more), w->path);
		}
		if (more[0] != '\0')
			return complain(p, "%s is not complete: %s", show(p, path), more);
		near = words_nearest(path, next_path, &c);
	}
	if (near != NULL)
		return complain(p, "no word %s: did you mean '%s'?", show(p, path), near);
	return complain(p, "no word %s: '%shelp' lists them", show(p, argv[0]), p->prefix);
}

/*
 * The word that argv begins with: the longest path counts, also of one that is elsewhere ("events verify" over ssh is no "events" with
 * a word too many). Returns its number of parts, 0 if there is none here.
 */
static int find_word(struct parse *p, int argc, char *const argv[])
{
	char path[PATH_MAX_LEN];

	for (int n = argc < WORD_DEPTH ? argc : WORD_DEPTH; n > 0; n--)
		if (join(path, argv, n) && (p->word = words_find(path)) != NULL)
			return exists_here(p->word, p->env) ? n : 0;
	p->word = words_find("help");
	return strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0;
}

static int put(struct parse *p, const struct words_arg *arg, const char *value)
{
	char why[256];

	if ((arg->how & ARG_MANY) == 0 && json_object_get(p->args, arg->name) != NULL)
		return complain(p, "%s: %s was given twice", p->word->path, arg_of(p, arg));
	if (words_put(p->args, arg, value, p->env, why, sizeof(why)) != 0)
		return complain(p, "%s: %s %s: %s", p->word->path, arg_of(p, arg), show(p, value),
		    why);
	p->text = arg->type == ARG_TEXT && (arg->how & ARG_POS) == 0 ? arg : NULL;
	return 0;
}

struct flag_names {
	const struct words_word *word;
	size_t next;
};

static const char *next_flag(void *ctx)
{
	struct flag_names *f = ctx;

	while (f->next < f->word->nargs)
		if ((f->word->args[f->next++].how & ARG_POS) == 0)
			return f->word->args[f->next - 1].name;
	f->next++;
	if (f->word->plain)
		return NULL;
	return f->next == f->word->nargs + 1 ? "json" : f->next == f->word->nargs + 2 && f->word->cols != NULL ? "csv" : NULL;
}

static int no_flag(struct parse *p, const char *given)
{
	struct flag_names f = { .word = p->word };
	const char *near = words_nearest(given + 2, next_flag, &f);

	if (near != NULL)
		return complain(p, "%s: no option %s: did you mean %s?", p->word->path,
		    show(p, given), flag_of(p, near));
	return complain(p, "%s: no option %s: see '%shelp %s'", p->word->path, show(p, given),
	    p->prefix, p->word->path);
}

static const struct words_arg *find_flag(struct parse *p, const char *given, size_t len)
{
	for (size_t a = 0; a < p->word->nargs; a++) {
		const struct words_arg *arg = &p->word->args[a];

		if ((arg->how & ARG_POS) == 0 && strlen(arg->name) == len &&
		    strncmp(flag_of(p, arg->name) + 2, given, len) == 0)
			return arg;
	}
	return NULL;
}

/* argv[i] begins with "--". Returns how many words it took, -1 with a complaint. */
static int take_flag(struct parse *p, int i, int argc, char *const argv[])
{
	const char *name = argv[i] + 2, *value = strchr(name, '=');
	size_t len = value != NULL ? (size_t)(value - name) : strlen(name);
	const struct words_arg *arg;

	if (strcmp(name, "json") == 0 && p->word->plain)
		return complain(p, "%s has no --json: what it says is for people", p->word->path);
	if (strcmp(name, "json") == 0 || strcmp(name, "help") == 0 ||
	    (strcmp(name, "csv") == 0 && p->word->cols != NULL)) {
		p->as_json |= name[0] == 'j';
		p->as_csv |= name[0] == 'c';
		p->help |= name[0] == 'h';
		return 1;
	}
	if ((arg = find_flag(p, name, len)) == NULL)
		return no_flag(p, argv[i]);
	if (arg->type == ARG_FLAG) {
		if (value != NULL)
			return complain(p, "%s: %s takes no value", p->word->path, arg_of(p, arg));
		return put(p, arg, "") != 0 ? -1 : 1;
	}
	if (value != NULL)
		return put(p, arg, value + 1) != 0 ? -1 : 1;
	if (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0)
		return complain(p, "%s: %s needs a value: %s (%s)", p->word->path, argv[i],
		    arg->show, arg->help);
	return put(p, arg, argv[i + 1]) != 0 ? -1 : 2;
}

/* A word too many right after a text: ssh has taken the quotes away, so it belongs to the text. */
static int join_text(struct parse *p, const char *value)
{
	const struct words_arg *arg = p->text;
	const char *have = json_string_value(json_object_get(p->args, arg->name));
	char both[WORDS_LINE_MAX + 2];

	if (have == NULL ||
	    (size_t)snprintf(both, sizeof(both), "%s %s", have, value) >= sizeof(both))
		return complain(p, "%s: %s is too long", p->word->path, arg_of(p, arg));
	json_object_del(p->args, arg->name);
	return put(p, arg, both);
}

/* The words of an argument that takes the rest, but for --json and --help. */
static int take_rest(struct parse *p, const struct words_arg *arg, int i, int argc,
    char *const argv[])
{
	char both[WORDS_JSON_MAX];
	size_t len = 0;

	for (int first = i; i < argc; i++) {
		size_t w = strlen(argv[i]);

		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--help") == 0) {
			if (take_flag(p, i, argc, argv) < 0)
				return -1;
			continue;
		}
		if (len + w + 2 > sizeof(both))
			return complain(p, "%s: %s is too long", p->word->path, arg->show);
		if (i > first && len > 0)
			both[len++] = ' ';
		memcpy(both + len, argv[i], w);
		len += w;
	}
	both[len] = '\0';
	return put(p, arg, both);
}

/* argv[i] by its place. Returns how many words it took, -1 with a complaint. */
static int take_place(struct parse *p, int i, int argc, char *const argv[])
{
	while (p->place < p->word->nargs) {
		const struct words_arg *arg = &p->word->args[p->place];

		if ((arg->how & ARG_POS) == 0) {
			p->place++;
			continue;
		}
		p->place++;
		/* a place where a user may stand before it */
		if (arg->type == ARG_USER && (arg->how & ARG_NEED) == 0 && strchr(argv[i], '@') != NULL)
			continue;
		if (arg->type == ARG_KEYWORD && strcmp(argv[i], arg->name) != 0)
			continue;
		if ((arg->how & ARG_REST) != 0)
			return take_rest(p, arg, i, argc, argv) != 0 ? -1 : argc - i;
		return put(p, arg, argv[i]) != 0 ? -1 : 1;
	}
	if (p->text != NULL)
		return join_text(p, argv[i]) != 0 ? -1 : 1;
	return complain(p, "%s: %s is one word too many: see '%shelp %s'", p->word->path,
	    show(p, argv[i]), p->prefix, p->word->path);
}

static int take_args(struct parse *p, int argc, char *const argv[])
{
	bool plain = false; /* "--" was seen */

	for (int i = 0, n; i < argc; i += n) {
		if (!plain && strcmp(argv[i], "--") == 0) {
			plain = true;
			n = 1;
		} else if (!plain && strncmp(argv[i], "--", 2) == 0) {
			n = take_flag(p, i, argc, argv);
		} else if (!plain && strcmp(argv[i], "-h") == 0) {
			p->help = true;
			n = 1;
		} else {
			n = take_place(p, i, argc, argv);
		}
		if (n < 0)
			return -1;
	}
	return 0;
}

static int check_missing(struct parse *p)
{
	if (p->as_json && p->as_csv)
		return complain(p, "%s: --json or --csv, not both", p->word->path);
	for (size_t a = 0; a < p->word->nargs; a++) {
		const struct words_arg *arg = &p->word->args[a];

		if ((arg->how & ARG_NEED) != 0 && json_object_get(p->args, arg->name) == NULL)
			return complain(p, "%s: %s is missing: %s\nexample: %s%s", p->word->path,
			    arg_of(p, arg), arg->help, p->prefix, p->word->example);
	}
	return 0;
}

/* A word that is answered here, or --help. */
static int answer(struct parse *p, struct words_call *call)
{
	const char *about = json_string_value(json_object_get(p->args, "word"));
	struct buf text;
	int r = WORDS_OK;

	if (p->help)
		about = p->word->path;
	buf_init(&text, WORDS_HELP_MAX);
	if (words_help(about, p->env, &text) != 0) {
		complain(p, "no word %s: '%shelp' lists them", show(p, about), p->prefix);
		r = WORDS_USAGE;
	} else if (buf_put_u8(&text, '\0') != 0 ||
	    (call->text = strdup((char *)text.data)) == NULL) {
		r = WORDS_BROKEN;
	}
	buf_finish(&text);
	return r;
}

/* {"word": …, "args": {…}} */
static int request(struct parse *p, struct words_call *call)
{
	json_t *whole = json_pack("{s:s, s:O}", "word", p->word->path, "args", p->args);

	if (whole != NULL)
		call->json = json_dumps(whole, JSON_COMPACT);
	json_decref(whole);
	if (call->json != NULL && strlen(call->json) > WORDS_JSON_MAX) {
		complain(p, "%s: the arguments are too long together: at most %d bytes",
		    p->word->path, WORDS_JSON_MAX);
		return WORDS_USAGE;
	}
	return call->json != NULL ? WORDS_OK : WORDS_BROKEN;
}

int words_parse(int argc, char *const argv[], const struct words_env *env, struct words_call *call,
    char *err, size_t errsize)
{
	struct parse p = { .env = env, .prefix = "", .err = err, .errsize = errsize };
	int r = WORDS_USAGE, n;

	*call = (struct words_call){ .word = NULL };
	err[0] = '\0';
	if (env->prefix != NULL)
		p.prefix = env->prefix;
	if (argc == 0)
		return WORDS_OK;
	if ((p.args = json_object()) == NULL)
		goto out;
	if ((n = find_word(&p, argc, argv)) == 0) {
		no_word(&p, argc, argv);
		goto out;
	}
	if (take_args(&p, argc - n, argv + n) != 0 || (!p.help && check_missing(&p) != 0))
		goto out;
	r = p.help || p.word->where == AT_PARSER ? answer(&p, call) : request(&p, call);
	/* who looks at the word's `where` shall find a text there */
	call->word = p.help ? words_find("help") : p.word;
	call->as_json = p.as_json;
	call->as_csv = p.as_csv;
out:
	json_decref(p.args);
	if (r != WORDS_OK)
		words_call_finish(call);
	if (r != WORDS_OK && err[0] == '\0') {
		complain(&p, "no memory");
		r = WORDS_BROKEN;
	}
	return r;
}

int words_parse_line(const char *line, const struct words_env *env, struct words_call *call,
    char *err, size_t errsize)
{
	char words[WORDS_LINE_MAX + 1], *argv[WORDS_ARGV_MAX];
	int argc = words_split(line, words, sizeof(words), argv, WORDS_ARGV_MAX, err, errsize);

	*call = (struct words_call){ .word = NULL };
	return argc < 0 ? WORDS_USAGE : words_parse(argc, argv, env, call, err, errsize);
}

void words_call_finish(struct words_call *call)
{
	free(call->json);
	free(call->text);
	*call = (struct words_call){ .word = NULL };
}
