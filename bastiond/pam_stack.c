/*
 * pam_stack.c - see pam_stack.h. Linux-PAM reads PAM's directory, then the distribution's, or one file if there is no directory.
 */
#include "pam_stack.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "config.h"
#include "log.h"

#define FILES_MAX 65536		/* bytes of their descriptions: some 500 files. With more each login reads the stack */
#define LINE_SIZE 1024

struct pam_stack {
	pam_handle_t *pam;
	pam_handle_t *anchor;	/* the same once more: with it the modules stay loaded when a worker ends its copy of the other one */
	struct buf files;	/* what they were before it was loaded; broken: not known, and the stack is not taken */
};

/* name, device, inode, size, times */
static void put_file(struct buf *b, const char *path, const char *name)
{
	struct stat st;
	char text[160] = "none";

	if (stat(path, &st) == 0)
		snprintf(text, sizeof(text), "%ju %ju %jd %jd.%09ld %jd.%09ld", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
		    (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	buf_put_cstring(b, name);
	buf_put_cstring(b, text);
}

static void put_directory(struct buf *b, const char *dir)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	put_file(b, dir, dir);
	if ((d = opendir(dir)) == NULL)
		return;
	/* an unchanged directory gives its names in the order that it gave before */
	while (buf_ok(b) && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			put_file(b, path, e->d_name);
	closedir(d);
}

static void put_files(struct buf *b, const struct config *conf)
{
	buf_init(b, FILES_MAX);
	if (conf->pam_confdir[0] != '\0')
		put_directory(b, conf->pam_confdir);
	/* also then: what is included is looked for here, whatever the directory of the stack (Debian's @include; `include` before Linux-PAM 1.6) */
	put_directory(b, "/etc/pam.d");
	put_directory(b, "/usr/lib/pam.d");
	put_file(b, "/etc/pam.conf", "/etc/pam.conf");
}

/* Does the line include a file from elsewhere, or may its next one say so? */
static bool line_leaves(const char *line)
{
	static const char *const words[] = { "include", "substack" };
	const char *p;

	if (strchr(line, '\n') == NULL && strlen(line) + 1 >= LINE_SIZE)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (p = line; (p = strcasestr(p, words[i])) != NULL;) {
			p += strlen(words[i]);
			p += strspn(p, " \t");
			if (*p == '/' || *p == '.' || *p == '\\')
				return true;
		}
	return false;
}

/* What cannot be read may say anything. */
static bool leaves_directory(const char *path)
{
	char line[LINE_SIZE];
	FILE *f = fopen(path, "re");
	bool leaves = f == NULL;

	while (!leaves && fgets(line, sizeof(line), f) != NULL)
		leaves = line_leaves(line);
	if (f != NULL)
		fclose(f);
	return leaves;
}

static bool all_inside(const char *dir)
{
	struct dirent *e;
	char path[512];
	DIR *d = opendir(dir);
	bool inside = d != NULL || errno == ENOENT;

	while (d != NULL && inside && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			inside = snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path) && !leaves_directory(path);
	if (d != NULL)
		closedir(d);
	return inside;
}

static int start(const struct config *conf, const char *user, const struct pam_conv *conv, pam_handle_t **pam)
{
	const char *dir = conf->pam_confdir;
	int r = dir[0] != '\0' ? pam_start_confdir(conf->pam_service, user, conv, dir, pam) :
	    pam_start(conf->pam_service, user, conv, pam);

	if (r != PAM_SUCCESS)
		*pam = NULL;
	return r;
}

struct pam_stack *pam_stack_load(const struct config *conf)
{
	static const struct pam_conv none;
	struct pam_stack *s = calloc(1, sizeof(*s));
	const char *dir = conf->pam_confdir;
	int r = PAM_BUF_ERR;

	if (s != NULL) {
		/* before it is loaded: what changes meanwhile is another stack */
		put_files(&s->files, conf);
		if ((dir[0] != '\0' && !all_inside(dir)) || !all_inside("/etc/pam.d") || !all_inside("/usr/lib/pam.d"))
			buf_finish(&s->files);
		r = start(conf, NULL, &none, &s->pam);
	}
	if (r == PAM_SUCCESS)
		r = start(conf, NULL, &none, &s->anchor);
	if (r == PAM_SUCCESS)
		return s;
	log_warn("PAM service %s: %s: nobody with a second factor can log in", conf->pam_service, pam_strerror(NULL, r));
	pam_stack_free(s);
	return NULL;
}

void pam_stack_free(struct pam_stack *s)
{
	if (s == NULL)
		return;
	if (s->pam != NULL)
		pam_end(s->pam, PAM_SUCCESS);
	if (s->anchor != NULL)
		pam_end(s->anchor, PAM_SUCCESS);
	buf_finish(&s->files);
	free(s);
}

static bool unchanged(const struct pam_stack *s, const struct config *conf)
{
	struct buf now;
	bool same;

	put_files(&now, conf);
	same = buf_ok(&now) && buf_ok(&s->files) && s->files.len != 0 && now.len == s->files.len && memcmp(now.data, s->files.data, now.len) == 0;
	buf_finish(&now);
	return same;
}

int pam_stack_start(struct pam_stack *s, const struct config *conf, const char *user, const struct pam_conv *conv, pam_handle_t **pam)
{
	int r;

	*pam = NULL;
	if (s == NULL || s->pam == NULL || !unchanged(s, conf))
		return start(conf, user, conv, pam);
	*pam = s->pam;
	s->pam = NULL;
	if ((r = pam_set_item(*pam, PAM_USER, user)) == PAM_SUCCESS && (r = pam_set_item(*pam, PAM_CONV, conv)) == PAM_SUCCESS)
		return r;
	pam_end(*pam, r);
	*pam = NULL;
	return r;
}
