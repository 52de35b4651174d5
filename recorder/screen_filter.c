/*
 * screen_filter.c - see screen_filter.h. Before it: bytes of a recording. After it: screen.c and
 * libvterm.
 */
#include "screen_filter.h"

#include <stdio.h>
#include <string.h>

#include "escape.h"

enum filter_state {
	GROUND,
	ESCAPE,		/* ESC, then perhaps intermediates */
	CSI,		/* parameters */
	CSI_INTER,	/* intermediates, then the final byte */
	CSI_DROP,	/* malformed: up to the final byte */
	STRING,		/* DCS, OSC, …: up to ST */
	STRING_ESC,	/* and ESC seen in it */
};

#define TOO_MANY '\xff'
#define REPLACEMENT 0xfffdU

void filter_init(struct filter *f, unsigned cols, const struct filter_ops *ops, void *ctx)
{
	memset(f, 0, sizeof(*f));
	f->cols = cols;
	f->ops = ops;
	f->ctx = ctx;
}

static void flush(struct filter *f)
{
	if (f->text_len > 0)
		f->ops->put(f->ctx, f->text, f->text_len);
	f->text_len = 0;
}

static void put(struct filter *f, const char *bytes, size_t len)
{
	if (f->text_len + len > sizeof(f->text))
		flush(f);
	memcpy(f->text + f->text_len, bytes, len);
	f->text_len += len;
}

/* A control sequence goes out by itself, so that hooks see the screen as it is at that point. */
static void put_sequence(struct filter *f, const char *seq)
{
	flush(f);
	f->ops->put(f->ctx, seq, strlen(seq));
}

static void hook(struct filter *f, enum filter_hook what)
{
	flush(f);
	f->ops->hook(f->ctx, what);
}

/* ---- text ---- */

size_t filter_encode(char out[4], uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3f));
	out[0] = (char)((0xf00U >> n & 0xf0) | cp);
	return n;
}

/* escape.c is the one place that knows what may be shown: it lets that through unchanged. */
static bool may_show(const char *utf8, size_t n)
{
	char out[4 * 4 + 6 + 1];

	return esc_line(out, sizeof(out), utf8, n) == n && memcmp(out, utf8, n) == 0;
}

/* Joiners and variation selectors choose among looks; without them the character is the same. */
static bool is_decoration(uint32_t cp)
{
	return cp == 0xad || cp == 0x200c || cp == 0x200d || (cp >= 0xfe00 && cp <= 0xfe0f);
}

static void put_code_point(struct filter *f, uint32_t cp)
{
	char utf8[4];
	size_t n;

	if (is_decoration(cp))
		return;
	n = filter_encode(utf8, cp);
	if (!may_show(utf8, n))
		n = filter_encode(utf8, cp = REPLACEMENT);
	if (filter_zero_width(cp)) {
		if (f->last_len == 0 || f->marks == FILTER_MARKS)
			return;
		f->marks++;
	} else {
		f->marks = 0;
		f->last_len = 0;
	}
	memcpy(f->last + f->last_len, utf8, n);
	f->last_len += n;
	put(f, utf8, n);
}

/* The run of printable ASCII at p: most of what there is, so it has its own path. Its length. */
static size_t put_ascii(struct filter *f, const uint8_t *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] >= 0x20 && p[n] < 0x7f)
		n++;
	for (size_t done = 0; done < n;) {
		size_t part = n - done < sizeof(f->text) ? n - done : sizeof(f->text);

		put(f, (const char *)p + done, part);
		done += part;
	}
	f->last[0] = (char)p[n - 1];
	f->last_len = 1;
	f->marks = 0;
	return n;
}

static void utf8_start(struct filter *f, uint8_t c)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

	if (c >= 0xc2 && c < 0xe0)
		f->more = 1;
	else if (c >= 0xe0 && c < 0xf0)
		f->more = 2;
	else if (c >= 0xf0 && c < 0xf5)
		f->more = 3;
	if (f->more == 0) {
		put_code_point(f, REPLACEMENT);
		return;
	}
	f->cp = c & (0x3fU >> f->more);
	f->least = least[f->more];
}

