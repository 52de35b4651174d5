/*
 * words_shell.c - the completion scripts for bash and zsh, made of the table. See words.h. Runs in bastionctl.
 *
 * Both work alike. Words typed so far that are no options are matched against the paths; the next part of each path that goes on
 * from there is offered. On a whole path come its options, and for the place that is typed what may stand there: for each
 * path the script has a line of
 *     @KIND        for each argument by its place, in order
 *     --flag       --option@KIND
 * KIND is =a,b for choices, file, none, or one that `bastionctl names KIND` lists: those names are asked for when they are needed.
 */
#include "words.h"

#include <string.h>

#include "access.h"

static const char bash_head[] =
    "# bash completion for bastionctl(1), made by 'bastionctl completion bash'\n"
    "_bastionctl() {\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} sofar='' path='' opts='' option='' kind='' rest p i w n=0\n"
    "\tlocal words=(\"${COMP_WORDS[@]}\") at=$COMP_CWORD before=()\n"
    "\tCOMPREPLY=()\n"
    "\twhile [[ ${words[1]} == -[fS] && $at -gt 1 ]]; do\n"
    "\t\tif [[ $at -eq 2 ]]; then\n"
    "\t\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "\t\t\treturn\n"
    "\t\tfi\n"
    "\t\tbefore+=(\"${words[1]}\" \"${words[2]/#\\~/$HOME}\")\n"
    "\t\twords=(\"${words[0]}\" \"${words[@]:3}\")\n"
    "\t\tat=$((at - 2))\n"
    "\tdone\n"
    "\tfor ((i = 1; i < at; i++)); do\n"
    "\t\t[[ ${words[i]} == -* ]] && break\n"
    "\t\tsofar+=\"${words[i]} \"\n"
    "\tdone\n"
    "\tlocal -A table=(\n";

static const char bash_tail[] =
    "\t)\n"
    "\tfor p in \"${!table[@]}\"; do\n"
    "\t\tif [[ \"$p \" == \"$sofar\"* && \"$p \" != \"$sofar\" ]]; then\n"
    "\t\t\trest=${p:${#sofar}}\n"
    "\t\t\t[[ \" $opts \" == *\" ${rest%% *} \"* ]] || opts+=\" ${rest%% *}\"\n"
    "\t\telif [[ \"$sofar\" == \"$p \"* && ${#p} -gt ${#path} ]]; then\n"
    "\t\t\tpath=$p\n"
    "\t\tfi\n"
    "\tdone\n"
    "\tif [[ -n $path ]]; then\n"
    "\t\tset -- $path\n"
    "\t\tfor ((i = $# + 1; i < at; i++)); do\n"
    "\t\t\tw=${words[i]}\n"
    "\t\t\tif [[ $w != -* ]]; then\n"
    "\t\t\t\tn=$((n + 1))\n"
    "\t\t\telif [[ \" ${table[$path]} \" == *\" $w@\"* ]]; then\n"
    "\t\t\t\ti=$((i + 1))\n"
    "\t\t\t\t[[ $i -eq $at ]] && option=$w\n"
    "\t\t\tfi\n"
    "\t\tdone\n"
    "\t\tfor w in ${table[$path]}; do\n"
    "\t\t\tcase $w in\n"
    "\t\t\t-*)\n"
    "\t\t\t\topts+=\" ${w%%@*}\"\n"
    "\t\t\t\t[[ -n $option && ${w%%@*} == \"$option\" ]] && kind=${w#*@}\n"
    "\t\t\t\t;;\n"
    "\t\t\t@*)\n"
    "\t\t\t\t[[ -z $option && $n -eq 0 ]] && kind=${w#@}\n"
    "\t\t\t\tn=$((n - 1))\n"
    "\t\t\t\t;;\n"
    "\t\t\tesac\n"
    "\t\tdone\n"
    "\tfi\n"
    "\t[[ -n $option ]] && opts=''\n"
    "\tcase $cur$kind in\n"
    "\t-* | none) ;;\n"
    "\t*=*) opts+=\" ${kind//[=,]/ }\" ;;\n"
    "\t*file)\n"
    "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "\t\treturn\n"
    "\t\t;;\n"
    "\t*) [[ -n $kind && $kind != none ]] && opts+=\" $(\"${words[0]}\" \"${before[@]}\" names \"$kind\" 2>/dev/null)\" ;;\n"
    "\tesac\n"
    "\tCOMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
    "}\n"
    "complete -o filenames -F _bastionctl bastionctl\n";

static const char zsh_head[] =
    "#compdef bastionctl\n"
    "# zsh completion for bastionctl(1), made by 'bastionctl completion zsh'\n"
    "_bastionctl() {\n"
    "\tlocal sofar='' path_='' option='' kind='' p rest w\n"
    "\tlocal -i i n=0\n"
    "\tlocal -a opts parts before\n"
    "\twhile [[ $words[2] == -[fS] ]] && ((CURRENT > 2)); do\n"
    "\t\tif ((CURRENT == 3)); then\n"
    "\t\t\t_files\n"
    "\t\t\treturn\n"
    "\t\tfi\n"
    "\t\tbefore+=($words[2] ${~words[3]})\n"
    "\t\twords=($words[1] \"${(@)words[4,-1]}\")\n"
    "\t\t((CURRENT -= 2))\n"
    "\tdone\n"
    "\tfor w in ${words[2,CURRENT-1]}; do\n"
    "\t\t[[ $w == -* ]] && break\n"
    "\t\tsofar+=\"$w \"\n"
    "\tdone\n"
    "\tlocal -A table=(\n";

