/*
 * replay_pass.c - see replay_pass.h. Used by whatever in bastion-replay reads a whole recording.
 */
#include "replay_pass.h"

int pass_begin(struct pass *p, struct pass_aim aim, const char *dir, const struct age_identities *ids, char *err, size_t errsize)
{
	*p = (struct pass){ .reader = brec_reader_open(dir, ids, err, errsize) };
	if (p->reader == NULL)
		return -1;
	if (aim.what != NULL)
		(aim.writing ? progress_begin_writing : progress_begin)(&p->bar, aim.what);
	p->segments = p->bar.on ? brec_reader_segments(p->reader) : 0;
	return 0;
}

int pass_next(struct pass *p, struct brec_item *it)
{
	const int n = brec_reader_next(p->reader, it);

	if (n == 1)
		progress_at(&p->bar, it->segment, p->segments, "");
	else
		progress_clear(&p->bar);
	return n;
}

void pass_end(struct pass *p)
{
	progress_end(&p->bar);
	brec_reader_close(p->reader);
	p->reader = NULL;
}
