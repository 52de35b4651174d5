/*
 * config_value.c - one value of the configuration: text to field, field to text, by the kind of its option.
 *
 * Runs in parent before anything else, and in each role's first steps. Pure but for TEXT, which reads the
 * file that it names. config.c comes before (it finds the values), config_check.c after.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "config_option.h"
#include "escape.h"

#define SHOWN_MAX 200 /* bytes of a value that an explanation repeats */
#define TEXT_PREFIX "text:" /* what follows is the text itself, also when it starts with a slash */

static int explain(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int explain(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, CONFIG_WHY_MAX, fmt, ap);
	va_end(ap);
	errno = EINVAL;
	return -1;
}

static const char *shown(char out[SHOWN_MAX], const char *text)
{
	esc_quoted(out, SHOWN_MAX, text, strlen(text));
	return out;
}

static int set_string(char **field, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return -1;
	free(*field);
	*field = copy;
	return 0;
}

static bool is_clean_path(const char *s)
{
	size_t len = strlen(s);

	return s[0] == '/' && len < 4096 && strstr(s, "/../") == NULL &&
	    (len < 3 || strcmp(s + len - 3, "/..") != 0) && strpbrk(s, "\n\r\t\033") == NULL;
}

static int set_dir(char **field, const char *text, char *why)
{
	char show[SHOWN_MAX];

	if (!is_clean_path(text))
		return explain(why, "%s is no absolute path; write it from / on, without \"..\"", shown(show, text));
	return set_string(field, text);
}

char *config_read_file(const char *path, char *why)
{
	char show[SHOWN_MAX], *text = NULL;
	struct stat st;
	size_t have = 0;
	ssize_t n = 0;
	int fd, saved;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0 || fstat(fd, &st) != 0) {
		saved = errno;
		explain(why, "cannot read the file %s: %s", shown(show, path), strerror(saved));
		goto out;
	}
	saved = EINVAL;
	if (!S_ISREG(st.st_mode)) {
		explain(why, "%s is no plain file", shown(show, path));
		goto out;
	}
	if ((text = malloc(CONFIG_TEXT_MAX + 2)) == NULL) {
		explain(why, "out of memory");
		goto out;
	}
	while (have <= CONFIG_TEXT_MAX && (n = read(fd, text + have, CONFIG_TEXT_MAX + 1 - have)) > 0)
		have += (size_t)n;
	if (n < 0 || have > CONFIG_TEXT_MAX || memchr(text, 0, have) != NULL) {
		explain(why, "%s is no text of at most %u KiB", shown(show, path), CONFIG_TEXT_MAX >> 10);
		free(text);
		text = NULL;
		goto out;
	}
	text[have] = '\0';
out:
	if (fd >= 0)
		close(fd);
	errno = saved;
	return text;
}

static int set_text(struct config_text *t, const char *text, char *why)
{
	bool named = text[0] == '/';
	const char *bare = strncmp(text, TEXT_PREFIX, strlen(TEXT_PREFIX)) == 0 ? text + strlen(TEXT_PREFIX) : text;
	char *body = named ? config_read_file(text, why) : strdup(bare);
	char *path = named ? strdup(text) : NULL;

	if (body == NULL || (named && path == NULL)) {
		free(body);
		free(path);
		return -1;
	}
	free(t->text);
	free(t->path);
	*t = (struct config_text){ body, path };
	return 0;
}

static bool parse_number(const char *text, uint64_t *v)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 15 || text[digits] != '\0')
		return false;
	*v = strtoull(text, NULL, 10);
	return true;
}

static int set_int(const struct config_option *o, uint32_t *field, const char *text, char *why)
{
	char show[SHOWN_MAX];
	uint64_t v;

	if (!parse_number(text, &v) || v < o->least || v > o->most)
		return explain(why, "%s is no number from %" PRIu64 " to %" PRIu64, shown(show, text), o->least, o->most);
	*field = (uint32_t)v;
	return 0;
}

static char *format_ms(char *out, size_t size, uint64_t ms)
{
	if (ms == 0)
		snprintf(out, size, "0s");
	else if (ms % 1000 != 0)
		snprintf(out, size, "%" PRIu64 "ms", ms);
	else if (ms % 60000 != 0 && ms > 60000)
		/* duration_format keeps two units only; this must lose nothing */
		snprintf(out, size, "%" PRIu64 "s", ms / 1000);
	else
		duration_format(out, size, ms / 1000);
	return out;
}

