/*
 * archive.c - the archiver under kills, lost answers and a store that fails, at every call, by the ten thousand.
 *
 *   archive [-e] [-f STEP] [-k KILLS] [-s SEED] [-d DIR]
 *
 * The real archiver (collector_archiver*.c) works on a small store of recordings and a log that grows, against an object store
 * that lives in shared memory in place of s3.c. -e: for n = 1, 2, … it is killed at its n-th system call or step of a put, then let
 * go on to its end. -f: for each n, or one of STEP, its n-th call fails once with EIO, once with ENOSPC, or does half of a write.
 * -k: killed at random again and again, while puts are lost before or after the store has them, refused with 503, or met by an
 * object that is there already; and between two lives lists are cut anywhere, as a power cut would. Each time: no list says more
 * than the store has, no key ever gets other bytes, no receipt is put that was not synced; at the end all is confirmed and the
 * store has every byte; and no object that is there already is taken for somebody else's. Before that: the log is put again, once, when its locks
 * would end, but for what is damaged here, and on a full disk nothing is; and another log is not written over. Time is the model's. DIR is best on
 * a tmpfs. Exit status 1, and DIR kept, if not.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive.h"
#include "hex.h"
#include "log.h"

static struct { uint64_t kills, lives, ends; unsigned farthest; } sum;

/* ---- lives ---- */

static void stay(const struct coll_conf *c)
{
	(void)c;
}

/* True if it came to its end. Where a call failed, it may give up: whoever starts it starts it again. */
static bool live_with(unsigned at, enum fault what, bool with_trouble)
{
	char credentials[200], none[] = "", endpoint[] = "http://127.0.0.1", bucket[] = "b", prefix[] = "c1";
	struct coll_conf c = { .store = dir, .archive = { true, endpoint, bucket, bucket, prefix, credentials, none, false, { 90 * 86400, 7 * 86400 }, 1 << 30, 86400 } };
	int fds[2], status;
	pid_t pid, self = getpid();

	snprintf(credentials, sizeof(credentials), "%s/credentials", dir);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) != 0 || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		dup2(fds[1], 9);
		dup2(fds[0], 10);
		dup2(9, ARCHIVE_LINK_FD);
		doom = at;
		fault = what;
		call = 0;
		trouble = with_trouble;
		archiver_run(&c, stay, self);
	}
	close(fds[0]);
	close(fds[1]);
	dice += 7919;
	sum.lives++;
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	call = 0; /* the judge's own are nobody's */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		sum.kills++;
		return false;
	}
	if (what != FAULT_KILL && WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return false;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "archive: it ended with status %#x %s\n", (unsigned)status, shared->bad);
		exit(1);
	}
	sum.ends++;
	return true;
}

static bool live(unsigned at, bool with_trouble)
{
	return live_with(at, FAULT_KILL, with_trouble);
}

/* ---- judging ---- */

static void judge_list(const char *path, const char *top)
{
	char name[S3_KEY_MAX];
	struct archive_list l;
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0 || archive_list_load(&l, fd) != 0)
		die(path);
	for (size_t i = 0; i < l.n; i++) {
		const struct object *o;

		/* what is no object */
		if (strcmp(l.v[i].name, ARCHIVE_LOG_BEGUN) == 0 || strncmp(l.v[i].name, "renew", 5) == 0)
			continue;
		if (strcmp(l.v[i].name, ARCHIVE_LOG_DONE) == 0)
			snprintf(name, sizeof(name), "%s/" TLOG_CHECKPOINT ".%" PRIu64, top, l.v[i].size);
		else
			snprintf(name, sizeof(name), "%s/%s", top, l.v[i].name);
		if ((o = object(name)) == NULL || memcmp(o->hash, l.v[i].hash, HASH_LEN) != 0)
			snprintf(shared->bad, sizeof(shared->bad), "%s is in the list, and the store has it not", name);
	}
	archive_list_free(&l);
	close(fd);
}

