/*
 * config_check.c - what spans several options of the configuration: accounts, addresses, keys, limits.
 *
 * Runs after every value was accepted by itself (config_value.c), in parent and in each role.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config_option.h"
#include "escape.h"
#include "names.h"
#include "monitor.h"
#include "totpkey.h"
#include "access.h"
#include "words.h"

#define AGE_PREFIX "age1"
#define AGE_LEN 62 /* bech32 of 32 bytes with the prefix "age" */

static bool number_in(const char *s, size_t len, unsigned long *v)
{
	char *end;

	if (len == 0 || len > 10 || strspn(s, "0123456789") < len)
		return false;
	*v = strtoul(s, &end, 10);
	return end == s + len && *v < UINT32_MAX;
}

/* A number needs no entry in passwd: its group is the one of the entry, if there is one, or the same number. */
bool config_account(struct config_user *u)
{
	size_t len = strcspn(u->name, ":");
	unsigned long uid, gid;
	struct passwd *pw;

	if (!number_in(u->name, len, &uid)) {
		if (u->name[len] != '\0' || (pw = getpwnam(u->name)) == NULL)
			return false;
		u->uid = pw->pw_uid;
		u->gid = pw->pw_gid;
		return true;
	}
	u->uid = (uid_t)uid;
	if (u->name[len] == ':') {
		if (!number_in(u->name + len + 1, strlen(u->name + len + 1), &gid))
			return false;
		u->gid = (gid_t)gid;
	} else {
		pw = getpwuid(u->uid);
		u->gid = pw != NULL ? pw->pw_gid : (gid_t)uid;
	}
	return true;
}

static bool has_monitor(const struct config *conf)
{
	return conf->event_syslog[0] != '\0' || conf->event_json[0] != '\0' || conf->metrics_listen.n > 0;
}

/* Is the directory of this path there? */
static bool has_folder(const char *path)
{
	char folder[PATH_MAX];
	struct stat st;
	size_t n = (size_t)(strrchr(path, '/') - path);

	if (n + 1 >= sizeof(folder))
		return false;
	snprintf(folder, sizeof(folder), "%.*s", n > 0 ? (int)n : 1, path);
	return stat(folder, &st) == 0 && S_ISDIR(st.st_mode);
}

static void check_outlets(struct config_loader *l, const struct config *conf)
{
	const char *why;

	if (conf->event_syslog[0] != '\0' && outlet_check(OUTLET_SYSLOG, conf->event_syslog, &why) != 0)
		config_fault(l, OPT_event_syslog, "no place for events; %s", why);
	if (conf->event_json[0] != '\0' && outlet_check(OUTLET_JSON, conf->event_json, &why) != 0)
		config_fault(l, OPT_event_json, "no place for events; %s", why);
	else if (conf->event_json[0] == '/' && !config_is_sent(l) && !has_folder(conf->event_json))
		config_fault(l, OPT_event_json, "the directory of this file is not there; make it, or write another path");
}

static void check_users(struct config_loader *l, struct config *conf)
{
	char show[80];

	for (int i = 0; i < OPT_COUNT; i++) {
		const struct config_option *o = &config_options[i];
		struct config_user *u = config_field(conf, o);

		if (o->kind != KIND_USER)
			continue;
		/* no hook, no account: who updates need not make one */
		if (i == OPT_user_hook && conf->ticket_check[0] == '\0' && conf->notify[0] == '\0') {
			u->uid = (uid_t)-1;
			u->gid = (gid_t)-1;
			continue;
		}
		esc_quoted(show, sizeof(show), u->name, strlen(u->name));
		if (!config_account(u) && i == OPT_user_monitor && !has_monitor(conf))
			continue; /* nobody runs as it */
		if (!config_account(u))
			config_fault(l, i, "there is no account %s; make it (adduser --system --group --no-create-home NAME), "
			    "or write a number that nobody uses", show);
		else if (u->uid == 0 || u->gid == 0)
			config_fault(l, i, "%s is root or in root's group; the role needs an account without rights", show);
		for (int j = 0; j < i; j++) {
			const struct config_user *other = config_field(conf, &config_options[j]);

			if (config_options[j].kind == KIND_USER && u->uid == other->uid && u->uid != (uid_t)-1)
				config_fault(l, i, "%s is the account of %s, too; each role needs one of its own",
				    show, config_options[j].keyword);
		}
	}
}

