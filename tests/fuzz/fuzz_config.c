/*
 * fuzz_config.c - the configuration file from any bytes: taken, or refused with lines that are safe to print; never half taken.
 *
 * Only an administrator writes it, but by copying, generating and merging; and a role reads what parent hands it. Files that it names are not
 * of interest here: an input that could name one with contents of its own is looked at like any other.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(void *arg, const char *line)
{
	unsigned *lines = arg;

	++*lines;
	if (line[0] == '\0')
		abort();
	for (; *line != '\0'; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	unsigned lines = 0;
	struct config *conf;

	if (fd < 0 && (fd = memfd_create("config", MFD_CLOEXEC)) < 0)
		abort();
	if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	conf = config_load_fd(fd, "fuzz", look, &lines);
	/* what is refused says why, what is taken says nothing */
	if ((conf == NULL) != (lines != 0))
		abort();
	config_destroy(conf);
	return 0;
}
