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

/* NULL, or what would be right. */
static const char *wrong_text(enum arg_type type, const char *v)
{
	struct cap cap;

	switch (type) {
	case ARG_USER: case ARG_ROLE: case ARG_DEVICE: case ARG_KEYNAME:
		return name_is_user(v) ? NULL : "a name: a-z or _, then a-z 0-9 _ . -, at most 32";
	case ARG_LOGIN:
		return name_is_login_word(v) ?
		    NULL :
		    "a login: a letter or _, then letters, digits, _ . -, at most 32; or " LOGIN_SELF;
	case ARG_HOST: return name_is_host(v) ? NULL : "a host's registered name, never an address";
	case ARG_PATTERN:
		return name_is_pattern(v) ? NULL :
				       "a host's name, in which * may stand for any characters";
	case ARG_LABEL: return name_is_label(v) ? NULL : "key=value of a-z 0-9 _ . -";
	case ARG_CAP:
		return cap_parse(v, &cap) || strcmp(v, "forward") == 0 || strcmp(v, "command") == 0 ?
		    NULL :
		    CAP_ADVICE;
	case ARG_NETWORK:
		return access_network_ok(v) ?
		    NULL :
		    "a network: 10.1.0.0/16, 2001:db8::/48, without bits after the mask";
	case ARG_ADDRESS: return name_is_address(v) ? NULL : "a DNS name, or an IPv4 or IPv6 address";
	case ARG_HOURS:
		return access_hours_ok(v) && access_zone_known(v) ?
		    NULL :
		    "hours, and perhaps a time zone: \"mon-fri 08:00-18:00 Europe/Berlin\"";
	case ARG_PLACE: return name_is_place(v) ? NULL : "login@host";
	case ARG_RECORDING: return strlen(v) == 32 && strspn(v, "0123456789abcdef") == 32 ? NULL : "32 hexadecimal digits";
	case ARG_ROTATE: return words_rotate(v) != ROTATE_WRONG ? NULL : ROTATE_ADVICE;
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
	case ARG_CHOICE:
		return json_is_string(v) && words_one_of(json_string_value(v), arg->choices) ? NULL : arg->choices;
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
	return refuse(k, WORDS_USAGE, NULL, "%s: %s is not %s%s", arg->name, shown, arg->type == ARG_CHOICE ? "one of: " : "", right);
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

/* One more of a list that `between` separates, in out[max + 1]. 0, or -1: it does not fit. */
static int add_item(char *out, size_t max, char between, const char *item, size_t w)
{
	size_t n = strlen(out);

	if (n + (n > 0) + w > max)
		return -1;
	if (n > 0)
		out[n++] = between;
	memcpy(out + n, item, w);
	out[n + w] = '\0';
	return 0;
}

static int add_word(char *out, const char *word)
{
	return list_has(out, word) ? 0 : add_item(out, LIST_MAX, ' ', word, strlen(word));
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

static int add_right(struct rights *r, const char *text)
{
	struct cap cap;

	if (!cap_parse(text, &cap)) { /* a rule that denies: all of them */
		r->bare = true;
		r->caps |= text[0] == 'f' ? CAP_FORWARD : CAP_COMMAND;
		return 0;
	}
	r->caps |= cap.bits;
	if (cap.bits == CAP_FORWARD)
		return add_word(r->forwards, cap.what);
	if (cap.bits == CAP_COMMAND && !lines_have(r->commands, cap.what, cap.len))
		return add_item(r->commands, COMMANDS_MAX, '\n', cap.what, cap.len);
	return 0;
}

int arg_rights(const struct call *k, struct rights *r)
{
	const json_t *v = json_object_get(k->args, "cap");

	*r = (struct rights){ 0 };
	if (json_is_string(v))
		return add_right(r, json_string_value(v));
	for (size_t i = 0; i < json_array_size(v); i++)
		if (add_right(r, json_string_value(json_array_get(v, i))) < 0)
			return -1;
	return 0;
}
