/*
 * policy_rig_task.h - a policy role that runs tasks at hosts, with their workers and the keys role played, and a clock that can be set
 * ahead. For a test with WRAP: clock_mono_ms.
 */
#ifndef BASTION_POLICY_RIG_TASK_H
#define BASTION_POLICY_RIG_TASK_H

#include "policy_rig_login.h"

#include "policy_task.h"

static const uint8_t KEY_OF_TASK[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20" "task-task-task-task-task-task-ta";

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

static inline void on_done(struct policy *p, void *arg, const struct task_result *r)
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

static inline struct task task_of(struct rig *r, struct heard *h)
{
	return (struct task){ .host = &r->web1, .login = "dba", .what = "scan", .command = "true", .in = "data", .in_len = 4, .done = on_done, .arg = h };
}

struct running {
	uint32_t id;
	struct ipc worker;
};

/* RUN_TARGET comes; its worker is started, and ready. */
static inline void expect_task(struct rig *r, struct running *run, const char *own)
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
static inline void sign_task(struct rig *r, const char *principal, const char *source, bool yes)
{
	char text[256];
	const int64_t now = clock_wall();
	uint64_t after;
	struct ipc_msg m;
	size_t len;

	expect(r, &r->keys, MSG_SIGN_CERT, &m);
	buf_get_string(&m.body, 1000, &len);
	assert_int_equal(len, sizeof(KEY_OF_TASK) - 1);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, principal);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_memory_equal(text, "bastiond/scan/", 14);
	buf_get_u64(&m.body);
	assert_in_range(after = buf_get_u64(&m.body), now - 60, now - 40);
	assert_in_range(buf_get_u64(&m.body), now, after + 300);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, source);
	assert_int_equal(buf_get_u8(&m.body), 0);
	buf_get_cstring(&m.body, text, sizeof(text));
	assert_string_equal(text, "true");
	assert_true(buf_end(&m.body));
	keys_say(r, MSG_SIGN_CERT_RE, &m, yes, yes ? "CERT" : "no");
}

static inline void expect_order(struct rig *r, struct running *run)
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

static inline void task_over(struct rig *r, struct running *run, enum task_end end, uint32_t status, const uint8_t *fresh, size_t len)
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

static inline void expect_kill(struct rig *r, const struct running *run)
{
	struct ipc_msg m;

	expect(r, &r->parent, MSG_WORKER_KILL, &m);
	assert_int_equal(m.id, run->id);
	ipc_msg_finish(&m);
}

/* One of the same address and another number. */
static inline struct host another_host(const struct rig *r, int i)
{
	struct host h = r->web1;

	h.id += i;
	return h;
}

/* So many are taken, each at a host of its own from `first` on. */
static inline void queue(struct rig *r, struct heard *h, int n, int first, bool background)
{
	for (int i = 0; i < n; i++) {
		const struct host host = another_host(r, first + i);
		struct task t = task_of(r, &h[i]);

		t.host = &host;
		t.background = background;
		assert_int_equal(task_run(&r->p, &t), 0);
	}
}

#endif
