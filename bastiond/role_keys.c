/*
 * role_keys.c - the keys role: signs user certificates and lends managed keys, within bounds of its
 * own.
 *
 * Comes after policy's decision (policy_authz.c), before the session's login at the target. It
 * believes policy about who may log in where; it does not believe anyone about how much a signature
 * is good for: one login name, five minutes, two signatures. Opens no file after its start, takes
 * new keys from parent at a reload, and has no network.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "drop.h"
#include "escape.h"
#include "ipc.h"
#include "keys_lend.h"
#include "keys_seal.h"
#include "sshkey.h"
#include "keys_store.h"
#include "log.h"
#include "roles.h"
#include "sandbox.h"
#include "sshcert.h"
#include "rotate.h"

#define LIST_BYTES_MAX 60000	/* of one LIST_KEYS_RE */

struct keys_role {
	struct ipc parent, policy;
	struct keys keys;
	struct lending lending;
	uint64_t signatures;	/* for the log: the n-th certificate of this process */
};

/* u8 ok; str */
static int reply(struct keys_role *k, enum msg_type type, uint32_t id, const char *refusal,
    const struct buf *blob)
{
	struct buf body;
	int r;

	buf_init(&body, MSG_MAX);
	buf_put_u8(&body, refusal == NULL);
	if (refusal != NULL)
		buf_put_cstring(&body, refusal);
	else
		buf_put_string(&body, blob->data, blob->len);
	r = ipc_send(&k->policy, type, id, &body, NULL, 0);
	buf_finish(&body);
	return r;
}

static int sign_cert(struct keys_role *k, struct ipc_msg *m)
{
	const char *refusal;
	struct sshcert c;
	struct buf cert;
	char safe[4 * SSHCERT_KEY_ID_MAX + 8];
	int r;

	if (sshcert_decode(&m->body, &c) != 0)
		return -1;
	buf_init(&cert, SSHCERT_MAX);
	refusal = sshcert_refusal(&c, clock_wall());
	if (refusal == NULL && sshcert_sign(&c, k->keys.ca, &cert) != 0)
		refusal = "OpenSSL could not sign";
	esc_quoted(safe, sizeof(safe), c.key_id, strlen(c.key_id));
	if (refusal != NULL)
		log_error("certificate %s refused: %s", safe, refusal);
	else
		log_info("certificate %s signed: serial %llu, %llu so far", safe,
		    (unsigned long long)c.serial, (unsigned long long)++k->signatures);
	r = reply(k, MSG_SIGN_CERT_RE, m->id, refusal, &cert);
	buf_finish(&cert);
	return r;
}

/* The sealed key, or the one of that name; the caller frees it. NULL: *why not. */
static EVP_PKEY *key_to_lend(const struct keys *keys, const char *name, const struct keys_place *at, const uint8_t *sealed, size_t len,
    const char **why)
{
	EVP_PKEY *key;

	*why = "not a login name";
	if (!name_is_login(at->login))
		return NULL;
	if (len > 0)
		return keys_unseal(keys, at, sealed, len, why);
	*why = "no managed key of that name in keys/managed; a new one is seen after a reload";
	if ((key = keys_find(keys, name)) != NULL)
		EVP_PKEY_up_ref(key);
	return key;
}

static int lend_key(struct keys_role *k, struct ipc_msg *m)
{
	char name[USER_NAME_MAX + 1];
	struct keys_place at = { 0 };
	const char *refusal = NULL;
	const uint8_t *sealed;
	struct buf blob;
	EVP_PKEY *key;
	size_t len;
	int r;

	buf_get_cstring(&m->body, name, sizeof(name));
	buf_get_cstring(&m->body, at.login, sizeof(at.login));
	sealed = buf_get_string(&m->body, KEYS_SEALED_LEN, &len);
	at.host_id = (int64_t)buf_get_u64(&m->body);
	at.generation = buf_get_u64(&m->body);
	if (!buf_end(&m->body))
		return -1;
	buf_init(&blob, SSHKEY_BLOB_MAX);
	if ((key = key_to_lend(&k->keys, name, &at, sealed, len, &refusal)) != NULL)
		refusal = sshkey_blob(key, &blob) != 0 ? "the key has no SSH form" :
		    lend_start(&k->lending, ipc_take_fd(m, 0), key, at.login, clock_mono_ms());
	EVP_PKEY_free(key);
	if (refusal != NULL)
		log_error("managed key not lent: %s", refusal);
	else if (len > 0)
		log_info("managed key %llu of host %lld lent for login %s", (unsigned long long)at.generation, (long long)at.host_id, at.login);
	else
		log_info("managed key %s lent for login %s", name, at.login);
	r = reply(k, MSG_LEND_KEY_RE, m->id, refusal, &blob);
	buf_finish(&blob);
	return r;
}

