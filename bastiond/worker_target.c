/*
 * worker_target.c - one command at a registered host, on the bastion's own behalf: the stock ssh client, in a directory that nobody sees.
 *
 * Role target, a fork of parent. Before it: policy_task.c, which said where; it answers our TASK_KEY with what to do and what to log in
 * with. After it: TASK_DONE, and the end.
 *
 * Why ssh(1) and not libssh: hosts announce new host keys in a global request (hostkeys-00@openssh.com, PROTOCOL of OpenSSH), whose payload
 * libssh hides; the client asks the host to prove them and writes them to known_hosts, where they are read here. known_hosts has the
 * pinned keys before: what is there afterwards and was not before is a proposal to policy.
 *
 * The directory is a tmpfs in a mount namespace of this worker, over run_dir/empty: the key that is made here is in memory only, and
 * gone with the process, however that ends. Account, process namespace and /proc are a task's own, too (worker_space.h): the client is no
 * neighbour of the dial workers. A passwd of two lines lies over /etc/passwd, for a client that must know its own name.
 */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "drop.h"
#include "log.h"
#include "sandbox.h"
#include "target_files.h"
#include "worker.h"
#include "worker_program.h"
#include "worker_space.h"

#define SSH "/usr/bin/ssh"
#define PASSWD "/etc/passwd"
#define ADDRESSES_MAX 8
#define SAID_MAX 2048		/* of the command's standard error */
#define LOG_MAX 16384		/* of the client's own words */
#define FILE_BYTES_MAX (256UL << 10)
#define SSH_FAILED 255		/* exit status of the client for its own failures */
#define CERT_MAX 8000

struct job_run {
	const struct config *conf;
	const struct target_job *job;
	struct ipc *link;
	uint64_t end_ms;
	char alias[HOST_NAME_MAX_LEN + 1], login[LOGIN_MAX + 1], command[TASK_COMMAND_MAX + 1];
	char in[TASK_IN_MAX];
	size_t in_len;
	struct task_keys pinned, fresh, gone;
	struct task_key mark;		/* target_mark_make() */
	bool managed, announced;
	int agent, listener, client;	/* the lent key's socket; where the client comes for it, and it */
	enum task_end end;
	bool met;
	char out[TASK_OUT_MAX + 1], err[SAID_MAX + 1], log[LOG_MAX + 1];
	size_t out_len;
	uint32_t status;
	char line[TASK_LINE_MAX];
};

/* Root: a file system of our own over run_dir/empty, and names for uid 0 and ours. 0, or -1: what failed is in the line. */
static int make_directory(struct job_run *t, char dir[4200])
{
	const struct config_user *u = &t->conf->user_task;
	char options[96], passwd[4300];
	FILE *f;
	bool ok;

	snprintf(dir, 4200, "%s/empty", t->conf->run_dir);
	snprintf(options, sizeof(options), "size=1m,mode=0700,uid=%u,gid=%u", (unsigned)u->uid, (unsigned)u->gid);
	snprintf(passwd, sizeof(passwd), "%s/passwd", dir);
	if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0)
		return -1;
	if ((f = fopen(passwd, "we")) == NULL)
		return -1;
	fprintf(f, "root:x:0:0::/:/usr/sbin/nologin\nbastiond-task:x:%u:%u::%s:/usr/sbin/nologin\n", (unsigned)u->uid, (unsigned)u->gid, dir);
	ok = fchmod(fileno(f), 0644) == 0;
	return fclose(f) == 0 && ok && mount(passwd, PASSWD, NULL, MS_BIND, NULL) == 0 ? 0 : -1;
}

