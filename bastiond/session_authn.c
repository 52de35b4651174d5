/*
 * session_authn.c - step 2 of a connection: libssh's authentication messages in, authn_state.c decides, policy is asked.
 *
 * Role: session. Before it: the key exchange (session_loop.c). After it: session_front.c.
 * A request is owned (s->auth_msg) from its arrival to its answer; libssh would answer it at once otherwise.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "escape.h"
#include "session.h"
#include "ssh_io.h"
#include "ssh_setup.h"

#define KEY_BLOB_MAX 8192	/* policy takes no longer one, nor the store: STORE_BLOB_MAX */
#define PROMPTS_MAX 8
#define SERVICES_MAX 8	/* clients ask once */

static void act(struct session *s, enum authn_action action, struct ipc_msg *m);

/* SSH_MSG_USERAUTH_BANNER (RFC 4252 5.4), once, before the first answer. */
static void show_banner(struct session *s)
{
	ssh_string text;

	if (s->conf->banner.text[0] == '\0' || (text = ssh_string_from_char(s->conf->banner.text)) == NULL)
		return;
	if (ssh_send_issue_banner(s->outer.ssh, text) != SSH_OK)
		log_info("%s: banner not sent: %s", s->peer, ssh_get_error(s->outer.ssh));
	ssh_string_free(text);
}

/* The first request names the user for good; what does not parse is nobody, and lasts as long as anybody. */
static bool name_holds(struct session *s, ssh_message m)
{
	const char *name = ssh_message_auth_user(m);
	char quoted[128];

	if (s->pinned_name == NULL) {
		if ((s->pinned_name = strdup(name != NULL ? name : "")) == NULL)
			return false;
		if (target_parse(s->pinned_name, &s->who) != 0) {
			esc_quoted(quoted, sizeof(quoted), s->pinned_name, strlen(s->pinned_name));
			log_info("%s: %s is no user name", s->peer, quoted);
		}
		show_banner(s);
		return true;
	}
	return name != NULL && strcmp(s->pinned_name, name) == 0;
}

/* What is asked about. One that is too long for any that can be registered (certificates of an agent may be) is as wrong as any other. */
static bool take_key(struct session *s, ssh_message m)
{
	buf_finish(&s->auth_key);
	buf_init(&s->auth_key, KEY_BLOB_MAX);
	return ssh_setup_key_blob(ssh_message_auth_pubkey(m), &s->auth_key) == 0;
}

static enum authn_event event_of(struct session *s, ssh_message m)
{
	if (ssh_message_auth_kbdint_is_response(m))
		return AUTHN_EV_ANSWERS; /* carries no name: it belongs to the request before it */
	if (!name_holds(s, m))
		return AUTHN_EV_RENAME;
	switch (ssh_message_subtype(m)) {
	case SSH_AUTH_METHOD_NONE:
		return AUTHN_EV_NONE;
	case SSH_AUTH_METHOD_PUBLICKEY:
		switch (ssh_message_auth_publickey_state(m)) {
		case SSH_PUBLICKEY_STATE_NONE:
			return take_key(s, m) ? AUTHN_EV_PROBE : AUTHN_EV_OTHER;
		case SSH_PUBLICKEY_STATE_VALID:
			return take_key(s, m) ? AUTHN_EV_SIGNED : AUTHN_EV_OTHER;
		default:
			return AUTHN_EV_OTHER;
		}
	case SSH_AUTH_METHOD_INTERACTIVE:
		return AUTHN_EV_KBDINT;
	default:
		return AUTHN_EV_OTHER;
	}
}

void session_authn_message(struct session *s, ssh_message m)
{
	if (ssh_message_type(m) == SSH_REQUEST_SERVICE) {
		const char *service = ssh_message_service_service(m);

		if (service != NULL && strcmp(service, "ssh-userauth") == 0 && ++s->services <= SERVICES_MAX)
			ssh_message_service_reply_success(m);
		else
			s->over = true;
		ssh_message_free(m);
		return;
	}
	if (ssh_message_type(m) != SSH_REQUEST_AUTH) {
		/* channels and forwards before login: RFC 4252 has no place for them */
		log_info("%s: message of type %d before login", s->peer, ssh_message_type(m));
		ssh_message_free(m);
		s->over = true;
		return;
	}
	ssh_message_free(s->auth_msg);
	s->auth_msg = m;
	s->auth_floor_ms = clock_mono_ms() + s->conf->auth_floor;
	act(s, authn_step(&s->authn, event_of(s, m)), NULL);
}

