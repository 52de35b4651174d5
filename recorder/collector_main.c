/*
 * collector_main.c - bastion-collectord(8): stores recordings for bastions. Options, start, the
 * loop, the end.
 *
 * One process with two threads, the loop and collector_sync.c's; beside it a child that reads its keys (collector_keys.c) and, with an
 * object store, the archiver (collector_archiver.c). Starts as root only to read its keys and to bind a low port.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/listener.h>
#include <event2/thread.h>

#include "archive_list.h"
#include "clock.h"
#include "collector_archiver.h"
#include "collector_conn.h"
#include "collector_control.h"
#include "collector_keys.h"
#include "collector_peer.h"
#include "collector_sandbox.h"
#include "log.h"
#include "release.h"
#include "write_all.h"

#define BACKLOG 64
#define DRAIN_PASSES 16		/* turns that are joined while frames keep coming, before a commit */
#define DRAIN_BYTES 4096	/* a turn that brought less has emptied the sockets */

static void usage(void)
{
	fprintf(stderr,
	    "usage: bastion-collectord [-DIdt] [-f file]\n       bastion-collectord -S address:port -c certificate [-f file]\n"
	    "       bastion-collectord -H id | -U id -m why [-f file]\n"
	    "  -f  configuration (%s)\n  -D  stay in the foreground, log to standard error\n  -d  log more\n"
	    "  -t  check the configuration and the keys, then end\n  -I  make directories, keys and certificate, then end\n"
	    "  -S  give another collector what its copies of closed recordings lack; -c: its certificate\n"
	    "  -H  put a recording on hold: it is not removed when its retention is over; -U: no longer; -m: why\n"
	    "  -V  print the version\n",
	    release_collectord_conf);
	exit(2);
}

static void collect_pins(struct server *sv)
{
	const struct coll_conf *c = sv->conf;

	sv->pins.ncerts = 0;
	for (size_t i = 0; i < c->nclients; i++)
		for (size_t k = 0; k < c->clients[i].certs.ncerts && sv->pins.ncerts < TLS_PINS_MAX; k++)
			memcpy(sv->pins.certs[sv->pins.ncerts++], c->clients[i].certs.certs[k], TLS_PIN_LEN);
}

static void load_keys(struct server *sv)
{
	const struct coll_conf *c = sv->conf;
	char why[512];

	collect_pins(sv);
	if ((sv->tls = tls_context(true, c->certificate, c->key, &sv->pins, why, sizeof(why))) == NULL)
		fatal("%s. Make it with: bastion-collectord -I", why);
	if ((sv->signer = sign_key_load(c->receipt_key)) == NULL)
		fatal(
		    "receipt key %s: %s. Make it with: bastion-collectord -I", c->receipt_key, strerror(errno));
	sign_key_public(sv->signer, sv->signer_pub);
}

/* What the archiver will read at its start. */
static void check_archive(const struct coll_conf *c)
{
	struct s3_credentials credentials;
	char why[512], *ca = NULL;
	size_t len;

	if (c->archive.on && coll_archive_secrets(&c->archive, &credentials, &ca, &len, why, sizeof(why)) != 0)
		fatal("archive: %s", why);
	explicit_bzero(&credentials, sizeof(credentials));
	free(ca);
}

/* A socket; -1: this machine has no such addresses at all. */
static int bind_one(const struct coll_listen *l)
{
	int fd = socket(l->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0 && errno == EAFNOSUPPORT) {
		log_warn("listen %s: %s: left out", l->text, strerror(errno));
		return -1;
	}
	if (fd < 0)
		fatal("listen %s: %s", l->text, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (l->ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&l->ss, l->len) != 0)
		fatal("listen %s: %s", l->text, strerror(errno));
	return fd;
}

/* Gives up root for good, and tries to get it back. */
static void drop(const struct coll_conf *c)
{
	struct rlimit files = { 65536, 65536 }, none = { 0, 0 };

	if (geteuid() == 0) {
		setrlimit(RLIMIT_NOFILE, &files);
		if (setgroups(0, NULL) != 0 || setresgid(c->gid, c->gid, c->gid) != 0 ||
		    setresuid(c->uid, c->uid, c->uid) != 0)
			fatal("becoming user %s: %s", c->user, strerror(errno));
		if (setuid(0) == 0 || setgid(0) == 0)
			fatal("becoming user %s did not hold", c->user);
	}
	setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		fatal("prctl: %s", strerror(errno));
	umask(027);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int salen, void *arg)
{
	(void)l;
	conn_accept(arg, fd, sa, salen);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	server_tick(arg);
}

static void on_prune(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	server_prune(arg);
}

static void on_receipts(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	server_receipts(arg);
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
	struct server *sv = arg;

	(void)sig, (void)what;
	sv->stop = true;
}

