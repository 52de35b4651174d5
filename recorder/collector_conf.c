/*
 * collector_conf.c - reads collectord.conf. Runs in bastion-collectord at its start, as root if it
 * was started so, and at SIGHUP.
 */
#include "collector_conf.h"

#include <confuse.h>
#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector_file.h"
#include "crypto.h"
#include "escape.h"
#include "journal.h"
#include "names.h"
#include "tlog_act.h"
#include "tlog_note.h"

#define DEFAULT_LISTEN "{\"0.0.0.0:7422\", \"[::]:7422\"}"

static void complain(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void complain(cfg_t *cfg, const char *fmt, va_list ap)
{
	char raw[1024], line[2048];

	vsnprintf(raw, sizeof(raw), fmt, ap);
	esc_line(line, sizeof(line), raw, strlen(raw));
	fprintf(stderr, "%s:%d: %s\n", cfg->filename != NULL ? cfg->filename : "?", cfg->line, line);
}

/* "64MiB" and the like; a plain number is bytes. 0, or -1. */
static int parse_size(const char *text, uint64_t *out)
{
	static const struct { const char *unit; unsigned shift; } units[] = { { "", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 } };
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || end == text || text[0] == '-' || n > 1U << 30)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].unit) == 0) {
			*out = n << units[i].shift;
			return 0;
		}
	return -1;
}

static int parse_listen(const char *text, struct coll_listen *l)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	char host[64], *colon;
	struct addrinfo *ai;
	char *h = host;

	if (snprintf(host, sizeof(host), "%s", text) >= (int)sizeof(host) ||
	    (colon = strrchr(host, ':')) == NULL)
		return -1;
	*colon = '\0';
	if (h[0] == '[' && colon > h + 1 && colon[-1] == ']') {
		colon[-1] = '\0';
		h++;
	}
	if (getaddrinfo(h, colon + 1, &hints, &ai) != 0)
		return -1;
	memcpy(&l->ss, ai->ai_addr, ai->ai_addrlen);
	l->len = ai->ai_addrlen;
	freeaddrinfo(ai);
	snprintf(l->text, sizeof(l->text), "%s", text);
	return 0;
}

/* Validators say what is wrong while libconfuse still knows the line. */
static int check_listen(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct coll_listen l;

	if (cfg_opt_size(opt) <= COLL_LISTEN_MAX && parse_listen(text, &l) == 0)
		return 0;
	cfg_error(cfg,
	    "listen: \"%s\" is no numeric address with a port, or one of more than %d. Right would be: "
	    "listen = { \"192.0.2.1:7422\", \"[2001:db8::1]:7422\" }",
	    text, COLL_LISTEN_MAX);
	return -1;
}

static int check_size(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	bool journal = strcmp(cfg_opt_name(opt), "journal_bytes") == 0;
	uint64_t n;

	if (parse_size(text, &n) == 0 &&
	    (!journal ||
		(n >= 2 * (uint64_t)JOURNAL_SIZE_MIN && n <= JOURNAL_SIZE_MAX && n % JOURNAL_BLOCK == 0)))
		return 0;
	cfg_error(cfg, "%s: \"%s\" is not right; %s", cfg_opt_name(opt), text,
	    journal ? "write 8MiB to 1GiB, for instance \"64MiB\""
		    : "write a number with KiB, MiB or GiB, for instance \"256MiB\"");
	return -1;
}

static int check_path(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (text[0] == '/' || text[0] == '\0')
		return 0;
	cfg_error(cfg, "%s: \"%s\" does not begin with /; write the whole path", cfg_opt_name(opt), text);
	return -1;
}

static int check_origin(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (text[0] == '\0' || tlog_name_ok(text))
		return 0;
	cfg_error(cfg, "log_origin: \"%s\" has a space, a '+' or a byte that is no ASCII, or is longer than %d; right would be: "
	    "log_origin = \"example.com/bastion-log\"", text, TLOG_NAME_MAX);
	return -1;
}

