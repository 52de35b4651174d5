/*
 * ctl_directory.c - see ctl_directory.h. A child of bastionctl: reads, as root, what only root may (the file, the secret), then is
 * nobody before it looks at a byte that came from elsewhere.
 */
#include "ctl_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ldap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "ctl.h"
#include "names.h"

#define NOBODY 65534
#define FILE_MAX (16U << 20)
#define TIME_LIMIT 120		/* seconds for everything */
#define PAGE 500		/* entries asked for at once */

static int drop(void)
{
	alarm(TIME_LIMIT);
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && setuid(0) != 0)
		return 0;
	ctl_fail("cannot give up root's rights");
	return -1;
}

/* As policy takes it: UTF-8 without control characters and without the sign between parts. */
static bool is_part(const char *s)
{
	json_t *utf8 = json_string(s);

	json_decref(utf8);
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || *s == '|')
			return false;
	return utf8 != NULL;
}

/*
 * One user. What cannot be a user here is named and left out. Who can be one, but with a person or roles that policy would
 * not take, is not gone: the name alone goes on, and the account, if there is one, stays as it is.
 */
static void put(FILE *out, const char *name, const char *roles, const char *person)
{
	if (!name_is_user(name)) {
		ctl_fail("left out: %s: no name of a user here", name);
	} else if (person[0] == '\0' || strlen(person) > PERSON_MAX || !is_part(person) || !is_part(roles) ||
	    strlen(name) + strlen(roles) + strlen(person) + 2 > TEXT_MAX) {
		ctl_fail("stays as it is: %s: its person or its list of roles is empty, too long, or no plain text", name);
		fprintf(out, "%s\n", name);
	} else {
		fprintf(out, "%s|%s|%s\n", name, roles, person);
	}
}

/* NAME ROLE,ROLE PERSON; "-" for no role, "*" to leave them as they are. */
static int from_text(FILE *out, const char *path, char *text)
{
	unsigned number = 0;

	for (char *line = text, *next; line != NULL; line = next) {
		char *name, *roles, *person;

		number++;
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		name = line + strspn(line, " \t\r");
		if (*name == '\0' || *name == '#')
			continue;
		roles = name + strcspn(name, " \t");
		if (*roles != '\0')
			*roles++ = '\0';
		roles += strspn(roles, " \t");
		person = roles + strcspn(roles, " \t");
		if (*person != '\0')
			*person++ = '\0';
		person += strspn(person, " \t");
		person[strcspn(person, "\r")] = '\0';
		if (*person == '\0') {
			ctl_fail("%s:%u: write NAME ROLE,ROLE PERSON, with - for no role, * to leave them", path, number);
			return 1;
		}
		if (strcmp(roles, "-") == 0)
			*roles = '\0';
		for (char *p = roles; *p != '\0'; p++)
			if (*p == ',')
				*p = ' ';
		put(out, name, roles, person);
	}
	return 0;
}

/* "cn=bastion-dba,ou=groups" → "dba" with the prefix "bastion-". What is no role's name here is not meant for us. */
static void add_role(char *roles, size_t size, const char *value, size_t len, const char *prefix)
{
	const char *eq = memchr(value, '=', len), *comma;
	char name[USER_NAME_MAX + 1];
	size_t skip = strlen(prefix), have = strlen(roles);

	if (eq != NULL) {
		len -= (size_t)(eq + 1 - value);
		value = eq + 1;
		if ((comma = memchr(value, ',', len)) != NULL)
			len = (size_t)(comma - value);
	}
	if (len <= skip || memcmp(value, prefix, skip) != 0 || len - skip > USER_NAME_MAX)
		return;
	snprintf(name, sizeof(name), "%.*s", (int)(len - skip), value + skip);
	if (name_is_user(name))
		snprintf(roles + have, size - have, "%s%s", have > 0 ? " " : "", name);
}

/* The first value, as far as it fits; a NUL inside becomes what no text has. */
static void first(struct berval **values, char *out, size_t size)
{
	size_t len;

	out[0] = '\0';
	if (values == NULL || values[0] == NULL)
		return;
	len = values[0]->bv_len < size - 1 ? values[0]->bv_len : size - 1;
	memcpy(out, values[0]->bv_val, len);
	out[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (out[i] == '\0')
			out[i] = 0x7f;
}

static void one_entry(LDAP *ld, LDAPMessage *e, const struct directory *d, FILE *out)
{
	struct berval **name = ldap_get_values_len(ld, e, d->name), **person = ldap_get_values_len(ld, e, d->person),
	    **roles = d->roles[0] != '\0' ? ldap_get_values_len(ld, e, d->roles) : NULL;
	char list[1024] = "", n[USER_NAME_MAX + 2], p[512];

	/* where no attribute has them they are not the directory's to say */
	if (d->roles[0] == '\0')
		snprintf(list, sizeof(list), "*");
	for (int i = 0; roles != NULL && roles[i] != NULL; i++)
		add_role(list, sizeof(list), roles[i]->bv_val, roles[i]->bv_len, d->prefix);
	first(name, n, sizeof(n));
	first(person, p, sizeof(p));
	put(out, n, list, p);
	ldap_value_free_len(name);
	ldap_value_free_len(person);
	ldap_value_free_len(roles);
}

static int ldap_wrong(LDAP *ld, const char *what, int rc)
{
	ldap_unbind_ext_s(ld, NULL, NULL);
	ctl_fail("%s: %s", what, ldap_err2string(rc));
	return 1;
}

/* Where the next page begins, into the cookie; empty when there is none. What cannot be read is no last page. */
static int next_page(LDAP *ld, LDAPMessage *result, struct berval *cookie)
{
	LDAPControl **answered = NULL, *found;
	ber_int_t estimate;
	int code = LDAP_SUCCESS, rc = ldap_parse_result(ld, result, &code, NULL, NULL, NULL, &answered, 0);

	if (rc == LDAP_SUCCESS)
		rc = code;
	if (rc == LDAP_SUCCESS && (found = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, answered, NULL)) != NULL)
		rc = ldap_parse_pageresponse_control(ld, found, &estimate, cookie);
	ldap_controls_free(answered);
	return rc;
}

