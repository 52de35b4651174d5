/*
 * replay_follow_text.c - `bastion-replay follow` into a pipe or a file: lines, as soon as they are whole.
 *
 * Of a terminal session those are the rows of its screen, rendered, each when the cursor has left it or it was
 * replaced (replay_search_rows.c); of a full-screen program those that it replaced.
 */
#include "replay_follow.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay_search.h"
#include "replay_typed_live.h"

#define CHANNELS_MAX 32		/* that are told apart; the output of others is passed over, and that is said */

struct chan {
	bool used, text;
	uint64_t number, open_us;
	struct rows *rows;		/* with a terminal */
	struct plain plain;
	struct typed_live keys;		/* with --reveal */
	struct out *out;
};

struct out {
	struct chan chans[CHANNELS_MAX];
	const struct follow *follow;
	int64_t only;			/* this channel; -1: all */
	uint64_t current;		/* of the last line */
	bool mid_line, too_many, reveal;
};

static void speak(struct out *o, uint64_t channel)
{
	if (o->current == channel)
		return;
	if (o->mid_line)
		putchar('\n');
	o->mid_line = false;
	if (o->current != UINT64_MAX || o->follow->scan.nchans > 1)
		printf("--- channel %llu\n", (unsigned long long)channel);
	o->current = channel;
}

static int on_line(void *ctx, const struct text_line *l)
{
	if (l->kind != LINE_SCREEN)
		return 0;
	speak(ctx, l->channel);
	printf("%.*s\n", (int)(l->len - l->head), l->text + l->head);
	return 0;
}

static void put_plain(void *ctx, const char *text, size_t len)
{
	struct chan *c = ctx;

	if (len == 0)
		return;
	speak(c->out, c->number);
	fwrite(text, 1, len, stdout);
	c->out->mid_line = text[len - 1] != '\n';
}

static struct chan *find(struct out *o, uint64_t number)
{
	for (size_t i = 0; i < CHANNELS_MAX; i++)
		if (o->chans[i].used && o->chans[i].number == number)
			return &o->chans[i];
	return NULL;
}

static void open_channel(struct out *o, const struct brec_event *e)
{
	const struct channel *info = scan_channel(&o->follow->scan, e->channel);
	struct chan *c = o->chans;

	while (c < o->chans + CHANNELS_MAX && c->used)
		c++;
	if (info == NULL || find(o, e->channel) != NULL)
		return;
	if (c == o->chans + CHANNELS_MAX) {
		if (!o->too_many)
			fprintf(stderr, "bastion-replay: more than %d channels are open: --channel shows one of them\n", CHANNELS_MAX);
		o->too_many = true;
		return;
	}
	*c = (struct chan){ .used = true, .text = channel_is_text(info), .number = e->channel, .open_us = e->t_us, .out = o };
	if (info->pty)
		c->rows = rows_create(info->cols, info->rows, e->channel, on_line, o);
}

static void put_typed(void *ctx, const char *text)
{
	struct chan *c = ctx;

	speak(c->out, c->number);
	printf("%s%s\n", c->out->mid_line ? "\n" : "", text);
	c->out->mid_line = false;
}

static void finish(struct chan *c)
{
	if (!c->used)
		return;
	typed_live_end(&c->keys, put_typed, c);
	if (c->rows != NULL)
		rows_end(c->rows);
	else
		plain_end(&c->plain, put_plain, c);
	rows_destroy(c->rows);
	c->used = false;
}

static uint64_t since_open(const struct chan *c, const struct brec_event *e)
{
	return e->t_us > c->open_us ? e->t_us - c->open_us : 0;
}

static void output(struct chan *c, const struct brec_event *e)
{
	if (c->rows != NULL)
		rows_output(c->rows, since_open(c, e), e->data, e->len);
	else if (c->text)
		plain_feed(&c->plain, e->data, e->len, put_plain, c);
}

static void on_event(struct out *o, const struct brec_event *e)
{
	char line[3 * REPLAY_TEXT_MAX];
	struct chan *c;

	if (o->only >= 0 && e->channel != (uint64_t)o->only && e->kind != BREC_K_NOTE)
		return;
	if (e->kind == BREC_K_OPEN)
		open_channel(o, e);
	c = find(o, e->channel);
	if (c != NULL && (e->kind == BREC_K_OUT || e->kind == BREC_K_ERR))
		output(c, e);
	else if (c != NULL && o->reveal && e->kind == BREC_K_IN)
		typed_live_feed(&c->keys, e->data, e->len, put_typed, c);
	else if (c != NULL && c->rows != NULL && e->kind == BREC_K_RESIZE && e->len == 4)
		rows_resize(c->rows, since_open(c, e), (unsigned)(e->data[0] << 8 | e->data[1]),
		    (unsigned)(e->data[2] << 8 | e->data[3]));
	/* what is on a screen comes before the word that the channel ended */
	if (c != NULL && c->rows != NULL && (e->kind == BREC_K_EXIT || e->kind == BREC_K_EXIT_SIGNAL))
		rows_end(c->rows);
	if (c != NULL && e->kind == BREC_K_CLOSE)
		finish(c);
	if (text_event(e, line, sizeof(line))) {
		speak(o, e->channel != 0 ? e->channel : o->current);
		printf("%s%s\n", o->mid_line ? "\n" : "", line);
		o->mid_line = false;
	}
}

/* Nothing more is there for now: lines that the cursor has left are whole. */
static void settle(struct out *o)
{
	for (size_t i = 0; i < CHANNELS_MAX; i++)
		if (o->chans[i].used && o->chans[i].rows != NULL)
			rows_settle(o->chans[i].rows);
	fflush(stdout);
}

/* Waits for news. *told: a stall was said. False: nobody reads any more. */
static bool wait_for_news(struct follow *f, bool *told)
{
	/* the second: whoever reads standard output may go */
	struct pollfd p[2] = { { .fd = f->notify, .events = POLLIN }, { .fd = STDOUT_FILENO } };
	const uint64_t quiet = follow_quiet(f);
	const bool stalled = quiet >= FOLLOW_STALL_SECONDS;

	if (stalled && !*told)
		fprintf(stderr, "bastion-replay: nothing has come for %llu s: the bastion is down, or the collector is cut off from it\n",
		    (unsigned long long)quiet);
	else if (!stalled && *told)
		fprintf(stderr, "bastion-replay: it goes on\n");
	*told = stalled;
	if (poll(p, 2, FOLLOW_LOOK_MS) <= 0)
		return true;
	if (p[0].revents != 0)
		follow_drain(f);
	return (p[1].revents & (POLLERR | POLLHUP)) == 0;
}

int follow_as_text(const struct args *a, struct follow *f)
{
	struct out *o = calloc(1, sizeof(*o));
	struct brec_event e;
	bool told = false;

	if (o == NULL) {
		perror("bastion-replay");
		return EXIT_UNREADABLE;
	}
	o->follow = f;
	o->only = a->channel;
	o->reveal = a->reveal;
	o->current = UINT64_MAX;
	while (!ferror(stdout)) {
		while (!ferror(stdout) && follow_next(f, &e) == 1)
			on_event(o, &e);
		settle(o);
		if (f->state != FOLLOW_GOES_ON)
			break;
		if (!wait_for_news(f, &told))
			break;
	}
	for (size_t i = 0; i < CHANNELS_MAX; i++)
		finish(&o->chans[i]);
	if (o->mid_line)
		putchar('\n');
	if (f->state == FOLLOW_ENDED)
		printf("[closed] %s\n", f->end);
	free(o);
	return EXIT_OK;
}
