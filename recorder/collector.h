/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon: watches for the root folder and for targets, has a session for each, shares the CPU
 * budget and the disk among them, answers `trackexec status`.
 */
#ifndef RECORDER_COLLECTOR_H
#define RECORDER_COLLECTOR_H

struct collector_options {
	const char *const *config_folders; /* see config_files.h */
	/* Instead of what the configuration says; NULL: as it says. */
	const char *root;
	const char *user;
	const char *socket;
};

/* Runs until SIGTERM or SIGINT. Returns the process's exit status; reports by itself. */
int collector_run(const struct collector_options *options);

#endif
