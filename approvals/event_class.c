/*
 * event_class.c - the names of events, and those that people want to hear of at once (notify, bastiond.conf(5)), by class.
 *
 * Pure; roles policy and monitor, where it is the severity of a line (monitor_format.c). What stands in no class is in the event list alone.
 * bastiond.conf(5) lists the classes for those who write the program.
 */
#include <string.h>

#include "event.h"

static const char *const names[EVENT_COUNT] = {
#define E(symbol, name) name,
	EVENT_LIST(E)
#undef E
};

const char *event_name(enum event_kind kind)
{
	return (unsigned)kind < EVENT_COUNT ? names[kind] : "?";
}

enum event_kind event_by_name(const char *text)
{
	for (int i = 0; i < EVENT_COUNT; i++)
		if (strcmp(names[i], text) == 0)
			return (enum event_kind)i;
	return EVENT_COUNT;
}

static const struct {
	enum event_kind kind;
	const char *class;
} classes[] = {
	{ EVENT_REQUEST, "request" },
	{ EVENT_GRANT, "decided" }, { EVENT_APPROVE, "decided" }, { EVENT_DENY, "decided" }, { EVENT_CANCEL, "decided" },
	{ EVENT_EXPIRE, "decided" }, { EVENT_GRANT_REVOKE, "decided" },
	{ EVENT_GLASS_STORE, "emergency" }, { EVENT_GLASS_AWAY, "alarm" },
	{ EVENT_BREAK_GLASS, "break-glass" }, { EVENT_REVIEW, "break-glass" }, { EVENT_GRANT_ENDING, "reminder" },
	{ EVENT_LOGIN_DEVICE, "login" }, { EVENT_LOGIN_NETWORK, "login" }, { EVENT_RECOVERY_USE, "login" },
	{ EVENT_RECOVERY, "login" }, { EVENT_KEY_ADD, "login" }, { EVENT_TOTP_RESYNC, "login" },
	{ EVENT_SOURCE_BLOCK, "alarm" }, { EVENT_KEY_ASK, "alarm" },
	{ EVENT_ALARM, "alarm" }, { EVENT_HOSTKEY, "alarm" }, { EVENT_SESSION_CRASH, "alarm" }, { EVENT_SESSION_HUNG, "alarm" },
	{ EVENT_RECORDING_STALL, "alarm" }, { EVENT_OTP_REPLAY, "alarm" }, { EVENT_OTP_GUESSED, "alarm" },
	{ EVENT_ACCOUNT_LEFT, "alarm" }, { EVENT_ACCOUNT_UIDS, "alarm" }, { EVENT_CLOCK_BACK, "alarm" },
	{ EVENT_HOSTKEY_ANNOUNCED, "alarm" }, { EVENT_HOSTKEY_MANY, "alarm" }, { EVENT_TARGET_KEY_FAILED, "alarm" }, { EVENT_PROTOCOL, "alarm" }, { EVENT_TICKET_UNKNOWN, "alarm" },
};

const char *event_class(const char *kind)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strcmp(event_name(classes[i].kind), kind) == 0)
			return classes[i].class;
	return NULL;
}
