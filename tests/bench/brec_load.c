/*
 * brec_load.c - puts load on a recorder and its collectors, and measures when frames are durable.
 *
 *   brec_load -f bastiond.conf [-n recordings] [-s bytes] [-w window] [-i ms] [-t seconds] [-b dir] [-a log] [-S frames]
 *   brec_load -c STORE [-a log]
 *
 * Plays bastiond's parent and `n` sessions of one recording each, around the real recorder role, which it forks (so it needs root,
 * as bastiond does). Each recording keeps `window` frames on the way and sends the next when one is committed, not before `ms`
 * after the one before. -b: every half second it lets all commits come in and then times a plain pwrite + fdatasync of as many bytes
 * on a preallocated file in `dir`. -a: appends one line "id sequence" for each commit that a session was told of. -S: seals after so many frames, and 32 KiB. -c: instead
 * checks a store: every frame that the log names is there, and all of it is what the sessions sent. Exit status 1: it is not.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "brec.h"
#include "clock.h"
#include "config.h"
#include "crypto.h"
#include "hex.h"
#include "ipc.h"
#include "log.h"
#include "role_recorder.h"
#include "roles.h"

#define SAMPLES_MAX (1U << 21)
#define WINDOW_MAX 256

struct feed {
	struct ipc ipc;
	uint8_t id[BREC_ID_LEN];
	uint32_t epoch;
	uint64_t seq, committed;	/* last sent, last committed */
	uint64_t next_us;		/* not before */
	uint64_t sent_us[WINDOW_MAX];
	unsigned since_seal;
	bool opened, over;
};

static struct {
	unsigned n, size, window, interval_ms, seconds, seal;
	const char *conf, *base_dir, *log, *store;
} opt = { .n = 1, .size = 64, .window = 1, .seconds = 5 };

static struct feed *feeds;
static struct ipc parent;
static struct buf part;
static uint32_t *samples, *base_samples;
static size_t nsamples, nbase;
static uint64_t frames, bytes;
static FILE *ack_log;
static bool resting;		/* nothing is sent while the disk alone is timed */
static unsigned on_the_way;	/* frames sent and not committed */
static uint64_t rest_us;	/* time so spent */

