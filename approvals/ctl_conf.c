/*
 * ctl_conf.c - where the daemon's socket and keys are. bastionctl reads two options of
 * bastiond.conf(5); that the whole file is right is for `bastiond -t`.
 */
#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

/* libconfuse writes about syntax to standard error by itself; here it is one line, in our words. */
static void complain(cfg_t *cfg, const char *fmt, va_list ap)
{
	char why[512];

	vsnprintf(why, sizeof(why), fmt, ap);
	ctl_fail("%s:%d: %s ('bastiond -t' says more)", cfg->filename, cfg->line, why);
}

int ctl_conf_read(struct ctl *c, bool must_exist)
{
	/* libconfuse passes over an unknown option, not over an unknown section with a title */
	cfg_opt_t section[] = { CFG_END() };
	cfg_opt_t opts[] = {
		CFG_SEC("collector", section, CFGF_MULTI | CFGF_TITLE | CFGF_IGNORE_UNKNOWN),
		CFG_SEC("break_glass_collector", section, CFGF_MULTI | CFGF_TITLE | CFGF_IGNORE_UNKNOWN),
		CFG_STR("state_dir", "/var/lib/bastiond", CFGF_NONE),
		CFG_STR("run_dir", "/run/bastiond", CFGF_NONE),
		CFG_END()
	};
	cfg_t *cfg = cfg_init(opts, CFGF_IGNORE_UNKNOWN);
	int r = -1;

	if (cfg == NULL) {
		ctl_fail("no memory");
		return -1;
	}
	cfg_set_error_function(cfg, complain);
	/* the defaults serve who may not read the file */
	if (access(c->conf_path, R_OK) != 0 &&
	    (must_exist || (errno != ENOENT && errno != EACCES))) {
		ctl_fail("%s: %s", c->conf_path, strerror(errno));
	} else if (access(c->conf_path, R_OK) != 0 || cfg_parse(cfg, c->conf_path) == CFG_SUCCESS) {
		snprintf(c->state_dir, sizeof(c->state_dir), "%s", cfg_getstr(cfg, "state_dir"));
		snprintf(c->run_dir, sizeof(c->run_dir), "%s", cfg_getstr(cfg, "run_dir"));
		r = 0;
	}
	cfg_free(cfg);
	return r;
}
