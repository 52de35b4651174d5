/*
 * collector_control.c - see collector_control.h. Comes after collector_main.c; what is asked for is done by collector_hold.c.
 */
#include "collector_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "collector_hold.h"
#include "hex.h"
#include "tlog_act.h"

#define SOCKET "control"

struct control {
	struct server *sv;
	uid_t uid;
	struct bufferevent *bev;
};

static unsigned conns;

/* By the directory's descriptor: the store's path may be longer than a socket's name. */
static void address(struct sockaddr_un *un, int dir)
{
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d/" SOCKET, dir);
}

/* ---- the collector's end ---- */

static void end(struct control *c)
{
	bufferevent_free(c->bev);
	free(c);
	conns--;
}

static void answer(struct control *c, const char *text)
{
	evbuffer_add_printf(bufferevent_get_output(c->bev), "%s\n", text);
	bufferevent_disable(c->bev, EV_READ);
}

/* Cuts the next field off *line. NULL: there is none. */
static char *field(char **line)
{
	return strsep(line, "\t");
}

static void do_line(struct control *c, char *line)
{
	const char *word = field(&line), *name = field(&line), *claim = field(&line), *why = field(&line);
	char who[TLOG_WHO_MAX + 1], text[256];
	uint8_t id[BREC_ID_LEN];
	const bool hold = word != NULL && strcmp(word, "hold") == 0;

	if (why == NULL || line != NULL || (!hold && strcmp(word, "release") != 0) || hex_decode(id, sizeof(id), name) != 0) {
		answer(c, "error this is no line of bastion-collectord -H or -U");
		return;
	}
	snprintf(who, sizeof(who), "uid %u%s%.32s", (unsigned)c->uid, claim[0] != '\0' ? " for " : "", claim);
	hold_set(&c->sv->store, id, hold, who, why, text, sizeof(text));
	answer(c, text);
}

static void on_line(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct control *c = arg;
	size_t len = 0;
	char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);

	if (line != NULL && strlen(line) == len)
		do_line(c, line);
	else if (line != NULL || evbuffer_get_length(in) >= CONTROL_LINE_MAX)
		answer(c, "error the line is malformed");
	free(line);
}

/* The answer has left. */
static void on_written(struct bufferevent *bev, void *arg)
{
	if ((bufferevent_get_enabled(bev) & EV_READ) == 0)
		end(arg);
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	(void)bev, (void)what;
	end(arg);
}

static void on_control(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int salen, void *arg)
{
	const struct timeval limit = { .tv_sec = CONTROL_SECONDS };
	struct server *sv = arg;
	struct control *c = NULL;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	(void)l, (void)sa, (void)salen;
	if (conns >= CONTROL_CONNS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || (peer.uid != 0 && peer.uid != geteuid()) ||
	    (c = calloc(1, sizeof(*c))) == NULL || (c->bev = bufferevent_socket_new(sv->base, fd, BEV_OPT_CLOSE_ON_FREE)) == NULL) {
		free(c);
		close(fd);
		return;
	}
	c->sv = sv;
	c->uid = peer.uid;
	conns++;
	bufferevent_setcb(c->bev, on_line, on_written, on_end, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, CONTROL_LINE_MAX);
	bufferevent_set_timeouts(c->bev, &limit, &limit);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

int control_start(struct server *sv)
{
	struct sockaddr_un un;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	address(&un, sv->store.journal_dir);
	/* the journal's lock says that nobody else has this store: what is there is what a crash left */
	if (fd < 0 || (unlinkat(sv->store.journal_dir, SOCKET, 0) != 0 && errno != ENOENT) ||
	    bind(fd, (const struct sockaddr *)&un, sizeof(un)) != 0 || fchmodat(sv->store.journal_dir, SOCKET, 0600, 0) != 0 || listen(fd, 8) != 0 ||
	    evconnlistener_new(sv->base, on_control, sv, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd) == NULL) {
		log_error("journal/" SOCKET ": %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return 0;
}

/* ---- the administrator's end ---- */

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "bastion-collectord: %s: %s\n", what, why);
	return 1;
}

/* The answer's line to text[size]. 0 or -1 with errno. */
static int exchange(int fd, const char *line, char *text, size_t size)
{
	const struct timeval limit = { .tv_sec = CONTROL_SECONDS };
	size_t have = 0;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
		return -1;
	while ((n = recv(fd, text + have, size - 1 - have, 0)) > 0)
		have += (size_t)n;
	text[have] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return n < 0 || have == 0 ? -1 : 0;
}

static bool is_text(const char *text, size_t max)
{
	const size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return len <= max;
}

int control_say(const struct coll_conf *c, bool hold, const char *id, const char *why)
{
	const char *claim = getenv("SUDO_USER");
	char path[4096], line[CONTROL_LINE_MAX], text[512];
	uint8_t raw[BREC_ID_LEN];
	struct sockaddr_un un;
	int dir, fd, r = 1;

	if (hex_decode(raw, sizeof(raw), id) != 0)
		return complain(id, "an ID has 32 hexadecimal digits; bastion-replay list shows them");
	if (why == NULL || why[0] == '\0' || !is_text(why, TLOG_WHY_MAX))
		return complain("-m", "say why, in one line of at most 256 bytes: it is kept in the log of recordings for good");
	if (claim == NULL || !is_text(claim, 32))
		claim = "";
	snprintf(path, sizeof(path), "%s/journal", c->store);
	if ((dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return complain(path, strerror(errno));
	address(&un, dir);
	snprintf(line, sizeof(line), "%s\t%s\t%s\t%s\n", hold ? "hold" : "release", id, claim, why);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0)
		complain(path, "no collector runs on this store: start it, it keeps the log");
	else if (exchange(fd, line, text, sizeof(text)) != 0)
		complain(path, "the collector does not answer; may this account ask it? Root and the collector's own may");
	else if (strncmp(text, "ok ", 3) == 0)
		r = printf("%s\n", text + 3) < 0;
	else
		complain(id, strncmp(text, "error ", 6) == 0 ? text + 6 : text);
	if (fd >= 0)
		close(fd);
	close(dir);
	return r;
}
