/*
 * test_init.c - `bastiond -I`: what it makes, that it keeps it, and what it refuses. As root only but for the last,
 * in a directory of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <libssh/libssh.h>

#include "config.h"
#include "init.h"
#include "keys_store.h"
#include "log.h"
#include "ssh_hostkeys.h"
#include "store.h"
#include "write_all.h"

#define POLICY_ID 61001

static char dir[] = "/tmp/bastiond-init-XXXXXX";
static struct config *conf;

static const char *at(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/state/%s", dir, name);
	return path;
}

/* Its lines go to /dev/null: the tests look at what is on the disk. */
static int run_init(void)
{
	int out = dup(1), err = dup(2), null = open("/dev/null", O_WRONLY | O_CLOEXEC), r;

	fflush(stdout);
	dup2(null, 1);
	dup2(null, 2);
	r = bastiond_init(conf);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	close(null);
	return r;
}

static void has(const char *name, mode_t mode, uid_t uid)
{
	struct stat st;

	if (stat(at(name), &st) != 0 || (st.st_mode & 07777) != mode || st.st_uid != uid)
		fail_msg("%s: not there, or owner %u, mode %04o", name, (unsigned)st.st_uid,
		    (unsigned)st.st_mode & 07777);
}

static size_t read_all(const char *name, char *out, size_t size)
{
	FILE *f = fopen(at(name), "r");
	size_t len;

	assert_non_null(f);
	len = fread(out, 1, size, f);
	fclose(f);
	return len;
}

