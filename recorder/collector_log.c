/*
 * collector_log.c - the log of recordings: which entry becomes a leaf, and the state of the log at the collector's start.
 *
 * Runs in bastion-collectord, between collector_store.c and tlog_writer.c. Leaves are those of tlog_leaf.h.
 */
#include "collector_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "collector_adopt.h"
#include "log.h"
#include "tlog_leaf.h"
#include "tlog_reader.h"

int log_open_dir(struct store *s, const struct store_options *o)
{
	int fd;

	if ((mkdirat(s->top, "log", 0755) != 0 && errno != EEXIST) ||
	    (fd = openat(s->top, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || faccessat(s->top, "log", W_OK, AT_EACCESS) != 0) {
		log_error("%s/log: %s. Make it with: bastion-collectord -I", o->path, strerror(errno));
		return -1;
	}
	if (tlog_writer_open(&s->log, fd, o->log_key, o->log_origin) == 0)
		return 0;
	log_error("%s/log: %s", o->path, strerror(errno));
	return -1;
}

/* What the entry's frame says in clear, if it is a close. */
static int close_words(struct tlog_leaf *leaf, const struct wire_entry *e, struct brec_mark *m)
{
	struct brec_frame f;

	if (brec_frame_decode(e->frame, e->frame_len, &f) != 0 || brec_mark_decode(&f, m) != 0)
		return -1;
	leaf->end = m->end;
	leaf->reason = m->reason;
	leaf->reason_len = strlen(m->reason);
	return 0;
}

const char *log_leaf(struct store *s, struct rec *r, const struct wire_entry *e, const uint8_t h[BREC_HASH_LEN], struct apply_leaf *out)
{
	struct tlog_leaf leaf = { .segment = r->segment, .seq = e->seq };
	struct brec_mark m;

	out->len = 0;
	if (e->type == WIRE_FRAME)
		return sha256_update(&r->file_hash, e->frame, e->frame_len) == 0 ? NULL : "out of memory";
	leaf.type = e->type == WIRE_OPEN ? TLOG_OPEN : e->type == WIRE_SEAL ? TLOG_SEAL : TLOG_CLOSE;
	memcpy(leaf.id, r->id, BREC_ID_LEN);
	memcpy(leaf.h, h, BREC_HASH_LEN);
	if (leaf.type == TLOG_CLOSE && close_words(&leaf, e, &m) != 0)
		return "the close frame does not decode";
	if (leaf.type == TLOG_OPEN ? sha256_init(&r->file_hash) != 0 || sha256_spans(leaf.file_hash, SPANS(SPAN(e->header, e->header_len))) != 0 :
	    sha256_update(&r->file_hash, e->frame, e->frame_len) != 0 || sha256_digest(&r->file_hash, leaf.file_hash) != 0)
		return "out of memory";
	/* the header begins the next file */
	if (sha256_update(&r->file_hash, e->header, e->header_len) != 0)
		return "out of memory";
	out->len = tlog_leaf_encode(out->data, &leaf);
	out->index = s->next_leaf;
	return NULL;
}

int log_write_out(struct store *s)
{
	const uint64_t before = s->log.published;

	for (; s->logged < s->nout; s->logged++)
		if (apply_log(s, s->out[s->logged].payload, s->out[s->logged].len) != 0)
			return -1;
	if (tlog_writer_publish(&s->log, clock_wall_us() / 1000000) != 0)
		return -1;
	if (s->complete != NULL && s->log.published != before)
		s->complete(s->ctx, NULL);
	return 0;
}

int log_alarm(const struct store *s)
{
	if (errno == EBADMSG)
		log_error("ALARM: the log of recordings is not what this collector signed: %s. It was changed, or the store was rolled back. "
		    "Nothing is taken: keep this store as it is, and see bastion-collectord(8), DIAGNOSTICS", s->log.why);
	else
		log_error("the log of recordings: %s", strerror(errno));
	return -1;
}

static int write_marker(const struct store *s)
{
	int fd = openat(s->log.dir, TLOG_ADOPTING, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0)
		return -1;
	close(fd);
	return fsync(s->log.dir);
}

/* The first log of this store: what lies there gets its leaves, and they count when the first checkpoint is durable. */
static int begin_log(struct store *s)
{
	uint64_t recordings = 0;

	if (write_marker(s) != 0 || adopt_recordings(s, &recordings) != 0 ||
	    tlog_writer_publish(&s->log, clock_wall_us() / 1000000) != 0 || syncfs(s->log.dir) != 0 ||
	    unlinkat(s->log.dir, TLOG_ADOPTING, 0) != 0 || fsync(s->log.dir) != 0)
		return -1;
	log_notice("log of recordings begun: %s, %" PRIu64 " leaves of %" PRIu64 " recordings that were here before", s->log.origin,
	    s->log.size, recordings);
	return 0;
}

int log_recover(struct store *s)
{
	/* no leaf came from the journal, and there is no log yet? */
	const int exists = s->log.based ? 1 : tlog_writer_exists(&s->log);

	if (exists == 1 && !s->log.has_promise && !s->log.based) {
		errno = EBADMSG;
		snprintf(s->log.why, sizeof(s->log.why), "its checkpoint is gone");
	}
	if (exists < 0 || (exists == 1 && !s->log.has_promise && !s->log.based) || tlog_writer_check(&s->log) != 0)
		return log_alarm(s);
	if ((exists == 0 ? begin_log(s) : tlog_writer_publish(&s->log, clock_wall_us() / 1000000)) != 0)
		return log_alarm(s);
	s->next_leaf = s->log.size;
	return 0;
}

/* An auditor's program reads all of it: said while there is time to begin another store. */
void log_watch(struct store *s)
{
	const uint64_t now_ms = clock_mono_ms();

	if (s->log.size < TLOG_READ_MAX / 2 || (s->log_told_ms != 0 && now_ms - s->log_told_ms < STORE_TELL_MS))
		return;
	s->log_told_ms = now_ms;
	log_warn("ALARM: the log of recordings has %" PRIu64 " leaves, and bastion-replay reads at most %u: begin another store soon "
	    "(bastion-collectord(8), STORE)", s->log.size, TLOG_READ_MAX);
}
