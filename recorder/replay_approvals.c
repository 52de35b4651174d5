/*
 * replay_approvals.c - `bastion-replay approvals`: who consented to what a recording shows, and whether a signature proves it.
 *
 * A recording's metadata has the approvals of its grant. One that was signed has the text that the approver read and the signature by
 * their own ssh key (bastion-record(5), APPROVALS). Two things are asked here: does the signature fit the text, and does the text speak
 * of this recording? Whose key it is, the auditor's own list says (--signers, in the form of ssh-keygen's allowed signers), never the
 * bastion. Everything here is foreign text.
 */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "crypto.h"
#include "crypto_sshsig.h"
#include "escape.h"
#include "hex.h"
#include "names.h"
#include "replay_approvals.h"
#include "replay_term.h"
#include "write_all.h"

#define SPACE "bastiond-approval"
#define SIGNERS_MAX (1U << 20)	/* bytes of that file */
#define VALUE_MAX 2048

/* The value of a line "name: value" of the text; false: there is none, or it is long. */
static bool line_of(const char *text, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);

	for (const char *p = text; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t len = strcspn(p, "\n");

		if (len < n + 2 || memcmp(p, name, n) != 0 || memcmp(p + n, ": ", 2) != 0)
			continue;
		if (len - n - 2 >= size)
			return false;
		memcpy(out, p + n + 2, len - n - 2);
		out[len - n - 2] = '\0';
		return true;
	}
	return false;
}

/* Does the line say what the metadata say? The text has values escaped, as `approve` showed them. */
static bool says(const char *text, const char *name, const json_t *meta, const char *key)
{
	const char *raw = json_string_value(json_object_get(meta, key));
	char want[VALUE_MAX], have[VALUE_MAX];

	if (raw == NULL)
		raw = "";
	/* as consent.c cuts it: bastion-record(5), APPROVALS */
	esc_text(want, 1000, raw, strlen(raw));
	if (!line_of(text, name, have, sizeof(have)))
		return want[0] == '\0';
	return strcmp(want, have) == 0;
}

