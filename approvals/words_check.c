/*
 * words_check.c - see words_check.h. Runs in bastionctl and in the session process, on what a user
 * typed; a file is read only through the callback that bastionctl gives.
 */
#include "words_check.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "clock.h"
#include "crypto_sshsig.h"
#include "escape.h"
#include "names.h"

#define KEY_LINE_MAX 4000	/* RSA of 16384 bits takes 2,750 characters */
#define KEY_FILE_MAX 32768
#define FILE_NAME_MAX 4000
#define KEYS_MAX 16		/* keys in one file or argument */
#define NUMBER_MAX ((1ULL << 53) - 1)	/* JSON numbers are exact up to here */
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define BLANK " \t\r"

static bool is_number(const char *s, uint64_t least, uint64_t most, uint64_t *out)
{
	if (s[0] == '\0' || strlen(s) > 16 || strspn(s, "0123456789") != strlen(s))
		return false;
	*out = strtoull(s, NULL, 10);
	return *out >= least && *out <= most;
}

static uint64_t number_max(enum arg_type type)
{
	return type == ARG_PORT ? 65535 : type == ARG_COUNT ? 1000 : NUMBER_MAX;
}

static bool is_text(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > TEXT_MAX || strspn(s, BLANK) == n)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

bool words_one_of(const char *s, const char *list)
{
	size_t n = strlen(s);

	for (const char *p = list; n != 0 && strchr(s, ' ') == NULL && (p = strstr(p, s)) != NULL; p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
			return true;
	return false;
}

static bool is_file(const char *s)
{
	if (s[0] == '\0' || s[0] == '-' || strlen(s) >= FILE_NAME_MAX)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

int words_rotate(const char *v)
{
	const size_t digits = strspn(v, "0123456789");
	int days = 0;

	if (strcmp(v, "never") == 0 || strcmp(v, "default") == 0)
		return v[0] == 'n' ? ROTATE_NEVER : ROTATE_DEFAULT;
	if (digits == 0 || digits > 4 || strcmp(v + digits, "d") != 0)
		return ROTATE_WRONG;
	for (size_t i = 0; i < digits; i++)
		days = days * 10 + (v[i] - '0');
	return days >= 1 && days <= ROTATE_DAYS_MAX ? days : ROTATE_WRONG;
}

/* The text types: what passes goes into the request as it stands. */
static bool is_right(const struct words_arg *arg, const char *v)
{
	struct cap cap;

	switch (arg->type) {
	case ARG_USER: case ARG_ROLE: case ARG_DEVICE: case ARG_KEYNAME:
		return name_is_user(v);
	case ARG_LOGIN: return name_is_login_word(v);
	case ARG_HOST: return name_is_host(v);
	case ARG_PATTERN: return name_is_pattern(v);
	case ARG_LABEL: return name_is_label(v);
	case ARG_CAP:
		return cap_parse(v, &cap) || words_one_of(v, "forward command");
	case ARG_NETWORK: return access_network_ok(v);
	case ARG_HOURS: return access_hours_ok(v);
	case ARG_PLACE: return name_is_place(v);
	case ARG_ADDRESS: return name_is_address(v);
	case ARG_RECORDING: return strlen(v) == 32 && strspn(v, "0123456789abcdef") == 32;
	case ARG_DIGEST: return strlen(v) == 64 && strspn(v, "0123456789abcdef") == 64;
	case ARG_ROTATE: return words_rotate(v) != ROTATE_WRONG;
	case ARG_CODE: return strlen(v) == 6 && strspn(v, "0123456789") == 6;
	case ARG_CHOICE: return words_one_of(v, arg->choices);
	case ARG_FILE: return is_file(v);
	case ARG_TEXT: case ARG_WORD:
		return is_text(v);
	default: return false;
	}
}

/* What would be right, for each type. */
static const char *advice(const struct words_arg *arg)
{
	static const char *const texts[] = {
		[ARG_USER] =
		    "a user's name starts with a-z or _, then a-z 0-9 _ . -, at most 32 in all",
		[ARG_ROLE] =
		    "a role's name starts with a-z or _, then a-z 0-9 _ . -, at most 32 in all",
		[ARG_DEVICE] =
		    "a device's name starts with a-z or _, then a-z 0-9 _ . -, at most 32 in all",
		[ARG_KEYNAME] =
		    "a key's name starts with a-z or _, then a-z 0-9 _ . -, at most 32 in all",
		[ARG_LOGIN] =
		    "a login starts with a letter or _, then letters, digits, _ . -, at most 32; or it is " LOGIN_SELF,
		[ARG_HOST] =
		    "a host is named as registered, never by its address: letters, digits, . - _",
		[ARG_PATTERN] = "a host's name, in which * may stand for any characters: web*",
		[ARG_LABEL] = "a label is key=value in a-z 0-9 _ . -, for example tier=db",
		[ARG_CAP] = ("a capability is one of: " CAP_ADVICE),
		[ARG_DURATION] = "a duration is a number with s, m, h or d, up to ten years: 30m, 2h, 1h30m, 7d",
		[ARG_TIME] = "a time is UTC, as 2027-01-31 or 2027-01-31T18:00Z",
		[ARG_HOURS] = "hours are days, times and a time zone, or UTC: \"mon-fri 08:00-18:00 Europe/Berlin\"",
		[ARG_PLACE] = "a place is an account and a host: dba@web1",
		[ARG_NETWORK] =
		    "a network is an address, or one without host part and its bits: 10.1.0.0/16",
		[ARG_ADDRESS] = "an address is a DNS name, or an IPv4 or IPv6 address",
		[ARG_PORT] = "a port is a number from 1 to 65535",
		[ARG_NUMBER] = "a number from 1 on",
		[ARG_COUNT] = "a number from 0 to 1000",
		[ARG_CODE] = "a code is six digits",
		[ARG_RECORDING] = "a recording is 32 hexadecimal digits",
		[ARG_ROTATE] = ROTATE_ADVICE,
		[ARG_DIGEST] = "a digest is 64 hexadecimal digits",
		[ARG_TEXT] = "a text has 1 to 500 bytes of UTF-8, and no control characters",
		[ARG_FILE] = "a file is named by its path; ./ before a name that begins with -",
		[ARG_WORD] = "a word of this program",
	};

	return texts[arg->type];
}

static void advise(const struct words_arg *arg, char *out, size_t size)
{
	if (arg->type != ARG_CHOICE) {
		snprintf(out, size, "%s", advice(arg));
		return;
	}
	snprintf(out, size, "one of");
	for (const char *p = arg->choices; *p != '\0'; p += strspn(p, " ")) {
		const size_t n = strcspn(p, " "), have = strlen(out);

		snprintf(out + have, size - have, "%s %.*s", p == arg->choices ? "" : ",", (int)n, p);
		p += n;
	}
}

/* Takes over `value`, which may be NULL (no memory, or text that is not UTF-8). */
static int store(json_t *args, const struct words_arg *arg, json_t *value)
{
	json_t *list;

	if ((arg->how & ARG_MANY) == 0)
		return json_object_set_new(args, arg->name, value);
	if ((list = json_object_get(args, arg->name)) == NULL) {
		if (json_object_set_new(args, arg->name, json_array()) != 0) {
			json_decref(value);
			return -1;
		}
		list = json_object_get(args, arg->name);
	}
	return json_array_append_new(list, value);
}

static const char *const key_types[] = {
	"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"ssh-rsa", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
};

static const char *key_type(const char *s, size_t len)
{
	for (size_t i = 0; i < sizeof(key_types) / sizeof(key_types[0]); i++)
		if (strlen(key_types[i]) == len && memcmp(key_types[i], s, len) == 0)
			return key_types[i];
	return NULL;
}

/*
 * RFC 4253 6.6: a blob begins with its type as a string; so its base64 begins with what this type
 * makes of it.
 */
static bool blob_has_type(const char *b64, size_t len, const char *type)
{
	const size_t n = strlen(type);
	const size_t whole = (4 + n) * 4 / 3; /* characters that depend on these bytes alone */
	uint32_t bits = 0;

	if (len < whole + 8)
		return false;
	for (size_t i = 0; i < whole; i++) {
		bits = bits << 6 | (uint32_t)(strchr(BASE64, b64[i]) - BASE64);
		if (i % 4 == 0)
			continue;
		size_t at = i - i / 4 - 1; /* this character ends byte `at` */
		uint8_t have = (uint8_t)(bits >> (6 - 2 * (i % 4)) & 0xff);
		uint8_t want = at < 3 ? 0 : at == 3 ? (uint8_t)n : (uint8_t)type[at - 4];

		if (at < 4 + n && have != want)
			return false;
	}
	return true;
}

/*
 * One line: type, base64, comment; before them stands nothing, or `names` word more (known_hosts).
 * Fills out[KEY_LINE_MAX] without it. 0, or -1 with why. Options as in authorized_keys are not
 * taken: they would not be kept.
 */
static int key_line(const char *line, size_t len, int names, char *out, char *why, size_t size)
{
	const char *p = line, *end = line + len, *type = NULL, *b64;
	size_t b64_len, rest;

	for (int skipped = 0; type == NULL; skipped++) {
		size_t n;

		while (p < end && strchr(BLANK, *p) != NULL)
			p++;
		n = strcspn(p, BLANK "\n");
		if (p >= end || skipped > names) {
			snprintf(why, size,
			    "a public key is one line: its type, its base64 text, a comment");
			return -1;
		}
		type = key_type(p, n);
		p += n;
	}
	p += strspn(p, BLANK);
	b64 = p;
	b64_len = strspn(p, BASE64);
	p += b64_len + strspn(p + b64_len, "=");
	if ((p < end && strchr(BLANK, *p) == NULL) || !blob_has_type(b64, b64_len, type)) {
		snprintf(why, size,
		    "the text after %s is not such a key: copy the whole line of the .pub file",
		    type);
		return -1;
	}
	while (end > p && strchr(BLANK, end[-1]) != NULL)
		end--;
	rest = (size_t)(end - b64);
	if (strlen(type) + 1 + rest >= KEY_LINE_MAX) {
		snprintf(why, size, "the line is longer than %d characters", KEY_LINE_MAX);
		return -1;
	}
	snprintf(out, KEY_LINE_MAX, "%s %.*s", type, (int)rest, b64);
	return 0;
}

/* All keys of a text; blank lines and # comments are passed over. */
static int put_keys(json_t *args, const struct words_arg *arg, const char *text, char *why,
    size_t size)
{
	char line[KEY_LINE_MAX];
	int found = 0;

	if (strstr(text, "PRIVATE KEY-----") != NULL) {
		snprintf(why, size,
		    "this is a private key: keep it to yourself, and give the .pub file beside it");
		return -1;
	}
	for (const char *p = text; *p != '\0';) {
		size_t len = strcspn(p, "\n"), blank = strspn(p, BLANK);

		if (blank < len && p[blank] != '#') {
			if (++found > ((arg->how & ARG_MANY) != 0 ? KEYS_MAX : 1)) {
				snprintf(why, size, "too many lines: at most %d keys at once",
				    (arg->how & ARG_MANY) != 0 ? KEYS_MAX : 1);
				return -1;
			}
			if (key_line(p, len, arg->type == ARG_HOSTKEY, line, why, size) != 0)
				return -1;
			if (store(args, arg, json_string(line)) != 0) {
				snprintf(why, size, "its comment is not UTF-8");
				return -1;
			}
		}
		p += len + (p[len] == '\n');
	}
	if (found == 0)
		snprintf(why, size, "there is no public key in it");
	return found == 0 ? -1 : 0;
}

/*
 * A key's text, or with bastionctl the name of its file: told apart by the type, which no file name
 * begins with.
 */
static int put_pubkey(json_t *args, const struct words_arg *arg, const char *v,
    const struct words_env *env, char *why, size_t size)
{
	char *text;
	int r = -1;

	if (strpbrk(v, BLANK "\n") != NULL || strncmp(v, "-----", 5) == 0)
		return put_keys(args, arg, v, why, size);
	if (env->read_file == NULL && strcmp(v, "-") == 0 && arg->type == ARG_PUBKEY)
		return store(args, arg, json_string(v)); /* a session reads it later */
	if (env->read_file == NULL) {
		snprintf(why, size,
		    "a public key is one line: its type, its base64 text, a comment "
		    "(the name of a file works with bastionctl only)");
		return -1;
	}
	if ((text = malloc(KEY_FILE_MAX)) == NULL || env->read_file(v, text, KEY_FILE_MAX) != 0)
		snprintf(why, size, "cannot read this file: %s", strerror(errno));
	else
		r = put_keys(args, arg, text, why, size);
	free(text);
	return r;
}

/* The text itself, or the name of its file. "-" goes on as it stands to who can read standard input later: a session. */
static int put_signature(json_t *args, const struct words_arg *arg, const char *v, const struct words_env *env,
    char *why, size_t size)
{
	char text[SSHSIG_TEXT_MAX + 1];

	if (strncmp(v, "-----", 5) == 0 || (strcmp(v, "-") == 0 && env->read_file == NULL))
		snprintf(text, sizeof(text), "%s", v);
	else if (env->read_file == NULL) {
		snprintf(why, size, "over ssh a signature comes on standard input: --signature - < FILE.sig");
		return -1;
	} else if (env->read_file(v, text, sizeof(text)) != 0) {
		snprintf(why, size, "cannot read this file: %s", strerror(errno));
		return -1;
	}
	if (store(args, arg, json_string(text)) == 0)
		return 0;
	snprintf(why, size, "this is no signature");
	return -1;
}

int words_put(json_t *args, const struct words_arg *arg, const char *v, const struct words_env *env,
    char *why, size_t size)
{
	uint64_t number;
	uint32_t seconds;
	int64_t time;
	json_t *value = NULL;

	switch (arg->type) {
	case ARG_FLAG:
		value = json_true();
		break;
	case ARG_KEYWORD:
		return 0;
	case ARG_PUBKEY: case ARG_HOSTKEY:
		return put_pubkey(args, arg, v, env, why, size);
	case ARG_SIGNATURE:
		return put_signature(args, arg, v, env, why, size);
	case ARG_DURATION:
		value = duration_parse(v, &seconds) == 0 ? json_integer(seconds) : NULL;
		break;
	case ARG_TIME:
		value = clock_parse(v, &time) == 0 ? json_integer(time) : NULL;
		break;
	case ARG_PORT: case ARG_NUMBER: case ARG_COUNT:
		if (is_number(v, arg->type != ARG_COUNT, number_max(arg->type), &number))
			value = json_integer((json_int_t)number);
		break;
	default:
		value = is_right(arg, v) ? json_string(v) : NULL;
	}
	if (store(args, arg, value) == 0)
		return 0;
	advise(arg, why, size);
	return -1;
}
