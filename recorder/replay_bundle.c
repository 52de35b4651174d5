/*
 * replay_bundle.c - `bastion-replay bundle`: one recording in one tar file, with the collector's receipts, its leaves in the log of
 * recordings, each with its proof, the public keys, and a page that says how to check it with public tools. Needs no identity.
 */
#include "replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "brec_dir.h"
#include "brec_receipts.h"
#include "hex.h"
#include "replay_term.h"
#include "tlog_proof.h"
#include "tlog_tile.h"

static const char readme[] =
	"This is one recording of an SSH session, and what proves that it is whole and unchanged.\n"
	"`bastion-replay verify THIS.tar --trust FILE` checks all of it. With other tools, from bastion-record(5), which\n"
	"specifies every byte:\n\n"
	"NNNNNNNN.brec  the segments, encrypted, chained and signed by the bastion\n"
	"receipts       what the collector signed while it took them\n"
	"log/N.leaf     what the collector's log of recordings says: opened, sealed, closed\n"
	"log/N.tlog-proof, log/checkpoint   proof that leaf N is in the log (c2sp.org/tlog-proof, /tlog-checkpoint)\n"
	"keys/          public keys, for convenience: compare them with those that you have from elsewhere\n\n"
	"1. The last leaf is of type 3 (close); there is one of type 1 (open), and one of type 2 (seal) for each segment before\n"
	"   the last; leaves of types from 4 on say what was done with the recording, and stand where they like:\n"
	"       for n in $(ls log | grep -o '^[0-9]*' | sort -nu); do od -An -tu1 -j12 -N1 log/$n.leaf; done\n"
	"2. Each seal and close leaf names its segment (bytes 29-32) and that file's SHA-256 (bytes 73-104):\n"
	"       od -An -tx1 -j73 -N32 log/N.leaf; sha256sum 00000000.brec\n"
	"3. Each leaf is in the tree of the checkpoint. The leaf hash is that of a zero byte and the leaf:\n"
	"       (printf '\\0'; cat log/N.leaf) | sha256sum\n"
	"   and the proof leads from it to the root in the third line of the checkpoint (RFC 9162, 2.1.3.2); any tool for\n"
	"   c2sp.org/tlog-proof does that.\n"
	"4. The collector signed the checkpoint:\n"
	"       sed '/^$/,$d' log/checkpoint >text\n"
	"       sed -n '/^$/,$p' log/checkpoint | sed -n '2s/.* //p' | base64 -d | tail -c 64 >sig\n"
	"       openssl pkeyutl -verify -pubin -inkey keys/collector.pem -rawin -in text -sigfile sig\n"
	"5. The bastion signed the header of each segment (its length n stands at byte 12):\n"
	"       n=$(od -An -tu4 --endian=big -j12 -N4 00000000.brec | tr -d ' ')\n"
	"       (printf 'brec/v1 header'; head -c $((n - 64)) 00000000.brec) >text\n"
	"       head -c $n 00000000.brec | tail -c 64 >sig\n"
	"       openssl pkeyutl -verify -pubin -inkey keys/signer.pem -rawin -in text -sigfile sig\n"
	"   Chain and signatures of the frames: bastion-record(5), CHAIN and FRAMES.\n";

#define SEGMENTS_MAX (BREC_TAR_FILES_MAX / 4)	/* of a recording: as many leaves, and a proof for each, are in the archive, too */

struct bundle {
	FILE *out;
	char id[2 * BREC_ID_LEN + 1];
	int64_t mtime;
	uint8_t *note;			/* the checkpoint that the proofs are for */
	size_t note_len;
};

/* ---- files of the tar ---- */

static int put_header(struct bundle *b, const char *name, uint64_t size)
{
	uint8_t block[BREC_TAR_BLOCK];
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", b->id, name);
	errno = EFBIG;
	return brec_tar_header(block, path, size, b->mtime) == 0 && fwrite(block, sizeof(block), 1, b->out) == 1 ? 0 : -1;
}

static int put_padding(struct bundle *b, uint64_t size)
{
	static const uint8_t zero[BREC_TAR_BLOCK];
	const size_t rest = (BREC_TAR_BLOCK - size % BREC_TAR_BLOCK) % BREC_TAR_BLOCK;

	return fwrite(zero, 1, rest, b->out) == rest ? 0 : -1;
}

