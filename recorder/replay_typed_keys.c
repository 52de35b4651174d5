/*
 * replay_typed_keys.c - see replay_typed.h: the bytes of a terminal's keyboard as keys. Before it: the
 * input events of a recording. After it: replay_typed.c.
 *
 * ECMA-48 and xterm: ESC and a character, CSI, SS3, and the strings with which a terminal answers
 * (OSC, DCS, APC, PM). A return ends every sequence, so that nothing typed after it is lost in one.
 */
#include "replay_typed.h"

enum { GROUND, ESCAPE, CSI, SS3, STRING, STRING_ESCAPE };
enum { CTRL_C = 3, BELL = 7, BACKSPACE = 8, CTRL_Z = 26, ESC = 27, CTRL_BACKSLASH = 28, DEL = 127 };

#define PASTE_BEGINS 200
#define PASTE_ENDS 201
#define NUMBER_MAX 9999
#define MOUSE_BYTES 3	/* raw, after CSI M */

static bool ends_line(uint8_t c)
{
	return c == '\r' || c == '\n';
}

static enum key_kind control(uint8_t c)
{
	switch (c) {
	case '\r': case '\n': return KEY_ENTER;
	case CTRL_C: case CTRL_Z: case CTRL_BACKSLASH: return KEY_BREAK;
	case BACKSPACE: case DEL: return KEY_ERASE;
	default: return KEY_CONTROL;
	}
}

/* The first byte of a code point, or one alone. */
static bool first_byte(struct key_reader *r, uint8_t c, uint32_t *cp)
{
	*cp = c;
	if (c < 0x80)
		return true;
	r->more = c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 0;
	r->cp = c & (0x3fU >> r->more);
	r->least = r->more == 1 ? 0x80 : r->more == 2 ? 0x800 : 0x10000;
	*cp = UINT32_MAX;
	return r->more == 0;
}

/* True: the code point is complete. */
static bool next_byte(struct key_reader *r, uint8_t c, uint32_t *cp)
{
	r->cp = r->cp << 6 | (c & 0x3fU);
	if (--r->more > 0)
		return false;
	*cp = r->cp < r->least || r->cp > 0x10ffff || (r->cp >= 0xd800 && r->cp < 0xe000) ? UINT32_MAX : r->cp;
	return true;
}

static bool ground(struct key_reader *r, uint8_t c, enum key_kind *kind, uint32_t *cp)
{
	*kind = KEY_CHAR;
	if (r->more > 0 && (c & 0xc0) == 0x80)
		return next_byte(r, c, cp);
	/* a code point that was cut is lost; its bytes belong to this key */
	r->more = 0;
	if (c == ESC) {
		r->state = ESCAPE;
		return false;
	}
	if (c >= 0x20 && c != DEL)
		return first_byte(r, c, cp);
	*cp = c;
	*kind = control(c);
	return true;
}

static bool escape(struct key_reader *r, uint8_t c)
{
	r->number = 0;
	r->state = c == '[' ? CSI : c == 'O' ? SS3 : c == ']' || c == 'P' || c == '_' || c == '^' ? STRING :
	    c == ESC ? ESCAPE : GROUND;
	return r->state == GROUND;
}

static bool csi(struct key_reader *r, uint8_t c)
{
	if (c >= '0' && c <= '9' && r->number <= NUMBER_MAX)
		r->number = (uint16_t)(r->number * 10 + (c - '0'));
	if (c < 0x40 || c > 0x7e)
		return false;
	if (c == '~' && (r->number == PASTE_BEGINS || r->number == PASTE_ENDS))
		r->paste = r->number == PASTE_BEGINS;
	r->skip = c == 'M' ? MOUSE_BYTES : 0;
	r->state = GROUND;
	return r->skip == 0;
}

static bool sequence(struct key_reader *r, uint8_t c)
{
	switch (r->state) {
	case ESCAPE: return escape(r, c);
	case CSI: return csi(r, c);
	case SS3: r->state = GROUND; return true;
	case STRING:
		r->state = c == BELL ? GROUND : c == ESC ? STRING_ESCAPE : STRING;
		return c == BELL;
	default:
		r->state = c == '\\' ? GROUND : c == ESC ? STRING_ESCAPE : STRING;
		return c == '\\';
	}
}

bool key_is_escape(const struct key_reader *r)
{
	return r->state == ESCAPE;
}

bool key_is_cut(const struct key_reader *r, uint8_t c)
{
	return (r->more > 0 && (c & 0xc0) != 0x80) || ((r->state != GROUND || r->skip > 0) && ends_line(c));
}

bool key_byte(struct key_reader *r, uint8_t c, enum key_kind *kind, uint32_t *cp)
{
	if (r->state == GROUND && r->skip == 0)
		return ground(r, c, kind, cp);
	*kind = KEY_CONTROL;
	*cp = 0;
	if (ends_line(c)) {
		r->state = GROUND;
		r->skip = 0;
		*kind = KEY_ENTER;
		return true;
	}
	if (r->skip > 0)
		return --r->skip == 0;
	return sequence(r, c);
}
