/*
 * replay_follow.c - `bastion-replay follow`: a session as it happens, from the collector's store.
 *
 * A frame is in its file as soon as the collector has acknowledged it. Each one is first verified to continue
 * the chain (brec_follow.c), then decrypted. The kernel says when the files change (inotify); a part of a
 * frame at the end is waited for.
 */
#include "replay_follow.h"
#include "replay_readings.h"
#include "replay_term.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"

/* ---- what grows ---- */

static void watch_files(struct follow *f)
{
	f->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->notify < 0)
		return;
	if (inotify_add_watch(f->notify, f->dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
	    IN_DELETE_SELF | IN_MOVE_SELF) >= 0)
		return;
	close(f->notify);
	f->notify = -1;
}

/* When a file of it changed last, by this machine's clock, in µs; 0: not known. */
static int64_t last_change(const char *dir)
{
	struct dirent *e;
	struct stat st;
	int64_t last = 0;
	DIR *d = opendir(dir);

	if (d == NULL)
		return stat(dir, &st) == 0 ? st.st_mtim.tv_sec * 1000000LL : 0;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtim.tv_sec * 1000000LL > last)
			last = st.st_mtim.tv_sec * 1000000LL + st.st_mtim.tv_nsec / 1000;
	closedir(d);
	return last;
}

int follow_open(struct follow *f, const char *dir, const struct age_identities *ids, const struct brec_trust *trust)
{
	int64_t changed;

	memset(f, 0, sizeof(*f));
	f->dir = dir;
	f->ids = ids;
	f->proven = trust->nsigners > 0;
	/* before the first look, so that nothing comes unseen in between */
	watch_files(f);
	if (f->proven && brec_follow_open(&f->proof, dir, trust) != 0)
		brec_dir_say(f->scan.error, sizeof(f->scan.error), dir, strerror(errno));
	else
		f->reader = brec_reader_open(dir, ids, f->scan.error, sizeof(f->scan.error));
	if (f->reader == NULL) {
		fprintf(stderr, "bastion-replay: %s\n", f->scan.error);
		follow_close(f);
		return -1;
	}
	/* one that was abandoned has been quiet for long */
	f->news_us = (int64_t)clock_mono_us();
	if ((changed = last_change(dir)) != 0 && changed < clock_wall_us())
		f->news_us -= clock_wall_us() - changed;
	return 0;
}

void follow_close(struct follow *f)
{
	brec_reader_close(f->reader);
	brec_follow_close(&f->proof);
	scan_finish(&f->scan);
	if (f->notify >= 0)
		close(f->notify);
	f->reader = NULL;
	f->notify = -1;
}

static int go_wrong(struct follow *f, const char *why)
{
	f->state = FOLLOW_WRONG;
	esc_line(f->end, sizeof(f->end), why, strlen(why));
	return 0;
}

/* Is the frame that an event came from proven? The reader may have been quicker than the proof. */
static bool proven(struct follow *f, uint64_t seq)
{
	if (!f->proven || seq <= f->proof.last_seq)
		return true;
	if (brec_follow_step(&f->proof) < 0) {
		go_wrong(f, f->proof.reason);
		return false;
	}
	return seq <= f->proof.last_seq;
}

static int end_reached(struct follow *f, const struct brec_item *it)
{
	char reason[BREC_REASON_MAX];

	f->state = FOLLOW_ENDED;
	esc_line(reason, sizeof(reason), it->reason, strlen(it->reason));
	snprintf(f->end, sizeof(f->end), "%s%s%s", brec_end_name(it->end), reason[0] != '\0' ? ": " : "", reason);
	return 0;
}

