/*
 * test_policy_crowd.c - policy and many sessions at once: who waits for an answer, or has to be kept alive, does not wait
 * for a crowd; rows of what is over are written together.
 *
 * WRAP: sqlite3_step getsockopt
 */
#include "policy_rig_way.h"

#include <sqlite3.h>

#define CROWD 20
#define NOTES 40	/* of each: an event, and so a flush of the disk, each */

#define OTHER_UID 4242
#define PRESSES 3000	/* of a local account, then it has enough, */
#define WHILE_MS 20000	/* or so long */

static uid_t asker;	/* whom SO_PEERCRED names */
static void (*press)(void);	/* what it does each time that policy did what it asked for */
static unsigned pressed;
static bool disk_full;
static unsigned commits;

static struct ipc local;	/* its connection */
static char control[108];

/* One more word; a reply makes room. */
static void press_word(void)
{
	struct ipc_msg m;
	struct buf b;

	while (ipc_recv(&local, &m) > 0)
		ipc_msg_finish(&m);
	buf_view(&b, "{\"word\":\"hosts\"}", 16);
	assert_int_equal(ipc_send(&local, MSG_CTL_REQUEST, 1, &b, NULL, 0), 0);
}

/* One more connection, which is gone by the time that policy takes it. */
static void press_connection(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, control);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
}

/* The same, but for a time. */
static void press_for_a_while(void)
{
	static uint64_t end;

	if (pressed == 0)
		end = clock_mono_ms() + WHILE_MS;
	pressed = clock_mono_ms() < end ? 1 : PRESSES;
	if (pressed == 1)
		press_connection();
}

int __real_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_step(sqlite3_stmt *st);

int __wrap_sqlite3_step(sqlite3_stmt *st)
{
	const char *text = sqlite3_sql(st);

	if (disk_full && (strncmp(text, "UPDATE", 6) == 0 || strncmp(text, "INSERT", 6) == 0))
		return SQLITE_FULL;
	commits += strncmp(text, "COMMIT", 6) == 0;
	if (press == press_word && strstr(text, "WHERE uid=?") != NULL && pressed++ < PRESSES)
		press();
	return __real_sqlite3_step(st);
}

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int r = __real_getsockopt(fd, level, name, value, len);

	if (r != 0 || level != SOL_SOCKET || name != SO_PEERCRED)
		return r;
	((struct ucred *)value)->uid = asker;
	if (press != NULL && press != press_word && pressed++ < PRESSES)
		press();
	return r;
}

static void deploy_in(struct rig *r, struct session_end *s)
{
	session_start(r, s);
	send_key(s, "deploy", KEY(DEPLOY_KEY), 1);
	expect_u8(r, &s->link, MSG_AUTH_KEY_RE, AUTH_YES);
	expect_u8(r, &r->parent, MSG_PEER_VERDICT, 1);
}

