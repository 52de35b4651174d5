/*
 * role_recorder.c - the recorder role: takes encrypted frames from sessions, chains and signs them,
 * and gives them to collectors.
 *
 * Its secrets are the TLS client key and the signing key, both read before it drops its uid, or
 * handed over at a reload; it
 * never sees plaintext. Comes after the session (brec_writer.h), before bastion-collectord.
 */
#include "role_recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "drop.h"
#include "log.h"
#include "roles.h"
#include "sandbox.h"

#define RECORDER_HEAP (16 << 20)
#define READY_MS 1000		/* so long the start waits for the collectors, and then goes on without */
#define END_MS 2000		/* so long the end waits for the last commits */

/* What OpenSSL opens or computes only at first use must be there before the sandbox closes. */
static void warm_up(struct recorder *rc)
{
	uint8_t sig[SIG_LEN], random[16];

	crypto_init();
	if (RAND_bytes(random, sizeof(random)) != 1 ||
	    sign_key_sign(rc->signer->key, sig, random, sizeof(random)) != 0 ||
	    !ed25519_verify(rc->signer->pub, sig, random, sizeof(random)))
		fatal("OpenSSL does not sign");
	for (unsigned i = 0; i < rc->nships; i++)
		SSL_free(SSL_new(rc->ships[i].tls->ctx));
}

static void on_parent(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *rc = arg;
	struct ipc_msg m;
	int r;

	(void)fd, (void)what;
	while ((r = ipc_recv(&rc->parent, &m)) == 1) {
		if (m.type == MSG_REC_PEER_UP)
			link_up(rc, m.id, buf_get(&m.body, RECID_KEY_LEN), ipc_take_fd(&m, 0));
		else if (m.type == MSG_RECORDER_RELOAD)
			load_again(rc, m.fds);
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
	if (!rc->up[SET_USUAL])
		log_warn("not enough collectors are reachable (%u needed): sessions are refused until they are",
		    rc->quorum[SET_USUAL]);
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

/* Policy ends at the same moment: it closes the recording of the events itself. */
static bool policy_speaks(const struct recorder *rc)
{
	const struct link *l;

	LIST_FOREACH(l, &rc->links, all)
		if (l->slot == REC_SLOT_POLICY && !l->over)
			return true;
	return false;
}

/*
 * Sessions end with the recorder. Their recordings are closed, and the collectors get a moment to
 * take that.
 */
static void wind_up(struct recorder *rc)
{
	const struct timeval limit = { .tv_sec = END_MS / 1000 };
	bool late = false;

	event_base_once(rc->base, -1, EV_TIMEOUT, stop_waiting, &late, &limit);
	while (!late && policy_speaks(rc))
		event_base_loop(rc->base, EVLOOP_ONCE);
	link_end_all(rc);
	while (!late && rc->waiting[SET_USUAL] + rc->waiting[SET_GLASS] != 0)
		event_base_loop(rc->base, EVLOOP_ONCE);
	if (rc->waiting[SET_USUAL] + rc->waiting[SET_GLASS] != 0)
		log_error(
		    "ended with %zu bytes that no quorum of collectors has: the recordings concerned have no close frame",
		    rc->waiting[SET_USUAL] + rc->waiting[SET_GLASS]);
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
	if ((rc.base = event_base_new()) == NULL || load_first(&rc) != 0 || watch(&rc) != 0)
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
	signer_release(rc.signer);
	config_destroy(rc.conf);
	return 0;
}
