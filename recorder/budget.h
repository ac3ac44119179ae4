/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sharing the CPU that the collector may use among its targets: how often each may be looked at, by
 * what it cost lately. No I/O, no clock.
 */
#ifndef RECORDER_BUDGET_H
#define RECORDER_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nobody is looked at less often than this while something happens in it. */
#define BUDGET_MIN_HZ 10

/* The budget is to hold over every so many seconds. */
#define BUDGET_SPAN_S 10

struct budget_target {
	double rate_asked_hz; /* 0: as fast as it goes */
	double reached_hz;    /* looks per second in the window; 0: not known */
	uint64_t cpu_ns;      /* that its worker used in the window */
	bool is_resting;      /* nothing happens in it: looks are rarer, but it may wake up */
	double cost_ns;	      /* of one look, as known so far; 0: not known yet. Kept up to date. */
	double rate_hz;	      /* allowed; kept up to date */
};

/*
 * @window_ns   that cpu_ns and own_ns are of
 * @own_ns      CPU that the daemon itself used
 * @spent_ns    CPU that all used in the last BUDGET_SPAN_S - 1 seconds, the window included
 * @percent     the budget, of one core
 */
void budget_share(struct budget_target *targets, size_t n, uint64_t window_ns, uint64_t own_ns,
		  uint64_t spent_ns, double percent);

/* For one that nothing is known of yet, when there are n of them with it. */
double budget_first_rate(double rate_asked_hz, size_t n, double percent);

#endif
