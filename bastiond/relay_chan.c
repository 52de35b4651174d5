/*
 * relay_chan.c - one channel between its two legs: bytes both ways, and how it ends.
 *
 * Role: session. Before it: relay_open.c (the channel at the target). Beside it: relay_take.c, by which the callbacks below record
 * and hold what libssh brings, from inside its packet handling, and do nothing more. The loop calls relay_step(), which moves what
 * is committed.
 *
 *   client ──callback──▶ in  (hold) ──relay_step──▶ target
 *   client ◀─relay_step── out (hold) ◀──callback── target
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "session.h"
#include "ssh_io.h"
#include "ssh_setup.h"

/*
 * Bytes of one ssh_channel_write: one packet. Peers take 32 KiB in one (RFC 4254 5.1: OpenSSH), and libssh 0.10 keeps 10 bytes of that for
 * itself: it would make two packets of 32 KiB.
 */
#define WRITE_CHUNK (32768 - 10)
#define PASS_MAX 1024	/* packets of one direction in a turn: a hold of single bytes is 170 000, and role_session.c takes long turns for a fault */

void relay_fail(struct chan *c, const char *why)
{
	if (c->way != NULL)
		way_end(c->way, BREC_END_ERROR, why);
	else
		c->state = CHAN_DEAD;
}

static int on_client_data(ssh_session ssh, ssh_channel ch, void *data, uint32_t len, int is_err, void *ctx)
{
	struct chan *c = ctx;

	(void)ssh;
	(void)ch;
	/* what is taken opens the window again, and behind our close that may not be said (RFC 4254 5.3): see open_window(), too */
	if (c->state == CHAN_DEAD && len <= CHAN_UNREAD_MAX)
		return 0;
	if (c->target_abandoned || c->state == CHAN_ENDING) {
		/* nobody will read it; what a console's channel gets later is not what was kept of this */
		c->kept_in = c->unread_in = 0;
		return (int)len;
	}
	if (len > CHAN_UNREAD_MAX) {
		log_warn("%s: sends more than its window: cut off", c->front->session->peer);
		c->front->gone = c->front->broke = true;
		return (int)len;
	}
	if (is_err != 0)
		return (int)len; /* RFC 4254 5.2 knows no standard error towards a server */
	c->front->session->again = true;
	return relay_take_in(c, data, len);
}

static void on_client_eof(ssh_session ssh, ssh_channel ch, void *ctx)
{
	struct chan *c = ctx;

	(void)ssh;
	(void)ch;
	c->client_eof = true;
}

static void on_client_close(ssh_session ssh, ssh_channel ch, void *ctx)
{
	struct chan *c = ctx;

	(void)ssh;
	(void)ch;
	c->client_closed = true;
}

