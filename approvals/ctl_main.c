/*
 * ctl_main.c - bastionctl(1): the command words at the bastion itself.
 *
 * A word is parsed (words.c), sent to policy over the control socket (ctl_link.c), and its reply
 * shown (render.c). Who asks is what the kernel tells policy about the other end of the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"
#include "release.h"
#include "write_all.h"

static const char usage[] =
    "usage: bastionctl [-f CONFIGURATION] [-S SOCKET] WORD [ARGUMENT ...]\n"
    "'bastionctl help' lists the words; 'bastionctl help WORD' explains one.\n";

static void look_at_terminal(struct ctl *c)
{
	const char *term = getenv("TERM");
	struct winsize ws;

	if (!isatty(STDOUT_FILENO))
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
		c->show.columns = ws.ws_col;
	c->dumb = term != NULL && strcmp(term, "dumb") == 0;
	c->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	c->show.colour = getenv("NO_COLOR") == NULL && term != NULL && !c->dumb;
	c->terminal = isatty(STDIN_FILENO) != 0;
}

/* Words that show something on a terminal. */
static int check_terminal(const struct ctl *c, const struct words_call *call)
{
	if (strcmp(call->word->path, "watch") != 0)
		return WORDS_OK;
	if (c->terminal && !c->dumb)
		return WORDS_OK;
	ctl_fail(c->dumb ? "watch draws a screen, and TERM is dumb" : "watch needs a terminal at standard input and output");
	return WORDS_USAGE;
}

static int run(struct ctl *c, const struct words_call *call)
{
	struct buf reply;
	int r;

	if ((r = check_terminal(c, call)) != WORDS_OK)
		return r;
	if (call->word->where == AT_PARSER) {
		fputs(call->text, stdout);
		return ctl_flush();
	}
	c->show.word = call->word;
	c->show.json = call->as_json;
	c->show.csv = call->as_csv;
	if (call->word->where == AT_CTL)
		return ctl_local(c, call);
	buf_init(&reply, CTL_REPLY_MAX);
	if ((r = ctl_ask_all(c, call, &reply)) == WORDS_OK)
		r = strcmp(call->word->path, "watch") == 0 ? ctl_watch(c, &reply) : ctl_show(c, &reply);
	if (r == WORDS_OK && !call->as_json && strcmp(call->word->path, "user totp enrol") == 0)
		r = ctl_enrol(c, call, &reply);
	buf_finish(&reply);
	return r;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 } };
	struct ctl c = { .conf_path = release_bastiond_conf, .link = { .fd = -1 } };
	struct words_env env = { .who = geteuid() == 0 ? WHO_ROOT : WHO_APPROVER, .ctl = true,
	    .prefix = "bastionctl ", .read_file = ctl_read };
	struct words_call call;
	const char *socket = NULL;
	char err[WORDS_ERR_MAX];
	bool conf_given = false;
	int opt, r;

	if (hold_standard() != 0)
		return WORDS_BROKEN;
	signal(SIGPIPE, SIG_IGN);
	log_init("bastionctl", true, LOG_LVL_WARN);
	/* for the character set of the terminal alone */
	setlocale(LC_CTYPE, "");
	while ((opt = getopt_long(argc, argv, "+f:S:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'f':
			c.conf_path = optarg;
			conf_given = true;
			break;
		case 'S':
			socket = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return ctl_flush();
		case 'V':
			printf("bastionctl %s\n", release_version);
			return ctl_flush();
		default:
			fputs(usage, stderr);
			return WORDS_USAGE;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return WORDS_USAGE;
	}
	look_at_terminal(&c);
	env.columns = c.show.columns;
	r = words_parse(argc - optind, argv + optind, &env, &call, err, sizeof(err));
	if (r != WORDS_OK) {
		ctl_fail("%s", err);
		return r;
	}
	if (ctl_conf_read(&c, conf_given) != 0)
		r = WORDS_BROKEN;
	else if (socket != NULL)
		snprintf(c.socket, sizeof(c.socket), "%s", socket);
	else if ((size_t)snprintf(c.socket, sizeof(c.socket), "%s/control.sock", c.run_dir) >=
	    sizeof(c.socket))
		r = ctl_fail("run_dir of %s is too long", c.conf_path);
	if (r == WORDS_OK)
		r = run(&c, &call);
	words_call_finish(&call);
	ipc_finish(&c.link);
	return r;
}
