/*
 * test_policy_way.c - WAY_ASK to WAY_DOWN on a whole policy role: who gets through, with what, and
 * what ends it when.
 */
#include "policy_rig_way.h"

#include <signal.h>

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

/* The detail of the newest event of this kind. */
static json_t *newest(struct rig *r, const char *kind)
{
	json_t *list = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1000 }), *detail;
	const json_t *row = NULL;

	for (size_t i = json_array_size(list); i > 0 && row == NULL; i--)
		if (strcmp(json_string_value(json_object_get(json_array_get(list, i - 1), "kind")), kind) == 0)
			row = json_array_get(list, i - 1);
	assert_non_null(row);
	assert_non_null(detail = json_loads(json_string_value(json_object_get(row, "detail")), 0, NULL));
	json_decref(list);
	return detail;
}

static void the_event_says_what_was_recorded(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	json_t *detail;

	way_open(r, &s, 3600);
	way_over(r, &s, 1);
	detail = newest(r, "way.down");
	assert_int_equal(json_integer_value(json_object_get(detail, "frames")), 3);
	json_decref(detail);
	session_over(r, &s, 0);
	assert_int_equal(events_of(r, "way.down"), 1);
}

/* Of a session that said nothing it is not known, and is no 0. */
static void a_crash_says_nothing_of_what_was_recorded(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	json_t *detail;

	way_open(r, &s, 3600);
	session_over(r, &s, SIGSEGV);
	detail = newest(r, "way.down");
	assert_string_equal(json_string_value(json_object_get(detail, "why")), "session crashed");
	assert_null(json_object_get(detail, "frames"));
	json_decref(detail);
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
	assert_int_equal(events_of(r, "way.ended"), 1);
	way_over(r, &s, 1);
	assert_int_equal(events_of(r, "way.down"), 1);
	session_over(r, &s, 0);
}

static void expiry_ends_the_way_within_a_second(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	int64_t end, over;

	way_open(r, &s, 2);
	end = r->p.peers[s.slot % PEER_TABLE]->ways[0]->until;
	expect_end_as(r, &s, 1, BREC_END_EXPIRED);
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
	assert_int_equal(buf_get_u8(&m.body), BREC_END_EXPIRED);
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

	/* in whole seconds: of the first some may be over */
	rig_grant(r, r->p.store, &r->alice, 2);
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

/* It takes the place of web1, with a pinned key. A grant for it. */
static int64_t another_host(struct rig *r, struct host *h)
{
	struct host_key pin = { .type = "ssh-ed25519", .len = 51 };

	assert_int_equal(store_host_add(r->p.store, h, clock_wall()), 0);
	memcpy(pin.blob, WRONG_KEY, pin.len);
	assert_int_equal(key_fingerprint(pin.blob, pin.len, pin.fingerprint), 0);
	assert_int_equal(store_host_key_add(r->p.store, h->id, &pin), 0);
	r->web1 = *h;
	return rig_grant(r, r->p.store, &r->alice, 3600);
}

static void managed_key_is_lent(void **state)
{
	const uint8_t *text;
	json_t *meta;
	size_t len;
	struct rig *r = *state;
	struct session_end s;
	struct host h = { .port = 22, .method = LOGIN_MANAGED };
	char name[64], login[64];
	struct ipc_msg m;
	struct buf b;
	int64_t grant;

	assert_int_equal(store_host_remove(r->p.store, r->web1.id, clock_wall()), 0);
	strcpy(h.name, "web2");
	strcpy(h.address, "web1.internal");
	strcpy(h.logins, "dba");
	strcpy(h.managed_key, "appliance");
	grant = another_host(r, &h);
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
	assert_int_equal(buf_get_u32(&m.body), 1);
	buf_get_string(&m.body, 100, &len);
	buf_get_string(&m.body, 16384, &len);
	text = buf_get_string(&m.body, 16384, &len);
	assert_non_null(meta = json_loadb((const char *)text, len, 0, NULL));
	assert_int_equal(json_integer_value(json_object_get(meta, "grant")), grant);
	json_decref(meta);
	ipc_msg_finish(&m);
	session_over(r, &s, 0);
}

/* Behind address translation a host sees another address than the one that it is dialled from. What its own row says goes before the option. */
static void the_certificate_is_good_from_where_the_host_sees_us(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct host h = r->web1;
	int64_t grant = rig_grant(r, r->p.store, &r->alice, 3600);

	free(r->conf->source_address);
	r->conf->source_address = strdup("198.51.100.0/24,2001:db8::/64");
	login_alice(r, &s, 0);
	way_ask(&s, 1, "web1", "dba");
	dial_ok(r);
	sign_from(r, grant, clock_wall() + 3600, "198.51.100.0/24,2001:db8::/64");
	expect_ok(r, &s, 1, grant, "CERT", 1);
	way_over(r, &s, 1);
	strcpy(h.name, "web2");
	strcpy(h.source_address, "203.0.113.7");
	grant = another_host(r, &h);
	way_ask(&s, 2, "web2", "dba");
	dial_ok(r);
	sign_from(r, grant, clock_wall() + 3600, "203.0.113.7");
	session_over(r, &s, 0);
}

/* Of many hops at once another one may be first to name its login: the socket that nobody asked for yet gives its place. */
static void an_early_socket_takes_nobodys_place(void **state)
{
	struct rig *r = *state;
	struct session_end s;
	struct ipc_msg m;
	struct peer *peer;

	rig_grant(r, r->p.store, &r->alice, 3600);
	login_alice(r, &s, 0);
	send_host(&s, 7, "web1");
	expect(r, &s.link, MSG_HOST_RE, &m);
	ipc_msg_finish(&m);
	dial_ok(r);
	peer = peer_of(r, &s);
	assert_int_equal(peer->ways[0]->stage, WAY_EARLY);
	peer->ways[0]->host.port = 23; /* another one's */
	for (uint32_t i = 1; i < PEER_WAYS_MAX; i++)
		assert_non_null(peer_way_create(peer, 100 + i));
	way_ask(&s, 1, "web1", "dba");
	dial_ok(r);
	assert_int_equal(peer->ways[0]->id, 1);
	session_over(r, &s, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(grant_opens_a_way),
		T(the_event_says_what_was_recorded),
		T(a_crash_says_nothing_of_what_was_recorded),
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
		T(the_certificate_is_good_from_where_the_host_sees_us),
		T(an_early_socket_takes_nobodys_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