static void die(const char *what)
{
	fprintf(stderr, "brec_load: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* The body of a frame follows from its recording and sequence, so that a check needs nothing else. */
static void fill(uint8_t *body, size_t len, const uint8_t *id, uint64_t seq)
{
	uint64_t x;

	memcpy(&x, id, sizeof(x));
	x ^= seq * 0x9e3779b97f4a7c15ULL;
	for (size_t i = 0; i < len; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(body + i, &x, len - i < 8 ? len - i : 8);
	}
}

/* A session's part with one recipient who does not exist: the recorder checks its shape only. */
static void make_part(void)
{
	uint8_t commit[32] = { 1 }, stanza[BREC_STANZA_LEN] = { 2 };

	buf_init(&part, BREC_PART_MAX);
	buf_put_u8(&part, 1);
	buf_put_u8(&part, 0);
	buf_put(&part, commit, sizeof(commit));
	buf_put_u32(&part, 1);
	buf_put(&part, stanza, sizeof(stanza));
}

static void over(struct feed *f, const char *why)
{
	if (f->over)
		return;
	fprintf(stderr, "brec_load: %s (%s)\n", why, errno != 0 ? strerror(errno) : "-");
	f->over = true;
	on_the_way -= (unsigned)(f->seq - f->committed);
}

static void send_open(struct feed *f)
{
	struct buf b;

	buf_init(&b, BREC_HEADER_MAX);
	buf_put(&b, f->id, BREC_ID_LEN);
	buf_put_string(&b, part.data, part.len);
	if (ipc_send(&f->ipc, MSG_REC_OPEN, 1, &b, NULL, 0) != 0)
		over(f, "open");
	buf_finish(&b);
}

static void send_seal(struct feed *f)
{
	struct buf b;

	buf_init(&b, BREC_HEADER_MAX);
	buf_put_u64(&b, ++f->seq);
	on_the_way++;
	buf_put_string(&b, part.data, part.len);
	if (ipc_send(&f->ipc, MSG_REC_SEAL, 1, &b, NULL, 0) != 0)
		over(f, "seal");
	buf_finish(&b);
	f->epoch++;
	f->since_seal = 0;
	f->sent_us[f->seq % WINDOW_MAX] = 0;
}

static void send_frame(struct feed *f, uint64_t now)
{
	static uint8_t frame[BREC_FRAME_MAX];
	struct buf b;

	/* of smaller segments a recorder takes only a few */
	if (opt.seal != 0 && f->since_seal >= opt.seal && f->since_seal * (size_t)(BREC_FRAME_HEAD + opt.size + 4) >= REC_SEAL_BYTES) {
		send_seal(f);
		return;
	}
	f->since_seal++;
	f->seq++;
	on_the_way++;
	brec_frame_head(frame, BREC_DATA, BREC_OUTPUT, f->epoch, f->seq, opt.size);
	fill(frame + BREC_FRAME_HEAD, opt.size, f->id, f->seq);
	brec_frame_end(frame, BREC_FRAME_HEAD + opt.size + 4);
	buf_view(&b, frame, BREC_FRAME_HEAD + opt.size + 4);
	if (ipc_send(&f->ipc, MSG_REC_FRAME, 1, &b, NULL, 0) != 0)
		over(f, "frame");
	f->sent_us[f->seq % WINDOW_MAX] = now;
	f->next_us = now + opt.interval_ms * 1000ULL;
}

static void feed_more(struct feed *f, uint64_t now)
{
	while (!resting && f->opened && !f->over && f->seq - f->committed < opt.window && now >= f->next_us)
		send_frame(f, now);
}

static void on_commit(struct feed *f, uint64_t seq, uint64_t now)
{
	char hex[2 * BREC_ID_LEN + 1];

	while (f->committed < seq) {
		uint64_t sent = f->sent_us[++f->committed % WINDOW_MAX];

		if (sent != 0 && nsamples < SAMPLES_MAX)
			samples[nsamples++] = (uint32_t)(now - sent);
		frames++;
		on_the_way--;
		bytes += opt.size + BREC_FRAME_HEAD + 4;
	}
	/* line buffered: what the session was told is on file even if this process is killed next */
	if (ack_log != NULL)
		fprintf(ack_log, "%s %llu\n", hex_encode(hex, f->id, BREC_ID_LEN), (unsigned long long)seq);
}

static void on_readable(struct feed *f)
{
	char line[512];
	struct ipc_msg m;
	int r;

	while ((r = ipc_recv(&f->ipc, &m)) == 1) {
		uint64_t now = clock_mono_us();

		if (m.type == MSG_REC_OPENED) {
			f->opened = true;
		} else if (m.type == MSG_REC_COMMIT) {
			on_commit(f, buf_get_u64(&m.body), now);
		} else if (m.type == MSG_REC_REFUSED) {
			buf_get_cstring(&m.body, line, sizeof(line));
			errno = 0;
			over(f, line);
		}
		ipc_msg_finish(&m);
		feed_more(f, now);
	}
	if (r < 0)
		over(f, "recorder's link ended");
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* What the disk itself takes for the same bytes: preallocated, aligned, one flush a write. */
static void baseline(void)
{
	static uint8_t block[BREC_FRAME_MAX + 4096];
	static off_t at;
	static int fd = -1;
	size_t len = (opt.size + 4095U) / 4096 * 4096;
	char path[512];

	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/brec_load.XXXXXX", opt.base_dir);
		if ((fd = mkstemp(path)) < 0)
			die(path);
		unlink(path);
		for (int i = 0; i < 64; i++)
			for (off_t k = 0; k < 1 << 20; k += (off_t)sizeof(block) - 4096)
				if (pwrite(fd, block, sizeof(block) - 4096, ((off_t)i << 20) + k) < 0)
					die(path);
		if (fsync(fd) != 0)
			die(path);
	}
	for (int i = 0; i < 50 && nbase < SAMPLES_MAX; i++) {
		uint64_t t = clock_mono_us();

		if (pwrite(fd, block, len, at) != (ssize_t)len || fdatasync(fd) != 0)
			die("baseline");
		base_samples[nbase++] = (uint32_t)(clock_mono_us() - t);
		at = at + 2 * (off_t)len < 64 << 20 ? at + (off_t)len : 0;
	}
}

/* --- parent's part --- */

static int start_recorder(struct config *conf)
{
	int fds[2], pid;

	if (ipc_pair(fds) != 0)
		die("socketpair");
	if ((pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		log_init("recorder", true, LOG_LVL_NOTICE);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (dup2(fds[1], ROLE_FD_PARENT) < 0)
			_exit(1);
		for (int fd = ROLE_FD_PARENT + 1; fd < 64; fd++)
			close(fd);
		_exit(role_recorder(conf));
	}
	close(fds[1]);
	ipc_init(&parent, fds[0], ROLE_PARENT, ROLE_RECORDER);
	return pid;
}

static void wait_ready(void)
{
	struct ipc_msg m;

	if (ipc_wait(&parent, &m, 10000) != 1 || m.type != MSG_RECORDER_READY)
		die("the recorder does not start");
	ipc_msg_finish(&m);
}

static void start_feed(struct feed *f, uint32_t slot, int ep)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = f };
	uint8_t key[RECID_KEY_LEN];
	struct buf up;
	int fds[2];

	if (ipc_pair(fds) != 0)
		die("socketpair");
	ipc_init(&f->ipc, fds[0], ROLE_SESSION, ROLE_RECORDER);
	if (random_bytes(key, sizeof(key)) != 0 || recid_make(f->id, key, 0, 1) != 0)
		die("random");
	buf_view(&up, key, sizeof(key));
	if (ipc_send(&parent, MSG_REC_PEER_UP, slot, &up, &fds[1], 1) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev) != 0)
		die("session");
	close(fds[1]);
	/* sessions do not type in step */
	f->next_us = clock_mono_us() + opt.interval_ms * 1000ULL * slot / opt.n;
	while (ipc_wants_write(&parent)) {
		struct pollfd p = { .fd = parent.fd, .events = POLLOUT };

		if (poll(&p, 1, 1000) < 0 || ipc_flush(&parent) != 0)
			die("parent's link");
	}
	send_open(f);
}