static void on_client_signal(ssh_session ssh, ssh_channel ch, const char *signal, void *ctx)
{
	struct chan *c = ctx;
	uint64_t seq;

	(void)ssh;
	(void)ch;
	/* RFC 4254 6.10: names are upper-case words; anything else is not passed on */
	if (c->state != CHAN_LIVE || c->kind != CHAN_TARGET || strlen(signal) > 32 ||
	    strspn(signal, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(signal))
		return;
	relay_record_all(c, &c->in); /* what was typed before it */
	seq = way_event(c->way, BREC_META, BREC_K_SIGNAL, c->number, signal, strlen(signal));
	if (seq != 0 && hold_put(&c->in, HOLD_SIGNAL, seq, signal, strlen(signal) + 1) != 0)
		relay_fail(c, "bastiond: out of memory: session ended");
}

void relay_client_callbacks(struct chan *c)
{
	c->client_cb = (struct ssh_channel_callbacks_struct){
		.userdata = c,
		.channel_data_function = on_client_data,
		.channel_eof_function = on_client_eof,
		.channel_close_function = on_client_close,
		.channel_signal_function = on_client_signal,
	};
	ssh_callbacks_init(&c->client_cb);
	ssh_set_channel_callbacks(c->client, &c->client_cb);
}

static int on_target_data(ssh_session ssh, ssh_channel ch, void *data, uint32_t len, int is_err, void *ctx)
{
	struct chan *c = ctx;

	(void)ssh;
	(void)ch;
	if (c->client_closed || c->target_abandoned || c->state == CHAN_ENDING || c->state == CHAN_DEAD)
		return (int)len;
	if (len > CHAN_UNREAD_MAX) {
		relay_fail(c, "bastiond: the target sends more than was asked for: session ended");
		return (int)len;
	}
	c->front->session->again = true;
	return relay_take_out(c, is_err != 0, data, len);
}

static void on_target_eof(ssh_session ssh, ssh_channel ch, void *ctx)
{
	(void)ssh;
	(void)ch;
	((struct chan *)ctx)->target_eof = true;
}

static void on_target_close(ssh_session ssh, ssh_channel ch, void *ctx)
{
	(void)ssh;
	(void)ch;
	((struct chan *)ctx)->target_closed = true;
}

/* The exit may come before libssh's buffer is drained: it waits here, behind the bytes. */
static void on_exit_status(ssh_session ssh, ssh_channel ch, int status, void *ctx)
{
	struct chan *c = ctx;

	(void)ssh;
	(void)ch;
	if (c->exit_queued)
		return;
	c->exit_known = true;
	c->exit_status = (uint32_t)status;
}

static void on_exit_signal(ssh_session ssh, ssh_channel ch, const char *signal, int core, const char *text,
    const char *lang, void *ctx)
{
	struct chan *c = ctx;

	(void)ssh;
	(void)ch;
	(void)text;
	(void)lang;
	if (!c->exit_queued && strlen(signal) < sizeof(c->exit_signal) &&
	    strspn(signal, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.-_abcdefghijklmnopqrstuvwxyz") == strlen(signal))
		strcpy(c->exit_signal, signal);
	c->exit_core = core != 0;
}

void relay_target_callbacks(struct chan *c)
{
	c->target_cb = (struct ssh_channel_callbacks_struct){
		.userdata = c,
		.channel_data_function = on_target_data,
		.channel_eof_function = on_target_eof,
		.channel_close_function = on_target_close,
		.channel_exit_status_function = on_exit_status,
		.channel_exit_signal_function = on_exit_signal,
	};
	ssh_callbacks_init(&c->target_cb);
	ssh_set_channel_callbacks(c->target, &c->target_cb);
}

/* How a leg ended, behind its bytes: without it the other leg would wait for ever. */
static void put_end(struct chan *c, struct hold *h, enum hold_kind kind, uint64_t seq, const void *data, size_t len)
{
	if (seq != 0 && hold_put(h, kind, seq, data, len) != 0)
		relay_fail(c, "bastiond: out of memory: session ended");
}

/* Behind the bytes that came before it; after it may come more, and the eof. */
static void queue_exit(struct chan *c)
{
	c->exit_queued = c->exit_queued || c->exit_known || c->exit_signal[0] != '\0';
	if (c->exit_signal[0] != '\0') {
		put_end(c, &c->out, HOLD_EXIT_SIGNAL, record_exit_signal(c, c->exit_signal, c->exit_core),
		    c->exit_signal, strlen(c->exit_signal) + 1);
		c->exit_signal[0] = '\0';
	}
	if (c->exit_known) {
		put_end(c, &c->out, HOLD_EXIT, record_exit(c, c->exit_status), &c->exit_status, sizeof(c->exit_status));
		c->exit_known = false;
	}
}

/* What came as flags from the callbacks goes behind the bytes, once there are no more of them. */
static void queue_ends(struct chan *c)
{
	if (c->client_eof && !c->eof_queued_in && !relay_unread(c->client, &c->in)) {
		c->eof_queued_in = true;
		relay_take_rest(c, true);
		put_end(c, &c->in, HOLD_EOF, record_eof(c, false), NULL, 0);
	}
	if (c->target_closed)
		c->target_eof = true;
	/* of a channel that was closed towards the target, or lost with it, libssh gives nothing out any more */
	if (c->eof_queued_out || !(c->target_eof || c->exit_known || c->exit_signal[0] != '\0') ||
	    relay_unread(c->target_abandoned || c->way->lost ? NULL : c->target, &c->out))
		return;
	/* a command's exit may come long before its background children close the output; of sftp the run that was announced ends first */
	if (c->run_out == NULL)
		queue_exit(c);
	if (!c->target_eof)
		return;
	relay_take_rest(c, false);
	/* exit status and signal may follow the eof: they go out when they are there, the close comes last */
	queue_exit(c);
	if (!c->eof_said_out) {
		c->eof_said_out = true;
		put_end(c, &c->out, HOLD_EOF, record_eof(c, true), NULL, 0);
	}
	if (c->target_closed) {
		c->eof_queued_out = true;
		put_end(c, &c->out, HOLD_CLOSE, record_close(c), NULL, 0);
	}
}

/*
 * One data item, as far as the peer's window and the socket go. The bytes that went; 0: it stays. While a key exchange runs libssh reads
 * before it takes the bytes: none of what it may bring is put into the hold that these are in, but for the gate's own answers (pass_out).
 */
static size_t write_data(const struct hold_item *it, ssh_channel to, ssh_session ssh, struct pump *pump, bool err)
{
	uint32_t window = ssh_channel_window_size(to), n = it->len;
	uint64_t before;
	int w;

	if (window == 0 || ssh_setup_blocked(ssh) || session_pump_queues(pump, ssh))
		return 0;
	if (n > window)
		n = window;
	if (n > WRITE_CHUNK)
		n = WRITE_CHUNK;
	before = pump->made.out_bytes;
	ssh_io_writing(true);
	w = err ? ssh_channel_write_stderr(to, it->data, n) : ssh_channel_write(to, it->data, n);
	ssh_io_writing(false);
	if (w > 0)
		session_pump_wrote(pump, before, (size_t)w);
	return w > 0 ? (size_t)w : 0; /* 0: a key exchange runs; an error shows as a closed connection */
}

/*
 * SSH_MSG_CHANNEL_CLOSE, which a peer that closed first waits for. While the socket takes nothing libssh's call sends the end of file that
 * belongs before it, and no more: the second call sends the close.
 */
static void close_leg(ssh_channel ch)
{
	if (ssh_channel_close(ch) == SSH_AGAIN)
		ssh_channel_close(ch);
}

static bool pass_in(struct chan *c, struct hold_item *it)
{
	uint16_t size[2];
	size_t n;

	/* libssh would keep whatever the socket does not take */
	if (c->way->lost || ssh_setup_blocked(c->way->ssh))
		return false;
	switch (it->kind) {
	case HOLD_DATA:
		if ((n = write_data(it, c->target, c->way->ssh, &c->way->pump, false)) > 0)
			hold_take(&c->in, n);
		return n > 0;
	case HOLD_EOF:
		ssh_channel_send_eof(c->target);
		break;
	case HOLD_RESIZE:
		memcpy(size, it->data, sizeof(size));
		ssh_channel_change_pty_size(c->target, size[0], size[1]);
		watch_resized(c);
		break;
	case HOLD_SIGNAL:
		ssh_channel_request_send_signal(c->target, (const char *)it->data);
		break;
	default:
		break;
	}
	hold_drop(&c->in);
	return true;
}

static bool pass_out(struct chan *c, struct hold_item *it)
{
	static uint8_t copy[WRITE_CHUNK];
	uint32_t status;
	size_t n;

	if (ssh_setup_blocked(c->front->ssh) && !c->from_console)
		return false;
	switch (it->kind) {
	case HOLD_DATA:
	case HOLD_ERR:
		/* RFC 4254 5.3: behind the eof come exit status and close alone, and libssh would take nothing else, for ever */
		if (c->eof_passed && !c->from_console)
			break;
		if (c->gate != NULL)
			it->data = memcpy(copy, it->data, it->len < WRITE_CHUNK ? it->len : WRITE_CHUNK);
		if ((n = write_data(it, c->client, c->front->ssh, &c->front->pump, it->kind == HOLD_ERR)) == 0)
			return false;
		/* libssh reads while it writes: more may have been put into the hold, and moved it */
		hold_peek(&c->out, it);
		watch_put(c, it->data, n, it->seq);
		hold_take(&c->out, n);
		return true;
	case HOLD_EOF:
		if (!c->from_console)
			ssh_channel_send_eof(c->client);
		c->eof_passed = true;
		break;
	case HOLD_EXIT:
		if (c->from_console)
			break;
		memcpy(&status, it->data, sizeof(status));
		c->exit_passed = true;
		ssh_channel_request_send_exit_status(c->client, (int)status);
		break;
	case HOLD_EXIT_SIGNAL:
		if (c->from_console)
			break;
		c->exit_passed = true;
		ssh_channel_request_send_exit_signal(c->client, (const char *)it->data, c->exit_core, "", "");
		break;
	case HOLD_CLOSE:
		hold_drop(&c->out);
		if (c->from_console) {
			console_return(c);
			return false;
		}
		close_leg(c->client);
		c->state = CHAN_DEAD;
		return false;
	default:
		break;
	}
	hold_drop(&c->out);
	return true;
}

/* Everything at the front of the hold whose frame is durable (P2). */
static void pass(struct chan *c, struct hold *h, bool (*one)(struct chan *c, struct hold_item *it))
{
	struct hold_item it;

	for (int i = 0; i < PASS_MAX && hold_peek(h, &it) && it.seq != HOLD_UNRECORDED && (it.seq == 0 || way_passes(c->way, it.seq)); i++) {
		if (!one(c, &it))
			return;
		/* libssh flushes after each write, and reads while it does: what came is looked at without waiting */
		*(h == &c->in ? &c->way->ready : &c->front->ready) = true;
		c->front->session->again = true;
	}
}

static void live(struct chan *c)
{
	relay_drain_in(c);
	relay_drain_out(c);
	queue_ends(c);
	pass(c, &c->in, pass_in);
	pass(c, &c->out, pass_out);
	if (c->target_abandoned && !c->target_closed && !c->abandon_sent) {
		c->abandon_sent = true;
		close_leg(c->target);
	}
}

/* The client closed the channel. What it sent before still belongs to the target, if that takes it. */
static void abandoned(struct chan *c)
{
	uint64_t now = clock_mono_ms();

	if (c->close_deadline_ms == 0)
		c->close_deadline_ms = now + CLOSE_PATIENCE_MS;
	if (c->state == CHAN_LIVE && !c->target_closed) {
		relay_drain_in(c);
		relay_take_rest(c, true);
		pass(c, &c->in, pass_in);
		if ((!hold_empty(&c->in) || c->left_in) && now < c->close_deadline_ms)
			return;
	}
	/* an open that is under way is waited for: libssh could not close the channel */
	if (c->state == CHAN_OPENING && c->open_sent && !c->way->lost && now < c->answer_deadline_ms &&
	    relay_open_target(c) == SSH_AGAIN)
		return;
	record_last(c);
	c->state = CHAN_DEAD;
}

void relay_raw_step(struct chan *c)
{
	relay_drain_in(c);
	pass(c, &c->out, pass_out);
}

/*
 * OpenSSH closes a channel as soon as it has sent and seen an end of file, and then waits for the exit status and our
 * close: to take that for a client that is gone would lose the status.
 */
static bool awaits_exit(const struct chan *c)
{
	return (c->state == CHAN_LIVE || c->state == CHAN_ENDING) && c->client_eof && c->eof_passed && !c->front->gone &&
	    c->front->left_ms == 0 && !c->from_console && (c->way == NULL || !c->way->lost);
}

void relay_step(struct chan *c)
{
	if (c->client_closed && c->state != CHAN_DEAD && !awaits_exit(c)) {
		abandoned(c);
		return;
	}
	switch (c->state) {
	case CHAN_WAITS:
	case CHAN_OPENING:
	case CHAN_PTY:
	case CHAN_ENV:
	case CHAN_START:
		relay_open_step(c);
		break;
	case CHAN_LIVE:
		live(c);
		break;
	case CHAN_ENDING:
		pass(c, &c->out, pass_out);
		break;
	default:
		break;
	}
}

void relay_target_lost(struct chan *c)
{
	static const char text[] = "bastiond: the target closed the connection\r\n";

	if (c->state != CHAN_LIVE) {
		if (c->state > CHAN_NEW && c->state < CHAN_ENDING)
			chan_refuse(c, "bastiond: the target closed the connection");
		return;
	}
	/* its own end was not said: the user should know that this is not one */
	if (!c->target_eof && !c->target_closed && !c->forward)
		hold_put(&c->out, c->from_console ? HOLD_DATA : HOLD_ERR, 0, text, sizeof(text) - 1);
	c->target_closed = true;
}

void relay_way_over(struct chan *c, const char *line)
{
	watch_left(c);
	relay_free_target(c);
	bulk_end(&c->bulk);
	if (c->state == CHAN_DEAD || c->state == CHAN_ENDING || c->state == CHAN_NEW)
		return;
	/* what was not committed never happened for the user either */
	hold_finish(&c->in);
	hold_finish(&c->out);
	chan_refuse(c, line);
}

void relay_free_target(struct chan *c)
{
	if (c->target == NULL)
		return;
	ssh_remove_channel_callbacks(c->target, &c->target_cb);
	/* also to one that closed first: ssh_channel_free() would try once, and a full socket take no more than the eof */
	if ((ssh_channel_is_open(c->target) || c->target_closed) && !c->way->lost)
		close_leg(c->target);
	ssh_channel_free(c->target);
	c->target = NULL;
}

/* Once, when the channel is DEAD: everything but the legs, and the word to both peers. */
static void give_back(struct chan *c)
{
	struct session *s = c->front->session;

	c->released = true;
	c->front->nchans--;
	c->front->nover++;
	if (s->words_owner == c)
		s->words_owner = NULL;
	watch_left(c);
	viewing_left(c);
	if (c->from_console)
		relay_free_target(c);
	console_left(c);
	tunnel_destroy(c->tunnel);
	c->tunnel = NULL;
	ssh_message_free(c->start);
	c->start = NULL;
	while (c->nenv > 0)
		free(c->env[--c->nenv]);
	free(c->command);
	c->command = NULL;
	free(c->script);
	c->script = NULL;
	hold_finish(&c->in);
	hold_finish(&c->out);
	bulk_finish(&c->bulk);
	relay_sftp_free(c);
	/* also when it closed first: it is owed the same, now, whatever the target does */
	if (!c->front->gone && c->front->left_ms == 0)
		close_leg(c->client);
	if (c->target != NULL && !c->way->lost && (ssh_channel_is_open(c->target) || c->abandon_sent))
		close_leg(c->target);
	else
		relay_free_target(c);
}

bool chan_release(struct chan *c)
{
	if (!c->released)
		give_back(c);
	return (c->client_closed || c->front->gone) && (c->target == NULL || c->target_closed || c->way->lost);
}

void chan_finish(struct chan *c)
{
	relay_free_target(c);
	ssh_remove_channel_callbacks(c->client, &c->client_cb);
	ssh_channel_free(c->client);
}
