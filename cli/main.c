/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec: finds the subcommand and hands over. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/log.h"

static const struct command *const commands[] = {
    &cmd_record,
    &cmd_info,
    &cmd_analyse,
    &cmd_export,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
	puts("Usage: trackexec COMMAND [OPTIONS] ...\n"
	     "\n"
	     "Record what a running Python program does, line by line, from outside: without\n"
	     "pausing or changing it. Then look where the time went.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n"
	     "Options:\n"
	     "  -h, --help     show this help; `trackexec COMMAND --help` has the details\n"
	     "  -V, --version  show the version\n"
	     "\n"
	     "Examples:\n"
	     "  trackexec record -- python3 app.py\n"
	     "  trackexec record --duration 10 --pid 4242\n"
	     "  trackexec analyse trackexec-app-4242");
}

#define NAME_MAX_LEN 16

/* Edits (insert, delete, replace) that make a of b, both at most NAME_MAX_LEN long. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

/* The command that was probably meant, or NULL. */
static const struct command *find_similar(const char *name)
{
	const struct command *best = NULL;
	size_t best_distance = 3, len = strlen(name);

	if (len == 0 || len > NAME_MAX_LEN)
		return NULL;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		size_t distance = edit_distance(name, commands[i]->name);

		if (strncmp(name, commands[i]->name, len) == 0)
			return commands[i];
		if (distance < best_distance) {
			best = commands[i];
			best_distance = distance;
		}
	}
	return best;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	const struct command *similar = find_similar(name);

	if (name[0] == '-')
		log_error("unknown option '%s'", name);
	else if (similar)
		log_error("unknown command '%s'; did you mean '%s'?", name, similar->name);
	else
		log_error("unknown command '%s'", name);
	fputs("Try `trackexec --help`.\n", stderr);
	return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		log_error("what shall be done? Give a command");
		fputs("Try `trackexec --help`.\n", stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		command = argc > 2 ? find_command(argv[2]) : NULL;
		if (command)
			fputs(command->help, stdout);
		else
			print_help();
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("trackexec " TRACKEXEC_VERSION);
		return EXIT_OK;
	}
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status;

	/* Only what characters the terminal shows: numbers keep their decimal point. */
	setlocale(LC_CTYPE, "");
	status = run(argc, argv);
	if (fflush(stdout) != 0 && status == EXIT_OK) {
		log_error("cannot write to standard output: %s", strerror(errno));
		status = EXIT_FAILED;
	}
	return status;
}
