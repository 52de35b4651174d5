/*
 * replay_typed_judge.c - see replay_typed.h: which keys of a line are hidden. Before it: replay_typed.c,
 * which knows of each key whether it was echoed.
 *
 * A line is judged in parts: what was typed where the cursor stayed, or went on by an echo, is one. On
 * the primary screen a line is one part. Inside a full-screen program the cursor jumps with each
 * command, so that `:wq` of an editor is a part of its own, and is echoed.
 *
 *   the last part ends in missed keys and a return     all of the line is hidden: a password
 *   keys were missed, and at least two echoed after    from the first missed one to the last
 *   a mask was shown, or a secret asked for            the part is hidden
 *   inside a full-screen program                       missed keys are its commands and shown, if fewer than
 *                                                      STILL_MAX came at one place of the cursor
 */
#include "replay_typed.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "screen_filter.h"

#define STILL_MAX 4U		/* so many keys at one place, echoed nowhere, are a password */
#define MASKS 3U		/* so many keys that the same was shown for were masked */
#define SURE 2U			/* so many echoed characters at an end show that echo was on again */
#define ROW_MAX 2048		/* bytes of a prompt that are looked at: its end */

/* ---- prompts ---- */

static const char *const secrets[] = {
	"password", "passwd", "passwort", "kennwort", "passphrase", "pass phrase", "passcode", "pass code",
	"pass word", "secret", "pin:", "pin ", "pin)", "pin=", "pin>", "puk", "otp", "token", "verification",
	"one-time", "authenticat", "credential", "private key", "unlock", "mot de passe", "contrase",
	"wachtwoord", "senha", "parola", "has\305\202o", "heslo", "l\303\266senord", "salasana", "adgangskode",
	"\320\277\320\260\321\200\320\276\320\273", "\345\257\206\347\240\201", "\345\217\243\344\273\244",
	"\343\203\221\343\202\271\343\203\257\343\203\274\343\203\211", "\354\225\224\355\230\270",
};

bool asks_for_secret(const char *text, size_t len)
{
	char row[ROW_MAX + 2];

	if (len > ROW_MAX) {
		text += len - ROW_MAX;
		len = ROW_MAX;
	}
	for (size_t i = 0; i < len; i++)
		row[i] = (char)tolower((unsigned char)text[i]);
	/* "PIN" at the end of the row */
	row[len] = ':';
	row[len + 1] = '\0';
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (memmem(row, len + 1, secrets[i], strlen(secrets[i])) != NULL)
			return true;
	return false;
}

/* ---- parts ---- */

struct part {
	const struct typed_key *v;
	size_t n;
	size_t first, last;	/* missed; n: none */
	size_t sure;		/* echoed characters after the last missed one */
	size_t still;		/* the longest row of missed ones at one place */
	size_t masked;		/* the longest row of those for which the same was shown */
	bool secret, alternate, stars;
};

static bool is_missed(const struct typed_key *k)
{
	return k->kind == KEY_CHAR && k->state != ECHO_SHOWN;
}

static struct part look_at(const struct typed_key *v, size_t n)
{
	struct part p = { .v = v, .n = n, .first = n, .last = n, .stars = true };
	size_t still = 0, masked = 0;
	uint32_t mask = 0;

	for (size_t i = 0; i < n; i++) {
		p.secret = p.secret || v[i].secret;
		p.alternate = p.alternate || v[i].alternate;
		if (v[i].kind != KEY_CHAR)
			continue;
		p.stars = p.stars && v[i].cp == '*';
		if (!is_missed(&v[i])) {
			p.sure++;
			still = masked = 0;
			continue;
		}
		p.first = p.first == n ? i : p.first;
		p.last = i;
		p.sure = 0;
		still = v[i].still ? still + 1 : 1;
		p.still = still > p.still ? still : p.still;
		masked = v[i].shown_as == 0 ? 0 : v[i].shown_as == mask ? masked + 1 : 1;
		mask = v[i].shown_as;
		p.masked = masked > p.masked ? masked : p.masked;
	}
	return p;
}

/* Where the part that begins at `from` ends. */
static size_t part_end(const struct typed_line *l, size_t from)
{
	size_t i = from + 1;

	while (i < l->n && !(l->v[i].alternate && l->v[i].jumped && l->v[i].kind == KEY_CHAR))
		i++;
	return i;
}

static bool shows_nothing_secret(const struct part *p)
{
	return p->alternate && !p->secret && p->still < STILL_MAX && p->masked < MASKS;
}

static void hide_keys(const struct part *p, size_t first, size_t last, hide_fn *hide, void *ctx)
{
	if (first <= last && last < p->n)
		hide(ctx, p->v[first].from, p->v[last].to);
}

/* Keys of a line without what ended it. */
static size_t body(const struct typed_line *l)
{
	return l->n - (l->ended && l->n > 0);
}

static bool has_char(const struct typed_line *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].kind == KEY_CHAR)
			return true;
	return false;
}

/* The last part of a line that was ended: is the line a password? */
static bool is_password(const struct typed_line *l, const struct part *p)
{
	if (!l->ended)
		return false;
	return (p->last < p->n && (p->sure < SURE || p->masked >= MASKS)) || (p->stars && p->sure > 0);
}

void line_judge(const struct typed_line *l, bool whole, hide_fn *hide, void *ctx)
{
	const size_t n = body(l);
	size_t last = 0;
	struct part p;

	if (n == 0 || !has_char(l))
		return;
	for (size_t i = 0; i < n; i = part_end(l, i))
		last = i;
	p = look_at(l->v + last, n - last);
	if (is_password(l, &p) || (whole && look_at(l->v, n).first < n)) {
		hide(ctx, l->v[0].from, l->v[n - 1].to);
		return;
	}
	for (size_t i = 0, end; i < n; i = end) {
		end = part_end(l, i) < n ? part_end(l, i) : n;
		p = look_at(l->v + i, end - i);
		if (p.first == p.n || shows_nothing_secret(&p))
			continue;
		if (p.secret || p.masked >= MASKS || p.sure < SURE)
			hide_keys(&p, 0, p.n - 1, hide, ctx);
		else
			hide_keys(&p, p.first, p.last, hide, ctx);
	}
}

/* ---- a line as a whole ---- */

bool line_may_turn_up(const struct typed_line *l)
{
	char text[ECHO_KEYS_MAX * 4];
	const struct part p = look_at(l->v, body(l));

	return l->ended && l->noisy && p.first < p.n && p.masked < MASKS &&
	    line_text(l, text, sizeof(text)) > 0;
}

size_t line_text(const struct typed_line *l, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < body(l); i++) {
		const struct typed_key *k = &l->v[i];

		if (k->secret || k->alternate || k->kind == KEY_CONTROL ||
		    (k->kind == KEY_CHAR && (k->cp == UINT32_MAX || n + 4 > size)))
			return 0;
		if (k->kind == KEY_CHAR)
			n += filter_encode(out + n, k->cp);
		else
			while (n > 0 && ((uint8_t)out[--n] & 0xc0) == 0x80)
				;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	return n;
}
