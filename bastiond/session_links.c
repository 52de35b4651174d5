/*
 * session_links.c - messages that policy and recorder send to a session, each to the file that waits for it.
 *
 * Role: session. ipc.c has checked each against msg.h; a body that does not parse is a bug in a role and ends the session.
 */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "escape.h"
#include "log.h"
#include "session.h"

static void on_ping(struct session *s)
{
	struct buf b;

	s->lease_ms = clock_mono_ms() + s->conf->lease;
	front_trim(&s->outer);
	buf_init(&b, 512);
	watch_report(s, &b);
	if (ipc_send(&s->policy, MSG_PONG, 0, &b, NULL, 0) != 0)
		s->over = true;
	buf_finish(&b);
}

/* Policy ends ways: all of them (id 0), with the connection, or one. */
static void on_way_end(struct session *s, struct ipc_msg *m)
{
	const uint8_t end = buf_get_u8(&m->body);
	char line[LINE_MAX_LEN];

	if (buf_get_cstring(&m->body, line, sizeof(line)) != 0)
		strcpy(line, "bastiond: session ended");
	for (size_t i = 0; i < SESSION_WAYS_MAX; i++)
		if (s->ways[i] != NULL && (m->id == 0 || s->ways[i]->id == m->id))
			way_end(s->ways[i], end == BREC_END_EXPIRED ? BREC_END_EXPIRED : BREC_END_KILLED, line);
	if (m->id == 0) {
		char safe[LINE_MAX_LEN];

		/* ssh drops what it has not printed yet when a disconnect comes with it: the reason is said in there, too */
		esc_text(safe, sizeof(safe), line, strlen(line));
		ssh_session_set_disconnect_message(s->outer.ssh, safe);
		front_say(&s->outer, line);
		s->over = true;
	}
}

static void say_on_terminal(struct chan *c, void *arg)
{
	if (c->pty)
		chan_say(c, arg);
}

/* Something about this way that its user should know; who reads the recording, too. */
static void on_way_say(struct session *s, struct way *w, struct ipc_msg *m)
{
	char line[LINE_MAX_LEN];

	buf_get_cstring(&m->body, line, sizeof(line));
	if (!buf_end(&m->body)) {
		s->over = true;
		return;
	}
	if (!w->ending)
		way_event(w, BREC_META, BREC_K_NOTE, 0, line, strlen(line));
	way_each_chan(w, say_on_terminal, line);
}

/* Who approved what comes next: recorded before it. */
static void on_way_grant(struct session *s, struct way *w, struct ipc_msg *m)
{
	size_t len;
	const uint8_t *json = buf_get_string(&m->body, GRANT_META_MAX, &len);

	if (!buf_end(&m->body))
		s->over = true;
	else if (!w->ending)
		way_event(w, BREC_META, BREC_K_GRANT, 0, json, len);
}

static void on_policy(struct session *s, struct ipc_msg *m)
{
	struct way *w;

	switch (m->type) {
	case MSG_PING:
		on_ping(s);
		break;
	case MSG_AUTH_KEY_RE:
	case MSG_AUTH_PROMPT:
	case MSG_AUTH_FACTOR_RE:
		session_authn_policy(s, m);
		break;
	case MSG_WAY_END:
		on_way_end(s, m);
		break;
	case MSG_WAY_OK:
	case MSG_WAY_NO:
	case MSG_WAY_READERS:
	case MSG_CHAN_RE:
		/* a way that ended meanwhile: its answer, and the socket in it, are dropped */
		if ((w = way_find(s, m->id)) != NULL)
			way_policy(w, m);
		break;
	case MSG_WAY_GRANT:
		if ((w = way_find(s, m->id)) != NULL)
			on_way_grant(s, w, m);
		break;
	case MSG_WAY_SAY:
		if ((w = way_find(s, m->id)) != NULL)
			on_way_say(s, w, m);
		break;
	case MSG_HOST_RE:
		tunnel_policy(s, m);
		break;
	case MSG_WORDS_RE:
		words_policy(s, m);
		break;
	case MSG_CONSOLE_RE:
		console_policy(s, m);
		break;
	case MSG_WATCH:
	case MSG_WATCH_STOP:
		watch_policy(s, m);
		break;
	case MSG_VIEW_RE:
		viewing_policy(s, m);
		break;
	default:
		log_error("session: no use for message %s", msg_name(m->type));
		s->over = true;
	}
}

bool session_policy_read(struct session *s)
{
	struct ipc_msg m;
	int r;

	while ((r = ipc_recv(&s->policy, &m)) > 0) {
		on_policy(s, &m);
		ipc_msg_finish(&m);
	}
	return r == 0;
}

static void on_recorder(struct session *s, struct ipc_msg *m)
{
	struct way *w;

	if ((w = way_find(s, m->id)) != NULL)
		way_recorder(w, m);
}

bool session_recorder_read(struct session *s)
{
	struct ipc_msg m;
	int r;

	while ((r = ipc_recv(&s->recorder, &m)) > 0) {
		on_recorder(s, &m);
		ipc_msg_finish(&m);
	}
	return r == 0;
}

bool session_may_tell(struct session *s)
{
	const uint64_t now = clock_mono_ms();

	if (s->told_ms < now)
		s->told_ms = now;
	if (s->told_ms - now > (REFUSALS_MAX - 1) * 1000ULL)
		return false;
	s->told_ms += 1000;
	return true;
}

void session_note(struct session *s, uint32_t way, const char *kind, const char *detail)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_put_cstring(&b, kind);
	buf_put_string(&b, detail, strnlen(detail, 800));
	if (ipc_send(&s->policy, MSG_NOTE, way, &b, NULL, 0) != 0)
		s->over = true;
	buf_finish(&b);
}
