/*
 * replay_keys.c - whose recordings are believed, and with which key they are read.
 *
 * The trust file, one key a line; # begins a comment:
 *
 *   signer NAME KEY       a bastion's recorder: state_dir/recorder/signer.pub
 *   collector NAME KEY    a collector's receipts and log: its certificate file, which holds the key as well
 *   witness NAME VKEY     a witness of the log, as signed-note writes its key
 *   tsa NAME FILE         PEM certificates that a timestamping authority's own leads to
 *   notify WORD …         the command that takes notes of readings (replay_note.c)
 *
 * KEY is the raw Ed25519 public key in base64, or the name of a PEM file with PUBLIC KEY blocks; a
 * relative name starts at the trust file's directory.
 */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "escape.h"
#include "hex.h"

/* ---- the identity ---- */

/* Each of these ends or stops the program, and must not find the terminal without an echo. */
static const int ends[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP };

/* A line, without its end, to out[size]: how long it is, 0 at the end of input, or -1: a signal waits to be taken. */
static ssize_t read_line(int fd, int signals, char *out, size_t size)
{
	struct pollfd pfd[2] = { { .fd = fd, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	size_t n = 0;

	while (n + 1 < size) {
		if (poll(pfd, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return 0;
		}
		if (pfd[1].revents != 0)
			return -1;
		if (read(fd, out + n, 1) != 1 || out[n] == '\n')
			break;
		n++;
	}
	out[n] = '\0';
	return (ssize_t)n;
}

/* As read_line, behind a question. Signals are held meanwhile: what waits of them comes when the terminal is as it was. */
static ssize_t ask_once(int fd, const char *name, char *out, size_t size)
{
	struct termios old, quiet;
	sigset_t held, before;
	ssize_t n = 0;
	int signals;

	sigemptyset(&held);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaddset(&held, ends[i]);
	if (tcgetattr(fd, &old) != 0 || (signals = signalfd(-1, &held, SFD_CLOEXEC)) < 0)
		return 0;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	sigprocmask(SIG_BLOCK, &held, &before);
	/* before the question: an answer that is quick would be echoed, and thrown away */
	if (tcsetattr(fd, TCSAFLUSH, &quiet) == 0) {
		dprintf(fd, "Passphrase of %s: ", name);
		n = read_line(fd, signals, out, size);
		tcsetattr(fd, TCSAFLUSH, &old);
		dprintf(fd, "\n");
	}
	close(signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return n;
}

/* Asks on the terminal, without echo; once more when the program was stopped meanwhile. */
static int ask_passphrase(void *ctx, const char *path, char *out, size_t size)
{
	char name[256];
	ssize_t n;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

	(void)ctx;
	if (fd < 0)
		return -1;
	esc_line(name, sizeof(name), path, strlen(path));
	while ((n = ask_once(fd, name, out, size)) < 0)
		;
	close(fd);
	return n > 0 ? 0 : -1;
}

int keys_identity(struct age_identities *ids, const struct args *a, bool needed)
{
	char err[512];

	memset(ids, 0, sizeof(*ids));
	if (a->identity == NULL && a->nidentities == 0) {
		if (!needed)
			return 0;
		fprintf(stderr,
		    "bastion-replay: reading a recording needs the auditor's age identity: "
		    "--identity FILE or "
		    "$BASTION_IDENTITY\n");
		return -1;
	}
	for (size_t i = 0; i < (a->nidentities != 0 ? a->nidentities : 1); i++)
		if (age_identities_load(ids, a->nidentities != 0 ? a->identities[i] : a->identity, ask_passphrase, NULL, err,
			sizeof(err)) != 0) {
			fprintf(stderr, "bastion-replay: %s\n", err);
			age_identities_finish(ids);
			return -1;
		}
	return 0;
}

/* ---- trust ---- */

static int add_key(struct trust *t, bool signer, const char *name, const uint8_t key[KEY_LEN])
{
	size_t *n = signer ? &t->nsigners : &t->ncollectors;

	if (*n == TRUST_KEYS_MAX)
		return -1;
	memcpy(signer ? t->signers[*n] : t->collectors[*n], key, KEY_LEN);
	snprintf(signer ? t->signer_names[*n] : t->collector_names[*n], sizeof(t->signer_names[0]),
	    "%s", name);
	(*n)++;
	return 0;
}

static int add_file(struct trust *t, bool signer, const char *name, const char *file,
    const char *dir, char *err, size_t errsize)
{
	uint8_t keys[TRUST_KEYS_MAX][KEY_LEN];
	char path[REPLAY_PATH_MAX], text[512];
	int n;

	snprintf(path, sizeof(path), "%s%s%s", file[0] == '/' ? "" : dir, file[0] == '/' ? "" : "/",
	    file);
	n = public_keys_load(path, keys, TRUST_KEYS_MAX);
	if (n < 0) {
		esc_quoted(text, sizeof(text), file, strlen(file));
		snprintf(err, errsize,
		    "%s is neither an Ed25519 key in base64 nor a file with PUBLIC KEY blocks (%s)",
		    text, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++)
		if (add_key(t, signer, name, keys[i]) != 0) {
			snprintf(err, errsize, "more than %d keys of a kind", TRUST_KEYS_MAX);
			return -1;
		}
	return 0;
}

/* A witness or an authority. 0; 1: the line is of another kind; -1 with a sentence. */
static int add_other(struct trust *t, const char *kind, const char *value, const char *dir, char *err, size_t errsize)
{
	const bool witness = strcmp(kind, "witness") == 0;
	size_t *n = witness ? &t->nwitnesses : &t->ntsas;

	if (!witness && strcmp(kind, "tsa") != 0)
		return 1;
	if (*n == TRUST_OTHERS_MAX) {
		snprintf(err, errsize, "more than %d of a kind", TRUST_OTHERS_MAX);
		return -1;
	}
	if (witness && (tlog_vkey_parse(&t->witnesses[*n], value) != 0 || t->witnesses[*n].type != TLOG_KEY_WITNESS)) {
		snprintf(err, errsize, "a witness' key is written NAME+KEYID+KEY, of type 4 (c2sp.org/tlog-cosignature)");
		return -1;
	}
	if (!witness)
		snprintf(t->tsas[*n], REPLAY_PATH_MAX, "%s%s%s", value[0] == '/' ? "" : dir, value[0] == '/' ? "" : "/", value);
	(*n)++;
	return 0;
}

int trust_line(struct trust *t, const char *line, const char *dir, char *err, size_t errsize)
{
	char copy[1024], *save, *kind, *name, *value;
	uint8_t key[KEY_LEN];
	int r;

	if (snprintf(copy, sizeof(copy), "%s", line) >= (int)sizeof(copy)) {
		snprintf(err, errsize, "the line is too long");
		return -1;
	}
	kind = strtok_r(copy, " \t\r\n", &save);
	if (kind == NULL || kind[0] == '#' || strcmp(kind, "notify") == 0)
		return 0;
	name = strtok_r(NULL, " \t\r\n", &save);
	value = strtok_r(NULL, " \t\r\n", &save);
	if (value != NULL && (r = add_other(t, kind, value, dir, err, errsize)) <= 0)
		return r;
	if ((strcmp(kind, "signer") != 0 && strcmp(kind, "collector") != 0) || value == NULL ||
	    strtok_r(NULL, " \t\r\n", &save) != NULL) {
		snprintf(err, errsize, "a line is `signer NAME KEY`, `collector NAME KEY`, `witness NAME VKEY`, `tsa NAME FILE` or `notify COMMAND`");
		return -1;
	}
	if (base64_decode(key, sizeof(key), value, strlen(value)) != KEY_LEN)
		return add_file(t, kind[0] == 's', name, value, dir, err, errsize);
	if (add_key(t, kind[0] == 's', name, key) == 0)
		return 0;
	snprintf(err, errsize, "more than %d keys of a kind", TRUST_KEYS_MAX);
	return -1;
}

bool keys_trust_there(const struct args *a)
{
	return a->trust_named || access(a->trust, F_OK) == 0;
}

int keys_trust(struct trust *t, const struct args *a)
{
	char line[1024], dir[REPLAY_PATH_MAX], err[1024], name[512];
	uint8_t keys[TRUST_KEYS_MAX][KEY_LEN];
	FILE *f = fopen(a->trust, "re");
	int r = 0;

	memset(t, 0, sizeof(*t));
	esc_quoted(name, sizeof(name), a->trust, strlen(a->trust));
	if (f == NULL) {
		fprintf(stderr,
		    "bastion-replay: trust file %s: %s; --trust FILE names the keys of "
		    "bastions and collectors to "
		    "believe, see bastion-replay(1)\n",
		    name, strerror(errno));
		return -1;
	}
	const char *slash = strrchr(a->trust, '/');
	snprintf(dir, sizeof(dir), "%.*s", slash == NULL ? 1 : (int)(slash - a->trust) + 1,
	    slash == NULL ? "." : a->trust);
	for (int n = 1; r == 0 && fgets(line, sizeof(line), f) != NULL; n++)
		if (trust_line(t, line, dir, err, sizeof(err)) != 0) {
			fprintf(stderr, "bastion-replay: %s:%d: %s\n", name, n, err);
			r = -1;
		}
	if (r == 0 && ferror(f)) {
		fprintf(stderr, "bastion-replay: %s: %s\n", name, strerror(errno));
		r = -1;
	}
	if (r == 0 && t->nsigners == 0) {
		fprintf(stderr,
		    "bastion-replay: %s names no signer: no recording could be believed\n", name);
		r = -1;
	}
	fclose(f);
	t->log = a->log;
	if (r == 0 && a->log != NULL && trust_log_keys(t, keys) == 0) {
		esc_quoted(err, sizeof(err), a->log, strlen(a->log));
		fprintf(stderr, "bastion-replay: --log %s: %s has no line of such a collector\n", err, name);
		r = -1;
	}
	return r;
}

size_t trust_log_keys(const struct trust *t, uint8_t out[TRUST_KEYS_MAX][KEY_LEN])
{
	size_t n = 0;

	for (size_t i = 0; i < t->ncollectors; i++)
		if (t->log == NULL || strcmp(t->collector_names[i], t->log) == 0)
			memcpy(out[n++], t->collectors[i], KEY_LEN);
	return n;
}

const char *trust_collector(const struct trust *t, const uint8_t key[KEY_LEN])
{
	size_t i = 0;

	while (i + 1 < t->ncollectors && memcmp(t->collectors[i], key, KEY_LEN) != 0)
		i++;
	return t->collector_names[i];
}

bool trust_any_log(const struct trust *t)
{
	for (size_t i = 1; i < t->ncollectors; i++)
		if (t->log == NULL && strcmp(t->collector_names[i], t->collector_names[0]) != 0)
			return true;
	return false;
}

struct brec_trust trust_view(const struct trust *t)
{
	return (struct brec_trust){ .signers = t->signers,
		.nsigners = t->nsigners,
		.collectors = t->collectors,
		.ncollectors = t->ncollectors };
}

const char *trust_signer(const struct trust *t, const uint8_t id[HASH_LEN])
{
	uint8_t have[HASH_LEN];

	for (size_t i = 0; i < t->nsigners; i++)
		if (key_id(have, t->signers[i]) == 0 && memcmp(have, id, HASH_LEN) == 0)
			return t->signer_names[i];
	return NULL;
}
