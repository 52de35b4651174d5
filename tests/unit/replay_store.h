/*
 * replay_store.h - a store of recordings that a test makes, the keys for it, and the commands of bastion-replay on it, each in a child.
 */
#ifndef REPLAY_STORE_H
#define REPLAY_STORE_H

#include "brec_fixture.h"

#include <sys/wait.h>

#include "hex.h"
#include "replay.h"

static char store[64], path_identity[96], path_other[96], path_trust[96];

static inline void event(struct fixture *x, unsigned channel, enum brec_stream st, enum brec_kind kind, const char *text)
{
	x->now += 20000;
	assert_true(brec_writer_event(x->w, st, kind, x->now, channel, text, strlen(text)) != 0);
	assert_int_equal(brec_writer_flush(x->w, x->now), 0);
}

static void append(const char *path, const char *text)
{
	FILE *f = fopen(path, "a");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Moves it into a store as it is; the identity opens it or does not. */
static inline void keep_as_is(const char *where, struct fixture *x, char id[33], bool opens)
{
	char text[128], from[128], to[256], key[BASE64_SIZE(KEY_LEN)];

	fx_done(x);
	hex_encode(id, x->id, sizeof(x->id));
	snprintf(to, sizeof(to), "%s/recordings/2025-11-22/%s", where, id);
	assert_int_equal(mkdir(to, 0700), 0);
	fx_name(x, 0, from);
	snprintf(to + strlen(to), sizeof(to) - strlen(to), "/00000000.brec");
	assert_int_equal(rename(from, to), 0);
	age_identity_format(text, &x->auditor);
	append(opens ? path_identity : path_other, text);
	append(opens ? path_identity : path_other, "\n");
	snprintf(text, sizeof(text), "signer lab %s\n", base64_encode(key, x->pub, KEY_LEN));
	append(path_trust, text);
	fx_destroy(x);
}

/* The same, closed. */
static inline void keep_in(const char *where, struct fixture *x, char id[33], bool opens)
{
	assert_int_equal(brec_writer_close(x->w, x->now, BREC_END_NORMAL, "the user left"), 0);
	keep_as_is(where, x, id, opens);
}

static inline void keep(struct fixture *x, char id[33])
{
	keep_in(store, x, id, true);
}

/* The directories of an empty one. */
static inline void store_dirs(const char *where)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/recordings", where);
	mkdir(path, 0700);
	strcat(path, "/2025-11-22");
	mkdir(path, 0700);
}

/* An empty one, in a directory of its own. */
static inline void store_make(void)
{
	struct age_identity other;
	char text[128];

	strcpy(store, "/tmp/bastiond-replay-XXXXXX");
	assert_non_null(mkdtemp(store));
	setenv("XDG_STATE_HOME", store, 1);
	unsetenv("BASTION_NOTE");
	snprintf(path_identity, sizeof(path_identity), "%s/identity", store);
	snprintf(path_other, sizeof(path_other), "%s/other", store);
	snprintf(path_trust, sizeof(path_trust), "%s/trust", store);
	store_dirs(store);
	assert_int_equal(age_identity_generate(&other), 0);
	age_identity_format(text, &other);
	append(path_other, text);
	append(path_other, "\n");
}

static inline int store_drop(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", store);
	return system(command);
}

/* Runs a command line in a child; what it said on both outputs to `out`. Returns the exit status.
 */
static inline int run(char out[65536], const char *line)
{
	int fds[2], status;
	size_t n = 0;
	ssize_t r;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct args a;
		char *copy = strdup(line), *argv[32] = { NULL }, *save;
		int argc = 0;

		dup2(fds[1], 1);
		dup2(fds[1], 2);
		for (char *w = strtok_r(copy, " ", &save); w != NULL;
		     w = strtok_r(NULL, " ", &save))
			argv[argc++] = w;
		status = args_parse(&a, argc, argv) != 0 ? EXIT_USAGE : a.command->run(&a);
		fflush(NULL);
		_exit(status);
	}
	close(fds[1]);
	while (n < 65535 && (r = read(fds[0], out + n, 65535 - n)) > 0)
		n += (size_t)r;
	out[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#endif
