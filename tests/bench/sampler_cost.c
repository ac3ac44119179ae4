/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sampler_cost PID HZ SECONDS [idle]: run the sampler, and nothing else, on a process. Prints the
 * CPU that its thread took, in percent of a core, and the snapshots and changes of stacks per
 * second. With "idle" it looks less often at what waits, as the daemon does. With "wakes" it does,
 * too, and prints the time of each change in nanoseconds of the monotonic clock.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/sampler.h"
#include "tests/support/live.h"

struct run {
	struct sampler *sampler;
	struct ring *ring;
	atomic_bool stop, is_over;
	uint64_t cpu_ns;
	int result;
};

static void *sample(void *arg)
{
	struct run *run = arg;

	run->result = sampler_run(run->sampler, &run->stop);
	run->cpu_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
	atomic_store(&run->is_over, true);
	return NULL;
}

/* Returns how many stacks had changed. */
static uint64_t drain(struct run *run, bool print)
{
	const struct record_header *h;
	uint64_t n = 0;

	while ((h = ring_peek(run->ring))) {
		if (h->kind == RECORD_STACK) {
			n++;
			if (print)
				printf("%llu\n", (unsigned long long)h->time_ns);
		}
		ring_consume(run->ring);
	}
	return n;
}

int main(int argc, char **argv)
{
	struct sampler_config config = {.follow = FOLLOW_ALL, .stat_fd = -1};
	struct memory mem = {.fd = -1};
	uint64_t start_ns, end_ns, changes = 0;
	struct py_runtime py;
	struct run run = {0};
	char found[256];
	pthread_t thread;
	double seconds;
	bool print;

	if (argc < 4 || atof(argv[3]) <= 0) {
		fprintf(stderr, "usage: sampler_cost PID HZ SECONDS [idle|wakes]\n");
		return 2;
	}
	config.pid = atoi(argv[1]);
	config.rate_hz = atof(argv[2]);
	config.slows_when_idle = argc > 4;
	print = argc > 4 && strcmp(argv[4], "wakes") == 0;
	if (live_open(config.pid, &mem, &py, found, sizeof(found)) < 0) {
		fprintf(stderr, "sampler_cost: cannot read process %d: %s\n", config.pid, found);
		return 1;
	}
	run.ring = ring_new(1u << 22);
	run.sampler = sampler_new(&mem, &py, run.ring, &config, 1, 1);
	start_ns = clock_monotonic_ns();
	end_ns = start_ns + (uint64_t)(atof(argv[3]) * 1e9);
	if (pthread_create(&thread, NULL, sample, &run) != 0)
		return 1;
	while (clock_monotonic_ns() < end_ns && !atomic_load(&run.is_over)) {
		usleep(20000);
		changes += drain(&run, print);
	}
	atomic_store(&run.stop, true);
	pthread_join(thread, NULL);
	changes += drain(&run, print);
	seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
	if (!print)
		printf("%.3f %.1f %.1f\n", (double)run.cpu_ns / seconds / 1e7,
		       (double)sampler_get_progress(run.sampler)->snapshots / seconds,
		       (double)changes / seconds);
	sampler_free(run.sampler);
	ring_free(run.ring);
	memory_done(&mem);
	return run.result < 0;
}
