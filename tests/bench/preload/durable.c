/*
 * durable.c - makes a program durable that was not: whatever it has flushed to or written into a plain file is synced before it goes on.
 *
 * Preloaded by tests/bench into tlog-rec and sudo_logsrvd, which sync nothing themselves, so that they are compared at what bastiond does. `fflush` is
 * what sudo_logsrvd calls after each record (iolog_flush), `write` what tlog-rec calls for each message.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_durable(int fd)
{
	int saved = errno;
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fdatasync(fd) != 0)
		abort();
	errno = saved;
}

int fflush(FILE *f)
{
	static int (*real)(FILE *);
	int r;

	if (real == NULL)
		real = (int (*)(FILE *))dlsym(RTLD_NEXT, "fflush");
	r = real(f);
	if (r == 0 && f != NULL)
		make_durable(fileno(f));
	return r;
}

ssize_t write(int fd, const void *data, size_t len)
{
	static ssize_t (*real)(int, const void *, size_t);
	ssize_t n;

	if (real == NULL)
		real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	n = real(fd, data, len);
	if (n > 0)
		make_durable(fd);
	return n;
}
