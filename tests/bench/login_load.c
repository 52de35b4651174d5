/*
 * login_load.c - complete logins a second: TCP, key exchange, key, PAM dialogue with a fresh code, and with -t a command at a target.
 *
 * login_load HOST PORT PARALLEL LIST: each line of LIST is "USER KEYFILE CODE"; every line logs in once. With "-t LOGIN@HOST" before
 * them, the user is USER@LOGIN@HOST and `true` must come back with status 0; -t "" asks for that of a server where USER is all.
 * Prints how many succeeded and the seconds it took.
 */
#include <libssh/libssh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINES_MAX 4096

struct line { char user[128], key[256], code[16]; };
static struct line lines[LINES_MAX];

static int answer(ssh_session ssh, const char *code)
{
	int r;

	while ((r = ssh_userauth_kbdint(ssh, NULL, NULL)) == SSH_AUTH_INFO)
		for (int i = 0; i < ssh_userauth_kbdint_getnprompts(ssh); i++)
			if (ssh_userauth_kbdint_setanswer(ssh, (unsigned)i, code) != 0)
				return SSH_AUTH_ERROR;
	return r;
}

static int run_true(ssh_session ssh)
{
	ssh_channel ch = ssh_channel_new(ssh);
	char c;
	int status = -1;

	if (ssh_channel_open_session(ch) == SSH_OK && ssh_channel_request_exec(ch, "true") == SSH_OK) {
		while (ssh_channel_read(ch, &c, 1, 0) > 0)
			;
		status = ssh_channel_get_exit_status(ch);
	}
	ssh_channel_free(ch);
	return status;
}

static int login(const char *host, int port, const char *target, const struct line *l)
{
	const int nodelay = 1, no = 0;
	ssh_session ssh = ssh_new();
	ssh_key key = NULL;
	char user[256];
	int ok = 0, r;

	snprintf(user, sizeof(user), "%s%s%s", l->user, target != NULL && *target != '\0' ? "@" : "", target != NULL ? target : "");
	ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no);
	ssh_options_set(ssh, SSH_OPTIONS_HOST, host);
	ssh_options_set(ssh, SSH_OPTIONS_PORT, &port);
	ssh_options_set(ssh, SSH_OPTIONS_USER, user);
	ssh_options_set(ssh, SSH_OPTIONS_NODELAY, &nodelay);
	ssh_options_set(ssh, SSH_OPTIONS_KEY_EXCHANGE, "curve25519-sha256");
	if (ssh_pki_import_privkey_file(l->key, NULL, NULL, NULL, &key) == SSH_OK && ssh_connect(ssh) == SSH_OK) {
		r = ssh_userauth_publickey(ssh, NULL, key);
		if (r == SSH_AUTH_PARTIAL)
			r = answer(ssh, l->code);
		ok = r == SSH_AUTH_SUCCESS && (target == NULL || run_true(ssh) == 0);
		if (!ok)
			fprintf(stderr, "%s: %d %s\n", user, r, ssh_get_error(ssh));
	}
	ssh_disconnect(ssh);
	ssh_key_free(key);
	ssh_free(ssh);
	return ok;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	const char *target = NULL;
	int n = 0, parallel, total = 0, status;
	double start;
	FILE *f;

	if (argc > 2 && strcmp(argv[1], "-t") == 0) {
		target = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc != 5 || (f = fopen(argv[4], "r")) == NULL) {
		fprintf(stderr, "usage: login_load [-t LOGIN@HOST] HOST PORT PARALLEL LIST\n");
		return 2;
	}
	while (n < LINES_MAX && fscanf(f, "%127s %255s %15s", lines[n].user, lines[n].key, lines[n].code) == 3)
		n++;
	fclose(f);
	parallel = atoi(argv[3]);
	ssh_init();
	start = seconds();
	for (int p = 0; p < parallel; p++)
		if (fork() == 0) {
			int done = 0;

			for (int i = p; i < n; i += parallel)
				done += login(argv[1], atoi(argv[2]), target, &lines[i]);
			_exit(done > 255 ? 255 : done);
		}
	while (wait(&status) > 0)
		total += WEXITSTATUS(status);
	printf("%d of %d in %.3f\n", total, n, seconds() - start);
	return total == n ? 0 : 1;
}
