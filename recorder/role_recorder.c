/*
 * role_recorder.c - the recorder role: takes encrypted frames from sessions, chains and signs them,
 * and gives them to collectors.
 *
 * Its secrets are the TLS client key and the signing key, both read before it drops its uid; it
 * never sees plaintext. Comes after the session (brec_writer.h), before bastion-collectord.
 */
#include "role_recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "drop.h"
#include "hex.h"
#include "log.h"
#include "roles.h"
#include "sandbox.h"

#define RECORDER_HEAP (16 << 20)
#define READY_MS 1000		/* so long the start waits for the collectors, and then goes on without */
#define END_MS 2000		/* so long the end waits for the last commits */

static int read_boot_id(uint8_t id[16])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[40] = "", hex[33];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	size_t k = 0;

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n && k < 32; i++)
		if (text[i] != '-' && text[i] != '\n')
			hex[k++] = text[i];
	hex[k] = '\0';
	return hex_decode(id, 16, hex);
}

/* Everything that needs root or a file. 0, or -1 logged. */
static int load(struct recorder *rc)
{
	const struct config *conf = rc->conf;
	char cert[512], key[512], signer[512];

	snprintf(cert, sizeof(cert), "%s/recorder/client.crt", conf->state_dir);
	snprintf(key, sizeof(key), "%s/recorder/client.key", conf->state_dir);
	snprintf(signer, sizeof(signer), "%s/recorder/signer.pem", conf->state_dir);
	if (conf->ncollectors < conf->quorum) {
		log_error("quorum is %" PRIu32 ", but only %zu collectors are configured", conf->quorum,
		    conf->ncollectors);
		return -1;
	}
	if ((rc->signer = sign_key_load(signer)) == NULL) {
		log_error("signing key %s: %s. bastionctl init makes it", signer, strerror(errno));
		return -1;
	}
	sign_key_public(rc->signer, rc->signer_pub);
	if (read_boot_id(rc->boot_id) != 0) {
		log_error("/proc/sys/kernel/random/boot_id cannot be read");
		return -1;
	}
	rc->quorum = conf->quorum;
	for (unsigned i = 0; i < conf->ncollectors; i++, rc->nships++)
		if (ship_init(rc, &rc->ships[i], i, &conf->collectors[i], cert, key) != 0)
			return -1;
	return 0;
}

/* What OpenSSL opens or computes only at first use must be there before the sandbox closes. */
static void warm_up(struct recorder *rc)
{
	uint8_t sig[SIG_LEN], random[16];

	crypto_init();
	if (RAND_bytes(random, sizeof(random)) != 1 ||
	    sign_key_sign(rc->signer, sig, random, sizeof(random)) != 0 ||
	    !ed25519_verify(rc->signer_pub, sig, random, sizeof(random)))
		fatal("OpenSSL does not sign");
	for (unsigned i = 0; i < rc->nships; i++)
		SSL_free(SSL_new(rc->ships[i].tls));
}

static void complain(void *arg, const char *line)
{
	(void)arg;
	log_error("%s", line);
}

/*
 * New certificates of the collectors, for a change of keys without a gap. The set of collectors,
 * their addresses and the recorder's own keys need a start. A collector that was barred gets
 * another chance.
 */
static void reload(struct recorder *rc, int fd)
{
	struct config *conf = config_load_fd(fd, "reload", complain, NULL);

	if (conf == NULL) {
		log_error("reload: the configuration was not understood; nothing is changed");
		return;
	}
	for (unsigned i = 0; i < rc->nships; i++) {
		struct ship *s = &rc->ships[i];
		struct tls_pins pins = { 0 };
		char why[200];
		size_t k;

		for (k = 0; k < conf->ncollectors && strcmp(conf->collectors[k].name, s->name) != 0; k++)
			;
		if (k == conf->ncollectors)
			log_warn("reload: collector %s is no longer there: restart bastiond for that", s->name);
		else if (tls_pins_add(&pins, conf->collectors[k].certificate.text, why, sizeof(why)) != 0 ||
		    pins.nkeys == 0)
			log_error(
			    "reload: collector %s: certificate not usable; the one before stays", s->name);
		else
			s->pins = pins;
		if (s->state == SHIP_BARRED)
			ship_start(s);
	}
	if (conf->ncollectors != rc->nships || conf->quorum != rc->quorum)
		log_warn("reload: collectors or quorum changed: restart bastiond for that");
	config_destroy(conf);
}

