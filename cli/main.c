/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec: finds the subcommand and hands over. */
#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/log.h"
#include "common/similar.h"

static const struct command *const commands[] = {
    &cmd_record, &cmd_replay, &cmd_info,   &cmd_analyse, &cmd_report,
    &cmd_export, &cmd_list,   &cmd_status, &cmd_exact,	 &cmd_prune,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

#define KEPT_BYTES (16 << 20)

static void print_help(void)
{
	puts("Usage: trackexec COMMAND [OPTIONS] ...\n"
	     "\n"
	     "Record what a running Python program does, line by line, from outside: without\n"
	     "pausing or changing it. Then replay it like a debugger, or see where the time went.\n"
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
	     "  trackexec replay trackexec-app-4242\n"
	     "  trackexec analyse trackexec-app-4242");
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
	const char *names[N_COMMANDS], *similar;

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i]->name;
	similar = find_similar(name, names, N_COMMANDS);
	if (name[0] == '-')
		log_error("unknown option '%s'", name);
	else if (similar)
		log_error("unknown command '%s'; did you mean '%s'?", name, similar);
	else
		log_error("unknown command '%s'", name);
	fputs("Try `trackexec --help`.\n", stderr);
	return EXIT_USAGE;
}

/* Commands that are also programs, by the names that users of WALT know. */
static const struct {
	const char *program;
	const struct command *command;
} programs[] = {
    {"walt-server-trackexec-replay", &cmd_replay},
    {"walt-server-trackexec-analyse", &cmd_analyse},
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const struct command *find_program(const char *name)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(name, programs[i].program) == 0)
			return programs[i].command;
	}
	return NULL;
}

/* What reads frees much with each block that the next one takes again. */
static int start(const struct command *command, int argc, char **argv)
{
	if (command != &cmd_record) {
		mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
		mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	}
	/* What they print has an end: whoever leaves earlier is seen when writing. */
	if (command == &cmd_analyse || command == &cmd_report || command == &cmd_info ||
	    command == &cmd_list)
		signal(SIGPIPE, SIG_IGN);
	return command->run(argc, argv);
}

static int run(int argc, char **argv)
{
	const struct command *command = argc > 0 ? find_program(base_name(argv[0])) : NULL;

	if (command && argc > 1 && (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version"))) {
		printf("%s " TRACKEXEC_VERSION "\n", base_name(argv[0]));
		return EXIT_OK;
	}
	if (command)
		return start(command, argc, argv);
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
	return start(command, argc - 1, argv + 1);
}

static bool has_reader_left(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

/* Whoever reads it may have seen enough: that is no error, also where SIGPIPE is ignored. */
static int finish_output(void)
{
	int failed = fflush(stdout), error = errno;

	if (!failed && !ferror(stdout))
		return EXIT_OK;
	if ((failed && error == EPIPE) || has_reader_left())
		return EXIT_OK;
	log_error("cannot write to standard output: %s",
		  failed ? strerror(error) : "some of it was not taken");
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	int status;

	/* Only what characters the terminal shows: numbers keep their decimal point. */
	setlocale(LC_CTYPE, "");
	status = run(argc, argv);
	return status == EXIT_OK ? finish_output() : status;
}
