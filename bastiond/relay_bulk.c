/*
 * relay_bulk.c - see relay_bulk.h. Counts and hashes the streams of a channel, and lets the trackers read along.
 *
 * Role: session; called by relay_record.c with every byte before it is recorded.
 */
#include "relay_bulk.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *bulk_text(const void *data, size_t len)
{
	const bool alike = len >= 4 && memcmp(data, "hex:", 4) == 0;
	json_t *text = alike ? NULL : json_stringn(data, len);
	const uint8_t *p = data;
	char *hex;

	if (text != NULL)
		return text;
	/* no UTF-8, or what could be taken for that: kept exactly, as hex */
	if ((hex = malloc(len * 2 + 5)) == NULL)
		return NULL;
	memcpy(hex, "hex:", 5);
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 4 + i * 2, 3, "%02x", p[i]);
	text = json_string(hex);
	free(hex);
	return text;
}

void bulk_say(bulk_report report, void *ctx, json_t *json)
{
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text != NULL)
		report(ctx, text);
	free(text);
	json_decref(json);
}

void bulk_hex(const EVP_MD_CTX *sha, char *hex, size_t size)
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	hex[0] = '\0';
	if (copy != NULL && sha != NULL && EVP_MD_CTX_copy_ex(copy, sha) == 1 && EVP_DigestFinal_ex(copy, md, &len) == 1)
		for (unsigned i = 0; i < len && i * 2 + 2 < size; i++)
			snprintf(hex + i * 2, 3, "%02x", md[i]);
	EVP_MD_CTX_free(copy);
}

EVP_MD_CTX *bulk_sha(void)
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	if (sha == NULL || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(sha);
		return NULL;
	}
	return sha;
}

int bulk_start(struct bulk *b, uint64_t limit, const char *capability, const char *command, bulk_report report, void *ctx)
{
	*b = (struct bulk){ .active = true, .limit = limit, .report = report, .ctx = ctx };
	b->in.sha = bulk_sha();
	b->out.sha = bulk_sha();
	if (strcmp(capability, "sftp") == 0)
		b->sftp = sftp_track_create(report, ctx);
	else if (strcmp(capability, "scp") == 0)
		b->scp = scp_track_create(command_scp_direction(command) == 't', report, ctx);
	if (b->in.sha != NULL && b->out.sha != NULL && (strcmp(capability, "sftp") != 0 || b->sftp != NULL) &&
	    (strcmp(capability, "scp") != 0 || b->scp != NULL))
		return 0;
	bulk_finish(b);
	return -1;
}

size_t bulk_feed(struct bulk *b, bool input, bool is_err, const uint8_t *data, size_t len, uint64_t *gap_from)
{
	struct bulk_stream *st = input ? &b->in : &b->out;
	uint64_t before = st->bytes;
	size_t keep;

	st->bytes += len;
	if (b->sftp != NULL && !is_err)
		st->apart += sftp_track_feed(b->sftp, input, data, len, st->sha);
	else
		EVP_DigestUpdate(st->sha, data, len);
	if (b->scp != NULL && !is_err)
		scp_track_feed(b->scp, input, data, len);
	if (st->gap)
		return 0;
	keep = b->limit - before < len ? (size_t)(b->limit - before) : len;
	if (keep < len) {
		st->gap = true;
		*gap_from = b->limit;
	}
	return keep;
}

void bulk_digest(const struct bulk_stream *st, char *hex, size_t size)
{
	bulk_hex(st->sha, hex, size);
}

void bulk_progress(struct bulk *b, bool input)
{
	if (b->sftp != NULL)
		sftp_track_progress(b->sftp, input);
}

void bulk_end(struct bulk *b)
{
	if (b->sftp != NULL)
		sftp_track_end(b->sftp);
	if (b->scp != NULL)
		scp_track_end(b->scp);
}

void bulk_finish(struct bulk *b)
{
	EVP_MD_CTX_free(b->in.sha);
	EVP_MD_CTX_free(b->out.sha);
	sftp_track_destroy(b->sftp);
	scp_track_destroy(b->scp);
	*b = (struct bulk){ .active = false };
}