static const char zsh_tail[] =
    "\t)\n"
    "\tfor p in \"${(@k)table}\"; do\n"
    "\t\tif [[ \"$p \" == \"$sofar\"* && \"$p \" != \"$sofar\" ]]; then\n"
    "\t\t\trest=${p#\"$sofar\"}\n"
    "\t\t\topts+=(${rest%% *})\n"
    "\t\telif [[ \"$sofar\" == \"$p \"* && ${#p} -gt ${#path_} ]]; then\n"
    "\t\t\tpath_=$p\n"
    "\t\tfi\n"
    "\tdone\n"
    "\tif [[ -n $path_ ]]; then\n"
    "\t\tparts=(${=path_})\n"
    "\t\tfor ((i = ${#parts} + 2; i < CURRENT; i++)); do\n"
    "\t\t\tw=$words[i]\n"
    "\t\t\tif [[ $w != -* ]]; then\n"
    "\t\t\t\tn+=1\n"
    "\t\t\telif [[ \" ${table[$path_]} \" == *\" $w@\"* ]]; then\n"
    "\t\t\t\ti+=1\n"
    "\t\t\t\t((i == CURRENT)) && option=$w\n"
    "\t\t\tfi\n"
    "\t\tdone\n"
    "\t\tfor w in ${=table[$path_]}; do\n"
    "\t\t\tcase $w in\n"
    "\t\t\t-*)\n"
    "\t\t\t\topts+=(${w%%@*})\n"
    "\t\t\t\t[[ -n $option && ${w%%@*} == $option ]] && kind=${w#*@}\n"
    "\t\t\t\t;;\n"
    "\t\t\t@*)\n"
    "\t\t\t\t[[ -z $option && $n -eq 0 ]] && kind=${w#@}\n"
    "\t\t\t\tn=$((n - 1))\n"
    "\t\t\t\t;;\n"
    "\t\t\tesac\n"
    "\t\tdone\n"
    "\tfi\n"
    "\t[[ -n $option ]] && opts=()\n"
    "\tcase $kind in\n"
    "\t'' | none) ;;\n"
    "\t'='*) opts+=(${(s:,:)kind#=}) ;;\n"
    "\tfile) [[ $PREFIX != -* ]] && _files ;;\n"
    "\t*) [[ $PREFIX != -* ]] && opts+=($($words[1] $before names $kind 2>/dev/null)) ;;\n"
    "\tesac\n"
    "\tcompadd -- ${(u)opts}\n"
    "}\n"
    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
    "\t_bastionctl \"$@\"\n"
    "else\n"
    "\tcompdef _bastionctl bastionctl\n"
    "fi\n";

static void put(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

/* What a number stands for depends on the word. */
static const char *number_kind(const struct words_word *w)
{
	static const char *const kinds[][2] = { { "approve", "request" }, { "deny", "request" }, { "cancel", "request" },
		{ "revoke", "grant" }, { "extend", "grant" }, { "wait", "request" }, { "review", "review" }, { "kill", "session" },
		{ "watch", "session" }, { "accounts forget", "account" } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i][0], w->path) == 0)
			return kinds[i][1];
	return "none";
}

#define NAME(symbol, name, bit) name ","
static const char caps[] = "=" CAP_LIST(NAME);	/* the last comma is left out */

static void put_kind(struct buf *out, const struct words_word *w, const struct words_arg *arg)
{
	put(out, "@");
	switch (arg->type) {
	case ARG_USER: put(out, "user"); break;
	case ARG_ROLE: put(out, "role"); break;
	case ARG_HOST: put(out, strcmp(w->path, "host add") != 0 ? "host" : "none"); break;
	case ARG_PATTERN: put(out, "host"); break;
	case ARG_CAP: buf_put(out, caps, sizeof(caps) - 2); break;
	case ARG_PUBKEY: case ARG_HOSTKEY: case ARG_SIGNATURE: case ARG_FILE: put(out, "file"); break;
	case ARG_NUMBER: put(out, strcmp(arg->name, "id") == 0 ? number_kind(w) : "none"); break;
	case ARG_CHOICE:
		put(out, "=");
		for (const char *c = arg->choices; *c != '\0'; c++)
			buf_put_u8(out, *c == ' ' ? ',' : (uint8_t)*c);
		break;
	default: put(out, "none");
	}
	put(out, " ");
}

/* What may follow a whole path. */
static void put_options(struct buf *out, const struct words_word *w)
{
	for (size_t a = 0; a < w->nargs; a++) {
		const struct words_arg *arg = &w->args[a];

		if ((arg->how & ARG_POS) == 0) {
			put(out, "--");
			for (const char *c = arg->name; *c != '\0'; c++)
				buf_put_u8(out, *c == '_' ? '-' : (uint8_t)*c);
		}
		if (arg->type == ARG_FLAG)
			put(out, " ");
		else if (arg->type != ARG_KEYWORD)
			put_kind(out, w, arg);
	}
	put(out, w->plain ? "--help" : w->cols != NULL ? "--json --csv --help" : "--json --help");
}

int words_shell_completion(const char *shell, struct buf *out)
{
	const bool bash = strcmp(shell, "bash") == 0;

	if (!bash && strcmp(shell, "zsh") != 0)
		return -1;
	put(out, bash ? bash_head : zsh_head);
	for (size_t i = 0; i < words_count; i++) {
		const struct words_word *w = &words_table[i];

		if (w->where == AT_CONSOLE)
			continue;
		put(out, bash ? "\t\t['" : "\t\t'");
		put(out, w->path);
		put(out, bash ? "']='" : "' '");
		put_options(out, w);
		put(out, "'\n");
	}
	put(out, bash ? bash_tail : zsh_tail);
	return 0;
}
