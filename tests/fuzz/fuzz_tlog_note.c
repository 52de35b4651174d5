/*
 * fuzz_tlog_note.c - checkpoints, public keys and proofs of the log of recordings, as anybody may write them. What decodes stays
 * inside its bounds, and no key signed it: the inputs are not signed by the key that is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "tlog_note.h"
#include "tlog_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[KEY_LEN] = { 1 };
	struct tlog_vkey witness = { .name = "w", .type = TLOG_KEY_WITNESS };
	char text[TLOG_VKEY_MAX + 1];
	struct tlog_checkpoint c;
	struct tlog_path path;
	struct span note;
	struct tlog_vkey k;
	uint64_t when;

	if (tlog_checkpoint_parse(&c, data, size) == 0) {
		if (c.text_len > size || c.nsigs > TLOG_SIGS_MAX || c.origin[TLOG_NAME_MAX] != '\0' || c.size >> 63 != 0)
			abort();
		for (unsigned i = 0; i < c.nsigs; i++)
			if ((const uint8_t *)c.sigs[i].name < data || (const uint8_t *)c.sigs[i].text + c.sigs[i].text_len > data + size)
				abort();
		if (tlog_checkpoint_signed(&c, key) || tlog_checkpoint_cosigned(&c, &witness, &when) == 1)
			abort();
	}
	if (tlog_proof_parse(&path, &note, data, size) == 0) {
		if (path.len > TLOG_PATH_MAX || note.len > size)
			abort();
		tlog_path_holds(&path, key, path.index + 1, key);
	}
	if (size <= TLOG_VKEY_MAX) {
		memcpy(text, data, size);
		text[size] = '\0';
		if (tlog_vkey_parse(&k, text) == 0 && !tlog_name_ok(k.name))
			abort();
	}
	return 0;
}
