/*
 * test_policy_way.c - WAY_ASK to WAY_DOWN on a whole policy role: who gets through, with what, and
 * what ends it when.
 */
#include "policy_rig_grant.h"

#include "hex.h"

static void grant_opens_a_way(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open(r, &s, 3600);
	channel(r, &s, "shell", 1);
	channel(r, &s, "exec", 1);
	channel(r, &s, "sftp", 0);
	channel(r, &s, "forward", 0);
	way_over(r, &s, 1);
	channel(r, &s, "shell", 0); /* it crossed the end of its way */
	session_over(r, &s, 0);
	assert_int_equal(r->p.nworkers, 0);
}

/* What is recorded where is said by policy, before a session that was taken over can record anything, and whether that ever says WAY_UP. */
static void the_event_names_the_recording(void **state)
{
	struct rig *r = *state;
	char want[2 * HASH_LEN + 1];
	const json_t *row;
	struct session_end s;
	json_t *list, *detail;

	way_given(r, &s, rig_grant(r, r->p.store, &r->alice, 3600), 3600);
	list = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1000 });
	assert_true(json_array_size(list) > 0);
	row = json_array_get(list, json_array_size(list) - 1);
	assert_string_equal(json_string_value(json_object_get(row, "kind")), "way.up");
	assert_string_equal(json_string_value(json_object_get(row, "actor")), "alice");
	detail = json_loads(json_string_value(json_object_get(row, "detail")), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(detail, "recording")),
	    hex_encode(want, given_recording, sizeof(given_recording)));
	assert_string_equal(json_string_value(json_object_get(detail, "metadata")), hex_encode(want, given_meta, sizeof(given_meta)));
	assert_null(json_object_get(detail, "store"));
	json_decref(detail);
	json_decref(list);
	session_over(r, &s, 0);
}

static void refusals_have_their_numbers(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t grant;
	char json[128];

	login_alice(r, &s, 0);
	way_ask(&s, 1, "nowhere", "dba");
	expect_no(r, &s, 1, WAY_NO_HOST);
	way_ask(&s, 1, "127.0.0.1", "dba");
	expect_no(r, &s, 1, WAY_NO_HOST);
	way_ask(&s, 1, "web1'; DROP TABLE hosts; --", "dba");
	expect_no(r, &s, 1, WAY_NO_HOST);
	way_ask(&s, 1, "web1", "../root");
	expect_no(r, &s, 1, WAY_NO_HOST);
	way_ask(&s, 1, "web1", "dba");
	expect_no(r, &s, 1, WAY_NO_GRANT);
	grant = rig_grant(r, r->p.store, &r->alice, 3600);
	snprintf(json, sizeof(json), "{\"word\":\"revoke\",\"args\":{\"id\":%lld}}",
	    (long long)grant);
	words(r, &s, json, true);
	way_ask(&s, 1, "web1", "dba");
	expect_no(r, &s, 1, WAY_REVOKED);
	session_over(r, &s, 0);
}

static void target_that_does_not_answer(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc worker;
	uint32_t id;

	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	id = expect_dial(r, &worker);
	dial_done(&worker, id, -1);
	expect_no(r, &s, 1, WAY_UNREACHABLE);
	worker_end(r, &worker, id);
	way_ask(&s, 1, "web1", "dba");
	id = expect_dial(r, &worker);
	worker_end(r, &worker, id); /* without a word */
	expect_no(r, &s, 1, WAY_BROKEN);
	session_over(r, &s, 0);
	assert_int_equal(r->p.nworkers, 0);
}

static void keys_that_refuse(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;

	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	dial_ok(r);
	expect(r, &r->keys, MSG_SIGN_CERT, &m);
	keys_say(r, MSG_SIGN_CERT_RE, &m, false, "no");
	expect_no(r, &s, 1, WAY_BROKEN);
	session_over(r, &s, 0);
}

static void session_goes_while_keys_sign(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t grant = rig_grant(r, r->p.store, &r->alice, 3600);

	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	dial_ok(r);
	session_over(r, &s, 0);
	sign(r, grant, clock_wall() + 3600); /* the late answer finds nobody, and harms nobody */
	rig_turn(r);
	assert_null(r->p.key_asks);
	assert_false(r->p.over);
}

