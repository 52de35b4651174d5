/*
 * collector_hold.h - a hold on a recording: as long as it is there, the recording is not pruned, whatever its age.
 *
 * Runs in bastion-collectord. A hold is the file `hold` in the recording's directory; that it was set and taken away are leaves of the log
 * of recordings (tlog_act.h), which say who and why.
 */
#ifndef BASTION_COLLECTOR_HOLD_H
#define BASTION_COLLECTOR_HOLD_H

#include "collector_store.h"

/* Sets it or takes it away, durably. The answer goes to text[size]: "ok …" or "error …". `why` is a line of text, as is `who`. */
void hold_set(struct store *s, const uint8_t id[BREC_ID_LEN], bool hold, const char *who, const char *why, char *text, size_t size);

#endif
