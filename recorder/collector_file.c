/*
 * collector_file.c - see collector_file.h. Runs in bastion-collectord and its archiver at their start, as root if they were started so, and at
 * SIGHUP.
 */
#include "collector_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *coll_file(const char *path, size_t max, bool secret, size_t *len, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text = NULL;
	ssize_t n = -1;

	if (fd < 0 || fstat(fd, &st) != 0) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
	} else if (secret && (st.st_mode & 077) != 0) {
		snprintf(why, size, "%s can be read by others than its owner: chmod 600 %s", path, path);
	} else if (st.st_size < 0 || (size_t)st.st_size > max || (text = calloc(1, (size_t)st.st_size + 1)) == NULL) {
		snprintf(why, size, "%s is larger than %zu bytes", path, max);
	} else if ((n = read(fd, text, (size_t)st.st_size)) < 0) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	if (len != NULL)
		*len = (size_t)n;
	return text;
}
