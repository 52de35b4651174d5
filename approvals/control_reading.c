/*
 * control_reading.c - the word by which an auditor's bastion-replay says that it shows a recording.
 * Policy role; see control_word.h.
 *
 * The note names the line of the auditor's own log of readings by number and hash: so that log, which is
 * out of the bastion's reach, can later be held against the events.
 */
#include "control_word.h"

#include <string.h>

static enum event_kind kind_of(const char *how, bool reveal)
{
	if (reveal)
		return EVENT_RECORDING_REVEAL;
	return strcmp(how, "export") == 0 ? EVENT_RECORDING_EXPORT :
	    strcmp(how, "search") == 0 ? EVENT_RECORDING_SEARCH : EVENT_RECORDING_REPLAY;
}

/* Whose session it was, if that is still known here: then `events --user` finds it. 0, or -1. */
static int subject_of(struct call *k, const char *recording, char name[USER_NAME_MAX + 1])
{
	uint8_t id[STORE_RECORDING_LEN];

	name[0] = '\0';
	if (recording == NULL || hex_decode(id, sizeof(id), recording) != 0)
		return 0;
	return store_recording_user(k->s, id, name) < 0 ? -1 : 0;
}

enum words_exit word_note_replay(struct call *k)
{
	const char *how = arg_text(k, "how"), *recording = arg_text(k, "recording"), *user = arg_text(k, "user");
	const bool reveal = arg_flag(k, "reveal");
	char whose[USER_NAME_MAX + 1];

	if (strcmp(how, "replay") != 0 && strcmp(how, "export") != 0 && strcmp(how, "search") != 0)
		return refuse(k, WORDS_USAGE, NULL, "how: replay, export or search.");
	if (subject_of(k, recording, whose) < 0)
		return broken(k);
	if (event_writef(k->s, k->now, kind_of(how, reveal), k->name, whose[0] != '\0' ? whose : user,
		"{s:s, s:s*, s:I, s:s*, s:s*, s:I, s:I, s:s}", "how", how, "recording", recording, "recordings",
		(json_int_t)arg_int(k, "recordings", 1), "user", user, "host", arg_text(k, "host"), "at",
		(json_int_t)arg_int(k, "at", 0), "number", (json_int_t)arg_int(k, "number", 0), "hash",
		arg_text(k, "hash")) < 0)
		return broken(k);
	return say(k, "Noted.");
}
