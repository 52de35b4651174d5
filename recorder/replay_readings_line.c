/*
 * replay_readings_line.c - see replay_readings.h: one line of the log of readings. Pure.
 */
#include "replay_readings.h"

#include <stdlib.h>
#include <string.h>

#include "hex.h"

#define HEX_LEN (2 * HASH_LEN)

static void put(json_t *j, const char *key, json_t *value)
{
	json_object_set_new(j, key, value);
}

static json_t *to_json(const struct reading *r)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:s, s:s}", "number", (json_int_t)r->number, "at", (json_int_t)r->at,
	    "uid", (json_int_t)r->uid, "login", r->login, "command", r->command);

	if (j == NULL)
		return NULL;
	if (r->of != 0) {
		put(j, "of", json_integer((json_int_t)r->of));
		return j;
	}
	if (r->recording[0] != '\0')
		put(j, "recording", json_string(r->recording));
	else
		put(j, "recordings", json_integer((json_int_t)r->recordings));
	if (r->user[0] != '\0')
		put(j, "user", json_string(r->user));
	if (r->host[0] != '\0')
		put(j, "host", json_string(r->host));
	put(j, "reveal", json_boolean(r->reveal));
	return j;
}

static int hash_text(uint8_t out[HASH_LEN], const uint8_t before[HASH_LEN], const char *text, size_t len)
{
	return sha256_spans(out, SPANS(SPAN(before, HASH_LEN), SPAN(text, len)));
}

int reading_format(struct reading *r, const uint8_t before[HASH_LEN], char *out, size_t size)
{
	json_t *j = to_json(r);
	char *text = j != NULL ? json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	char hex[HEX_LEN + 1];
	int n = -1;

	json_decref(j);
	if (text != NULL && hash_text(r->hash, before, text, strlen(text)) == 0)
		n = snprintf(out, size, "%s %s\n", hex_encode(hex, r->hash, HASH_LEN), text);
	free(text);
	return n > 0 && (size_t)n < size ? n : -1;
}

static int copy_text(const json_t *j, const char *key, char *out, size_t size)
{
	const json_t *v = json_object_get(j, key);

	out[0] = '\0';
	if (v == NULL)
		return 0;
	if (!json_is_string(v) || json_string_length(v) >= size)
		return -1;
	strcpy(out, json_string_value(v));
	return 0;
}

static int64_t number_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static int from_json(struct reading *r, const json_t *j)
{
	uint8_t id[BREC_ID_LEN];

	if (!json_is_object(j) || number_of(j, "number") <= 0 || number_of(j, "recordings") < 0 || number_of(j, "of") < 0)
		return -1;
	r->number = (uint64_t)number_of(j, "number");
	r->at = number_of(j, "at");
	r->uid = number_of(j, "uid");
	r->recordings = (uint64_t)number_of(j, "recordings");
	r->of = (uint64_t)number_of(j, "of");
	r->reveal = json_is_true(json_object_get(j, "reveal"));
	if (copy_text(j, "login", r->login, sizeof(r->login)) != 0 ||
	    copy_text(j, "command", r->command, sizeof(r->command)) != 0 ||
	    copy_text(j, "recording", r->recording, sizeof(r->recording)) != 0 ||
	    copy_text(j, "user", r->user, sizeof(r->user)) != 0 || copy_text(j, "host", r->host, sizeof(r->host)) != 0)
		return -1;
	/* as bundles were written once: one recording, it is not said which */
	if (strcmp(r->recording, "?") == 0) {
		r->recording[0] = '\0';
		r->recordings = 1;
	}
	return r->recording[0] == '\0' || hex_decode(id, sizeof(id), r->recording) == 0 ? 0 : -1;
}

int reading_parse(struct reading *r, const char *line, size_t len, const uint8_t before[HASH_LEN], bool *follows)
{
	char hex[HEX_LEN + 1];
	uint8_t want[HASH_LEN];
	json_t *j;
	int bad;

	*r = (struct reading){ .number = 0 };
	*follows = false;
	if (len <= HEX_LEN + 1 || len >= READINGS_LINE_MAX || line[HEX_LEN] != ' ')
		return -1;
	memcpy(hex, line, HEX_LEN);
	hex[HEX_LEN] = '\0';
	if (hex_decode(r->hash, HASH_LEN, hex) != 0 ||
	    hash_text(want, before, line + HEX_LEN + 1, len - HEX_LEN - 1) != 0)
		return -1;
	*follows = memcmp(want, r->hash, HASH_LEN) == 0;
	j = json_loadb(line + HEX_LEN + 1, len - HEX_LEN - 1, JSON_REJECT_DUPLICATES, NULL);
	bad = from_json(r, j);
	json_decref(j);
	return bad;
}
