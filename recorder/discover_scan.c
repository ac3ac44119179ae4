/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scan: the list of all processes, then their titles, in surveys one after the other, so that
 * one process that blocks costs no more than the survey it is in.
 */
#include "recorder/discover_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"

/* The kernel tells of a title that is set with the thread's name: who does not is seen later. */
#define SCANS_WITH_EVENTS 3u
/* Settled titles in every second scan. */
#define SETTLED_STRIDE 2
/* The list itself does not block; this is for a machine that stands still. */
#define LIST_DEADLINE_NS (10 * NS_PER_S)
#define RETRY_NS	 (50 * NS_PER_MS)
/* So many stuck looks, and only users who are followed are looked at. */
#define STUCK_SCARCE 12
/* Suspects with a verdict: so often in each scan, then in every so-manyth. */
#define CHECKS_AT_FIRST 5
#define CHECK_STRIDE	8

struct list_look {
	struct discover *d; /* not for the helper thread */
	struct proc_table list;
};

static int run_list(void *arg)
{
	struct list_look *look = arg;
	auto_close int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return proc_fd < 0 ? -errno : proc_list_read(proc_fd, &look->list);
}

static void discard_list(void *arg)
{
	struct list_look *look = arg;

	proc_table_done(&look->list);
	free(look);
}

bool discover_skips(struct discover *d, pid_t pid, uint64_t now_ns)
{
	const struct discover_callbacks *cb = d->callbacks;
	const struct suspect *s = d->n_stuck_suspects ? suspects_find(&d->suspects, pid) : NULL;
	struct process_uids uids;

	if (s && s->is_stuck && (s->n_stuck_looks > 0 || now_ns < s->retry_ns))
		return true;
	if (!cb->is_user_followed || look_pool_stuck(d->pool) < STUCK_SCARCE)
		return false;
	return process_uids_read(d->proc_fd, pid, &uids) < 0 ||
	       !cb->is_user_followed(d->ctx, uids.effective);
}

static bool skip_entry(void *ctx, const struct proc_entry *e)
{
	struct discover *d = ctx;

	return discover_skips(d, e->pid, d->scan_start_ns);
}

/* Children that were left alone may have run exec, and targets too. */
static bool wants_check(const struct discover *d, const struct suspect *s)
{
	if (s->has_failed)
		return true;
	if (s->verdict == VERDICT_NONE || s->step != SUSPECT_NO_STEP)
		return false;
	if (s->verdict == VERDICT_CHILD && s->n_checks < CHECKS_AT_FIRST)
		return true;
	return ((unsigned)s->pid + d->table.round) % CHECK_STRIDE == 0;
}

static void end_scan(struct discover *d)
{
	struct suspect *s, *next;

	d->is_scanning = false;
	d->counters.n_scans++;
	d->counters.n_processes = d->table.n;
	for (s = TAILQ_FIRST(&d->suspects.all); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		/* Those that came while it went on are not in its list. */
		if (discover_is_needless(s) ||
		    (s->since_ns < d->scan_start_ns && !proc_table_find(&d->table, s->pid)))
			discover_drop(d, s);
		else if (wants_check(d, s))
			discover_examine(d, s);
	}
}

static void continue_scan(struct discover *d)
{
	struct survey *survey = xmalloc(sizeof(*survey));
	size_t at = d->scan_at;

	d->is_scan_waiting = false;
	if (!proc_table_take(&d->table, &at, SETTLED_STRIDE, skip_entry, d, &survey->batch)) {
		free(survey);
		end_scan(d);
		return;
	}
	survey->d = d;
	survey->is_scan = true;
	if (discover_submit_survey(survey) < 0) {
		d->is_scan_waiting = true;
		free(survey);
		return;
	}
	d->scan_at = at;
}

void discover_scan_give_up(struct discover *d)
{
	d->is_scanning = false;
	d->is_scan_waiting = false;
}

void discover_scan_on_survey(struct discover *d, const struct survey *survey, uint32_t n_read,
			     bool is_late)
{
	const struct proc_batch *b = &survey->batch;

	proc_table_put(&d->table, b, n_read);
	for (uint32_t i = 0; i < n_read; i++) {
		const struct proc_title *t = &b->titles[i];
		pid_t pid = b->entries[i].pid;
		struct suspect *s = d->n_stuck_suspects ? suspects_find(&d->suspects, pid) : NULL;

		if (s)
			discover_unstuck(d, s);
		if (t->is_new)
			discover_on_title(d, pid, b->bytes + t->start, t->len, true);
	}
	if (n_read < b->n)
		d->scan_at = proc_table_seek(&d->table, b->entries[n_read].pid + is_late);
	continue_scan(d);
}

static void forget_titles(struct discover *d)
{
	d->is_rescan_wanted = false;
	for (size_t i = 0; i < d->table.n; i++) {
		d->table.entries[i].title_hash = 0;
		d->table.entries[i].n_same = 0;
	}
}

static void on_list(void *arg, int result)
{
	struct list_look *look = arg;
	struct discover *d = look->d;

	if (result < 0) {
		discover_scan_give_up(d);
		return;
	}
	proc_table_update(&d->table, &look->list);
	if (d->is_rescan_wanted)
		forget_titles(d);
	d->scan_at = 0;
	continue_scan(d);
}

static void begin_scan(struct discover *d, uint64_t now_ns)
{
	static const struct look_ops ops = {
	    .run = run_list, .done = on_list, .discard = discard_list};
	struct list_look *look = xcalloc(1, sizeof(*look));

	look->d = d;
	if (look_submit(d->pool, &ops, look, now_ns + LIST_DEADLINE_NS) < 0) {
		free(look);
		d->next_scan_ns = now_ns + RETRY_NS;
		return;
	}
	d->is_scanning = true;
	d->is_scan_waiting = false;
	d->scan_start_ns = now_ns;
	/* Where the kernel tells of processes, a scan only sees who gets a title late and unseen.
	 */
	d->next_scan_ns =
	    now_ns + (d->events_fd >= 0 ? SCANS_WITH_EVENTS : 1) * d->scan_interval_ns;
}

void discover_scan_pump(struct discover *d, uint64_t now_ns)
{
	if (d->is_scan_waiting)
		continue_scan(d);
	else if (!d->is_scanning && now_ns >= d->next_scan_ns)
		begin_scan(d, now_ns);
}

uint64_t discover_scan_due_ns(const struct discover *d)
{
	if (d->is_scan_waiting)
		return clock_monotonic_ns() + RETRY_NS;
	return d->is_scanning ? UINT64_MAX : d->next_scan_ns;
}
