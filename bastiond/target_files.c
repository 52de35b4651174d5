/*
 * target_files.c - see target_files.h. Role target.
 */
#include "target_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hex.h"
#include "sshkey.h"

#define HOSTS_FILE_MAX 65536	/* of known_hosts; the client adds few keys */
#define LINE_WIDTH 70

static int write_file(const char *file, const void *data, size_t len)
{
	const int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, data, len) == (ssize_t)len; /* a file in memory: whole or not at all */

	if (fd >= 0 && close(fd) != 0)
		ok = false;
	return ok ? 0 : -1;
}

/* With padding, as OpenSSH wants it. */
static int put_base64(struct buf *out, const void *data, size_t len)
{
	char *text = malloc(BASE64_SIZE(len) + 4);
	int r;

	if (text == NULL)
		return -1;
	base64_encode(text, data, len);
	r = buf_put(out, text, strlen(text));
	if (len % 3 != 0)
		r = buf_put(out, "==", 3 - len % 3);
	explicit_bzero(text, strlen(text));
	free(text);
	return r;
}

/* "TYPE BASE64\n" of a blob, which begins with its type. */
static int put_line(struct buf *out, const void *blob, size_t len)
{
	const uint8_t *type;
	size_t type_len;
	struct buf b;

	buf_view(&b, blob, len);
	if ((type = buf_get_string(&b, 64, &type_len)) == NULL || type_len == 0)
		return -1;
	for (size_t i = 0; i < type_len; i++)
		if (type[i] <= ' ' || type[i] > '~')
			return -1;
	buf_put(out, type, type_len);
	buf_put(out, " ", 1);
	put_base64(out, blob, len);
	return buf_put(out, "\n", 1);
}

/* PROTOCOL.key of OpenSSH, without a passphrase: one key, its private part padded to 8 bytes. */
static void put_private(struct buf *out, const struct buf *blob, const uint8_t seed[32], const uint8_t pub[32])
{
	uint8_t both[64];
	struct buf part;

	memcpy(both, seed, 32);
	memcpy(both + 32, pub, 32);
	buf_init(&part, 1024);
	buf_put_u32(&part, 1); /* the same number twice: it says whether a passphrase was right */
	buf_put_u32(&part, 1);
	buf_put_cstring(&part, "ssh-ed25519");
	buf_put_string(&part, pub, 32);
	buf_put_string(&part, both, sizeof(both));
	buf_put_cstring(&part, "");
	for (uint8_t i = 1; part.len % 8 != 0; i++)
		buf_put_u8(&part, i);
	buf_put(out, "openssh-key-v1", 15); /* with its NUL */
	buf_put_cstring(out, "none");
	buf_put_cstring(out, "none");
	buf_put_cstring(out, "");
	buf_put_u32(out, 1);
	buf_put_string(out, blob->data, blob->len);
	buf_put_string(out, part.data, part.len);
	buf_finish(&part);
	explicit_bzero(both, sizeof(both));
}

static int write_private(const char *file, const struct buf *blob, const uint8_t seed[32], const uint8_t pub[32])
{
	static const char head[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n", foot[] = "-----END OPENSSH PRIVATE KEY-----\n";
	struct buf raw, text, pem;
	int r = -1;

	buf_init(&raw, 2048);
	buf_init(&text, 4096);
	buf_init(&pem, 4096);
	put_private(&raw, blob, seed, pub);
	if (buf_ok(&raw) && put_base64(&text, raw.data, raw.len) == 0) {
		buf_put(&pem, head, sizeof(head) - 1);
		for (size_t at = 0; at < text.len; at += LINE_WIDTH) {
			buf_put(&pem, text.data + at, text.len - at < LINE_WIDTH ? text.len - at : LINE_WIDTH);
			buf_put(&pem, "\n", 1);
		}
		buf_put(&pem, foot, sizeof(foot) - 1);
		r = buf_ok(&pem) ? write_file(file, pem.data, pem.len) : -1;
	}
	buf_finish(&pem);
	buf_finish(&text);
	buf_finish(&raw);
	return r;
}

int target_key_write(const char *file, struct buf *blob)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t seed[32] = { 0 }, pub[32];
	size_t seed_len = sizeof(seed), pub_len = sizeof(pub);
	int r = -1;

	if (key != NULL && EVP_PKEY_get_raw_private_key(key, seed, &seed_len) == 1 && EVP_PKEY_get_raw_public_key(key, pub, &pub_len) == 1 &&
	    sshkey_blob(key, blob) == 0)
		r = write_private(file, blob, seed, pub);
	explicit_bzero(seed, sizeof(seed));
	EVP_PKEY_free(key);
	return r;
}

int target_line_write(const char *file, const void *blob, size_t len)
{
	struct buf b;
	int r = -1;

	buf_init(&b, 16384);
	if (put_line(&b, blob, len) == 0 && buf_ok(&b))
		r = write_file(file, b.data, b.len);
	buf_finish(&b);
	return r;
}

int target_hosts_write(const char *file, const char *host, const struct task_keys *keys)
{
	struct buf b;
	int r = 0;

	buf_init(&b, HOSTS_FILE_MAX);
	for (size_t i = 0; i < keys->n && r == 0; i++) {
		buf_put(&b, host, strlen(host));
		buf_put(&b, " ", 1);
		r = put_line(&b, keys->v[i].blob, keys->v[i].len);
	}
	if (r == 0)
		r = buf_ok(&b) ? write_file(file, b.data, b.len) : -1;
	buf_finish(&b);
	return r;
}