/* One age1... key: the characters of bech32, the length of 32 bytes. Whether it is a point is seen in use. */
static bool is_recipient(const char *s, size_t len)
{
	if (len != AGE_LEN || memcmp(s, AGE_PREFIX, 4) != 0)
		return false;
	for (size_t i = 4; i < len; i++)
		if (memchr("qpzry9x8gf2tvdw0s3jn54khce6mua7l", s[i], 32) == NULL)
			return false;
	return true;
}

const char *config_recipient_next(const char **text, size_t *len)
{
	while (**text != '\0') {
		const char *line = *text;

		*len = strcspn(line, " \t\r\n");
		*text += strcspn(line, "\n");
		*text += **text == '\n';
		if (*len != 0 && *line != '#')
			return line;
	}
	return NULL;
}

static void check_recipients(struct config_loader *l, int option, const struct config_text *t)
{
	const char *s = t->text, *rest = t->text;
	size_t len, n = 0;
	char show[80];

	while (config_recipient_next(&rest, &len) != NULL)
		n++;
	if (n > CONFIG_RECIPIENTS_MAX)
		config_fault(l, option, "%zu recipients; a recording takes %d, each of whom can read it: name fewer", n,
		    CONFIG_RECIPIENTS_MAX);
	for (int line = 1; *s != '\0'; s += len + (s[len] == '\n'), line++) {
		size_t bare;

		len = bare = strcspn(s, "\n");
		while (bare > 0 && isspace((unsigned char)s[bare - 1]))
			bare--;
		if (bare == 0 || s[0] == '#' || is_recipient(s, bare))
			continue;
		esc_quoted(show, sizeof(show), s, bare);
		config_fault(l, option, "%s%sline %d: %s is no age recipient; write one age1... of `age-keygen -y` a line",
		    t->path != NULL ? t->path : "", t->path != NULL ? ", " : "", line, show);
	}
}

static void check_pair(struct config_loader *l, const struct config_collector *a, const struct config_collector *b)
{
	if (a->addr.len == b->addr.len && memcmp(&a->addr.ss, &b->addr.ss, a->addr.len) == 0)
		config_fault(l, -1, a->glass == b->glass ? "collectors %s and %s are at one address; a copy there is no second copy" :
		    "collectors %s and %s are at one address; what is for break-glass must be there when the other is not", a->name, b->name);
	else if (a->glass != b->glass && strcmp(a->name, b->name) == 0)
		config_fault(l, -1, "a collector and a break_glass_collector are both called %s; give each a name of its own", a->name);
	else if (a->glass != b->glass && strcmp(a->certificate.text, b->certificate.text) == 0)
		config_fault(l, -1, "collectors %s and %s have one certificate; what is for break-glass is a collector of its own, by "
		    "`bastion-collectord -I` on another machine", a->name, b->name);
}

static void check_collectors(struct config_loader *l, const struct config *conf)
{
	const size_t usual = config_collectors(conf, false), glass = config_collectors(conf, true);

	if (conf->quorum > usual)
		config_fault(l, OPT_quorum, "%u collectors must have each frame, but %zu stand here; write that many "
		    "`collector NAME { address = ... port = ... certificate = ... }`", conf->quorum, usual);
	if (conf->break_glass_quorum > glass && (glass > 0 || conf->break_glass_quorum > 1))
		config_fault(l, OPT_break_glass_quorum, "%u collectors must have each frame, but %zu stand here; write that many "
		    "`break_glass_collector NAME { address = ... port = ... certificate = ... }`", conf->break_glass_quorum, glass);
	for (size_t i = 0; i < conf->ncollectors; i++)
		for (size_t j = 0; j < i; j++)
			check_pair(l, &conf->collectors[j], &conf->collectors[i]);
}

static void check_recording(struct config_loader *l, struct config *conf)
{
	if (strstr(conf->recipients.text, AGE_PREFIX) == NULL)
		config_fault(l, OPT_recipients, "no age1... key in it, so nobody could read the recordings; name a file "
		    "with the lines that `age-keygen -y` prints");
	check_recipients(l, OPT_recipients, &conf->recipients);
	check_recipients(l, OPT_input_recipients, &conf->input_recipients);
	check_recipients(l, OPT_input_recipients_second, &conf->input_recipients_second);
	if (strstr(conf->input_recipients_second.text, AGE_PREFIX) != NULL &&
	    strstr(conf->input_recipients.text, AGE_PREFIX) == NULL)
		config_fault(l, OPT_input_recipients_second, "one of these is needed together with one of input_recipients, "
		    "which is empty; name the first group there");
	check_collectors(l, conf);
	if (conf->hold_banner >= conf->hold_deadline)
		config_fault(l, OPT_hold_banner, "the user would be told after the session ended; write less than hold_deadline");
}

