/*
 * tlog_note.c - see tlog_note.h. Pure.
 */
#include "tlog_note.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"

#define DASH "\xe2\x80\x94 "	/* U+2014, space */
#define KEY_ID_LEN 4

/* Base64 with its padding, as the notes have it; out needs 4 * ((len + 2) / 3) + 1 bytes. */
static char *base64_padded(char *out, const void *data, size_t len)
{
	size_t n = strlen(base64_encode(out, data, len));

	while (n % 4 != 0)
		out[n++] = '=';
	out[n] = '\0';
	return out;
}

bool tlog_name_ok(const char *name)
{
	size_t n = 0;

	for (; name[n] != '\0'; n++)
		if (name[n] <= ' ' || name[n] == '+' || name[n] == 0x7f || (name[n] & 0x80) != 0)
			return false;
	return n > 0 && n <= TLOG_NAME_MAX;
}

static int key_hash(uint8_t id[KEY_ID_LEN], const char *name, enum tlog_key_type type, const uint8_t key[KEY_LEN])
{
	const uint8_t byte = (uint8_t)type;
	uint8_t hash[HASH_LEN];

	if (sha256_spans(hash, SPANS(SPAN(name, strlen(name)), SPAN("\n", 1), SPAN(&byte, 1), SPAN(key, KEY_LEN))) != 0)
		return -1;
	memcpy(id, hash, KEY_ID_LEN);
	return 0;
}

char *tlog_vkey_format(char *out, const struct tlog_vkey *k)
{
	uint8_t id[KEY_ID_LEN] = { 0 }, typed[1 + KEY_LEN];
	char hex[2 * KEY_ID_LEN + 1], text[48];

	typed[0] = (uint8_t)k->type;
	memcpy(typed + 1, k->key, KEY_LEN);
	key_hash(id, k->name, k->type, k->key);
	snprintf(out, TLOG_VKEY_MAX + 1, "%s+%s+%s", k->name, hex_encode(hex, id, sizeof(id)), base64_padded(text, typed, sizeof(typed)));
	return out;
}

int tlog_vkey_parse(struct tlog_vkey *k, const char *text)
{
	uint8_t id[KEY_ID_LEN], want[KEY_ID_LEN], typed[1 + KEY_LEN];
	const char *plus = strchr(text, '+');
	char hex[2 * KEY_ID_LEN + 1] = "";

	if (plus == NULL || (size_t)(plus - text) > TLOG_NAME_MAX || strlen(plus) < 2 + 2 * KEY_ID_LEN || plus[1 + 2 * KEY_ID_LEN] != '+')
		return -1;
	*k = (struct tlog_vkey){ 0 };
	memcpy(k->name, text, (size_t)(plus - text));
	memcpy(hex, plus + 1, 2 * KEY_ID_LEN);
	plus += 2 + 2 * KEY_ID_LEN;
	if (!tlog_name_ok(k->name) || hex_decode(id, sizeof(id), hex) != 0 ||
	    base64_decode(typed, sizeof(typed), plus, strlen(plus)) != sizeof(typed))
		return -1;
	k->type = (enum tlog_key_type)typed[0];
	memcpy(k->key, typed + 1, KEY_LEN);
	return (k->type == TLOG_KEY_LOG || k->type == TLOG_KEY_WITNESS) && key_hash(want, k->name, k->type, k->key) == 0 &&
	    memcmp(id, want, sizeof(id)) == 0 ? 0 : -1;
}

int tlog_checkpoint_make(struct buf *out, const char *origin, uint64_t size, const uint8_t root[HASH_LEN], const struct sign_key *key)
{
	uint8_t pub[KEY_LEN], sig[KEY_ID_LEN + SIG_LEN];
	char text[TLOG_NAME_MAX + 96], b64[96];
	int n = snprintf(text, sizeof(text), "%s\n%" PRIu64 "\n%s\n", origin, size, base64_padded(b64, root, HASH_LEN));

	sign_key_public(key, pub);
	if (n < 0 || (size_t)n >= sizeof(text) || key_hash(sig, origin, TLOG_KEY_LOG, pub) != 0 ||
	    sign_key_sign(key, sig + KEY_ID_LEN, text, (size_t)n) != 0)
		return -1;
	buf_put(out, text, (size_t)n);
	buf_put(out, "\n" DASH, sizeof("\n" DASH) - 1);
	buf_put(out, origin, strlen(origin));
	buf_put_u8(out, ' ');
	base64_padded(b64, sig, sizeof(sig));
	buf_put(out, b64, strlen(b64));
	return buf_put_u8(out, '\n');
}

/* ---- reading ---- */

/* The next line of *p, without its end; NULL if none is whole. */
static const char *next_line(const char **p, const char *end, size_t *len)
{
	const char *line = *p, *nl = memchr(line, '\n', (size_t)(end - line));

	if (nl == NULL)
		return NULL;
	*len = (size_t)(nl - line);
	*p = nl + 1;
	return line;
}

