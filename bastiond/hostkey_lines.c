/*
 * hostkey_lines.c - see hostkey_lines.h. Read in parent, and in policy before it drops root; taken in policy.
 */
#include "hostkey_lines.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static void read_file(struct buf *out, uint8_t *count, const char *path)
{
	char line[SSH_HOSTKEY_LINE_MAX];
	FILE *f = fopen(path, "re");

	if (f == NULL) {
		log_warn("%s: %s", path, strerror(errno));
		return;
	}
	while (*count < HOSTKEY_LINES_MAX && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] == '\0')
			continue;
		buf_put_cstring(out, line);
		(*count)++;
	}
	fclose(f);
}

int hostkey_lines_read(struct buf *out, const char *state_dir)
{
	const size_t at = out->len;
	uint8_t count = 0;

	buf_put_u8(out, 0);
	for (size_t i = 0; ssh_hostkeys_name(i) != NULL; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s.pub", state_dir, ssh_hostkeys_name(i));
		read_file(out, &count, path);
	}
	if (!buf_ok(out))
		return -1;
	out->data[at] = count;
	return 0;
}

static bool is_line(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			return false;
	return true;
}

int hostkey_lines_take(struct buf *b, char *lines[HOSTKEY_LINES_MAX + 1])
{
	char *fresh[HOSTKEY_LINES_MAX + 1] = { NULL }, line[SSH_HOSTKEY_LINE_MAX];
	const uint8_t count = buf_get_u8(b);
	int r = count <= HOSTKEY_LINES_MAX ? 0 : -1;

	for (uint8_t i = 0; r == 0 && i < count; i++)
		if (buf_get_cstring(b, line, sizeof(line)) != 0 || !is_line(line) || (fresh[i] = strdup(line)) == NULL)
			r = -1;
	if (r != 0 || !buf_end(b)) {
		hostkey_lines_free(fresh);
		return -1;
	}
	hostkey_lines_free(lines);
	memcpy(lines, fresh, sizeof(fresh));
	return 0;
}

void hostkey_lines_free(char *lines[HOSTKEY_LINES_MAX + 1])
{
	for (size_t i = 0; i < HOSTKEY_LINES_MAX + 1; i++) {
		free(lines[i]);
		lines[i] = NULL;
	}
}
