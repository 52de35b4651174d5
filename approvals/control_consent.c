/*
 * control_consent.c - approvals that must be signed. Policy role; the part of `approve` under a role with `signed`.
 *
 *   approve 17                     →  the text to sign (consent.h); nothing is decided
 *   approve 17 --signature FILE    →  checked against the approver's registered devices, and kept beside the verdict
 *
 * Whoever owns the database can write a verdict, but no signature: the text and the signature go into the metadata of
 * each recording under the grant (policy_grant.c), and are checked there without this bastion.
 */
#include "control_word.h"

#include <stdio.h>
#include <string.h>

#include "consent.h"
#include "crypto_sshsig.h"

/* The text for this approver. WORDS_OK, or refuse(). */
static enum words_exit make_text(struct call *k, const struct ticket *t, char out[CONSENT_TEXT_MAX])
{
	struct user user, by = { .name = "root" };
	struct access_role role;
	struct host host;

	if (store_user(k->s, t->user_id, &user) != 1 || store_host(k->s, t->host_id, &host) != 1 ||
	    store_role(k->s, t->role_id, &role) != 1 || (t->by_id != 0 && store_user(k->s, t->by_id, &by) != 1))
		return broken(k);
	if (consent_text(&(struct consent){ .bastion = k->c->name, .ticket = t, .user = &user, .approver = &k->me,
		.by = by.name, .host = &host, .role = role.name }, out) != 0)
		return refuse(k, WORDS_REFUSED, "Let it be asked for in parts.", "The request is too long for a text to sign.");
	return WORDS_OK;
}

enum words_exit consent_show(struct call *k, const struct ticket *t)
{
	char text[CONSENT_TEXT_MAX], note[640], pre[128];
	enum words_exit r = make_text(k, t, text);

	if (r != WORDS_OK)
		return r;
	text[strlen(text) - 1] = '\0'; /* a reply's text has no line end */
	snprintf(note, sizeof(note),
	    "Not approved yet: this approval must be signed, with the key of a device of yours. Sign these lines and give back the signature:\n"
	    "%sapprove %lld > %lld.txt && ssh-keygen -Y sign -n " CONSENT_SPACE " -f ~/.ssh/id_ed25519 %lld.txt && %sapprove %lld --signature %s",
	    prefix(k, pre, sizeof(pre)), (long long)t->id, (long long)t->id, (long long)t->id, pre, (long long)t->id,
	    k->actor->local ? "FILE.sig" : "- < FILE.sig");
	if ((r = say(k, "%s", text)) == WORDS_OK)
		say_more(k, "note", json_string(note));
	return r;
}

enum words_exit consent_check(struct call *k, const struct ticket *t, struct signature_row *row)
{
	const char *given = arg_text(k, "signature");
	char err[256];
	struct sshsig sig;
	struct device d;
	struct user u;
	enum words_exit r = make_text(k, t, row->text);
	int n;

	if (r != WORDS_OK)
		return r;
	if (sshsig_parse(&sig, given, strlen(given), err, sizeof(err)) != 0)
		return refuse(k, WORDS_USAGE, NULL, "signature: %s.", err);
	if ((n = store_device_login(k->s, k->me.name, sig.key, sig.key_len, &u, &d)) < 0)
		return broken(k);
	if (n == 0 || u.id != k->me.id)
		return refuse(k, WORDS_REFUSED, "Look at: user key list",
		    "The signature is by a key that is no registered device of yours.");
	if (sshsig_verify(&sig, CONSENT_SPACE, row->text, strlen(row->text), err, sizeof(err)) != 0)
		return refuse(k, WORDS_REFUSED, NULL, "The signature does not hold: %s.", err);
	sshsig_armor(&sig, row->signature);
	row->device_id = d.id;
	return WORDS_OK;
}
