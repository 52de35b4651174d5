/*
 * model.c - kills, power cuts and failing disks at every call of the collector's store, by the ten thousand.
 *
 *   model [-k CYCLES] [-p CYCLES] [-x PREFIXES] [-f CYCLES] [-e STEP] [-s SEED] [-d DIR] [-v]
 *
 * A cycle: a process opens a store and takes four recordings into it as collector_conn.c would, until it is killed in, before or after
 * a call (-k), the power goes (-p: what no sync covered may be lost, torn or out of order sector by sector; -x: at every call of one
 * process), or a call fails (-f: EIO, ENOSPC, EINTR, short writes, at a call by chance; -e: each of these at each call, or at one of
 * STEP). Then the store is opened again, sometimes to be killed once more while it recovers, and judged: every acknowledged entry is
 * there, every byte that is there is the one that was sent, and the recordings go on where they stopped. DIR is best on a tmpfs: no
 * real sync is needed, the model knows what one would have covered. Exit status 1, and DIR kept, if an entry was lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "collector_store.h"
#include "log.h"
#include "model.h"
#include "tlog_reader.h"

#define ROUNDS_MAX 3
#define HELD_TRIES 64
#define RETENTION 90		/* days; the pruner is told that it is a day later than that */
#define LATER_US ((RETENTION + 1) * 86400000000LL)

/* What a process that works or judges ends with, beside fatal()'s 1. */
enum verdict { GOOD = 0, FATAL = 1, NOT_OPENED = 30, DAMAGED, REFUSED, LOST, DIFFERENT, HALF, BAD_LOG, STUCK };
static const char *const verdicts[] = { "the store does not open", "a recording does not load", "the next entry was refused",
	"an acknowledged entry is gone", "stored bytes are not those sent", "what was pruned is still there", "the log of recordings is not whole",
	"the store took nothing more" };

static struct { uint64_t cycles, rounds, hits, fatals, entries; uint32_t farthest; } sum;
static char dir[128];
static struct sign_key *log_key;

