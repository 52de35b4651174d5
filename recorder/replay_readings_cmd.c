/*
 * replay_readings_cmd.c - see replay_readings.h: what a command does before it shows a recording, and
 * `bastion-replay readings`.
 */
#include "replay_readings.h"

#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "replay_term.h"

/* ---- before something is shown ---- */

static int log_delivered(uint64_t of)
{
	struct reading done = { .of = of, .command = "delivered" };

	return readings_append(&done);
}

static void describe(struct reading *r, const struct args *a, const struct recording *rec, size_t recordings)
{
	*r = (struct reading){ .reveal = a->reveal, .recordings = rec != NULL ? 1 : recordings };
	snprintf(r->command, sizeof(r->command), "%s", a->command->name);
	if (rec != NULL && rec->id[0] != '?')
		snprintf(r->recording, sizeof(r->recording), "%s", rec->id);
	snprintf(r->user, sizeof(r->user), "%s", a->user != NULL ? a->user : "");
	snprintf(r->host, sizeof(r->host), "%s", a->host != NULL ? a->host : "");
}

int reading_begin(const struct args *a, const struct recording *rec, size_t recordings)
{
	struct notify notify;
	struct reading r;
	char err[4096];

	describe(&r, a, rec, recordings);
	if (notify_find(&notify, a) != 0)
		return -1;
	if (notify.n == 0 && a->reveal) {
		fprintf(stderr, "bastion-replay: nothing is revealed that the bastion does not know of, and no command tells it: "
		    "set BASTION_NOTE=\"ssh YOU@BASTION\", or write a line `notify ssh YOU@BASTION` into the trust file\n");
		return -1;
	}
	if (readings_append(&r) != 0)
		return -1;
	if (notify.n == 0)
		return 0;
	if (notify_send(&notify, &r, a->reveal ? NOTE_REVEAL_SECONDS : NOTE_SECONDS, err, sizeof(err)) == 0)
		return log_delivered(r.number);
	if (a->reveal) {
		fprintf(stderr, "bastion-replay: nothing is revealed that the bastion does not know of: %s\n", err);
		return -1;
	}
	fprintf(stderr, "bastion-replay: the bastion was not told: %s. Later: bastion-replay readings --deliver\n", err);
	return 0;
}

/* ---- the list ---- */

struct waiting {
	struct reading *v;
	size_t n, cap;
};

struct listing {
	const struct args *a;
	uint64_t next;			/* number that follows */
	size_t bad;			/* lines that do not follow from the one before */
	size_t all;
	uint8_t head[HASH_LEN];
	struct waiting waiting;		/* not delivered */
};

static int print_json(const struct reading *r)
{
	char hex[2 * HASH_LEN + 1];
	json_t *j = json_pack("{s:I, s:I, s:I, s:s, s:s, s:s}", "number", (json_int_t)r->number, "at", (json_int_t)r->at,
	    "uid", (json_int_t)r->uid, "login", r->login, "command", r->command, "hash",
	    hex_encode(hex, r->hash, HASH_LEN));

	if (r->of != 0) {
		json_object_set_new(j, "of", json_integer((json_int_t)r->of));
		return json_line(j);
	}
	json_object_set_new(j, "reveal", json_boolean(r->reveal));
	if (r->recording[0] != '\0')
		json_object_set_new(j, "recording", json_string(r->recording));
	else
		json_object_set_new(j, "recordings", json_integer((json_int_t)r->recordings));
	if (r->user[0] != '\0')
		json_object_set_new(j, "user", json_string(r->user));
	if (r->host[0] != '\0')
		json_object_set_new(j, "host", json_string(r->host));
	return json_line(j);
}

static void print_text(const struct reading *r)
{
	char at[32];

	if (r->of != 0)
		return;
	printf("%6llu  %s UTC  %-10s %-8s %s", (unsigned long long)r->number,
	    text_time(at, sizeof(at), r->at * 1000000), r->login, r->command, r->recording);
	if (r->recording[0] == '\0')
		printf("%llu recordings%s%s%s%s", (unsigned long long)r->recordings, r->user[0] != '\0' ? " of " : "", r->user,
		    r->host[0] != '\0' ? " on " : "", r->host);
	printf("%s\n", r->reveal ? "  revealed" : "");
}