/* HOST TYPE BASE64 [COMMENT] */
static void take_line(char *line, struct task_keys *keys)
{
	char *rest = line, *host = strsep(&rest, " \t"), *type = strsep(&rest, " \t"), *text = strsep(&rest, " \t");
	struct task_key *k = &keys->v[keys->n];
	int len;

	if (host[0] == '#' || host[0] == '@' || type == NULL || text == NULL)
		return;
	if (keys->n == TARGET_KEYS_MAX) {
		keys->more++;
		return;
	}
	if ((len = base64_decode(k->blob, sizeof(k->blob), text, strlen(text))) <= 0)
		return;
	k->len = (size_t)len;
	keys->n++;
}

int target_hosts_read(const char *file, struct task_keys *keys)
{
	const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = malloc(HOSTS_FILE_MAX + 1), *rest = text, *line;
	ssize_t n;
	int r = -1;

	keys->n = keys->more = 0;
	if (fd >= 0 && text != NULL && (n = read(fd, text, HOSTS_FILE_MAX)) >= 0) {
		text[n] = '\0';
		if (n == HOSTS_FILE_MAX) { /* its last line is half a key */
			keys->more++;
			*(strrchr(text, '\n') != NULL ? strrchr(text, '\n') : text) = '\0';
		}
		while ((line = strsep(&rest, "\n")) != NULL)
			take_line(line, keys);
		r = 0;
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return r;
}

int target_mark_make(struct task_key *mark)
{
	uint8_t key[32];
	struct buf b;
	int r = -1;

	buf_init(&b, sizeof(mark->blob));
	if (RAND_bytes(key, sizeof(key)) == 1) {
		buf_put_cstring(&b, "sk-ssh-ed25519@openssh.com");
		buf_put_string(&b, key, sizeof(key));
		r = buf_put_cstring(&b, "ssh:");
	}
	mark->len = r == 0 ? b.len : 0;
	if (r == 0)
		memcpy(mark->blob, b.data, b.len);
	buf_finish(&b);
	return r;
}

static bool same(const struct task_key *a, const struct task_key *b)
{
	return a->len == b->len && memcmp(a->blob, b->blob, a->len) == 0;
}

bool target_keys_drop(struct task_keys *keys, const struct task_key *k)
{
	for (size_t i = 0; i < keys->n; i++)
		if (same(&keys->v[i], k)) {
			keys->v[i] = keys->v[--keys->n];
			return true;
		}
	return false;
}

void target_keys_without(const struct task_keys *keys, const struct task_keys *others, struct task_keys *out)
{
	out->n = 0;
	out->more = keys->more;
	for (size_t i = 0; i < keys->n; i++) {
		bool there = false;

		for (size_t j = 0; j < others->n && !there; j++)
			there = same(&keys->v[i], &others->v[j]);
		if (!there)
			out->v[out->n++] = keys->v[i];
	}
}

/*
 * Where the client begins to quote its peer: the reason of a disconnect, and the names of algorithms. Both may hold line ends, which the
 * client writes as they are, and both come before the key exchange from whoever is on the path.
 */
static size_t own_words(const char *log)
{
	static const char *const quotes[] = { "Received disconnect from ", "Their offer: " };
	size_t n = strlen(log);

	for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
		const char *at = strstr(log, quotes[i]);

		if (at != NULL && (size_t)(at - log) < n)
			n = (size_t)(at - log);
	}
	return n;
}

/* "LOGIN@HOST: Permission denied (publickey)." */
static bool is_refusal(const char *line, size_t len, const char *login, const char *host)
{
	const size_t ll = strlen(login), hl = strlen(host);
	static const char middle[] = ": Permission denied (";
	const size_t head = ll + 1 + hl + sizeof(middle) - 1;

	/* the client writes the host's name in lower case */
	return len > head + 2 && memcmp(line, login, ll) == 0 && line[ll] == '@' && strncasecmp(line + ll + 1, host, hl) == 0 &&
	    memcmp(line + ll + 1 + hl, middle, sizeof(middle) - 1) == 0 && memcmp(line + len - 2, ").", 2) == 0;
}

enum task_end target_log_end(const char *log, const char *login, const char *host, bool *met)
{
	static const char in[] = "Authenticated to ", hostkey[] = "Host key verification failed.", type[] = "no matching host key type found. ";
	const size_t own = own_words(log);
	const bool quoted = log[own] != '\0';
	size_t end, start;

	*met = false;
	for (const char *line = log; line < log + own; line += strcspn(line, "\n") + 1)
		if ((size_t)(log + own - line) >= sizeof(in) - 1 && memcmp(line, in, sizeof(in) - 1) == 0)
			*met = true;
	for (end = own; end > 0 && strchr("\r\n", log[end - 1]) != NULL; end--)
		;
	for (start = end; start > 0 && log[start - 1] != '\n'; start--)
		;
	if (quoted) /* "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: " */
		return own - start >= sizeof(type) - 1 && memcmp(log + own - (sizeof(type) - 1), type, sizeof(type) - 1) == 0 ? TASK_HOSTKEY : TASK_UNREACHABLE;
	if (end - start == sizeof(hostkey) - 1 && memcmp(log + start, hostkey, sizeof(hostkey) - 1) == 0)
		return TASK_HOSTKEY;
	return is_refusal(log + start, end - start, login, host) ? TASK_REFUSED : TASK_UNREACHABLE;
}