void model_die(const char *what)
{
	fprintf(stderr, "model: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- the process that works: it ends by _exit(), as OpenSSL's clean-up would touch, and so copy, every page that it shares with its parent --- */

struct worker {
	struct store s;
	struct rec *rec[MODEL_RECORDINGS];
	size_t next[MODEL_RECORDINGS];	/* entry to be sent */
};

static void open_store(struct worker *w, const char *path)
{
	const struct store_options o = { .path = path, .journal_bytes = JOURNAL_SIZE_MIN, .log_key = log_key, .log_origin = "bastion.model/log",
		.prune_days = RETENTION };

	if (store_open(&w->s, &o) != 0)
		_exit(NOT_OPENED);
	for (size_t k = 0; k < MODEL_RECORDINGS; k++) {
		if (store_find(&w->s, films[k].id, MODEL_WALL, &w->rec[k]) != 0)
			_exit(DAMAGED);
		w->next[k] = w->rec[k] != NULL ? w->rec[k]->seq + 1 : 0;
	}
}

/* As the connection does: what the commit covers is acknowledged. With no space it waits, here for the fault's end. */
static void commit(struct worker *w)
{
	for (unsigned i = 0; store_commit(&w->s) != 0; i++)
		if (i == HELD_TRIES)
			_exit(STUCK);
	for (size_t k = 0; k < MODEL_RECORDINGS; k++)
		if (w->rec[k] != NULL && w->next[k] > 0)
			model->acked[k] = w->rec[k]->durable.seq + 1;
}

static void send_one(struct worker *w, size_t k)
{
	static const struct tls_pins any;
	char why[256];

	if (store_full(&w->s))
		commit(w);
	if (store_entry(&w->s, &films[k].entry[w->next[k]], &any, &w->rec[k], why, sizeof(why)) != 0) {
		fprintf(stderr, "model: entry %zu of %zu: %s\n", w->next[k], k, why);
		_exit(REFUSED);
	}
	w->next[k]++;
}

/* As a second passing: recordings that closed leave the memory, and later the store. */
static void tick(struct worker *w)
{
	const int64_t now = clock_wall_us() + LATER_US;

	for (size_t k = 0; k < MODEL_RECORDINGS; k++)
		if (w->rec[k] != NULL && w->rec[k]->ended && w->rec[k]->unwritten == 0) {
			model->acked[k] = w->next[k];
			store_drop(&w->s, w->rec[k]);
			w->rec[k] = NULL;
		}
	prune_heard(&w->s, now, now);
	w->s.pruner.next_ms = 0;
	prune_step(&w->s, now);
}

/* Was there no space at one of the calls from..to, `to` itself not counted? */
static bool was_full(uint32_t from, uint32_t to)
{
	return model->fault == FAULT_ENOSPC && model->fault_at < to && from < model->fault_at + model->fault_span;
}

static void work(const char *path, uint64_t seed, size_t entries)
{
	struct worker w = { .next = { 0 } };

	model_watch(path);
	open_store(&w, path);
	while (entries-- > 0) {
		size_t k = model_random(&seed) % MODEL_RECORDINGS;

		if (w.next[k] < films[k].n)
			send_one(&w, k);
		if (model_random(&seed) % 4 == 0)
			commit(&w);
		if (model_random(&seed) % 3 == 0)
			store_write_out(&w.s);
		if (model_random(&seed) % 8 == 0)
			store_turn(&w.s, true);
		if (model_random(&seed) % 6 == 0)
			tick(&w);
	}
	commit(&w);
	if (model_random(&seed) % 2 == 0) {
		const uint32_t before = model->calls;

		/* only a disk that was full at one of these calls keeps the end from the segment files: it is in the journal */
		if (store_close(&w.s) != 0 && !was_full(before, model->calls))
			_exit(STUCK);
	}
	_exit(GOOD);
}

/* --- the judge --- */

static bool same_bytes(const struct worker *w, size_t k, uint32_t segment, uint64_t len)
{
	const struct buf *want = &films[k].file[segment];
	char name[STORE_DIR_LEN + 32];
	uint8_t *got = malloc(len);
	int fd;
	bool same;

	snprintf(name, sizeof(name), "%s/%08" PRIu32 ".brec", w->rec[k]->dir, segment);
	fd = openat(w->s.recordings, name, O_RDONLY | O_CLOEXEC);
	same = got != NULL && fd >= 0 && len <= want->len && pread(fd, got, len, 0) == (ssize_t)len && memcmp(got, want->data, len) == 0;
	close(fd);
	free(got);
	return same;
}

/* Where there is a leaf and a marker the files go: all of them. */
static void finish_pruning(struct worker *w)
{
	char gone[MODEL_RECORDINGS][STORE_DIR_LEN] = { "" };
	struct stat st;

	for (size_t k = 0; k < MODEL_RECORDINGS; k++)
		if (w->rec[k] != NULL && w->rec[k]->pruned)
			memcpy(gone[k], w->rec[k]->dir, sizeof(gone[k]));
	w->s.pruner.days = 0;
	for (unsigned i = 0; i < HELD_TRIES; i++)
		tick(w);
	for (size_t k = 0; k < MODEL_RECORDINGS; k++)
		if (gone[k][0] != '\0' && fstatat(w->s.recordings, gone[k], &st, 0) == 0)
			_exit(HALF);
}

/* The log of recordings, as an auditor reads it: so many leaves, the newest checkpoint says so, and no tile contradicts. */
static bool log_is_good(const char *store, uint64_t leaves)
{
	uint8_t pub[1][KEY_LEN];
	struct tlog_log log;
	char path[192];
	bool good;

	snprintf(path, sizeof(path), "%s/log", store);
	sign_key_public(log_key, pub[0]);
	tlog_read(&log, path, (const uint8_t (*)[KEY_LEN])pub, 1);
	good = log.state == TLOG_GOOD && log.size == leaves;
	if (!good)
		fprintf(stderr, "model: log of %" PRIu64 " leaves, %" PRIu64 " of them needed: %s\n", log.size, leaves, log.reason);
	tlog_log_finish(&log);
	return good;
}

static void judge(const char *path)
{
	struct worker w = { .next = { 0 } };
	uint64_t leaves = 0, logged;

	open_store(&w, path);
	for (size_t k = 0; k < MODEL_RECORDINGS; k++) {
		const struct film *f = &films[k];
		size_t last = w.next[k] - 1;

		if (w.next[k] < model->acked[k])
			_exit(LOST);
		if (w.next[k] == 0)
			continue;
		if (w.next[k] > f->n || memcmp(w.rec[k]->h, f->after[last].h, BREC_HASH_LEN) != 0)
			_exit(DIFFERENT);
		model->pruned += w.rec[k]->pruned;
		for (uint32_t s = 0; s <= f->after[last].segment && !w.rec[k]->pruned; s++)
			if (!same_bytes(&w, k, s, s < f->after[last].segment ? f->file[s].len : f->after[last].end))
				_exit(DIFFERENT);
	}
	finish_pruning(&w);
	for (size_t k = 0; k < MODEL_RECORDINGS; k++)
		leaves += film_leaves(&films[k], w.next[k]);
	logged = w.s.next_leaf;
	if (store_close(&w.s) != 0)
		_exit(STUCK);
	_exit(logged >= leaves && log_is_good(path, logged) ? GOOD : BAD_LOG);
}

/* --- cycles --- */

static int forget(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	if (nftw(path, forget, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		model_die(path);
}

/* An empty store whose journal files are there, in full length: what a fresh one has after its first start. */
static void make_store(const char *path)
{
	char name[192];

	if (mkdir(path, 0750) != 0)
		model_die(path);
	snprintf(name, sizeof(name), "%s/journal", path);
	if (mkdir(name, 0750) != 0)
		model_die(name);
	for (int i = 0; i < 2; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/journal/%c", path, 'a' + i);
		if ((fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0 || ftruncate(fd, JOURNAL_SIZE_MIN) != 0 || close(fd) != 0)
			model_die(name);
	}
}

static int run(void (*body)(const char *path, uint64_t seed, size_t entries), const char *path, uint64_t seed, size_t entries)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		model_die("fork");
	if (pid == 0)
		body(path, seed, entries);
	if (waitpid(pid, &status, 0) != pid)
		model_die("wait");
	return status;
}

static void judge_body(const char *path, uint64_t seed, size_t entries)
{
	(void)seed, (void)entries;
	judge(path);
}

static void failed(const char *path, int status, uint64_t seed)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

	fprintf(stderr, "\nmodel: %s (status %#x), fault %d at call %" PRIu32 ", seed %" PRIu64 ", kept: %s\n",
	    code >= NOT_OPENED && code <= STUCK ? verdicts[code - NOT_OPENED] : "an unexpected end", (unsigned)status, (int)model->fault,
	    model->fault_at, seed, path);
	exit(1);
}

/* The end that the fault allows: the kill that it is, or fatal() where the disk gave an error, or none if it was never reached. */
static bool expected(int status)
{
	if (model->fault == FAULT_NONE || (WIFEXITED(status) && WEXITSTATUS(status) == GOOD))
		return WIFEXITED(status) && WEXITSTATUS(status) == GOOD;
	if (model->fault <= FAULT_AFTER)
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	/* while it opens, an error is an end with a word, too */
	return model->fault != FAULT_SHORT && WIFEXITED(status) &&
	    (WEXITSTATUS(status) == FATAL || WEXITSTATUS(status) == NOT_OPENED);
}

static void arm(enum fault fault, uint32_t at, bool power)
{
	model->fault = fault;
	model->fault_at = at;
	model->fault_span = 1 + at % 40;
	model->calls = 0;
	model->log = power;
	model->nops = 0;
	model->ndata = 0;
	model->overflow = false;
}

/* One process and its end. `path` is what the next one finds. */
static void round_of(char *path, size_t size, unsigned *number, enum fault fault, bool power, size_t entries, uint64_t *seed)
{
	char from[160];

	arm(fault, (uint32_t)(model_random(seed) % (sum.farthest > 24 ? sum.farthest : 24)), power);
	snprintf(from, sizeof(from), "%s", path);
	if (power) {
		snprintf(path, size, "%s/%u", dir, ++*number);
		if (model_power_cut(model, 0, from, path, seed) != 0)
			model_die("copy of the store");
	}
	int status = run(work, path, model_random(seed), entries);

	if (!expected(status))
		failed(path, status, *seed);
	sum.rounds++;
	sum.hits += WIFSIGNALED(status);
	sum.fatals += WIFEXITED(status) && WEXITSTATUS(status) != GOOD;
	if (model->calls > sum.farthest)
		sum.farthest = model->calls;
	if (power) {
		remove_tree(path);
		snprintf(path, size, "%s/%u", dir, ++*number);
		if (model->overflow || model_power_cut(model, model->nops, from, path, seed) != 0)
			model_die("power cut");
		remove_tree(from);
	}
}

/* The store is opened once more, and judged. */
static void judged(const char *path, uint64_t seed)
{
	int status;

	arm(FAULT_NONE, 0, false);
	status = run(judge_body, path, 0, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != GOOD)
		failed(path, status, seed);
	for (size_t k = 0; k < MODEL_RECORDINGS; k++)
		sum.entries += model->acked[k];
}

static void cycle(enum fault first, enum fault last, bool power, uint64_t *seed)
{
	uint64_t begin = *seed;
	unsigned rounds = 1 + model_random(seed) % ROUNDS_MAX, number = 0;
	char path[160];

	snprintf(path, sizeof(path), "%s/0", dir);
	make_store(path);
	memset(model->acked, 0, sizeof(model->acked));
	for (unsigned i = 0; i < rounds; i++) {
		enum fault f = (enum fault)(first + model_random(seed) % (unsigned)(last - first + 1));
		/* the second death comes while the first is recovered from, now and then */
		size_t entries = i > 0 && model_random(seed) % 2 == 0 ? 0 : 20 + model_random(seed) % 280;

		round_of(path, sizeof(path), &number, f, power, entries, seed);
	}
	judged(path, begin);
	sum.cycles++;
	remove_tree(path);
}

static void cycles(const char *what, uint64_t n, enum fault first, enum fault last, bool power, uint64_t *seed)
{
	time_t start = time(NULL);

	memset(&sum, 0, sizeof(sum));
	model->pruned = 0;
	for (unsigned i = 0; i < 4; i++)
		cycle(FAULT_NONE, FAULT_NONE, power, seed); /* how many calls are there to fail? */
	for (uint64_t i = 0; i < n; i++) {
		cycle(first, last, power, seed);
		if (isatty(2) && i % 100 == 0)
			fprintf(stderr, "\r%s: %" PRIu64 " of %" PRIu64, what, i, n);
	}
	if (isatty(2))
		fprintf(stderr, "\r\033[K");
	printf("%s: %" PRIu64 " cycles of %" PRIu64 " processes, %" PRIu64 " killed, %" PRIu64 " ended by an error, calls 0 to %" PRIu32 "; %" PRIu64
		       " acknowledged entries, none lost; %" PRIu32 " recordings pruned; %" PRIu64 " s\n", what, sum.cycles, sum.rounds, sum.hits, sum.fatals, sum.farthest,
		    sum.entries, model->pruned, (uint64_t)(time(NULL) - start));
}

/* The same work again and again, at each time with one more call before the one that fails, until it makes fewer. */
static void each_call(uint32_t step, uint64_t *seed)
{
	const uint64_t same = model_random(seed);
	time_t start = time(NULL);
	char path[160];

	memset(&sum, 0, sizeof(sum));
	snprintf(path, sizeof(path), "%s/0", dir);
	for (enum fault f = FAULT_SHORT; f <= FAULT_EIO; f++) {
		bool reached = true;

		for (uint32_t at = (uint32_t)(model_random(seed) % step); reached; at += step) {
			int status;

			make_store(path);
			memset(model->acked, 0, sizeof(model->acked));
			arm(f, at, false);
			if (!expected(status = run(work, path, same, 300)))
				failed(path, status, same);
			if ((reached = model->calls > at))
				sum.hits++;
			if (model->calls > sum.farthest)
				sum.farthest = model->calls;
			sum.fatals += WIFEXITED(status) && WEXITSTATUS(status) != GOOD;
			judged(path, same);
			remove_tree(path);
		}
	}
	printf("failing calls: %" PRIu64 " of four kinds, at one of %" PRIu32 " of %" PRIu32 " calls; %" PRIu64 " processes ended by it; %" PRIu64
	    " acknowledged entries, none lost; %" PRIu64 " s\n", sum.hits, step, sum.farthest, sum.fatals, sum.entries, (uint64_t)(time(NULL) - start));
}

/* One process works to its end; then each prefix of its calls is what came to pass when the power went. */
static void prefixes(uint64_t n, uint64_t *seed)
{
	time_t start = time(NULL);
	char base[160], path[160];
	uint64_t done = 0, runs = 0;

	memset(&sum, 0, sizeof(sum));
	snprintf(base, sizeof(base), "%s/base", dir);
	snprintf(path, sizeof(path), "%s/work", dir);
	make_store(base);
	for (; done < n; runs++) {
		uint64_t last[MODEL_RECORDINGS];
		uint32_t step;
		int status;

		make_store(path);
		memset(model->acked, 0, sizeof(model->acked));
		arm(FAULT_NONE, 0, true);
		status = run(work, path, model_random(seed), 40 + model_random(seed) % 260);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != GOOD || model->overflow)
			failed(path, status, *seed);
		remove_tree(path);
		memcpy(last, model->acked, sizeof(last));
		/* all of them, or as many as are wanted from all over */
		step = n - done < model->nops ? model->nops / (uint32_t)(n - done) : 1;
		for (uint32_t upto = (uint32_t)(model_random(seed) >> 32) % step; upto <= model->nops && done < n; upto += step, done++) {
			uint64_t begin = *seed;

			if (model_power_cut(model, upto, base, path, seed) != 0)
				model_die("power cut");
			memcpy(model->acked, upto < model->nops ? model->ops[upto].acked : last, sizeof(last));
			model->log = false;
			status = run(judge_body, path, 0, 0);
			if (!WIFEXITED(status) || WEXITSTATUS(status) != GOOD) {
				fprintf(stderr, "model: power cut after %" PRIu32 " of %" PRIu32 " calls\n", upto, model->nops);
				failed(path, status, begin);
			}
			for (size_t k = 0; k < MODEL_RECORDINGS; k++)
				sum.entries += model->acked[k];
			remove_tree(path);
		}
	}
	remove_tree(base);
	printf("power cut: %" PRIu64 " prefixes of the calls of %" PRIu64 " processes; %" PRIu64 " acknowledged entries, none lost; %" PRIu64 " s\n",
	    done, runs, sum.entries, (uint64_t)(time(NULL) - start));
}

int main(int argc, char **argv)
{
	uint64_t kills = 0, cuts = 0, faults = 0, upto = 0, seed = (uint64_t)time(NULL) << 16 | (uint64_t)getpid();
	const char *top = "/dev/shm";
	uint32_t step = 0;
	bool verbose = false;
	int c;

	while ((c = getopt(argc, argv, "k:p:f:e:x:s:d:v")) != -1)
		switch (c) {
		case 'k': kills = strtoull(optarg, NULL, 10); break;
		case 'p': cuts = strtoull(optarg, NULL, 10); break;
		case 'f': faults = strtoull(optarg, NULL, 10); break;
		case 'e': step = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'x': upto = strtoull(optarg, NULL, 10); break;
		case 's': seed = strtoull(optarg, NULL, 10) | 1; break;
		case 'd': top = optarg; break;
		case 'v': verbose = true; break;
		default: fprintf(stderr, "usage: model [-k cycles] [-p cycles] [-f cycles] [-e step] [-x prefixes] [-s seed] [-d dir] [-v]\n"); return 2;
		}
	snprintf(dir, sizeof(dir), "%s/bastion-model-XXXXXX", top);
	if (mkdtemp(dir) == NULL)
		model_die(dir);
	model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (model == MAP_FAILED)
		model_die("memory");
	setlinebuf(stdout); /* a fork would say it again */
	log_init("model", true, verbose ? LOG_LVL_INFO : LOG_LVL_ERROR + 1);
	if ((log_key = sign_key_generate()) == NULL)
		model_die("keys");
	printf("seed %" PRIu64 "\n", seed);
	for (size_t k = 0; k < MODEL_RECORDINGS; k++)
		film_make(&films[k], &seed);
	if (kills != 0)
		cycles("kill -9", kills, FAULT_BEFORE, FAULT_AFTER, false, &seed);
	if (cuts != 0)
		cycles("power cut", cuts, FAULT_BEFORE, FAULT_AFTER, true, &seed);
	if (upto != 0)
		prefixes(upto, &seed);
	if (step != 0)
		each_call(step, &seed);
	if (faults != 0)
		cycles("failing disk", faults, FAULT_SHORT, FAULT_EIO, false, &seed);
	return rmdir(dir) == 0 ? 0 : 1;
}
