/*
 * sftp_pending.c - see sftp_pending.h. Role: session. A hash table with open addressing, that grows.
 */
#include "sftp_pending.h"

#include <stdlib.h>

#define PENDING_MIN 256U	/* places at first, */
#define PENDING_MAX 32768U	/* and at most, of which a quarter stays free */
#define PENDING_KEPT 256U	/* that no READ takes: of other requests clients wait for the answer */
#define TWICE "sftp: a request has the id of one without an answer"

int sftp_pending_init(struct sftp_pending *s)
{
	*s = (struct sftp_pending){ .n = PENDING_MIN, .all = calloc(PENDING_MIN, sizeof(*s->all)) };
	return s->all != NULL ? 0 : -1;
}

void sftp_pending_finish(struct sftp_pending *s)
{
	for (size_t i = 0; s->all != NULL && i < s->n; i++)
		free(s->all[i].path);
	free(s->all);
}

/* Where an id belongs, among n places, a power of two. Ids count up: side by side they would be one run, which each search goes through. */
static size_t home_of(uint32_t id, size_t n)
{
	return (uint32_t)(id * 2654435761U) / (uint32_t)((UINT64_C(1) << 32) / n);
}

/* The place of this id, between its home and the first free one; or that. Some are free. */
static struct sftp_request *place_of(struct sftp_request *all, size_t n, uint32_t id)
{
	size_t i = home_of(id, n);

	while (all[i].type != 0 && all[i].id != id)
		i = (i + 1) % n;
	return &all[i];
}

static bool grow(struct sftp_pending *s)
{
	const size_t n = s->n * 2;
	struct sftp_request *more = n <= PENDING_MAX ? calloc(n, sizeof(*more)) : NULL;

	if (more == NULL)
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (s->all[i].type != 0)
			*place_of(more, n, s->all[i].id) = s->all[i];
	free(s->all);
	s->all = more;
	s->n = n;
	return true;
}

struct sftp_request *sftp_pending_add(struct sftp_pending *s, uint32_t id, uint8_t type, const char **why)
{
	const size_t kept = type == FXP_READ ? PENDING_KEPT : 0;
	struct sftp_request *p;

	*why = NULL;
	if (s->unplaced > 0 && id >= s->unplaced_low && id <= s->unplaced_high) {
		*why = TWICE;
		return NULL;
	}
	if (s->taken * 2 >= s->n && !grow(s) && s->taken + kept >= s->n / 4 * 3) {
		if (type != FXP_READ) {
			*why = "sftp: too many requests without an answer";
			return NULL;
		}
		s->unplaced_stray = s->unplaced > 0 && s->unplaced_stray;
		s->unplaced_low = s->unplaced == 0 || id < s->unplaced_low ? id : s->unplaced_low;
		s->unplaced_high = s->unplaced == 0 || id > s->unplaced_high ? id : s->unplaced_high;
		s->unplaced++;
		return NULL;
	}
	p = place_of(s->all, s->n, id);
	if (p->type != 0) { /* which of the two an answer is for, nobody could say */
		*why = TWICE;
		return NULL;
	}
	*p = (struct sftp_request){ .id = id, .type = type != 0 ? type : FXP_REFUSED };
	s->taken++;
	return p;
}

struct sftp_request *sftp_pending_answered(struct sftp_pending *s, uint32_t id)
{
	struct sftp_request *p = place_of(s->all, s->n, id);

	if (p->type != 0)
		return p;
	s->unplaced -= s->unplaced > 0;
	return NULL;
}

/* What stands behind it, up to the next free place, moves up if its home is not after the hole. */
void sftp_pending_end(struct sftp_pending *s, struct sftp_request *p)
{
	const size_t n = s->n;
	size_t hole = (size_t)(p - s->all);

	free(p->path);
	for (size_t i = (hole + 1) % n; s->all[i].type != 0; i = (i + 1) % n)
		if ((i - home_of(s->all[i].id, n)) % n >= (i - hole) % n) {
			s->all[hole] = s->all[i];
			hole = i;
		}
	s->all[hole] = (struct sftp_request){ .type = 0 };
	s->taken--;
}

unsigned sftp_pending_strays(const struct sftp_pending *s, uint32_t handle)
{
	unsigned strays = s->unplaced > 0 && s->unplaced_stray ? 1U << FXP_READ : 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct sftp_request *p = &s->all[i];

		if (p->file == NULL && p->handle == handle && (p->type == FXP_READ || p->type == FXP_WRITE || p->type == FXP_CLOSE))
			strays |= 1U << p->type;
	}
	return strays;
}

bool sftp_pending_forget(struct sftp_pending *s, const struct sftp_file *f)
{
	bool reads = false;

	for (size_t i = 0; i < s->n; i++)
		if (s->all[i].file == f) {
			s->all[i].file = NULL;
			reads = reads || s->all[i].type == FXP_READ;
		}
	return reads;
}