static void close_feeds(void)
{
	struct buf b;

	for (unsigned i = 0; i < opt.n; i++) {
		if (feeds[i].over)
			continue;
		buf_init(&b, 64);
		buf_put_u64(&b, feeds[i].seq + 1);
		buf_put_u8(&b, BREC_END_NORMAL);
		buf_put_cstring(&b, "");
		if (ipc_send(&feeds[i].ipc, MSG_REC_CLOSE, 1, &b, NULL, 0) != 0)
			over(&feeds[i], "close");
		buf_finish(&b);
	}
}

static void run(int ep, uint64_t end)
{
	uint64_t next_base = clock_mono_us() + 500000, rest_from = 0;
	unsigned left = opt.n;

	while (left != 0 && clock_mono_us() < end) {
		struct epoll_event ev[256];
		int n = epoll_wait(ep, ev, 256, opt.interval_ms != 0 ? 1 : 50);
		uint64_t now = clock_mono_us();

		for (int i = 0; i < n; i++) {
			struct feed *f = ev[i].data.ptr;

			on_readable(f);
			if (ipc_wants_write(&f->ipc) && ipc_flush(&f->ipc) != 0)
				over(f, "write");
			if (f->over) {
				epoll_ctl(ep, EPOLL_CTL_DEL, f->ipc.fd, NULL);
				left--;
			}
		}
		for (unsigned i = 0; opt.interval_ms != 0 && i < opt.n; i++)
			feed_more(&feeds[i], now);
		if (opt.base_dir == NULL || now < next_base)
			continue;
		if (!resting)
			rest_from = now;
		resting = true;
		if (on_the_way != 0)
			continue;
		baseline();
		resting = false;
		now = clock_mono_us();
		next_base = now + 500000;
		rest_us += now - rest_from;
		for (unsigned i = 0; i < opt.n; i++)
			feed_more(&feeds[i], now);
	}
}

