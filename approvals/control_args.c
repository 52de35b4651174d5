/*
 * control_args.c - the arguments of a request, checked. Policy role; before any handler sees them.
 *
 * The table of words.h says which arguments a word has; what their values may be is checked here
 * anew, because the one who parsed them is the client.
 */
#include "control_word.h"
#include "crypto_sshsig.h"

#include <stdio.h>
#include <string.h>

#include "escape.h"

#define NUMBER_MAX ((1LL << 53) - 1)
#define COUNT_MAX 1000
#define DURATION_MAX (10LL * 366 * 86400)
#define ITEMS_MAX 64
#define KEY_TEXT_MAX 12000

static bool is_plain_text(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (n == 0 || n > max || strspn(s, " ") == n)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* Its lines are the one text that may hold line ends; what they say is looked at by who checks it. */
static bool is_signature(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if ((s[i] < 0x20 && s[i] != '\n' && s[i] != '\r') || s[i] == 0x7f)
			return false;
	return n > 0 && n <= SSHSIG_TEXT_MAX;
}

static bool is_pattern(const char *s)
{
	char name[HOST_NAME_MAX_LEN + 1];
	size_t n = strlen(s);

	if (n == 0 || n > HOST_NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i <= n; i++)
		name[i] = s[i] == '*' ? 'x' : s[i];
	return name_is_host(name);
}

static bool is_address(const char *s)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:"
				  "-_%";

	return s[0] != '\0' && s[0] != '-' && strlen(s) <= ADDRESS_MAX &&
	    strspn(s, set) == strlen(s);
}

/* NULL, or what would be right. */
static const char *wrong_text(enum arg_type type, const char *v)
{
	switch (type) {
	case ARG_USER: case ARG_ROLE: case ARG_DEVICE: case ARG_KEYNAME:
		return name_is_user(v) ? NULL : "a name: a-z or _, then a-z 0-9 _ . -, at most 32";
	case ARG_LOGIN:
		return name_is_login(v) ?
		    NULL :
		    "a login: a letter or _, then letters, digits, _ . -, at most 32";
	case ARG_HOST: return name_is_host(v) ? NULL : "a host's registered name, never an address";
	case ARG_PATTERN:
		return is_pattern(v) ? NULL :
				       "a host's name, in which * may stand for any characters";
	case ARG_LABEL: return name_is_label(v) ? NULL : "key=value of a-z 0-9 _ . -";
	case ARG_CAP: return cap_by_name(v) != 0 ? NULL : "shell, exec, sftp or scp";
	case ARG_NETWORK:
		return access_network_ok(v) ?
		    NULL :
		    "a network: 10.1.0.0/16, 2001:db8::/48, without bits after the mask";
	case ARG_ADDRESS: return is_address(v) ? NULL : "a DNS name, or an IPv4 or IPv6 address";
	case ARG_HOURS:
		return strlen(v) <= HOURS_MAX && access_hours(v, 0) >= 0 ?
		    NULL :
		    "hours in UTC: \"mon-fri 08:00-18:00\"";
	case ARG_RECORDING: return strlen(v) == 32 && strspn(v, "0123456789abcdef") == 32 ? NULL : "32 hexadecimal digits";
	case ARG_DIGEST: return strlen(v) == 64 && strspn(v, "0123456789abcdef") == 64 ? NULL : "64 hexadecimal digits";
	case ARG_CODE: return strlen(v) == 6 && strspn(v, "0123456789") == 6 ? NULL : "six digits";
	case ARG_SIGNATURE: return is_signature(v) ? NULL : "a signature as 'ssh-keygen -Y sign' writes it";
	case ARG_PUBKEY:
	case ARG_HOSTKEY:
		return is_plain_text(v, KEY_TEXT_MAX) ? NULL : "one line: type, base64, comment";
	default:
		return is_plain_text(v, TEXT_MAX) ?
		    NULL :
		    "1 to 500 bytes of UTF-8 without control characters";
	}
}

static const char *wrong_int(enum arg_type type, json_int_t v)
{
	switch (type) {
	case ARG_PORT: return v >= 1 && v <= 65535 ? NULL : "a port from 1 to 65535";
	case ARG_COUNT: return v >= 0 && v <= COUNT_MAX ? NULL : "a number from 0 to 1000";
	case ARG_DURATION:
		return v >= 1 && v <= DURATION_MAX ? NULL : "seconds, from 1 to ten years";
	case ARG_TIME: return v >= 0 && v <= NUMBER_MAX ? NULL : "unix seconds";
	default: return v >= 1 && v <= NUMBER_MAX ? NULL : "a number from 1 on";
	}
}

