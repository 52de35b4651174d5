/*
 * config_option.h - an option as data, for the files config*.c only: what CONFIG_OPTIONS says, one row each.
 */
#ifndef BASTIOND_CONFIG_OPTION_H
#define BASTIOND_CONFIG_OPTION_H

#include "config.h"

enum config_kind {
	KIND_STR, KIND_DIR, KIND_TEXT, KIND_USER, KIND_INT, KIND_BOOL, KIND_TIME, KIND_SIZE,
	KIND_CHOICE, KIND_STARTUPS, KIND_ADDRS, KIND_NETS,
};

struct config_option {
	enum config_kind kind;
	const char *keyword, *def;
	uint64_t least, most;
	const char *choices, *text;
	size_t offset;		/* of the field in struct config */
};

enum config_index {
#define O(kind, keyword, def, least, most, choices, text) OPT_##keyword,
	CONFIG_OPTIONS(O)
#undef O
	OPT_COUNT
};

extern const struct config_option config_options[OPT_COUNT];

#define CONFIG_WHY_MAX 512 /* room for one explanation */

static inline bool config_is_list(const struct config_option *o)
{
	return o->kind == KIND_ADDRS || o->kind == KIND_NETS;
}

static inline void *config_field(const struct config *conf, const struct config_option *o)
{
	return (char *)(uintptr_t)conf + o->offset;
}

/*
 * Sets a field from the text of one value (a list: adds one element). A TEXT that is an absolute path is read.
 * 0; or -1 with `why`, which says what is wrong with the value and what would be right; for a file that is not
 * there errno is ENOENT.
 */
int config_value_set(const struct config_option *o, void *field, const char *text, char *why);
/* Sets a field to its default: never fails but without memory. */
int config_value_default(const struct config_option *o, void *field);
void config_value_free(const struct config_option *o, void *field);
/* Writes the value as the file would have it. */
void config_value_print(const struct config_option *o, const void *field, FILE *out, bool flat);
/* A string in quotes, such that libconfuse reads the same bytes again. */
void config_print_quoted(FILE *out, const char *s);

/* Uid and gid of the account that `name` says. False: there is none. */
bool config_account(struct config_user *u);

#define CONFIG_LOOKUP_MS 20000	/* for all names of a file together */
/*
 * The address of a host, given or by its name; a name is looked up in a process of its own, with the account of user_dial, until deadline_ms
 * (clock_mono_ms()); 0: a name is not looked up, which roles could not. NULL with *a, or why not.
 */
const char *config_lookup(const struct config *conf, const char *host, uint16_t port, uint64_t deadline_ms, struct config_addr *a);

/* "a.b.c.d:port" or "[v6]:port" into *a. 0 or -1. */
int config_addr_parse(const char *text, struct config_addr *a);
/* The reverse. Size >= 64. */
char *config_addr_format(char *out, size_t size, const struct config_addr *a);
/* "10.0.0.0/8", or an address alone. 0; or -1 with `why`. */
int config_net_parse(const char *text, struct config_net *net, char *why);
/* A whole file of at most CONFIG_TEXT_MAX bytes, without NUL, and room for one more. NULL with `why` and errno. */
char *config_read_file(const char *path, char *why);

/* Where an option, or a fault without an option (-1), stands: the loader reports with file and line. */
struct config_loader;
void config_fault(struct config_loader *l, int option, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Does it come by a descriptor? Then it was checked by whoever sent it, and the paths in it may be out of sight. */
bool config_is_sent(const struct config_loader *l);

/*
 * What spans several options: accounts (resolved here), keys, ranges that depend on each other. Reports each fault.
 * `init`: only what `bastiond -I` needs.
 */
void config_check(struct config_loader *l, struct config *conf, bool init);

#endif