int follow_next(struct follow *f, struct brec_event *e)
{
	struct brec_item it;
	int n;

	while (f->state == FOLLOW_GOES_ON) {
		if ((n = brec_reader_next(f->reader, &it)) < 0)
			return go_wrong(f, brec_reader_error(f->reader));
		if (n == 0) {
			f->caught_up = true;
			/* nothing to read is not nothing wrong: the files may have been cut */
			if (f->proven && brec_follow_step(&f->proof) < 0)
				go_wrong(f, f->proof.reason);
			return 0;
		}
		if (f->caught_up && f->seen >= f->scanned)
			f->news_us = (int64_t)clock_mono_us();
		if (!proven(f, it.seq)) {
			if (f->state == FOLLOW_GOES_ON)
				go_wrong(f, "a frame was read that the chain does not reach");
			return 0;
		}
		if (it.type == BREC_ITEM_CLOSE)
			return end_reached(f, &it);
		if (it.type == BREC_ITEM_LOCKED)
			f->scan.begun = true;
		if (it.type != BREC_ITEM_EVENT)
			continue;
		if (f->seen++ >= f->scanned) {
			f->scanned = f->seen;
			if (scan_event(&f->scan, &it.event) != 0)
				return go_wrong(f, strerror(errno));
			f->scan.info = *brec_reader_info(f->reader);
		}
		*e = it.event;
		return 1;
	}
	return 0;
}

int follow_rewind(struct follow *f)
{
	f->seen = 0;
	if (f->state == FOLLOW_ENDED)
		f->state = FOLLOW_GOES_ON;
	return brec_reader_rewind(f->reader);
}

void follow_drain(struct follow *f)
{
	char events[4096];

	while (read(f->notify, events, sizeof(events)) > 0)
		;
}

uint64_t follow_quiet(const struct follow *f)
{
	const int64_t now = (int64_t)clock_mono_us();

	return now > f->news_us ? (uint64_t)(now - f->news_us) / 1000000 : 0;
}

/* ---- on a terminal ---- */

struct following {
	const struct args *args;
	struct follow follow;
	struct channel chan;		/* the one that is shown, */
	bool shown;			/* if any */
	struct tape tape;
	struct tape_feed *feed;
	struct player player;
	struct tty tty;
	char rest[160];			/* for standard error, when the terminal is back */
};

static void show_channel(struct following *x, const struct channel *c)
{
	struct player *p = &x->player;

	tape_feed_end(x->feed);
	tape_finish(&x->tape);
	x->chan = *c;
	x->shown = true;
	x->feed = tape_feed_begin(&x->tape, &x->chan, x->args->reveal);
	if (x->feed == NULL || follow_rewind(&x->follow) != 0 ||
	    player_load(p, &x->tape, c->pty, c->cols, c->rows, PCLOCK_NEVER, clock_mono_us()) != 0)
		p->quit = true;
	player_say(p, clock_mono_us(), "channel %llu: %s %s", (unsigned long long)c->number, c->capability, c->command);
}

/* The channel that was asked for, else the first with a terminal, else the first; another one when it has closed. */
static const struct channel *wanted(const struct following *x)
{
	const struct scan *s = &x->follow.scan;
	const struct channel *now = x->shown ? scan_channel(s, x->chan.number) : NULL, *first = NULL;

	if (x->args->channel >= 0)
		return x->shown ? NULL : scan_channel(s, (uint64_t)x->args->channel);
	for (size_t i = 0; i < s->nchans; i++) {
		const struct channel *c = &s->chans[i];

		if ((now == NULL || now->closed) && !c->closed && c != now && (first == NULL || (c->pty && !first->pty)))
			first = c;
		/* a terminal is what a person came to see */
		else if (now != NULL && !now->pty && c->pty && !c->closed && first == NULL)
			first = c;
	}
	if (first == NULL && now == NULL && s->nchans > 0)
		first = &s->chans[0];
	return first;
}