static int setup(void **state)
{
	char path[64];

	(void)state;
	if (geteuid() != 0)
		return 0;
	log_init("test", true, LOG_LVL_ERROR);
	if (mkdtemp(dir) == NULL || (conf = config_defaults()) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/state", dir);
	free(conf->state_dir);
	conf->state_dir = strdup(path);
	conf->user_policy.uid = conf->user_policy.gid = POLICY_ID;
	return run_init();
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	if (conf == NULL)
		return 0;
	config_destroy(conf);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void makes(void **state)
{
	static const char *const private[] = {
		"keys/ssh_host_ed25519_key",
		"keys/ssh_host_ecdsa_key",
		"keys/ssh_host_rsa_key",
		"keys/user_ca.pem",
		"recorder/client.key",
		"recorder/signer.pem",
	};
	static const char *const public[] = {
		"keys/ssh_host_ed25519_key.pub",
		"keys/ssh_host_ecdsa_key.pub",
		"keys/ssh_host_rsa_key.pub",
		"keys/user_ca.pub",
		"recorder/client.crt",
		"recorder/signer.pub",
	};
	ssh_key keys[SSH_HOSTKEYS_COUNT];
	char err[STORE_ERR_MAX], path[256];
	struct store *store;
	struct keys loaded;
	struct buf files;

	(void)state;
	if (conf == NULL)
		skip();
	has("", 0755, 0);
	has("db", 0700, POLICY_ID);
	has("keys", 0700, 0);
	has("keys/managed", 0700, 0);
	has("recorder", 0755, 0);
	has("db/policy.db", 0600, POLICY_ID);
	for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
		has(private[i], 0600, 0);
		has(public[i], 0644, 0);
	}
	/* each is what its reader takes */
	assert_int_equal(keyfiles_own(conf->state_dir, ROLE_MASTER, &files), 0);
	assert_int_equal(ssh_hostkeys_load(&files, keys), 0);
	buf_finish(&files);
	assert_int_equal(ssh_key_type(keys[0]), SSH_KEYTYPE_ED25519);
	assert_int_equal(ssh_key_type(keys[1]), SSH_KEYTYPE_ECDSA_P256);
	assert_int_equal(ssh_key_type(keys[2]), SSH_KEYTYPE_RSA);
	for (size_t i = 0; i < SSH_HOSTKEYS_COUNT; i++)
		ssh_key_free(keys[i]);
	assert_int_equal(keyfiles_own(conf->state_dir, ROLE_KEYS, &files), 0);
	assert_int_equal(keys_load(&loaded, &files), 0);
	buf_finish(&files);
	keys_finish(&loaded);
	snprintf(path, sizeof(path), "%s", at("db/policy.db"));
	assert_non_null(store = store_open(path, err));
	store_close(store);
}

static void keeps(void **state)
{
	static const char *const names[] = {
		"keys/ssh_host_ed25519_key",
		"keys/user_ca.pem",
		"recorder/client.crt",
		"recorder/signer.pub",
		"keys/ssh_host_rsa_key.pub",
	};
	char before[5][8192], after[8192];
	size_t len[5];

	(void)state;
	if (conf == NULL)
		skip();
	for (int i = 0; i < 5; i++)
		len[i] = read_all(names[i], before[i], sizeof(before[i]));
	unlink(at("keys/ssh_host_rsa_key.pub")); /* derived: it comes back */
	assert_int_equal(run_init(), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(read_all(names[i], after, sizeof(after)), len[i]);
		assert_memory_equal(before[i], after, len[i]);
	}
}

/* What an interrupted run leaves under X.new is thrown away. */
static void resumes(void **state)
{
	FILE *f;

	(void)state;
	if (conf == NULL)
		skip();
	assert_int_equal(unlink(at("recorder/signer.pem")), 0);
	assert_int_equal(unlink(at("recorder/signer.pub")), 0);
	assert_non_null(f = fopen(at("recorder/signer.pem.new"), "w"));
	fputs("half a key", f);
	fclose(f);
	assert_int_equal(run_init(), 0);
	has("recorder/signer.pem", 0600, 0);
	assert_int_not_equal(access(at("recorder/signer.pem.new"), F_OK), 0);
}

/* Moves a piece away, or spoils it, expects a refusal, and puts it back. */
static void refuses_without(const char *name)
{
	char path[256], away[256];

	snprintf(path, sizeof(path), "%s", at(name));
	snprintf(away, sizeof(away), "%s/away", dir);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(run_init(), -1);
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(run_init(), 0);
}

static void refuses_with(const char *name, const char *contents)
{
	char path[256], away[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s", at(name));
	snprintf(away, sizeof(away), "%s/away", dir);
	assert_int_equal(rename(path, away), 0);
	assert_non_null(f = fopen(path, "w"));
	fputs(contents, f);
	fchmod(fileno(f), 0600);
	fclose(f);
	assert_int_equal(run_init(), -1);
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(run_init(), 0);
}

static void refuses_halves(void **state)
{
	char wal[256];
	FILE *f;

	(void)state;
	if (conf == NULL)
		skip();
	refuses_without("recorder/client.key");
	refuses_without("recorder/client.crt");
	refuses_with("recorder/signer.pub",
	    "-----BEGIN PUBLIC KEY-----\n"
	    "MCowBQYDK2VwAyEA2VWxUgQxuHY1LFp9cmR4wpEUcLY/8yNIL7q6AGSxOio=\n-----END PUBLIC KEY-----\n");
	refuses_with("keys/user_ca.pem", "no key\n");
	refuses_with("keys/ssh_host_ecdsa_key", "no key\n");
	snprintf(wal, sizeof(wal), "%s", at("db/policy.db-wal"));
	assert_non_null(f = fopen(wal, "w"));
	fclose(f);
	refuses_without("db/policy.db");
	unlink(wal);
}

static void refuses_modes(void **state)
{
	(void)state;
	if (conf == NULL)
		skip();
	assert_int_equal(chmod(at("keys/user_ca.pem"), 0644), 0);
	assert_int_equal(run_init(), -1);
	assert_int_equal(chmod(at("keys/user_ca.pem"), 0600), 0);
	assert_int_equal(chown(at("db"), 1, 1), 0);
	assert_int_equal(run_init(), -1);
	assert_int_equal(chown(at("db"), POLICY_ID, POLICY_ID), 0);
	assert_int_equal(chmod(at("keys"), 0750), 0);
	assert_int_equal(run_init(), -1);
	assert_int_equal(chmod(at("keys"), 0700), 0);
	assert_int_equal(run_init(), 0);
}

/* Not root: nothing is touched. */
static void refuses_others(void **state)
{
	struct config *own = config_defaults();

	(void)state;
	assert_non_null(own);
	free(own->state_dir);
	assert_non_null(own->state_dir = strdup("/tmp/bastiond-init-nobody-XXXXXX"));
	/* a name that is nobody's, where nobody may make it */
	assert_non_null(mkdtemp(own->state_dir));
	assert_int_equal(rmdir(own->state_dir), 0);
	if (conf != NULL)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(bastiond_init(own), -1);
	if (conf != NULL)
		assert_int_equal(seteuid(0), 0);
	assert_int_not_equal(access(own->state_dir, F_OK), 0);
	config_destroy(own);
}

/* A name lasts by the directory that it is in, however it is written; what has none says so. */
static void a_name_is_synced_by_its_directory(void **state)
{
	static char far[2 * PATH_MAX];
	char deep[300];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/none/x", dir);
	assert_int_equal(sync_dir_of("/x"), 0);
	assert_int_equal(sync_dir_of("x"), 0);
	assert_int_equal(sync_dir_of(at("x")), 0);
	assert_int_equal(sync_dir_of(deep), -1);
	assert_int_equal(errno, ENOENT);
	memset(far, 'x', sizeof(far) - 1);
	memcpy(far, "/tmp/", 5);
	memcpy(far + sizeof(far) - 3, "/x", 3);
	assert_int_equal(sync_dir_of(far), -1);
	assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes),
		cmocka_unit_test(keeps),
		cmocka_unit_test(resumes),
		cmocka_unit_test(refuses_halves),
		cmocka_unit_test(refuses_modes),
		cmocka_unit_test(refuses_others),
		cmocka_unit_test(a_name_is_synced_by_its_directory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