static int check_number(cfg_t *cfg, cfg_opt_t *opt)
{
	static const struct { const char *name; long least, most; } ranges[] = {
		{ "max_connections", 1, 4096 },
		{ "max_recordings", 1, 1000000 },
		{ "handshake_time", 1, 300 },
	};
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (strcmp(ranges[i].name, cfg_opt_name(opt)) == 0 &&
		    (n < ranges[i].least || n > ranges[i].most)) {
			cfg_error(cfg, "%s: %ld is out of range; %ld to %ld is right", ranges[i].name, n,
			    ranges[i].least, ranges[i].most);
			return -1;
		}
	return 0;
}

static int check_retention(cfg_t *cfg, cfg_opt_t *opt)
{
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (n == 0 || (n >= TLOG_PRUNE_DAYS && n <= COLL_RETENTION_MAX))
		return 0;
	cfg_error(cfg, "retention: %ld is not right: what is younger than %d days must be kept, and no verifier would take its removal for one in its "
	    "time; write %d to %d days, or nothing to keep everything", n, TLOG_PRUNE_DAYS, TLOG_PRUNE_DAYS, COLL_RETENTION_MAX);
	return -1;
}

static int check_level(cfg_t *cfg, cfg_opt_t *opt)
{
	static const char *const names[] = { "debug", "info", "notice", "warning", "error" };
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	for (int i = 0; i < 5; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	if (cfg != NULL)
		cfg_error(
		    cfg, "log_level: \"%s\" is none; debug, info, notice, warning or error is right", text);
	return -1;
}

static int check_sandbox(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (strcmp(text, "on") == 0 || strcmp(text, "strict") == 0)
		return 0;
	cfg_error(cfg, "sandbox: \"%s\" is neither \"on\" nor \"strict\"", text);
	return -1;
}

static int validate_level(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_level(cfg, opt) < 0 ? -1 : 0;
}

static int check_section(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *sec = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	if (cfg_opt_size(opt) > COLL_CLIENTS_MAX) {
		cfg_error(cfg, "more than %d recorder sections", COLL_CLIENTS_MAX);
		return -1;
	}
	if (!name_is_user(cfg_title(sec))) {
		cfg_error(cfg,
		    "recorder \"%s\": a name is lower-case letters, digits, '.', '_', '-', at most %d",
		    cfg_title(sec), COLL_NAME_MAX);
		return -1;
	}
	if (cfg_getstr(sec, "certificate")[0] == '\0') {
		cfg_error(cfg,
		    "recorder %s: certificate is missing: name a copy of the bastion's STATE_DIR/recorder/client.crt",
		    cfg_title(sec));
		return -1;
	}
	return 0;
}

static int read_pins(
    cfg_t *cfg, const struct coll_client *client, const char *path, struct tls_pins *pins, bool keys_only)
{
	char why[512] = "", *text = coll_file(path, COLL_FILE_MAX, false, NULL, why, sizeof(why));
	struct tls_pins found = { 0 };
	int r = -1;

	if (text == NULL) {
		cfg_error(cfg, "recorder %s: %s; copy it from the bastion", client->name, why);
		return -1;
	}
	if (keys_only && (r = public_keys_load(path, found.keys, TLS_PINS_MAX)) > 0) {
		found.nkeys = (size_t)r;
		r = 0;
	} else if (!keys_only) {
		r = tls_pins_add(&found, text, why, sizeof(why));
	}
	free(text);
	if (r == 0) {
		*pins = found;
		return 0;
	}
	cfg_error(cfg, "recorder %s: %s: %s", client->name, path,
	    keys_only ? "holds no PUBLIC KEY block of an Ed25519 key" : why);
	return -1;
}

static int take_clients(struct coll_conf *c, cfg_t *cfg)
{
	int r = 0;

	for (unsigned i = 0; i < cfg_size(cfg, "recorder"); i++) {
		cfg_t *sec = cfg_getnsec(cfg, "recorder", i);
		struct coll_client *client = &c->clients[c->nclients++];
		const char *signer = cfg_getstr(sec, "signer");

		snprintf(client->name, sizeof(client->name), "%s", cfg_title(sec));
		client->certificate = strdup(cfg_getstr(sec, "certificate"));
		client->signer = strdup(signer);
		if (client->certificate == NULL || client->signer == NULL)
			return -1;
		r |= read_pins(sec, client, client->certificate, &client->certs, false);
		if (signer[0] != '\0')
			r |= read_pins(sec, client, signer, &client->signers, true);
	}
	return r;
}

static char *path_or(cfg_t *cfg, const char *option, const char *store, const char *file)
{
	const char *set = cfg_getstr(cfg, option);
	char *path = NULL;

	if (set[0] != '\0')
		return strdup(set);
	return asprintf(&path, "%s/%s", store, file) < 0 ? NULL : path;
}

/* A name or a number; only root can change to it. */
static int find_user(const char *name, uid_t *uid, gid_t *gid)
{
	char *end;
	unsigned long n = strtoul(name, &end, 10);
	struct passwd *pw = getpwnam(name);

	*uid = pw != NULL ? pw->pw_uid : (uid_t)n;
	*gid = pw != NULL ? pw->pw_gid : (gid_t)n;
	if (pw != NULL || (name[0] != '\0' && *end == '\0' && n > 0 && n < UINT32_MAX) || geteuid() != 0)
		return 0;
	return -1;
}

static int check_user(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *name = cfg_opt_getnstr(opt, 0);
	uid_t uid;
	gid_t gid;

	if (find_user(name, &uid, &gid) != 0)
		cfg_error(cfg,
		    "user: there is no account \"%s\"; make it (useradd --system %s), or write another or a numeric id",
		    name, name);
	else if (geteuid() == 0 && uid == 0)
		cfg_error(cfg, "user: \"%s\" is root; the collector needs no such right", name);
	else
		return 0;
	return -1;
}

static int take(struct coll_conf *c, cfg_t *cfg, bool init)
{
	const char *store = cfg_getstr(cfg, "store");

	for (unsigned i = 0; i < cfg_size(cfg, "listen"); i++)
		if (parse_listen(cfg_getnstr(cfg, "listen", i), &c->listen[c->nlisten++]) != 0)
			return -1;
	c->store = strdup(store);
	c->user = strdup(cfg_getstr(cfg, "user"));
	c->certificate = path_or(cfg, "certificate", store, "collector.crt");
	c->key = path_or(cfg, "key", store, "collector.key");
	c->receipt_key = path_or(cfg, "receipt_key", store, "receipt.key");
	c->log_origin = strdup(cfg_getstr(cfg, "log_origin"));
	if (c->store == NULL || c->user == NULL || c->certificate == NULL || c->key == NULL ||
	    c->receipt_key == NULL || c->log_origin == NULL || parse_size(cfg_getstr(cfg, "journal_bytes"), &c->journal_bytes) != 0 ||
	    parse_size(cfg_getstr(cfg, "reserve"), &c->reserve) != 0)
		return -1;
	c->max_connections = (uint32_t)cfg_getint(cfg, "max_connections");
	c->max_recordings = (uint32_t)cfg_getint(cfg, "max_recordings");
	c->handshake_s = (uint32_t)cfg_getint(cfg, "handshake_time");
	c->retention = (uint32_t)cfg_getint(cfg, "retention");
	c->sandbox_strict = strcmp(cfg_getstr(cfg, "sandbox"), "strict") == 0;
	c->log_level = (enum log_level)check_level(NULL, cfg_getopt(cfg, "log_level"));
	if (check_user(cfg, cfg_getopt(cfg, "user")) != 0 || find_user(c->user, &c->uid, &c->gid) != 0)
		return -1;
	if (coll_archive_take(&c->archive, cfg, parse_size) != 0)
		return -1;
	if (init)
		return 0;
	if (cfg_size(cfg, "recorder") == 0) {
		cfg_error(cfg,
		    "no recorder section: nobody could store anything. Right would be: recorder NAME { certificate = \"FILE\" }");
		return -1;
	}
	return take_clients(c, cfg);
}

struct coll_conf *coll_conf_load(const char *file, bool init)
{
	cfg_opt_t section[] = { CFG_STR("certificate", "", CFGF_NONE), CFG_STR("signer", "", CFGF_NONE), CFG_END() };
	cfg_opt_t archive[] = COLL_ARCHIVE_OPTIONS;
	cfg_opt_t options[] = {
		CFG_STR_LIST("listen", DEFAULT_LISTEN, CFGF_NONE),
		CFG_STR("store", "/var/lib/bastion-collectord", CFGF_NONE), CFG_STR("user", "bastion-collector", CFGF_NONE),
		CFG_STR("certificate", "", CFGF_NONE), CFG_STR("key", "", CFGF_NONE), CFG_STR("receipt_key", "", CFGF_NONE),
		CFG_STR("log_origin", "", CFGF_NONE),
		CFG_STR("journal_bytes", "64MiB", CFGF_NONE), CFG_STR("reserve", "256MiB", CFGF_NONE),
		CFG_INT("max_connections", 64, CFGF_NONE), CFG_INT("max_recordings", 20000, CFGF_NONE), CFG_INT("handshake_time", 10, CFGF_NONE),
		CFG_INT("retention", 0, CFGF_NONE), CFG_STR("log_level", "info", CFGF_NONE), CFG_STR("sandbox", "on", CFGF_NONE),
		CFG_SEC("recorder", section, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_SEC("archive", archive, CFGF_NODEFAULT),
		CFG_END()
	};
	static const struct coll_check checks[] = {
		{ "listen", check_listen }, { "user", check_user }, { "store", check_path }, { "certificate", check_path },
		{ "key", check_path }, { "receipt_key", check_path }, { "recorder|certificate", check_path },
		{ "recorder|signer", check_path }, { "max_connections", check_number }, { "max_recordings", check_number },
		{ "handshake_time", check_number }, { "journal_bytes", check_size }, { "reserve", check_size },
		{ "log_origin", check_origin }, { "log_level", validate_level }, { "retention", check_retention },
		{ "sandbox", check_sandbox }, { "recorder", check_section },
	};
	struct coll_conf *c = calloc(1, sizeof(*c));
	cfg_t *cfg = cfg_init(options, CFGF_NONE);
	int r = -1;

	if (c == NULL || cfg == NULL)
		goto out;
	cfg_set_error_function(cfg, complain);
	coll_checks(cfg, checks, sizeof(checks) / sizeof(checks[0]));
	coll_archive_validate(cfg, check_size, check_path);
	r = cfg_parse(cfg, file);
	if (r == CFG_FILE_ERROR)
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
	r = r == CFG_SUCCESS ? take(c, cfg, init) : -1;
out:
	if (cfg != NULL)
		cfg_free(cfg);
	if (r == 0)
		return c;
	coll_conf_destroy(c);
	return NULL;
}

void coll_conf_destroy(struct coll_conf *c)
{
	if (c == NULL)
		return;
	free(c->store);
	free(c->user);
	free(c->certificate);
	free(c->key);
	free(c->receipt_key);
	free(c->log_origin);
	for (size_t i = 0; i < c->nclients; i++) {
		free(c->clients[i].certificate);
		free(c->clients[i].signer);
	}
	coll_archive_finish(&c->archive);
	free(c);
}

const struct coll_client *coll_conf_client(const struct coll_conf *c, const uint8_t pin[TLS_PIN_LEN])
{
	for (size_t i = 0; i < c->nclients; i++)
		for (size_t k = 0; k < c->clients[i].certs.ncerts; k++)
			if (memcmp(c->clients[i].certs.certs[k], pin, TLS_PIN_LEN) == 0)
				return &c->clients[i];
	return NULL;
}
