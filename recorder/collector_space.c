/*
 * collector_space.c - what little room on the disk means: no new recordings, and of those that run none that pours. Part of
 * bastion-collectord, for collector_store.c.
 *
 * Room is bytes, or the files that can still be made, whichever is less: a short recording is four files of few bytes, so with many of
 * them the inodes are gone first.
 */
#include "collector_store.h"

#include <inttypes.h>
#include <sys/statvfs.h>

#include "clock.h"
#include "log.h"

bool store_space(struct store *s)
{
	struct statvfs v;
	bool files, low;

	if (fstatvfs(s->recordings, &v) != 0)
		return false;
	s->room = (uint64_t)v.f_bavail * v.f_frsize;
	/* f_files 0: the file system has no fixed number of them */
	if ((files = v.f_files != 0 && v.f_favail < s->room / STORE_FILE_BYTES))
		s->room = (uint64_t)v.f_favail * STORE_FILE_BYTES;
	low = s->room < s->reserve;
	if (low == s->low)
		return false;
	s->low = low;
	s->lows += low;
	if (low)
		log_error("less than the reserve of %" PRIu64 " MiB is free%s: no new recordings are taken", s->reserve >> 20,
		    files ? ", an inode counted as 16 KiB (df -i)" : "");
	else
		log_notice("more than the reserve of %" PRIu64 " MiB is free again: new recordings are taken",
		    s->reserve >> 20);
	return true;
}

/* Does the segment end no sooner than one has to end where segment_time is the least that may be configured? */
static bool seal_in_time(struct rec *r, uint64_t now)
{
	if (r->low_seal_ms > now + (STORE_LOW_SEALS - 1) * STORE_LOW_SEAL_MS)
		return false;
	r->low_seal_ms = (r->low_seal_ms > now ? r->low_seal_ms : now) + STORE_LOW_SEAL_MS;
	return true;
}

/*
 * What is left is for those that run, and shared: a terminal has no bound of its own, and one that pours (cat /dev/zero, a hostile target) would
 * fill the disk in seconds and end every session of every bastion with itself. So it goes alone; and many that pour at once leave half or a
 * tenth, as each one's share gets smaller with all that is taken. What counts is the rate: the faster one is, the sooner it goes. One that
 * is typed in, or the events of a bastion, may last for as long as the disk does, so none has less than such a one needs. Nor does
 * what it seals count against it, so that segments may be short: their files alone would be more than that.
 */
bool store_pours(struct store *s, struct rec *r, const struct wire_entry *e)
{
	const uint64_t now = clock_mono_ms(), cost = e->frame_len + (e->type == WIRE_SEAL ? STORE_FILE_BYTES : 0);
	const uint64_t share = s->room / STORE_LOW_SHARE > STORE_LOW_LEAST ? s->room / STORE_LOW_SHARE : STORE_LOW_LEAST;
	uint64_t gone;

	if (!s->low || e->type == WIRE_END)
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
	r->low_bytes += e->type == WIRE_SEAL && seal_in_time(r, now) ? e->frame_len : cost;
	if (r->low_bytes > share)
		return true;
	s->room -= cost < s->room ? cost : s->room;
	return false;
}
