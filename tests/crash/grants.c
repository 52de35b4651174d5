/*
 * grants.c - many processes approve, deny, revoke, ask and log in on the same few requests of one database, at once.
 *
 *   grants [-n ATTEMPTS] [-p PROCESSES] [-s SEED] DIR
 *
 * Each process is a policy role of its own, with its own connection to the database in DIR: more concurrent than bastiond, where one
 * process does all of it in turn. What must never be: a person's second approval that counts, a grant with fewer approvals than it needs, a
 * login by a grant whose revocation was answered before it asked, a request that is decided twice. Prints the counts; status 0: never.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "log.h"

#define TICKETS_MAX 200000
#define APPROVERS 4
#define HOSTS 400		/* a new one each PER_HOST requests, so that a login looks at a day's worth and not at a year's */
#define PER_HOST 50
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP8BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f host"

enum { DID_ASK, DID_APPROVE, DID_DENY, DID_REVOKE, DID_LOGIN, DID_KINDS };

/* Between the processes; a mark is set when the answer is there, not before. */
struct shared {
	_Atomic long left;
	_Atomic int newest;		/* number of the newest request */
	_Atomic long tried[DID_KINDS], done[DID_KINDS], wrong;
	_Atomic unsigned char revoked[TICKETS_MAX], closed[TICKETS_MAX];
	_Atomic unsigned char approved[TICKETS_MAX][APPROVERS];
};

static struct shared *all;
static struct control c;
static int64_t users[APPROVERS + 1];	/* the approvers, then who asks */
static unsigned seed;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void wrong(const char *what, long long id)
{
	fprintf(stderr, "grants: %s: request %lld\n", what, id);
	all->wrong++;
}

static void nobody_ends(void *arg, enum end_what what, int64_t id, const char *line)
{
	(void)arg, (void)what, (void)id, (void)line;
}

/* True: done. `id`, if not NULL: of the reply. */
static bool word(int64_t user, const char *json, long long *id)
{
	struct actor a = { .root = user == 0, .user_id = user, .local = true };
	json_t *reply;
	struct buf out;
	bool ok;

	buf_init(&out, CONTROL_REPLY_MAX);
	if (control_handle(&c, &a, json, strlen(json), &out) != 0) {
		/* too many refusals of this person: what torture is made of */
		buf_finish(&out);
		return false;
	}
	reply = json_loadb((const char *)out.data, out.len, 0, NULL);
	ok = json_is_true(json_object_get(reply, "ok"));
	if (id != NULL)
		*id = json_integer_value(json_object_get(reply, "id"));
	json_decref(reply);
	buf_finish(&out);
	memset(&c.refusals, 0, sizeof(c.refusals));
	return ok;
}

static int open_store(const char *dir)
{
	char path[4096], err[STORE_ERR_MAX];

	snprintf(path, sizeof(path), "%s/policy.db", dir);
	c = (struct control){ .store = store_open(path, err), .name = "bastion", .end = nobody_ends };
	if (c.store == NULL)
		fprintf(stderr, "grants: %s\n", err);
	return c.store != NULL ? 0 : -1;
}

static int make_world(const char *dir)
{
	static const char *const words[] = {
		"{\"word\":\"user add\",\"args\":{\"user\":\"alice\",\"person\":\"Alice\"}}",
		"{\"word\":\"role add\",\"args\":{\"role\":\"dba\",\"host\":\"web*\",\"login\":\"dba\",\"approvals\":2}}",
		"{\"word\":\"role member add\",\"args\":{\"role\":\"dba\",\"user\":\"alice\"}}",
	};
	char path[4096], err[STORE_ERR_MAX], json[256];
	struct user u;

	snprintf(path, sizeof(path), "%s/policy.db", dir);
	if (store_create(path, err) != 0) {
		fprintf(stderr, "grants: %s\n", err);
		return -1;
	}
	if (open_store(dir) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!word(0, words[i], NULL))
			return -1;
	for (int i = 0; i < HOSTS; i++) {
		snprintf(json, sizeof(json), "{\"word\":\"host add\",\"args\":{\"host\":\"web%d\",\"address\":\"10.1.1.1\",\"key\":\"" KEY
		    "\",\"login\":\"dba\"}}", i);
		if (!word(0, json, NULL))
			return -1;
	}
	for (int i = 0; i < APPROVERS; i++) {
		/* the last two are one person */
		snprintf(json, sizeof(json), "{\"word\":\"user add\",\"args\":{\"user\":\"bob%d\",\"person\":\"Bob %d\"}}", i, i < 2 ? i : 2);
		if (!word(0, json, NULL))
			return -1;
		snprintf(json, sizeof(json), "{\"word\":\"role approver add\",\"args\":{\"role\":\"dba\",\"user\":\"bob%d\"}}", i);
		if (!word(0, json, NULL))
			return -1;
		snprintf(json, sizeof(json), "bob%d", i);
		if (store_user_by_name(c.store, json, &u) != 1)
			return -1;
		users[i] = u.id;
	}
	if (store_user_by_name(c.store, "alice", &u) != 1)
		return -1;
	users[APPROVERS] = u.id;
	store_close(c.store);
	return 0;
}

static void ask(void)
{
	char json[160];
	long long id;

	snprintf(json, sizeof(json), "{\"word\":\"request\",\"args\":{\"host\":\"web%d\",\"login\":\"dba\",\"for\":3600,\"reason\":\"x\"}}",
	    all->newest / PER_HOST % HOSTS);
	if (!word(users[APPROVERS], json, &id))
		return;
	all->done[DID_ASK]++;
	if (id >= TICKETS_MAX)
		wrong("more requests than there is room for", id);
	else
		all->newest = (int)id;
}

