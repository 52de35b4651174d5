/*
 * replay_play.c - `bastion-replay play`: the loop around the player (replay_core.c). Without a terminal
 * it prints the text.
 */
#include "replay_player.h"
#include "replay_term.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

struct playing {
	const struct args *args;
	const struct scan *scan;
	const struct recording *rec;
	const struct age_identities *ids;
	const struct channel *chan;
	struct tape tape;
	struct player player;
	struct tty tty;
	struct progress none;	/* while the player has the screen: what it loads then has no bar */
};

void player_who(struct player *p, const struct scan *s)
{
	char user[64], host[64], login[64];

	meta_text(s->meta, "user", user, sizeof(user));
	meta_text(s->meta, "host", host, sizeof(host));
	meta_text(s->meta, "login", login, sizeof(login));
	if (host[0] == '\0') {
		snprintf(p->who, sizeof(p->who), "%s", user);
		snprintf(p->who_short, sizeof(p->who_short), "%.60s", user);
		return;
	}
	snprintf(p->who, sizeof(p->who), "%s as %s@%s", user, login, host);
	snprintf(p->who_short, sizeof(p->who_short), "%.40s@%.50s", login, host);
}

/* ---- channels ---- */

/* Loads it and starts at `at_us`. 0, or -1: the reason is in x->tape.note. */
static int load_channel(struct playing *x, const struct channel *c, uint64_t at_us)
{
	tape_finish(&x->tape);
	x->chan = c;
	if (tape_load(&x->tape, c, x->rec->dir, x->ids, x->args->reveal) != 0)
		return -1;
	if (player_load(&x->player, &x->tape, c->pty, c->cols, c->rows, at_us, clock_mono_us()) == 0)
		return 0;
	snprintf(x->tape.note, sizeof(x->tape.note), "%s", strerror(errno));
	return -1;
}

static void next_channel(struct playing *x)
{
	const size_t at = (size_t)(x->chan - x->scan->chans);
	const struct channel *c = &x->scan->chans[(at + 1) % x->scan->nchans];

	x->player.next_channel = false;
	if (x->scan->nchans < 2)
		player_say(&x->player, clock_mono_us(), "there is one channel");
	else if (load_channel(x, c, 0) != 0)
		x->player.quit = true;
	else if (x->tape.note[0] == '\0')
		player_say(&x->player, clock_mono_us(), "channel %llu: %s %s",
		    (unsigned long long)c->number, c->capability, c->command);
}

/* ---- the terminal ---- */

bool play_terminal_key(struct player *p, struct tty *t, int key)
{
	unsigned cols, rows;

	if (key == KEY_STOP) {
		tty_stop(t);
		p->clock.real_us = clock_mono_us();
	} else if (key != KEY_RESIZE)
		return false;
	tty_size(t, &cols, &rows);
	player_resize(p, cols, rows, clock_mono_us());
	p->view.valid = false;
	return true;
}

int play_show(struct player *p, struct tty *t)
{
	const uint64_t now = clock_mono_us();
	struct buf out;
	int r = 0;

	if (!player_due(p, now))
		return 0;
	buf_init(&out, VIEW_OUT_MAX);
	if (player_draw(p, now, &out) == 0)
		r = tty_write(t, out.data, out.len);
	buf_finish(&out);
	return r;
}

static void run(struct playing *x)
{
	struct player *p = &x->player;
	int key;

	while (!p->quit) {
		player_tick(p, clock_mono_us());
		if (play_show(p, &x->tty) != 0)
			return;
		key = tty_key(&x->tty, player_wait(p, clock_mono_us()));
		if (key != KEY_NONE && !play_terminal_key(p, &x->tty, key))
			player_key(p, key, clock_mono_us());
		if (p->next_channel)
			next_channel(x);
	}
}

static int play_on_terminal(struct playing *x)
{
	unsigned cols, rows;
	int r = -1;

	x->tty.out = STDOUT_FILENO;
	x->tty.watch = -1;
	tty_size(&x->tty, &cols, &rows);
	if (player_init(&x->player, cols, rows, x->args->speed, x->args->idle_us) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
		return -1;
	}
	tty_looks(&x->player.view);
	player_who(&x->player, x->scan);
	if (load_channel(x, x->chan, x->args->at_us) != 0)
		fprintf(stderr, "bastion-replay: %s\n", x->tape.note);
	else if (tty_enter(&x->tty) != 0)
		fprintf(stderr, "bastion-replay: the terminal: %s\n", strerror(errno));
	else {
		progress_begin(&x->none, "");
		run(x);
		progress_end(&x->none);
		tty_leave(&x->tty);
		r = 0;
	}
	player_finish(&x->player);
	tape_finish(&x->tape);
	return r;
}

static int play_scanned(struct args *a, const struct recording *rec, const struct scan *s,
    const struct age_identities *ids)
{
	struct playing *x;
	int r, sig;

	if (!term_draws())
		return scan_shown(s, export_text(a, rec, s, ids));
	if ((x = calloc(1, sizeof(*x))) == NULL)
		return -1;
	x->args = a;
	x->scan = s;
	x->rec = rec;
	x->ids = ids;
	x->chan = choose_channel(s, a);
	r = x->chan == NULL ? -1 : scan_shown(s, play_on_terminal(x));
	sig = x->tty.status;
	free(x);
	/* die of the signal, as whoever sent it expects; the terminal is restored */
	if (sig != 0)
		raise(sig);
	return r;
}

int cmd_play(struct args *a)
{
	return scan_visited(a, play_scanned);
}