static int make_key(struct keys_role *k, struct ipc_msg *m)
{
	struct keys_place at = { 0 };
	struct buf both, public, sealed;
	const char *refusal = "not a login name";
	int r;

	at.host_id = (int64_t)buf_get_u64(&m->body);
	buf_get_cstring(&m->body, at.login, sizeof(at.login));
	at.generation = buf_get_u64(&m->body);
	if (!buf_end(&m->body))
		return -1;
	buf_init(&both, MSG_MAX);
	buf_init(&public, SSHKEY_BLOB_MAX);
	buf_init(&sealed, KEYS_SEALED_LEN);
	if (name_is_login(at.login) && (refusal = keys_make(&k->keys, &at, &public, &sealed)) == NULL) {
		buf_put_string(&both, public.data, public.len);
		buf_put_string(&both, sealed.data, sealed.len);
		log_info("managed key %llu of host %lld made for login %s", (unsigned long long)at.generation, (long long)at.host_id, at.login);
	}
	if (refusal != NULL)
		log_error("managed key not made: %s", refusal);
	r = reply(k, MSG_MAKE_KEY_RE, m->id, refusal, &both);
	buf_finish(&sealed);
	buf_finish(&public);
	buf_finish(&both);
	return r;
}

/* Writes u8 more; list(str name, str line) of as many keys as fit from *i on; 0 is the CA, 1.. are
   the managed keys. */
static int put_keys(const struct keys *k, size_t *i, struct buf *body)
{
	char line[KEYS_LINE_MAX];
	struct buf list;
	uint32_t count = 0;

	buf_init(&list, MSG_MAX);
	for (; *i <= k->n && list.len < LIST_BYTES_MAX; ++*i) {
		const char *name = *i == 0 ? "ca" : k->managed[*i - 1].name;

		if (sshkey_line(*i == 0 ? k->ca : k->managed[*i - 1].key, name, line,
			sizeof(line)) != 0)
			continue;
		buf_put_cstring(&list, name);
		buf_put_cstring(&list, line);
		count++;
	}
	buf_put_u8(body, *i <= k->n);
	buf_put_u32(body, count);
	buf_put(body, list.data, list.len);
	buf_finish(&list);
	return buf_ok(body) ? 0 : -1;
}

static int list_keys(struct keys_role *k, uint32_t id)
{
	size_t i = 0;
	int r;

	do {
		struct buf body;

		buf_init(&body, MSG_MAX);
		r = put_keys(&k->keys, &i, &body);
		if (r == 0)
			r = ipc_send(&k->policy, MSG_LIST_KEYS_RE, id, &body, NULL, 0);
		buf_finish(&body);
	} while (r == 0 && i <= k->keys.n);
	return r;
}

/* The CA and the managed keys anew. Those that are lent live on until their login is over. */
static void reload(struct keys_role *k, int fd, uint8_t level)
{
	struct keys fresh;
	struct buf files;

	log_level_set(level <= LOG_LVL_ERROR ? (enum log_level)level : LOG_LVL_INFO);
	if (keyfiles_read(fd, &files) != 0)
		return;
	if (keys_load(&fresh, &files) == 0) {
		keys_finish(&k->keys);
		k->keys = fresh;
		log_notice("reload: the user CA and %zu managed keys", fresh.n);
	} else {
		log_error("reload: the keys of before stay in force");
	}
	buf_finish(&files);
}