static void check_source_address(struct config_loader *l, const char *text)
{
	char one[64], why[CONFIG_WHY_MAX];
	struct config_net net;
	size_t len;

	if (strlen(text) > 1024)
		config_fault(l, OPT_source_address, "more than 1024 bytes; write fewer networks");
	for (; *text != '\0'; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		snprintf(one, sizeof(one), "%.*s", (int)(len < sizeof(one) ? len : sizeof(one) - 1), text);
		if (config_net_parse(one, &net, why) != 0)
			config_fault(l, OPT_source_address, "%s; several are separated by commas", why);
	}
}

/* It stands in commands that users copy into a shell: letters, digits, dots and dashes, in an IPv6 address colons. */
int config_name_split(const char *text, char host[CONFIG_NAME_MAX + 1], uint16_t *port)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	const bool brackets = text[0] == '[', v6 = brackets || strchr(text, ':') != strrchr(text, ':');
	size_t len = brackets ? strcspn(++text, "]") : v6 ? strlen(text) : strcspn(text, ":");
	const char *rest = text + len;
	unsigned long number;
	struct in6_addr a6;

	if (len == 0 || len > CONFIG_NAME_MAX)
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	if (v6 ? inet_pton(AF_INET6, host, &a6) != 1 : host[0] == '-' || strspn(host, plain) != len)
		return -1;
	if (brackets && *rest++ == '\0')
		return -1;
	if (*rest == '\0')
		return 0;
	if (*rest++ != ':' || !number_in(rest, strlen(rest), &number) || number == 0 || number > UINT16_MAX)
		return -1;
	*port = (uint16_t)number;
	return 0;
}

static void check_name(struct config_loader *l, const char *name)
{
	char host[CONFIG_NAME_MAX + 1];
	uint16_t port;

	if (name[0] != '\0' && config_name_split(name, host, &port) != 0)
		config_fault(l, OPT_name, "neither a name nor an address, with or without a port; write what engineers "
		    "connect to: \"bastion.example.org\" or \"bastion.example.org:2222\"");
}