/* A session that was taken over says that its way is over, and keeps the socket to the target: it has nothing of it. */
static void way_over_with_socket(struct rig *r, bool shut)
{
	struct session_end s;
	int64_t grant = rig_grant(r, r->p.store, &r->alice, 3600);
	struct ipc worker;
	struct ipc_msg m;
	int target[2], kept;
	uint32_t id;
	char c;

	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	id = expect_dial(r, &worker);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, target), 0);
	dial_done(&worker, id, target[0]);
	close(target[0]);
	rig_turn(r);
	worker_end(r, &worker, id);
	sign(r, grant, clock_wall() + 3600);
	expect(r, &s.link, MSG_WAY_OK, &m);
	kept = ipc_take_fd(&m, 0);
	ipc_msg_finish(&m);
	assert_int_equal(send(kept, "a", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(target[1], &c, 1, MSG_DONTWAIT), 1);
	way_over(r, &s, 1);
	assert_int_equal(send(kept, "b", 1, MSG_NOSIGNAL), shut ? -1 : 1);
	assert_int_equal(recv(target[1], &c, 1, MSG_DONTWAIT), shut ? 0 : 1);
	close(kept);
	close(target[1]);
	session_over(r, &s, 0);
}

static void way_that_is_over_has_no_socket(void **state)
{
	way_over_with_socket(*state, true);
}

/* Where descriptors are scarce, sessions come first. */
static void sockets_are_not_kept_to_the_last(void **state)
{
	struct rig *r = *state;

	r->p.keep_below = 3;
	way_over_with_socket(r, false);
}

static void revocation_ends_the_way(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t grant = way_open(r, &s, 3600);
	char json[128];

	snprintf(json, sizeof(json), "{\"word\":\"revoke\",\"args\":{\"id\":%lld}}",
	    (long long)grant);
	{
		struct buf b;

		buf_view(&b, json, strlen(json));
		assert_int_equal(ipc_send(&s.link, MSG_WORDS, 5, &b, NULL, 0), 0);
	}
	expect_end(r, &s, 1);
	way_over(r, &s, 1);
	session_over(r, &s, 0);
}

static void expiry_ends_the_way_within_a_second(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t end, over;

	way_open(r, &s, 2);
	end = r->p.peers[s.slot % PEER_TABLE]->ways[0]->until;
	expect_end(r, &s, 1);
	over = clock_wall_us() - end * 1000000;
	assert_true(over >= 0 && over < 1000000);
	way_over(r, &s, 1);
	session_over(r, &s, 0);
}

/* However long its grant is: what the collector takes for silent must not be a session. */
static void no_way_lasts_longer_than_thirty_days(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	char line[LINE_LEN];
	struct ipc_msg m;
	struct way *w;

	way_open(r, &s, 90 * 86400);
	w = r->p.peers[s.slot % PEER_TABLE]->ways[0];
	assert_true(w->longest > clock_wall() + 30 * 86400 - 3660 && w->longest <= clock_wall() + 30 * 86400 - 3600);
	assert_true(w->until > w->longest && r->p.live_due <= w->longest);
	w->longest = clock_wall() + 1;
	live_run(&r->p);
	expect(r, &s.link, MSG_WAY_END, &m);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	assert_non_null(strstr(line, "longer than 30 days"));
	ipc_msg_finish(&m);
	way_over(r, &s, 1);
	session_over(r, &s, 0);
}

static void expiry_while_dialling(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc worker;
	uint32_t id;

	rig_grant(r, r->p.store, &r->alice, 1);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	id = expect_dial(r, &worker);
	expect_no(r, &s, 1, WAY_REVOKED);
	worker_end(r, &worker, id);
	session_over(r, &s, 0);
}

static void lock_ends_the_connection(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open(r, &s, 3600);
	control_request(r,
	    "{\"word\":\"user lock\",\"args\":{\"user\":\"alice\",\"reason\":\"test\"}}", "true");
	expect_end(r, &s, 1);
	expect_end(r, &s, 0);
	session_over(r, &s, 0);
}

