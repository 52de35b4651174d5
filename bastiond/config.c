/*
 * config.c - reads, holds and writes the configuration; see config.h.
 *
 * Runs in parent at start and at SIGHUP, and in each role before it drops. libconfuse finds keywords and values;
 * config_value.c judges a value, config_check.c the whole. A value that is wrong does not end the
 * reading: all such faults are told at once. Wrong syntax does.
 */
#include "config.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "config_option.h"
#include "escape.h"
#include "names.h"

const struct config_option config_options[OPT_COUNT] = {
#define O(kind, keyword, def, least, most, choices, text) \
	[OPT_##keyword] = { KIND_##kind, #keyword, def, least, most, choices, text, offsetof(struct config, keyword) },
	CONFIG_OPTIONS(O)
#undef O
};

struct config_loader {
	const char *name;		/* of the file, for reports */
	bool init;			/* CONFIG_INIT */
	bool sent;			/* by a descriptor */
	struct config *conf;
	cfg_t *cfg;
	int line[OPT_COUNT];		/* where the option stands; 0: it does not */
	unsigned taken[OPT_COUNT];	/* elements of a list that were seen */
	bool closed[OPT_COUNT];		/* the list's closing brace was seen */
	uint64_t lookups_end_ms;	/* of names; 0: none was looked up */
	unsigned faults;
	config_report *report;
	void *arg;
};

/* libconfuse's callbacks carry no argument, and its scanner is global, too: one load at a time. */
static struct config_loader *loading;

static void report_at(struct config_loader *l, int line, const char *text)
{
	char raw[1024], out[1400];

	if (line > 0)
		snprintf(raw, sizeof(raw), "%s:%d: %s", l->name, line, text);
	else
		snprintf(raw, sizeof(raw), "%s: %s", l->name, text);
	esc_line(out, sizeof(out), raw, strlen(raw));
	l->faults++;
	if (l->report != NULL)
		l->report(l->arg, out);
}

void config_fault(struct config_loader *l, int option, const char *fmt, ...)
{
	char text[CONFIG_WHY_MAX], all[CONFIG_WHY_MAX + 80];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (option < 0)
		snprintf(all, sizeof(all), "%s", text);
	else
		snprintf(all, sizeof(all), "%s%s: %s", config_options[option].keyword,
		    l->line[option] == 0 ? " (the default)" : "", text);
	report_at(l, option < 0 ? 0 : l->line[option], all);
}

static int option_by_keyword(const char *keyword)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if (strcmp(config_options[i].keyword, keyword) == 0)
			return i;
	return -1;
}

/* Edits from a to b, the bound small enough to keep one row on the stack. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b);

	if (n >= 63 || strlen(a) >= 63)
		return 99;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

static void hint_keyword(char *out, size_t size, const char *unknown)
{
	static const char *const inner[] = { "collector", "break_glass_collector", "address", "port", "certificate" };
	unsigned least = 4;

	snprintf(out, size, "bastiond.conf(5) lists all options");
	for (size_t i = 0; i < OPT_COUNT + sizeof(inner) / sizeof(inner[0]); i++) {
		const char *keyword = i < OPT_COUNT ? config_options[i].keyword : inner[i - OPT_COUNT];
		unsigned d = distance(unknown, keyword);

		if (d < least) {
			least = d;
			snprintf(out, size, "did you mean %s?", keyword);
		}
	}
}

/* What libconfuse says, by its beginning, and what would be right. */
static const struct { const char *says, *hint; } syntax_hints[] = {
	{ "missing equal sign", "write: keyword = value" },
	{ "missing opening brace", "write: collector NAME { ... }" },
	{ "missing title", "write: collector NAME { ... }" },
	{ "found duplicate title", "give each collector a name of its own" },
	{ "missing argument", "write a value behind the equal sign" },
	{ "premature end of file", "a brace, a quote or a value is missing before the end" },
	{ "unterminated string", "close it with the quote that opened it" },
	{ "invalid escape", "write \\\\ for a backslash" },
	{ "bad escape", "write \\\\ for a backslash" },
	{ "unexpected closing brace", "remove it, or write the opening one" },
	{ "unexpected token", "write: keyword = value, or keyword = { value, value }" },
};

