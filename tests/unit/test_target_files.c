/*
 * test_target_files.c - the files of a task's ssh client: ssh-keygen reads the key that is made, and what the client leaves in
 * known_hosts is told apart from what was pinned.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store_key.h"
#include "target_files.h"

static char folder[] = "/tmp/test_target_files.XXXXXX";

static int up(void **state)
{
	(void)state;
	strcpy(strrchr(folder, '.'), ".XXXXXX");
	return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return chdir("/") == 0 ? system(command) : -1;
}

static void said(const char *command, char *out, size_t size)
{
	FILE *f = popen(command, "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	assert_int_equal(pclose(f), 0);
}

static void ssh_keygen_reads_the_key(void **state)
{
	char text[512], fingerprint[STORE_FPR_MAX + 1];
	struct stat st;
	struct buf blob, other;

	(void)state;
	for (int i = 0; i < 20; i++) { /* every length of padding */
		buf_init(&blob, TASK_BLOB_MAX);
		assert_int_equal(target_key_write("id", &blob), 0);
		assert_int_equal(stat("id", &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		said("ssh-keygen -y -f id > id.pub && ssh-keygen -l -f id.pub", text, sizeof(text));
		assert_int_equal(key_fingerprint(blob.data, blob.len, fingerprint), 0);
		assert_non_null(strstr(text, fingerprint));
		buf_init(&other, TASK_BLOB_MAX);
		assert_int_equal(target_key_write("id", &other), -1); /* never over one that is there */
		buf_finish(&other);
		assert_int_equal(target_line_write("line.pub", blob.data, blob.len), 0);
		said("ssh-keygen -l -f line.pub", text, sizeof(text));
		assert_non_null(strstr(text, fingerprint));
		buf_finish(&blob);
		unlink("id");
		unlink("line.pub");
	}
}

static void known_hosts_there_and_back(void **state)
{
	static struct task_keys pinned, after, fresh, gone;
	struct buf blob;
	FILE *f;

	(void)state;
	buf_init(&blob, TASK_BLOB_MAX);
	assert_int_equal(target_key_write("id", &blob), 0);
	for (pinned.n = 0; pinned.n < 2; pinned.n++) {
		memcpy(pinned.v[pinned.n].blob, blob.data, blob.len);
		pinned.v[pinned.n].len = blob.len;
		pinned.v[pinned.n].blob[blob.len - 1] ^= (uint8_t)pinned.n;
	}
	assert_int_equal(target_hosts_write("known_hosts", "web1", &pinned), 0);
	assert_int_equal(target_hosts_read("known_hosts", &after), 0);
	assert_int_equal(after.n, 2);
	target_keys_without(&after, &pinned, &fresh);
	target_keys_without(&pinned, &after, &gone);
	assert_int_equal(fresh.n + gone.n, 0);
	/* one more, one less, and lines that are none */
	f = fopen("more", "w");
	assert_non_null(f);
	fprintf(f, "# comment\n\n@revoked web1 ssh-ed25519 AAAA\nweb1 ssh-ed25519\nweb1 ssh-ed25519 !!!!\nweb1 x AAAAB3NzaA==\n");
	fclose(f);
	said("head -1 known_hosts >> more; echo", (char[8]){ 0 }, 8);
	assert_int_equal(target_hosts_read("more", &after), 0);
	assert_int_equal(after.n, 2);
	target_keys_without(&after, &pinned, &fresh);
	target_keys_without(&pinned, &after, &gone);
	assert_int_equal(fresh.n, 1);
	assert_int_equal(fresh.v[0].len, 7);
	assert_int_equal(gone.n, 1);
	assert_memory_equal(gone.v[0].blob, pinned.v[1].blob, blob.len);
	/* the mark is a line among them, and no key of theirs */
	{
		static struct task_keys all;
		struct task_key mark, other;

		assert_int_equal(target_mark_make(&mark), 0);
		assert_int_equal(target_mark_make(&other), 0);
		all = pinned;
		all.v[all.n++] = mark;
		assert_int_equal(target_hosts_write("marked", "web1", &all), 0);
		assert_int_equal(target_hosts_read("marked", &after), 0);
		assert_false(target_keys_drop(&after, &other));
		assert_true(target_keys_drop(&after, &mark));
		assert_false(target_keys_drop(&after, &mark));
		target_keys_without(&after, &pinned, &fresh);
		target_keys_without(&pinned, &after, &gone);
		assert_int_equal(fresh.n + gone.n, 0);
		/* more than there is room for */
		f = fopen("many", "w");
		assert_non_null(f);
		for (int i = 0; i < TARGET_KEYS_MAX + 5; i++)
			fprintf(f, "web1 x AAAAB3NzaA==\n");
		fclose(f);
		assert_int_equal(target_hosts_read("many", &after), 0);
		assert_true(after.n == TARGET_KEYS_MAX && after.more == 5);
	}
	/* a type with a blank or a line end in it would be another line */
	assert_int_equal(target_line_write("bad", "\0\0\0\3a b", 7), -1);
	assert_int_equal(target_line_write("bad", "\0\0\0\3a\nb", 7), -1);
	assert_int_equal(target_line_write("bad", "\0\0\0\11x", 5), -1);
	buf_finish(&blob);
}

