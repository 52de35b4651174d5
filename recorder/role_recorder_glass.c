/*
 * role_recorder_glass.c - the way in for the day the store is down: recordings of break-glass grants go to collectors of their own.
 *
 * Runs in the recorder role. Only policy knows what a grant is, so only policy's word brings a recording there (REC_GLASS), by its id
 * and before the session that makes it hears of it; and only while the usual collectors are no quorum. A session cannot ask for it: its
 * REC_OPEN is the same for both sets, and an id that was not noted goes to the usual one.
 */
#include "role_recorder.h"

#include <string.h>

#include "clock.h"

/* Its place in the list; a free one for NULL; -1: none. */
static int find(const struct recorder *rc, const uint8_t *id, uint64_t now_ms)
{
	for (int i = 0; i < REC_GLASS_ALLOWED; i++) {
		const bool live = rc->allowed[i].until_ms > now_ms;

		if (id != NULL ? live && memcmp(rc->allowed[i].id, id, BREC_ID_LEN) == 0 : !live)
			return i;
	}
	return -1;
}

static void answer(struct recorder *rc, const uint8_t id[BREC_ID_LEN], enum rec_place place)
{
	uint8_t mem[BREC_ID_LEN + 1];
	struct buf b = { .data = mem, .cap = sizeof(mem), .max = sizeof(mem) };

	buf_put(&b, id, BREC_ID_LEN);
	buf_put_u8(&b, (uint8_t)place);
	link_policy(rc, MSG_REC_GLASS_RE, &b);
}

int glass_ask(struct recorder *rc, struct buf *b)
{
	const uint64_t now_ms = clock_mono_ms();
	enum rec_place place = REC_PLACE_NONE;
	uint8_t id[BREC_ID_LEN];
	int i;

	if (buf_get_copy(b, id, sizeof(id)) != 0 || !buf_end(b) || queue_find(rc, id) != NULL || find(rc, id, now_ms) >= 0)
		return -1;
	if (ship_quorum(rc, SET_USUAL)) {
		place = REC_PLACE_USUAL;
	} else if (ship_quorum(rc, SET_GLASS) && (i = find(rc, NULL, now_ms)) >= 0) {
		memcpy(rc->allowed[i].id, id, sizeof(id));
		rc->allowed[i].until_ms = now_ms + REC_GLASS_MS;
		place = REC_PLACE_GLASS;
	}
	answer(rc, id, place);
	return 0;
}

int glass_over(struct recorder *rc, struct buf *b)
{
	uint8_t id[BREC_ID_LEN];
	int i;

	if (buf_get_copy(b, id, sizeof(id)) != 0 || !buf_end(b))
		return -1;
	if ((i = find(rc, id, clock_mono_ms())) >= 0)
		rc->allowed[i].until_ms = 0;
	return 0;
}

enum rec_set glass_set(struct recorder *rc, const uint8_t id[BREC_ID_LEN])
{
	const int i = find(rc, id, clock_mono_ms());

	if (i < 0)
		return SET_USUAL;
	rc->allowed[i].until_ms = 0;
	return SET_GLASS;
}

void glass_state(struct recorder *rc)
{
	uint8_t mem[1];
	struct buf b = { .data = mem, .cap = sizeof(mem), .max = sizeof(mem) };

	buf_put_u8(&b, rc->up[SET_GLASS]);
	link_policy(rc, MSG_REC_GLASS_STATE, &b);
}