static uint32_t quantile(uint32_t *v, size_t n, unsigned per_mille)
{
	return n == 0 ? 0 : v[(n - 1) * per_mille / 1000];
}

/* The recorder's processor time, which is the bastion's; it has ended. */
static double recorder_cpu_us(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_CHILDREN, &ru) != 0)
		return 0;
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 + (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

static void report(double seconds)
{
	qsort(samples, nsamples, sizeof(*samples), by_value);
	qsort(base_samples, nbase, sizeof(*base_samples), by_value);
	printf("recordings %u, frame %u, window %u: %.0f frames/s, %.1f MB/s durable, commit p50 %u us, p99 %u us", opt.n, opt.size,
	    opt.window, (double)frames / seconds, (double)bytes / seconds / 1e6, quantile(samples, nsamples, 500),
	    quantile(samples, nsamples, 990));
	printf(", recorder cpu %.1f us/frame", frames != 0 ? recorder_cpu_us() / (double)frames : 0);
	if (nbase != 0)
		printf("; pwrite+fdatasync p50 %u us, p99 %u us", quantile(base_samples, nbase, 500), quantile(base_samples, nbase, 990));
	printf("\n");
}

static void complain(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "%s\n", line);
}

static int load(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), pid, status;
	struct config *conf = config_load(opt.conf, 0, complain, NULL);
	uint64_t start, end;

	if (conf == NULL)
		return 2;
	feeds = calloc(opt.n, sizeof(*feeds));
	samples = calloc(SAMPLES_MAX, sizeof(*samples));
	base_samples = calloc(SAMPLES_MAX, sizeof(*base_samples));
	if (feeds == NULL || samples == NULL || base_samples == NULL)
		die("memory");
	make_part();
	pid = start_recorder(conf);
	wait_ready();
	for (unsigned i = 0; i < opt.n; i++)
		start_feed(&feeds[i], i + 1, ep);
	start = clock_mono_us();
	run(ep, start + opt.seconds * 1000000ULL);
	start += rest_us;
	end = clock_mono_us();
	close_feeds();
	ipc_finish(&parent);
	waitpid(pid, &status, 0);
	report((double)(end - start) / 1e6);
	for (unsigned i = 0; i < opt.n; i++)
		if (feeds[i].over)
			return 3;
	return 0;
}

/* --- check --- */

struct seen {
	uint64_t last;
	bool bad;
};

static uint8_t *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = NULL;
	size_t cap = 0, n;

	*len = 0;
	while (f != NULL) {
		data = realloc(data, cap += 1 << 20);
		if (data == NULL)
			die("memory");
		n = fread(data + *len, 1, cap - *len, f);
		*len += n;
		if (*len < cap)
			break;
	}
	if (f != NULL)
		fclose(f);
	return data;
}

/* Every frame of a recording in order, chain and bodies; returns the last sequence, sets bad. */
static struct seen check_recording(const char *dir, const uint8_t *id)
{
	static uint8_t want[BREC_FRAME_MAX];
	struct seen s = { 0 };

	for (unsigned seg = 0; !s.bad; seg++) {
		char path[1300];
		struct brec_header h;
		struct brec_frame f;
		uint8_t *data;
		size_t len, at;
		int e = 0;

		snprintf(path, sizeof(path), "%s/%08u.brec", dir, seg);
		if ((data = slurp(path, &len)) == NULL)
			break;
		if (brec_header_decode(data, len, &h) != BREC_OK || memcmp(h.id, id, BREC_ID_LEN) != 0 || h.first_seq != s.last + 1)
			s.bad = true;
		for (at = s.bad ? len : h.len; at < len; at += f.len) {
			if ((e = brec_frame_decode(data + at, len - at, &f)) != BREC_OK || f.seq != s.last + 1) {
				fprintf(stderr, "%s: byte %zu: %s\n", path, at, brec_strerror(e));
				s.bad = true;
				break;
			}
			s.last = f.seq;
			fill(want, f.body_len, id, f.seq);
			if (f.type == BREC_DATA && memcmp(want, f.body, f.body_len) != 0)
				s.bad = true;
		}
		free(data);
	}
	return s;
}

