/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/log_capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char text[1 << 16];

void log_capture_begin(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
		perror("log_capture_begin");
		abort();
	}
	close(fd);
	setvbuf(stderr, NULL, _IONBF, 0);
}

const char *log_capture_text(void)
{
	ssize_t n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

unsigned log_capture_count(const char *part)
{
	unsigned n = 0;

	for (const char *at = log_capture_text(); (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}
