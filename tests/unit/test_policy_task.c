/*
 * test_policy_task.c - tasks at hosts on a whole policy role: what a certificate for one binds, how many run at once, what each way to
 * fail ends in, and that an announced host key is a row and nothing more. tests/system/test_host_keys_announced.py has a real sshd.
 *
 * WRAP: clock_mono_ms
 */
#include "policy_rig_login.h"

#include "policy_hostkey.h"
#include "policy_slow.h"
#include "policy_task.h"
#include "store_hostkey.h"

static const uint8_t KEY_OF_TASK[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20" "task-task-task-task-task-task-ta";
static const uint8_t ANNOUNCED[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20" "fresh-fresh-fresh-fresh-fresh-fr";

static uint64_t ahead_ms;	/* so far the clock is ahead */

uint64_t __wrap_clock_mono_ms(void);
uint64_t __real_clock_mono_ms(void);

uint64_t __wrap_clock_mono_ms(void)
{
	return __real_clock_mono_ms() + ahead_ms;
}

struct heard {
	int calls;
	enum task_end end;
	int status;
	char out[64], line[256];
	size_t nfresh;
};

static void on_done(struct policy *p, void *arg, const struct task_result *r)
{
	struct heard *h = arg;

	(void)p;
	h->calls++;
	h->end = r->end;
	h->status = r->status;
	h->nfresh = r->nfresh;
	snprintf(h->out, sizeof(h->out), "%.*s", (int)r->out_len, r->out);
	snprintf(h->line, sizeof(h->line), "%s", r->line);
}

static struct task task_of(struct rig *r, struct heard *h)
{
	return (struct task){ .host = &r->web1, .login = "dba", .what = "scan", .command = "true", .in = "data", .in_len = 4, .done = on_done, .arg = h };
}

struct running {
	uint32_t id;
	struct ipc worker;
};

/* RUN_TARGET comes; its worker is started, and ready. */
static void expect_task(struct rig *r, struct running *run, const char *own)
{
	char address[256];
	struct ipc_msg m;
	struct buf b;

	expect(r, &r->parent, MSG_RUN_TARGET, &m);
	run->id = m.id;
	buf_get_cstring(&m.body, address, sizeof(address));
	assert_string_equal(address, "web1.internal");
	assert_int_equal(buf_get_u16(&m.body), 22);
	assert_int_equal(buf_get_u32(&m.body), TASK_LIMIT_MS);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
	worker_start(r, &run->worker, run->id, ROLE_TARGET);
	buf_init(&b, 1024);
	buf_put_string(&b, KEY_OF_TASK, sizeof(KEY_OF_TASK) - 1);
	buf_put_cstring(&b, own);
	assert_int_equal(ipc_send(&run->worker, MSG_TASK_KEY, 0, &b, NULL, 0), 0);
	buf_finish(&b);
}

/* SIGN_CERT: for this login, this command, minutes. */
static void sign_task(struct rig *r, const char *principal, const char *source, bool yes)
{
	char text[256];
	const int64_t now = clock_wall();
	struct ipc_msg m;
	struct buf b;
	size_t len;

	expect(r, &r->keys, MSG_SIGN_CERT, &m);
	buf_get_string(&m.body, 1000, &len);
	assert_int_equal(len, sizeof(KEY_OF_TASK) - 1);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, principal);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_memory_equal(text, "bastiond/scan/", 14);
	buf_get_u64(&m.body);
	assert_in_range(buf_get_u64(&m.body), now - 60, now - 40);
	assert_in_range(buf_get_u64(&m.body), now, now + 300);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, source);
	assert_int_equal(buf_get_u8(&m.body), 0);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "true");
	assert_true(buf_end(&m.body));
	buf_init(&b, 64);
	buf_put_u8(&b, yes);
	buf_put_cstring(&b, yes ? "CERT" : "no");
	assert_int_equal(ipc_send(&r->keys, MSG_SIGN_CERT_RE, m.id, &b, NULL, 0), 0);
	buf_finish(&b);
	ipc_msg_finish(&m);
}