#define MISMATCH "@@@@\r\nHost key for web1 has changed and you have requested strict checking.\r\nHost key verification failed.\r\n"
#define REFUSAL "dba@10.0.0.9: Permission denied (publickey)."
#define LET_IN "Authenticated to 10.0.0.9 ([10.0.0.9]:22) using \"publickey\".\r\n"
#define CUT "Received disconnect from 10.0.0.9 port 22:2: "
#define OFFER "Unable to negotiate with 10.0.0.9 port 22: no matching key exchange method found. Their offer: "

static void only_the_client_says_that_a_host_refuses(void **state)
{
	static const struct { const char *log; enum task_end end; bool met; } v[] = {
		{ "", TASK_UNREACHABLE, false },
		{ "ssh: connect to host 10.0.0.9 port 22: Connection refused\r\n", TASK_UNREACHABLE, false },
		{ REFUSAL "\r\n", TASK_REFUSED, false },
		{ MISMATCH, TASK_HOSTKEY, false },
		{ "Unable to negotiate with 10.0.0.9 port 22: no matching host key type found. Their offer: ssh-dss\r\n", TASK_HOSTKEY, false },
		{ LET_IN, TASK_UNREACHABLE, true },
		{ LET_IN CUT "bye\r\nDisconnected from 10.0.0.9 port 22\r\n", TASK_UNREACHABLE, true },
		/* what whoever is on the path can have in the log */
		{ CUT "Permission denied (publickey).\r\n", TASK_UNREACHABLE, false },
		{ CUT "x\n" REFUSAL "\r\n", TASK_UNREACHABLE, false },
		{ CUT "x\n" REFUSAL "\n\r\nDisconnected from 10.0.0.9 port 22\r\n", TASK_UNREACHABLE, false },
		{ CUT "x\n" LET_IN "\r\n", TASK_UNREACHABLE, false },
		{ CUT "Too many authentication failures\r\n", TASK_UNREACHABLE, false },
		{ CUT "x\nHost key verification failed.\r\n", TASK_UNREACHABLE, false },
		{ OFFER "x\n" REFUSAL "\r\n", TASK_UNREACHABLE, false },
		{ OFFER "x\n" LET_IN REFUSAL "\r\n", TASK_UNREACHABLE, false },
		{ OFFER "no matching host key type found. Their offer: \r\n", TASK_UNREACHABLE, false },
		/* another login, another host, more behind it */
		{ "db@10.0.0.9: Permission denied (publickey).\r\n", TASK_UNREACHABLE, false },
		{ "dba@10.0.0.91: Permission denied (publickey).\r\n", TASK_UNREACHABLE, false },
		{ REFUSAL "\r\nConnection closed by 10.0.0.9 port 22\r\n", TASK_UNREACHABLE, false },
		{ "dba@10.0.0.9: Permission denied (publickey", TASK_UNREACHABLE, false },
	};
	bool met;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(target_log_end(v[i].log, "dba", "10.0.0.9", &met), v[i].end);
		assert_int_equal(met, v[i].met);
	}
	assert_int_equal(target_log_end("dba@web1: Permission denied (publickey).\r\n", "dba", "Web1", &met), TASK_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ssh_keygen_reads_the_key, up, down),
		cmocka_unit_test_setup_teardown(known_hosts_there_and_back, up, down),
		cmocka_unit_test(only_the_client_says_that_a_host_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
