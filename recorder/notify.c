/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/text.h"

#define STATUS_SIZE 512

static int tell(const char *state)
{
	int r = sd_notify(0, state);

	return r > 0 ? 1 : r;
}

int notify_ready(void)
{
	return tell("READY=1");
}

int notify_reloading(void)
{
	char state[64];

	/* The time tells this reload from the ones before: Type=notify-reload asks for it. */
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 clock_monotonic_ns() / NS_PER_US);
	return tell(state);
}

int notify_stopping(void)
{
	return tell("STOPPING=1");
}

int notify_watchdog(void)
{
	return tell("WATCHDOG=1");
}

int notify_status(const char *fmt, ...)
{
	auto_free char *plain = NULL;
	char text[STATUS_SIZE], state[STATUS_SIZE + sizeof("STATUS=")];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A line's end would begin another assignment, and names of targets may be in the text. */
	plain = text_plain(text, strlen(text), TEXT_UTF8);
	snprintf(state, sizeof(state), "STATUS=%s", plain);
	return tell(state);
}

uint64_t notify_watchdog_interval_ns(void)
{
	uint64_t interval_us;

	return sd_watchdog_enabled(0, &interval_us) > 0 ? interval_us * NS_PER_US : 0;
}

/* The names are allocated one by one, and so is their array. */
static int find_passed(char **names, int n, const char *name)
{
	int found = -ENOENT;

	for (int i = 0; i < n; i++) {
		if (found < 0 && strcmp(names[i], name) == 0)
			found = SD_LISTEN_FDS_START + i;
		free(names[i]);
	}
	return found;
}

int notify_take_descriptor(const char *name)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(0, &names), fd, flags;

	if (n < 0)
		return n;
	fd = find_passed(names, n, name);
	free(names);
	if (fd < 0)
		return fd;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return fd;
}
