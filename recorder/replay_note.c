/*
 * replay_note.c - see replay_readings.h: tells the bastion that a recording is read, by a command that the
 * auditor has configured: `ssh eve@bastion` in $BASTION_NOTE, or in the trust file
 *
 *   notify ssh -o BatchMode=yes eve@bastion
 *
 * The command is words with blanks between, run as they are, never by a shell. Behind them stand those of
 * the note, which are of letters, digits and dashes alone:
 *
 *   note-replay play [--reveal] --recording ID --number N --at SECONDS --hash HASH
 */
#include "replay_readings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "hex.h"
#include "names.h"

#define BLANKS " \t\r\n"

static int split(struct notify *n)
{
	char *save, *w = strtok_r(n->text, BLANKS, &save);

	for (; w != NULL; w = strtok_r(NULL, BLANKS, &save)) {
		if (n->n == NOTE_WORDS_MAX) {
			fprintf(stderr, "bastion-replay: the command for notes has more than %d words\n", NOTE_WORDS_MAX);
			return -1;
		}
		n->words[n->n++] = w;
	}
	return 0;
}

static int take(struct notify *n, const char *text)
{
	if (strlen(text) >= sizeof(n->text)) {
		fprintf(stderr, "bastion-replay: the command for notes is too long\n");
		return -1;
	}
	strcpy(n->text, text);
	return split(n);
}

int notify_find(struct notify *n, const struct args *a)
{
	const char *env = getenv("BASTION_NOTE");
	const bool in_env = env != NULL && env[0] != '\0';
	char line[1024];
	FILE *f = fopen(a->trust, "re");
	int r = 0;

	*n = (struct notify){ .n = 0 };
	/* one that was named is there, also where no command is looked for in it: with a slip of the pen nobody would be told */
	if (f == NULL && (a->trust_named || (!in_env && errno != ENOENT))) {
		esc_quoted(line, sizeof(line), a->trust, strlen(a->trust));
		fprintf(stderr, "bastion-replay: trust file %s, which may name a command for notes: %s\n", line, strerror(errno));
		return -1;
	}
	if (in_env)
		r = take(n, env);
	while (f != NULL && !in_env && r == 0 && n->n == 0 && fgets(line, sizeof(line), f) != NULL) {
		const char *p = line + strspn(line, BLANKS);

		if (strncmp(p, "notify", 6) == 0 && strchr(BLANKS, p[6]) != NULL)
			r = take(n, p + 6);
	}
	if (f != NULL)
		fclose(f);
	return r;
}

/* ---- the note's words ---- */

struct note {
	char *words[NOTE_WORDS_MAX + 24];
	size_t n;
	char number[24], at[24], recordings[24], hash[2 * HASH_LEN + 1];
};

static void add(struct note *w, const char *word)
{
	w->words[w->n++] = (char *)(uintptr_t)word;
	w->words[w->n] = NULL;
}

static void add_named(struct note *w, const char *name, const char *value)
{
	add(w, name);
	add(w, value);
}

static void make_note(struct note *w, const struct notify *n, const struct reading *r)
{
	*w = (struct note){ .n = 0 };
	for (size_t i = 0; i < n->n; i++)
		add(w, n->words[i]);
	add(w, "note-replay");
	add(w, strcmp(r->command, "export") == 0 || strcmp(r->command, "search") == 0 ? r->command : "replay");
	if (r->reveal)
		add(w, "--reveal");
	snprintf(w->number, sizeof(w->number), "%llu", (unsigned long long)r->number);
	snprintf(w->at, sizeof(w->at), "%lld", (long long)r->at);
	snprintf(w->recordings, sizeof(w->recordings), "%llu", (unsigned long long)r->recordings);
	if (r->recording[0] != '\0')
		add_named(w, "--recording", r->recording);
	else if (r->recordings > 0)
		add_named(w, "--recordings", w->recordings);
	/* who limited a search to names that are none, limited it to nothing */
	if (name_is_user(r->user))
		add_named(w, "--user", r->user);
	if (name_is_host(r->host))
		add_named(w, "--host", r->host);
	add_named(w, "--number", w->number);
	add_named(w, "--at", w->at);
	add_named(w, "--hash", hex_encode(w->hash, r->hash, HASH_LEN));
}

/* ---- running it ---- */

/* In the child: the words on stdin from nowhere, both outputs to fd. */
static _Noreturn void run_words(char *const words[], int fd)
{
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	signal(SIGPIPE, SIG_DFL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(127);
	execvp(words[0], words);
	dprintf(2, "%s", strerror(errno));
	_exit(127);
}

/* What it says, up to its end. False: it is not done in time. */
static bool listen_to(int fd, uint64_t until_ms, char *out, size_t size)
{
	size_t n = 0;
	char piece[512];

	for (;;) {
		const uint64_t now = clock_mono_ms();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got;

		out[n] = '\0';
		if (now >= until_ms)
			return false;
		if (poll(&p, 1, (int)(until_ms - now)) <= 0)
			continue;
		if ((got = read(fd, piece, sizeof(piece))) < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return true;
		if ((size_t)got > size - 1 - n)
			got = (ssize_t)(size - 1 - n);
		memcpy(out + n, piece, (size_t)got);
		n += (size_t)got;
	}
}

/* Its exit status, or -1. Past the time it is killed. */
static int wait_for(pid_t pid, uint64_t until_ms)
{
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	uint64_t now;
	int status;
	pid_t r;

	/* it has closed its outputs, and ends, or is made to */
	while (p.fd >= 0 && (now = clock_mono_ms()) < until_ms && poll(&p, 1, (int)(until_ms - now)) <= 0)
		;
	if (p.fd < 0 || clock_mono_ms() >= until_ms)
		kill(pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	while ((r = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	return r == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int notify_send(const struct notify *n, const struct reading *r, unsigned seconds, char *err, size_t errsize)
{
	char said[NOTE_OUTPUT_MAX], shown[4 * NOTE_OUTPUT_MAX + 7];
	const uint64_t until_ms = clock_mono_ms() + 1000ULL * seconds;
	struct note note;
	bool in_time;
	int fds[2], status;
	pid_t pid;

	make_note(&note, n, r);
	if (pipe2(fds, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		snprintf(err, errsize, "%s", strerror(errno));
		return -1;
	}
	if (pid == 0)
		run_words(note.words, fds[1]);
	close(fds[1]);
	in_time = listen_to(fds[0], until_ms, said, sizeof(said));
	close(fds[0]);
	status = wait_for(pid, until_ms);
	if (in_time && status == 0)
		return 0;
	said[strcspn(said, "\n")] = '\0';
	esc_line(shown, sizeof(shown), said, strlen(said));
	if (!in_time)
		snprintf(err, errsize, "no answer within %u s", seconds);
	else
		snprintf(err, errsize, "status %d: %s", status, shown);
	return -1;
}
