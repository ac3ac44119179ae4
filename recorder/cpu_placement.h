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

enum cpu_placement_state {
	PLACEMENT_UNKNOWN, /* can't be asked, or there is only one CPU and so nothing to ask for */
	PLACEMENT_WAITING,
	PLACEMENT_RUNNING, /* on a CPU, or waiting for one */
};

/*
 * Takes note of where the calling thread is allowed to run. It and the main thread give way.
 * @pid      0: unknown
 * @stat_fd  of /proc/PID/stat, for where nothing can be opened: only this is read, and only the
 *           main thread followed. Lent, must outlive what is returned; -1: none
 */
struct cpu_placement *cpu_placement_new(int pid, int stat_fd);
void cpu_placement_free(struct cpu_placement *p);

/*
 * Look where thread tid (0: the main one) of the process is running and give way if that is here.
 * A few microseconds; to be called some tens of times a second, always from the same thread.
 * Returns what the thread that was asked for, or the main one, is doing.
 */
enum cpu_placement_state cpu_placement_update(struct cpu_placement *p, uint64_t tid);

#endif