/* The addresses that we have on the way to that host, with commas: for the certificate's source-address. "" if that cannot be said. */
static void own_addresses(const struct target_job *job, char *out, size_t size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV };
	char port[8], text[NI_MAXHOST];
	struct addrinfo *found;
	unsigned n = 0;

	out[0] = '\0';
	snprintf(port, sizeof(port), "%u", job->port);
	if (getaddrinfo(job->host, port, &hints, &found) != 0)
		return; /* ssh will say it, too */
	for (const struct addrinfo *ai = found; ai != NULL && n < ADDRESSES_MAX; ai = ai->ai_next) {
		/* connecting this sends nothing: the kernel only looks for the route */
		const int fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		struct sockaddr_storage own;
		socklen_t len = sizeof(own);
		size_t have = strlen(out);

		if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
		    getnameinfo((const struct sockaddr *)&own, len, text, sizeof(text), NULL, 0, NI_NUMERICHOST) == 0) {
			text[strcspn(text, "%")] = '\0'; /* a certificate has no scopes */
			if (have + strlen(text) + 2 < size) {
				snprintf(out + have, size - have, "%s%s", n > 0 ? "," : "", text);
				n++;
			}
		}
		if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(found);
}

/* The mark is no pin: it goes with them into the file alone. */
static int write_hosts(struct job_run *t)
{
	static struct task_keys all;

	all = t->pinned;
	if (target_mark_make(&t->mark) == 0)
		all.v[all.n++] = t->mark;
	return target_hosts_write("known_hosts", t->alias, &all);
}

static int get_pins(struct buf *b, struct task_keys *keys)
{
	uint32_t n = buf_get_u32(b);

	keys->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		size_t len;
		const uint8_t *blob = buf_get_string(b, MSG_MAX, &len);

		if (blob == NULL)
			return -1;
		if (len > TASK_BLOB_MAX || keys->n == TASK_KEYS_MAX)
			continue;
		memcpy(keys->v[keys->n].blob, blob, len);
		keys->v[keys->n++].len = len;
	}
	return 0;
}

/* TASK_GO, and the files that it makes. 0, or -1. */
static int take_order(struct job_run *t, struct ipc_msg *m)
{
	size_t cert_len, managed_len, in_len;
	const uint8_t *cert, *managed, *in;

	buf_get_cstring(&m->body, t->alias, sizeof(t->alias));
	buf_get_cstring(&m->body, t->login, sizeof(t->login));
	buf_get_cstring(&m->body, t->command, sizeof(t->command));
	cert = buf_get_string(&m->body, CERT_MAX, &cert_len);
	managed = buf_get_string(&m->body, TASK_BLOB_MAX, &managed_len);
	if (get_pins(&m->body, &t->pinned) != 0)
		return -1;
	in = buf_get_string(&m->body, sizeof(t->in), &in_len);
	if (!buf_end(&m->body) || !name_is_host(t->alias) || !name_is_login(t->login) || t->command[0] == '\0' || (cert_len > 0) == (managed_len > 0) ||
	    m->nfds != (managed_len > 0 ? 1 : 0))
		return -1;
	if (in_len > 0)
		memcpy(t->in, in, in_len);
	t->in_len = in_len;
	t->agent = ipc_take_fd(m, 0);
	t->managed = managed_len > 0;
	if (write_hosts(t) != 0)
		return -1;
	if (!t->managed)
		return target_line_write("id-cert.pub", cert, cert_len);
	/* the client is to ask the agent for this key: it finds no private half of that name */
	if (unlink("id") != 0 || target_line_write("id.pub", managed, managed_len) != 0)
		return -1;
	return 0;
}

/* --- the lent key: the client connects to a path, keys serves a descriptor --- */

static int open_listener(struct job_run *t)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "agent" };

	t->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return t->listener >= 0 && bind(t->listener, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(t->listener, 1) == 0 ? 0 : -1;
}

static nfds_t watch_agent(void *arg, struct pollfd *v)
{
	const struct job_run *t = arg;

	v[0] = (struct pollfd){ .fd = t->client < 0 ? t->listener : t->client, .events = POLLIN };
	v[1] = (struct pollfd){ .fd = t->agent, .events = POLLIN };
	return 2;
}