static bool number_of(const char *text, const char *name, int64_t *out)
{
	char value[32], *end;

	if (!line_of(text, name, value, sizeof(value)) || value[0] < '0' || value[0] > '9')
		return false;
	errno = 0;
	*out = strtoll(value, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool time_of(const char *text, const char *name, int64_t *out)
{
	char value[64];

	return line_of(text, name, value, sizeof(value)) && clock_parse(value, out) == 0;
}

/* Does one of the lines of this name have this value? NULL: any. */
static bool has_line(const char *text, const char *name, const char *value)
{
	char want[4 * VALUE_MAX + 8];
	const size_t n = strlen(name);
	size_t len;

	if (value != NULL && strlen(value) > VALUE_MAX)
		return false;
	esc_text(want, sizeof(want), value != NULL ? value : "", value != NULL ? strlen(value) : 0);
	for (const char *p = text; *p != '\0'; p += len, p += *p == '\n') {
		len = strcspn(p, "\n");
		if (len >= n + 2 && memcmp(p, name, n) == 0 && memcmp(p + n, ": ", 2) == 0 &&
		    (value == NULL || (len - n - 2 == strlen(want) && memcmp(p + n + 2, want, len - n - 2) == 0)))
			return true;
	}
	return false;
}

static bool has_word(const char *list, const char *word, size_t len)
{
	for (size_t n; *(list += strspn(list, " ")) != '\0'; list += n)
		if ((n = strcspn(list, " ")) == len && memcmp(list, word, len) == 0)
			return true;
	return false;
}

/* "shell", "forward db1:5432": signed as a capability, and its destination or command as well. */
static bool covers(const char *text, const char *granted, const char *right)
{
	static const char *const listed[] = { "forward", "command" };
	const size_t n = strcspn(right, " ");

	if (!has_word(granted, right, n))
		return false;
	for (size_t i = 0; i < 2; i++)
		if (strlen(listed[i]) == n && memcmp(listed[i], right, n) == 0)
			return right[n] == ' ' ? has_line(text, listed[i], right + n + 1) : !has_line(text, listed[i], NULL);
	return right[n] == '\0';
}

/* All that the recorded access might do, somebody signed for. */
static bool covers_all(const char *text, const json_t *rights)
{
	char granted[VALUE_MAX];

	if (!json_is_array(rights) || !line_of(text, "capabilities", granted, sizeof(granted)))
		return false;
	for (size_t i = 0; i < json_array_size(rights); i++) {
		const char *right = json_string_value(json_array_get(rights, i));

		if (right == NULL || !covers(text, granted, right))
			return false;
	}
	return true;
}

/* The account as the request names it: an account of the user's own has the user's name as its login. */
static bool is_login(const char *text, const json_t *meta)
{
	char have[VALUE_MAX];

	return says(text, "login", meta, "login") ||
	    (line_of(text, "login", have, sizeof(have)) && strcmp(have, LOGIN_SELF) == 0 &&
	    json_is_string(json_object_get(meta, "login")) && json_equal(json_object_get(meta, "login"), json_object_get(meta, "user")));
}

/* As access_may_use() has it: by the capability, or because the command or destination is named. */
bool approval_covers(const char *text, const char *capability, const char *command)
{
	const bool forward = strcmp(capability, "forward") == 0;
	char granted[VALUE_MAX], named[VALUE_MAX];

	if (!line_of(text, "capabilities", granted, sizeof(granted)))
		return false;
	if ((forward || command[0] != '\0') &&
	    (size_t)snprintf(named, sizeof(named), "%s %s", forward ? "forward" : "command", command) < sizeof(named) &&
	    covers(text, granted, named))
		return true;
	if (strcmp(capability, "sftp") == 0)
		return has_word(granted, "sftp-read", 9) || has_word(granted, "sftp-write", 10);
	if (strcmp(capability, "scp") == 0 && ((command_scp_direction(command) == 't' && has_word(granted, "sftp-write", 10)) ||
	    (command_scp_direction(command) == 'f' && has_word(granted, "sftp-read", 9))))
		return true;
	return (strcmp(capability, "shell") == 0 || strcmp(capability, "exec") == 0 || strcmp(capability, "scp") == 0) &&
	    has_word(granted, capability, strlen(capability));
}

/* NULL, or what of the text does not belong to this recording. */
static const char *foreign(const char *text, const json_t *meta, const json_t *approval)
{
	static const struct { const char *line, *key; } same[] = {
		{ "bastion", "bastion" }, { "user", "user" }, { "person", "person" },
		{ "host", "host" }, { "address", "address" }, { "reason", "reason" }, { "ticket", "ticket" },
	};
	int64_t request, asked, before, later, seconds, started = json_integer_value(json_object_get(meta, "started"));
	int64_t until = json_integer_value(json_object_get(meta, "until"));

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (!says(text, same[i].line, meta, same[i].key))
			return same[i].line;
	if (!is_login(text, meta))
		return "login";
	if (!says(text, "approver", approval, "by") || !says(text, "approver-person", approval, "person"))
		return "approver";
	if (!number_of(text, "request", &request) || request != json_integer_value(json_object_get(meta, "grant")))
		return "request";
	if (!covers_all(text, json_object_get(meta, "caps")))
		return "capabilities";
	if (time_of(text, "decide-before", &before) && time_of(text, "from", &later) && later > before)
		before = later;
	else if (!time_of(text, "decide-before", &before))
		return "time";
	if (!time_of(text, "asked", &asked) || !number_of(text, "seconds", &seconds) ||
	    seconds <= 0 || seconds > INT32_MAX || started < asked || started > before + seconds || until <= 0 ||
	    until > before + seconds)
		return "time";
	return NULL;
}

void approval_fingerprint(const struct sshsig *sig, char out[APPROVAL_FPR_MAX])
{
	uint8_t digest[HASH_LEN] = { 0 };

	sha256_spans(digest, SPANS(SPAN(sig->key, sig->key_len)));
	memcpy(out, "SHA256:", 8);
	base64_encode(out + 7, digest, sizeof(digest));
}

enum approval_state approval_check(const json_t *meta, const json_t *approval, struct sshsig *sig, char *why, size_t size)
{
	const char *text = json_string_value(json_object_get(approval, "text"));
	const char *signature = json_string_value(json_object_get(approval, "signature")), *wrong;

	if (signature == NULL || text == NULL)
		return APPROVAL_UNSIGNED;
	if (sshsig_parse(sig, signature, strlen(signature), why, size) != 0 ||
	    sshsig_verify(sig, SPACE, text, strlen(text), why, size) != 0)
		return APPROVAL_BAD;
	if ((wrong = foreign(text, meta, approval)) == NULL)
		return APPROVAL_HOLDS;
	snprintf(why, size, "what was signed is not what was recorded: look at its line '%s'", wrong);
	return APPROVAL_BAD;
}

/* --- the auditor's list of keys --- */

/* Is `name` one of "bob,carol"? */
static bool principal(const char *list, size_t len, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < len;) {
		size_t one = strcspn(list + i, ",");

		if (i + one > len)
			one = len - i;
		if (one == n && memcmp(list + i, name, n) == 0)
			return true;
		i += one + 1;
	}
	return false;
}

/* "bob,carol ssh-ed25519 AAAA… comment"; lines with options are no plain yes, and are passed over. */
static bool line_lists(const char *line, size_t len, const char *name, const struct sshsig *sig)
{
	size_t at = strcspn(line, " \t\n"), type, key;
	char blob[BASE64_SIZE(SSHSIG_RAW_MAX)];

	if (line[0] == '#' || at >= len || !principal(line, at, name))
		return false;
	line += at + strspn(line + at, " \t");
	type = strcspn(line, " \t\n");
	if (type != strlen(sig->type) || memcmp(line, sig->type, type) != 0)
		return false;
	line += type + strspn(line + type, " \t");
	key = strcspn(line, " \t\r\n");
	while (key > 0 && line[key - 1] == '=')
		key--;
	base64_encode(blob, sig->key, sig->key_len);
	return key == strlen(blob) && memcmp(line, blob, key) == 0;
}

static bool listed(const char *signers, const char *name, const struct sshsig *sig)
{
	for (const char *p = signers; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n')
		if (line_lists(p, strcspn(p, "\n"), name, sig))
			return true;
	return false;
}

/* The whole file, terminated; NULL: said on standard error. */
static char *read_signers(const char *path)
{
	char *text = malloc(SIGNERS_MAX + 1);
	FILE *f = text != NULL ? fopen(path, "re") : NULL;
	size_t n = f != NULL ? fread(text, 1, SIGNERS_MAX, f) : 0;

	if (f == NULL || ferror(f) || n == SIGNERS_MAX) {
		fprintf(stderr, "bastion-replay: %s: %s\n", path, f != NULL && n == SIGNERS_MAX ? "too long" : strerror(errno));
		free(text);
		text = NULL;
	} else {
		text[n] = '\0';
	}
	if (f != NULL)
		fclose(f);
	return text;
}

/* --- showing --- */

static int put_file(const char *dir, size_t number, const char *tail, const char *text)
{
	char path[REPLAY_PATH_MAX], safe[2 * REPLAY_PATH_MAX];
	int fd = -1, e = ENAMETOOLONG;

	if ((size_t)snprintf(path, sizeof(path), "%s/approval-%zu.txt%s", dir, number, tail) < sizeof(path)) {
		fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		e = fd < 0 || write_all(fd, text, strlen(text)) != 0 ? errno : 0;
	}
	if (fd >= 0 && close(fd) != 0 && e == 0)
		e = errno;
	if (e == 0)
		return 0;
	esc_quoted(safe, sizeof(safe), path, strlen(path));
	fprintf(stderr, "bastion-replay: %s: %s\n", safe, strerror(e));
	return -1;
}

/* One word of a shell's command line: in single quotes, in which only they stand for something. */
static void quote(char *out, size_t size, const char *in)
{
	size_t n = 0;

	out[n++] = '\'';
	for (; *in != '\0' && n + 6 < size; in++) {
		if (*in == '\'') {
			memcpy(out + n, "'\\''", 4);
			n += 4;
		} else {
			out[n++] = *in;
		}
	}
	out[n++] = '\'';
	out[n] = '\0';
}

struct looked {
	struct sshsig sig;
	enum approval_state state;
	bool known;		/* the auditor's list has the key for this approver */
	char why[256], fpr[APPROVAL_FPR_MAX];
};

static void look(struct looked *l, const json_t *meta, const json_t *approval, const char *signers)
{
	const char *by = json_string_value(json_object_get(approval, "by"));

	memset(l, 0, sizeof(*l));
	l->state = approval_check(meta, approval, &l->sig, l->why, sizeof(l->why));
	if (l->state != APPROVAL_UNSIGNED && l->sig.key != NULL)
		approval_fingerprint(&l->sig, l->fpr);
	l->known = signers != NULL && l->state == APPROVAL_HOLDS && by != NULL && listed(signers, by, &l->sig);
	if (l->state == APPROVAL_HOLDS && signers != NULL && !l->known) {
		l->state = APPROVAL_BAD;
		snprintf(l->why, sizeof(l->why), "the key is not listed for this approver");
	}
}

static const char *const states[] = { "unsigned", "holds", "bad" };

static void print_one(size_t number, const json_t *approval, const struct looked *l, const char *dir)
{
	char by[256], person[256], when[32], type[160], path[2 * REPLAY_PATH_MAX], word[4 * REPLAY_PATH_MAX];
	const char *name = json_string_value(json_object_get(approval, "by"));

	printf("approval %zu  %s (%s) at %s\n", number, meta_text(approval, "by", by, sizeof(by)),
	    meta_text(approval, "person", person, sizeof(person)),
	    clock_format(when, sizeof(when), json_integer_value(json_object_get(approval, "at"))));
	if (l->state == APPROVAL_UNSIGNED) {
		printf("  not signed: the bastion says so, and nothing else does\n");
		return;
	}
	esc_text(type, sizeof(type), l->sig.type, strlen(l->sig.type));
	printf("  signed     %s %s\n  signature  %s%s%s\n", type, l->fpr,
	    l->state == APPROVAL_HOLDS ? "holds, and its text speaks of this recording" : "DOES NOT HOLD: ", l->why,
	    l->known ? "; the key is listed for this approver" : "");
	/* made to be pasted into a shell: no foreign word in it that is none */
	if (dir != NULL && name != NULL && name_is_user(name)) {
		esc_text(path, sizeof(path), dir, strlen(dir));
		quote(word, sizeof(word), path);
		printf("  check      ssh-keygen -Y verify -f ALLOWED_SIGNERS -I %s -n " SPACE " -s %s/approval-%zu.txt.sig < %s/approval-%zu.txt\n",
		    name, word, number, word, number);
	}
}

/* Its text is among those that hold, if it does. */
static int show_one(struct approved *c, const json_t *meta, const json_t *approval)
{
	const char *text = json_string_value(json_object_get(approval, "text"));
	const char *signature = json_string_value(json_object_get(approval, "signature"));
	struct looked *l = malloc(sizeof(*l));
	struct args *a = c->a;
	const size_t number = ++c->shown;
	int r = l != NULL ? 0 : -1;

	if (r == 0) {
		look(l, meta, approval, c->signers);
		a->bad = a->bad || l->state == APPROVAL_BAD || (c->signers != NULL && l->state != APPROVAL_HOLDS);
		if (l->state == APPROVAL_HOLDS)
			r = json_array_append(c->texts, json_object_get(approval, "text"));
	}
	if (r == 0 && a->output != NULL && text != NULL && signature != NULL)
		r = put_file(a->output, number, "", text) != 0 || put_file(a->output, number, ".sig", signature) != 0 ? -1 : 0;
	if (r == 0 && a->json)
		r = json_line(json_pack("{s:I, s:I, s:O, s:s, s:s, s:s, s:b}", "number", (json_int_t)number, "grant",
		    json_integer_value(json_object_get(meta, "grant")), "approval", approval, "state", states[l->state], "why", l->why,
		    "key", l->fpr, "listed", l->known));
	else if (r == 0)
		print_one(number, approval, l, a->output);
	free(l);
	return r;
}

int approvals_of(struct approved *c, const json_t *meta)
{
	const json_t *list = json_object_get(meta, "approvals");
	const size_t before = json_array_size(c->texts);
	int r = 0;

	/* who wants signed ones is not content with none */
	if (json_array_size(list) == 0)
		c->a->bad = c->a->bad || c->signers != NULL;
	if (json_array_size(list) == 0 && !c->a->json)
		printf("the grant needed no approval%s\n", c->signers != NULL ? ": nobody signed for it" : "");
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
		r = show_one(c, meta, json_array_get(list, i));
	/* with a list of signers it was found at fault, and its channels are named one by one beside what was signed */
	c->unsigned_grant = c->unsigned_grant || (json_array_size(c->texts) == before && c->signers == NULL);
	return r;
}

static int show_scanned(struct args *a, const struct recording *rec, const struct scan *s, const struct age_identities *ids)
{
	struct approved c = { .a = a };
	char *signers = NULL;
	int r = -1;

	if (s->meta == NULL || !json_is_array(json_object_get(s->meta, "approvals"))) {
		fprintf(stderr, "bastion-replay: %s: its metadata name no approvals\n", rec->id);
		return -1;
	}
	if (a->signers != NULL && (signers = read_signers(a->signers)) == NULL)
		return -1;
	c.signers = signers;
	if (!a->json)
		pager_start();
	if ((c.texts = json_array()) != NULL && (r = approvals_of(&c, s->meta)) == 0)
		r = approvals_opened(&c, rec, s->meta, ids);
	json_decref(c.texts);
	free(signers);
	return r;
}

int cmd_approvals(struct args *a)
{
	int status = scan_visited(a, show_scanned);

	return status == EXIT_OK && a->bad ? EXIT_VERDICT : status;
}

void approvals_lines(const json_t *meta)
{
	const json_t *list = json_object_get(meta, "approvals");
	struct looked *l = malloc(sizeof(*l));
	char by[256];

	for (size_t i = 0; l != NULL && i < json_array_size(list); i++) {
		const json_t *approval = json_array_get(list, i);

		look(l, meta, approval, NULL);
		printf("approved by %s%s%s%s\n", meta_text(approval, "by", by, sizeof(by)),
		    l->state == APPROVAL_UNSIGNED ? "" : l->state == APPROVAL_HOLDS ? ", signed with " : ", THE SIGNATURE DOES NOT HOLD: ",
		    l->state == APPROVAL_HOLDS ? l->fpr : "", l->state == APPROVAL_BAD ? l->why : "");
	}
	free(l);
}