/* True if the byte belonged to the code point in progress. */
static bool utf8_more(struct filter *f, uint8_t c)
{
	if ((c & 0xc0) != 0x80) {
		f->more = 0;
		put_code_point(f, REPLACEMENT);
		return false;
	}
	f->cp = f->cp << 6 | (c & 0x3f);
	if (--f->more == 0)
		put_code_point(f, f->cp < f->least || f->cp > 0x10ffff ? REPLACEMENT : f->cp);
	return true;
}

/* ---- control ---- */

static void do_c0(struct filter *f, uint8_t c)
{
	char s = (char)c;

	if (c >= 0x08 && c <= 0x0f) {
		flush(f);
		put(f, &s, 1);
	}
}

static void save_cursor(struct filter *f)
{
	put_sequence(f, "\0337");
	hook(f, FILTER_SAVED);
}

static void do_escape(struct filter *f, char final)
{
	char seq[4] = { '\033', f->inter, final, '\0' };

	if (f->inter == '#' && final == '8')
		put_sequence(f, seq);
	else if (f->inter != '\0' && f->inter != TOO_MANY && strchr("()*+", f->inter) != NULL) {
		if (strchr("0AB", final) == NULL)
			seq[2] = 'B';
		put_sequence(f, seq);
	} else if (f->inter != '\0')
		return;
	else if (final == '7')
		save_cursor(f);
	else if (final == 'c') {
		hook(f, FILTER_RESETS);
		/* libvterm would stay in the alternate buffer */
		put_sequence(f, "\033[?1047l");
		put_sequence(f, "\033c");
		hook(f, FILTER_SAVED);
	} else if (strchr("8DEHM", final) != NULL) {
		seq[1] = final;
		seq[2] = '\0';
		put_sequence(f, seq);
	}
}

/* Value of parameter i, or `otherwise` where there is none. */
static unsigned arg(const struct filter *f, unsigned i, unsigned otherwise)
{
	return i < f->args && f->set[i] ? f->arg[i] : otherwise;
}

static void put_csi(struct filter *f, char final, unsigned n, unsigned a, unsigned b)
{
	char seq[32];

	if (n == 0)
		snprintf(seq, sizeof(seq), "\033[%c", final);
	else if (n == 1)
		snprintf(seq, sizeof(seq), "\033[%u%c", a, final);
	else
		snprintf(seq, sizeof(seq), "\033[%u;%u%c", a, b, final);
	put_sequence(f, seq);
}

static void do_private_mode(struct filter *f, unsigned mode, char final)
{
	char seq[16];

	switch (mode) {
	case 47:
		mode = 1047;
		break;
	case 5: case 7: case 25: case 1047: case 1048: case 1049:
		break;
	default:
		return;
	}
	if (final == 'l' && (mode == 1047 || mode == 1049))
		hook(f, FILTER_LEAVES);
	snprintf(seq, sizeof(seq), "\033[?%u%c", mode, final);
	put_sequence(f, seq);
	if (final == 'h' && (mode == 1048 || mode == 1049))
		hook(f, FILTER_SAVED);
}

/* The colour after a 38 or 48 at i, in either notation. Returns how many parameters that were. */
static unsigned do_colour(struct filter *f, unsigned i)
{
	const unsigned what = f->arg[i];
	const bool colons = f->sub[i];
	unsigned n = 1, need, skip;
	char seq[40];

	/* with colons it is clear what belongs together; 38:2::r:g:b names no colour space */
	while (colons && i + n < f->args && f->sub[i + n - 1])
		n++;
	need = arg(f, i + 1, 0) == 5 ? 3 : arg(f, i + 1, 0) == 2 ? 5 : 0;
	skip = colons && need == 5 && n > 5 ? 1 : 0;
	if (!colons)
		n = need == 0 ? 2 : need;
	if (need == 0 || i + need + skip > f->args || n < need)
		return n;
	for (unsigned k = i + 2 + skip; k < i + need + skip; k++)
		if (arg(f, k, 0) > 255)
			return n;
	if (need == 3)
		snprintf(seq, sizeof(seq), "\033[%u;5;%um", what, arg(f, i + 2, 0));
	else
		snprintf(seq, sizeof(seq), "\033[%u;2;%u;%u;%um", what, arg(f, i + 2 + skip, 0),
		    arg(f, i + 3 + skip, 0), arg(f, i + 4 + skip, 0));
	put_sequence(f, seq);
	return n;
}

