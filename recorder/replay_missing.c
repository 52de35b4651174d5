/*
 * replay_missing.c - see replay_missing.h. Part of bastion-replay, below replay_verify.c.
 */
#include "replay_missing.h"

#include <stdlib.h>
#include <string.h>

#include "hex.h"

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, BREC_ID_LEN);
}

int ids_of(struct ids *out, const struct recordings *list)
{
	*out = (struct ids){ calloc(list->n + 1, BREC_ID_LEN), list->n };
	if (out->v == NULL)
		return -1;
	for (size_t i = 0; i < list->n; i++)
		hex_decode(out->v[i], BREC_ID_LEN, list->v[i].id);
	qsort(out->v, out->n, BREC_ID_LEN, by_id);
	return 0;
}

bool ids_have(const struct ids *ids, const uint8_t id[BREC_ID_LEN])
{
	return bsearch(id, ids->v, ids->n, BREC_ID_LEN, by_id) != NULL;
}

int ids_missing(struct ids *out, const struct tlog_log *log, const struct ids *here)
{
	*out = (struct ids){ calloc(log->n + 1, BREC_ID_LEN), 0 };
	if (out->v == NULL)
		return -1;
	for (size_t i = 0; i < log->n; i++)
		if ((i == 0 || memcmp(log->v[i].id, log->v[i - 1].id, BREC_ID_LEN) != 0) && !ids_have(here, log->v[i].id))
			memcpy(out->v[out->n++], log->v[i].id, BREC_ID_LEN);
	return 0;
}