static int put_bytes(struct bundle *b, const char *name, const void *data, size_t len)
{
	return put_header(b, name, len) != 0 || fwrite(data, 1, len, b->out) != len ? -1 : put_padding(b, len);
}

/* A file of the recording as it is now. 1; 0: there is none; -1. */
static int put_file(struct bundle *b, const char *dir, const char *name)
{
	char path[REPLAY_PATH_MAX];
	uint8_t data[65536];
	uint64_t left;
	struct stat st;
	ssize_t n = 1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
		return errno == ENOENT ? 0 : -1;
	errno = EINVAL;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || put_header(b, name, (uint64_t)st.st_size) != 0) {
		close(fd);
		return -1;
	}
	for (left = (uint64_t)st.st_size; left != 0 && n > 0; left -= (uint64_t)n)
		if ((n = read(fd, data, left < sizeof(data) ? (size_t)left : sizeof(data))) <= 0 || fwrite(data, 1, (size_t)n, b->out) != (size_t)n)
			break;
	close(fd);
	if (left != 0) {
		errno = n == 0 ? EIO : errno;
		return -1;
	}
	return put_padding(b, (uint64_t)st.st_size) == 0 ? 1 : -1;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The numbers of the segments that are there, also behind a gap, as those are evidence, too: *n of them, for free(). NULL with errno. */
static uint32_t *list_segments(const char *dir, size_t *n)
{
	DIR *d = opendir(dir);
	uint32_t *v = d != NULL ? calloc(SEGMENTS_MAX, sizeof(*v)) : NULL;
	struct dirent *e;
	int64_t number;
	int error = v == NULL ? errno : 0;

	*n = 0;
	while (v != NULL && error == 0 && (errno = 0, e = readdir(d)) != NULL)
		if ((number = brec_dir_number(e->d_name)) >= 0 && *n == SEGMENTS_MAX)
			error = EOVERFLOW;
		else if (number >= 0)
			v[(*n)++] = (uint32_t)number;
	if (error == 0)
		error = errno;
	if (d != NULL)
		closedir(d);
	if (error == 0) {
		qsort(v, *n, sizeof(*v), by_number);
		return v;
	}
	free(v);
	errno = error;
	return NULL;
}

static int put_segment(struct bundle *b, const char *dir, uint32_t number)
{
	char name[BREC_NAME_LEN];

	snprintf(name, sizeof(name), "%08" PRIu32 ".brec", number);
	return put_file(b, dir, name);
}

/* The receipts first: of a recording that is being made, later ones would speak of frames that are not here. Segments may be begun meanwhile. */
static int put_recording(struct bundle *b, const char *dir)
{
	size_t all;
	uint32_t *v = list_segments(dir, &all);
	struct progress bar;
	int r = v == NULL ? -1 : put_file(b, dir, BREC_RECEIPTS_FILE);

	progress_begin(&bar, "bundle");
	for (size_t i = 0; r >= 0 && i < all; i++) {
		progress_at(&bar, i, all, "");
		r = put_segment(b, dir, v[i]);
	}
	for (uint32_t more = all > 0 ? v[all - 1] + 1 : 0; r == 1 && all > 0 && all < SEGMENTS_MAX; all++)
		r = put_segment(b, dir, more++);
	progress_end(&bar);
	free(v);
	return r < 0 ? -1 : 0;
}

