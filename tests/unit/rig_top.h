/*
 * rig_top.h - where tests keep their databases: in memory if there is room, as how long a disk takes is not what they are about.
 */
#ifndef RIG_TOP_H
#define RIG_TOP_H

#include <stdint.h>
#include <sys/statvfs.h>
#include <unistd.h>

static inline const char *rig_top(void)
{
	struct statvfs st;

	/* a container's may have 64 MB in all */
	return access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize > 1 << 30 ? "/dev/shm" : "/tmp";
}

#endif
