/*
 * test_pam_stack.c - pam_stack.h: a fork takes the stack that was loaded, unless a file that may be a part of it has changed.
 *
 * WRAP: pam_start_confdir
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "pam_stack.h"

int __real_pam_start_confdir(const char *service, const char *user, const struct pam_conv *conv, const char *dir, pam_handle_t **pam);
int __wrap_pam_start_confdir(const char *service, const char *user, const struct pam_conv *conv, const char *dir, pam_handle_t **pam);

static char dir[] = "/tmp/test_pam_stack-XXXXXX";
static struct config *conf;
static unsigned started;

int __wrap_pam_start_confdir(const char *service, const char *user, const struct pam_conv *conv, const char *where, pam_handle_t **pam)
{
	started++;
	return __real_pam_start_confdir(service, user, conv, where, pam);
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_non_null(f = fopen(path, "w"));
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* The same name, size and time of writing, but another file. */
static void replace_file(const char *name, const char *text)
{
	char from[128], to[128];
	struct stat st;

	snprintf(to, sizeof(to), "%s/%s", dir, name);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_size, strlen(text));
	write_file(".new", text);
	snprintf(from, sizeof(from), "%s/.new", dir);
	assert_int_equal(utimensat(AT_FDCWD, from, (struct timespec[]){ st.st_atim, st.st_mtim }, 0), 0);
	assert_int_equal(rename(from, to), 0);
}

static int say_user(int n, const struct pam_message **msgs, struct pam_response **resp, void *arg)
{
	(void)n, (void)msgs, (void)resp, (void)arg;
	return PAM_CONV_ERR;
}

enum { ALLOWED = 1, DENIED = 2, READ_ANEW = 4, WRONG = 8 };

/* What a login of "alice" comes to, in a fork. */
static int login(struct pam_stack *stack)
{
	struct pam_conv conv = { say_user, NULL };
	const void *user = NULL;
	pam_handle_t *pam;
	int status, found = 0, r;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		started = 0;
		if (pam_stack_start(stack, conf, "alice", &conv, &pam) != PAM_SUCCESS)
			_exit(WRONG);
		if (started != 0)
			found |= READ_ANEW;
		r = pam_authenticate(pam, 0);
		found |= r == PAM_SUCCESS ? ALLOWED : DENIED;
		if (pam_get_item(pam, PAM_USER, &user) != PAM_SUCCESS || user == NULL || strcmp(user, "alice") != 0)
			found |= WRONG;
		pam_end(pam, r);
		/* it was taken: a second transaction has one of its own */
		started = 0;
		if (pam_stack_start(stack, conf, "bob", &conv, &pam) != PAM_SUCCESS || started != 1)
			found |= WRONG;
		_exit(found);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define PERMIT "auth required pam_permit.so\n"
#define DENY   "auth required pam_deny.so  \n"

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_non_null(conf = config_defaults());
	free(conf->pam_confdir);
	free(conf->pam_service);
	assert_non_null(conf->pam_confdir = strdup(dir));
	assert_non_null(conf->pam_service = strdup("svc"));
	write_file("other", DENY);
	return 0;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	config_destroy(conf);
	return system(command);
}

static void test_taken_and_changed(void **state)
{
	struct pam_stack *s;

	(void)state;
	write_file("common", PERMIT);
	write_file("svc", PERMIT);
	assert_non_null(s = pam_stack_load(conf));
	assert_int_equal(login(s), ALLOWED);
	assert_int_equal(login(s), ALLOWED);
	/* every edit holds at the next login, of the service's file or of another, by writing or by renaming, and back again */
	write_file("svc", DENY);
	assert_int_equal(login(s), DENIED | READ_ANEW);
	replace_file("svc", PERMIT);
	assert_int_equal(login(s), ALLOWED | READ_ANEW);
	pam_stack_free(s);
	assert_non_null(s = pam_stack_load(conf));
	assert_int_equal(login(s), ALLOWED);
	/* Linux-PAM before 1.6 looks for what is included in the system's directory; whatever changes, the stack is read anew */
	write_file("common", DENY);
	assert_int_equal(login(s), ALLOWED | READ_ANEW);
	pam_stack_free(s);
}

static void test_same_size_and_time(void **state)
{
	struct pam_stack *s;

	(void)state;
	write_file("svc", PERMIT);
	assert_non_null(s = pam_stack_load(conf));
	replace_file("svc", DENY);
	assert_int_equal(login(s), DENIED | READ_ANEW);
	pam_stack_free(s);
}

static void test_includes_from_elsewhere(void **state)
{
	static const char *const lines[] = { "auth include /etc/hostname\n", "auth SUBSTACK\t/x\n", "@include ../x\n", "auth include \\\n/x\n", NULL };
	char text[256], *at;
	struct pam_stack *s;

	(void)state;
	/* by absolute path, and relative ones that lead out: files whose changes would not be seen */
	for (size_t i = 0; lines[i] != NULL; i++) {
		snprintf(text, sizeof(text), "%s%s", PERMIT, lines[i]);
		write_file("svc", PERMIT);
		write_file("zzz", text);
		assert_non_null(s = pam_stack_load(conf));
		assert_int_equal(login(s), ALLOWED | READ_ANEW);
		pam_stack_free(s);
	}
	/* a line that is too long to be looked at */
	assert_non_null(at = calloc(1, 4096));
	memset(at, '#', 4000);
	write_file("zzz", at);
	free(at);
	assert_non_null(s = pam_stack_load(conf));
	assert_int_equal(login(s), ALLOWED | READ_ANEW);
	pam_stack_free(s);
	write_file("zzz", "# include of others\n" PERMIT);
	assert_non_null(s = pam_stack_load(conf));
	assert_int_equal(login(s), ALLOWED);
	pam_stack_free(s);
}

static void test_none(void **state)
{
	(void)state;
	write_file("svc", PERMIT);
	assert_int_equal(login(NULL), ALLOWED | READ_ANEW);
	pam_stack_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_and_changed), cmocka_unit_test(test_same_size_and_time),
		cmocka_unit_test(test_includes_from_elsewhere), cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
