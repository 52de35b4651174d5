/*
 * policy_console.c - `ssh alice@bastion` with a terminal: the console's worker, handed to the
 * session.
 *
 * Role policy. The worker edits lines at a pseudo-terminal of its own; the session reads its lines
 * and asks WORDS. Both descriptors go through here once; afterwards policy only waits for the
 * worker's end.
 */
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "policy_worker.h"

#define TERM_MAX 64

static void console_answer(struct peer *peer, const char *refusal, const int *fds, int nfds)
{
	struct buf body;

	buf_init(&body, 512);
	buf_put_u8(&body, refusal == NULL);
	buf_put_cstring(&body, refusal != NULL ? refusal : "");
	link_send(&peer->link, MSG_CONSOLE_RE, 0, &body, fds, nfds);
	buf_finish(&body);
}

static void on_up(struct worker *w, int fd, int extra)
{
	int fds[2] = { fd, extra };

	if (extra >= 0) {
		console_answer(w->peer, NULL, fds, 2);
		close(extra);
	} else {
		console_answer(w->peer, "bastiond: there is no terminal for the console", NULL, 0);
	}
	close(fd);
}

static int on_message(struct worker *w, struct ipc_msg *m)
{
	(void)w, (void)m;
	return -1; /* its link is the session's */
}

static void on_ended(struct worker *w)
{
	if (!w->up)
		console_answer(w->peer,
		    "bastiond: the console could not be started; tell the operator", NULL, 0);
	w->peer->console = NULL;
}

static const struct worker_ops console_ops = { ROLE_CONSOLE, on_up, on_message, on_ended };

/* A name for the terminal database: what is none becomes "dumb". */
static void clean_term(char *term)
{
	size_t good = strspn(term,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+._-");

	if (good == 0 || term[good] != '\0' || term[0] == '.')
		strcpy(term, "dumb");
}

int console_ask(struct peer *peer, struct ipc_msg *m)
{
	char term[TERM_MAX + 1];
	uint16_t columns, rows;
	struct buf body;

	buf_get_cstring(&m->body, term, sizeof(term));
	columns = buf_get_u16(&m->body);
	rows = buf_get_u16(&m->body);
	if (!buf_end(&m->body))
		return -1;
	if (peer_is_over(peer)) {
		console_answer(peer, PEER_OVER_LINE, NULL, 0);
		return 0;
	}
	clean_term(term);
	buf_init(&body, 512);
	buf_put_cstring(&body, peer->user.name);
	buf_put_cstring(&body, term);
	buf_put_u16(&body, columns);
	buf_put_u16(&body, rows);
	peer->console = worker_run(peer, WORKER_CONSOLE, &console_ops, MSG_RUN_CONSOLE, &body);
	buf_finish(&body);
	if (peer->console == NULL)
		console_answer(peer, "bastiond: too many consoles are open; try again in a minute",
		    NULL, 0);
	return 0;
}
