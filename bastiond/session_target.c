/*
 * session_target.c - the SSH client towards the target: key exchange, pinned host key, login.
 *
 * Role: session. Before it: policy's WAY_OK, with a socket that a dial worker connected. After it: relay_open.c.
 * Each step is tried again until libssh has what it waits for; nothing blocks. No host key is asked about, learnt or
 * stored: it is one of the pinned ones, or the way ends (promise P11).
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "session.h"
#include "ssh_io.h"
#include "ssh_setup.h"

#define CHOKE_TOLD_MS 5000	/* of a way that is not read, until its other channels are told why */
/* A target that asks whether we are there (ClientAliveInterval) is not heard then; any packet tells it, too. Soon enough for one that waits 5 s. */
#define CHOKE_ALIVE_MS 3000

/* The algorithms of the pinned keys, so that the target shows a key that can be compared. */
static int pinned_algorithms(const struct way *w, char *out, size_t size)
{
	struct buf b;
	uint32_t n;

	buf_view(&b, w->pins.data, w->pins.len);
	n = buf_get_u32(&b);
	out[0] = '\0';
	while (n-- > 0) {
		char type[64];
		struct buf key;
		size_t len, used = strlen(out);
		const uint8_t *blob = buf_get_string(&b, 4096, &len);

		if (blob == NULL)
			return -1;
		buf_view(&key, blob, len);
		if (buf_get_cstring(&key, type, sizeof(type)) != 0)
			return -1;
		snprintf(out + used, size - used, "%s%s", used != 0 ? "," : "",
		    strcmp(type, "ssh-rsa") == 0 ? "rsa-sha2-512,rsa-sha2-256" : type);
	}
	return out[0] != '\0' ? 0 : -1;
}

static int use_certificate(struct way *w, const uint8_t *cert, size_t len)
{
	ssh_key key = NULL;
	struct buf text;
	int r = -1;

	buf_init(&text, 16384);
	if (ssh_setup_base64(cert, len, &text) == 0 &&
	    ssh_pki_import_cert_base64((const char *)text.data, SSH_KEYTYPE_ED25519_CERT01, &key) == SSH_OK &&
	    ssh_pki_copy_cert_to_privkey(key, w->key) == SSH_OK)
		r = 0;
	ssh_key_free(key);
	buf_finish(&text);
	return r;
}

int target_start(struct way *w, int fd, const uint8_t *cert, size_t cert_len, int agent_fd)
{
	char algorithms[512];

	if (fd < 0 || pinned_algorithms(w, algorithms, sizeof(algorithms)) != 0 ||
	    (cert_len > 0 && use_certificate(w, cert, cert_len) != 0) || (cert_len == 0 && agent_fd < 0)) {
		if (fd >= 0)
			close(fd);
		if (agent_fd >= 0)
			close(agent_fd);
		return -1;
	}
	w->fd = fd;
	w->ssh = ssh_setup_client(fd, w->login, algorithms);
	if (w->ssh == NULL)
		return -1;
	if (cert_len == 0) {
		w->managed = true;
		w->agent = agent_fd;
		if (ssh_set_agent_socket(w->ssh, agent_fd) != SSH_OK)
			return -1;
	}
	w->step = TARGET_CONNECT;
	return 0;
}

static bool is_pinned(const struct way *w, const struct buf *shown)
{
	struct buf b;
	uint32_t n;

	buf_view(&b, w->pins.data, w->pins.len);
	n = buf_get_u32(&b);
	while (n-- > 0) {
		size_t len;
		const uint8_t *blob = buf_get_string(&b, 4096, &len);

		if (blob != NULL && len == shown->len && memcmp(blob, shown->data, len) == 0)
			return true;
	}
	return false;
}

static void check_pin(struct way *w)
{
	ssh_key key = NULL;
	struct buf shown;
	char line[256];

	buf_init(&shown, 8192);
	if (ssh_get_server_publickey(w->ssh, &key) == SSH_OK && ssh_setup_key_blob(key, &shown) == 0 &&
	    is_pinned(w, &shown)) {
		w->step = TARGET_AUTH;
	} else {
		snprintf(line, sizeof(line), "bastiond: the host key of %s is not the registered one: refused; "
		    "tell your administrator (bastionctl host add)", w->host);
		log_error("%s@%s: host key differs from the pinned ones", w->login, w->host);
		session_note(w->session, w->id, "hostkey.mismatch", w->host);
		way_end(w, BREC_END_ERROR, line);
	}
	ssh_key_free(key);
	buf_finish(&shown);
}

static void target_failed(struct way *w, const char *what)
{
	char line[LINE_MAX_LEN];

	log_warn("%s@%s: %s: %s", w->login, w->host, what, ssh_get_error(w->ssh));
	snprintf(line, sizeof(line), "bastiond: %s: %s", w->host, what);
	way_end(w, BREC_END_ERROR, line);
}

/* The key is given back at once: keys lends so many at a time, and has nothing more to sign here. libssh closes the socket when it ends. */
static void give_back_key(struct way *w)
{
	if (w->agent >= 0)
		shutdown(w->agent, SHUT_RDWR);
	w->agent = -1;
}