static void on_syntax(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void on_syntax(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[256], hint[128] = "bastiond.conf(5) has the syntax", all[512], word[64];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (size_t i = 0; i < sizeof(syntax_hints) / sizeof(syntax_hints[0]); i++)
		if (strncasecmp(text, syntax_hints[i].says, strlen(syntax_hints[i].says)) == 0)
			snprintf(hint, sizeof(hint), "%s", syntax_hints[i].hint);
	if (sscanf(text, "no such option '%63[^']'", word) == 1) {
		hint_keyword(hint, sizeof(hint), word);
		snprintf(text, sizeof(text), "there is no option %s", word);
	}
	snprintf(all, sizeof(all), "%s; %s", text, hint);
	report_at(loading, cfg->line, all);
}

static void stands_twice(cfg_t *cfg, int i)
{
	char all[160];

	snprintf(all, sizeof(all), "%s: stands in line %d already; keep one of them", config_options[i].keyword,
	    loading->line[i]);
	report_at(loading, cfg->line, all);
}

static void take_value(cfg_t *cfg, int i, const char *text)
{
	const struct config_option *o = &config_options[i];
	char why[CONFIG_WHY_MAX], all[CONFIG_WHY_MAX + 80];

	if (config_value_set(o, config_field(loading->conf, o), text, why) == 0)
		return;
	if (loading->init && o->kind == KIND_TEXT && errno == ENOENT)
		return;
	snprintf(all, sizeof(all), "%s: %s", o->keyword, why);
	report_at(loading, cfg->line, all);
}

/* libconfuse calls it after each value, and once more at a list's closing brace. A fault is told, reading goes on. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	int i = option_by_keyword(cfg_opt_name(opt));
	unsigned n = cfg_opt_size(opt);
	bool first = loading->line[i] == 0, list = config_is_list(&config_options[i]);

	if (first && list)
		config_value_free(&config_options[i], config_field(loading->conf, &config_options[i]));
	if (!first && (!list || (loading->closed[i] && n <= loading->taken[i]))) {
		stands_twice(cfg, i);
		return 0;
	}
	loading->line[i] = cfg->line;
	if (list && n == loading->taken[i]) {
		loading->closed[i] = true;
		return 0;
	}
	loading->taken[i] = n;
	loading->closed[i] = false;
	take_value(cfg, i, cfg_opt_getnstr(opt, n - 1));
	return 0;
}

/* All names of a file together have so long, however many there are. */
static const char *resolve(struct config_loader *l, const char *host, const char *port, struct config_addr *a)
{
	if (l->lookups_end_ms == 0 && !l->sent)
		l->lookups_end_ms = clock_mono_ms() + CONFIG_LOOKUP_MS;
	return config_lookup(l->conf, host, (uint16_t)atoi(port), l->lookups_end_ms, a);
}

static void fault_collector(struct config_loader *l, cfg_t *sec, const char *what)
{
	char all[CONFIG_WHY_MAX + 160];

	snprintf(all, sizeof(all), "%s %s: %s", cfg_name(sec), cfg_title(sec), what);
	report_at(l, sec->line, all);
}

static void load_certificate(struct config_loader *l, cfg_t *sec, struct config_collector *c)
{
	static const struct config_option as_text = { .kind = KIND_TEXT, .keyword = "certificate" };
	const char *value = cfg_getstr(sec, "certificate");
	char why[CONFIG_WHY_MAX];

	if (value == NULL)
		fault_collector(l, sec, "certificate is missing; name the PEM file that `bastion-collectord -I` wrote there");
	else if (config_value_set(&as_text, &c->certificate, value, why) != 0) {
		if (!l->init || errno != ENOENT)
			fault_collector(l, sec, why);
	} else if (strstr(c->certificate.text, "-----BEGIN CERTIFICATE-----") == NULL)
		fault_collector(l, sec, "certificate is no PEM; write the absolute path of the collector's certificate");
	else if (strstr(c->certificate.text, "-----BEGIN PUBLIC KEY-----") == NULL)
		fault_collector(l, sec, "certificate has no PUBLIC KEY block, the collector's receipt key; copy the whole file that "
		    "`bastion-collectord -I` made");
}

static void load_collector(struct config_loader *l, cfg_t *sec, bool glass)
{
	const char *address = cfg_getstr(sec, "address"), *port = cfg_getstr(sec, "port");
	struct config_collector *c;
	const char *why;
	char what[256];

	if (l->conf->ncollectors == CONFIG_COLLECTORS_MAX) {
		fault_collector(l, sec, "one too many; 8 collectors are the most, those for break-glass with them");
		return;
	}
	c = &l->conf->collectors[l->conf->ncollectors++];
	c->glass = glass;
	if ((c->name = strdup(cfg_title(sec))) == NULL)
		fault_collector(l, sec, "out of memory");
	if (!name_is_user(cfg_title(sec)))
		fault_collector(l, sec, "the name may have a-z 0-9 _ . - and starts with a letter");
	if (address == NULL || port == NULL || strspn(port, "0123456789") != strlen(port) || atoi(port) < 1 ||
	    strlen(port) > 5 || atoi(port) > 65535)
		fault_collector(l, sec, "write address = \"HOST\" and port = 1 to 65535");
	else if ((why = resolve(l, address, port, &c->addr)) != NULL && !l->init) {
		snprintf(what, sizeof(what), "address: cannot resolve \"%.60s\" (%.80s); write an address, or put the name "
		    "into /etc/hosts", address, why);
		fault_collector(l, sec, what);
	}
	load_certificate(l, sec, c);
}

static cfg_t *make_cfg(void)
{
	static cfg_opt_t inner[] = {
		CFG_STR("address", NULL, CFGF_NONE),
		CFG_STR("port", NULL, CFGF_NONE),
		CFG_STR("certificate", NULL, CFGF_NONE),
		CFG_END(),
	};
	cfg_opt_t opts[OPT_COUNT + 3] = {
#define O(kind, kw, def, least, most, choices, text) \
		[OPT_##kw] = { .name = #kw, .type = CFGT_STR, .validcb = on_value, .flags = CFGF_NODEFAULT | \
		    (KIND_##kind == KIND_ADDRS || KIND_##kind == KIND_NETS ? CFGF_LIST : CFGF_NONE) },
		CONFIG_OPTIONS(O)
#undef O
		[OPT_COUNT] = CFG_SEC("collector", inner, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		[OPT_COUNT + 1] = CFG_SEC("break_glass_collector", inner, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		[OPT_COUNT + 2] = CFG_END(),
	};
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);

	if (cfg != NULL)
		cfg_set_error_function(cfg, on_syntax);
	return cfg;
}

/*
 * The text has room for one byte more: a space at its end, because libconfuse's scanner writes a backslash that
 * nothing follows to standard output.
 */
static void parse(struct config_loader *l, char *text)
{
	static const char *const section[] = { "collector", "break_glass_collector" };
	FILE *in = fmemopen(text, strlen(strcat(text, " ")), "r");

	if (in == NULL || (l->cfg = make_cfg()) == NULL) {
		report_at(l, 0, "out of memory");
	} else {
		loading = l;
		if (cfg_parse_fp(l->cfg, in) != CFG_SUCCESS && l->faults == 0)
			report_at(l, l->cfg->line, "the syntax is wrong here; bastiond.conf(5) has it");
		for (int glass = 0; glass <= 1; glass++)
			for (unsigned i = 0; l->faults == 0 && i < cfg_size(l->cfg, section[glass]); i++)
				load_collector(l, cfg_getnsec(l->cfg, section[glass], i), glass != 0);
		loading = NULL;
	}
	if (l->cfg != NULL)
		cfg_free(l->cfg);
	if (in != NULL)
		fclose(in);
}

bool config_is_sent(const struct config_loader *l)
{
	return l->sent;
}

static struct config *load_text(struct config_loader *from, char *text)
{
	struct config_loader l = *from;

	if ((l.conf = config_defaults()) == NULL) {
		report_at(&l, 0, "out of memory");
		return NULL;
	}
	if (text[0] != '\0')
		parse(&l, text);
	if (l.faults == 0)
		config_check(&l, l.conf, l.init);
	if (l.faults != 0) {
		config_destroy(l.conf);
		l.conf = NULL;
	}
	return l.conf;
}

struct config *config_load(const char *path, unsigned flags, config_report *report, void *arg)
{
	struct config_loader l = {
		.name = path, .init = (flags & CONFIG_INIT) != 0, .report = report, .arg = arg
	};
	char why[CONFIG_WHY_MAX], *text;
	struct config *conf = NULL;
	struct stat st;

	if ((text = config_read_file(path, why)) == NULL || stat(path, &st) != 0)
		report_at(&l, 0, text == NULL ? why : strerror(errno));
	else if ((st.st_mode & 022) != 0 || (st.st_uid != 0 && st.st_uid != geteuid()))
		report_at(&l, 0, "others than its owner can write it, or the owner is not root; chown root, chmod go-w");
	else
		conf = load_text(&l, text);
	free(text);
	return conf;
}

struct config *config_load_fd(int fd, const char *name, config_report *report, void *arg)
{
	struct config_loader l = { .name = name, .sent = true, .report = report, .arg = arg };
	size_t most = 16 * CONFIG_TEXT_MAX, have = 0; /* the texts of its files are in it */
	char *text = malloc(most + 2);
	struct config *conf = NULL;
	ssize_t n = 0;

	while (text != NULL && have <= most && (n = pread(fd, text + have, most + 1 - have, (off_t)have)) > 0)
		have += (size_t)n;
	if (text == NULL || n < 0 || have > most) {
		report_at(&l, 0, "cannot read it");
	} else {
		text[have] = '\0';
		conf = load_text(&l, text);
	}
	free(text);
	return conf;
}

struct config *config_defaults(void)
{
	struct config *conf = calloc(1, sizeof(*conf));

	for (int i = 0; conf != NULL && i < OPT_COUNT; i++) {
		if (config_value_default(&config_options[i], config_field(conf, &config_options[i])) != 0) {
			config_destroy(conf);
			conf = NULL;
		}
	}
	return conf;
}

void config_destroy(struct config *conf)
{
	if (conf == NULL)
		return;
	for (int i = 0; i < OPT_COUNT; i++)
		config_value_free(&config_options[i], config_field(conf, &config_options[i]));
	for (size_t i = 0; i < conf->ncollectors; i++) {
		free(conf->collectors[i].name);
		free(conf->collectors[i].certificate.text);
		free(conf->collectors[i].certificate.path);
	}
	free(conf);
}

static void dump_collector(const struct config_collector *c, FILE *out, bool flat)
{
	static const struct config_option as_text = { .kind = KIND_TEXT };
	char host[NI_MAXHOST] = "", port[8] = "";

	getnameinfo((const struct sockaddr *)&c->addr.ss, c->addr.len, host, sizeof(host), port, sizeof(port),
	    NI_NUMERICHOST | NI_NUMERICSERV);
	fprintf(out, "%s %s {\n\taddress = \"%s\"\n\tport = %s\n\tcertificate = ", c->glass ? "break_glass_collector" : "collector",
	    c->name, host, port);
	config_value_print(&as_text, &c->certificate, out, flat);
	fputs("\n}\n", out);
}

int config_dump(const struct config *conf, FILE *out, bool flat)
{
	for (int i = 0; i < OPT_COUNT; i++) {
		const struct config_option *o = &config_options[i];

		if (!flat)
			fprintf(out, "# %s\n", o->text);
		fprintf(out, "%s = ", o->keyword);
		config_value_print(o, config_field(conf, o), out, flat);
		fputc('\n', out);
	}
	for (size_t i = 0; i < conf->ncollectors; i++)
		dump_collector(&conf->collectors[i], out, flat);
	return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

int config_fd_create(void)
{
	return memfd_create("bastiond.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int config_fd_fill(int fd, const struct config *conf)
{
	int r = -1, dupfd;
	FILE *out;

	if ((dupfd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) >= 0 && (out = fdopen(dupfd, "w")) != NULL) {
		r = config_dump(conf, out, true);
		if (fclose(out) != 0)
			r = -1;
	}
	return r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0 &&
	    lseek(fd, 0, SEEK_SET) == 0 ? 0 : -1;
}

int config_to_fd(const struct config *conf)
{
	int fd = config_fd_create();

	if (fd >= 0 && config_fd_fill(fd, conf) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

size_t config_collectors(const struct config *conf, bool glass)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->ncollectors; i++)
		n += conf->collectors[i].glass == glass;
	return n;
}

/* The address proper, 4 or 16 bytes; NULL for another family. */
static const uint8_t *address_bytes(const struct sockaddr *sa, int *family)
{
	const struct in6_addr *a6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

	*family = sa->sa_family;
	if (sa->sa_family == AF_INET)
		return (const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	if (sa->sa_family != AF_INET6)
		return NULL;
	if (!IN6_IS_ADDR_V4MAPPED(a6))
		return a6->s6_addr;
	*family = AF_INET;
	return a6->s6_addr + 12;
}

bool config_nets_match(const struct config_nets *nets, const struct sockaddr *sa)
{
	int family;
	const uint8_t *addr = address_bytes(sa, &family);

	for (size_t i = 0; addr != NULL && i < nets->n; i++) {
		const struct config_net *net = &nets->v[i];
		unsigned bytes = net->bits / 8, rest = net->bits % 8;

		if (net->family == family && memcmp(net->addr, addr, bytes) == 0 &&
		    (rest == 0 || ((net->addr[bytes] ^ addr[bytes]) & (0xff << (8 - rest)) & 0xff) == 0))
			return true;
	}
	return false;
}
