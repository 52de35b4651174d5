/*
 * msg_values.h - what the numbers in the messages of msg.h stand for, which includes it.
 */
#ifndef BASTION_MSG_VALUES_H
#define BASTION_MSG_VALUES_H

/* AUTH_KEY_RE, AUTH_FACTOR_RE. AUTH_NO never says which of the factors or names was wrong. */
enum auth_verdict {
	AUTH_NO,	/* refused; session answers after the floor of time */
	AUTH_MAYBE,	/* probe: this key would do */
	AUTH_PARTIAL,	/* key proven; the second factor is owed */
	AUTH_YES,	/* logged in */
	AUTH_BARRED,	/* key proven, and no login all the same: the line says why and what to do next */
};

/*
 * SOURCE_HELD, parent → policy: str network; u32 seconds, 0: it is not held any more; u32 names that failed from there, 0: it is for its
 * penalties; u8 of these. Parent alone knows whether somebody logged in from there.
 */
enum source_held {
	HELD_RATIONED = 1,	/* it may connect, slowly */
	HELD_ANSWER = 2,	/* to a SOURCE_BLOCK; 0 seconds: parent has no place for it */
};

/* WAY_NO: for scripts and tests; the line says it to people. */
enum way_refusal {
	WAY_NO_HOST = 1,	/* not a registered host, or not for this user's eyes */
	WAY_NO_GRANT,		/* nothing asked for yet */
	WAY_PENDING, WAY_DENIED, WAY_EXPIRED, WAY_REVOKED, WAY_LOCKED,
	WAY_UNREACHABLE,	/* the target does not answer */
	WAY_BUSY,		/* a limit of the bastion */
	WAY_BROKEN,		/* the bastion cannot: keys or recording away */
};

#define WAY_PINS_MAX 16		/* WAY_OK: pinned host keys, as many as a host may have */
#define GRANT_META_MAX 40960	/* WAY_OK, WAY_GRANT: bytes of JSON, the metadata of a recording or what they have of a further grant */

/* PONG: how a way came to be. */
enum way_how { WAY_BY_NAME, WAY_BY_JUMP, WAY_BY_CONSOLE };

/* VIEW_ASK: what the watcher's terminal can do. */
enum view_looks { VIEW_UTF8 = 1, VIEW_COLOUR = 2, VIEW_RGB = 4 };

/* PAM_PROMPT: Linux-PAM's message styles, renumbered so that nothing depends on its header. */
enum pam_style { PAM_STYLE_SECRET, PAM_STYLE_ECHO, PAM_STYLE_INFO, PAM_STYLE_ERROR };

/* OTP_RE */
enum otp_verdict { OTP_WRONG, OTP_RIGHT, OTP_UNAVAILABLE };

/* What the console worker writes to its terminal when a line ends, before LINE_RE: no line of text has it. */
#define CONSOLE_MARK "\x1e"

#endif
