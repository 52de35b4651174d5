/*
 * worker_program.h - a worker runs one program to its end: without a shell, over bounded pipes, for a bounded time.
 *
 * Used by worker_hook.c and worker_target.c, in a process that has dropped already.
 */
#ifndef BASTIOND_WORKER_PROGRAM_H
#define BASTIOND_WORKER_PROGRAM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct program {
	/* the caller's: */
	const char *path;
	char *const *argv, *const *env;
	const char *input;		/* for its standard input */
	size_t len;
	uint32_t limit_ms;		/* for the line that says so */
	uint64_t end_ms;		/* clock_mono_ms(): killed then */
	uint64_t file_max;		/* bytes of a file that it may write */
	uint64_t crowd_max;		/* processes and threads of its account, from all that run under it; 0: no bound */
	char *out, *err;		/* its standard output and error, of out_max and err_max bytes at most */
	size_t out_max, err_max;	/* more output ends it, more noise is cut */
	/* beside it: descriptors that are looked at while it runs; NULL: none */
	nfds_t (*watch)(void *arg, struct pollfd *v);	/* fills at most PROGRAM_WATCH_MAX */
	void (*watched)(void *arg, const struct pollfd *v, nfds_t n);
	void *arg;
	/* and what came of it: */
	size_t taken, said;
	int status;			/* of waitpid(); -1: it did not end by itself */
	char reason[256];		/* why there is no exit status to look at; "": there is one */
	/* under way: */
	pid_t pid;
	int in_fd, out_fd, err_fd;
	size_t given;
};

#define PROGRAM_WATCH_MAX 4

/* Runs it; nothing of it is left when this returns (in a process namespace of its own: of its children neither). */
void program_run(struct program *r);

#endif