/* Whole messages are small, and one is under way at a time: what does not go at once is an end. */
static bool carry(int from, int to)
{
	char bytes[8192];
	ssize_t n = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && send(to, bytes, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void serve_agent(void *arg, const struct pollfd *v, nfds_t n)
{
	struct job_run *t = arg;

	(void)n;
	if (v[0].revents != 0 && t->client < 0)
		t->client = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
	else if (v[0].revents != 0 && !carry(t->client, t->agent))
		shut(&t->client);
	if (v[1].revents != 0 && (t->client < 0 || !carry(t->agent, t->client))) {
		shut(&t->agent); /* keys lends no longer */
		shut(&t->client);
	}
}

/* --- the run --- */

static void run_client(struct job_run *t, struct program *r)
{
	char alias[HOST_NAME_MAX_LEN + 32], port[8], wait[48];
	char *const argv[] = { "ssh", "-F", "none", "-E", "log", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "LogLevel=VERBOSE",
		"-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=yes", "-o", "CheckHostIP=no", "-o", "HashKnownHosts=no",
		"-o", "UserKnownHostsFile=known_hosts", "-o", "GlobalKnownHostsFile=/dev/null", "-o", alias, "-o", "CanonicalizeHostname=no",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityFile=id", "-o", t->managed ? "IdentityAgent=agent" : "IdentityAgent=none",
		/* keys signs the plain form of the request alone */
		"-o", t->managed ? "PubkeyAuthentication=unbound" : "CertificateFile=id-cert.pub",
		"-o", "PreferredAuthentications=publickey", "-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no",
		"-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no", "-o", "ControlPath=none", "-o", "EscapeChar=none",
		"-o", "ConnectionAttempts=1", "-o", wait, "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=2",
		"-l", t->login, "-p", port, "--", (char *)(uintptr_t)t->job->host, t->command, NULL };
	char *const env[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };

	snprintf(alias, sizeof(alias), "HostKeyAlias=%s", t->alias);
	snprintf(port, sizeof(port), "%u", t->job->port);
	snprintf(wait, sizeof(wait), "ConnectTimeout=%u", t->conf->dial_timeout / 1000);
	*r = (struct program){ .path = SSH, .argv = argv, .env = env, .input = t->in, .len = t->in_len, .limit_ms = t->job->limit_ms,
		.end_ms = t->end_ms, .file_max = FILE_BYTES_MAX, .out = t->out, .out_max = TASK_OUT_MAX, .err = t->err, .err_max = SAID_MAX,
		.watch = t->managed ? watch_agent : NULL, .watched = serve_agent, .arg = t };
	program_run(r);
	t->out_len = r->taken;
}

/* The last line of a text, without the line end. */
static void last_line(const char *text, size_t len, char *out, size_t size)
{
	size_t start;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	for (start = len; start > 0 && text[start - 1] != '\n'; start--)
		;
	snprintf(out, size, "%.*s", (int)(len - start), text + start);
}

/* The client's own words, apart from the command's standard error. */
static void read_log(struct job_run *t)
{
	FILE *f = fopen("log", "re");
	size_t n = f != NULL ? fread(t->log, 1, LOG_MAX, f) : 0;

	t->log[n] = '\0';
	if (f != NULL)
		fclose(f);
}

/*
 * Success is exit status 0 and nothing else. What a failure is called rests on the client's words, in which a host has some (its reason to
 * disconnect, before it proved who it is): those are told apart (target_log_end).
 */
static void judge(struct job_run *t, const struct program *r)
{
	enum task_end end;

	read_log(t);
	end = target_log_end(t->log, t->login, t->job->host, &t->met);
	t->status = r->status >= 0 && WIFEXITED(r->status) ? (uint32_t)WEXITSTATUS(r->status) : SSH_FAILED;
	if (r->reason[0] != '\0' || (t->status == 127 && t->log[0] == '\0')) {
		t->end = TASK_FAILED;
		snprintf(t->line, sizeof(t->line), "%s", r->reason[0] != '\0' ? r->reason : "there is no " SSH ": install openssh-client");
		return;
	}
	if (r->status == 0) {
		t->end = TASK_OK;
		last_line(t->err, r->said, t->line, sizeof(t->line));
	} else if (t->met) {
		t->end = TASK_EXIT;
		last_line(t->err, r->said, t->line, sizeof(t->line));
	} else {
		last_line(t->log, strlen(t->log), t->line, sizeof(t->line));
		/* of a log that is cut off, nobody knows the last line */
		t->end = strlen(t->log) < LOG_MAX ? end : TASK_UNREACHABLE;
	}
}

static void look_at_keys(struct job_run *t)
{
	static struct task_keys after;

	if (!t->met || target_hosts_read("known_hosts", &after) != 0)
		return;
	t->announced = t->mark.len > 0 && !target_keys_drop(&after, &t->mark);
	target_keys_without(&after, &t->pinned, &t->fresh);
	target_keys_without(&t->pinned, &after, &t->gone);
}

static void put_keys(struct buf *b, const struct task_keys *keys)
{
	const size_t n = keys->n < TASK_KEYS_MAX ? keys->n : TASK_KEYS_MAX;

	buf_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		buf_put_string(b, keys->v[i].blob, keys->v[i].len);
}

static int report(const struct job_run *t)
{
	struct buf b;
	int r;

	buf_init(&b, MSG_MAX);
	buf_put_u8(&b, (uint8_t)t->end);
	buf_put_u32(&b, t->status);
	buf_put_u8(&b, t->met);
	buf_put_string(&b, t->out, t->out_len);
	buf_put_cstring(&b, t->line);
	buf_put_u8(&b, t->announced);
	put_keys(&b, &t->fresh);
	buf_put_u32(&b, t->fresh.more + (t->fresh.n > TASK_KEYS_MAX ? (uint32_t)(t->fresh.n - TASK_KEYS_MAX) : 0));
	put_keys(&b, &t->gone);
	r = ipc_send(t->link, MSG_TASK_DONE, 0, &b, NULL, 0);
	buf_finish(&b);
	return r;
}

static void fail(struct job_run *t, const char *what) __attribute__((noreturn));

static void fail(struct job_run *t, const char *what)
{
	t->end = TASK_FAILED;
	snprintf(t->line, sizeof(t->line), "%s", what);
	_exit(report(t) == 0 ? 0 : 1);
}

/* TASK_KEY, and what policy answers. */
static void get_order(struct job_run *t)
{
	char own[1024];
	struct buf key, b;
	struct ipc_msg m;
	uint64_t now;
	int r;

	buf_init(&key, TASK_BLOB_MAX);
	buf_init(&b, 2048);
	if (target_key_write("id", &key) != 0)
		fail(t, "no key could be made");
	own_addresses(t->job, own, sizeof(own));
	buf_put_string(&b, key.data, key.len);
	buf_put_cstring(&b, own);
	if (ipc_send(t->link, MSG_TASK_KEY, 0, &b, NULL, 0) != 0)
		_exit(1);
	buf_finish(&b);
	buf_finish(&key);
	now = clock_mono_ms();
	if (now >= t->end_ms || ipc_wait(t->link, &m, (int)(t->end_ms - now)) != 1)
		_exit(1); /* policy has no use for it any more, or is gone */
	r = m.type == MSG_TASK_GO ? take_order(t, &m) : -1;
	ipc_msg_finish(&m);
	if (r != 0 || (t->managed && open_listener(t) != 0))
		fail(t, "the files for ssh could not be written");
}

void worker_target(const struct config *conf, struct ipc *link, const struct target_job *job)
{
	const struct itimerval late = { .it_value = { .tv_sec = job->limit_ms / 1000 + 3 } };
	static struct job_run t;
	struct program run;
	char dir[4200];

	t = (struct job_run){ .conf = conf, .job = job, .link = link, .end_ms = clock_mono_ms() + job->limit_ms, .agent = -1, .listener = -1, .client = -1 };
	signal(SIGPIPE, SIG_IGN);
	setitimer(ITIMER_REAL, &late, NULL);
	if (worker_space(conf, ROLE_TARGET) != 0 || make_directory(&t, dir) != 0) {
		log_error("no directory for a task at a host: %s", strerror(errno));
		fail(&t, "no mount and process namespace for it: tasks at hosts need them (CAP_SYS_ADMIN)");
	}
	if (drop_to(conf, ROLE_TARGET) != 0 || sandbox_enter(conf, ROLE_TARGET) != 0 || chdir(dir) != 0)
		_exit(1);
	get_order(&t);
	run_client(&t, &run);
	judge(&t, &run);
	look_at_keys(&t);
	_exit(report(&t) == 0 ? 0 : 1);
}
