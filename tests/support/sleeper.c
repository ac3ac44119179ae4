/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/sleeper.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/oncpu/native_files.h"
#include "recorder/target_files.h"

#define WAIT_NS (20 * NS_PER_S)

static int on_open(void *ctx, const struct native_file *file)
{
	return native_file_open(ctx, file);
}

int sleeper_open(pid_t pid, struct sleeper *ret)
{
	int mem, r;

	memset(ret, 0, sizeof(*ret));
	r = identity_open(pid, &ret->id);
	if (r < 0)
		return r;
	r = target_open_memory(&ret->id, &mem, &ret->maps_fd);
	if (r < 0) {
		identity_close(&ret->id);
		return r;
	}
	memory_init_fd(&ret->mem, mem);
	ret->unwinder = native_unwinder_new(&ret->mem, ret->maps_fd, on_open, &ret->id);
	return 0;
}

void sleeper_close(struct sleeper *s)
{
	native_unwinder_free(s->unwinder);
	memory_done(&s->mem);
	close(s->maps_fd);
	identity_close(&s->id);
}

static int read_line(pid_t pid, pid_t tid, char *line, int size)
{
	char path[64];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	ok = fgets(line, size, f);
	fclose(f);
	return ok ? 0 : -ESRCH;
}

static bool is_among(long call, const long *calls)
{
	if (!calls)
		return call >= 0;
	for (; *calls >= 0; calls++)
		if (*calls == call)
			return true;
	return false;
}

/* 230 0x1 0x0 0x7ffd5fa3a3d0 0x0 0x0 0x0 0x7ffd5fa3a388 0x7f5f9bf2b2b7 */
static bool parse_line(const char *line, const long *calls, uint64_t *ret_ip, uint64_t *ret_sp)
{
	unsigned long sp, ip;
	long call;

	if (sscanf(line, "%ld %*x %*x %*x %*x %*x %*x %lx %lx", &call, &sp, &ip) != 3)
		return false;
	*ret_ip = ip;
	*ret_sp = sp;
	return is_among(call, calls);
}

int sleeper_wait(const struct sleeper *s, pid_t tid, const long *calls, uint64_t *ret_ip,
		 uint64_t *ret_sp)
{
	uint64_t end_ns = clock_monotonic_ns() + WAIT_NS;
	char line[256], before[256] = "";
	int r;

	do {
		r = read_line(s->id.pid, tid ? tid : s->id.pid, line, sizeof(line));
		if (r < 0)
			return r;
		/* Still the same: it sleeps, and was not seen on its way there. */
		if (parse_line(line, calls, ret_ip, ret_sp) && strcmp(line, before) == 0)
			return 0;
		memcpy(before, line, sizeof(before));
		poll(NULL, 0, 20);
	} while (clock_monotonic_ns() < end_ns);
	return -ETIMEDOUT;
}

int sleeper_unwind(struct sleeper *s, pid_t tid, const long *calls)
{
	uint64_t ip, sp;
	int r;

	r = sleeper_wait(s, tid, calls, &ip, &sp);
	if (r < 0)
		return r;
	r = native_unwind(s->unwinder, ip, sp, s->frames, NATIVE_MAX_FRAMES, &s->n, &s->end);
	if (r < 0)
		return r;
	native_name(s->unwinder, s->frames, s->n);
	return 0;
}

char *sleeper_text(const struct sleeper *s)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		abort();
	for (size_t i = 0; i < s->n; i++)
		fprintf(f, "%2zu %s %s+0x%llx\n", i,
			s->frames[i].module ? s->frames[i].module : "-",
			s->frames[i].function ? s->frames[i].function : "?",
			(unsigned long long)s->frames[i].offset);
	fprintf(f, "%s\n", native_end_text(s->end));
	fclose(f);
	return text;
}
