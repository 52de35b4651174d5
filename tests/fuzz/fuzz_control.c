/*
 * fuzz_control.c - any bytes as a request to the policy role, as any of its actors: one reply in JSON, a code of the
 * list, a store that is whole, and nothing live that ends unless the reply says yes.
 *
 * The first byte chooses: who asks, or (bit 7) the text rules of a role and a key line instead.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "log.h"
#include "seal.h"
#include "store_key.h"
#include "store_otp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1800000000LL
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

static struct control ctl;
static int ended;

static int64_t now(void *arg)
{
	(void)arg;
	return NOW;
}

static void end(void *arg, enum end_what what, int64_t id, const char *line)
{
	(void)arg, (void)what, (void)id;
	for (; *line != '\0'; line++) /* it goes to a terminal */
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			abort();
	ended++;
}

static const char *key_line(void *arg, size_t i, const char **name)
{
	(void)arg;
	*name = "ca";
	return i == 0 ? KEY : NULL;
}

static const char *host_key(void *arg, size_t i)
{
	(void)arg;
	return i == 0 ? KEY : NULL;
}

static bool ask(const struct actor *a, const void *request, size_t len)
{
	static const char *const codes[] = { "usage", "denied", "not_found", "refused", "broken" };
	struct buf out;
	json_t *reply;
	bool ok, known = false;

	buf_init(&out, CONTROL_REPLY_MAX);
	if (control_handle(&ctl, a, request, len, &out) < 0 ||
	    (reply = json_loadb((const char *)out.data, out.len, 0, NULL)) == NULL)
		abort();
	ok = json_is_true(json_object_get(reply, "ok"));
	for (size_t i = 0; !ok && i < sizeof(codes) / sizeof(codes[0]); i++)
		known |= strcmp(json_string_value(json_object_get(reply, "code")), codes[i]) == 0;
	if (ok == known)
		abort();
	json_decref(reply);
	buf_finish(&out);
	return ok;
}

static void must(const struct actor *a, const char *request)
{
	if (!ask(a, request, strlen(request)))
		abort();
}

static void make_world(void)
{
	static const char *const words[] = {
		"{\"word\":\"user add\",\"args\":{\"user\":\"alice\"}}", "{\"word\":\"user add\",\"args\":{\"user\":\"bob\"}}",
		"{\"word\":\"user add\",\"args\":{\"user\":\"adam\",\"admin\":true}}",
		"{\"word\":\"user key add\",\"args\":{\"user\":\"alice\",\"device\":\"laptop\",\"key\":\"" KEY "\"}}",
		"{\"word\":\"host add\",\"args\":{\"host\":\"web1\",\"address\":\"h\",\"key\":\"" KEY "\",\"login\":\"dba\"}}",
		"{\"word\":\"role add\",\"args\":{\"role\":\"dba\",\"host\":\"web*\",\"login\":\"dba\"}}",
		"{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"alice\"}}",
		"{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"bob\"}}",
	};
	static const char first[] = "{\"word\":\"request\",\"args\":{\"host\":\"web1\",\"login\":\"dba\",\"for\":60,\"reason\":\"x\"}}";
	const struct actor root = { .root = true, .local = true }, alice = { .user_id = 1, .source = "10.0.0.9" };
	const struct actor bob = { .user_id = 2, .source = "10.0.0.9" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		must(&root, words[i]);
	must(&alice, first);
	must(&bob, "{\"word\":\"approve\",\"args\":{\"id\":1}}");
	must(&alice, first);
}

static char dir[] = "/tmp/fuzz-control-XXXXXX", path[64];

static void close_world(void)
{
	store_close(ctl.store); /* folds the log into the file */
	unlink(path);
	rmdir(dir);
}

static void open_world(void)
{
	static struct seal_ring ring;
	char err[STORE_ERR_MAX];

	log_init("fuzz", true, LOG_LVL_ERROR + 1);
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/db", dir);
	if (store_create(path, err) < 0 || (ctl.store = store_open(path, err)) == NULL)
		abort();
	if (seal_ring_add(&ring, "0123456789abcdef0123456789abcdef", SEAL_KEY_LEN) < 0)
		abort();
	store_seal_with(ctl.store, &ring);
	ctl.name = "bastion";
	ctl.port = 22;
	ctl.now = now;
	ctl.end = end;
	ctl.key_line = key_line;
	ctl.host_key = host_key;
	make_world();
	atexit(close_world);
}

static void rules(const char *text)
{
	struct host_key k;
	char err[512];
	int64_t until = access_hours(text, NOW);

	if (until != -1 && until != 0 && until <= NOW)
		abort();
	if (access_network_ok(text) && access_from(text, "nonsense"))
		abort();
	access_glob(text, "web1");
	if (key_parse(text, false, &k, err, sizeof(err)) == 0 && (k.len == 0 || k.len > STORE_BLOB_MAX))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct actor a = { .source = "10.0.0.9" };
	char text[8192];
	bool ok;

	if (ctl.store == NULL)
		open_world();
	if (size == 0 || size >= sizeof(text))
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] & 0x80) {
		rules(text);
		return 0;
	}
	a.root = a.local = data[0] % 4 == 0;
	a.user_id = data[0] % 4; /* alice, bob, adam */
	ended = 0;
	if (store_begin(ctl.store) < 0)
		abort();
	ok = ask(&a, text, size - 1);
	if (ended > 0 && !ok)
		abort();
	store_rollback(ctl.store);
	if (store_in_transaction(ctl.store))
		abort();
	return 0;
}
