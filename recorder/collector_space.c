/*
 * collector_space.c - what little room on the disk means: no new recordings, and of those that run none that pours. Part of
 * bastion-collectord, for collector_store.c.
 */
#include "collector_store.h"

#include <inttypes.h>
#include <sys/statvfs.h>

#include "clock.h"
#include "log.h"

bool store_space(struct store *s)
{
	struct statvfs v;
	bool low;

	if (fstatvfs(s->recordings, &v) != 0)
		return false;
	low = (uint64_t)v.f_bavail * v.f_frsize < s->reserve;
	if (low == s->low)
		return false;
	s->low = low;
	s->lows += low;
	if (low)
		log_error("less than the reserve of %" PRIu64 " MiB is free: no new recordings are taken",
		    s->reserve >> 20);
	else
		log_notice("more than the reserve of %" PRIu64 " MiB is free again: new recordings are taken",
		    s->reserve >> 20);
	return true;
}

/*
 * The reserve is for those that run, and shared: a terminal has no bound of its own, and one that pours (cat /dev/zero, a hostile target) would
 * fill the disk in seconds and end every session of every bastion with itself. So it goes alone. What counts is the rate: one that is typed in, or
 * the events of a bastion, may last for as long as the disk does.
 */
bool store_pours(struct store *s, struct rec *r, const struct wire_entry *e)
{
	const uint64_t share = s->reserve / STORE_LOW_SHARE, now = clock_mono_ms();
	uint64_t gone;

	if (!s->low || e->type != WIRE_FRAME)
		return false;
	if (r->low != s->lows || now - r->low_ms >= STORE_LOW_MS) {
		r->low = s->lows;
		r->low_bytes = 0;
		r->low_ms = now;
	}
	if ((gone = share * (now - r->low_ms) / STORE_LOW_MS) != 0) {
		r->low_bytes -= gone < r->low_bytes ? gone : r->low_bytes;
		r->low_ms = now;
	}
	r->low_bytes += e->frame_len;
	return r->low_bytes > share;
}
