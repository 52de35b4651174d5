/*
 * tlog_stamp.c - see tlog_stamp.h. Runs in the auditor's tools, for replay_verify.c.
 */
#include "tlog_stamp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ts.h>
#include <openssl/x509.h>

#include "escape.h"
#include "tlog_tile.h"

struct search {
	struct tlog_stamp *out;
	const struct tlog_seen *seen;
	const struct tlog_vkey *witness;
	const char *ca;
	int dir;
};

/* Is it a checkpoint of the log? By any of its keys: one that signed before was changed for another since. */
static bool is_of_log(const struct search *s, const struct tlog_checkpoint *c)
{
	char origin[TLOG_NAME_MAX + 1];
	size_t i = 0;

	esc_line(origin, sizeof(origin), c->origin, strlen(c->origin));
	while (i < s->seen->nkeys && !tlog_checkpoint_signed(c, s->seen->keys[i]))
		i++;
	return i < s->seen->nkeys && c->size <= s->seen->log->size && strcmp(origin, s->seen->log->origin) == 0;
}

/* A checkpoint of the log, as it lies there: NULL, or for free(), decoded into *c. */
static uint8_t *read_checkpoint(const struct search *s, const char *name, struct tlog_checkpoint *c, size_t *len)
{
	uint8_t *note = tlog_slurp(s->dir, name, TLOG_NOTE_MAX, len);

	if (note != NULL && tlog_checkpoint_parse(c, note, *len) == 0 && is_of_log(s, c))
		return note;
	free(note);
	return NULL;
}

static void take(struct tlog_stamp *out, uint64_t size, int64_t when)
{
	if (out->when != 0 && size < out->size)
		return;
	out->size = size;
	out->when = when;
}

static void look_cosigned(const struct search *s, const char *name)
{
	struct tlog_checkpoint c;
	uint64_t when;
	size_t len;
	uint8_t *note = read_checkpoint(s, name, &c, &len);
	int r = note == NULL ? 0 : tlog_checkpoint_cosigned(&c, s->witness, &when);

	if (r == 1)
		take(s->out, c.size, (int64_t)when);
	s->out->bad += r < 0;
	free(note);
}

/* ---- RFC 3161 ---- */

/* When it says that it was made, or -1. */
static int64_t time_of(TS_RESP *response)
{
	TS_TST_INFO *info = TS_RESP_get_tst_info(response);
	struct tm tm;

	return info != NULL && ASN1_TIME_to_tm(TS_TST_INFO_get_time(info), &tm) == 1 ? timegm(&tm) : -1;
}

/* Does the response hold for these bytes, under the authority's certificates as they were valid at its time? That, or -1. */
static int64_t check_response(TS_RESP *response, const char *ca, const uint8_t *data, size_t len)
{
	TS_VERIFY_CTX *ctx = TS_VERIFY_CTX_new();
	X509_STORE *store = X509_STORE_new();
	BIO *bio = BIO_new_mem_buf(data, (int)len);
	int64_t when = time_of(response);

	if (ctx == NULL || store == NULL || bio == NULL || when < 0 || X509_STORE_load_file(store, ca) != 1) {
		when = -1;
		X509_STORE_free(store);
		BIO_free(bio);
		goto out;
	}
	/* evidence is kept for longer than an authority's certificate lasts: what it signed in its time stays signed */
	X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), when);
	/* the context takes both over */
	TS_VERIFY_CTX_set_store(ctx, store);
	TS_VERIFY_CTX_set_data(ctx, bio);
	TS_VERIFY_CTX_add_flags(ctx, TS_VFY_VERSION | TS_VFY_SIGNER | TS_VFY_SIGNATURE | TS_VFY_DATA);
	if (TS_RESP_verify_response(ctx, response) != 1)
		when = -1;
out:
	TS_VERIFY_CTX_free(ctx);
	ERR_clear_error();
	return when;
}

static void look_timestamped(const struct search *s, const char *name)
{
	char checkpoint[64];
	struct tlog_checkpoint c;
	size_t len, tsr_len;
	uint8_t *tsr = tlog_slurp(s->dir, name, TLOG_TSR_MAX, &tsr_len), *note;
	const unsigned char *p = tsr;
	TS_RESP *response;
	int64_t when = -1;

	snprintf(checkpoint, sizeof(checkpoint), "%.*s", (int)(strlen(name) - 4), name);
	note = tsr != NULL ? read_checkpoint(s, checkpoint, &c, &len) : NULL;
	if (note != NULL && (response = d2i_TS_RESP(NULL, &p, (long)tsr_len)) != NULL) {
		when = check_response(response, s->ca, note, len);
		TS_RESP_free(response);
	}
	ERR_clear_error();
	if (when >= 0)
		take(s->out, c.size, when);
	else
		s->out->bad++;
	free(note);
	free(tsr);
}

/* ---- both ---- */

/* "checkpoint.SIZE" and the ending? */
static bool is_named(const char *name, const char *ending)
{
	size_t digits;

	if (strncmp(name, TLOG_CHECKPOINT ".", sizeof(TLOG_CHECKPOINT)) != 0)
		return false;
	name += sizeof(TLOG_CHECKPOINT);
	digits = strspn(name, "0123456789");
	return digits > 0 && digits < 20 && strcmp(name + digits, ending) == 0;
}

static int each(struct search *s, const char *dir, const char *ending, void (*look)(const struct search *, const char *))
{
	struct dirent *e;
	DIR *d = opendir(dir);

	*s->out = (struct tlog_stamp){ 0 };
	if (d == NULL)
		return -1;
	s->dir = dirfd(d);
	while ((e = readdir(d)) != NULL)
		if (is_named(e->d_name, ending))
			look(s, e->d_name);
	closedir(d);
	return 0;
}

int tlog_cosigned(struct tlog_stamp *out, const char *dir, const struct tlog_seen *seen, const struct tlog_vkey *witness)
{
	struct search s = { .out = out, .seen = seen, .witness = witness };

	return each(&s, dir, ".cosigned", look_cosigned);
}

int tlog_timestamped(struct tlog_stamp *out, const char *dir, const struct tlog_seen *seen, const char *ca)
{
	struct search s = { .out = out, .seen = seen, .ca = ca };

	return each(&s, dir, ".tsr", look_timestamped);
}