static void expect_order(struct rig *r, struct running *run)
{
	char text[64];
	struct ipc_msg m;
	size_t len;

	expect(r, &run->worker, MSG_TASK_GO, &m);
	assert_int_equal(m.nfds, 0);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "web1");
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "dba");
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "true");
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "CERT");
	buf_get_string(&m.body, 100, &len);
	assert_int_equal(len, 0);
	assert_int_equal(buf_get_u32(&m.body), 1); /* the one that is pinned */
	buf_get_string(&m.body, 100, &len);
	assert_int_equal(len, sizeof(WRONG_KEY) - 1);
	assert_memory_equal(buf_get_string(&m.body, 100, &len), "data", 4);
	assert_true(buf_end(&m.body));
	ipc_msg_finish(&m);
}

static void task_over(struct rig *r, struct running *run, enum task_end end, uint32_t status, const uint8_t *fresh, size_t len)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_put_u8(&b, (uint8_t)end);
	buf_put_u32(&b, status);
	buf_put_u8(&b, end == TASK_OK || end == TASK_EXIT);
	buf_put_cstring(&b, "said");
	buf_put_cstring(&b, "line\033[2J");
	buf_put_u8(&b, fresh != NULL);
	buf_put_u32(&b, fresh != NULL);
	if (fresh != NULL)
		buf_put_string(&b, fresh, len);
	buf_put_u32(&b, 0);
	buf_put_u32(&b, 0);
	assert_int_equal(ipc_send(&run->worker, MSG_TASK_DONE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
	worker_end(r, &run->worker, run->id);
}

static int64_t events_of(struct rig *r, const char *kind)
{
	json_t *rows = store_list(r->p.store, LIST_EVENTS, &(struct list_ask){ .limit = 1000, .now = clock_wall() });
	int64_t n = 0;

	for (size_t i = 0; i < json_array_size(rows); i++)
		n += strcmp(json_string_value(json_object_get(json_array_get(rows, i), "kind")), kind) == 0;
	json_decref(rows);
	return n;
}

static void it_runs_with_a_certificate_for_it_alone(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	assert_int_equal(task_run(&r->p, &t), 0);
	assert_int_equal(events_of(r, "task.start"), 1);
	expect_task(r, &run, "192.0.2.1,2001:db8::1");
	sign_task(r, "dba", "192.0.2.1,2001:db8::1", true);
	expect_order(r, &run);
	assert_true(task_running(&r->p, &h));
	task_over(r, &run, TASK_OK, 0, NULL, 0);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.end, TASK_OK);
	assert_string_equal(h.out, "said");
	assert_string_equal(h.line, "line\\x1b[2J"); /* what a host says reaches no terminal raw */
	assert_false(task_running(&r->p, &h));
	assert_int_equal(events_of(r, "task.end"), 1);
}

static void expect_kill(struct rig *r, const struct running *run)
{
	struct ipc_msg m;

	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	assert_int_equal(m.id, run->id);
	ipc_msg_finish(&m);
}

static void each_failure_is_said_once(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	/* no address of ours is known */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "");
	rig_turn(r);
	assert_int_equal(h.end, TASK_UNREACHABLE);
	expect_silence(r, &r->keys); /* a certificate that is good from anywhere is not asked for */
	expect_kill(r, &run);
	worker_end(r, &run.worker, run.id);
	/* keys does not sign */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", false);
	expect_kill(r, &run);
	assert_int_equal(h.end, TASK_FAILED);
	worker_end(r, &run.worker, run.id);
	/* its worker dies */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	worker_end(r, &run.worker, run.id);
	assert_int_equal(h.end, TASK_FAILED);
	/* the host refuses */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_REFUSED, 255, NULL, 0);
	assert_int_equal(h.end, TASK_REFUSED);
	assert_int_equal(h.calls, 4);
	assert_int_equal(events_of(r, "task.start"), 4);
	assert_int_equal(events_of(r, "task.end"), 4);
}