static void on_complete(void *ctx, const char *dir)
{
	struct server *sv = ctx;

	archive_link_hint(&sv->archive, dir);
}

/* Our certificate and keys, as they are now. 0, or -1 with why[size]. */
static int load_fresh(struct server *sv, SSL_CTX **tls, struct sign_key **signer, char *why, size_t size)
{
	struct coll_keys k;
	int r = keyholder_ask(sv->keyholder, &k, why, size);

	*tls = NULL;
	*signer = NULL;
	if (r == 0 && (*signer = sign_key_from_pem(k.receipt_key.data, k.receipt_key.len)) == NULL) {
		snprintf(why, size, "receipt key %s: it is no Ed25519 key", sv->conf->receipt_key);
		r = -1;
	}
	if (r == 0 && (*tls = tls_context_pem(true, &SPAN(k.certificate.data, k.certificate.len), &SPAN(k.key.data, k.key.len),
			   &sv->pins, why, size)) == NULL) {
		sign_key_destroy(*signer);
		r = -1;
	}
	keyholder_finish(&k);
	return r;
}

/*
 * The recorders' certificates and signers, our own certificate and the receipt key are taken anew, and what connections are bounded by; the
 * rest needs a start. Connections are ended: recorders come back at once, and are judged by the new file.
 */
static void on_hup(evutil_socket_t sig, short what, void *arg)
{
	struct server *sv = arg;
	struct coll_conf *c = coll_conf_load(sv->conf_file, false);
	struct sign_key *signer;
	char why[512];
	SSL_CTX *tls;

	(void)sig, (void)what;
	if (c != NULL && load_fresh(sv, &tls, &signer, why, sizeof(why)) != 0) {
		log_error("reload: certificate %s, key %s: %s; nothing is changed", sv->conf->certificate, sv->conf->key, why);
		coll_conf_destroy(c);
		return;
	}
	if (c == NULL) {
		log_error("reload: %s has errors (bastion-collectord -t shows them); nothing is changed",
		    sv->conf_file);
		return;
	}
	server_signer(sv, signer);
	conn_end_all(sv);
	coll_conf_destroy(sv->conf);
	sv->conf = c;
	collect_pins(sv);
	SSL_CTX_free(sv->tls);
	sv->tls = tls;
	archive_link_reload(&sv->archive);
	log_notice("reload: %zu recorders", c->nclients);
}

/* A machine without IPv6 takes the default's IPv4 half. */
static void bind_all(const struct coll_conf *c, int *fds)
{
	bool any = false;

	for (size_t i = 0; i < c->nlisten; i++)
		any = (fds[i] = bind_one(&c->listen[i])) >= 0 || any;
	if (!any)
		fatal("listen: this machine has no addresses of that kind; write listen = { \"0.0.0.0:7422\" }");
}

static void watch(struct server *sv, int *fds)
{
	static const struct { int sig; event_callback_fn fn; } signals[] = { { SIGTERM, on_term }, { SIGINT, on_term }, { SIGHUP, on_hup } };
	const struct timeval second = { .tv_sec = 1 };
	struct event *e;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if ((e = evsignal_new(sv->base, signals[i].sig, signals[i].fn, sv)) == NULL ||
		    event_add(e, NULL) != 0)
			fatal("out of memory");
	sv->receipts = evtimer_new(sv->base, on_receipts, sv);
	sv->prune = evtimer_new(sv->base, on_prune, sv);
	sv->tick = event_new(sv->base, -1, EV_PERSIST, on_tick, sv);
	if (sv->receipts == NULL || sv->prune == NULL || sv->tick == NULL || event_add(sv->tick, &second) != 0)
		fatal("out of memory");
	for (size_t i = 0; i < sv->conf->nlisten; i++) {
		if (fds[i] < 0)
			continue;
		if (listen(fds[i], BACKLOG) != 0)
			fatal("listen %s: %s", sv->conf->listen[i].text, strerror(errno));
		if (evconnlistener_new(sv->base, on_accept, sv, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
			0, fds[i]) == NULL)
			fatal("out of memory");
		log_notice("listening on %s", sv->conf->listen[i].text);
	}
}

/*
 * A turn waits only if nothing is left to do. TLS hands over 16 KiB a turn and connection, so turns
 * are joined while frames keep coming: one commit for all of them.
 */