static void has(const char *path, const char *name)
{
	uint8_t hash[HASH_LEN], data[65536];
	FILE *f = fopen(path, "rb");
	size_t n = f != NULL ? fread(data, 1, sizeof(data), f) : 0;
	const struct object *o = object(name);

	if (f != NULL)
		fclose(f);
	sha256_spans(hash, SPANS(SPAN(data, n)));
	if (n == 0 || o == NULL || memcmp(o->hash, hash, HASH_LEN) != 0)
		snprintf(shared->bad, sizeof(shared->bad), "%s is not in the store as it is on the disk", name);
}

/* After a life that came to its end: everything is there. */
static void judge_end(void)
{
	char path[200], file[256], name[S3_KEY_MAX], why[200];

	for (unsigned i = 0; i < RECORDINGS; i++) {
		int fd;

		rec_path(path, i);
		if ((fd = open(path, O_RDONLY | O_DIRECTORY)) < 0 || archive_confirmed(fd, true, why, sizeof(why)) != 1)
			snprintf(shared->bad, sizeof(shared->bad), "%s is not confirmed: %s", path, why);
		close(fd);
		for (unsigned n = 0; n < SEGMENTS; n++) {
			snprintf(file, sizeof(file), "%s/%08u.brec", path, n);
			snprintf(name, sizeof(name), "c1/recordings/2025-11-22/%032x/%08u.brec", i + 1, n);
			has(file, name);
			snprintf(name, sizeof(name), "c1/recordings/2025-11-22/%032x/receipts.%08u", i + 1, n);
			if (object(name) == NULL)
				snprintf(shared->bad, sizeof(shared->bad), "%s is not in the store", name);
		}
	}
	snprintf(path, sizeof(path), "%s/log/checkpoint", dir);
	snprintf(name, sizeof(name), "c1/log/checkpoint.%u", shared->leaves);
	has(path, name);
	for (unsigned n = 0; n < shared->leaves / TLOG_TILE; n++) {
		snprintf(path, sizeof(path), "%s/log/tile/0/%03u", dir, n);
		snprintf(name, sizeof(name), "c1/log/tile/0/%03u", n);
		has(path, name);
	}
}

static void judge(bool ended)
{
	char path[200], top[200];

	for (unsigned i = 0; i < RECORDINGS; i++) {
		rec_path(path, i);
		snprintf(top, sizeof(top), "c1/recordings/2025-11-22/%032x", i + 1);
		judge_list(path, top);
	}
	snprintf(path, sizeof(path), "%s/log", dir);
	judge_list(path, "c1/log");
	if (ended)
		judge_end();
	if (shared->bad[0] == '\0')
		return;
	fprintf(stderr, "archive: %s (call %u); %s is kept\n", shared->bad, doom, dir);
	exit(1);
}

/* Bytes of the list's first lines, which are synced before anything else is put: `begun`, and that the first object is there. */
static unsigned begun_lines(const char *path)
{
	char line[ARCHIVE_LINE_MAX];
	FILE *f = fopen(path, "r");
	unsigned len = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL && strchr(line, '\n') != NULL &&
	    (strncmp(line, "put " ARCHIVE_LOG_BEGUN " ", 10) == 0 || strncmp(line, "put " ARCHIVE_LOG_DONE " 0 ", 17) == 0 ||
	    strncmp(line, "put " TLOG_CHECKPOINT ".0 ", 17) == 0))
		len += (unsigned)strlen(line);
	if (f != NULL)
		fclose(f);
	return len;
}

/* What a power cut may do to lists that nobody synced: less of them is there. */
static void cut_lists(bool all)
{
	char path[200];
	struct stat st;
	unsigned kept;

	for (unsigned i = 0; i <= RECORDINGS; i++) {
		if (i < RECORDINGS)
			rec_path(path, i);
		else
			snprintf(path, sizeof(path), "%s/log", dir);
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "/" ARCHIVE_FILE);
		kept = begun_lines(path);
		if (stat(path, &st) == 0 && (all || roll(4) == 0) && truncate(path, all ? 0 : (off_t)(kept + roll((unsigned)st.st_size - kept + 1))) != 0)
			die(path);
	}
}