static void login_step(struct way *w)
{
	int r = w->managed ? ssh_userauth_agent(w->ssh, NULL) : ssh_userauth_publickey(w->ssh, NULL, w->key);

	switch (r) {
	case SSH_AUTH_AGAIN:
		break;
	case SSH_AUTH_SUCCESS:
		give_back_key(w);
		w->step = TARGET_READY;
		break;
	case SSH_AUTH_PARTIAL:
		target_failed(w, "the target took the key, and wants more than that (AuthenticationMethods of its sshd), which the bastion cannot give");
		break;
	default:
		target_failed(w, w->managed ? "the target refused the managed key (is the line of `bastionctl host trust` in the account's "
		    "authorized_keys? An RSA key needs a target that knows rsa-sha2-256)" :
		    "the target refused the login (does its sshd trust the bastion's CA, and does the account exist?)");
	}
}

struct find_target { ssh_channel target; bool found; };

static void match_target(struct chan *c, void *arg)
{
	struct find_target *f = arg;

	f->found = f->found || c->target == f->target;
}

void target_message(void *way, ssh_message m)
{
	struct find_target f = { .found = true };

	if (ssh_message_type(m) == SSH_REQUEST_CHANNEL) {
		f = (struct find_target){ .target = ssh_message_channel_request_channel(m) };
		way_each_chan(way, match_target, &f);
	}
	/* a server asks its client for nothing that this one has: forwarded ports, X11, agent. A channel that closed
	 * meanwhile may be gone from libssh, too: no answer */
	if (f.found)
		ssh_message_reply_default(m);
	ssh_message_free(m);
}

static void visit_lost(struct chan *c, void *arg)
{
	(void)arg;
	relay_target_lost(c);
}

/* The channel for whose client the way waits. */
static bool chokes(const struct chan *c)
{
	return c->state == CHAN_LIVE && !c->client_closed && !c->target_abandoned && c->both_streams &&
	    c->unread_out + c->unread_err > CHAN_CHOKE;
}

static void count_choked(struct chan *c, void *arg)
{
	*(bool *)arg = *(bool *)arg || chokes(c);
}

bool way_choked(struct way *w)
{
	bool choked = false;

	way_each_chan(w, count_choked, &choked);
	return choked;
}

static void tell_choked(struct chan *c, void *arg)
{
	if (!chokes(c))
		chan_say(c, arg);
}

int target_tick(struct way *w, uint64_t now_ms)
{
	static char line[] = "bastiond: another channel of this connection waits until its output is read: until then nothing comes from the target";

	if (!way_choked(w)) {
		w->choked_since_ms = 0;
		return -1;
	}
	w->choked_ms = now_ms;
	if (w->choked_since_ms == 0) {
		w->choked_since_ms = w->alive_ms = now_ms;
		w->choke_told = false;
	}
	if (!w->choke_told && now_ms >= w->choked_since_ms + CHOKE_TOLD_MS) {
		w->choke_told = true;
		way_each_chan(w, tell_choked, line);
	}
	if (now_ms >= w->alive_ms + CHOKE_ALIVE_MS) {
		w->alive_ms = now_ms;
		if (!ssh_setup_blocked(w->ssh))
			ssh_send_ignore(w->ssh, "");
	}
	return (int)(w->alive_ms + CHOKE_ALIVE_MS - now_ms);
}

/*
 * libssh says goodbye, and leaves a socket open that it was given by SSH_OPTIONS_FD, if it did not close it for an error: nobody would
 * have its number any more. Before ssh_connect() it has none.
 */
void target_leave(struct way *w)
{
	const int fd = w->step == TARGET_CONNECT ? w->fd : ssh_get_fd(w->ssh);

	ssh_disconnect(w->ssh);
	ssh_free(w->ssh);
	w->ssh = NULL;
	if (fd >= 0)
		close(fd); /* ssh_io.h: what was gathered is written */
	w->fd = -1;
}

void target_step(struct way *w)
{
	int r;

	if (w->step == TARGET_CONNECT) {
		if ((r = ssh_connect(w->ssh)) == SSH_ERROR)
			target_failed(w, "no SSH connection to the target");
		else if (r == SSH_OK)
			w->step = TARGET_PIN;
	}
	if (w->step == TARGET_PIN)
		check_pin(w);
	if (w->step == TARGET_AUTH && !w->ending)
		login_step(w);
	if (w->step != TARGET_READY || w->ending)
		return;
	if (w->lost)
		return;
	ssh_io_deaf(w->fd, way_choked(w));
	if (w->ready && !session_pump(w->session, &w->pump, w->ssh, target_message, w)) {
		w->lost = true;
		w->fd = -1; /* libssh may have closed it: the next one may get the number */
		way_each_chan(w, visit_lost, NULL);
	}
	w->ready = w->pump.more && !w->lost;
	ssh_io_deaf(w->fd, way_choked(w)); /* from now on: what the channels write would read, too */
}