static void managed_key_is_lent(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct host h = { .port = 22, .method = LOGIN_MANAGED };
	struct host_key pin = { .type = "ssh-ed25519", .len = 51 };
	char name[64], login[64];
	struct ipc_msg m;
	struct buf b;
	int64_t grant;

	assert_int_equal(store_host_remove(r->p.store, r->web1.id, clock_wall()), 0);
	strcpy(h.name, "web2");
	strcpy(h.address, "web1.internal");
	strcpy(h.logins, "dba");
	strcpy(h.managed_key, "appliance");
	assert_int_equal(store_host_add(r->p.store, &h, clock_wall()), 0);
	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(key_fingerprint(pin.blob, pin.len, pin.fingerprint), 0);
	assert_int_equal(store_host_key_add(r->p.store, h.id, &pin), 0);
	r->web1 = h;
	grant = rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web2", "dba");
	dial_ok(r);
	expect(r, &r->keys, MSG_LEND_KEY, &m);
	assert_int_equal(m.nfds, 1);
	buf_get_cstring(&m.body, name, sizeof(name));
	buf_get_cstring(&m.body, login, sizeof(login));
	buf_get(&m.body, 4 + 8 + 8); /* not sealed, no place */
	assert_true(buf_end(&m.body));
	assert_string_equal(name, "appliance");
	assert_string_equal(login, "dba");
	buf_init(&b, 64);
	buf_put_u8(&b, 1);
	buf_put_cstring(&b, "BLOB");
	assert_int_equal(ipc_send(&r->keys, MSG_LEND_KEY_RE, m.id, &b, NULL, 0), 0);
	buf_finish(&b);
	ipc_msg_finish(&m);
	expect(r, &s.link, MSG_WAY_OK, &m);
	assert_int_equal(m.nfds, 2);
	buf_get(&m.body, 16);
	assert_int_equal(buf_get_u64(&m.body), grant);
	ipc_msg_finish(&m);
	session_over(r, &s, 0);
}

static struct way *first_way(struct rig *r, const struct session_end *s)
{
	return peer_of(r, s)->ways[0];
}

/* --- grants for a number of logins --- */

static uint32_t uses_of(struct rig *r, int64_t id)
{
	struct ticket t;

	assert_int_equal(store_ticket(r->p.store, id, &t), 1);
	return t.uses;
}

/* The way of this number is asked for again, and given under this grant. */
static void way_again(struct rig *r, struct session_end *s, uint32_t id, int64_t grant)
{
	way_ask(s, id, "web1", "dba");
	dial_ok(r);
	sign(r, grant, clock_wall() + 3600);
	expect_ok(r, s, id, grant, "CERT", 1);
}

static void one_login_is_one_way_and_its_channels(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t grant = grant_of(r, (struct ticket){ .needed = 1, .logins = 1 });

	way_open_on(r, &s, grant, 3600);
	channel(r, &s, "shell", 1);
	channel(r, &s, "exec", 1);
	channel(r, &s, "sftp", 0);
	assert_int_equal(uses_of(r, grant), 1);
	way_ask(&s, 2, "web1", "dba");
	expect_no(r, &s, 2, WAY_EXPIRED);
	way_over(r, &s, 1);
	way_ask(&s, 1, "web1", "dba");
	expect_no(r, &s, 1, WAY_EXPIRED);
	session_over(r, &s, 0);
}

/* Both were decided before either was counted: the slower one hears what the grant was for. */
static void two_logins_at_once_are_one(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t grant = grant_of(r, (struct ticket){ .needed = 1, .logins = 1 });
	char line[LINE_LEN];
	struct ipc_msg m;

	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	way_ask(&s, 2, "web1", "dba");
	dial_ok(r);
	dial_ok(r);
	sign(r, grant, clock_wall() + 3600);
	expect_ok(r, &s, 1, grant, "CERT", 1);
	sign(r, grant, clock_wall() + 3600);
	expect(r, &s.link, MSG_WAY_NO, &m);
	assert_int_equal(m.id, 2);
	assert_int_equal(buf_get_u8(&m.body), WAY_EXPIRED);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	assert_non_null(strstr(line, "was for 1 login, which it had"));
	ipc_msg_finish(&m);
	assert_int_equal(uses_of(r, grant), 1);
	channel(r, &s, "shell", 1);
	session_over(r, &s, 0);
}