/* All of the log was put so long ago that its locks will end. */
static void age_log(void)
{
	struct archive_item i = { .name = ARCHIVE_LOG_BEGUN, .when = 1 };
	struct archive_list l;
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/log", dir);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY)) < 0 || archive_list_load(&l, fd) != 0 || archive_list_put(&l, fd, &i) != 0)
		die(path);
	snprintf(i.name, sizeof(i.name), "%s", ARCHIVE_LOG_RENEWED);
	if (archive_list_find(&l, i.name) != NULL && archive_list_put(&l, fd, &i) != 0)
		die(path);
	archive_list_free(&l);
	close(fd);
}

/* How often an object was put; of the log's files. */
static uint64_t puts_of(const char *name)
{
	char whole[S3_KEY_MAX];
	const struct object *o;

	snprintf(whole, sizeof(whole), "c1/log/%s", name);
	return (o = object(whole)) != NULL ? o->puts : 0;
}

static uint64_t puts_of_tile(int level, uint64_t n, unsigned width)
{
	char name[TLOG_PATH_LEN];

	return puts_of(tlog_tile_path(name, level, n, width));
}

/* The newest checkpoint has been put so often. */
static void judge_newest(uint64_t puts)
{
	char name[64];

	snprintf(name, sizeof(name), TLOG_CHECKPOINT ".%u", shared->leaves);
	if (puts_of(name) != puts)
		snprintf(shared->bad, sizeof(shared->bad), "%s was put %" PRIu64 " times, and not %" PRIu64, name, puts_of(name), puts);
}

/* And each tile of the tree. */
static void judge_puts(uint64_t puts)
{
	struct archive_tiles t = { .to = shared->leaves };
	unsigned width;
	uint64_t n;
	int level;

	while (archive_tiles_next(&t, &level, &n, &width))
		if (puts_of_tile(level, n, width) != puts)
			snprintf(shared->bad, sizeof(shared->bad), "tile %d/%" PRIu64 " was put %" PRIu64 " times, and not %" PRIu64, level, n,
			    puts_of_tile(level, n, width), puts);
	judge_newest(puts);
	judge(true);
}

/* The log is put again before its locks end, all of it, and once; nothing else is. */
static void renewed(void)
{
	char name[S3_KEY_MAX];

	live(0, false);
	judge_puts(1);
	live(0, false);
	judge_puts(1);
	age_log();
	live(0, false);
	judge_puts(2);
	live(0, false);
	judge_puts(2);
	snprintf(name, sizeof(name), "c1/recordings/2025-11-22/%032x/%08u.brec", 1, 0);
	if (object(name)->puts != 1)
		snprintf(shared->bad, sizeof(shared->bad), "%s was put again", name);
	judge(true);
}

static void grow_and_say_so(void)
{
	grow_log(1);
	if (send(10, "L", 1, 0) != 1)
		die("hint");
}

/*
 * A tile is gone when the log is to be put again, or has other bytes: what is not known to be as it was is not put, in one look at it, with two
 * alarms; the rest is, and the log goes on. When it is there again it is put.
 */
static void damaged(void)
{
	char path[200], away[220];

	snprintf(path, sizeof(path), "%s/log/tile/0/000", dir);
	snprintf(away, sizeof(away), "%s.away", path);
	for (unsigned gone = 0; gone < 2; gone++) {
		const uint64_t alarms = shared->alarms, tile = puts_of_tile(0, 0, TLOG_TILE), edge = puts_of_tile(1, 0, 1);

		if (rename(path, away) != 0)
			die(path);
		if (!gone) {
			uint8_t data[TLOG_TILE * HASH_LEN];
			FILE *f = fopen(away, "rb");

			if (f == NULL || fread(data, 1, sizeof(data), f) != sizeof(data) || fclose(f) != 0)
				die(away);
			data[1000] ^= 4;
			write_file(path, data, sizeof(data));
		}
		age_log();
		later = grow_and_say_so;
		live(0, false);
		later = NULL;
		if (puts_of_tile(0, 0, TLOG_TILE) != tile || puts_of_tile(1, 0, 1) != edge + 1)
			snprintf(shared->bad, sizeof(shared->bad), "what is damaged was put, or the rest was not");
		if (shared->alarms != alarms + 2)
			snprintf(shared->bad, sizeof(shared->bad), "%" PRIu64 " alarms of a tile that is damaged", shared->alarms - alarms);
		judge_newest(1);
		judge(false);
		if (rename(away, path) != 0)
			die(path);
		age_log();
		live(0, false);
		if (puts_of_tile(0, 0, TLOG_TILE) != tile + 1)
			snprintf(shared->bad, sizeof(shared->bad), "what was damaged was not put");
		judge(true);
	}
}

