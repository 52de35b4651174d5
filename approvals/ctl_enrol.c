/*
 * ctl_enrol.c - the rest of `user totp enrol` at a terminal: QR code, two codes, confirmation.
 *
 * Runs in bastionctl, after policy answered with the secret and its otpauth URI. The secret is in
 * that reply and on this screen, nowhere else; policy keeps it unused until it is confirmed.
 */
#include <jansson.h>
#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define QUIET 2		/* modules of white around; half of the standard's four will do */
#define TRIES 3
#define CODE_LINE 64

static bool is_dark(const QRcode *qr, int x, int y)
{
	return x >= 0 && x < qr->width && y >= 0 && y < qr->width && (qr->data[y * qr->width + x] & 1) != 0;
}

/*
 * With UTF-8 two rows of modules are a line of text: the upper half block in the colour of the one on that of the other; or, where
 * nothing is to be coloured, blocks for what is light, as most terminals are light on dark and most readers take both. Without UTF-8 a
 * module is two blanks on its colour.
 */
static void put_row(const struct ctl *c, const QRcode *qr, int y)
{
	static const char *const plain[2][2] = { { "\xe2\x96\x88", "\xe2\x96\x80" }, { "\xe2\x96\x84", " " } };

	for (int x = -QUIET; x < qr->width + QUIET; x++) {
		const bool dark[2] = { is_dark(qr, x, y), is_dark(qr, x, y + 1) };

		if (c->utf8 && c->show.colour)
			printf("\033[%d;%dm\xe2\x96\x80", dark[0] ? 30 : 97, dark[1] ? 40 : 107);
		else if (c->utf8)
			fputs(plain[dark[0]][dark[1]], stdout);
		else
			printf("\033[%dm  ", dark[0] ? 40 : 107);
	}
	puts(c->show.colour ? "\033[0m" : "");
}

static void put_qr(const struct ctl *c, const char *uri)
{
	QRcode *qr;
	int columns;

	if (!c->utf8 && !c->show.colour) {
		printf("(A QR code needs colours or UTF-8, and this terminal is said to have neither.)\n");
		return;
	}
	if ((qr = QRcode_encodeString(uri, 0, QR_ECLEVEL_L, QR_MODE_8, 1)) == NULL)
		return; /* the URI was printed, and does the same */
	columns = (qr->width + 2 * QUIET) * (c->utf8 ? 1 : 2);
	if (c->show.columns > 0 && columns > c->show.columns)
		printf("(The QR code needs %d columns: widen the terminal and enrol again.)\n", columns);
	else
		for (int y = -QUIET; y < qr->width + QUIET; y += c->utf8 ? 2 : 1)
			put_row(c, qr, y);
	memset(qr->data, 0, (size_t)qr->width * (size_t)qr->width);
	QRcode_free(qr);
}

/* One line from the terminal without blanks at its ends. False at its end. */
static bool ask(const char *prompt, char line[CODE_LINE])
{
	size_t blank;

	printf("%s", prompt);
	fflush(stdout);
	if (fgets(line, CODE_LINE, stdin) == NULL) {
		printf("\n");
		return false;
	}
	line[strcspn(line, "\r\n")] = '\0';
	blank = strspn(line, " ");
	memmove(line, line + blank, strlen(line + blank) + 1);
	return true;
}

/* One try: WORDS_OK: confirmed. */
static int confirm(struct ctl *c, const char *user, bool *again)
{
	char code1[CODE_LINE], code2[CODE_LINE], err[WORDS_ERR_MAX];
	char *argv[] = { "user", "totp", "confirm", (char *)(uintptr_t)user, code1, code2 };
	struct words_env env = { .who = WHO_ROOT, .ctl = true, .prefix = "bastionctl " };
	struct words_call call;
	struct buf reply;
	int r;

	*again = false;
	if (!ask("Code that the device shows: ", code1) ||
	    !ask("The next one, when it changes: ", code2))
		return ctl_fail("not confirmed: the new secret is not in force. "
		    "Later: bastionctl user totp confirm %s " "CODE CODE", user);
	*again = true;
	if ((r = words_parse(6, argv, &env, &call, err, sizeof(err))) != WORDS_OK) {
		ctl_fail("%s", err);
		return r;
	}
	buf_init(&reply, CTL_REPLY_MAX);
	c->show.word = call.word;
	if ((r = ctl_ask(c, call.json, &reply)) == WORDS_OK)
		r = ctl_show(c, &reply);
	*again = r == WORDS_REFUSED;
	buf_finish(&reply);
	words_call_finish(&call);
	return r;
}

int ctl_enrol(struct ctl *c, const struct words_call *call, const struct buf *reply)
{
	json_t *request = json_loads(call->json, 0, NULL);
	json_t *answer = json_loadb((const char *)reply->data, reply->len, 0, NULL);
	const char *user = json_string_value(json_object_get(json_object_get(request, "args"),
	    "user"));
	const char *uri = json_string_value(json_object_get(answer, "uri"));
	bool again = true;
	int r = WORDS_BROKEN;

	if (user == NULL || uri == NULL) {
		ctl_fail(
		    "the bastion's answer has no otpauth URI: are its programs of one version?");
	} else if (!c->terminal) {
		r = WORDS_OK; /* a script confirms by itself */
	} else {
		put_qr(c, uri);
		printf("Scan it, or type the secret into the authenticator.\n");
		for (int i = 0; i < TRIES && again; i++)
			r = confirm(c, user, &again);
	}
	json_decref(answer);
	json_decref(request);
	return r;
}
