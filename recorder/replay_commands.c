/*
 * replay_commands.c - `bastion-replay commands`: what was typed at a prompt, and what was given to ssh
 * as a command.
 *
 * A help for people: a program that draws what looks like a prompt adds lines, one that switches echo
 * off takes some away. Nothing decides by it.
 */
#include "replay_search.h"
#include "replay_term.h"

#include <string.h>
#include <unistd.h>

struct listing {
	const struct recording *rec;
	const struct scan *scan;
	bool json;
	uint64_t channel;	/* UINT64_MAX: all */
	size_t n;
};

static int print_json(const struct text_line *l)
{
	return json_line(json_pack("{s:f, s:I, s:s%, s:s%}", "t", (double)l->t_us / 1e6, "channel",
	    (json_int_t)l->channel, "prompt", l->text, l->head, "command", l->text + l->head,
	    l->len - l->head));
}

/* Not before there is something to print: what is done until then shows how far it is, which it cannot behind a pager. */
static void print_head(const struct listing *x)
{
	const struct scan *s = x->scan;
	char user[64], login[64], host[128], start[32];

	pager_start();
	printf("--- recording %s, %s UTC, %s as %s@%s\n--- " COMMANDS_NOTE "\n", x->rec->id,
	    text_time(start, sizeof(start), s->info.wall_us),
	    meta_text(s->meta, "user", user, sizeof(user)),
	    meta_text(s->meta, "login", login, sizeof(login)),
	    meta_text(s->meta, "host", host, sizeof(host)));
}

static int print(void *ctx, const struct text_line *l)
{
	struct listing *x = ctx;
	char at[24];

	if ((l->kind != LINE_COMMAND && l->kind != LINE_GIVEN) || (x->channel != UINT64_MAX && x->channel != l->channel))
		return 0;
	if (x->n++ == 0 && !x->json)
		print_head(x);
	if (x->json)
		return print_json(l);
	printf("%7s  %3llu  %.*s\n", text_span(at, sizeof(at), l->t_us),
	    (unsigned long long)l->channel, (int)(l->len - l->head), l->text + l->head);
	return 0;
}

static int list_commands(struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids)
{
	struct listing x = { .rec = rec, .scan = s, .json = a->json,
		.channel = a->channel >= 0 ? (uint64_t)a->channel : UINT64_MAX };
	struct lines_info info;
	int r;

	if (a->channel >= 0 && choose_channel(s, a) == NULL)
		return -1;
	r = lines_read(rec->dir, ids, false, print, &x, &info);
	if (r == 0 && x.n == 0 && !a->json)
		print_head(&x);
	if (r == 0 && info.locked_input)
		fprintf(stderr, "bastion-replay: the identity does not open what the user typed: "
		    "commands at a prompt are not known\n");
	if (info.error[0] != '\0')
		fprintf(stderr, "bastion-replay: %s\n", info.error);
	return scan_shown(s, r != 0 || info.error[0] != '\0' ? -1 : 0);
}

int cmd_commands(struct args *a)
{
	return scan_visited(a, list_commands);
}