static void loop(struct server *sv)
{
	while (!sv->stop) {
		uint64_t before = sv->store.bytes;

		event_base_loop(sv->base, server_busy(sv) ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
		for (int i = 0; i < DRAIN_PASSES && !store_full(&sv->store); i++) {
			if (sv->store.bytes - before < DRAIN_BYTES)
				break;
			before = sv->store.bytes;
			event_base_loop(sv->base, EVLOOP_NONBLOCK);
		}
		server_turn(sv);
	}
}

/* Has the object store confirmed all of it? Before that it is not pruned. */
static bool is_archived(void *ctx, struct store *s, const struct rec *r, bool closed)
{
	int dir = openat(s->recordings, r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), confirmed = -1;
	char why[256] = "its directory cannot be opened";

	(void)ctx;
	if (dir >= 0) {
		confirmed = archive_confirmed(dir, closed, why, sizeof(why));
		close(dir);
	}
	if (confirmed != 1)
		log_info("%s is due to be pruned and stays: the archive has not confirmed it: %s", r->dir, why);
	return confirmed == 1;
}

static int run(struct server *sv, bool foreground, bool debug)
{
	const struct coll_conf *c = sv->conf;
	char origin[TLOG_NAME_MAX + 1];
	const struct store_options options = { c->store, c->journal_bytes, c->reserve, c->retention, sv->signer, origin, server_sign_one,
		c->archive.on ? on_complete : NULL, sv };
	int fds[COLL_LISTEN_MAX];

	coll_log_origin(origin, c, sv->signer_pub);
	if (geteuid() == 0 && coll_make_log(c) != 0)
		return 1;
	bind_all(c, fds);
	if (!foreground && daemon(0, 0) != 0)
		fatal("daemon: %s", strerror(errno));
	if ((sv->keyholder = keyholder_start(c)) < 0)
		fatal("cannot start the process that reads the keys: %s", strerror(errno));
	if (archive_link_start(&sv->archive, c, sv->conf_file, foreground, debug) != 0)
		fatal("cannot start the archiver: %s", strerror(errno));
	drop(sv->conf);
	if (coll_sandbox_enter(c, COLL_COLLECTOR, sv->conf_file) != 0)
		return 1;
	if (store_open(&sv->store, &options) != 0)
		return 1;
	sv->store.pruner.archived = c->archive.on ? is_archived : NULL;
	if ((sv->base = event_base_new()) == NULL)
		fatal("out of memory");
	watch(sv, fds);
	if (control_start(sv) != 0)
		return 1;
	loop(sv);
	server_receipts(sv);
	conn_end_all(sv);
	log_notice("ended: %lu frames in %lu commits", (unsigned long)sv->store.entries,
	    (unsigned long)sv->store.commits);
	return store_close(&sv->store) == 0 ? 0 : 1;
}

/* What the command line asks for. */
struct asked {
	bool foreground, check, init, debug, hold;
	const char *peer, *peer_certificate, *role, *id, *why;	/* id: of -H or -U */
};

static void parse(struct asked *a, struct server *sv, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "DIdtVf:R:S:c:H:U:m:")) != -1)
		switch (opt) {
		case 'D':
			a->foreground = true;
			break;
		case 'I':
			a->init = true;
			break;
		case 'd':
			a->debug = true;
			break;
		case 't':
			a->check = true;
			break;
		case 'V':
			printf("bastion-collectord %s\n", release_version);
			exit(fflush(stdout) == 0 ? 0 : 1);
		case 'R':
			a->role = optarg;	/* the collector starts itself so: collector_archive.h */
			break;
		case 'S':
			a->peer = optarg;
			break;
		case 'c':
			a->peer_certificate = optarg;
			break;
		case 'H':
		case 'U':
			if (a->id != NULL)
				usage();
			a->id = optarg;
			a->hold = opt == 'H';
			break;
		case 'm':
			a->why = optarg;
			break;
		case 'f':
			sv->conf_file = optarg;
			break;
		default:
			usage();
		}
	if (optind != argc || (a->peer == NULL) != (a->peer_certificate == NULL) || (a->id == NULL && a->why != NULL))
		usage();
}

int main(int argc, char **argv)
{
	static struct server sv = { .conf_file = release_collectord_conf };
	struct asked a = { 0 };

	if (hold_standard() != 0)
		return 1;
	parse(&a, &sv, argc, argv);
	log_init("collectord", true, LOG_LVL_INFO);
	signal(SIGPIPE, SIG_IGN);
	if ((sv.conf = coll_conf_load(sv.conf_file, a.init)) == NULL)
		return 1;
	if (a.init)
		return coll_init(sv.conf);
	if (a.peer != NULL)
		return peer_sync(sv.conf, a.peer, a.peer_certificate, drop);
	if (a.id != NULL)
		return control_say(sv.conf, a.hold, a.id, a.why);
	log_init("collectord", a.foreground || a.check, a.debug ? LOG_LVL_DEBUG : sv.conf->log_level);
	if (a.role != NULL)
		return strcmp(a.role, "archive") == 0 && sv.conf->archive.on ? archiver_supervise(sv.conf, drop) : 2;
	load_keys(&sv);
	check_archive(sv.conf);
	if (a.check) {
		printf("%s: ok\n", sv.conf_file);
		return 0;
	}
	return run(&sv, a.foreground, a.debug);
}
