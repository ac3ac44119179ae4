/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/budget.h"

/* Kept back for what the windows do not foresee: targets that wake up, the disk. */
#define USABLE 0.85
/* Whatever the daemon itself takes, this part of the budget is left to look. */
#define LEAST 0.25
/* Waking up and one look at a low rate, with all caches cold, before it is known. */
#define COST_GUESS_NS 100000.0
/* Of fewer looks it is mostly something else that costs. */
#define LOOKS_MIN 3
/* What is left of the budget, when more was spent than foreseen, is spread over so many seconds. */
#define LEFT_S 3
/* The last window counts so much in what a look costs. */
#define WEIGHT 0.3
/* A rate rises by no more than this from one window to the next; it falls at once. */
#define MAX_RISE 2.0
/* Of targets that rest, one in so many is expected to wake up before the next window ends. */
#define WAKING_PART 4
/* "As fast as it goes", as a number. */
#define UNLIMITED_HZ 1e6

static double asked_of(const struct budget_target *t)
{
	return t->rate_asked_hz > 0 ? t->rate_asked_hz : UNLIMITED_HZ;
}

static void update_cost(struct budget_target *t, uint64_t window_ns)
{
	double n_looks = t->reached_hz * (double)window_ns / 1e9, cost;

	if (n_looks < LOOKS_MIN)
		return;
	cost = (double)t->cpu_ns / n_looks;
	t->cost_ns = t->cost_ns > 0 ? t->cost_ns + WEIGHT * (cost - t->cost_ns) : cost;
}

static double cost_of(const struct budget_target *t)
{
	return t->cost_ns > 0 ? t->cost_ns : COST_GUESS_NS;
}

/* CPU that it would take at the rate that was asked for, in ns per second. */
static double demand_of(const struct budget_target *t)
{
	return asked_of(t) * cost_of(t);
}

/*
 * The part that each of those who want more may have, when all others get what they want: the
 * level up to which the budget fills them.
 */
static double fair_part(const struct budget_target *targets, size_t n, double usable, double n_more)
{
	double part = 0;

	/* Each turn satisfies at least one more, or ends. */
	for (size_t turn = 0; turn <= n; turn++) {
		double left = usable, wanting = n_more, next;

		for (size_t i = 0; i < n; i++) {
			if (targets[i].is_resting)
				continue;
			if (demand_of(&targets[i]) <= part)
				left -= demand_of(&targets[i]);
			else
				wanting++;
		}
		next = wanting > 0 ? left / wanting : left;
		if (next <= part)
			break;
		part = next;
	}
	return part;
}

static void set_rate(struct budget_target *t, double part)
{
	double rate = part / cost_of(t);

	if (t->rate_hz > 0 && rate > t->rate_hz * MAX_RISE)
		rate = t->rate_hz * MAX_RISE;
	if (rate > asked_of(t))
		rate = asked_of(t);
	if (rate < BUDGET_MIN_HZ)
		rate = BUDGET_MIN_HZ;
	t->rate_hz = rate;
}

/*
 * What may be used in the next second, in ns: less than usual after more than that was used, as
 * for starting workers.
 */
static double usable_of(double budget, uint64_t spent_ns)
{
	double left = (budget * BUDGET_SPAN_S - (double)spent_ns) / LEFT_S, usual = budget * USABLE;

	return left < usual ? left : usual;
}

void budget_share(struct budget_target *targets, size_t n, uint64_t window_ns, uint64_t own_ns,
		  uint64_t spent_ns, double percent)
{
	double budget = percent * 1e7, usable = usable_of(budget, spent_ns), part; /* ns per s */
	double per_second = 1e9 / (double)window_ns;
	size_t n_resting = 0, n_waking;

	usable -= (double)own_ns * per_second;
	for (size_t i = 0; i < n; i++) {
		update_cost(&targets[i], window_ns);
		if (!targets[i].is_resting)
			continue;
		n_resting++;
		usable -= (double)targets[i].cpu_ns * per_second;
	}
	if (usable < budget * LEAST)
		usable = budget * LEAST;
	n_waking = (n_resting + WAKING_PART - 1) / WAKING_PART;
	part = fair_part(targets, n, usable, (double)n_waking);
	for (size_t i = 0; i < n; i++)
		set_rate(&targets[i], part);
}

double budget_first_rate(double rate_asked_hz, size_t n, double percent)
{
	struct budget_target t = {.rate_asked_hz = rate_asked_hz};

	/* It mostly comes with others, and to begin costs more than to go on. */
	set_rate(&t, percent * 1e7 * USABLE / (double)(n + 3));
	return t.rate_hz;
}
