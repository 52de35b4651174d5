/*
 * fuzz_sshsig.c - signatures of approvals, as anybody may send them. What parses stays inside its bounds and is the same after armour;
 * one signs the text that it was made for alone.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto_sshsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sshsig s, again;
	char text[SSHSIG_TEXT_MAX], err[256];

	if (sshsig_parse(&s, (const char *)data, size, err, sizeof(err)) != 0)
		return 0;
	if (s.key < s.raw || s.key + s.key_len > s.raw + s.len || s.sig < s.raw || s.sig + s.sig_len > s.raw + s.len)
		abort();
	sshsig_armor(&s, text);
	if (sshsig_parse(&again, text, strlen(text), err, sizeof(err)) != 0 || again.len != s.len ||
	    memcmp(again.raw, s.raw, s.len) != 0)
		abort();
	/* the corpus has true signatures of this line */
	sshsig_verify(&s, s.space, "consent\n", 8, err, sizeof(err));
	if (sshsig_verify(&s, s.space, "Consent\n", 8, err, sizeof(err)) == 0 ||
	    sshsig_verify(&s, "another", "consent\n", 8, err, sizeof(err)) == 0)
		abort();
	return 0;
}