/* As PEM: SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 10.1) is these bytes and the key. */
static int put_key(struct bundle *b, const char *name, const uint8_t key[KEY_LEN])
{
	static const uint8_t prefix[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	uint8_t der[sizeof(prefix) + KEY_LEN];
	char base64[BASE64_SIZE(sizeof(der))], text[128];

	memcpy(der, prefix, sizeof(prefix));
	memcpy(der + sizeof(prefix), key, KEY_LEN);
	/* 44 bytes: 59 characters and one of padding */
	return put_bytes(b, name, text, (size_t)snprintf(text, sizeof(text), "-----BEGIN PUBLIC KEY-----\n%s=\n-----END PUBLIC KEY-----\n",
	    base64_encode(base64, der, sizeof(der))));
}

static int put_keys(struct bundle *b, const struct trust *t, const uint8_t signer[HASH_LEN], const struct tlog_log *log)
{
	uint8_t id[HASH_LEN];

	for (size_t i = 0; i < t->nsigners; i++)
		if (key_id(id, t->signers[i]) == 0 && memcmp(id, signer, HASH_LEN) == 0 && put_key(b, "keys/signer.pem", t->signers[i]) != 0)
			return -1;
		else if (memcmp(id, signer, HASH_LEN) == 0)
			break;
	return log->state == TLOG_GOOD ? put_key(b, "keys/collector.pem", log->key) : 0;
}

/* ---- proofs ---- */

/* The leaf hashes of the whole log, which was found good, for free(). */
static uint8_t (*leaf_hashes(int dir, uint64_t size))[HASH_LEN]
{
	uint8_t (*hashes)[HASH_LEN] = calloc(size, HASH_LEN);

	for (uint64_t at = 0; hashes != NULL && at < size; at += TLOG_TILE) {
		const unsigned width = size - at < TLOG_TILE ? (unsigned)(size - at) : TLOG_TILE;
		size_t len;
		uint8_t *tile = tlog_read_tile(dir, 0, at / TLOG_TILE, width, &len);

		if (tile == NULL || len < (size_t)width * HASH_LEN) {
			free(hashes);
			hashes = NULL;
		} else {
			memcpy(hashes[at], tile, (size_t)width * HASH_LEN);
		}
		free(tile);
	}
	return hashes;
}

static int put_leaf(struct bundle *b, int dir, const struct tlog_log *log, const struct tlog_path *path)
{
	const uint64_t first = path->index / TLOG_TILE * TLOG_TILE;
	const unsigned width = log->size - first < TLOG_TILE ? (unsigned)(log->size - first) : TLOG_TILE;
	const uint8_t *leaf = NULL;
	struct buf entries, proof;
	char name[64];
	size_t total, len = 0;
	uint8_t *data = tlog_read_tile(dir, TLOG_ENTRIES, first / TLOG_TILE, width, &total);
	int r = -1;

	buf_init(&proof, TLOG_PROOF_MAX);
	buf_view(&entries, data, data != NULL ? total : 0);
	for (uint64_t i = first; i <= path->index; i++)
		leaf = tlog_bundle_next(&entries, &len);
	snprintf(name, sizeof(name), "log/%" PRIu64 ".leaf", path->index);
	errno = EIO;
	if (leaf == NULL || tlog_proof_make(&proof, path, b->note, b->note_len) != 0 || put_bytes(b, name, leaf, len) != 0)
		goto out;
	snprintf(name, sizeof(name), "log/%" PRIu64 ".tlog-proof", path->index);
	r = put_bytes(b, name, proof.data, proof.len);
out:
	buf_finish(&proof);
	free(data);
	return r;
}

/* The checkpoint must be the one that was judged: a live log may have grown since. */
static int read_note(struct bundle *b, int dir, const struct tlog_log *log)
{
	struct tlog_checkpoint c;

	b->note = tlog_slurp(dir, TLOG_CHECKPOINT, TLOG_NOTE_MAX, &b->note_len);
	return b->note != NULL && tlog_checkpoint_parse(&c, b->note, b->note_len) == 0 && c.size == log->size ? 0 : -1;
}

static int put_log(struct bundle *b, int dir, const struct tlog_log *log, const uint8_t id[BREC_ID_LEN])
{
	size_t n;
	const struct tlog_entry *e = tlog_find(log, id, &n);
	struct tlog_path *paths = calloc(n + 1, sizeof(*paths));
	uint8_t (*hashes)[HASH_LEN] = n != 0 ? leaf_hashes(dir, log->size) : NULL;
	uint8_t root[HASH_LEN];
	int r = -1;

	for (size_t i = 0; paths != NULL && i < n; i++)
		paths[i].index = e[i].index;
	errno = EIO;
	if (paths == NULL || (n != 0 && (hashes == NULL || tlog_paths(paths, n, hashes, log->size, root) != 0)))
		goto out;
	r = put_bytes(b, "log/" TLOG_CHECKPOINT, b->note, b->note_len);
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_leaf(b, dir, log, &paths[i]);
out:
	free(hashes);
	free(paths);
	return r;
}

/* ---- the command ---- */

static int write_bundle(struct bundle *b, const struct recording *rec, struct logs *logs, const struct brec_report *report)
{
	static const uint8_t end[2 * BREC_TAR_BLOCK];
	const struct tlog_log *log = logs_read(logs, rec->dir, true);
	int dir = log->state == TLOG_GOOD ? open(logs->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, r = -1;

	while (dir >= 0 && read_note(b, dir, log) != 0) {
		free(b->note);
		b->note = NULL;
		errno = EIO;
		if (!logs_grew(logs) || log->state != TLOG_GOOD)
			goto out;
	}
	r = put_bytes(b, "README", readme, sizeof(readme) - 1);
	r = r != 0 || put_recording(b, rec->dir) != 0 || put_keys(b, logs->trust, report->signer, log) != 0 ? -1 : 0;
	if (r == 0 && dir >= 0)
		r = put_log(b, dir, log, report->id);
	if (r == 0 && (fwrite(end, sizeof(end), 1, b->out) != 1 || fflush(b->out) != 0))
		r = -1;
out:
	free(b->note);
	if (dir >= 0)
		close(dir);
	return r;
}

/* Makes it, of a recording that was judged. 0, or -1: said on standard error. */
static int make_bundle(const struct args *a, struct logs *logs, const struct recording *rec, const struct brec_report *report)
{
	const bool to_stdout = strcmp(a->output, "-") == 0;
	struct bundle b = { .mtime = time(NULL), .out = to_stdout ? stdout : fopen(a->output, "wxe") };
	int r;

	hex_encode(b.id, report->id, BREC_ID_LEN);
	if (b.out == NULL) {
		fprintf(stderr, "bastion-replay: %s: %s\n", a->output, strerror(errno));
		return -1;
	}
	r = write_bundle(&b, rec, logs, report);
	if (r != 0)
		fprintf(stderr, "bastion-replay: the bundle could not be made: %s\n", strerror(errno));
	if (!to_stdout && fclose(b.out) != 0 && r == 0) {
		fprintf(stderr, "bastion-replay: %s: %s\n", a->output, strerror(errno));
		r = -1;
	}
	if (r != 0 && !to_stdout)
		unlink(a->output);
	return r;
}

static void judge(const char *dir, struct logs *logs, struct brec_report *report)
{
	struct brec_trust view = trust_view(logs->trust);

	view.log = logs_read(logs, dir, true);
	brec_verify_dir(dir, &view, report);
}

/* Was it being made, and has closed while it was copied? Then leaves are missing. */
static bool has_closed(const struct brec_report *before, const struct brec_report *made)
{
	return (before->verdict == BREC_OPEN || before->verdict == BREC_ABANDONED) &&
	    (made->verdict == BREC_COMPLETE || made->verdict == BREC_UNVERIFIABLE);
}

/* What is said is the verdict on what was made, where that can be read again. */
static int bundle_one(const struct args *a, struct logs *logs, const struct recording *rec)
{
	struct logs own = { .trust = logs->trust };
	struct brec_report report, made;
	char id[2 * BREC_ID_LEN + 1];

	for (bool again = false;; again = true) {
		judge(rec->dir, logs, &report);
		if (report.segments == 0 && report.first_wall_us == 0) {
			fprintf(stderr, "bastion-replay: nothing of a recording is here that could be bundled: %s\n", report.reason);
			return EXIT_UNREADABLE;
		}
		if (make_bundle(a, logs, rec, &report) != 0)
			return EXIT_UNREADABLE;
		made = report;
		if (strcmp(a->output, "-") == 0)
			break;
		judge(a->output, &own, &made);
		logs_finish(&own);
		if (again || !has_closed(&report, &made))
			break;
		unlink(a->output);
		logs_finish(logs);
	}
	fprintf(stderr, "%s: %s%s%s; log of recordings: %s\n", hex_encode(id, report.id, BREC_ID_LEN), brec_verdict_name(made.verdict),
	    made.verdict == BREC_COMPLETE ? "" : ", ", made.verdict == BREC_COMPLETE ? "" : made.reason, brec_logged_name(made.logged));
	return EXIT_OK;
}

int cmd_bundle(struct args *a)
{
	struct trust trust;
	struct logs logs = { .trust = &trust };
	struct recording rec;
	int status;

	if (a->output == NULL) {
		fprintf(stderr, "bastion-replay: bundle needs --output FILE, or - for standard output\n");
		return EXIT_USAGE;
	}
	if (keys_trust(&trust, a) != 0 || store_find(&rec, a->store, a->ids[0]) != 0)
		return EXIT_UNREADABLE;
	status = bundle_one(a, &logs, &rec);
	logs_finish(&logs);
	recording_finish(&rec);
	return status;
}