static bool find_dir(char *out, size_t size, const char *hex)
{
	char top[512];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(top, sizeof(top), "%s/recordings", opt.store);
	for (d = opendir(top); d != NULL && !found && (e = readdir(d)) != NULL;) {
		snprintf(out, size, "%s/%s/%s", top, e->d_name, hex);
		found = e->d_name[0] != '.' && access(out, F_OK) == 0;
	}
	if (d != NULL)
		closedir(d);
	return found;
}

/* The log may name a recording many times; sorted by id, only the last line of each counts. */
static int check(void)
{
	char cmd[600], line[200], hex[40], dir[1200];
	unsigned long long seq, recordings = 0, total = 0, missing = 0;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "sort -k1,1 -k2,2nr '%s' | sort -s -u -k1,1", opt.log);
	if ((p = popen(cmd, "re")) == NULL)
		die("sort");
	while (fgets(line, sizeof(line), p) != NULL) {
		uint8_t id[BREC_ID_LEN];
		struct seen s;

		if (sscanf(line, "%32s %llu", hex, &seq) != 2 || hex_decode(id, BREC_ID_LEN, hex) != 0)
			continue;
		recordings++;
		if (!find_dir(dir, sizeof(dir), hex)) {
			printf("%s: acknowledged up to %llu, not there\n", hex, seq);
			missing++;
			continue;
		}
		s = check_recording(dir, id);
		total += s.last;
		if (s.bad || s.last < seq) {
			printf("%s: acknowledged up to %llu, stored up to %llu%s\n", hex, seq, (unsigned long long)s.last, s.bad ? ", and damaged" : "");
			missing++;
		}
	}
	pclose(p);
	printf("checked %llu recordings, %llu frames: %llu not as acknowledged\n", recordings, total, missing);
	return missing != 0 || recordings == 0;
}

int main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "f:n:s:w:i:t:b:a:c:S:")) != -1)
		switch (c) {
		case 'f': opt.conf = optarg; break;
		case 'n': opt.n = (unsigned)atoi(optarg); break;
		case 's': opt.size = (unsigned)atoi(optarg); break;
		case 'w': opt.window = (unsigned)atoi(optarg); break;
		case 'i': opt.interval_ms = (unsigned)atoi(optarg); break;
		case 't': opt.seconds = (unsigned)atoi(optarg); break;
		case 'b': opt.base_dir = optarg; break;
		case 'a': opt.log = optarg; break;
		case 'c': opt.store = optarg; break;
		case 'S': opt.seal = (unsigned)atoi(optarg); break;
		default: return 2;
		}
	if ((opt.conf == NULL) == (opt.store == NULL) || opt.n == 0 || opt.window == 0 || opt.window > WINDOW_MAX - 1 ||
	    opt.size < 16 || opt.size % 16 != 0 || opt.size > BREC_FRAME_MAX - BREC_FRAME_HEAD - 4 || (opt.store != NULL && opt.log == NULL)) {
		fprintf(stderr, "usage: brec_load -f bastiond.conf [-n recordings] [-s bytes] [-w window] [-i ms] [-t s] [-b dir] [-a log] [-S frames]\n"
		    "       brec_load -c store -a log\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (opt.store != NULL)
		return check();
	if (opt.log != NULL && ((ack_log = fopen(opt.log, "ae")) == NULL || setvbuf(ack_log, NULL, _IOLBF, 0) != 0))
		die(opt.log);
	return load();
}
