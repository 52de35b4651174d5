/*
 * replay_main.c - bastion-replay's main function.
 */
#include "release.h"
#include "replay.h"
#include "replay_term.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

#include "write_all.h"

int main(int argc, char **argv)
{
	struct args a;
	int status;
	bool failed;

	if (hold_standard() != 0)
		return EXIT_UNREADABLE;
	/* for the character set of the terminal alone: everything that is printed is spelt in C */
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	if (args_parse(&a, argc, argv) != 0)
		return EXIT_USAGE;
	status = EXIT_OK;
	if (a.version)
		printf("bastion-replay %s\n", release_version);
	else if (a.help)
		args_help(stdout, a.command);
	else
		status = a.command->run(&a);
	failed = fflush(stdout) != 0 || ferror(stdout);
	/* who leaves the pager before the end has seen enough; a verdict stays one */
	if (pager_end())
		return failed && status == EXIT_UNREADABLE ? EXIT_OK : status;
	if (failed) {
		fprintf(stderr, "bastion-replay: standard output: %s\n", strerror(errno));
		return EXIT_UNREADABLE;
	}
	return status;
}