static void next_channel(struct following *x)
{
	const struct scan *s = &x->follow.scan;

	x->player.next_channel = false;
	if (x->follow.state == FOLLOW_WRONG) {
		player_say(&x->player, clock_mono_us(), "%s", x->follow.end);
		return;
	}
	if (!x->shown || s->nchans < 2) {
		player_say(&x->player, clock_mono_us(), "there is one channel");
		return;
	}
	for (size_t i = 0; i < s->nchans; i++)
		if (s->chans[i].number == x->chan.number) {
			show_channel(x, &s->chans[(i + 1) % s->nchans]);
			return;
		}
}

/* Takes a piece of what is new. True: there may be more. */
static bool take(struct following *x)
{
	const struct channel *c;
	struct brec_event e;

	for (unsigned i = 0; i < FOLLOW_PIECE; i++) {
		if (follow_next(&x->follow, &e) == 0)
			return false;
		if (x->feed != NULL && tape_feed_event(x->feed, &e) != 0) {
			/* what was there is let go, and it goes on from here */
			player_cut(&x->player);
			tape_feed_end(x->feed);
			tape_finish(&x->tape);
			if ((x->feed = tape_feed_begin(&x->tape, &x->chan, x->args->reveal)) == NULL)
				x->player.quit = true;
			else
				tape_feed_event(x->feed, &e);
		}
		if ((e.kind == BREC_K_OPEN || e.kind == BREC_K_CLOSE) && x->follow.seen == x->follow.scanned &&
		    (c = wanted(x)) != NULL) {
			const struct channel copy = *c;

			show_channel(x, &copy);
			return true;
		}
	}
	return true;
}

/* "signed 14:03:11", "quiet 0:35": at the right of the status line. */
static void note(struct following *x)
{
	const struct follow *f = &x->follow;
	const uint64_t quiet = follow_quiet(f);
	char now[sizeof(x->player.note)], text[32];

	if (f->state == FOLLOW_WRONG)
		snprintf(now, sizeof(now), "WRONG");
	else if (f->state == FOLLOW_ENDED)
		snprintf(now, sizeof(now), "ended: %.100s", f->end);
	else if (quiet >= FOLLOW_STALL_SECONDS)
		snprintf(now, sizeof(now), "STALLED %s", text_span(text, sizeof(text), quiet * 1000000));
	else if (!f->proven)
		snprintf(now, sizeof(now), "not verified");
	else {
		text_time(text, sizeof(text), f->proof.signed_wall_us);
		snprintf(now, sizeof(now), "%s %s", f->proof.signed_seq > 0 ? "signed" : "begun", text + strlen("2026-11-22 "));
	}
	x->player.alarm = f->state == FOLLOW_WRONG || quiet >= FOLLOW_STALL_SECONDS;
	if (strcmp(now, x->player.note) == 0)
		return;
	strcpy(x->player.note, now);
	x->player.dirty = true;
}

static void end_live(struct following *x)
{
	struct player *p = &x->player;

	if (!p->live || x->follow.state == FOLLOW_GOES_ON)
		return;
	p->live = p->at_end = false;
	player_say(p, clock_mono_us(), "%s%s", x->follow.state == FOLLOW_WRONG ? "WRONG: " : "the session ended: ", x->follow.end);
	/* it stays until a key: what it says must be read */
	if (x->follow.state == FOLLOW_WRONG)
		p->message_us = UINT64_MAX;
}

static uint64_t wait_time(struct following *x)
{
	const uint64_t wait = player_wait(&x->player, clock_mono_us());
	/* the seconds of a stall are counted */
	const uint64_t most = follow_quiet(&x->follow) + 6 >= FOLLOW_STALL_SECONDS ? 1000000 : FOLLOW_LOOK_MS * 1000ULL;

	return x->follow.state == FOLLOW_GOES_ON && wait > most ? most : wait;
}