static bool parse_ms(const char *text, uint64_t *ms)
{
	char digits[16];
	size_t len = strlen(text);
	uint32_t seconds;

	if (strcmp(text, "0") == 0 || strcmp(text, "0s") == 0) {
		*ms = 0;
		return true;
	}
	if (len > 2 && len < sizeof(digits) && strcmp(text + len - 2, "ms") == 0) {
		memcpy(digits, text, len - 2);
		digits[len - 2] = '\0';
		return parse_number(digits, ms);
	}
	if (duration_parse(text, &seconds) != 0)
		return false;
	*ms = seconds * 1000ULL;
	return true;
}

static int set_time(const struct config_option *o, uint32_t *field, const char *text, char *why)
{
	char show[SHOWN_MAX], least[24], most[24];
	uint64_t ms;

	if (!parse_ms(text, &ms) || ms < o->least || ms > o->most)
		return explain(why, "%s is no time from %s to %s; write it as 300ms, 5s, 10m, 1h30m", shown(show, text),
		    format_ms(least, sizeof(least), o->least), format_ms(most, sizeof(most), o->most));
	*field = (uint32_t)ms;
	return 0;
}

static const struct { const char *name; uint64_t factor; } size_units[] = {
	{ "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 }, { "", 1 },
};

static char *format_size(char *out, size_t size, uint64_t v)
{
	size_t i = 0;

	while (v % size_units[i].factor != 0 || (v == 0 && size_units[i].factor != 1))
		i++;
	snprintf(out, size, "%" PRIu64 "%s", v / size_units[i].factor, size_units[i].name);
	return out;
}

static bool parse_size(const char *text, uint64_t *v)
{
	size_t len = strspn(text, "0123456789");
	char digits[16];

	if (len == 0 || len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	for (size_t i = 0; i < sizeof(size_units) / sizeof(size_units[0]); i++)
		if (strcmp(text + len, size_units[i].name) == 0)
			return parse_number(digits, v) && !__builtin_mul_overflow(*v, size_units[i].factor, v);
	return false;
}

static int set_size(const struct config_option *o, uint64_t *field, const char *text, char *why)
{
	char show[SHOWN_MAX], least[24], most[24];
	uint64_t v;

	if (!parse_size(text, &v) || v < o->least || v > o->most)
		return explain(why, "%s is no size from %s to %s; write it as 65536, 512KiB, 1MiB, 2GiB", shown(show, text),
		    format_size(least, sizeof(least), o->least), format_size(most, sizeof(most), o->most));
	*field = v;
	return 0;
}

static int set_bool(bool *field, const char *text, char *why)
{
	char show[SHOWN_MAX];

	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return explain(why, "%s is neither true nor false", shown(show, text));
	*field = text[0] == 't';
	return 0;
}

/* The words of a choice are separated by single spaces. */
static const char *choice_word(const char *choices, int index, size_t *len)
{
	while (index-- > 0)
		choices += strcspn(choices, " ") + 1;
	*len = strcspn(choices, " ");
	return choices;
}

static int set_choice(const struct config_option *o, int *field, const char *text, char *why)
{
	char show[SHOWN_MAX];
	size_t len;

	for (int i = 0;; i++) {
		const char *word = choice_word(o->choices, i, &len);

		if (len == strlen(text) && memcmp(word, text, len) == 0) {
			*field = i;
			return 0;
		}
		if (word[len] == '\0')
			return explain(why, "%s is none of: %s", shown(show, text), o->choices);
	}
}

static int set_startups(const struct config_option *o, struct config_startups *field, const char *text, char *why)
{
	char show[SHOWN_MAX];
	unsigned start, rate, full;
	int end = 0;

	if (strspn(text, "0123456789:") != strlen(text) ||
	    sscanf(text, "%5u:%3u:%5u%n", &start, &rate, &full, &end) != 3 || text[end] != '\0' ||
	    start < o->least || full > o->most || start > full || rate < 1 || rate > 100)
		return explain(why, "%s is no start:rate:full, as \"100:30:400\": from `start` waiting logins on "
		    "`rate` per cent (1 to 100) are refused, from `full` (at most %" PRIu64 ", not under start) on all",
		    shown(show, text), o->most);
	*field = (struct config_startups){ start, rate, full };
	return 0;
}

static int set_user(struct config_user *u, const char *text, char *why)
{
	char show[SHOWN_MAX];

	if (text[0] == '\0' || strlen(text) > 64 || text[0] == '-' || strpbrk(text, " /,\t\n\r\033") != NULL)
		return explain(why, "%s is no account; write a name, a user id, or \"UID:GID\"", shown(show, text));
	u->uid = (uid_t)-1;
	u->gid = (gid_t)-1;
	return set_string(&u->name, text);
}

int config_addr_parse(const char *text, struct config_addr *a)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *ai;
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t len;
	uint64_t port;

	if (colon == NULL || !parse_number(colon + 1, &port) || port < 1 || port > 65535)
		return -1;
	len = (size_t)(colon - text);
	hints.ai_family = text[0] == '[' ? AF_INET6 : AF_INET;
	if (text[0] == '[') {
		if (len < 3 || text[len - 1] != ']')
			return -1;
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(host))
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	/* inet_aton's short forms ("1:22") are a mistake more often than an address */
	if (hints.ai_family == AF_INET && inet_pton(AF_INET, host, &(struct in_addr){ 0 }) != 1)
		return -1;
	if (getaddrinfo(host, colon + 1, &hints, &ai) != 0)
		return -1;
	*a = (struct config_addr){ .len = ai->ai_addrlen };
	memcpy(&a->ss, ai->ai_addr, ai->ai_addrlen);
	freeaddrinfo(ai);
	return 0;
}

char *config_addr_format(char *out, size_t size, const struct config_addr *a)
{
	char host[NI_MAXHOST], port[8];

	if (getnameinfo((const struct sockaddr *)&a->ss, a->len, host, sizeof(host), port, sizeof(port),
	    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(out, size, "?");
	else
		snprintf(out, size, a->ss.ss_family == AF_INET6 ? "[%.50s]:%s" : "%.50s:%s", host, port);
	return out;
}

static bool has_host_bits(const struct config_net *net)
{
	for (unsigned i = net->bits; i < (net->family == AF_INET ? 32U : 128U); i++)
		if ((net->addr[i / 8] & (0x80 >> i % 8)) != 0)
			return true;
	return false;
}

int config_net_parse(const char *text, struct config_net *net, char *why)
{
	char show[SHOWN_MAX], addr[64];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	uint64_t bits;
	unsigned most;

	*net = (struct config_net){ .family = memchr(text, ':', len) != NULL ? AF_INET6 : AF_INET };
	most = net->family == AF_INET ? 32 : 128;
	if (len >= sizeof(addr))
		goto bad;
	memcpy(addr, text, len);
	addr[len] = '\0';
	bits = most;
	if (inet_pton(net->family, addr, net->addr) != 1)
		goto bad;
	if (slash != NULL && (!parse_number(slash + 1, &bits) || bits > most))
		goto bad;
	net->bits = (unsigned)bits;
	if (has_host_bits(net))
		return explain(why, "%s has bits set behind its /%u; write the network's own address",
		    shown(show, text), net->bits);
	return 0;
bad:
	return explain(why, "%s is no network; write it as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32", shown(show, text));
}

/* Room for one more element of `size` bytes; NULL at the limit or without memory. */
static void *list_grow(void *v, size_t *n, size_t size)
{
	void *more = *n < CONFIG_LIST_MAX ? realloc(v, (*n + 1) * size) : NULL;

	if (more != NULL)
		(*n)++;
	return more;
}

static int add_addr(struct config_addrs *list, const char *text, char *why)
{
	char show[SHOWN_MAX];
	struct config_addr a, *v;

	if (config_addr_parse(text, &a) != 0)
		return explain(why, "%s is no address and port; write it as 192.0.2.1:22 or [2001:db8::1]:22",
		    shown(show, text));
	for (size_t i = 0; i < list->n; i++)
		if (a.len == list->v[i].len && memcmp(&a.ss, &list->v[i].ss, a.len) == 0)
			return explain(why, "%s stands here twice; write it once", shown(show, text));
	if ((v = list_grow(list->v, &list->n, sizeof(*v))) == NULL)
		return explain(why, "more than %d addresses", CONFIG_LIST_MAX);
	list->v = v;
	v[list->n - 1] = a;
	return 0;
}

static int add_net(struct config_nets *list, const char *text, char *why)
{
	struct config_net net, *v;

	if (config_net_parse(text, &net, why) != 0)
		return -1;
	if ((v = list_grow(list->v, &list->n, sizeof(*v))) == NULL)
		return explain(why, "more than %d networks", CONFIG_LIST_MAX);
	list->v = v;
	v[list->n - 1] = net;
	return 0;
}

int config_value_set(const struct config_option *o, void *field, const char *text, char *why)
{
	explain(why, "out of memory");
	switch (o->kind) {
	case KIND_STR: return set_string(field, text);
	case KIND_DIR: return set_dir(field, text, why);
	case KIND_TEXT: return set_text(field, text, why);
	case KIND_USER: return set_user(field, text, why);
	case KIND_INT: return set_int(o, field, text, why);
	case KIND_BOOL: return set_bool(field, text, why);
	case KIND_TIME: return set_time(o, field, text, why);
	case KIND_SIZE: return set_size(o, field, text, why);
	case KIND_CHOICE: return set_choice(o, field, text, why);
	case KIND_STARTUPS: return set_startups(o, field, text, why);
	case KIND_ADDRS: return add_addr(field, text, why);
	case KIND_NETS: return add_net(field, text, why);
	}
	return -1;
}

int config_value_default(const struct config_option *o, void *field)
{
	char why[CONFIG_WHY_MAX], word[128];
	const char *s = o->def;
	size_t len;

	if (!config_is_list(o))
		return config_value_set(o, field, s, why);
	for (; *s != '\0'; s += len + strspn(s + len, " ")) {
		len = strcspn(s, " ");
		snprintf(word, sizeof(word), "%.*s", (int)len, s);
		if (config_value_set(o, field, word, why) != 0)
			return -1;
	}
	return 0;
}

void config_value_free(const struct config_option *o, void *field)
{
	struct config_text *t = field;

	switch (o->kind) {
	case KIND_STR:
	case KIND_DIR:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case KIND_TEXT:
		free(t->text);
		free(t->path);
		*t = (struct config_text){ 0 };
		break;
	case KIND_USER:
		free(((struct config_user *)field)->name);
		*(struct config_user *)field = (struct config_user){ 0 };
		break;
	case KIND_ADDRS:
		free(((struct config_addrs *)field)->v);
		*(struct config_addrs *)field = (struct config_addrs){ 0 };
		break;
	case KIND_NETS:
		free(((struct config_nets *)field)->v);
		*(struct config_nets *)field = (struct config_nets){ 0 };
		break;
	default:
		break;
	}
}

/*
 * Between single quotes libconfuse reads every byte as it is but \' and \\; between double quotes it replaces
 * ${NAME} from the environment, which a text out of a file must not meet.
 */
void config_print_quoted(FILE *out, const char *s)
{
	char quote = strpbrk(s, "\\\"$'\n\r\t") == NULL ? '"' : '\'';

	fputc(quote, out);
	for (; *s != '\0'; s++) {
		if (*s == '\\' || *s == quote)
			fputc('\\', out);
		fputc(*s, out);
	}
	fputc(quote, out);
}

static void print_text(const struct config_text *t, FILE *out, bool flat)
{
	char *marked;

	if (!flat && t->path != NULL) {
		config_print_quoted(out, t->path);
	} else if (t->text[0] == '/' && asprintf(&marked, TEXT_PREFIX "%s", t->text) > 0) {
		config_print_quoted(out, marked);
		free(marked);
	} else {
		config_print_quoted(out, t->text);
	}
}

static void print_addrs(const struct config_addrs *list, FILE *out)
{
	char text[64];

	fputs("{", out);
	for (size_t i = 0; i < list->n; i++)
		fprintf(out, "%s \"%s\"", i > 0 ? "," : "", config_addr_format(text, sizeof(text), &list->v[i]));
	fputs(" }", out);
}

static void print_nets(const struct config_nets *list, FILE *out)
{
	char text[INET6_ADDRSTRLEN];

	fputs("{", out);
	for (size_t i = 0; i < list->n; i++)
		fprintf(out, "%s \"%s/%u\"", i > 0 ? "," : "",
		    inet_ntop(list->v[i].family, list->v[i].addr, text, sizeof(text)), list->v[i].bits);
	fputs(" }", out);
}

void config_value_print(const struct config_option *o, const void *field, FILE *out, bool flat)
{
	const struct config_startups *su = field;
	const struct config_text *t = field;
	const struct config_user *u = field;
	char text[32];
	size_t len;

	switch (o->kind) {
	case KIND_STR:
	case KIND_DIR:
		config_print_quoted(out, *(char *const *)field);
		break;
	case KIND_TEXT:
		print_text(t, out, flat);
		break;
	case KIND_USER:
		if (flat)
			fprintf(out, "\"%u:%u\"", (unsigned)u->uid, (unsigned)u->gid);
		else
			config_print_quoted(out, u->name);
		break;
	case KIND_INT: fprintf(out, "%" PRIu32, *(const uint32_t *)field); break;
	case KIND_BOOL: fputs(*(const bool *)field ? "true" : "false", out); break;
	case KIND_TIME: fputs(format_ms(text, sizeof(text), *(const uint32_t *)field), out); break;
	case KIND_SIZE: fputs(format_size(text, sizeof(text), *(const uint64_t *)field), out); break;
	case KIND_CHOICE: {
		const char *word = choice_word(o->choices, *(const int *)field, &len);

		fprintf(out, "%.*s", (int)len, word);
		break;
	}
	case KIND_STARTUPS: fprintf(out, "\"%u:%u:%u\"", su->start, su->rate, su->full); break;
	case KIND_ADDRS: print_addrs(field, out); break;
	case KIND_NETS: print_nets(field, out); break;
	}
}
