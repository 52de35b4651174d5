/*
 * replay_pass.h - a recording read from its beginning to its end, with a bar that says how far that is.
 *
 * The bar counts segments: a bastion begins one with each MiB, and with each minute of an open recording.
 */
#ifndef BASTION_REPLAY_PASS_H
#define BASTION_REPLAY_PASS_H

#include "brec_read.h"
#include "replay_term.h"

struct pass {
	struct brec_reader *reader;	/* for brec_reader_error and brec_reader_info */
	struct progress bar;
	uint32_t segments;
};

/* What it is for: NULL for a short one without a bar. */
struct pass_aim {
	const char *what;
	bool writing;	/* to standard output meanwhile: no bar if that is a terminal */
};

/* As brec_reader_open: 0, or -1 with a sentence in err, and p as pass_end leaves it. */
int pass_begin(struct pass *p, struct pass_aim aim, const char *dir, const struct age_identities *ids, char *err, size_t errsize);
/* As brec_reader_next. */
int pass_next(struct pass *p, struct brec_item *it);
void pass_end(struct pass *p);

#endif
