/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/command.h"

#include <stdio.h>

int command_usage_error(const struct command *cmd)
{
	fprintf(stderr, "Try `trackexec %s --help`.\n", cmd->name);
	return EXIT_USAGE;
}
