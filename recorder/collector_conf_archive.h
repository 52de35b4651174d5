/*
 * collector_conf_archive.h - the archive section of collectord.conf: where sealed evidence goes, and for how long.
 */
#ifndef BASTION_COLLECTOR_CONF_ARCHIVE_H
#define BASTION_COLLECTOR_CONF_ARCHIVE_H

#include <confuse.h>

#include "archive_plan.h"
#include "s3.h"

#define COLL_ARCHIVE_FILE_MAX (1U << 20)	/* bytes of the files that it names */

struct coll_archive {
	bool on;			/* there is such a section */
	char *endpoint, *bucket, *region, *prefix, *credentials, *ca_file; /* ca_file "": the system's authorities */
	bool by_bucket;			/* the bucket's rule locks, not our headers */
	struct archive_rules rules;
	uint64_t spool_max;		/* bytes */
	uint32_t canary_s;
};

#define COLL_ARCHIVE_OPTIONS                                                                                                       \
	{ CFG_STR("endpoint", "", CFGF_NONE), CFG_STR("bucket", "", CFGF_NONE), CFG_STR("region", "us-east-1", CFGF_NONE),         \
	  CFG_STR("prefix", "", CFGF_NONE), CFG_STR("credentials", "", CFGF_NONE), CFG_STR("ca_file", "", CFGF_NONE),              \
	  CFG_STR("lock", "header", CFGF_NONE), CFG_INT("retention", 90, CFGF_NONE), CFG_INT("longest_session", 7, CFGF_NONE),     \
	  CFG_STR("spool_max", "8GiB", CFGF_NONE), CFG_STR("canary", "24h", CFGF_NONE), CFG_END() }

/* An option, "section|option" in a section, and what looks at its value while libconfuse still knows the line. */
struct coll_check {
	const char *option;
	cfg_validate_callback_t check;
};
void coll_checks(cfg_t *cfg, const struct coll_check *checks, size_t n);

/* Sets the validators; those for sizes and paths are the caller's. */
void coll_archive_validate(cfg_t *cfg, cfg_validate_callback_t size, cfg_validate_callback_t path);
/* 0, or -1 said by cfg_error. coll_archive_finish in any case. */
int coll_archive_take(struct coll_archive *a, cfg_t *cfg, int (*parse_size)(const char *text, uint64_t *out));
void coll_archive_finish(struct coll_archive *a);
/*
 * Reads the credentials and the certificates of the authorities, which only root may be able to: *ca is for free(), NULL without
 * ca_file. 0, or -1 with why[size].
 */
int coll_archive_secrets(const struct coll_archive *a, struct s3_credentials *c, char **ca, size_t *ca_len, char *why, size_t size);

#endif
