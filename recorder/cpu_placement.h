/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keep the calling thread off the CPU that a target's thread runs on, wherever it may run on
 * another one. Left alone, the scheduler puts a busy sampler and its busy target on one CPU for
 * seconds, and the target runs at half its speed.
 */
#ifndef RECORDER_CPU_PLACEMENT_H
#define RECORDER_CPU_PLACEMENT_H

#include <stdint.h>

struct cpu_placement;

/* Takes note of where the calling thread is allowed to run. */
struct cpu_placement *cpu_placement_new(int pid);
void cpu_placement_free(struct cpu_placement *p);

/*
 * Look where thread tid of the process is running and give way if that is here. A few
 * microseconds; to be called some tens of times a second from the thread that is to give way.
 */
void cpu_placement_update(struct cpu_placement *p, uint64_t tid);

#endif
