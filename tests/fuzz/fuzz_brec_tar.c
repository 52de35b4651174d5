/*
 * fuzz_brec_tar.c - a bundle with any contents, and the verdict on it: nobody is trusted, so it is never complete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "brec_dir.h"
#include "brec_verify.h"
#include "tlog_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[1][KEY_LEN] = { { 1 } };
	struct brec_trust nobody = { .signers = key, .nsigners = 1 };
	struct brec_report report;
	struct brec_tar tar;
	struct tlog_log log;
	char path[64];
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (brec_tar_open(&tar, dup(fd)) == 0) {
		for (size_t i = 0; i < tar.n; i++)
			if (tar.v[i].offset + tar.v[i].size > size || brec_tar_find(&tar, tar.v[i].name) != &tar.v[i])
				abort();
		tlog_read_bundle(&log, &tar, key, 1);
		if (log.state == TLOG_GOOD)
			abort();
		tlog_log_finish(&log);
		brec_tar_close(&tar);
	}
	if (brec_verify_dir(path, &nobody, &report) == BREC_COMPLETE)
		abort();
	close(fd);
	return 0;
}