static int keep_waiting(struct waiting *w, const struct reading *r)
{
	if (w->n == w->cap) {
		const size_t cap = w->cap == 0 ? 64 : 2 * w->cap;
		struct reading *v = reallocarray(w->v, cap, sizeof(*v));

		if (v == NULL)
			return -1;
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = *r;
	return 0;
}

static void no_more_waiting(struct waiting *w, uint64_t number)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].number == number) {
			memmove(w->v + i, w->v + i + 1, (w->n - i - 1) * sizeof(*w->v));
			w->n--;
			return;
		}
}

static int on_line(void *ctx, const struct reading *r, bool follows)
{
	struct listing *x = ctx;

	x->all++;
	if (!follows || r->number != (x->next != 0 ? x->next : 1)) {
		x->bad++;
		fprintf(stderr, "bastion-replay: reading %llu does not follow from the line before\n",
		    (unsigned long long)r->number);
	}
	x->next = r->number + 1;
	memcpy(x->head, r->hash, HASH_LEN);
	if (r->of != 0)
		no_more_waiting(&x->waiting, r->of);
	else if (keep_waiting(&x->waiting, r) != 0)
		return -1;
	if (x->a->deliver)
		return 0;
	if (x->a->json)
		return print_json(r);
	print_text(r);
	return 0;
}

/* Each reading that the bastion does not know of, in order, up to the first that it does not take. */
static int deliver(const struct listing *x)
{
	struct notify notify;
	char err[4096];
	size_t i = 0;

	if (notify_find(&notify, x->a) != 0)
		return EXIT_UNREADABLE;
	if (notify.n == 0) {
		fprintf(stderr, "bastion-replay: no command takes notes: $BASTION_NOTE, or notify in the trust file\n");
		return EXIT_USAGE;
	}
	for (; i < x->waiting.n; i++) {
		if (notify_send(&notify, &x->waiting.v[i], NOTE_REVEAL_SECONDS, err, sizeof(err)) != 0) {
			fprintf(stderr, "bastion-replay: reading %llu is not delivered: %s\n",
			    (unsigned long long)x->waiting.v[i].number, err);
			break;
		}
		if (log_delivered(x->waiting.v[i].number) != 0)
			break;
	}
	printf("%zu delivered, %zu left\n", i, x->waiting.n - i);
	return i == x->waiting.n ? EXIT_OK : EXIT_UNREADABLE;
}

static void print_sum(const struct listing *x, size_t torn)
{
	char hex[2 * HASH_LEN + 1];

	if (torn > 0)
		fprintf(stderr, "bastion-replay: %zu line%s without an end: a crash, before anything was shown\n", torn,
		    torn == 1 ? "" : "s");
	fprintf(stderr, "%zu line%s, %s. %zu reading%s not known to the bastion. Head: %llu %s\n", x->all,
	    x->all == 1 ? "" : "s", x->bad == 0 ? "whole and unchanged" : "NOT as they were written", x->waiting.n,
	    x->waiting.n == 1 ? "" : "s", (unsigned long long)(x->next > 0 ? x->next - 1 : 0),
	    hex_encode(hex, x->head, HASH_LEN));
}

int cmd_readings(struct args *a)
{
	struct listing x = { .a = a };
	size_t torn;
	int r, status = EXIT_UNREADABLE;

	if (!a->json && !a->deliver)
		pager_start();
	r = readings_each(on_line, &x, &torn);
	if (r == 1)
		fprintf(stderr, "bastion-replay: nothing was read yet\n");
	if (r >= 0)
		status = x.bad > 0 ? EXIT_VERDICT : EXIT_OK;
	if (r >= 0 && a->deliver) {
		const int delivered = deliver(&x);

		status = delivered != EXIT_OK ? delivered : status;
	} else if (r == 0) {
		print_sum(&x, torn);
	}
	free(x.waiting.v);
	return status;
}