/* What could not be noted is not put: neither the tree that is new, nor the whole log again. */
static void full_disk(void)
{
	const uint64_t tile = puts_of_tile(0, 0, TLOG_TILE);

	age_log();
	live(0, false);
	grow_log(1);
	age_log();
	full = true;
	live(0, false);
	full = false;
	if (puts_of_tile(0, 0, TLOG_TILE) != tile + 1)
		snprintf(shared->bad, sizeof(shared->bad), "something was put that could not be noted");
	judge_newest(0);
	judge(false);
	live(0, false);
	if (puts_of_tile(0, 0, TLOG_TILE) != tile + 2)
		snprintf(shared->bad, sizeof(shared->bad), "the log was not put again when there was room");
	judge_newest(2);
	judge(true);
}

/* What is kept beside the log was put by a life before, which did not come to note it, and the log has grown since: no alarm. */
static void kept_before(void)
{
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char path[200], list[200], name[64];
	struct stat st;

	snprintf(name, sizeof(name), TLOG_CHECKPOINT ".%u.cosigned", shared->leaves);
	snprintf(path, sizeof(path), "%s/log/%s", dir, name);
	snprintf(list, sizeof(list), "%s/log/" ARCHIVE_FILE, dir);
	write_file(path, "witness\n", 8);
	if (utimensat(AT_FDCWD, path, old, 0) != 0 || stat(list, &st) != 0)
		die(path);
	live(0, false);
	if (truncate(list, st.st_size) != 0)
		die(list);
	grow_log(1);
	live(0, false);
	if (puts_of(name) != 2)
		snprintf(shared->bad, sizeof(shared->bad), "%s was put %" PRIu64 " times", name, puts_of(name));
	judge(true);
}

/* Is nothing there but the proofs, and the first object of a log, which was put so often? */
static void judge_nothing(uint64_t puts)
{
	for (unsigned i = 0; i < shared->objects; i++) {
		const struct object *o = &shared->object[i];

		if (strncmp(o->key, "c1/canary/", 10) != 0 && (strcmp(o->key, "c1/log/" TLOG_CHECKPOINT ".0") != 0 || o->puts != puts))
			snprintf(shared->bad, sizeof(shared->bad), "%s was put beside another log", o->key);
	}
	judge(false);
}

/* Another log is there, and of this one nothing was put: said, and nothing is put beside it; nor after a first try that the store refused. */
static void another_log(void)
{
	const uint64_t versions = shared->versions, others = shared->others;

	for (unsigned refused = 0; refused < 2; refused++) {
		cut_lists(true);
		shared->objects = 1;
		shared->object[0] = (struct object){ .key = "c1/log/" TLOG_CHECKPOINT ".0" };
		first_refused = refused != 0;
		live(0, false);
		first_refused = false;
		judge_nothing(0);
	}
	if (shared->others != others + 1 || shared->doubts != 1 || shared->versions == versions)
		snprintf(shared->bad, sizeof(shared->bad), "another log is no alarm");
	judge(false);
	cut_lists(true);
	shared->objects = shared->doubts = 0;
}

/* Without one of these nothing is put: an alarm, one in an hour, however often it is tried. */
static void unread(void)
{
	static const char *const names[] = { TLOG_CHECKPOINT ".0", ARCHIVE_FILE };
	char path[200], away[220];

	for (unsigned i = 0; i < 2; i++) {
		const uint64_t alarms = shared->alarms;

		cut_lists(true);
		shared->objects = 0;
		snprintf(path, sizeof(path), "%s/log/%s", dir, names[i]);
		snprintf(away, sizeof(away), "%s.away", path);
		if (rename(path, away) != 0 || mkdir(path, 0755) != 0)
			die(path);
		live(0, false);
		if (rmdir(path) != 0 || rename(away, path) != 0)
			die(path);
		judge_nothing(0);
		if (shared->alarms != alarms + 1)
			snprintf(shared->bad, sizeof(shared->bad), "%" PRIu64 " alarms as %s cannot be read", shared->alarms - alarms, names[i]);
		judge(false);
	}
	cut_lists(true);
	shared->objects = 0;
}

