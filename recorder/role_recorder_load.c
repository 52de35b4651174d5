/*
 * role_recorder_load.c - the recorder's keys and its list of collectors: at the start, and anew at a reload.
 *
 * Runs in the recorder role. A reload is taken as a whole: everything new is made beside what is in use, and only when
 * nothing is missing put in its place. Recordings that are open keep the signer, the quorum and the collectors that
 * they began with; a collector that is no longer listed stays until they are over.
 */
#include "role_recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hex.h"
#include "keyfiles.h"
#include "log.h"
#include "roles.h"

/* What is read, before any of it is in use. */
struct fresh {
	struct signer *signer;
	struct ship_tls *tls[CONFIG_COLLECTORS_MAX];	/* one a collector of the configuration, in its order */
};

struct signer *signer_take(struct signer *s)
{
	s->refs++;
	return s;
}

void signer_release(struct signer *s)
{
	if (s == NULL || --s->refs != 0)
		return;
	sign_key_destroy(s->key);
	free(s);
}

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

static void drop_fresh(struct fresh *f)
{
	signer_release(f->signer);
	for (size_t i = 0; i < CONFIG_COLLECTORS_MAX; i++)
		ship_tls_destroy(f->tls[i]);
	*f = (struct fresh){ 0 };
}

static struct signer *make_signer(const struct buf *files)
{
	struct signer *s = calloc(1, sizeof(*s));
	struct keyfile pem;

	if (s == NULL || keyfiles_find(files, "recorder/signer.pem", &pem) != 0 ||
	    (s->key = sign_key_from_pem(pem.data, pem.len)) == NULL) {
		log_error("recorder/signer.pem: no Ed25519 key in PKCS#8 PEM. 'bastionctl init' makes it");
		free(s);
		return NULL;
	}
	sign_key_public(s->key, s->pub);
	return signer_take(s);
}

static struct ship_tls *make_tls(const struct config_collector *c, const struct buf *files)
{
	struct ship_tls *t = calloc(1, sizeof(*t));
	struct keyfile crt, key;
	char why[300];

	if (t == NULL || keyfiles_find(files, "recorder/client.crt", &crt) != 0 ||
	    keyfiles_find(files, "recorder/client.key", &key) != 0 ||
	    sha256_spans(t->client, SPANS(SPAN(crt.data, crt.len), SPAN(key.data, key.len))) != 0)
		log_error("collector %s: out of memory", c->name);
	else if (tls_pins_add(&t->pins, c->certificate.text, why, sizeof(why)) != 0)
		log_error("collector %s: its certificate: %s", c->name, why);
	else if (t->pins.nkeys == 0)
		log_error("collector %s: its certificate's file holds no receipt key (PUBLIC KEY block): "
		    "copy the whole file that bastion-collectord -I made", c->name);
	else if ((t->ctx = tls_context_pem(false, &SPAN(crt.data, crt.len), &SPAN(key.data, key.len), &t->pins, why,
	    sizeof(why))) == NULL)
		log_error("recorder/client.crt, recorder/client.key: %s. 'bastionctl init' makes them", why);
	else
		return t;
	ship_tls_destroy(t);
	return NULL;
}

/* 0; -1: something is missing, every fault is logged, *f is empty. */
static int make_fresh(struct fresh *f, const struct config *conf, const struct buf *files)
{
	bool ok = true;

	*f = (struct fresh){ .signer = make_signer(files) };
	for (size_t i = 0; i < conf->ncollectors; i++)
		ok = (f->tls[i] = make_tls(&conf->collectors[i], files)) != NULL && ok;
	if (config_collectors(conf, false) < conf->quorum) {
		log_error("quorum is %" PRIu32 ", but only %zu collectors are configured", conf->quorum, config_collectors(conf, false));
		ok = false;
	}
	if (ok && f->signer != NULL)
		return 0;
	drop_fresh(f);
	return -1;
}

int role_recorder_try(const struct config *conf, int files)
{
	struct buf bundle;
	struct fresh f;
	int r;

	if (keyfiles_read(files, &bundle) != 0)
		return -1;
	if ((r = make_fresh(&f, conf, &bundle)) == 0)
		drop_fresh(&f);
	buf_finish(&bundle);
	return r;
}

static void take_limits(struct recorder *rc, const struct config *conf)
{
	const uint64_t every_ms = conf->segment_time / 2, open_ms = conf->dial_timeout / REC_OPEN_LONG_WAYS;

	if (rc->seal_every_ms == 0 || every_ms < rc->seal_every_ms)
		rc->seal_every_ms = every_ms;
	if (rc->open_long_ms == 0)
		rc->open_long_ms = REC_OPEN_LONG_MS;
	if (open_ms < rc->open_long_ms)
		rc->open_long_ms = open_ms;
	rc->quorum[SET_USUAL] = conf->quorum;
	rc->quorum[SET_GLASS] = conf->break_glass_quorum;
}

