/*
 * ctl.h - the parts of bastionctl(1). It runs as whoever called it; policy knows that from the
 * kernel.
 */
#ifndef BASTION_CTL_H
#define BASTION_CTL_H

#include <jansson.h>
#include <stdbool.h>

#include "buf.h"
#include "ipc.h"
#include "render.h"
#include "words.h"

#define CTL_REPLY_MAX (8U << 20)
#define CTL_PAGE_MAX 1000	/* rows in one reply */
#define CTL_TIMEOUT_MS 30000
#define CTL_PATH_MAX 4096

struct ctl {
	const char *conf_path;		/* bastiond.conf */
	char state_dir[CTL_PATH_MAX], run_dir[CTL_PATH_MAX];
	char socket[CTL_PATH_MAX];
	struct ipc link;		/* fd -1: not connected */
	uint32_t next_id;
	struct render_opts show;
	bool terminal;			/* at both ends: questions and QR codes make sense */
	bool dumb, utf8;		/* of that terminal, by TERM and by the locale */
};

/*
 * state_dir and run_dir from the configuration; its other options are nobody's business here. 0, or
 * -1 after a line.
 */
int ctl_conf_read(struct ctl *c, bool must_exist);

/*
 * One request and its whole reply, through the control socket. enum words_exit: WORDS_OK, or
 * WORDS_BROKEN after a line.
 */
int ctl_ask(struct ctl *c, const char *json, struct buf *reply);
/* The same, for who reads it: the reply parsed, the caller's; NULL after a line, and *r says why. */
json_t *ctl_get(struct ctl *c, const char *json, int *r);
/* As ctl_ask; of a report, or explain, that has more than one page all of them, up to what can be shown. */
int ctl_ask_all(struct ctl *c, const struct words_call *call, struct buf *reply);
/* What was printed is out. WORDS_OK, or WORDS_BROKEN after a line. */
int ctl_flush(void);
/* Prints it; returns what render_reply returns. */
int ctl_show(struct ctl *c, const struct buf *reply);
/* A whole file, "-": standard input, terminated. 0, or -1 with errno: EFBIG it does not fit, EINVAL it has a NUL byte. */
int ctl_read(const char *path, char *out, size_t size);
/* The same of at most `most` bytes, the caller's to free; NULL after a line. */
char *ctl_text(const char *path, size_t most);
/* Prints a line on standard error, with the program's name; returns WORDS_BROKEN. */
int ctl_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * `user totp enrol`, after its reply came: QR code, two codes, confirmation. Returns the exit
 * status.
 */
int ctl_enrol(struct ctl *c, const struct words_call *call, const struct buf *reply);
/* `watch`, after its reply came: shows the session until it is over, or the refusal. Returns the exit status. */
int ctl_watch(struct ctl *c, const struct buf *reply);
/* Connects to the control socket, if that was not done yet. WORDS_OK, or WORDS_BROKEN after a line. */
int ctl_connect(struct ctl *c);
/* `names KIND`. Returns the exit status. */
int ctl_names(struct ctl *c, const char *kind);
/* `events verify`; against: a file, or NULL. Returns the exit status. */
int ctl_verify(struct ctl *c, const char *against);
/* `sync`: a directory's people. Returns the exit status. */
int ctl_sync(struct ctl *c, const json_t *args);
/* `import keys` and `import hosts`, with the arguments of their requests. Return the exit status. */
int ctl_import_keys(struct ctl *c, const json_t *args);
int ctl_import_hosts(struct ctl *c, const json_t *args);
/* `backup FILE`. Returns the exit status. */
int ctl_backup(struct ctl *c, const char *path);
/* AT_CTL words. Returns the exit status; init does not return if it works. */
int ctl_local(struct ctl *c, const struct words_call *call);
/* `key add`, with the arguments of its request. */
int ctl_key_add(struct ctl *c, const json_t *args);

#endif