/* A way that joins a second grant is a login under that one, once. */
static void joining_a_grant_is_a_login_under_it(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t one = grant_of(r, (struct ticket){ .needed = 1 }), other;

	way_open_on(r, &s, one, 3600);
	other = grant_of(r, (struct ticket){ .needed = 1, .logins = 1, .caps = CAP_SHELL | CAP_SFTP_READ });
	channel(r, &s, "shell", 1); /* has it from the first */
	assert_int_equal(uses_of(r, other), 0);
	channel(r, &s, "sftp", 1);
	channel(r, &s, "sftp", 1);
	assert_int_equal(uses_of(r, other), 1);
	way_over(r, &s, 1);
	way_again(r, &s, 1, one);
	channel(r, &s, "sftp", 0);
	channel(r, &s, "shell", 1);
	assert_int_equal(uses_of(r, other), 1);
	session_over(r, &s, 0);
}

/* --- a rule with hours --- */

/* From half an hour to an hour and a half from now, every day. */
static void add_later(struct rig *r, const char *more)
{
	const time_t from = (time_t)clock_wall() + 1800, to = from + 3600;
	char json[400];
	struct tm a, b;

	gmtime_r(&from, &a);
	gmtime_r(&to, &b);
	snprintf(json, sizeof(json), "{\"word\":\"role add\",\"args\":{\"role\":\"later\",\"deny\":true,\"host\":\"web1\",\"login\":\"dba\","
	    "\"hours\":\"mon-sun %02d:%02d-%02d:%02d\"%s}}", a.tm_hour, a.tm_min, b.tm_hour, b.tm_min, more);
	control_request(r, json, "true");
}

#define LATER_MEMBER(what) "{\"word\":\"role member " what "\",\"args\":{\"role\":\"later\",\"user\":\"alice\"}}"

/* What was to end a session when its hours begin, and is lifted before, does not. */
static void a_denial_that_is_lifted(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t until;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	until = first_way(r, &s)->until;
	add_later(r, ",\"everyone\":true");
	assert_true(first_way(r, &s)->until < until);
	control_request(r, "{\"word\":\"role remove\",\"args\":{\"role\":\"later\"}}", "true");
	assert_int_equal(first_way(r, &s)->until, until);
	add_later(r, "");
	control_request(r, LATER_MEMBER("add"), "true");
	assert_true(first_way(r, &s)->until < until);
	control_request(r, LATER_MEMBER("remove"), "true");
	assert_int_equal(first_way(r, &s)->until, until);
	session_over(r, &s, 0);
}

/* --- a way's grant is over, and there is another one --- */

static void time_is_over(struct rig *r, const struct session_end *s)
{
	first_way(r, s)->until = clock_wall();
	live_run(&r->p);
}

/* From `have` to `next`: does it go on? */
static void carries(struct rig *r, const struct ticket *have, const struct ticket *next, bool goes_on)
{
	struct session_end s;
	int64_t first = grant_of(r, *have), second;

	way_open_on(r, &s, first, 3600);
	second = grant_of(r, *next);
	time_is_over(r, &s);
	if (goes_on) {
		expect_say(r, &s, "goes on under grant");
		assert_int_equal(first_way(r, &s)->tickets[0], second);
	} else {
		expect_end(r, &s, 1);
	}
	session_over(r, &s, 0);
}

static void carried_to_as_much(void **state)
{
	const struct ticket have = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "id" };
	const struct ticket next = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "true\nid" };

	carries(*state, &have, &next, true);
}

/* Going on under a grant is a login under it; one that it joined has counted it already. */
static void carried_is_counted(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t second, third;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	second = grant_of(r, (struct ticket){ .needed = 1, .logins = 1, .caps = CAP_USUAL });
	channel(r, &s, "sftp", 1);
	time_is_over(r, &s);
	expect_say(r, &s, "goes on under grant");
	assert_int_equal(first_way(r, &s)->tickets[0], second);
	assert_int_equal(uses_of(r, second), 1);
	third = grant_of(r, (struct ticket){ .needed = 1, .logins = 1, .caps = CAP_USUAL });
	time_is_over(r, &s);
	expect_say(r, &s, "goes on under grant");
	assert_int_equal(first_way(r, &s)->tickets[0], third);
	assert_int_equal(uses_of(r, third), 1);
	session_over(r, &s, 0);
}

static void not_to_one_that_had_its_logins(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t second;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	second = grant_of(r, (struct ticket){ .needed = 1, .logins = 1 });
	assert_int_equal(store_grant_use(r->p.store, second, "alice", clock_wall()), 0);
	assert_int_equal(store_grant_use(r->p.store, second, "alice", clock_wall()), -1);
	time_is_over(r, &s);
	expect_end(r, &s, 1);
	assert_int_equal(uses_of(r, second), 1);
	session_over(r, &s, 0);
}