int load_first(struct recorder *rc)
{
	const struct config *conf = rc->conf;
	struct buf files;
	struct fresh f;
	int r;

	if (read_boot_id(rc->boot_id) != 0) {
		log_error("/proc/sys/kernel/random/boot_id cannot be read");
		return -1;
	}
	if (keyfiles_own(conf->state_dir, ROLE_RECORDER, &files) != 0)
		return -1;
	r = make_fresh(&f, conf, &files);
	buf_finish(&files);
	if (r != 0)
		return -1;
	rc->signer = f.signer;
	take_limits(rc, conf);
	for (unsigned i = 0; i < conf->ncollectors; i++, rc->nships++)
		if (ship_init(rc, i, &conf->collectors[i], f.tls[i]) != 0)
			return -1;
	return 0;
}

/* --- reload --- */

/* Is that the one? One that moved to the other set is another: what it has begun it keeps as what it was. */
static bool is_ship(const struct ship *s, const struct config_collector *c)
{
	return s->state != SHIP_OFF && (s->set == SET_GLASS) == c->glass && strcmp(s->name, c->name) == 0;
}

static struct ship *ship_of(struct recorder *rc, const struct config_collector *c)
{
	for (unsigned i = 0; i < rc->nships; i++)
		if (is_ship(&rc->ships[i], c))
			return &rc->ships[i];
	return NULL;
}

/* A place for one more; -1: all are taken, by collectors that leave too. */
static int free_place(const struct recorder *rc)
{
	for (unsigned i = 0; i < rc->nships; i++)
		if (rc->ships[i].state == SHIP_OFF)
			return (int)i;
	return rc->nships < CONFIG_COLLECTORS_MAX ? (int)rc->nships : -1;
}

static bool enough_places(struct recorder *rc, const struct config *conf)
{
	size_t room = CONFIG_COLLECTORS_MAX - rc->nships, wanted = 0;

	for (unsigned i = 0; i < rc->nships; i++)
		room += rc->ships[i].state == SHIP_OFF;
	for (size_t i = 0; i < conf->ncollectors; i++)
		wanted += ship_of(rc, &conf->collectors[i]) == NULL;
	if (wanted <= room)
		return true;
	log_error("reload: %zu new collectors, but recordings that are open still need %zu others: of %d in all, try again "
	    "when these have ended", wanted, (size_t)CONFIG_COLLECTORS_MAX - room, CONFIG_COLLECTORS_MAX);
	return false;
}

static bool same(const struct ship *s, const struct config_addr *addr, const struct ship_tls *tls)
{
	return s->addr.len == addr->len && memcmp(&s->addr.ss, &addr->ss, addr->len) == 0 &&
	    memcmp(s->wanted, tls->client, HASH_LEN) == 0 &&
	    memcmp(&s->tls->pins, &tls->pins, sizeof(tls->pins)) == 0;
}

/* One collector of the configuration; takes over *tls if it needs it. */
static void put_collector(struct recorder *rc, const struct config_collector *c, struct ship_tls **tls)
{
	struct ship *s = ship_of(rc, c);
	int place;

	if (s != NULL) {
		s->leaving = false;
		if (!same(s, &c->addr, *tls)) {
			ship_change(s, &c->addr, *tls);
			*tls = NULL;
		} else if (s->state == SHIP_BARRED) {
			ship_start(s); /* another chance */
		}
		return;
	}
	if ((place = free_place(rc)) < 0 || ship_init(rc, (unsigned)place, c, *tls) != 0)
		return;
	*tls = NULL;
	if ((unsigned)place == rc->nships)
		rc->nships++;
	ship_start(&rc->ships[place]);
}

static void leave_out(struct recorder *rc, const struct config *conf)
{
	for (unsigned i = 0; i < rc->nships; i++) {
		struct ship *s = &rc->ships[i];
		size_t k;

		for (k = 0; k < conf->ncollectors && !is_ship(s, &conf->collectors[k]); k++)
			;
		if (k < conf->ncollectors || s->state == SHIP_OFF || s->leaving)
			continue;
		s->leaving = true;
		log_notice("collector %s: no longer listed: it keeps the recordings that are open", s->name);
	}
}

static void complain(void *arg, const char *line)
{
	(void)arg;
	log_error("%s", line);
}

void load_again(struct recorder *rc, const int *fds)
{
	struct config *conf = config_load_fd(fds[0], "reload", complain, NULL);
	struct fresh f = { 0 };
	struct buf files;
	int r = -1;

	if (conf != NULL && keyfiles_read(fds[1], &files) == 0) {
		r = enough_places(rc, conf) ? make_fresh(&f, conf, &files) : -1;
		buf_finish(&files);
	}
	if (r != 0) {
		log_error("reload: collectors and keys of before stay in force");
		config_destroy(conf);
		return;
	}
	signer_release(rc->signer);
	rc->signer = signer_take(f.signer);
	take_limits(rc, conf);
	leave_out(rc, conf);
	for (size_t i = 0; i < conf->ncollectors; i++)
		put_collector(rc, &conf->collectors[i], &f.tls[i]);
	drop_fresh(&f);
	config_destroy(rc->conf);
	rc->conf = conf;
	log_level_set((enum log_level)conf->log_level);
	ship_review(rc);
	log_notice("reload: %zu collectors, quorum %u; for break-glass %zu, quorum %u", config_collectors(conf, false),
	    rc->quorum[SET_USUAL], config_collectors(conf, true), rc->quorum[SET_GLASS]);
}
