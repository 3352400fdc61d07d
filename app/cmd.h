/*
 * The commands of the program.  Each gets its own name as argv[0] and returns
 * the exit status: 0 done, 1 failed, 2 wrong usage or configuration.  Results
 * go to stdout, complaints to stderr.
 */
#ifndef CMD_H
#define CMD_H

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

typedef int command_function(int argc, char **argv);

struct command {
	const char *name;
	command_function *run;
	const char *usage; /* what follows the name */
	const char *meaning;
};

command_function cmd_serve;
command_function cmd_check;
command_function cmd_status;
command_function cmd_push;
command_function cmd_migrate;
command_function cmd_restore;
command_function cmd_verify;
command_function cmd_token;

/* Says on stderr how `name` is to be used; returns CMD_USAGE. */
int cmd_usage(const char *name);

#endif