static void policy_send(struct session *s, enum msg_type type, const struct buf *body)
{
	uint32_t id = type == MSG_AUTH_KEY ? 0 : s->attempt;

	if (ipc_send(&s->policy, type, id, body, NULL, 0) != 0)
		s->over = true;
}

static void ask_key(struct session *s)
{
	const char *client = ssh_get_clientbanner(s->outer.ssh);
	struct buf b;

	buf_init(&b, KEY_BLOB_MAX + 1024);
	buf_put_cstring(&b, s->who.user);
	buf_put_string(&b, s->auth_key.data, s->auth_key.len);
	buf_put_u8(&b, s->authn.signed_key);
	buf_put_string(&b, client != NULL ? client : "", client != NULL ? strnlen(client, 128) : 0);
	policy_send(s, MSG_AUTH_KEY, &b);
	buf_finish(&b);
}

static void refuse(struct session *s)
{
	ssh_set_auth_methods(s->outer.ssh,
	    s->authn.proven ? SSH_AUTH_METHOD_INTERACTIVE : SSH_AUTH_METHOD_PUBLICKEY);
	ssh_message_reply_default(s->auth_msg);
}

static void pass_answers(struct session *s)
{
	int n = ssh_userauth_kbdint_getnanswers(s->outer.ssh);
	struct buf b;

	if (n < 0 || (uint32_t)n != s->nprompts) {
		log_info("%s: %d answers to %u prompts", s->peer, n, s->nprompts);
		s->over = true;
		return;
	}
	buf_init(&b, 8192);
	buf_put_u32(&b, (uint32_t)n);
	for (int i = 0; i < n; i++) {
		const char *answer = ssh_userauth_kbdint_getanswer(s->outer.ssh, (unsigned)i);

		buf_put_cstring(&b, answer != NULL ? answer : "");
	}
	if (buf_ok(&b))
		policy_send(s, MSG_AUTH_ANSWER, &b);
	else
		s->over = true; /* over 8 KiB of answers */
	buf_finish(&b);
}

static void show_prompts(struct session *s, struct ipc_msg *m)
{
	char name[256], instruction[4096], prompts[PROMPTS_MAX][512], echo[PROMPTS_MAX];
	const char *list[PROMPTS_MAX];

	buf_get_cstring(&m->body, name, sizeof(name));
	buf_get_cstring(&m->body, instruction, sizeof(instruction));
	s->nprompts = buf_get_u32(&m->body);
	if (s->nprompts > PROMPTS_MAX) {
		s->over = true;
		return;
	}
	for (uint32_t i = 0; i < s->nprompts; i++) {
		echo[i] = buf_get_u8(&m->body) != 0;
		buf_get_cstring(&m->body, prompts[i], sizeof(prompts[i]));
		list[i] = prompts[i];
	}
	if (!buf_end(&m->body) || ssh_message_auth_interactive_request(s->auth_msg, name, instruction, s->nprompts,
	    list, echo) != SSH_OK)
		s->over = true;
}

static void welcome(struct session *s)
{
	struct front *f = &s->outer;

	ssh_message_auth_reply_success(s->auth_msg, 0);
	buf_finish(&s->auth_key);
	f->authenticated = true;
	ssh_set_log_level(SSH_LOG_PROTOCOL);
	f->ready = true; /* libssh may have read ahead */
	ssh_io_hold_end(f->fd);
	ssh_io_gather(f->fd);
	if (s->who.host[0] != '\0' && (f->way = way_create(s, s->who.host, s->who.login)) == NULL)
		s->over = true;
}