/* Each attribute goes on as a sequence of its own: libvterm reads no lists. */
static void do_sgr(struct filter *f)
{
	if (f->args == 0)
		put_csi(f, 'm', 0, 0, 0);
	for (unsigned i = 0, n; i < f->args; i += n) {
		unsigned a = arg(f, i, 0);

		n = 1;
		if (a == 38 || a == 48 || a == 58) {
			n = do_colour(f, i);
			continue;
		}
		while (i + n < f->args && f->sub[i + n - 1])
			n++;
		if (a == 4 && n > 1 && arg(f, i + 1, 1) == 0)
			a = 24;
		if (a <= 9 || (a >= 21 && a <= 49) || (a >= 90 && a <= 107))
			put_csi(f, 'm', 1, a, 0);
	}
}

static void do_repeat(struct filter *f)
{
	unsigned n = arg(f, 0, 1);

	if (n > f->cols)
		n = f->cols;
	while (f->last_len > 0 && n-- > 0)
		put(f, f->last, f->last_len);
}

static void do_erase(struct filter *f, char final)
{
	unsigned what = arg(f, 0, 0);

	if (what > 2)
		return;
	if (final == 'J')
		hook(f, what == 0 ? FILTER_CLEARS_BELOW : what == 1 ? FILTER_CLEARS_ABOVE : FILTER_CLEARS);
	put_csi(f, final, 1, what, 0);
}

/* DECSTR, but for the margins: libvterm cannot set those without moving the cursor. */
static void do_soft_reset(struct filter *f)
{
	static const char *const seqs[] = {
		"\033[4l", "\033[?7h", "\033[?25h", "\033[m", "\033(B", "\017",
	};

	for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++)
		put_sequence(f, seqs[i]);
}

static void do_plain_csi(struct filter *f, char final)
{
	switch (final) {
	case 'H': case 'f':
		put_csi(f, 'H', 2, arg(f, 0, 1), arg(f, 1, 1));
		break;
	case 'r':
		put_csi(f, 'r', f->args < 2 ? 1 : 2, arg(f, 0, 1), arg(f, 1, FILTER_ARG_MAX));
		break;
	case 'J': case 'K':
		do_erase(f, final);
		break;
	case 'T':
		if (f->args > 1) /* highlight mouse tracking */
			break;
		/* fallthrough */
	case '@': case 'A': case 'B': case 'C': case 'D': case 'E': case 'F': case 'G': case 'I':
	case 'L': case 'M': case 'P': case 'S': case 'X': case 'Z': case '`': case 'a': case 'd':
	case 'e': case 'j': case 'k':
		put_csi(f, final, 1, arg(f, 0, 1), 0);
		break;
	case 'b':
		do_repeat(f);
		break;
	case 'g':
		if (arg(f, 0, 0) == 0 || arg(f, 0, 0) == 3)
			put_csi(f, 'g', 1, arg(f, 0, 0), 0);
		break;
	case 'h': case 'l':
		for (unsigned i = 0; i < f->args; i++)
			if (arg(f, i, 0) == 4 || arg(f, i, 0) == 20)
				put_csi(f, final, 1, arg(f, i, 0), 0);
		break;
	case 'm':
		do_sgr(f);
		break;
	case 's':
		if (f->args == 0)
			save_cursor(f);
		break;
	case 'u':
		if (f->args == 0)
			put_sequence(f, "\0338");
		break;
	}
}

static void do_csi(struct filter *f, char final)
{
	if (f->leader == '\0' && f->inter == '\0')
		do_plain_csi(f, final);
	else if (f->leader == '\0' && f->inter == '!' && final == 'p')
		do_soft_reset(f);
	else if (f->leader == '?' && f->inter == '\0' && (final == 'J' || final == 'K'))
		do_erase(f, final);
	else if (f->leader == '?' && f->inter == '\0' && (final == 'h' || final == 'l'))
		for (unsigned i = 0; i < f->args; i++)
			do_private_mode(f, arg(f, i, 0), final);
}

/* ---- the parser ---- */

static void enter_escape(struct filter *f)
{
	f->state = ESCAPE;
	f->inter = '\0';
}

static void enter_string(struct filter *f, bool osc)
{
	f->state = STRING;
	f->osc = osc;
}

