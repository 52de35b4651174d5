/*
 * crypto_recid.c - see crypto_recid.h. Runs in policy and in the recorder.
 */
#include "crypto_recid.h"

#include <stddef.h>

#include <openssl/evp.h>

#include "buf.h"

static int block(uint8_t out[RECID_LEN], const uint8_t in[RECID_LEN], const uint8_t key[RECID_KEY_LEN], int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, r = -1;

	if (ctx != NULL && EVP_CipherInit_ex2(ctx, EVP_aes_128_ecb(), key, NULL, encrypt, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && EVP_CipherUpdate(ctx, out, &n, in, RECID_LEN) == 1 && n == RECID_LEN)
		r = 0;
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

int recid_make(uint8_t id[RECID_LEN], const uint8_t key[RECID_KEY_LEN], unsigned place, uint64_t turn)
{
	uint8_t plain[RECID_LEN];
	struct buf b = { .data = plain, .cap = sizeof(plain), .max = sizeof(plain) };

	buf_put_u64(&b, 0);
	buf_put_u64(&b, turn * RECID_PLACES + place);
	return block(id, plain, key, 1);
}

uint64_t recid_turn(const uint8_t id[RECID_LEN], const uint8_t key[RECID_KEY_LEN], unsigned *place)
{
	uint8_t plain[RECID_LEN];
	struct buf b;
	uint64_t number;

	if (block(plain, id, key, 0) != 0)
		return 0;
	buf_view(&b, plain, sizeof(plain));
	if (buf_get_u64(&b) != 0)
		return 0;
	number = buf_get_u64(&b);
	*place = (unsigned)(number % RECID_PLACES);
	return number / RECID_PLACES;
}
