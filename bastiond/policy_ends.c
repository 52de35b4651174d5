/*
 * policy_ends.c - rows of what is over, written together: a turn's ends share one flush of the disk.
 *
 * Role policy; policy_way.c and policy_peer.c hand them in, the loop writes them after each turn. Nobody waits for
 * such a row, and there can be a thousand at once (a network goes down, a shift ends): one flush each kept policy from its
 * pings for so long that sessions took it for dead. If policy dies before the write, the next one closes the rows
 * (store_sessions_reset).
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "policy.h"

#define ENDS_MAX 128		/* rows that wait; then they are written at once */
#define WHY_MAX 256

struct end {
	struct way_row way;		/* id 0: it is a connection's */
	int64_t connection, at;
	char user[USER_NAME_MAX + 1], host[HOST_NAME_MAX_LEN + 1], why[WHY_MAX + 1];
};

struct ends {
	size_t n;
	bool failed;			/* the last write: said once */
	struct end v[ENDS_MAX];
};

int ends_open(struct policy *p)
{
	return (p->ends = calloc(1, sizeof(*p->ends))) != NULL ? 0 : -1;
}

void ends_close(struct policy *p)
{
	if (p->ends == NULL)
		return;
	ends_write(p);
	free(p->ends);
	p->ends = NULL;
}

static int write_one(struct store *s, const struct end *e)
{
	if (e->way.id == 0)
		return store_connection_end(s, e->connection, e->why, e->at) != 0 ? -1 :
		    event_writef(s, e->at, EVENT_LOGOUT, e->user, e->user, "{s:I, s:s}", "connection",
			(json_int_t)e->connection, "why", e->why);
	if (store_way_end(s, &e->way, e->why, e->at) != 0)
		return -1;
	/* without a word of the session nobody knows the frames: an untrue 0 would say that nothing can be missing */
	return event_writef(s, e->at, EVENT_WAY_DOWN, e->user, e->host,
	    e->way.told ? "{s:I, s:s, s:I, s:I, s:I}" : "{s:I, s:s, s:I, s:I}", "way", (json_int_t)e->way.id, "why", e->why, "in",
	    (json_int_t)e->way.bytes_in, "out", (json_int_t)e->way.bytes_out, "frames", (json_int_t)e->way.frames);
}

static int write_all(struct store *s, const struct ends *ends)
{
	if (store_begin(s) != 0)
		return -1;
	for (size_t i = 0; i < ends->n; i++) {
		if (write_one(s, &ends->v[i]) != 0) {
			store_rollback(s);
			return -1;
		}
	}
	return store_commit(s);
}

int ends_write(struct policy *p)
{
	struct ends *ends = p->ends;

	if (ends->n == 0)
		return 0;
	if (write_all(p->store, ends) != 0) {
		if (!ends->failed)
			log_error("ends of %zu sessions not in the database, tried again: %s", ends->n,
			    store_error(p->store));
		ends->failed = true;
		return -1;
	}
	ends->failed = false;
	ends->n = 0;
	return 0;
}

/* A place for one more; the oldest is given up when the database has not taken any for so long. */
static struct end *take_place(struct policy *p)
{
	struct ends *ends = p->ends;

	if (ends->n == ENDS_MAX && ends_write(p) != 0) {
		log_error("end of %s of %s lost: the database takes nothing", ends->v[0].way.id != 0 ? "a way" :
		    "a connection", ends->v[0].user);
		memmove(&ends->v[0], &ends->v[1], (ENDS_MAX - 1) * sizeof(ends->v[0]));
		ends->n--;
	}
	ends->v[ends->n] = (struct end){ .at = clock_wall() };
	return &ends->v[ends->n++];
}

static void set_texts(struct end *e, const char *user, const char *why)
{
	memcpy(e->user, user, strnlen(user, USER_NAME_MAX));
	memcpy(e->why, why, strnlen(why, WHY_MAX));
}

void ends_way(struct policy *p, const struct way_row *row, const char *user, const char *host, const char *why)
{
	struct end *e = take_place(p);

	e->way = *row;
	set_texts(e, user, why);
	memcpy(e->host, host, strnlen(host, HOST_NAME_MAX_LEN));
}

void ends_connection(struct policy *p, int64_t connection, const char *user, const char *why)
{
	struct end *e = take_place(p);

	e->connection = connection;
	set_texts(e, user, why);
}
