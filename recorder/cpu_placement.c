/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/cpu_placement.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/xalloc.h"

/* Fields of /proc/PID/stat counted behind the parenthesised name: state is the first. */
#define FIELD_STATE	1
#define FIELD_PROCESSOR 37

/* Threads come and go; but when so many in a row can't be opened, none can. */
#define MAX_REFUSED 8

struct cpu_placement {
	int pid;
	int main_fd;  /* lent, or -1: then we open what we need ourselves */
	int stat_fd;  /* what we opened, of thread tid; -1 none */
	uint64_t tid; /* that was opened, or could not be */
	bool is_asked;
	unsigned n_refused; /* in a row */
	int avoided;	    /* the CPU left out of our affinity, -1 none */
	cpu_set_t allowed;
};

struct cpu_placement *cpu_placement_new(int pid, int stat_fd)
{
	struct cpu_placement *p = xcalloc(1, sizeof(*p));

	p->pid = pid;
	p->main_fd = stat_fd;
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

/* The descriptor to ask about thread tid, -1 when there is none. */
static int find_stat(struct cpu_placement *p, uint64_t tid)
{
	char path[64];

	if (p->main_fd >= 0)
		return p->main_fd;
	if (p->is_asked && p->tid == tid)
		return p->stat_fd;
	if (p->stat_fd >= 0)
		close(p->stat_fd);
	p->stat_fd = -1;
	if (p->pid <= 0 || p->n_refused >= MAX_REFUSED)
		return -1;
	if (tid)
		snprintf(path, sizeof(path), "/proc/%d/task/%llu/stat", p->pid,
			 (unsigned long long)tid);
	else
		snprintf(path, sizeof(path), "/proc/%d/stat", p->pid);
	p->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	p->tid = tid;
	p->is_asked = true;
	p->n_refused = p->stat_fd < 0 ? p->n_refused + 1 : 0;
	return p->stat_fd;
}

/* *ret_cpu is where it ran last. */
static enum cpu_placement_state read_stat(int fd, int *ret_cpu)
{
	char text[1024], *s;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return PLACEMENT_UNKNOWN;
	text[n] = '\0';
	s = strrchr(text, ')'); /* the name may hold anything */
	if (!s || s[1] != ' ')
		return PLACEMENT_UNKNOWN;
	s += 2;
	if (*s != 'R')
		return PLACEMENT_WAITING;
	for (int field = FIELD_STATE; field < FIELD_PROCESSOR; field++) {
		s = strchr(s, ' ');
		if (!s)
			return PLACEMENT_UNKNOWN;
		s++;
	}
	*ret_cpu = atoi(s);
	return PLACEMENT_RUNNING;
}

static void give_way(struct cpu_placement *p, int cpu)
{
	cpu_set_t set = p->allowed;

	if (cpu < 0 || cpu == p->avoided || cpu >= CPU_SETSIZE)
		return;
	CPU_CLR((size_t)cpu, &set);
	if (CPU_COUNT(&set) == 0 || sched_setaffinity(0, sizeof(set), &set) < 0)
		return;
	/* The main thread writes; it wakes up seldom, so it may follow later. */
	sched_setaffinity(getpid(), sizeof(set), &set);
	p->avoided = cpu;
}

enum cpu_placement_state cpu_placement_update(struct cpu_placement *p, uint64_t tid)
{
	enum cpu_placement_state state;
	int fd, cpu;

	if (CPU_COUNT(&p->allowed) < 2)
		return PLACEMENT_UNKNOWN;
	fd = find_stat(p, tid);
	if (fd < 0)
		return PLACEMENT_UNKNOWN;
	state = read_stat(fd, &cpu);
	if (state == PLACEMENT_RUNNING)
		give_way(p, cpu);
	return state;
}
