/*
 * kill_warm.c - what libraries load or compute at first use is done once, before the forks: a whole TLS connection with itself; see kill.h.
 */
#include <stdio.h>

#include "crypto.h"
#include "kill.h"
#include "wire_tls.h"

static int step(SSL *from, SSL *to)
{
	uint8_t bytes[16384];
	int n, r = SSL_do_handshake(from);

	while ((n = BIO_read(SSL_get_wbio(from), bytes, sizeof(bytes))) > 0)
		BIO_write(SSL_get_rbio(to), bytes, n);
	return r;
}

static SSL *make_end(SSL_CTX *ctx, bool server)
{
	SSL *ssl = SSL_new(ctx);

	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

int kill_warm(const char *cert, const char *key)
{
	static struct tls_pins pins;
	char pem[8192] = "", why[300];
	uint8_t sig[SIG_LEN], pub[KEY_LEN];
	FILE *f = fopen(cert, "re");
	size_t n = f != NULL ? fread(pem, 1, sizeof(pem) - 1, f) : 0;
	struct sign_key *k = sign_key_generate();
	SSL_CTX *ctx[2];
	SSL *end[2];
	int r = 0;

	if (f != NULL)
		fclose(f);
	if (n == 0 || k == NULL || tls_pins_add(&pins, pem, why, sizeof(why)) != 0)
		return -1;
	sign_key_public(k, pub);
	if (sign_key_sign(k, sig, pub, sizeof(pub)) != 0 || !ed25519_verify(pub, sig, pub, sizeof(pub)))
		return -1;
	for (int i = 0; i < 2; i++) {
		if ((ctx[i] = tls_context(i == 1, cert, key, &pins, why, sizeof(why))) == NULL)
			return -1;
		end[i] = make_end(ctx[i], i == 1);
	}
	for (int i = 0; i < 8 && r != 2; i++)
		r = (step(end[0], end[1]) == 1) + (step(end[1], end[0]) == 1);
	for (int i = 0; i < 2; i++) {
		SSL_free(end[i]);
		SSL_CTX_free(ctx[i]);
	}
	sign_key_destroy(k);
	return r == 2 ? 0 : -1;
}