/* A crowd of logins has all workers: the task waits, and its start is told once, when it starts. */
static void no_worker_is_no_start(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	const unsigned most = r->conf->max_workers;
	struct running run;

	r->conf->max_workers = 0;
	assert_int_equal(task_run(&r->p, &t), 0);
	for (int i = 0; i < 3; i++)
		tasks_tick(&r->p);
	assert_int_equal(events_of(r, "task.start"), 0);
	r->conf->max_workers = most;
	tasks_tick(&r->p);
	expect_task(r, &run, "192.0.2.1");
	assert_int_equal(events_of(r, "task.start"), 1);
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_REFUSED, 255, NULL, 0);
	assert_int_equal(h.calls, 1);
}

static void a_worker_that_lies_is_ended(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;
	struct buf b;

	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	buf_init(&b, 64);
	buf_put_u8(&b, TASK_ENDS); /* no such end */
	assert_int_equal(ipc_send(&run.worker, MSG_TASK_DONE, 0, &b, NULL, 0), 0);
	buf_finish(&b);
	rig_turn(r);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.end, TASK_FAILED);
	worker_end(r, &run.worker, run.id);
}

/* One of the same address and another number. */
static struct host another_host(const struct rig *r, int i)
{
	struct host h = r->web1;

	h.id += i;
	return h;
}

/* A host that hangs has two places, and what waits for it keeps nobody of another one. */
static void a_host_has_no_more_than_its_places(void **state)
{
	struct rig *r = *state;
	static struct heard h[11];
	const struct host other = another_host(r, 1);
	struct running run[4];
	struct task t;

	memset(h, 0, sizeof(h));
	for (int i = 0; i < 10; i++) {
		t = task_of(r, &h[i]);
		assert_int_equal(task_run(&r->p, &t), 0);
	}
	for (int i = 0; i < 2; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	t = task_of(r, &h[10]);
	t.host = &other;
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run[2], "192.0.2.1");
	expect_silence(r, &r->parent);
	sign_task(r, "dba", "192.0.2.1", false);
	expect_kill(r, &run[0]);
	expect_task(r, &run[3], "192.0.2.1"); /* in their order */
	expect_silence(r, &r->parent);
	assert_true(h[0].calls == 1 && h[1].calls == 0 && h[10].calls == 0);
}

