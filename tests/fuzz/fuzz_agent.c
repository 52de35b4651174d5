/*
 * fuzz_agent.c - what a hostile session sends to a lent key: the agent's requests, and the stream's
 * bytes as a certificate request. Whatever comes, an answer is well framed and no more than two
 * signatures are given.
 */
#include <stdint.h>
#include <stddef.h>

#include "keys_agent.h"
#include "log.h"
#include "sshcert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key;

static void serve(struct agent *a, const uint8_t *data, size_t size)
{
	struct buf out;
	uint32_t len;
	uint8_t type;

	buf_init(&out, AGENT_MESSAGE_MAX + 4);
	if (agent_answer(a, data, size, &out) == 0) {
		len = buf_get_u32(&out);
		if (len != buf_left(&out))
			__builtin_trap();
		type = buf_get_u8(&out);
		if (type != 5 && type != 12 && type != 14)
			__builtin_trap();
	}
	buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sshcert cert;
	struct agent a;
	struct buf view;

	if (key == NULL) {
		log_init("fuzz", true, LOG_LVL_ERROR);
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	}
	buf_view(&view, data, size);
	if (sshcert_decode(&view, &cert) == 0)
		sshcert_refusal(&cert, 1700000000);
	agent_init(&a, key, "dba");
	for (int i = 0; i < 3; i++)
		serve(&a, data, size);
	if (a.left > AGENT_SIGNATURES)
		__builtin_trap();
	return 0;
}
