/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/own_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"

extern const char own_probe_place[];

/* As <sys/sdt.h> has it: in the file, and writable. */
static volatile uint16_t semaphore __attribute__((section(".probes"), used));

__attribute__((noinline)) void own_probe_reach(void)
{
	__asm__ volatile(".globl own_probe_place\nown_probe_place: nop" ::: "memory");
}

unsigned own_probe_semaphore(void)
{
	return semaphore;
}

uint64_t own_probe_ip(void)
{
	return (uint64_t)(uintptr_t)own_probe_place;
}

/* Where this is in the file; the mapping in which it is. */
static uint64_t find_offset(uint64_t address, uint64_t *ret_start, uint64_t *ret_end)
{
	auto_fclose FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end, offset;
	char line[4096];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) != 3 ||
		    address < start || address >= end)
			continue;
		*ret_start = start;
		*ret_end = end;
		return offset + (address - start);
	}
	abort();
}

struct line_request own_probe_request(void)
{
	struct line_request request = {.regs = 1, .n_probes = 1};
	uint64_t start, end;

	request.probes[0].semaphore = find_offset((uint64_t)(uintptr_t)&semaphore, &start, &end);
	request.probes[0].offset =
	    find_offset(own_probe_ip(), &request.map_start, &request.map_end);
	return request;
}

int own_probe_open(const struct line_request *request, struct line_events **ret)
{
	auto_identity struct identity id = IDENTITY_NONE;
	int r = identity_open(getpid(), &id);

	return r < 0 ? r : line_events_open(&id, request, ret);
}
