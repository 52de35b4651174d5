/*
 * parent_socket.c - what parent opens by name: run_dir, the two local sockets, the pid file, the listening sockets.
 *
 * Role parent, at its start and at SIGHUP. The local sockets are policy's, which accepts on them; they live as
 * long as parent, so that bastionctl finds them also while the roles are started anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "config_option.h"
#include "log.h"
#include "parent.h"

#define BACKLOG 1024
#define LOCAL_BACKLOG 128

/* A directory that only root can change. It may be there already, but as nobody else's. */
static int make_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0755) != 0 && errno != EEXIST) {
		log_error("cannot make %s: %s", path, strerror(errno));
		return -1;
	}
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		log_error("%s is no directory that only root can change; remove it, or chown root and chmod 755", path);
		return -1;
	}
	return chmod(path, 0755);
}

static int local_socket(const char *dir, const char *name, mode_t mode)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old;

	/* config_check() saw to the length */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.*s/%s", (int)sizeof(sun.sun_path) - 16, dir, name);
	if (fd < 0)
		goto fail;
	if (unlink(sun.sun_path) != 0 && errno != ENOENT)
		goto fail;
	old = umask(0177);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		umask(old);
		goto fail;
	}
	umask(old);
	if (chmod(sun.sun_path, mode) != 0 || listen(fd, LOCAL_BACKLOG) != 0)
		goto fail;
	return fd;
fail:
	log_error("cannot open %s: %s", sun.sun_path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Is another bastiond at work here? Its lock on the pid file says so, which the open descriptor holds. */
int parent_pid_take(struct parent *p)
{
	const char *dir = p->conf->run_dir;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[4200], text[16];
	int fd, len;

	snprintf(path, sizeof(path), "%s/bastiond.pid", dir);
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644)) < 0) {
		log_error("cannot open %s: %s", path, strerror(errno));
		return -1;
	}
	if (fcntl(fd, F_SETLK, &lock) != 0) {
		log_error("%s is locked: another bastiond runs with this run_dir", path);
		close(fd);
		return -1;
	}
	len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (fchmod(fd, 0644) != 0 || ftruncate(fd, 0) != 0 || write(fd, text, (size_t)len) != len) {
		log_error("cannot write %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	p->pidfile = fd;
	return 0;
}

void parent_pid_release(struct parent *p)
{
	if (p->pidfile > 0)
		close(p->pidfile);
	p->pidfile = 0;
}

/* Beside one that serves still, under other names; while names are handed over, the old one keeps its own under the third ones. */
enum { NAME, NAME_NEW, NAME_KEPT };
static const char *const names[][3] = { { "control.sock", "control.new", "control.kept" }, { "pam.sock", "pam.new", "pam.kept" } };

static char *name_of(const struct parent *p, int socket, int as, char out[4200])
{
	snprintf(out, 4200, "%s/%s", p->conf->run_dir, names[socket][as]);
	return out;
}

int parent_sockets_settle(struct parent *p)
{
	char from[4200], to[4200];

	for (int i = 0; i < 2; i++)
		if (rename(name_of(p, i, NAME_NEW, from), name_of(p, i, NAME, to)) != 0) {
			log_error("%s: %s", to, strerror(errno));
			return -1;
		}
	return 0;
}

int parent_sockets_keep(struct parent *p)
{
	char from[4200], to[4200];

	for (int i = 0; i < 2; i++) {
		unlink(name_of(p, i, NAME_KEPT, to)); /* of one that was killed */
		if (link(name_of(p, i, NAME, from), to) != 0) {
			log_error("%s: %s", to, strerror(errno));
			return -1;
		}
	}
	return 0;
}

void parent_sockets_kept(struct parent *p, bool back)
{
	char from[4200], to[4200];

	for (int i = 0; i < 2; i++) {
		if (back && rename(name_of(p, i, NAME_KEPT, from), name_of(p, i, NAME, to)) != 0 && errno != ENOENT)
			log_error("%s: %s", to, strerror(errno));
		unlink(name_of(p, i, NAME_KEPT, from)); /* two names of one socket: rename left both */
	}
}

int parent_sockets_open(struct parent *p)
{
	const bool beside = p->upgrade.beside;
	char path[4200];

	if (make_dir(p->conf->run_dir) != 0 || (!beside && parent_pid_take(p) != 0))
		return -1;
	snprintf(path, sizeof(path), "%s/empty", p->conf->run_dir);
	if (make_dir(path) != 0)
		return -1;
	p->control = local_socket(p->conf->run_dir, names[0][beside ? NAME_NEW : NAME], 0666);
	p->pam = local_socket(p->conf->run_dir, names[1][beside ? NAME_NEW : NAME], 0600);
	return p->control >= 0 && p->pam >= 0 ? 0 : -1;
}

void parent_sockets_close(struct parent *p)
{
	static const char *const ours[] = { "control.sock", "pam.sock", "bastiond.pid" };
	char path[4200];

	for (size_t i = 0; i < p->nlisteners; i++)
		close(p->listeners[i]);
	p->nlisteners = 0;
	for (size_t i = 0; !p->retired && i < sizeof(ours) / sizeof(ours[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", p->conf->run_dir,
		    p->upgrade.beside && i < 2 ? names[i][NAME_NEW] : ours[i]);
		if (!p->upgrade.beside || i < 2)
			unlink(path);
	}
}

static bool bound_to(int fd, const struct config_addr *a)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	return getsockname(fd, (struct sockaddr *)&ss, &len) == 0 && len == a->len && memcmp(&ss, &a->ss, len) == 0;
}

static int bind_one(const struct config_addr *a)
{
	const int on = 1;
	char text[64];
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	config_addr_format(text, sizeof(text), a);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (a->ss.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)&a->ss, a->len) == 0) {
		/* accepted sockets inherit it: no reply of a login waits for another packet */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		return fd;
	}
	log_error("cannot listen on %s: %s%s", text, strerror(errno),
	    errno == EADDRINUSE ? "; which program is there: ss -ltnp" : "");
	if (fd >= 0)
		close(fd);
	return -1;
}