static int rows(struct rig *r, const char *sql)
{
	sqlite3_stmt *st = NULL;
	char path[80];
	sqlite3 *db;
	int n;

	snprintf(path, sizeof(path), "%s/policy.db", r->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(__real_sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static int notes(struct rig *r)
{
	return rows(r, "SELECT count(*) FROM events WHERE kind='forward.refused'");
}

static int open_connections(struct rig *r)
{
	return rows(r, "SELECT count(*) FROM connections WHERE end_at IS NULL");
}

static void say_much(struct session_end *s)
{
	struct buf b;

	buf_init(&b, 256);
	buf_put_cstring(&b, "forward.refused");
	buf_put_cstring(&b, "10.0.0.1:80");
	for (int i = 0; i < NOTES; i++)
		assert_int_equal(ipc_send(&s->link, MSG_NOTE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* An administrator at the control socket, while a crowd keeps the disk busy for seconds. */
static void crowd_is_overtaken(void **state)
{
	struct session_end crowd[CROWD];
	struct rig *r = *state;

	for (int i = 0; i < CROWD; i++)
		deploy_in(r, &crowd[i]);
	for (int i = 0; i < CROWD; i++)
		say_much(&crowd[i]);
	control_request(r, "{\"word\":\"user lock\",\"args\":{\"user\":\"bob\",\"reason\":\"test\"}}", "\"ok\":true");
	/* and nobody of the crowd is forgotten */
	for (int i = 0; i < 100 && notes(r) < CROWD * NOTES; i++)
		rig_turn(r);
	assert_int_equal(notes(r), CROWD * NOTES);
	assert_true(rows(r, "SELECT count(*) FROM events WHERE kind='forward.refused' AND id < (SELECT id FROM events "
	    "WHERE kind='user.lock')") < CROWD * NOTES / 2);
	for (int i = 0; i < CROWD; i++)
		session_over(r, &crowd[i], 0);
}

/* A local account presses on, without end. A session is heard before it has enough. */
static void session_is_heard(struct rig *r, void (*how)(void))
{
	struct session_end s;
	struct ipc_msg m;
	struct buf b;
	int got = 0;

	deploy_in(r, &s);
	snprintf(control, sizeof(control), "%s/control.sock", r->dir);
	asker = OTHER_UID;
	rig_connect(r, "control.sock", &local);
	pressed = 0;
	press = how;
	press();
	buf_view(&b, "{\"word\":\"hosts\"}", 16);
	assert_int_equal(ipc_send(&s.link, MSG_WORDS, 5, &b, NULL, 0), 0);
	while (got == 0) {
		event_base_loop(r->p.base, EVLOOP_ONCE);
		policy_turn(&r->p);
		while ((got = ipc_recv(&s.link, &m)) > 0 && m.type == MSG_PING)
			ipc_msg_finish(&m);
	}
	press = NULL;
	asker = 0;
	assert_int_equal(got, 1);
	assert_int_equal(m.type, MSG_WORDS_RE);
	ipc_msg_finish(&m);
	ipc_finish(&local);
	session_over(r, &s, 0);
	assert_in_range(pressed, 1, PRESSES - 1);
}

/* Any account of this machine may connect: one that does nothing else keeps no session from policy. */
static void local_connections_starve_nobody(void **state)
{
	session_is_heard(*state, press_connection);
}

static unsigned refused_of(struct rig *r, unsigned words)
{
	unsigned n = 0, got = 0;
	struct ipc_msg m;

	asker = OTHER_UID;
	rig_connect(r, "control.sock", &local);
	for (unsigned i = 0; i < words; i++) {
		press_word();
		rig_turn(r);
		while (ipc_recv(&local, &m) > 0) {
			got++;
			n += memmem(m.body.data, m.body.len, "too many requests", 17) != NULL;
			ipc_msg_finish(&m);
		}
	}
	asker = 0;
	ipc_finish(&local);
	assert_int_equal(got, words);
	return n;
}

/* Nor does a user with a shell there who asks without end: the first 256 words are answered, the others by a refusal. */
static void local_words_starve_nobody(void **state)
{
	struct user u = { .kind = USER_HUMAN, .name = "carol", .person = "carol", .uid = OTHER_UID, .until = FOREVER };
	struct rig *r = *state;

	assert_int_equal(store_user_add(r->p.store, &u, clock_wall()), 0);
	session_is_heard(r, press_word);
	assert_int_equal(refused_of(r, 250), 0);
	assert_in_range(refused_of(r, 500), 100, 250);
}

/* Nor is what comes after a turn of the loop put off, memory given back among it, for as long as that goes on. */
static void the_turn_comes(void **state)
{
	struct rig *r = *state;
	const uint64_t since = clock_mono_ms();

	snprintf(control, sizeof(control), "%s/control.sock", r->dir);
	asker = OTHER_UID;
	pressed = 0;
	press = press_for_a_while;
	press();
	event_base_loop(r->p.base, EVLOOP_ONCE);
	press = NULL;
	asker = 0;
	policy_turn(&r->p);
	assert_in_range(clock_mono_ms() - since, 0, WHILE_MS - 1);
}

static unsigned handled;

static int take_long(struct link *l, struct ipc_msg *m)
{
	const uint64_t end = clock_mono_ms() + LINK_TURN_MS + 1;

	(void)l, (void)m;
	while (clock_mono_ms() < end)
		;
	handled++;
	return 0;
}

static void never(struct link *l, int error)
{
	(void)l;
	fail_msg("ended: %d", error);
}

/* One session's messages that each take long are no turn for all of them; who is gone has had its turns, and all of them count. */
static void slow_messages_come_one_by_one(void **state)
{
	static const struct link_ops ops = { take_long, never };
	static struct link link;
	struct rig *r = *state;
	struct ipc far;
	int pair[2];

	handled = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(link_open(&link, r->p.base, pair[0], ROLE_SESSION, &ops), 0);
	ipc_init(&far, pair[1], ROLE_SESSION, ROLE_POLICY);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ipc_send_empty(&far, MSG_PONG, 0), 0);
	for (unsigned want = 1; want <= 2; want++) {
		while (handled < want)
			event_base_loop(r->p.base, EVLOOP_ONCE);
		assert_int_equal(handled, want);
	}
	link_read(&link);
	assert_int_equal(handled, 5);
	link_close(&link);
	ipc_finish(&far);
}

/* Parent says in one breath that all of them are over. */
static void all_over(struct rig *r, struct session_end *crowd)
{
	struct buf b;

	buf_init(&b, 32);
	buf_put_u32(&b, 0);
	buf_put_u64(&b, 1000);
	buf_put_u64(&b, 1000);
	for (int i = 0; i < CROWD; i++) {
		ipc_finish(&crowd[i].link);
		assert_int_equal(ipc_send(&r->parent, MSG_PEER_DOWN, crowd[i].slot, &b, NULL, 0), 0);
	}
	buf_finish(&b);
	rig_turn(r);
	assert_int_equal(r->p.npeers, 0);
}

static void ends_share_a_flush(void **state)
{
	struct session_end crowd[CROWD];
	struct rig *r = *state;

	for (int i = 0; i < CROWD; i++)
		deploy_in(r, &crowd[i]);
	assert_int_equal(open_connections(r), CROWD);
	commits = 0;
	all_over(r, crowd);
	assert_int_equal(open_connections(r), 0);
	assert_int_equal(rows(r, "SELECT count(*) FROM events WHERE kind='logout'"), CROWD);
	assert_in_range(commits, 1, 3);
}

static void ends_wait_for_a_full_disk(void **state)
{
	struct session_end crowd[CROWD];
	struct rig *r = *state;

	for (int i = 0; i < CROWD; i++)
		deploy_in(r, &crowd[i]);
	log_init("policy", true, LOG_LVL_ERROR + 1);
	disk_full = true;
	all_over(r, crowd);
	assert_int_equal(open_connections(r), CROWD);
	disk_full = false;
	rig_turn(r);
	assert_int_equal(open_connections(r), 0);
	assert_int_equal(rows(r, "SELECT count(*) FROM events WHERE kind='logout'"), CROWD);
}

/* The memory for them has a bound: the oldest are given up, the newest are written when that goes. */
static void ends_have_a_bound(void **state)
{
	struct rig *r = *state;

	log_init("policy", true, LOG_LVL_ERROR + 1);
	disk_full = true;
	for (int i = 1; i <= 200; i++)
		ends_connection(&r->p, i, "deploy", "closed");
	disk_full = false;
	rig_turn(r);
	assert_int_equal(rows(r, "SELECT count(*) FROM events WHERE kind='logout'"), 128);
	assert_int_equal(rows(r, "SELECT max(json_extract(detail, '$.connection')) FROM events WHERE kind='logout'"), 200);
}

/* What a user does that needs no word is in the events, however many words he says; and so many of it that no more fit are counted there. */
static void notes_have_a_measure_of_their_own(void **state)
{
	static const char told[] = "SELECT count(*) FROM events WHERE kind='forward.refused' AND json_extract(detail, '$.detail')='10.0.0.1:80'";
	struct rig *r = *state;
	struct session_end s;
	char left[200];
	struct buf b;

	deploy_in(r, &s);
	peer_of(r, &s)->bucket = (struct bucket){ 0, clock_mono_ms() };
	say_much(&s);
	for (int i = 0; i < 100 && rows(r, told) < NOTES; i++)
		rig_turn(r);
	assert_int_equal(rows(r, told), NOTES);
	peer_of(r, &s)->notes = (struct bucket){ 0, clock_mono_ms() };
	say_much(&s);
	/* what others do to him is told in any case */
	buf_init(&b, 256);
	buf_put_cstring(&b, "hostkey.mismatch");
	buf_put_cstring(&b, "another key");
	assert_int_equal(ipc_send(&s.link, MSG_NOTE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	session_over(r, &s, 0);
	assert_int_equal(rows(r, "SELECT count(*) FROM events WHERE kind='hostkey.mismatch'"), 1);
	/* of a slow machine one or the other had its time */
	assert_in_range(rows(r, told), NOTES, 2 * NOTES - 1);
	snprintf(left, sizeof(left), "SELECT count(*) FROM events WHERE kind='refusals.left-out' AND json_extract(detail, '$.left_out')=%d",
	    2 * NOTES - rows(r, told));
	assert_int_equal(rows(r, left), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(crowd_is_overtaken),
		T(local_connections_starve_nobody),
		T(local_words_starve_nobody),
		T(the_turn_comes),
		T(notes_have_a_measure_of_their_own),
		T(slow_messages_come_one_by_one),
		T(ends_share_a_flush),
		T(ends_wait_for_a_full_disk),
		T(ends_have_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
