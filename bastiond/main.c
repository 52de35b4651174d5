/*
 * main.c - bastiond(8): options, the configuration, and then the role that this process is.
 *
 * Without -R the process becomes parent, which runs this program again once for each role.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "drop.h"
#include "init.h"
#include "log.h"
#include "msg.h"
#include "parent.h"
#include "release.h"
#include "restore.h"
#include "roles.h"
#include "rotate.h"

#ifdef __SANITIZE_ADDRESS__
/* Leaks are looked for by way of /proc and ptrace, which roles have given up; the unit tests look for them. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

/* Exit statuses of bastiond(8). */
enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
	const char *conf;
	bool foreground, debug, check, dump, init;
	const char *begin, *end;	/* which key to rotate */
	const char *look, *restore;	/* which backup */
	bool keep_grants;
	enum role role;		/* ROLE_PARENT without -R */
};

static int usage(FILE *out)
{
	fprintf(out, "usage: bastiond [-D] [-d] [-f FILE]\n"
	    "       bastiond -t | -T | -I | -N KEY | -C KEY | -K BACKUP | -B BACKUP [-G] [-f FILE]\n"
	    "  -f FILE  configuration, %s without it\n"
	    "  -D       stay in the foreground, log to standard error\n"
	    "  -d       log everything\n"
	    "  -t       check the configuration and end\n"
	    "  -T       check it and print all options as they are in force\n"
	    "  -I       make what is missing: directories, keys, database\n"
	    "  -N KEY   make the next signer, client, ca, hostkey or totp, beside the one in use\n"
	    "  -C KEY   change to it\n"
	    "  -K FILE  check a backup of the database\n"
	    "  -B FILE  put it in the database's place; with -G grants in it stay in force\n"
	    "  -V       print the version\n", release_bastiond_conf);
	return EXIT_USAGE;
}

/* 0; -1: usage. */
static int parse_options(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){ .conf = release_bastiond_conf, .role = ROLE_PARENT };
	while ((c = getopt(argc, argv, "DdtTIVf:R:N:C:K:B:G")) != -1) {
		switch (c) {
		case 'D': o->foreground = true; break;
		case 'd': o->debug = true; break;
		case 't': o->check = true; break;
		case 'T': o->dump = true; break;
		case 'I': o->init = true; break;
		case 'N': o->begin = optarg; break;
		case 'C': o->end = optarg; break;
		case 'K': o->look = optarg; break;
		case 'B': o->restore = optarg; break;
		case 'G': o->keep_grants = true; break;
		case 'f': o->conf = optarg; break;
		case 'R': o->role = role_by_name(optarg); break;
		case 'V':
			printf("bastiond %s\n", release_version);
			exit(fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED);
		default: return -1;
		}
	}
	if (optind != argc || (o->keep_grants && o->restore == NULL))
		return -1;
	return o->check + o->dump + o->init + (o->begin != NULL) + (o->end != NULL) + (o->look != NULL) + (o->restore != NULL) <= 1 ?
	    0 : -1;
}

static void to_stderr(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "%s\n", line);
}

static void to_log(void *arg, const char *line)
{
	(void)arg;
	log_error("%s", line);
}

/* Descriptors 0 to 2 are always open, so that no socket ever takes their numbers. */
static void sane_descriptors(void)
{
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDWR)) < 0)
			_exit(EXIT_FAILED);
	} while (fd <= STDERR_FILENO);
	close(fd);
}

/* What the roles inherit of the environment; PAM modules, libraries and scripts see nothing else. */
static void scrub_environment(void)
{
	static const char *const keep[] = { "TZ", "NOTIFY_SOCKET", "BASTIOND_TAKE", UPGRADE_BESIDE, "CREDENTIALS_DIRECTORY", "BASTIOND_SANDBOX", "ASAN_OPTIONS", "UBSAN_OPTIONS" };
	char *values[sizeof(keep) / sizeof(keep[0])];

	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		values[i] = getenv(keep[i]) != NULL ? strdup(getenv(keep[i])) : NULL;
	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++) {
		if (values[i] != NULL)
			setenv(keep[i], values[i], 1);
		free(values[i]);
	}
}

