/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/cpu_placement.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/xalloc.h"

/* Fields of /proc/PID/stat counted behind the parenthesised name: state is the first. */
#define FIELD_STATE	1
#define FIELD_PROCESSOR 37

struct cpu_placement {
	int pid;
	uint64_t tid; /* of stat_fd */
	int stat_fd;
	int avoided; /* the CPU left out of our affinity, -1 none */
	cpu_set_t allowed;
};

struct cpu_placement *cpu_placement_new(int pid)
{
	struct cpu_placement *p = xcalloc(1, sizeof(*p));

	p->pid = pid;
	p->stat_fd = -1;
	p->avoided = -1;
	if (sched_getaffinity(0, sizeof(p->allowed), &p->allowed) < 0)
		CPU_ZERO(&p->allowed);
	return p;
}

void cpu_placement_free(struct cpu_placement *p)
{
	if (!p)
		return;
	if (p->stat_fd >= 0)
		close(p->stat_fd);
	/* Or who comes next would take note of what was left to us. */
	if (p->avoided >= 0)
		sched_setaffinity(getpid(), sizeof(p->allowed), &p->allowed);
	free(p);
}

/* The CPU that the thread is running on now, -1 when it does not run or can't be asked. */
static int running_on(const struct cpu_placement *p)
{
	char text[1024], *s;
	ssize_t n = pread(p->stat_fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return -1;
	text[n] = '\0';
	s = strrchr(text, ')'); /* the name may hold anything */
	if (!s || s[1] != ' ' || s[2] != 'R')
		return -1;
	s += 2;
	for (int field = FIELD_STATE; field < FIELD_PROCESSOR; field++) {
		s = strchr(s, ' ');
		if (!s)
			return -1;
		s++;
	}
	return atoi(s);
}

void cpu_placement_update(struct cpu_placement *p, uint64_t tid)
{
	cpu_set_t set;
	int cpu;

	if (CPU_COUNT(&p->allowed) < 2 || p->pid <= 0)
		return;
	if (p->stat_fd < 0 || p->tid != tid) {
		char path[64];

		if (p->stat_fd >= 0)
			close(p->stat_fd);
		if (tid)
			snprintf(path, sizeof(path), "/proc/%d/task/%llu/stat", p->pid,
				 (unsigned long long)tid);
		else
			snprintf(path, sizeof(path), "/proc/%d/stat", p->pid);
		p->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
		p->tid = tid;
	}
	cpu = p->stat_fd >= 0 ? running_on(p) : -1;
	if (cpu < 0 || cpu == p->avoided || cpu >= CPU_SETSIZE)
		return;
	set = p->allowed;
	CPU_CLR((size_t)cpu, &set);
	if (CPU_COUNT(&set) == 0 || sched_setaffinity(0, sizeof(set), &set) < 0)
		return;
	/* The main thread writes; it wakes up seldom, so it may follow later. */
	sched_setaffinity(getpid(), sizeof(set), &set);
	p->avoided = cpu;
}