/* Without its file PAM takes "other". */
static bool has_stack(const struct config *conf)
{
	const char *const places[] = { "/etc/pam.d", "/usr/lib/pam.d" };
	char path[PATH_MAX];

	if (conf->pam_confdir[0] != '\0')
		return snprintf(path, sizeof(path), "%s/%s", conf->pam_confdir, conf->pam_service) < (int)sizeof(path) && access(path, F_OK) == 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", places[i], conf->pam_service);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* The stock one in the system's place comes with the installation: that it is not there is no fault of the file. */
static bool is_stock(const struct config *conf)
{
	return conf->pam_confdir[0] == '\0' && strcmp(conf->pam_service, "bastiond") == 0;
}

const char *config_warning(const struct config *conf)
{
	return is_stock(conf) && !has_stack(conf) ? "there is no /etc/pam.d/bastiond, and nobody with a second factor can log in; it comes with "
	    "the installation, or write pam_service" : NULL;
}

static void check_pam(struct config_loader *l, const struct config *conf)
{
	struct stat st;

	if (conf->pam_service[0] == '\0' || conf->pam_service[0] == '.' || strlen(conf->pam_service) > 64 ||
	    strspn(conf->pam_service, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != strlen(conf->pam_service))
		config_fault(l, OPT_pam_service, "a PAM service is a file name of a-z 0-9 _ - . ; write \"bastiond\"");
	/* a role that reloads has no file system any more: parent has looked */
	else if (!config_is_sent(l) && !is_stock(conf) && !has_stack(conf))
		config_fault(l, OPT_pam_service, "there is no PAM stack of this name, and nobody could log in; write that of a file in %s",
		    conf->pam_confdir[0] != '\0' ? conf->pam_confdir : "/etc/pam.d");
	if (conf->pam_confdir[0] == '\0' || config_is_sent(l))
		return;
	if (conf->pam_confdir[0] != '/' || stat(conf->pam_confdir, &st) != 0 || !S_ISDIR(st.st_mode))
		config_fault(l, OPT_pam_confdir, "there is no such directory; write an absolute path, or \"\" for the system's");
	else if (st.st_uid != 0 || (st.st_mode & 022) != 0)
		config_fault(l, OPT_pam_confdir, "others than root can write there and so log in as anyone; chown root, "
		    "chmod go-w");
}

/* Run without a shell, as an account without rights: what others can write there, they say in the operator's name. */
static void check_program(struct config_loader *l, int option, const char *path)
{
	struct stat st;

	/* a role that reloads has no file system any more: parent has looked */
	if (path[0] == '\0' || config_is_sent(l))
		return;
	if (path[0] != '/' || strlen(path) > 500 || stat(path, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		config_fault(l, option, "no program is there; write the absolute path of an executable file, without arguments, or \"\"");
	else if (st.st_uid != 0 || (st.st_mode & 022) != 0)
		config_fault(l, option, "others than root can write it; chown root, chmod go-w");
}

/* A class of hosts: labels with one space between. A typing error would leave the class empty, and its hosts open. */
static void check_labels(struct config_loader *l, int option, const char *text)
{
	char one[128], show[80];
	size_t n;

	if (strlen(text) > 1024)
		config_fault(l, option, "more than 1024 bytes; write fewer labels");
	for (const char *p = text; *p != '\0'; p += n + (p[n] == ' ')) {
		n = strcspn(p, " ");
		snprintf(one, sizeof(one), "%.*s", (int)(n < 127 ? n : 127), p);
		esc_quoted(show, sizeof(show), one, strlen(one));
		if (strncmp(one, "zone=", 5) == 0 && !words_one_of(one + 5, ZONE_LIST))
			config_fault(l, option, "%s is no zone; write zone= and one of " ZONE_LIST, show);
		else if (!name_is_label(one))
			config_fault(l, option, "%s is no label; write key=value, several with one space between", show);
	}
}

int config_uids(const char *text, int64_t *low, int64_t *high)
{
	const size_t n = strcspn(text, "-");
	unsigned long a, b;

	if (text[n] != '-' || !number_in(text, n, &a) || !number_in(text + n + 1, strlen(text + n + 1), &b) || a < 1000 || b > 2147483646 || a > b)
		return -1;
	*low = (int64_t)a;
	*high = (int64_t)b;
	return 0;
}

/* The command goes into certificates, and a shell of the target reads it: no byte in it means anything to one but a blank. */
static void check_accounts(struct config_loader *l, const struct config *conf)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._- ";
	const char *command = conf->account_command;
	int64_t low, high;

	if (!name_is_login(conf->account_login))
		config_fault(l, OPT_account_login, "no login: a letter or _, then letters, digits, _ . -, at most 32");
	if (command[0] == '\0' || strlen(command) > 255 || strspn(command, plain) != strlen(command))
		config_fault(l, OPT_account_command, "write the path of bastion-account at the targets, or \"sudo -n\" before it");
	if (config_uids(conf->account_uids, &low, &high) != 0)
		config_fault(l, OPT_account_uids, "no range of uids; write two numbers from 1000 to 2147483646, as \"65536-99999\"");
}

void config_check(struct config_loader *l, struct config *conf, bool init)
{
	check_users(l, conf);
	if (init)
		return;
	check_name(l, conf->name);
	check_pam(l, conf);
	check_outlets(l, conf);
	check_program(l, OPT_ticket_check, conf->ticket_check);
	check_program(l, OPT_notify, conf->notify);
	check_recording(l, conf);
	check_source_address(l, conf->source_address);
	check_accounts(l, conf);
	if (strlen(conf->run_dir) + sizeof("/control.sock") > sizeof(((struct sockaddr_un *)0)->sun_path))
		config_fault(l, OPT_run_dir, "too long for the address of a socket; write at most %zu characters",
		    sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/control.sock"));
	check_labels(l, OPT_no_grace, conf->no_grace);
	check_labels(l, OPT_step_up, conf->step_up);
	check_labels(l, OPT_approve_new, conf->approve_new);
	if (!totpkey_option_ok(conf->totp_key))
		config_fault(l, OPT_totp_key, "write nothing, the absolute path of a file, or credential:NAME");
	else if (conf->totp_key[0] == '/' && !config_is_sent(l) && access(conf->totp_key, F_OK) != 0)
		config_fault(l, OPT_totp_key, "there is no such file, and nobody with a second factor could log in; put the key there, 64 hexadecimal digits");
	if (conf->listen.n == 0)
		config_fault(l, OPT_listen, "no address to listen on; write { \"0.0.0.0:22\" }");
	if (conf->penalty_min > conf->penalty_max)
		config_fault(l, OPT_penalty_min, "more than penalty_max, so that no penalty would ever count; write less");
	if (conf->per_source_max > conf->max_startups.full)
		config_fault(l, OPT_per_source_max, "more than max_startups lets in at all (%u); write less, or 0 for no limit",
		    conf->max_startups.full);
}