int parent_listen(struct parent *p, const struct config *conf)
{
	int now[CONFIG_LIST_MAX] = { 0 };
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < conf->listen.n; i++) {
		int fd = -1;

		for (size_t j = 0; j < p->nlisteners && fd < 0; j++)
			if (p->listeners[j] >= 0 && bound_to(p->listeners[j], &conf->listen.v[i])) {
				fd = p->listeners[j];
				p->listeners[j] = -1;
			}
		if (fd < 0)
			fd = bind_one(&conf->listen.v[i]);
		/* a machine without IPv6 takes the default's IPv4 half */
		if (fd >= 0)
			now[n++] = fd;
		else if (errno != EAFNOSUPPORT)
			r = -1;
	}
	for (size_t j = 0; j < p->nlisteners; j++)
		if (p->listeners[j] >= 0)
			close(p->listeners[j]);
	memcpy(p->listeners, now, n * sizeof(now[0]));
	p->nlisteners = n;
	return n > 0 ? r : -1;
}

int parent_listen_start(struct parent *p)
{
	for (size_t i = 0; i < p->nlisteners; i++)
		if (listen(p->listeners[i], BACKLOG) != 0) {
			log_error("cannot listen: %s", strerror(errno));
			return -1;
		}
	p->listening = true;
	return 0;
}

/* sd_notify(3): one datagram to the address in the environment; '@' stands for the abstract namespace's NUL. */
void parent_notify(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = name != NULL ? strlen(name) : 0;
	int fd;

	if (len < 2 || len >= sizeof(sun.sun_path) || (name[0] != '/' && name[0] != '@'))
		return;
	memcpy(sun.sun_path, name, len);
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("cannot tell the service manager %s: %s", state, strerror(errno));
	close(fd);
}

/* sd_notify(3): the manager compares the time with that of its request. */
void parent_notify_reloading(void)
{
	struct timespec now;
	char text[96];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	parent_notify(text);
}