static void so_many_at_once_and_the_rest_waits(void **state)
{
	struct rig *r = *state;
	static struct heard h[12];
	struct running run[12];
	struct task t;

	memset(h, 0, sizeof(h));
	for (int i = 0; i < 12; i++) {
		struct host host = another_host(r, i);

		t = task_of(r, &h[i]);
		t.host = &host;
		assert_int_equal(task_run(&r->p, &t), 0);
	}
	for (int i = 0; i < 8; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	for (int i = 0; i < 12; i++) {
		sign_task(r, "dba", "192.0.2.1", false); /* it fails, and makes room */
		expect_kill(r, &run[i]);
		if (i + 8 < 12)
			expect_task(r, &run[i + 8], "192.0.2.1");
	}
	for (int i = 0; i < 12; i++) {
		assert_int_equal(h[i].calls, 1);
		worker_end(r, &run[i].worker, run[i].id);
	}
}

/* Background work leaves half of the places to who waits. */
static void background_leaves_room(void **state)
{
	struct rig *r = *state;
	static struct heard h[7];
	struct running run[7];
	struct task t;

	memset(h, 0, sizeof(h));
	for (int i = 0; i < 6; i++) {
		struct host host = another_host(r, i);

		t = task_of(r, &h[i]);
		t.host = &host;
		t.background = true;
		assert_int_equal(task_run(&r->p, &t), 0);
	}
	for (int i = 0; i < 4; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	const struct host seventh = another_host(r, 6);

	t = task_of(r, &h[6]);
	t.host = &seventh;
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run[6], "192.0.2.1"); /* it overtakes the two that wait */
	for (int i = 0; i < 7; i++) {
		const int n = i < 4 ? i : i == 4 ? 6 : i - 1;

		sign_task(r, "dba", "192.0.2.1", false);
		expect_kill(r, &run[n]);
		if (i < 2)
			expect_task(r, &run[4 + i], "192.0.2.1");
	}
	for (int i = 0; i < 7; i++)
		assert_int_equal(h[i].calls, 1);
}

/* So many are taken, each at a host of its own from `first` on. */
static void queue(struct rig *r, struct heard *h, int n, int first, bool background)
{
	for (int i = 0; i < n; i++) {
		const struct host host = another_host(r, first + i);
		struct task t = task_of(r, &h[i]);

		t.host = &host;
		t.background = background;
		assert_int_equal(task_run(&r->p, &t), 0);
	}
}

/* Hosts that hang, with logins that wait for them and with work that nobody waits for, against all the places that there are. */
static void a_host_that_answers_finds_a_place(void **state)
{
	struct rig *r = *state;
	static struct heard h[40];
	struct running run[9];

	memset(h, 0, sizeof(h));
	for (int i = 10; i < 20; i++)
		slow_heard(&r->p, r->web1.id + i, TASK_UNREACHABLE, TASK_LIMIT_MS);
	queue(r, h, 10, 10, false);	/* who waits for one that hangs has half of the places, */
	queue(r, h + 10, 10, 10, false); /* at each host one, */
	queue(r, h + 20, 10, 30, true);	/* the background has another one's half, but for what is kept */
	for (int i = 0; i < 6; i++)
		expect_task(r, &run[i], "192.0.2.1");
	expect_silence(r, &r->parent);
	assert_true(task_running(&r->p, &h[10]));
	for (int i = 0; i < 2; i++) {
		queue(r, h + 30 + i, 1, 1 + i, false);
		expect_task(r, &run[6 + i], "192.0.2.1");
	}
	queue(r, h + 32, 1, 3, false);
	expect_silence(r, &r->parent);
	worker_end(r, &run[6].worker, run[6].id);
	expect_task(r, &run[8], "192.0.2.1"); /* it is not one of those that wait for longer */
	assert_int_equal(h[30].calls, 1);
	/* an answer, or time, ends it */
	assert_true(slow_is(&r->p, r->web1.id + 10));
	slow_heard(&r->p, r->web1.id + 10, TASK_EXIT, TASK_LIMIT_MS);
	assert_false(slow_is(&r->p, r->web1.id + 10));
	ahead_ms += SLOW_MS;
	assert_false(slow_is(&r->p, r->web1.id + 11));
}

/* A host is slow when it did not answer for a while: not when keys do not, not when it refuses, not for a failure that came at once. */
static void what_makes_a_host_slow(void **state)
{
	static const struct { enum task_end end; uint64_t ms; bool slow; } table[] = {
		{ TASK_UNREACHABLE, 100, false }, { TASK_UNREACHABLE, 20000, true }, { TASK_REFUSED, 20000, false }, { TASK_FAILED, 29000, true },
		{ TASK_OK, 20000, false }, { TASK_UNREACHABLE, 20000, true }, { TASK_FAILED, 100, true }, { TASK_EXIT, 100, false },
		{ TASK_UNREACHABLE, 20000, true }, { TASK_HOSTKEY, 100, false },
	};
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	ahead_ms += 20000;
	sign_task(r, "dba", "192.0.2.1", false);
	expect_kill(r, &run);
	assert_int_equal(h.end, TASK_FAILED);
	assert_false(slow_is(&r->p, r->web1.id));
	worker_end(r, &run.worker, run.id);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(task_run(&r->p, &t), 0);
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run);
		ahead_ms += table[i].ms;
		task_over(r, &run, table[i].end, 1, NULL, 0);
		assert_int_equal(slow_is(&r->p, r->web1.id), table[i].slow);
	}
	/* a worker that is killed when its time is over */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	ahead_ms += TASK_LIMIT_MS;
	worker_end(r, &run.worker, run.id);
	assert_int_equal(h.end, TASK_FAILED);
	assert_true(slow_is(&r->p, r->web1.id));
}

/* A look is told when it fails alone. */
static void a_look_that_ends_well_is_no_event(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;

	t.look = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(task_run(&r->p, &t), 0);
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run);
		task_over(r, &run, i == 0 ? TASK_OK : TASK_EXIT, (uint32_t)i, NULL, 0);
		assert_int_equal(events_of(r, "task.start"), 0);
		assert_int_equal(events_of(r, "task.end"), i);
	}
	assert_int_equal(h.calls, 2);
}

