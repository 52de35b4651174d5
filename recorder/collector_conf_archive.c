/*
 * collector_conf_archive.c - the archive section of collectord.conf. Runs in bastion-collectord at its start and at SIGHUP.
 */
#include "collector_conf_archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collector_file.h"
#include "s3.h"

#define DAYS_MAX 36500
#define PREFIX_MAX 128			/* the rest of a key fits behind it */

static const char *string(cfg_t *cfg, cfg_opt_t *opt)
{
	(void)cfg;
	return cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
}

static int check_endpoint(cfg_t *cfg, cfg_opt_t *opt)
{
	if (s3_endpoint_ok(string(cfg, opt)))
		return 0;
	cfg_error(cfg, "endpoint: \"%s\" is none; right would be: endpoint = \"https://s3.eu-central-1.amazonaws.com\"; http is for 127.0.0.1 alone",
	    string(cfg, opt));
	return -1;
}

/* The names in a request's path and signature: bucket, region, prefix. */
static int check_name(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = string(cfg, opt), *name = cfg_opt_name(opt);
	const bool prefix = strcmp(name, "prefix") == 0;

	if (s3_key_ok(text) && strlen(text) <= (prefix ? PREFIX_MAX : 63) && (prefix || strchr(text, '/') == NULL))
		return 0;
	cfg_error(cfg, "%s: \"%s\" is not right; letters, digits, '.', '_' and '-'%s, at most %d", name, text, prefix ? ", parts between '/'" : "",
	    prefix ? PREFIX_MAX : 63);
	return -1;
}

static int check_days(cfg_t *cfg, cfg_opt_t *opt)
{
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (n >= 1 && n <= DAYS_MAX)
		return 0;
	cfg_error(cfg, "%s: %ld is out of range; 1 to %d days is right", cfg_opt_name(opt), n, DAYS_MAX);
	return -1;
}

static int check_lock(cfg_t *cfg, cfg_opt_t *opt)
{
	if (strcmp(string(cfg, opt), "header") == 0 || strcmp(string(cfg, opt), "bucket") == 0)
		return 0;
	cfg_error(cfg, "lock: \"%s\" is neither \"header\" nor \"bucket\"", string(cfg, opt));
	return -1;
}

static int check_duration(cfg_t *cfg, cfg_opt_t *opt)
{
	uint32_t s;

	if (duration_parse(string(cfg, opt), &s) == 0 && s <= 7 * 86400)
		return 0;
	cfg_error(cfg, "%s: \"%s\" is no duration up to 7d; right would be: %s = \"24h\"", cfg_opt_name(opt), string(cfg, opt), cfg_opt_name(opt));
	return -1;
}

void coll_checks(cfg_t *cfg, const struct coll_check *checks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cfg_set_validate_func(cfg, checks[i].option, checks[i].check);
}

void coll_archive_validate(cfg_t *cfg, cfg_validate_callback_t size, cfg_validate_callback_t path)
{
	const struct coll_check checks[] = {
		{ "archive|endpoint", check_endpoint }, { "archive|bucket", check_name }, { "archive|region", check_name },
		{ "archive|prefix", check_name }, { "archive|credentials", path }, { "archive|ca_file", path },
		{ "archive|lock", check_lock }, { "archive|retention", check_days }, { "archive|longest_session", check_days },
		{ "archive|spool_max", size }, { "archive|canary", check_duration },
	};

	coll_checks(cfg, checks, sizeof(checks) / sizeof(checks[0]));
}

static int missing(cfg_t *sec, const char *option, const char *right)
{
	if (cfg_getstr(sec, option)[0] != '\0')
		return 0;
	cfg_error(sec, "archive: %s is missing; right would be: %s", option, right);
	return -1;
}

int coll_archive_take(struct coll_archive *a, cfg_t *cfg, int (*parse_size)(const char *text, uint64_t *out))
{
	cfg_t *sec = cfg_size(cfg, "archive") != 0 ? cfg_getsec(cfg, "archive") : NULL;

	if (sec == NULL)
		return 0;
	if (missing(sec, "endpoint", "endpoint = \"https://s3.example.com\"") != 0 || missing(sec, "bucket", "bucket = \"evidence\"") != 0 ||
	    missing(sec, "prefix", "prefix = \"c1\", another one for each collector") != 0 ||
	    missing(sec, "credentials", "credentials = \"/etc/bastiond/archive.credentials\"") != 0)
		return -1;
	a->endpoint = strdup(cfg_getstr(sec, "endpoint"));
	a->bucket = strdup(cfg_getstr(sec, "bucket"));
	a->region = strdup(cfg_getstr(sec, "region"));
	a->prefix = strdup(cfg_getstr(sec, "prefix"));
	a->credentials = strdup(cfg_getstr(sec, "credentials"));
	a->ca_file = strdup(cfg_getstr(sec, "ca_file"));
	a->by_bucket = strcmp(cfg_getstr(sec, "lock"), "bucket") == 0;
	a->rules.retention = (int64_t)cfg_getint(sec, "retention") * 86400;
	a->rules.session = (int64_t)cfg_getint(sec, "longest_session") * 86400;
	a->on = true;
	if (a->endpoint == NULL || a->bucket == NULL || a->region == NULL || a->prefix == NULL || a->credentials == NULL || a->ca_file == NULL ||
	    parse_size(cfg_getstr(sec, "spool_max"), &a->spool_max) != 0 || duration_parse(cfg_getstr(sec, "canary"), &a->canary_s) != 0)
		return -1;
	return 0;
}

void coll_archive_finish(struct coll_archive *a)
{
	free(a->endpoint);
	free(a->bucket);
	free(a->region);
	free(a->prefix);
	free(a->credentials);
	free(a->ca_file);
	*a = (struct coll_archive){ 0 };
}

int coll_archive_secrets(const struct coll_archive *a, struct s3_credentials *c, char **ca, size_t *ca_len, char *why, size_t size)
{
	const char *wrong = NULL;
	size_t len;
	char *text = coll_file(a->credentials, COLL_ARCHIVE_FILE_MAX, true, &len, why, size);
	int r;

	*ca = NULL;
	*ca_len = 0;
	if (text == NULL)
		return -1;
	r = s3_credentials_parse(c, text, len, &wrong);
	explicit_bzero(text, len);
	free(text);
	if (r != 0) {
		snprintf(why, size, "%s: %s. Two lines are right: aws_access_key_id = ... and aws_secret_access_key = ...", a->credentials, wrong);
		return -1;
	}
	return a->ca_file[0] == '\0' || (*ca = coll_file(a->ca_file, COLL_ARCHIVE_FILE_MAX, false, ca_len, why, size)) != NULL ? 0 : -1;
}