static void approve(int id)
{
	int who = (int)dice(APPROVERS);
	char json[128];

	snprintf(json, sizeof(json), "{\"word\":\"approve\",\"args\":{\"id\":%d}}", id);
	if (!word(users[who], json, NULL))
		return;
	all->done[DID_APPROVE]++;
	if (all->approved[id][who < 2 ? who : 2]++ != 0)
		wrong("one person approved twice", id);
}

static void close_it(int id, bool deny)
{
	char json[128];

	snprintf(json, sizeof(json), "{\"word\":\"%s\",\"args\":{\"id\":%d,\"reason\":\"x\"}}", deny ? "deny" : "revoke", id);
	if (!word(users[dice(APPROVERS)], json, NULL))
		return;
	all->done[deny ? DID_DENY : DID_REVOKE]++;
	if (all->closed[id]++ != 0)
		wrong("ended twice", id);
	if (!deny)
		all->revoked[id] = 1;
}

static void log_in(int newest)
{
	static unsigned char before[TICKETS_MAX];
	const int first = newest > 64 ? newest - 64 : 1;
	char host[16];
	struct access_answer a;
	struct host h;

	snprintf(host, sizeof(host), "web%d", newest / PER_HOST % HOSTS);
	for (int i = first; i <= newest; i++)
		before[i] = all->revoked[i];
	control_way(&c, users[APPROVERS], "10.0.0.9", host, "dba", &(struct access_use){ 0 }, &a, &h);
	if (a.refusal != 0)
		return;
	all->done[DID_LOGIN]++;
	if (a.ticket >= first && a.ticket <= newest && before[a.ticket])
		wrong("a login after its revocation was answered", a.ticket);
}

static void attempt(void)
{
	static const int odds[] = { DID_ASK, DID_APPROVE, DID_APPROVE, DID_APPROVE, DID_APPROVE, DID_DENY, DID_REVOKE, DID_LOGIN, DID_LOGIN };
	int what = odds[dice(sizeof(odds) / sizeof(odds[0]))], newest = all->newest;
	int id = newest > 2 ? newest - (int)dice(3) : newest;

	/* one denial ends a request: seldom, or nothing else would come to pass */
	if (what == DID_DENY && dice(8) != 0)
		what = DID_APPROVE;
	if (newest == 0)
		what = DID_ASK;
	all->tried[what]++;
	if (what == DID_ASK)
		ask();
	else if (what == DID_APPROVE)
		approve(id);
	else if (what == DID_LOGIN)
		log_in(newest);
	else
		close_it(id, what == DID_DENY);
}

/* What the database has at the end, by a look of its own. */
static void look(const char *dir)
{
	char err[STORE_ERR_MAX];
	struct event_report report = { .after = 0 };
	struct ticket t;

	if (open_store(dir) != 0 || store_check(c.store, err) != 0) {
		fprintf(stderr, "grants: %s\n", c.store != NULL ? err : "no database");
		all->wrong++;
		return;
	}
	for (int id = 1; id <= all->newest; id++) {
		json_t *rows;
		bool granted;

		if (store_ticket(c.store, id, &t) != 1) {
			wrong("broken", id);
			continue;
		}
		granted = ticket_gives_access(t.state) || t.state == TICKET_REVOKED || t.state == TICKET_ENDED;
		rows = store_list(c.store, LIST_APPROVALS, &(struct list_ask){ .id = id, .limit = 10 });
		if (granted != (json_array_size(rows) >= 2) || json_array_size(rows) > 2)
			wrong("a grant without its approvals, or more than it needs", id);
		if (all->revoked[id] && t.state != TICKET_REVOKED)
			wrong("revoked, and is not", id);
		json_decref(rows);
	}
	if (event_verify(c.store, 0, &report) != 0 || report.bad != 0)
		wrong("the chain of events does not fit", report.bad);
	store_close(c.store);
}

static void work(const char *dir, unsigned number)
{
	seed = seed * 7919 + number * 104729 + 1;
	log_init("grants", true, LOG_LVL_ERROR + 1);
	if (open_store(dir) != 0)
		_exit(1);
	while (all->left-- > 0)
		attempt();
	store_close(c.store);
	_exit(0);
}

int main(int argc, char *argv[])
{
	static const char *const names[] = { "asked", "approved", "denied", "revoked", "logged in" };
	long attempts = 5000;
	int processes = 8, opt, status, failed = 0;

	while ((opt = getopt(argc, argv, "n:p:s:")) != -1) {
		if (opt == 'n')
			attempts = atol(optarg);
		else if (opt == 'p')
			processes = atoi(optarg);
		else if (opt == 's')
			seed = (unsigned)atol(optarg);
		else
			return 2;
	}
	log_init("grants", true, LOG_LVL_ERROR + 1);
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (optind + 1 != argc || all == MAP_FAILED || make_world(argv[optind]) != 0)
		return 2;
	all->left = attempts;
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0)
			work(argv[optind], (unsigned)i);
		if (pid < 0)
			return 2;
	}
	while (wait(&status) > 0)
		failed += status != 0;
	look(argv[optind]);
	for (int i = 0; i < DID_KINDS; i++)
		printf("%s%ld of %ld %s", i > 0 ? ", " : "", (long)all->done[i], (long)all->tried[i], names[i]);
	printf("; %ld wrong\n", (long)all->wrong);
	return all->wrong == 0 && failed == 0 && all->done[DID_REVOKE] > 0 && all->done[DID_LOGIN] > 0 ? 0 : 1;
}
