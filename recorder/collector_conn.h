/*
 * collector_conn.h - connections of bastions: TLS, messages, and when their frames are committed
 * and acknowledged.
 *
 * Runs in bastion-collectord, one event loop. Everything that is readable in one turn of the loop
 * shares one commit; the acknowledgements leave in the next, which is made at once.
 */
#ifndef BASTION_COLLECTOR_CONN_H
#define BASTION_COLLECTOR_CONN_H

#include <event2/event.h>

#include "collector_archive.h"
#include "collector_conf.h"
#include "collector_store.h"
#include "crypto.h"

#define CONN_INPUT_MAX (4U * WIRE_MAX)		/* bytes read and not looked at */
#define CONN_OUTPUT_MAX (4U << 20)		/* a client that reads its acknowledgements so slowly is given up */
#define CONN_RECEIPT_MS 100			/* a receipt follows its commit so long after, at the latest */

struct conn;
LIST_HEAD(conn_list, conn);

struct server {
	struct event_base *base;
	struct coll_conf *conf;
	const char *conf_file;
	struct tls_pins pins;			/* of all clients: the TLS context looks here */
	SSL_CTX *tls;
	int keyholder;				/* collector_keys.h */
	struct sign_key *signer;
	uint8_t signer_pub[KEY_LEN];
	struct store store;
	struct archive_link archive;
	struct conn_list conns;
	unsigned nconns;
	struct event *receipts, *tick, *prune;
	struct wire_leaf leaves[WIRE_LEAVES_MAX];
	bool paused, stop;
};

/* A new socket: taken over, or closed when there are too many. */
void conn_accept(struct server *sv, int fd, const struct sockaddr *sa, int salen);
/* Ends all connections. */
void conn_end_all(struct server *sv);
/*
 * After the events of a turn: segment files of the group before, then commit and acknowledge this
 * one.
 */
void server_turn(struct server *sv);
/*
 * Did frames come that are not committed, or are bytes not in their files yet: must the loop not
 * sleep?
 */
bool server_busy(const struct server *sv);
/* A second has passed. */
void server_tick(struct server *sv);
/* A step of retention, and the next one soon if it is not at its end. */
void server_prune(struct server *sv);
/* Signs what was acknowledged. */
void server_receipts(struct server *sv);
/*
 * Takes over the key. If it is another one: what waits for a receipt gets one of the key before, and from here on receipts and the log
 * are signed by this one.
 */
void server_signer(struct server *sv, struct sign_key *signer);
/* The receipt of one recovered recording: store_open's hook. */
int server_sign_one(void *ctx, struct store *s, struct rec *r);

#endif