/* NULL, or what would be right. */
static const char *wrong(const struct words_arg *arg, const json_t *v)
{
	switch (arg->type) {
	case ARG_FLAG:
		return json_is_boolean(v) ? NULL : "true or false";
	case ARG_PORT: case ARG_COUNT: case ARG_DURATION: case ARG_TIME: case ARG_NUMBER:
		return json_is_integer(v) ? wrong_int(arg->type, json_integer_value(v)) :
					    "a number";
	default:
		return json_is_string(v) ? wrong_text(arg->type, json_string_value(v)) : "a text";
	}
}

static enum words_exit check_one(struct call *k, const struct words_arg *arg, json_t *v)
{
	const char *right = NULL, *text;
	char shown[160];
	json_t *bad = v;

	if ((arg->how & ARG_MANY) != 0 && json_is_array(v)) {
		if (json_array_size(v) == 0 || json_array_size(v) > ITEMS_MAX)
			return refuse(k, WORDS_USAGE, NULL, "%s: 1 to %d of them", arg->name,
			    ITEMS_MAX);
		for (size_t i = 0; right == NULL && i < json_array_size(v); i++)
			right = wrong(arg, bad = json_array_get(v, i));
	} else {
		right = wrong(arg, v);
	}
	if (right == NULL)
		return WORDS_OK;
	text = json_string_value(bad);
	esc_quoted(shown, sizeof(shown), text != NULL ? text : "?",
	    text != NULL ? strlen(text) : 1);
	return refuse(k, WORDS_USAGE, NULL, "%s: %s is not %s", arg->name, shown, right);
}

static const struct words_arg *find_arg(const struct words_word *w, const char *name)
{
	for (size_t i = 0; i < w->nargs; i++)
		if (strcmp(w->args[i].name, name) == 0 && w->args[i].type != ARG_KEYWORD)
			return &w->args[i];
	return NULL;
}

enum words_exit args_check(struct call *k)
{
	const struct words_arg *arg;
	const char *name;
	char shown[160];
	json_t *v;
	enum words_exit r;

	json_object_foreach(k->args, name, v) {
		if ((arg = find_arg(k->word, name)) == NULL) {
			esc_quoted(shown, sizeof(shown), name, strlen(name));
			return refuse(k, WORDS_USAGE, NULL, "%s has no argument %s", k->word->path,
			    shown);
		}
		if ((r = check_one(k, arg, v)) != WORDS_OK)
			return r;
	}
	for (size_t i = 0; i < k->word->nargs; i++)
		if ((k->word->args[i].how & ARG_NEED) != 0 &&
		    json_object_get(k->args, k->word->args[i].name) == NULL)
			return refuse(k, WORDS_USAGE, NULL, "%s needs the argument %s",
			    k->word->path, k->word->args[i].name);
	return WORDS_OK;
}

const char *arg_text(const struct call *k, const char *name)
{
	return json_string_value(json_object_get(k->args, name));
}

int64_t arg_int(const struct call *k, const char *name, int64_t otherwise)
{
	const json_t *v = json_object_get(k->args, name);

	return v != NULL ? (int64_t)json_integer_value(v) : otherwise;
}

bool arg_flag(const struct call *k, const char *name)
{
	return json_is_true(json_object_get(k->args, name));
}

static int add_word(char *out, const char *word)
{
	size_t n = strlen(out), w = strlen(word);

	if (list_has(out, word))
		return 0;
	if (n + (n > 0) + w > LIST_MAX)
		return -1;
	if (n > 0)
		out[n++] = ' ';
	memcpy(out + n, word, w + 1);
	return 0;
}

int arg_list(const struct call *k, const char *name, char *out)
{
	const json_t *v = json_object_get(k->args, name);

	out[0] = '\0';
	if (json_is_string(v))
		return add_word(out, json_string_value(v));
	for (size_t i = 0; i < json_array_size(v); i++)
		if (add_word(out, json_string_value(json_array_get(v, i))) < 0)
			return -1;
	return 0;
}

unsigned arg_caps(const struct call *k)
{
	const json_t *v = json_object_get(k->args, "cap");
	unsigned caps = json_is_string(v) ? cap_by_name(json_string_value(v)) : 0;

	for (size_t i = 0; i < json_array_size(v); i++)
		caps |= cap_by_name(json_string_value(json_array_get(v, i)));
	return caps;
}
