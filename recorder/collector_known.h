/*
 * collector_known.h - which recordings are here, whatever day is named with their id.
 *
 * Runs in bastion-collectord, below collector_store.c. A recording lies in the directory of the day that its first header says. Who comes
 * with its id and another day must find it all the same: an id has one recording, and one open leaf in the log. A second one, of whoever
 * can sign for this collector, would make the first look forged for good.
 *
 * A look goes through the directories of all days. In front of it stands a filter in memory (Bloom's), made of all names at the start and
 * added to with each recording that is opened: it never misses one that is here, so as a rule a new one costs no look.
 */
#ifndef BASTION_COLLECTOR_KNOWN_H
#define BASTION_COLLECTOR_KNOWN_H

#include <stdint.h>

#include "brec.h"

#define KNOWN_BITS (1U << 27)		/* 16 MiB: of ten million recordings that are here, one new one in 200 costs a look */
#define KNOWN_DAYS_MAX 65536		/* directories that are looked through; more are an error */

struct store;

/* Makes the filter. 0, or -1 logged. */
int known_open(struct store *s);
void known_add(struct store *s, const uint8_t id[BREC_ID_LEN]);
/* Does the recording, or its marker, lie under some day? 1, with a time of that day; 0: no; -1 with errno: it cannot be told. */
int known_day(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t *day_us);
/* The same without the filter: for what was brought back by hand since the start, too. */
int known_look(struct store *s, const uint8_t id[BREC_ID_LEN], uint64_t *day_us);

#endif
