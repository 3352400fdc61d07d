#include "cmd.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{ "serve", cmd_serve, "", "run" },
	{ "check", cmd_check, "[--store | --help]",
	  "configuration, directories, keys; --store: the store, with real requests" },
	{ "status", cmd_status, "[--json | --watch] [USER]",
	  "the running pool and its users, worst first; status 3 when one is failed or in "
	  "conflict" },
	{ "push", cmd_push, "[USER | --all] [--wait S]",
	  "what is not in the store yet, now; status 0 when all of it is" },
	{ "migrate", cmd_migrate, "[USER | --all]",
	  "bring databases to the version of HOLDFAST_MIGRATIONS, and push them" },
	{ "restore", cmd_restore, "USER -o FILE [--txid N | --at TIME] [--store URL]",
	  "a user's database from the store, the latest or an earlier state" },
	{ "verify", cmd_verify, "[USER | --all]",
	  "restore to a temporary file, compare every page with what is here" },
	{ "token", cmd_token, "USER [--ttl 1h] [--ro]", "a JWT for that user" },
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name)
{
	for (int i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

int cmd_usage(const char *name)
{
	const struct command *c = find(name);

	(void)fprintf(stderr, "usage: holdfast %s %s\n", name, c != NULL ? c->usage : "");
	return CMD_USAGE;
}

static void print_help(FILE *out)
{
	for (int i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = &commands[i];
		(void)fprintf(out, "%s holdfast %s %s\n\t\t%s\n", i == 0 ? "usage:" : "      ",
			      c->name, c->usage, c->meaning);
	}
	(void)fprintf(out, "Configured by the environment: see `holdfast check --help`.\n");
}

static bool asks_for_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return CMD_USAGE;
	}
	if (asks_for_help(argv[1])) {
		print_help(stdout);
		return CMD_OK;
	}
	const struct command *c = find(argv[1]);
	if (c == NULL) {
		(void)fprintf(stderr, "holdfast: no command '%s'; see `holdfast help`\n", argv[1]);
		return CMD_USAGE;
	}
	return c->run(argc - 1, argv + 1);
}
