/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keep the recorder off the CPU that a target's thread runs on, wherever it may run on another
 * one. Left alone, the scheduler puts a busy sampler and its busy target on one CPU for seconds,
 * and the target runs at half its speed; and a writer, which a busy sampler leaves no room beside
 * it, takes the target's CPU for the few percent that it needs.
 */
#ifndef RECORDER_CPU_PLACEMENT_H
#define RECORDER_CPU_PLACEMENT_H

#include <stdint.h>

struct cpu_placement;

/* Takes note of where the calling thread is allowed to run. It and the main thread give way. */
struct cpu_placement *cpu_placement_new(int pid);
void cpu_placement_free(struct cpu_placement *p);

/*
 * Look where thread tid of the process is running and give way if that is here. A few
 * microseconds; to be called some tens of times a second, always from the same thread.
 */
void cpu_placement_update(struct cpu_placement *p, uint64_t tid);

#endif
