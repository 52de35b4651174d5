/*
 * ctl_local.c - the words that bastionctl carries out by itself: init, rotate, backup, restore, key add, completion.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

/*
 * bastiond beside this program, in sbin beside its bin, or on the path. Does not return if it
 * works.
 */
static int run_bastiond(const struct ctl *c, const char *option, const char *value, const char *more)
{
	static const char *const places[] = { "bastiond", "../sbin/bastiond" };
	char self[PATH_MAX], path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash != NULL && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self), self, places[i]);
		execl(path, path, "-f", c->conf_path, option, value, more, (char *)NULL);
	}
	execlp("bastiond", "bastiond", "-f", c->conf_path, option, value, more, (char *)NULL);
	return ctl_fail("cannot run bastiond: %s", strerror(errno));
}

static int do_completion(const json_t *args)
{
	struct buf out;
	int r;

	buf_init(&out, WORDS_HELP_MAX);
	if (words_shell_completion(json_string_value(json_object_get(args, "shell")), &out) != 0 || !buf_ok(&out)) {
		r = ctl_fail("no memory");
	} else {
		fwrite(out.data, 1, out.len, stdout);
		r = ctl_flush();
	}
	buf_finish(&out);
	return r;
}

int ctl_local(struct ctl *c, const struct words_call *call)
{
	json_t *request, *args;
	int r = WORDS_BROKEN;

	if (call->word->who == WHO_ROOT && geteuid() != 0) {
		ctl_fail("%s is for root: use sudo", call->word->path);
		return WORDS_DENIED;
	}
	request = json_loads(call->json, 0, NULL);
	if ((args = json_object_get(request, "args")) == NULL)
		ctl_fail("no memory");
	else if (strcmp(call->word->path, "init") == 0)
		r = run_bastiond(c, "-I", NULL, NULL);
	else if (strcmp(call->word->path, "rotate begin") == 0)
		r = run_bastiond(c, "-N", json_string_value(json_object_get(args, "key")), NULL);
	else if (strcmp(call->word->path, "rotate end") == 0)
		r = run_bastiond(c, "-C", json_string_value(json_object_get(args, "key")), NULL);
	else if (strcmp(call->word->path, "backup") == 0)
		r = ctl_backup(c, json_string_value(json_object_get(args, "file")));
	else if (strcmp(call->word->path, "backup check") == 0)
		r = run_bastiond(c, "-K", json_string_value(json_object_get(args, "file")), NULL);
	else if (strcmp(call->word->path, "restore") == 0)
		r = run_bastiond(c, "-B", json_string_value(json_object_get(args, "file")),
		    json_is_true(json_object_get(args, "keep_grants")) ? "-G" : NULL);
	else if (strcmp(call->word->path, "sync") == 0)
		r = ctl_sync(c, args);
	else if (strcmp(call->word->path, "names") == 0)
		r = ctl_names(c, json_string_value(json_object_get(args, "kind")));
	else if (strcmp(call->word->path, "events verify") == 0)
		r = ctl_verify(c, json_string_value(json_object_get(args, "against")));
	else if (strcmp(call->word->path, "import keys") == 0)
		r = ctl_import_keys(c, args);
	else if (strcmp(call->word->path, "import hosts") == 0)
		r = ctl_import_hosts(c, args);
	else if (strcmp(call->word->path, "key add") == 0)
		r = ctl_key_add(c, args);
	else
		r = do_completion(args);
	json_decref(request);
	return r;
}