static int run_role(const struct options *o)
{
	static const char *const comm[ROLE_COUNT + 1] = { [ROLE_POLICY] = "bastiond-policy", [ROLE_KEYS] = "bastiond-keys",
		[ROLE_MONITOR] = "bastiond-mon", [ROLE_RECORDER] = "bastiond-rec", [ROLE_MASTER] = "bastiond-sess" };
	struct config *conf;

	log_init(role_name(o->role), o->foreground, LOG_LVL_INFO);
	if ((unsigned)o->role >= ROLE_COUNT || comm[o->role] == NULL)
		return usage(stderr);
	if (drop_die_with_parent(getppid()) != 0 || fcntl(ROLE_FD_PARENT, F_GETFD) < 0)
		fatal("-R is for bastiond itself");
	conf = config_load_fd(ROLE_FD_CONFIG, o->conf, to_log, NULL);
	close(ROLE_FD_CONFIG);
	if (conf == NULL)
		return EXIT_FAILED;
	log_init(role_name(o->role), o->foreground, (enum log_level)conf->log_level);
	unsetenv("NOTIFY_SOCKET");
	prctl(PR_SET_NAME, comm[o->role]); /* after an exec of /proc/self/exe it would be "exe" */
	switch (o->role) {
	case ROLE_POLICY: return role_policy(conf);
	case ROLE_KEYS: return role_keys(conf);
	case ROLE_RECORDER: return role_recorder(conf);
	case ROLE_MONITOR: return role_monitor(conf);
	case ROLE_MASTER: return role_session(conf);
	default: return EXIT_USAGE;
	}
}

/* A copy that outlives the caller's working directory: parent reads the file again at SIGHUP. */
static const char *absolute(const char *path)
{
	char *abs = realpath(path, NULL);

	return abs != NULL ? abs : path;
}

static int run_parent(struct config *conf, const struct options *o)
{
	if (geteuid() != 0) {
		fprintf(stderr, "bastiond: must be started as root; it gives root up where it can\n");
		return EXIT_FAILED;
	}
	if (o->debug)
		conf->log_level = LOG_LVL_DEBUG;
	log_init("parent", o->foreground, (enum log_level)conf->log_level);
	if (config_warning(conf) != NULL)
		log_warn("%s", config_warning(conf));
	if (!o->foreground && !upgrade_taking() && daemon(0, 0) != 0) {
		fprintf(stderr, "bastiond: cannot go to the background: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return role_parent(conf, absolute(o->conf), o->foreground, o->debug);
}

int main(int argc, char **argv)
{
	struct config *conf;
	struct options o;
	int status;

	sane_descriptors();
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	if (parse_options(&o, argc, argv) != 0)
		return usage(stderr);
	scrub_environment();
	if (o.role != ROLE_PARENT)
		return run_role(&o);
	if ((conf = config_load(o.conf, o.init ? CONFIG_INIT : 0, to_stderr, NULL)) == NULL)
		return EXIT_FAILED;
	if (!o.check && !o.dump && !o.init && o.begin == NULL && o.end == NULL && o.look == NULL && o.restore == NULL)
		return run_parent(conf, &o);
	status = EXIT_FINE;
	if (o.check && config_warning(conf) != NULL)
		fprintf(stderr, "%s: %s\n", o.conf, config_warning(conf));
	if (o.dump)
		status = config_dump(conf, stdout, false) == 0 ? EXIT_FINE : EXIT_FAILED;
	if (o.init)
		status = bastiond_init(conf) == 0 ? EXIT_FINE : EXIT_FAILED;
	if (o.begin != NULL || o.end != NULL)
		status = (o.begin != NULL ? rotate_begin(conf, o.begin) : rotate_end(conf, o.end)) == 0 ? EXIT_FINE : EXIT_FAILED;
	if (o.look != NULL)
		status = restore_check(conf, o.look) == 0 ? EXIT_FINE : EXIT_FAILED;
	if (o.restore != NULL)
		status = restore_backup(conf, o.restore, o.keep_grants) == 0 ? EXIT_FINE : EXIT_FAILED;
	config_destroy(conf);
	return status;
}
