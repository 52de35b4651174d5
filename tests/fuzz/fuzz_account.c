/*
 * fuzz_account.c - what a target says about an account: whatever it is, only the answers of bastion-account(8) mean something, the line
 * is safe to show, and the account ends in a state that its own rules reach. The first byte is the state before and the order.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static bool ends_with(const char *out, size_t len, const char *word)
{
	while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == '\r' || out[len - 1] == ' '))
		len--;
	return len >= strlen(word) && memcmp(out + len - strlen(word), word, strlen(word)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct account a = { .expiry = 500 };
	struct account_answer r;
	enum account_act act;
	const char *out = (const char *)data + 1;
	bool moved;

	if (size == 0)
		return 0;
	a.state = (enum account_state)(data[0] % ACCOUNT_STATES);
	act = data[0] & 64 ? ACCOUNT_CREATE : ACCOUNT_REMOVE;
	if (act == ACCOUNT_REMOVE && a.state < ACCOUNT_REMOVING)
		return 0; /* that is not asked then */
	account_parse(&r, out, size - 1);
	must(r.reply != REPLY_OK || ends_with(out, size - 1, "ok"));
	must(r.reply != REPLY_GONE || ends_with(out, size - 1, "gone"));
	must(r.reply == REPLY_FOREIGN || (r.reply == REPLY_NO) == (r.line[0] != '\0') || r.reply == REPLY_NO);
	must(strlen(r.line) <= ACCOUNT_LINE_MAX);
	for (const char *p = r.line; *p != '\0'; p++)
		must((unsigned char)*p >= 0x20 && *p != 0x7f);
	const enum account_state was = a.state;

	moved = account_take(&a, act, 900, &r, 100);
	must(moved == (a.state != was));
	must(a.state == was || (was <= ACCOUNT_THERE && a.state == ACCOUNT_REMOVING && r.reply == REPLY_USED) ||
	    (was == ACCOUNT_CREATING && a.state == ACCOUNT_THERE && r.reply == REPLY_OK) ||
	    (was == ACCOUNT_REMOVING && a.state == ACCOUNT_GONE && r.reply == REPLY_GONE && act == ACCOUNT_REMOVE));
	must(a.expiry == 500 || (r.reply == REPLY_OK && act == ACCOUNT_CREATE && was <= ACCOUNT_THERE));
	return 0;
}
