/*
 * ctl_backup.c - `bastionctl backup FILE`: policy writes a copy of its database into a file that we open.
 *
 * It is written under another name and takes the file's name when it is whole and on disk: a backup that is cut short
 * leaves the one before in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "write_all.h"

/* policy's answers: 2 it goes on, 1 done, 0 no. */
static int await(struct ctl *c, uint32_t id, char *line, size_t size)
{
	struct ipc_msg m;
	int what = 2, r;

	while (what == 2) {
		if ((r = ipc_wait(&c->link, &m, CTL_TIMEOUT_MS)) <= 0)
			return ctl_fail(r == 0 ? "no answer within %d s" : "bastiond closed the connection", CTL_TIMEOUT_MS / 1000);
		if (m.type == MSG_CTL_BACKUP_RE && m.id == id) {
			what = buf_get_u8(&m.body);
			buf_get_cstring(&m.body, line, size);
		}
		ipc_msg_finish(&m);
	}
	if (what == 1)
		return WORDS_OK;
	ctl_fail("backup: %s", line);
	return WORDS_REFUSED;
}

int ctl_backup(struct ctl *c, const char *path)
{
	char side[CTL_PATH_MAX + 8], line[1100] = "";
	uint32_t id = ++c->next_id;
	int fd, r;

	snprintf(side, sizeof(side), "%s.new", path);
	unlink(side);
	if ((fd = open(side, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return ctl_fail("%s: %s", side, strerror(errno));
	if ((r = ctl_connect(c)) == WORDS_OK) {
		if (ipc_send(&c->link, MSG_CTL_BACKUP, id, NULL, &fd, 1) != 0)
			r = ctl_fail("cannot send: %s", strerror(errno));
		else
			r = await(c, id, line, sizeof(line));
	}
	if (r == WORDS_OK && (fsync(fd) != 0 || rename(side, path) != 0 || sync_dir_of(path) != 0))
		r = ctl_fail("%s: %s", path, strerror(errno));
	close(fd);
	if (r != WORDS_OK) {
		unlink(side);
		return r;
	}
	printf("%s: %s bytes. Check it: bastionctl backup check %s\n", path, line, path);
	return ctl_flush();
}
