/*
 * ctl_sync.c - `bastionctl sync FILE`: the people of a directory, from a file or by LDAP, are brought to policy.
 *
 * What comes from outside is read by a child that is nobody (ctl_directory.c) and gives "NAME|ROLES|PERSON" lines, or NAME
 * alone for who stays as it is. They are staged batch by batch, and applied in one step only when the child ended well. What
 * that means for each user policy decides (control_directory.c).
 */
#include <confuse.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_directory.h"

#define BATCH_BYTES 12000	/* of a request, which holds 16384 */
#define BATCH_MAX 64

static void complain(cfg_t *cfg, const char *fmt, va_list ap)
{
	char why[512];

	vsnprintf(why, sizeof(why), fmt, ap);
	ctl_fail("%s:%d: %s", cfg->filename, cfg->line, why);
}

static int read_conf(const char *path, struct directory *d)
{
	cfg_opt_t opts[] = {
		CFG_STR("source", "", CFGF_NONE), CFG_STR("base", "", CFGF_NONE),
		CFG_STR("filter", "(objectClass=person)", CFGF_NONE), CFG_STR("bind", "", CFGF_NONE),
		CFG_STR("secret", "", CFGF_NONE), CFG_STR("name", "uid", CFGF_NONE), CFG_STR("person", "cn", CFGF_NONE),
		CFG_STR("roles", "", CFGF_NONE), CFG_STR("roles_prefix", "", CFGF_NONE), CFG_STR("tls_ca", "", CFGF_NONE), CFG_END()
	};
	const struct { const char *name; char *to; } fields[] = {
		{ "source", d->source }, { "base", d->base }, { "filter", d->filter }, { "bind", d->bind }, { "secret", d->secret },
		{ "name", d->name }, { "person", d->person }, { "roles", d->roles }, { "roles_prefix", d->prefix },
		{ "tls_ca", d->tls_ca },
	};
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);
	int r = -1;

	if (cfg == NULL)
		return ctl_fail("no memory"), -1;
	cfg_set_error_function(cfg, complain);
	if (access(path, R_OK) != 0) {
		ctl_fail("%s: %s", path, strerror(errno));
	} else if (cfg_parse(cfg, path) == CFG_SUCCESS) {
		r = 0;
		/* half a filter or base is another one */
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && r == 0; i++)
			if (snprintf(fields[i].to, DIRECTORY_TEXT, "%s", cfg_getstr(cfg, fields[i].name)) >= DIRECTORY_TEXT)
				r = (ctl_fail("%s: %s: at most %d bytes", path, fields[i].name, DIRECTORY_TEXT - 1), -1);
	}
	cfg_free(cfg);
	if (r == 0 && strncmp(d->source, "file:/", 6) != 0 && strncmp(d->source, "ldap", 4) != 0)
		return ctl_fail("%s: source: write file:/PATH, ldaps://HOST, ldap://HOST or ldapi://PATH", path), -1;
	return r;
}

/* The request; takes over args. The caller's; NULL after a line. */
static char *request_of(const char *word, json_t *args)
{
	json_t *request = args != NULL ? json_pack("{s:s,s:o}", "word", word, "args", args) : NULL;
	char *text = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;

	json_decref(request);
	if (text == NULL)
		ctl_fail("no memory");
	return text;
}

/* One batch: entries, and who stays as is. Both are empty afterwards. */
static int send_batch(struct ctl *c, json_t *entry, json_t *keep, bool begin)
{
	json_t *args = json_pack("{s:b}", "begin", (int)begin);
	char *text;
	int r = WORDS_BROKEN;

	if (json_array_size(entry) > 0)
		json_object_set(args, "entry", entry);
	if (json_array_size(keep) > 0)
		json_object_set(args, "keep", keep);
	if ((text = request_of("directory stage", args)) != NULL)
		json_decref(ctl_get(c, text, &r));
	free(text);
	json_array_clear(entry);
	json_array_clear(keep);
	return r;
}

/* Everything that the child says, staged; *count: so many. */
static int stage(struct ctl *c, FILE *in, json_int_t *count)
{
	char line[DIRECTORY_LINE];
	json_t *entry = json_array(), *keep = json_array();
	size_t bytes = 0, n = 0;
	bool begin = true, more = true;
	int r = WORDS_OK;

	*count = 0;
	while (r == WORDS_OK && more) {
		more = fgets(line, sizeof(line), in) != NULL;
		if (more) {
			line[strcspn(line, "\n")] = '\0';
			bytes += strlen(line) + 8;
			n++;
			if (json_array_append_new(strchr(line, '|') != NULL ? entry : keep, json_string(line)) != 0)
				r = ctl_fail("the directory has a text that is not UTF-8");
		}
		if (r == WORDS_OK && n > 0 && (!more || bytes > BATCH_BYTES || n == BATCH_MAX)) {
			r = send_batch(c, entry, keep, begin);
			*count += (json_int_t)n;
			bytes = n = 0;
			begin = false;
		}
	}
	json_decref(entry);
	json_decref(keep);
	return r;
}

static int apply(struct ctl *c, json_t *how)
{
	char *text = request_of("directory apply", how);
	struct buf reply;
	int r = WORDS_BROKEN;

	buf_init(&reply, CTL_REPLY_MAX);
	if (text != NULL && (r = ctl_ask(c, text, &reply)) == WORDS_OK)
		r = ctl_show(c, &reply);
	buf_finish(&reply);
	free(text);
	return r;
}

int ctl_sync(struct ctl *c, const json_t *args)
{
	struct directory d;
	int fds[2], status = 0, r;
	json_t *how = json_object();
	json_int_t count = 0;
	pid_t child;
	FILE *in;

	if (how == NULL || read_conf(json_string_value(json_object_get(args, "file")), &d) != 0) {
		json_decref(how);
		return WORDS_USAGE;
	}
	if (pipe(fds) != 0) {
		json_decref(how);
		return ctl_fail("no pipe: %s", strerror(errno));
	}
	if ((child = fork()) == 0) {
		close(fds[0]);
		_exit(directory_child(&d, fds[1]));
	}
	close(fds[1]);
	in = fdopen(fds[0], "r");
	r = child > 0 && in != NULL ? stage(c, in, &count) : ctl_fail("cannot start the reader: %s", strerror(errno));
	if (in != NULL)
		fclose(in);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	explicit_bzero(&d, sizeof(d));
	if (r == WORDS_OK && status != 0)
		r = ctl_fail("the directory was not read to its end: nothing is changed");
	else if (r == WORDS_OK && count == 0)
		r = ctl_fail("the directory named nobody: nothing is changed");
	json_object_set_new(how, "count", json_integer(count));
	if (json_object_get(args, "share") != NULL)
		json_object_set(how, "share", json_object_get(args, "share"));
	if (json_is_true(json_object_get(args, "dry_run")))
		json_object_set_new(how, "dry_run", json_true());
	return r == WORDS_OK ? apply(c, how) : (json_decref(how), r);
}