static void not_to_other_commands(void **state)
{
	const struct ticket have = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "id" };
	const struct ticket next = { .needed = 1, .caps = CAP_SHELL | CAP_COMMAND, .commands = "true" };

	carries(*state, &have, &next, false);
}

static void not_to_other_places(void **state)
{
	const struct ticket have = { .needed = 1, .caps = CAP_SHELL | CAP_FORWARD, .forwards = "db1:5432" };
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	grant_of(r, have);
	channel(r, &s, "forward", 1); /* what the second of its grants names counts as well */
	grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_SHELL | CAP_EXEC | CAP_FORWARD, .forwards = "db1:22" });
	time_is_over(r, &s);
	expect_end(r, &s, 1);
	session_over(r, &s, 0);
}

/* A host that wants an approval by somebody who knew the device wants it of the second grant, too. */
static void a_class_is_asked_again(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	free(r->conf->approve_new);
	r->conf->approve_new = strdup("env=lab");
	grant_of(r, (struct ticket){ .needed = 0 });
	time_is_over(r, &s);
	expect_say(r, &s, "wants a grant that a person approved");
	expect_end(r, &s, 1);
	session_over(r, &s, 0);
}

/* What it rested on before is of no account any more. */
static void carried_whole(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t second, third;
	char json[128];

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	second = grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_SFTP_READ | CAP_SFTP_WRITE });
	channel(r, &s, "sftp", 1);
	assert_int_equal(first_way(r, &s)->tickets[1], second);
	third = grant_of(r, (struct ticket){ .needed = 1, .caps = CAP_USUAL });
	time_is_over(r, &s);
	expect_say(r, &s, "goes on under grant");
	snprintf(json, sizeof(json), "{\"word\":\"revoke\",\"args\":{\"id\":%lld}}", (long long)second);
	words(r, &s, json, true);
	channel(r, &s, "sftp", 1);
	assert_int_equal(first_way(r, &s)->tickets[0], third);
	assert_int_equal(first_way(r, &s)->tickets[1], 0);
	assert_int_equal(first_way(r, &s)->ending_ms, 0);
	session_over(r, &s, 0);
}

/* Whether it comes in with the second grant, or when the session goes on under one. */
static void glass_is_said_whenever_it_comes(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	channel(r, &s, "shell", 1);
	glass_grant(r, CAP_SFTP_READ | CAP_SFTP_WRITE);
	channel(r, &s, "sftp", 1);
	expect_say(r, &s, "break-glass");
	assert_true(first_way(r, &s)->glass);
	channel(r, &s, "sftp", 1);
	expect_silence(r, &s.link);
	session_over(r, &s, 0);
}

static void glass_is_said_to_what_goes_on(void **state)
{
	struct rig *r = *state;
	struct session_end s;

	way_open_on(r, &s, grant_of(r, (struct ticket){ .needed = 1 }), 3600);
	channel(r, &s, "shell", 1);
	glass_grant(r, CAP_SHELL | CAP_EXEC);
	time_is_over(r, &s);
	expect_say(r, &s, "goes on under grant");
	expect_say(r, &s, "break-glass");
	session_over(r, &s, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(grant_opens_a_way),
		T(the_event_names_the_recording),
		T(refusals_have_their_numbers),
		T(target_that_does_not_answer),
		T(keys_that_refuse),
		T(session_goes_while_keys_sign),
		T(way_that_is_over_has_no_socket),
		T(sockets_are_not_kept_to_the_last),
		T(revocation_ends_the_way),
		T(expiry_ends_the_way_within_a_second),
		T(no_way_lasts_longer_than_thirty_days),
		T(expiry_while_dialling),
		T(lock_ends_the_connection),
		T(managed_key_is_lent),
		T(one_login_is_one_way_and_its_channels),
		T(two_logins_at_once_are_one),
		T(joining_a_grant_is_a_login_under_it),
		T(a_denial_that_is_lifted),
		T(carried_to_as_much),
		T(carried_is_counted),
		T(not_to_one_that_had_its_logins),
		T(not_to_other_commands),
		T(not_to_other_places),
		T(a_class_is_asked_again),
		T(carried_whole),
		T(glass_is_said_whenever_it_comes),
		T(glass_is_said_to_what_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