static void start_another(struct policy *p, void *arg, const struct task_result *r)
{
	struct task *next = arg;

	(void)r;
	assert_int_equal(task_run(p, next), 0);
}

/* What is started by whoever hears of an end runs once, and so did the one that ended. */
static void an_end_starts_another(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task second = task_of(r, &h), t = task_of(r, NULL);
	struct running run;

	t.done = start_another;
	t.arg = &second;
	assert_int_equal(task_run(&r->p, &t), 0);
	for (int i = 0; i < 2; i++) {
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run);
		task_over(r, &run, TASK_OK, 0, NULL, 0);
	}
	expect_silence(r, &r->parent);
	assert_int_equal(h.calls, 1);
	assert_int_equal(events_of(r, "task.start"), 2);
}

static void who_forgets_hears_nothing(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;
	struct ipc_msg m;

	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	task_forget(&r->p, &h);
	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	assert_int_equal(m.id, run.id);
	ipc_msg_finish(&m);
	worker_end(r, &run.worker, run.id);
	assert_int_equal(h.calls, 0);
	assert_int_equal(events_of(r, "task.end"), 1);
}

static void bounds(void **state)
{
	static char long_command[TASK_COMMAND_MAX + 2];
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t;

	memset(long_command, 'x', sizeof(long_command) - 1);
#define BAD(change) do { t = task_of(r, &h); change; assert_int_equal(task_run(&r->p, &t), -1); } while (0)
	BAD(t.login = "-oProxyCommand=x");
	BAD(t.principal = "a,b");
	BAD(t.command = "");
	BAD(t.command = long_command);
	BAD(t.in_len = TASK_IN_MAX + 1);
	BAD(t.limit_ms = TASK_LIMIT_MAX_MS + 1);
	BAD((t.how = TASK_FILE, t.managed = "../ca"));
	BAD(t.how = TASK_SEALED);
#undef BAD
	expect_silence(r, &r->parent);
}

/* A key that a host announces is a proposal: not pinned, one alarm, and no news the second time. */
static void an_announced_key_is_trusted_by_nobody(void **state)
{
	struct rig *r = *state;
	struct heard h = { 0 };
	struct task t = task_of(r, &h);
	struct running run;
	char fingerprint[STORE_FPR_MAX + 1];
	struct host_key k;

	assert_int_equal(key_fingerprint(ANNOUNCED, sizeof(ANNOUNCED) - 1, fingerprint), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(task_run(&r->p, &t), 0);
		expect_task(r, &run, "192.0.2.1");
		sign_task(r, "dba", "192.0.2.1", true);
		expect_order(r, &run); /* has one pin, the second time too */
		task_over(r, &run, TASK_OK, 0, ANNOUNCED, sizeof(ANNOUNCED) - 1);
		assert_int_equal(h.nfresh, 1);
		assert_int_equal(events_of(r, "hostkey.announced"), 1);
	}
	assert_int_equal(store_announced(r->p.store, r->web1.id, fingerprint, &k), 1);
	/* what is no key that could be pinned is no row */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_OK, 0, (const uint8_t *)"\0\0\0\7ssh-dssrest", 15);
	assert_int_equal(events_of(r, "hostkey.announced"), 1);
	/* and nothing is learned from where the login was not let in */
	assert_int_equal(task_run(&r->p, &t), 0);
	expect_task(r, &run, "192.0.2.1");
	sign_task(r, "dba", "192.0.2.1", true);
	expect_order(r, &run);
	task_over(r, &run, TASK_REFUSED, 0, KEY_OF_TASK, sizeof(KEY_OF_TASK) - 1);
	assert_int_equal(events_of(r, "hostkey.announced"), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_runs_with_a_certificate_for_it_alone), T(each_failure_is_said_once), T(no_worker_is_no_start), T(a_worker_that_lies_is_ended),
		T(so_many_at_once_and_the_rest_waits), T(a_host_has_no_more_than_its_places), T(background_leaves_room),
		T(a_host_that_answers_finds_a_place), T(what_makes_a_host_slow), T(a_look_that_ends_well_is_no_event),
		T(an_end_starts_another), T(who_forgets_hears_nothing), T(bounds), T(an_announced_key_is_trusted_by_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
