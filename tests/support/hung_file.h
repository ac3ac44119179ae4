/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a process that sleeps in the kernel with its memory map locked, as on a network file
 * system whose server is gone. Its command line can't be read meanwhile, nor can it be killed.
 */
#ifndef TESTS_SUPPORT_HUNG_FILE_H
#define TESTS_SUPPORT_HUNG_FILE_H

#include <sys/types.h>

struct hung_file {
	int folder; /* not mounted anywhere any more, so that nothing is left behind */
	int fuse_fd;
	int asked; /* readable once the first page was asked for */
	pid_t server, reader;
};

/* Returns 0, or a negative errno where this machine, or we, can't have one. */
int hung_file_start(struct hung_file *f);
/*
 * For a process that wants to hang: returns when the file is released, 0 or a negative errno.
 * The kernel maps the file once its first page is not being read any more.
 */
int hung_file_hang(const struct hung_file *f);
/* Ends all waiting. */
void hung_file_release(struct hung_file *f);

#endif