/* True: parent is gone, and so is this role. */
static bool from_parent(struct keys_role *k)
{
	struct ipc_msg m;
	int r;

	while ((r = ipc_recv(&k->parent, &m)) > 0) {
		reload(k, m.fds[0], buf_get_u8(&m.body));
		ipc_msg_finish(&m);
	}
	return r != 0;
}

static int handle(struct keys_role *k, struct ipc_msg *m)
{
	switch (m->type) {
	case MSG_SIGN_CERT:
		return sign_cert(k, m);
	case MSG_LEND_KEY:
		return lend_key(k, m);
	case MSG_MAKE_KEY:
		return make_key(k, m);
	case MSG_LIST_KEYS:
		return list_keys(k, m->id);
	default:
		return -1;
	}
}

/* Serves what waits on the link. 0, or -1: the role ends, and parent starts the set anew. */
static int from_policy(struct keys_role *k)
{
	struct ipc_msg m;
	int r;

	while ((r = ipc_recv(&k->policy, &m)) > 0) {
		/* a reload that parent sent before policy heard of it counts for what policy asks now */
		r = from_parent(k) ? -1 : handle(k, &m);
		if (r != 0)
			log_error("%s from policy is malformed, or its link is full",
			    msg_name(m.type));
		ipc_msg_finish(&m);
		if (r != 0)
			return -1;
	}
	return r;
}

static int loop(struct keys_role *k)
{
	struct pollfd p[2 + LEND_MAX];

	for (;;) {
		size_t n = lend_poll(&k->lending, p + 2);

		p[0] = (struct pollfd){ .fd = k->parent.fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = k->policy.fd, .events = POLLIN };
		if (ipc_wants_write(&k->policy))
			p[1].events |= POLLOUT;
		if (poll(p, 2 + n, lend_timeout(&k->lending, clock_mono_ms())) < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (from_parent(k))
			return 0;
		lend_events(&k->lending, p + 2, n, clock_mono_ms());
		if (p[1].revents != 0 && (ipc_flush(&k->policy) != 0 || from_policy(k) != 0))
			return 0;
	}
}

int role_keys_try(const struct config *conf, int files)
{
	struct buf bundle;
	struct keys k;
	int r;

	(void)conf;
	if (keyfiles_read(files, &bundle) != 0)
		return -1;
	if ((r = keys_load(&k, &bundle)) == 0)
		keys_finish(&k);
	buf_finish(&bundle);
	return r;
}

/* Still root: a bastion that was set up before managed keys rotated gets what seals them. Without it none is made, and that is said then. */
static void make_target_key(const struct config *conf)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/" KEYFILE_TARGET, conf->state_dir);
	if (access(path, F_OK) != 0 && errno == ENOENT && totpkey_make(path) == 0)
		log_notice("made %s: it seals managed keys that rotate; back it up with the other keys", path);
}

int role_keys(struct config *conf)
{
	struct keys_role *k = calloc(1, sizeof(*k));
	int status = 1, loaded = -1;
	struct buf files;

	make_target_key(conf);
	if (k != NULL && keyfiles_own(conf->state_dir, ROLE_KEYS, &files) == 0) {
		loaded = keys_load(&k->keys, &files);
		buf_finish(&files);
	}
	if (loaded != 0) {
		free(k);
		return 1;
	}
	ipc_init(&k->parent, ROLE_FD_PARENT, ROLE_KEYS, ROLE_PARENT);
	ipc_init(&k->policy, KEYS_FD_POLICY, ROLE_KEYS, ROLE_POLICY);
	if (drop_to(conf, ROLE_KEYS) == 0 && sandbox_enter(conf, ROLE_KEYS) == 0 &&
	    ipc_send_empty(&k->parent, MSG_KEYS_READY, 0) == 0) {
		log_info("ready: the user CA and %zu managed keys", k->keys.n);
		status = loop(k) != 0;
	}
	lend_finish(&k->lending);
	keys_finish(&k->keys);
	ipc_finish(&k->policy);
	ipc_finish(&k->parent);
	free(k);
	return status;
}