static void escape_byte(struct filter *f, uint8_t c)
{
	if (c >= 0x20 && c < 0x30) {
		f->inter = f->inter == '\0' ? (char)c : TOO_MANY;
		return;
	}
	f->state = GROUND;
	if (c == '[' && f->inter == '\0') {
		f->state = CSI;
		f->leader = '\0';
		f->args = 0;
	} else if (f->inter == '\0' && c != 0x7f && strchr("PX]^_k", c) != NULL)
		enter_string(f, c == ']');
	else if (c >= 0x30 && c < 0x7f)
		do_escape(f, (char)c);
}

static void csi_digit(struct filter *f, uint8_t c)
{
	unsigned i, v;

	if (f->args == 0) {
		f->args = 1;
		f->arg[0] = 0;
		f->set[0] = f->sub[0] = false;
	}
	i = f->args - 1;
	v = f->arg[i] * 10U + (c - '0');
	f->arg[i] = (uint16_t)(v > FILTER_ARG_MAX ? FILTER_ARG_MAX : v);
	f->set[i] = true;
}

/* ';' or ':'. Past FILTER_ARGS the whole sequence is malformed. */
static void csi_separator(struct filter *f, uint8_t c)
{
	if (f->args == 0) {
		f->args = 1;
		f->arg[0] = 0;
		f->set[0] = f->sub[0] = false;
	}
	if (f->args == FILTER_ARGS) {
		f->state = CSI_DROP;
		return;
	}
	f->sub[f->args - 1] = c == ':';
	f->arg[f->args] = 0;
	f->set[f->args] = f->sub[f->args] = false;
	f->args++;
}

static void csi_byte(struct filter *f, uint8_t c)
{
	if (c >= 0x40 && c < 0x7f) {
		bool drop = f->state == CSI_DROP;

		f->state = GROUND;
		if (!drop)
			do_csi(f, (char)c);
	} else if (f->state == CSI_DROP)
		return;
	else if (c >= 0x20 && c < 0x30) {
		f->inter = f->inter == '\0' ? (char)c : TOO_MANY;
		f->state = CSI_INTER;
	} else if (f->state == CSI_INTER)
		f->state = CSI_DROP;
	else if (c >= '0' && c <= '9')
		csi_digit(f, c);
	else if (c == ';' || c == ':')
		csi_separator(f, c);
	else if (c >= 0x3c && f->args == 0 && f->leader == '\0')
		f->leader = (char)c;
	else
		f->state = CSI_DROP;
}

/* Bytes of a string are passed over. ESC that does not begin ST ends it and begins a sequence. */
static void string_byte(struct filter *f, uint8_t c)
{
	if (f->state == STRING_ESC && c == '\\')
		f->state = GROUND;
	else if (f->state == STRING_ESC) {
		enter_escape(f);
		if (c == 0x1b)
			return;
		if (c >= 0x20 && c < 0x7f)
			escape_byte(f, c);
	} else if (c == 0x1b)
		f->state = STRING_ESC;
	else if (c == 0x07 && f->osc)
		f->state = GROUND;
}

static void control_byte(struct filter *f, uint8_t c)
{
	if (c == 0x18 || c == 0x1a) /* CAN, SUB */
		f->state = GROUND;
	else if (f->state == STRING || f->state == STRING_ESC)
		string_byte(f, c);
	else if (c == 0x1b)
		enter_escape(f);
	else
		do_c0(f, c);
}

static void other_byte(struct filter *f, uint8_t c)
{
	switch (f->state) {
	case GROUND:
		if (c >= 0x80)
			utf8_start(f, c);
		break;
	case ESCAPE:
	case CSI:
	case CSI_INTER:
	case CSI_DROP:
		if (c == 0x7f)
			break;
		if (c >= 0x80) {
			/* no byte of a sequence: it ends here, unfinished */
			f->state = GROUND;
			utf8_start(f, c);
		} else if (f->state == ESCAPE)
			escape_byte(f, c);
		else
			csi_byte(f, c);
		break;
	default:
		string_byte(f, c);
		break;
	}
}

void filter_feed(struct filter *f, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len;) {
		uint8_t c = p[i];

		if (f->more > 0 && utf8_more(f, c)) {
			i++;
			continue;
		}
		if (f->state == GROUND && c >= 0x20 && c < 0x7f) {
			i += put_ascii(f, p + i, len - i);
			continue;
		}
		if (c < 0x20)
			control_byte(f, c);
		else
			other_byte(f, c);
		i++;
	}
	flush(f);
}