static void on_parent(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *rc = arg;
	struct ipc_msg m;
	int r;

	(void)fd, (void)what;
	while ((r = ipc_recv(&rc->parent, &m)) == 1) {
		if (m.type == MSG_REC_PEER_UP)
			link_up(rc, m.id, ipc_take_fd(&m, 0));
		else if (m.type == MSG_RECORDER_RELOAD)
			reload(rc, m.fds[0]);
		ipc_msg_finish(&m);
	}
	if (r < 0)
		rc->stop = true;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *rc = arg;

	(void)fd, (void)what;
	if (rc->told_ready)
		return;
	rc->told_ready = true;
	if (ipc_send_empty(&rc->parent, MSG_RECORDER_READY, 0) != 0)
		rc->stop = true;
	if (!rc->up)
		log_warn("not enough collectors are reachable (%u needed): sessions are refused until they are",
		    rc->quorum);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *rc = arg;

	(void)fd, (void)what;
	for (unsigned i = 0; i < rc->nships; i++)
		ship_tick(&rc->ships[i]);
}

static void on_term(evutil_socket_t sig, short what, void *arg)
{
	struct recorder *rc = arg;

	(void)sig, (void)what;
	rc->stop = true;
}

static int watch(struct recorder *rc)
{
	const struct timeval second = { .tv_sec = 1 };
	const struct timeval ready = { .tv_sec = READY_MS / 1000, .tv_usec = READY_MS % 1000 * 1000 };
	struct event *term = evsignal_new(rc->base, SIGTERM, on_term, rc);

	ipc_init(&rc->parent, ROLE_FD_PARENT, ROLE_RECORDER, ROLE_PARENT);
	rc->parent_rd = event_new(rc->base, ROLE_FD_PARENT, EV_READ | EV_PERSIST, on_parent, rc);
	rc->tick = event_new(rc->base, -1, EV_PERSIST, on_tick, rc);
	rc->ready = evtimer_new(rc->base, on_ready, rc);
	if (term == NULL || rc->parent_rd == NULL || rc->tick == NULL || rc->ready == NULL ||
	    event_add(term, NULL) != 0 || event_add(rc->parent_rd, NULL) != 0 ||
	    event_add(rc->tick, &second) != 0 || event_add(rc->ready, &ready) != 0) {
		log_error("event loop: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static void stop_waiting(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(bool *)arg = true;
}

/*
 * Sessions end with the recorder. Their recordings are closed, and the collectors get a moment to
 * take that.
 */
static void wind_up(struct recorder *rc)
{
	const struct timeval limit = { .tv_sec = END_MS / 1000 };
	bool late = false;

	link_end_all(rc);
	event_base_once(rc->base, -1, EV_TIMEOUT, stop_waiting, &late, &limit);
	while (!late && rc->waiting != 0)
		event_base_loop(rc->base, EVLOOP_ONCE);
	if (rc->waiting != 0)
		log_error(
		    "ended with %zu bytes that no quorum of collectors has: the recordings concerned have no close frame",
		    rc->waiting);
}

int role_recorder(struct config *conf)
{
	static struct recorder rc;

	/*
	 * frames come and go by the megabyte: keep the memory instead of getting it from the
	 * kernel, zeroed, each time
	 */
	mallopt(M_TRIM_THRESHOLD, RECORDER_HEAP);
	mallopt(M_MMAP_THRESHOLD, RECORDER_HEAP);
	rc.conf = conf;
	TAILQ_INIT(&rc.all);
	LIST_INIT(&rc.links);
	if ((rc.base = event_base_new()) == NULL || load(&rc) != 0 || watch(&rc) != 0)
		return 1;
	warm_up(&rc);
	if (drop_to(conf, ROLE_RECORDER) != 0 || sandbox_enter(conf, ROLE_RECORDER) != 0)
		return 1;
	for (unsigned i = 0; i < rc.nships; i++)
		ship_start(&rc.ships[i]);
	while (!rc.stop) {
		event_base_loop(rc.base, EVLOOP_ONCE);
		link_turn(&rc);
	}
	wind_up(&rc);
	for (unsigned i = 0; i < rc.nships; i++)
		ship_finish(&rc.ships[i]);
	sign_key_destroy(rc.signer);
	return 0;
}