static void act(struct session *s, enum authn_action action, struct ipc_msg *m)
{
	bool keep = false;

	log_debug("%s: authn action %d, now %s", s->peer, (int)action, authn_state_name(s->authn.state));
	switch (action) {
	case AUTHN_ABORT_REFUSE:
		policy_send(s, MSG_AUTH_ABORT, NULL);
		keep = true; /* its answer waits for the floor, as every refusal */
		break;
	case AUTHN_REFUSE:
		refuse(s);
		break;
	case AUTHN_HOLD:
		keep = true;
		break;
	case AUTHN_ABORT_ASK_KEY:
		policy_send(s, MSG_AUTH_ABORT, NULL);
		ask_key(s);
		keep = true;
		break;
	case AUTHN_ASK_KEY:
		ask_key(s);
		keep = true;
		break;
	case AUTHN_OFFER:
		ssh_message_auth_reply_pk_ok_simple(s->auth_msg);
		break;
	case AUTHN_GO_ON:
		ssh_set_auth_methods(s->outer.ssh, SSH_AUTH_METHOD_INTERACTIVE);
		ssh_message_auth_reply_success(s->auth_msg, 1);
		break;
	case AUTHN_ABORT_START:
		policy_send(s, MSG_AUTH_ABORT, NULL);
		/* fall through */
	case AUTHN_START:
		s->attempt++;
		policy_send(s, MSG_AUTH_FACTOR, NULL);
		keep = true;
		break;
	case AUTHN_SHOW:
		show_prompts(s, m);
		keep = true; /* libssh wants the request again when the next round is shown */
		break;
	case AUTHN_PASS_ANSWERS:
		pass_answers(s);
		keep = true;
		break;
	case AUTHN_WELCOME:
		welcome(s);
		break;
	case AUTHN_IGNORE:
		break;
	case AUTHN_LEAVE:
		front_leave(&s->outer, s->barred);
		break;
	case AUTHN_TOO_MANY:
		log_info("%s: login ended: more than max_auth_tries were refused", s->peer);
		/* most of them are no attack, but an agent full of other keys */
		front_leave(&s->outer, "bastiond: too many keys or answers were refused in this connection; name the registered key, and that one "
		    "alone: ssh -i KEY -o IdentitiesOnly=yes");
		break;
	case AUTHN_END:
		log_info("%s: login ended: a message out of place", s->peer);
		s->over = true;
		break;
	}
	if (!keep) {
		ssh_message_free(s->auth_msg);
		s->auth_msg = NULL;
	}
}

static enum authn_event verdict_event(uint8_t verdict)
{
	switch (verdict) {
	case AUTH_MAYBE: return AUTHN_EV_MAYBE;
	case AUTH_PARTIAL: return AUTHN_EV_PARTIAL;
	case AUTH_YES: return AUTHN_EV_YES;
	case AUTH_BARRED: return AUTHN_EV_BARRED;
	default: return AUTHN_EV_NO;
	}
}

void session_authn_policy(struct session *s, struct ipc_msg *m)
{
	enum authn_event ev = m->type == MSG_AUTH_PROMPT ? AUTHN_EV_PROMPT : verdict_event(buf_get_u8(&m->body));
	bool about_key = m->type == MSG_AUTH_KEY_RE;

	/* an answer to what was aborted meanwhile crosses on the way: it is void */
	if (about_key ? s->authn.state != AUTHN_ASKED : m->id != s->attempt ||
	    (s->authn.state != AUTHN_FACTOR && s->authn.state != AUTHN_PROMPTED))
		return;
	if (m->type != MSG_AUTH_PROMPT && ev == AUTHN_EV_NO && buf_left(&m->body) > 0)
		s->auth_floor_ms += buf_get_u32(&m->body); /* it failed often: the refusal takes longer */
	if (ev == AUTHN_EV_BARRED && buf_get_cstring(&m->body, s->barred, sizeof(s->barred)) != 0)
		s->over = true;
	act(s, authn_step(&s->authn, ev), m);
}

int session_authn_tick(struct session *s, uint64_t now_ms)
{
	uint64_t next = s->grace_ms;

	if (s->outer.authenticated)
		return -1;
	if (now_ms >= s->grace_ms) {
		log_info("%s: not logged in after login_grace", s->peer);
		s->over = true;
		return 0;
	}
	if (s->authn.state == AUTHN_HELD) {
		if (now_ms >= s->auth_floor_ms)
			act(s, authn_step(&s->authn, AUTHN_EV_FLOOR), NULL);
		else if (s->auth_floor_ms < next)
			next = s->auth_floor_ms;
	}
	return (int)(next - now_ms);
}