/* A decimal number below 2^63, without leading zeros. */
static int parse_size(uint64_t *out, const char *s, size_t len)
{
	uint64_t v = 0;

	if (len == 0 || len > 19 || (s[0] == '0' && len != 1))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = 10 * v + (uint64_t)(s[i] - '0');
	}
	*out = v;
	return v >> 63 == 0 ? 0 : -1;
}

static int parse_sig(struct tlog_checkpoint *c, const char *line, size_t len)
{
	const char *space;

	if (c->nsigs == TLOG_SIGS_MAX || len < sizeof(DASH) || memcmp(line, DASH, sizeof(DASH) - 1) != 0)
		return -1;
	line += sizeof(DASH) - 1;
	len -= sizeof(DASH) - 1;
	if ((space = memchr(line, ' ', len)) == NULL || space == line)
		return -1;
	/* what it is and how long, who knows the key can say */
	c->sigs[c->nsigs++] = (struct tlog_sig){ line, (size_t)(space - line), space + 1, len - (size_t)(space + 1 - line) };
	return 0;
}

/* The signatures begin after the last empty line. */
static const char *find_text_end(const char *note, size_t len)
{
	for (size_t i = len; i >= 2; i--)
		if (note[i - 1] == '\n' && note[i - 2] == '\n')
			return note + i - 1;
	return NULL;
}

int tlog_checkpoint_parse(struct tlog_checkpoint *c, const void *note, size_t len)
{
	const char *p = note, *end = p + len, *text_end, *line;
	size_t n;

	*c = (struct tlog_checkpoint){ .text = note };
	if (len > TLOG_NOTE_MAX || (text_end = find_text_end(note, len)) == NULL)
		return -1;
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)p[i] < ' ' && p[i] != '\n')
			return -1;
	c->text_len = (size_t)(text_end - p);
	if ((line = next_line(&p, text_end, &n)) == NULL || n == 0 || n > TLOG_NAME_MAX)
		return -1;
	memcpy(c->origin, line, n);
	if ((line = next_line(&p, text_end, &n)) == NULL || parse_size(&c->size, line, n) != 0 ||
	    (line = next_line(&p, text_end, &n)) == NULL || n != 44 || base64_decode(c->root, HASH_LEN, line, n) != HASH_LEN)
		return -1;
	p = text_end + 1;
	if (p == end)
		return -1;
	while (p < end)
		if ((line = next_line(&p, end, &n)) == NULL || parse_sig(c, line, n) != 0)
			return -1;
	return 0;
}

static bool names(const struct tlog_sig *s, const char *name, enum tlog_key_type type, const uint8_t key[KEY_LEN])
{
	uint8_t id[KEY_ID_LEN], start[6];

	return s->name_len == strlen(name) && memcmp(s->name, name, s->name_len) == 0 && s->text_len >= 8 &&
	    base64_decode(start, sizeof(start), s->text, 8) == sizeof(start) && key_hash(id, name, type, key) == 0 && memcmp(start, id, sizeof(id)) == 0;
}

bool tlog_checkpoint_signed(const struct tlog_checkpoint *c, const uint8_t key[KEY_LEN])
{
	uint8_t raw[KEY_ID_LEN + SIG_LEN];
	bool found = false;

	for (unsigned i = 0; i < c->nsigs; i++) {
		const struct tlog_sig *s = &c->sigs[i];

		if (!names(s, c->origin, TLOG_KEY_LOG, key))
			continue;
		/* signed-note has such a note refused whole: what others do not read is nothing that they could compare */
		if (base64_decode(raw, sizeof(raw), s->text, s->text_len) != sizeof(raw) || !ed25519_verify(key, raw + KEY_ID_LEN, c->text, c->text_len))
			return false;
		found = true;
	}
	return found;
}

static bool cosignature_holds(const struct tlog_checkpoint *c, const struct tlog_sig *s, const uint8_t key[KEY_LEN], uint64_t *when)
{
	uint8_t raw[KEY_ID_LEN + 8 + SIG_LEN];
	char head[64];
	struct buf b;
	bool holds;

	if (base64_decode(raw, sizeof(raw), s->text, s->text_len) != sizeof(raw))
		return false;
	*when = 0;
	for (int k = 0; k < 8; k++)
		*when = *when << 8 | raw[KEY_ID_LEN + k];
	buf_init(&b, sizeof(head) + c->text_len);
	buf_put(&b, head, (size_t)snprintf(head, sizeof(head), "cosignature/v1\ntime %" PRIu64 "\n", *when));
	holds = buf_put(&b, c->text, c->text_len) == 0 && *when >> 63 == 0 && ed25519_verify(key, raw + KEY_ID_LEN + 8, b.data, b.len);
	buf_finish(&b);
	return holds;
}

int tlog_checkpoint_cosigned(const struct tlog_checkpoint *c, const struct tlog_vkey *witness, uint64_t *when)
{
	for (unsigned i = 0; i < c->nsigs; i++)
		if (names(&c->sigs[i], witness->name, TLOG_KEY_WITNESS, witness->key))
			return cosignature_holds(c, &c->sigs[i], witness->key, when) ? 1 : -1;
	return 0;
}
