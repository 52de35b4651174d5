/*
 * totpkey.c - see totpkey.h. Reads as root: in policy before it drops, in the child of parent_reload.c.
 */
#include "totpkey.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyfiles.h"
#include "log.h"
#include "roles.h"

static const char *credential_of(const char *value)
{
	const size_t n = sizeof(TOTPKEY_CREDENTIAL) - 1;

	return strncmp(value, TOTPKEY_CREDENTIAL, n) == 0 ? value + n : NULL;
}

bool totpkey_option_ok(const char *value)
{
	const char *name = credential_of(value);

	if (name == NULL)
		return value[0] == '\0' || (value[0] == '/' && strlen(value) < PATH_MAX - 8);
	return name[0] != '\0' && name[0] != '.' && strlen(name) <= 64 && strchr(name, '/') == NULL;
}

int totpkey_path(const struct config *conf, char *out, size_t size)
{
	const char *name = credential_of(conf->totp_key), *dir = getenv("CREDENTIALS_DIRECTORY");
	int n;

	if (name != NULL && dir == NULL) {
		log_error("totp_key = %s, but the service manager gives no credentials: add LoadCredential=%s:FILE to the "
		    "unit, or name a file", conf->totp_key, name);
		return -1;
	}
	if (name != NULL)
		n = snprintf(out, size, "%s/%s", dir, name);
	else if (conf->totp_key[0] != '\0')
		n = snprintf(out, size, "%s", conf->totp_key);
	else
		n = snprintf(out, size, "%s/keys/totp.key", conf->state_dir);
	if (n > 0 && (size_t)n < size)
		return 0;
	log_error("the path of totp_key is too long");
	return -1;
}

int totpkey_collect(int fd, const struct config *conf)
{
	/* in the order in which they are to seal */
	static const char *const tails[] = { ".next", "", ".old" };
	char path[PATH_MAX - 8], one[PATH_MAX];
	struct buf bundle;
	int r;

	if (totpkey_path(conf, path, sizeof(path)) != 0)
		return -1;
	buf_init(&bundle, SEAL_KEYS_MAX * (KEYFILE_BYTES_MAX + PATH_MAX));
	r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(tails) / sizeof(tails[0]); i++) {
		snprintf(one, sizeof(one), "%s%s", path, tails[i]);
		if (tails[i][0] == '\0' || access(one, F_OK) == 0)
			r = keyfiles_add(&bundle, one, tails[i], false);
	}
	if (r == 0)
		r = keyfiles_seal(fd, &bundle, ROLE_POLICY);
	buf_finish(&bundle);
	return r;
}

/* OpenSSL fetches the cipher here, not behind the sandbox. */
static int try_ring(const struct seal_ring *ring)
{
	static const uint8_t plain[20];
	uint8_t sealed[sizeof(plain) + SEAL_OVER], back[sizeof(plain)];

	return seal_close(ring, "trial", 0, plain, sizeof(plain), sealed) == 0 &&
	    seal_open(ring, "trial", 0, sealed, back, sizeof(back)) == 0 ? 0 : -1;
}

int totpkey_read(int fd, struct seal_ring *ring)
{
	struct keyfile f;
	struct buf files;
	int r;

	*ring = (struct seal_ring){ .n = 0 };
	if (keyfiles_read(fd, &files) != 0)
		return -1;
	while ((r = keyfiles_next(&files, &f)) == 1)
		if (seal_ring_add(ring, f.data, f.len) != 0) {
			log_error("totp_key%s: no key: 64 hexadecimal digits and a line end, as `openssl rand -hex 32` "
			    "prints them, and not the same key twice", f.name);
			r = -1;
			break;
		}
	if (r == 0 && try_ring(ring) != 0) {
		log_error("totp_key: OpenSSL cannot seal with AES-256-GCM");
		r = -1;
	}
	buf_finish(&files);
	if (r != 0)
		explicit_bzero(ring, sizeof(*ring));
	return r;
}

int totpkey_own(const struct config *conf, struct seal_ring *ring)
{
	int fd = keyfiles_create(), r = -1;

	if (fd < 0)
		log_error("no memory file for totp_key");
	else if (totpkey_collect(fd, conf) == 0)
		r = totpkey_read(fd, ring);
	if (fd >= 0)
		close(fd);
	return r;
}

int role_policy_try(const struct config *conf, int files)
{
	struct seal_ring ring;
	int r = totpkey_read(files, &ring);

	(void)conf;
	explicit_bzero(&ring, sizeof(ring));
	return r;
}
