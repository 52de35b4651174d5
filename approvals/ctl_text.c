/*
 * ctl_text.c - whole files that a user of bastionctl named. Nothing in them is looked at here, but that they are text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

int ctl_read(const char *path, char *out, size_t size)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (len < size &&
	    ((n = read(fd, out + len, size - len)) > 0 || (n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	close(fd);
	if (n < 0)
		return -1;
	if (len == size || memchr(out, '\0', len) != NULL) {
		errno = len == size ? EFBIG : EINVAL;
		return -1;
	}
	out[len] = '\0';
	return 0;
}

char *ctl_text(const char *path, size_t most)
{
	char *text = malloc(most + 1);

	if (text != NULL && ctl_read(path, text, most + 1) == 0)
		return text;
	if (text != NULL && errno == EFBIG)
		ctl_fail("%s: longer than %zu bytes", path, most);
	else
		ctl_fail("%s: %s", path, text != NULL && errno == EINVAL ? "no text: it has a NUL byte" : strerror(errno));
	free(text);
	return NULL;
}
