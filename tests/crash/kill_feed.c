/*
 * kill_feed.c - the sessions of a rig: they send what a session sends, and keep what they are told; see kill.h.
 *
 * Each has one recording after the other, of some frames, now and then with a checkpoint or a seal, and a close.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crypto.h"
#include "kill.h"
#include "role_recorder.h"

#define WINDOW 4		/* frames on the way */
#define FRAMES_MAX 20		/* of one recording */
#define LARGE 8192

static void put_part(struct buf *b)
{
	uint8_t part[2 + 32 + 4 + BREC_STANZA_LEN] = { [0] = 1, [2] = 1, [2 + 32 + 3] = 1 };

	/* one recipient who does not exist: the recorder looks at the shape only */
	buf_put_string(b, part, sizeof(part));
}

static int refused(struct feeds *f, const char *why)
{
	snprintf(f->why, sizeof(f->why), "%s", why);
	return -1;
}

static int send_buf(struct feed *one, enum msg_type type, struct buf *b)
{
	int r = ipc_send(&one->ipc, type, one->way, b, NULL, 0);

	buf_finish(b);
	return r;
}

static int begin(struct feeds *f, struct feed *one)
{
	struct film *film = f->films;
	struct buf b;

	while (film < f->films + FILMS_MAX && film->used)
		film++;
	if (film == f->films + FILMS_MAX)
		return refused(f, "more recordings than can be checked");
	*film = (struct film){ .used = true };
	one->way++;
	if (recid_make(film->id, one->recid_key, 0, one->way) != 0)
		return refused(f, "no id");
	f->recordings++;
	one->film = film;
	one->epoch = 0;
	one->closing = false;
	one->left = 1 + (unsigned)(kill_random(&f->seed) % FRAMES_MAX);
	buf_init(&b, BREC_HEADER_MAX);
	buf_put(&b, film->id, BREC_ID_LEN);
	put_part(&b);
	return send_buf(one, MSG_REC_OPEN, &b);
}

static int send_data(struct feeds *f, struct feed *one)
{
	static uint8_t *frame;
	uint64_t dice = kill_random(&f->seed);
	size_t len = 32 + (dice % 8 == 0 ? dice / 8 % LARGE : dice / 8 % 256) / 16 * 16;
	struct buf b;

	if (frame == NULL)
		frame = kill_room(BREC_FRAME_MAX);
	brec_frame_head(frame, BREC_DATA, BREC_OUTPUT, one->epoch, one->film->sent, len);
	kill_fill(frame + BREC_FRAME_HEAD, len, one->film->id, one->film->sent);
	brec_frame_end(frame, BREC_FRAME_HEAD + len + 4);
	buf_view(&b, frame, BREC_FRAME_HEAD + len + 4);
	return send_buf(one, MSG_REC_FRAME, &b);
}

static int send_close(struct feed *one)
{
	struct buf b;

	one->closing = true;
	buf_init(&b, BREC_HEADER_MAX);
	buf_put_u64(&b, one->film->sent);
	buf_put_u8(&b, BREC_END_NORMAL);
	buf_put_cstring(&b, "");
	return send_buf(one, MSG_REC_CLOSE, &b);
}

static int send_next(struct feeds *f, struct feed *one)
{
	uint64_t dice = kill_random(&f->seed) % 16;
	struct buf b;

	one->film->sent++;
	f->frames++;
	if (one->left == 0)
		return send_close(one);
	one->left--;
	if (dice > 1)
		return send_data(f, one);
	buf_init(&b, BREC_HEADER_MAX);
	buf_put_u64(&b, one->film->sent);
	if (dice == 0)
		return send_buf(one, MSG_REC_MARK, &b);
	put_part(&b);
	one->epoch++;
	return send_buf(one, MSG_REC_SEAL, &b);
}

/* A recording that was never opened was promised nothing: when the store is away, none is. */
static int on_refused(struct feeds *f, struct feed *one, struct ipc_msg *m)
{
	if (one->film != NULL && !one->film->opened && m->id == one->way) {
		one->film->over = true;
		one->film = NULL;
		return 0;
	}
	buf_get_cstring(&m->body, f->why, sizeof(f->why));
	return -1;
}

static int on_message(struct feeds *f, struct feed *one, struct ipc_msg *m)
{
	struct film *film = one->film;

	if (one == &f->feed[REC_SLOT_POLICY]) {
		if (m->type == MSG_REC_STATE)
			f->away = buf_get_u8(&m->body) == 0;
		return 0;
	}
	if (m->type == MSG_REC_REFUSED)
		return on_refused(f, one, m);
	if (film == NULL || m->id != one->way)
		return refused(f, "told of a recording that is not open");
	f->commits++;
	if (m->type == MSG_REC_OPENED)
		film->opened = true;
	if (m->type == MSG_REC_COMMIT)
		film->acked = buf_get_u64(&m->body);
	if (film->acked > film->sent)
		return refused(f, "told of a frame that was not sent");
	if (m->type == MSG_REC_CLOSED) {
		film->closed = film->over = true;
		one->film = NULL;
	}
	return 0;
}

int feeds_turn(struct feeds *f, struct feed *one)
{
	struct ipc_msg m;
	int r, e = 0;

	while (e == 0 && (r = ipc_recv(&one->ipc, &m)) == 1) {
		e = on_message(f, one, &m);
		ipc_msg_finish(&m);
	}
	if (e != 0)
		return -1;
	if (r < 0)
		return 0; /* the recorder is gone: its death says so, too */
	if (one == &f->feed[REC_SLOT_POLICY])
		return 0;
	if (one->film == NULL && !f->away && begin(f, one) != 0)
		return f->why[0] != '\0' ? -1 : 0;
	while (one->film != NULL && one->film->opened && !one->closing && one->film->sent - one->film->acked < WINDOW)
		if (send_next(f, one) != 0)
			return 0;
	ipc_flush(&one->ipc);
	return 0;
}

int feeds_start(struct feeds *f, struct ipc *parent)
{
	f->away = false;
	for (uint32_t i = 0; i < FEEDS; i++) {
		struct feed *one = &f->feed[i];
		struct buf key;
		int fds[2];

		if (ipc_pair(fds) != 0)
			return -1;
		ipc_init(&one->ipc, fds[0], ROLE_SESSION, ROLE_RECORDER);
		one->film = NULL;
		if (random_bytes(one->recid_key, sizeof(one->recid_key)) != 0)
			return -1;
		buf_view(&key, one->recid_key, i == REC_SLOT_POLICY ? 0 : sizeof(one->recid_key));
		if (ipc_send(parent, MSG_REC_PEER_UP, i, &key, &fds[1], 1) != 0) {
			close(fds[1]);
			return -1;
		}
		close(fds[1]);
	}
	return 0;
}

void feeds_end(struct feeds *f)
{
	for (size_t i = 0; i < FEEDS; i++) {
		struct feed *one = &f->feed[i];
		struct ipc_msg m;

		if (one->ipc.fd < 0)
			continue;
		/* what it was told before the end counts */
		while (ipc_recv(&one->ipc, &m) == 1) {
			on_message(f, one, &m);
			ipc_msg_finish(&m);
		}
		ipc_finish(&one->ipc);
		if (one->film != NULL)
			one->film->over = true;
		one->film = NULL;
	}
}
