/*
 * collector_sandbox.c - see collector_sandbox.h. Comes after the drop of root, where there is one, and before the first byte from the
 * network: Landlock is a thread's own, so each process closes it before it has a second one.
 */
#include "collector_sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "confine.h"

#define PATH_BYTES 4096
#define PLACES_MAX (8 + 2 * COLL_CLIENTS_MAX)

/* What a process may reach; the paths are its own. */
struct places {
	struct confine_place at[PLACES_MAX];
	char paths[PLACES_MAX][PATH_BYTES];
	size_t n;
};

static const struct {
	const char *name;
	unsigned groups;
} processes[] = {
	[COLL_COLLECTOR] = { "collector",
	    G_BASE | G_LINK | G_NOEXEC | G_PAIR | G_ACCEPT | G_LISTEN | G_READ | G_FILES | G_STORE | G_UNIX | G_THREAD },
	[COLL_KEYS] = { "process that reads the keys", G_BASE | G_LINK | G_NOEXEC | G_READ },
	[COLL_SUPERVISOR] = { "archiver's supervisor",
	    G_BASE | G_LINK | G_PAIR | G_READ | G_FILES | G_STORE | G_INET | G_RESOLVER | G_UNIX | G_THREAD | G_FORK | G_IDS },
	[COLL_ARCHIVER] = { "archiver", G_BASE | G_LINK | G_PAIR | G_READ | G_FILES | G_STORE | G_INET | G_RESOLVER | G_THREAD },
	[COLL_PEER] = { "process that gives recordings to another collector", G_BASE | G_LINK | G_NOEXEC | G_READ },
};

/* The path as it was added; NULL: it is too long, or there is no room, and nothing below it is reached. */
static const char *add(struct places *p, enum confine_right rights, const char *dir, const char *below)
{
	if (p->n == PLACES_MAX || (size_t)snprintf(p->paths[p->n], PATH_BYTES, "%s%s", dir, below) >= PATH_BYTES) {
		log_warn("the sandbox leaves out %.100s%s: the path is too long, or there are too many", dir, below);
		return NULL;
	}
	p->at[p->n] = (struct confine_place){ p->paths[p->n], rights };
	return p->paths[p->n++];
}

/* The directory of a file: what is renamed into its place is read as well. */
static void add_dir_of(struct places *p, const char *file)
{
	const char *slash = file != NULL ? strrchr(file, '/') : NULL;
	char dir[PATH_BYTES];

	if (file == NULL || file[0] == '\0' || (slash != NULL && (size_t)(slash - file) >= sizeof(dir)))
		return;
	snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)(slash - file) : 1, slash != NULL ? file : ".");
	add(p, CONFINE_READ, dir[0] != '\0' ? dir : "/", "");
}

/* A store from before it had one of these gets it now: who is inside cannot make it any more. */
static void add_store(struct places *p, const char *store, bool journal)
{
	static const struct { const char *name; mode_t mode; } dirs[] = { { "/recordings", 0750 }, { "/log", 0755 }, { "/journal", 0750 } };

	add(p, CONFINE_LIST, store, "");
	for (size_t i = 0; i < (journal ? 3 : 2); i++) {
		const char *path = add(p, CONFINE_WRITE, store, dirs[i].name);

		if (path != NULL)
			(void)mkdir(path, dirs[i].mode);
	}
}

static void find_places(struct places *p, const struct coll_conf *c, enum coll_process process, const char *conf_file)
{
	/* names are looked up in files that come and go: resolv.conf is renamed into its place, modules are loaded late */
	static const char *const archiver[] = { "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf" };

	switch (process) {
	case COLL_COLLECTOR:
		add_store(p, c->store, true);
		add_dir_of(p, conf_file);
		for (size_t i = 0; i < c->nclients; i++) {
			add_dir_of(p, c->clients[i].certificate);
			add_dir_of(p, c->clients[i].signer);
		}
		break;
	case COLL_KEYS:
		add_dir_of(p, c->certificate);
		add_dir_of(p, c->key);
		add_dir_of(p, c->receipt_key);
		break;
	case COLL_SUPERVISOR:
		add(p, CONFINE_READ, "/", "");
		add(p, CONFINE_WRITE, c->store, "");
		break;
	case COLL_PEER:
		add(p, CONFINE_READ, c->store, "/recordings");
		break;
	case COLL_ARCHIVER:
		add_store(p, c->store, false);
		for (size_t i = 0; i < sizeof(archiver) / sizeof(archiver[0]); i++)
			add(p, CONFINE_READ, archiver[i], "");
		break;
	}
}

int coll_sandbox_enter(const struct coll_conf *c, enum coll_process process, const char *conf_file)
{
	static struct places places;
	struct sock_fprog filter;
	bool files, calls;

	tzset();	/* syslog() wants the time zone, and would not find it any more */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		log_error("prctl: %s: no sandbox for the %s", strerror(errno), processes[process].name);
		return -1;
	}
	if (confine_off())
		return 0;
	places.n = 0;
	find_places(&places, c, process, conf_file);
	files = confine_files(places.at, places.n);
	calls = confine_filter(&filter, processes[process].groups) == 0 && confine_calls(&filter);
	if (files && calls) {
		log_info("sandbox closed: seccomp, Landlock");
		return 0;
	}
	log_warn("sandbox of the %s:%s%s missing in this kernel%s", processes[process].name, calls ? "" : " seccomp",
	    files ? "" : " Landlock", c->sandbox_strict ? ": sandbox = \"strict\" ends here" : "");
	return c->sandbox_strict ? -1 : 0;
}