static void run(struct following *x)
{
	struct player *p = &x->player;
	bool more = true;
	int key;

	while (!p->quit) {
		more = take(x);
		end_live(x);
		note(x);
		player_tick(p, clock_mono_us());
		if (play_show(p, &x->tty) != 0)
			return;
		key = tty_key(&x->tty, more ? 0 : wait_time(x));
		if (key == KEY_DATA)
			follow_drain(&x->follow);
		else if (key != KEY_NONE && !play_terminal_key(p, &x->tty, key))
			player_key(p, key, clock_mono_us());
		if (p->next_channel)
			next_channel(x);
	}
}

static int follow_on_terminal(struct following *x)
{
	static const struct tape none;
	unsigned cols, rows;
	int r = -1;

	x->tty.out = STDOUT_FILENO;
	tty_size(&x->tty, &cols, &rows);
	if (player_init(&x->player, cols, rows, 100, x->args->idle_us) != 0) {
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
		return -1;
	}
	tty_looks(&x->player.view);
	x->player.live = true;
	x->tty.watch = x->follow.notify;
	/* the beginning says who it is, and what there is to show */
	while (x->feed == NULL && take(x))
		;
	player_who(&x->player, &x->follow.scan);
	if (x->feed == NULL && player_load(&x->player, &none, true, cols, rows - 1, PCLOCK_NEVER, clock_mono_us()) != 0)
		fprintf(stderr, "bastion-replay: %s\n", strerror(errno));
	else if (tty_enter(&x->tty) != 0)
		fprintf(stderr, "bastion-replay: the terminal: %s\n", strerror(errno));
	else {
		run(x);
		tty_leave(&x->tty);
		r = 0;
	}
	player_finish(&x->player);
	tape_feed_end(x->feed);
	tape_finish(&x->tape);
	return r;
}

/* What is known at the end, for whoever looks away from the screen. An exit status. */
static int verdict(const struct follow *f)
{
	if (f->state == FOLLOW_WRONG)
		fprintf(stderr, "bastion-replay: %s\n", f->end);
	else if (f->state == FOLLOW_ENDED)
		fprintf(stderr, "bastion-replay: the session ended: %s\n", f->end);
	if (f->proven)
		fprintf(stderr, "bastion-replay: verified up to frame %llu, signed up to frame %llu%s\n",
		    (unsigned long long)f->proof.last_seq, (unsigned long long)f->proof.signed_seq,
		    f->state == FOLLOW_ENDED ? "; verify says what receipts and log add" : "");
	else
		fprintf(stderr, "bastion-replay: without a trust file nothing was verified\n");
	return f->state == FOLLOW_WRONG ? EXIT_VERDICT : EXIT_OK;
}

static int follow_recording(struct args *a, const char *dir, const struct age_identities *ids, const struct brec_trust *trust)
{
	struct following *x = calloc(1, sizeof(*x));
	int status = EXIT_UNREADABLE, sig = 0;

	if (x == NULL || follow_open(&x->follow, dir, ids, trust) != 0)
		goto out;
	x->args = a;
	if (!term_draws())
		status = follow_as_text(a, &x->follow);
	else if (follow_on_terminal(x) == 0)
		status = EXIT_OK;
	if (status == EXIT_OK)
		status = verdict(&x->follow);
	sig = x->tty.status;
	follow_close(&x->follow);
out:
	free(x);
	if (sig != 0)
		raise(sig);
	return status;
}

int cmd_follow(struct args *a)
{
	struct age_identities ids;
	struct recording rec;
	struct trust trust = { .nsigners = 0 };
	struct brec_trust view;
	int status = EXIT_UNREADABLE;

	if (store_find(&rec, a->store, a->ids[0]) != 0)
		return EXIT_UNREADABLE;
	if (keys_trust_there(a) && keys_trust(&trust, a) != 0)
		goto out;
	if (keys_identity(&ids, a, true) != 0)
		goto out;
	view = trust_view(&trust);
	if (reading_begin(a, &rec, 1) == 0)
		status = follow_recording(a, rec.dir, &ids, &view);
	age_identities_finish(&ids);
out:
	recording_finish(&rec);
	return status;
}