/* One object is refused while others are taken: an alarm, and that recording waits. */
static void refused(void)
{
	const uint64_t alarms = shared->alarms;

	never = "/00000000000000000000000000000002/00000001.brec";
	meanwhile = grow_and_say_so;
	live(0, false);
	never = NULL;
	if (shared->alarms != alarms + 1)
		snprintf(shared->bad, sizeof(shared->bad), "%" PRIu64 " alarms of what is refused", shared->alarms - alarms);
	judge(false);
	judge(live(0, false));
	cut_lists(true);
	shared->objects = 0;
}

/* The answer to the first put of all may have been lost: then nothing else was put, and it goes on at another place. */
static void judge_life(bool ended)
{
	if (shared->doubts == 0) {
		judge(ended);
		return;
	}
	judge_nothing(1);
	shared->objects = shared->doubts = 0;
	judge(live(0, false));
}

static void every_call(void)
{
	for (unsigned n = 1;; n++) {
		bool ended;

		cut_lists(true);
		shared->objects = 0;
		ended = live(n, false);
		judge_life(ended);
		if (!ended)
			judge_life(live(0, false));
		sum.farthest = n;
		if (ended)
			return;
	}
}

/* What is not done for it is done by the next life, and no list says before that it was. */
static void every_fault(unsigned step)
{
	unsigned calls;

	for (enum fault f = FAULT_EIO; f < FAULTS; f++)
		for (unsigned n = 1 + roll(step);; n += step) {
			cut_lists(true);
			shared->objects = 0;
			live_with(n, f, false);
			calls = shared->life;
			judge_life(false);
			if (calls < n)
				break;
			judge_life(live(0, false));
		}
}

static void at_random(uint64_t kills)
{
	const uint64_t until = sum.kills + kills;

	while (sum.kills < until) {
		/* a life of a few calls, or of many */
		judge_life(live(1 + roll(roll(2) == 0 ? 40 : 600), true));
		if (roll(3) == 0)
			cut_lists(false);
		if (roll(20) == 0) {
			judge_life(live(0, false));
			if (roll(2) == 0)
				age_log();
			if (roll(2) == 0 || shared->objects > OBJECTS_MAX / 2) {
				cut_lists(true);
				shared->objects = 0;
			}
			grow_log(1 + roll(120));
		}
	}
	judge_life(live(0, false));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

int main(int argc, char **argv)
{
	const char *top = "/tmp";
	uint64_t kills = 0, seed = 1;
	unsigned step = 0;
	bool every = false;
	int opt;

	while ((opt = getopt(argc, argv, "ef:k:s:d:")) != -1)
		switch (opt) {
		case 'e': every = true; break;
		case 'f': step = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'k': kills = strtoull(optarg, NULL, 10); break;
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'd': top = optarg; break;
		default: return 2;
		}
	log_init("archive", true, LOG_LVL_ERROR + 1);
	snprintf(dir, sizeof(dir), "%.100s/archive-%d", top, (int)getpid());
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	dice = seed;
	make_store();
	renewed();
	damaged();
	full_disk();
	kept_before();
	another_log();
	unread();
	refused();
	if (every)
		every_call();
	if (step != 0)
		every_fault(step);
	if (kills != 0)
		at_random(kills);
	printf("archive: %" PRIu64 " kills in %" PRIu64 " lives, at each of %u calls and at random; %" PRIu64 " calls failed or short; %" PRIu64 " answers lost, %" PRIu64 " puts refused, %" PRIu64
	    " beside another; %" PRIu64 " versions put, none different, none lost\n", sum.kills, sum.lives, sum.farthest, shared->failed, shared->lost, shared->refused,
	    shared->beside, shared->versions);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