/* Page by page: a server that gives no more than some hundred at once must not make the rest disappear. */
static int search(LDAP *ld, const struct directory *d, FILE *out)
{
	char *attributes[] = { (char *)(uintptr_t)d->name, (char *)(uintptr_t)d->person,
		d->roles[0] != '\0' ? (char *)(uintptr_t)d->roles : NULL, NULL };
	struct berval cookie = { 0, NULL };
	int rc;

	do {
		LDAPControl *page = NULL, *controls[2] = { NULL, NULL };
		LDAPMessage *result = NULL;

		if ((rc = ldap_create_page_control(ld, PAGE, cookie.bv_val != NULL ? &cookie : NULL, 0, &page)) != LDAP_SUCCESS)
			return rc;
		controls[0] = page;
		rc = ldap_search_ext_s(ld, d->base, LDAP_SCOPE_SUBTREE, d->filter, attributes, 0, controls, NULL, NULL,
		    LDAP_NO_LIMIT, &result);
		ldap_control_free(page);
		ber_memfree(cookie.bv_val);
		cookie = (struct berval){ 0, NULL };
		for (LDAPMessage *e = rc == LDAP_SUCCESS ? ldap_first_entry(ld, result) : NULL; e != NULL; e = ldap_next_entry(ld, e))
			one_entry(ld, e, d, out);
		if (rc == LDAP_SUCCESS)
			rc = next_page(ld, result, &cookie);
		ldap_msgfree(result);
	} while (rc == LDAP_SUCCESS && cookie.bv_len > 0);
	ber_memfree(cookie.bv_val);
	return rc;
}

static int from_ldap(const struct directory *d, char *secret, FILE *out)
{
	const int version = LDAP_VERSION3, hard = LDAP_OPT_X_TLS_DEMAND;
	const struct timeval patience = { .tv_sec = 30 };
	struct berval password = { 0, NULL };
	LDAP *ld = NULL;
	int rc;

	if (d->tls_ca[0] != '\0')
		ldap_set_option(NULL, LDAP_OPT_X_TLS_CACERTFILE, d->tls_ca);
	ldap_set_option(NULL, LDAP_OPT_X_TLS_REQUIRE_CERT, &hard);
	if ((rc = ldap_initialize(&ld, d->source)) != LDAP_SUCCESS) {
		ctl_fail("%s: %s", d->source, ldap_err2string(rc));
		return 1;
	}
	ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
	ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &patience);
	ldap_set_option(ld, LDAP_OPT_TIMEOUT, &patience);
	/* a list of servers may have it anywhere; what has TLS already does not begin it twice, and fails */
	if (strcasestr(d->source, "ldap:") != NULL && (rc = ldap_start_tls_s(ld, NULL, NULL)) != LDAP_SUCCESS)
		return ldap_wrong(ld, "StartTLS", rc);
	if (secret != NULL) {
		secret[strcspn(secret, "\r\n")] = '\0';
		password = (struct berval){ strlen(secret), secret };
	}
	if ((rc = ldap_sasl_bind_s(ld, d->bind[0] != '\0' ? d->bind : NULL, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL)) !=
	    LDAP_SUCCESS)
		return ldap_wrong(ld, "bind", rc);
	if ((rc = search(ld, d, out)) != LDAP_SUCCESS)
		return ldap_wrong(ld, "search", rc);
	ldap_unbind_ext_s(ld, NULL, NULL);
	return 0;
}

int directory_child(const struct directory *d, int fd)
{
	bool file = strncmp(d->source, "file:", 5) == 0;
	FILE *out = fdopen(fd, "w");
	char *text = NULL;
	int r = 1;

	/* what root alone may read comes before, what it means comes after */
	if (out == NULL || ((file || d->secret[0] != '\0') && (text = ctl_text(file ? d->source + 5 : d->secret,
	    file ? FILE_MAX : DIRECTORY_TEXT)) == NULL) || drop() != 0)
		goto out;
	if (!file && d->bind[0] != '\0' && text == NULL)
		ctl_fail("directory: bind without secret");
	else
		r = file ? from_text(out, d->source + 5, text) : from_ldap(d, text, out);
	if (fflush(out) != 0)
		r = 1;
out:
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
	return r;
}
