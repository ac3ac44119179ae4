/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The traces of a run lie side by side, and their times are of one clock. What a trace says of its
 * own waits, and the names in it, is as little to be trusted as the trace itself: a name must be
 * one that a trace's folder can have, no trace comes twice in a chain, and of each only so many
 * blocks are looked at.
 */
#include "reader/wait_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "reader/chain_activity.h"

/* Other traces that are kept open: each takes descriptors. */
#define MAX_PEERS 64
/* The wall clock as two traces of one boot know it may differ by what it was set in a minute. */
#define MAX_CLOCK_DIFFERENCE_NS (10 * NS_PER_S)

struct peer {
	char *name;
	struct trace *trace; /* NULL: error */
	int error;
	bool has_edges;
};

struct wait_chains {
	struct trace *trace;
	char *run_path; /* NULL: not known */
	char *name;	/* of the trace's own folder */
	struct peer *peers[MAX_PEERS];
	size_t n_peers;
};

/* RUN/NAME/trace.db; of a trace that lies elsewhere the folder is as good as that of a run. */
struct wait_chains *wait_chains_new(struct trace *trace)
{
	struct wait_chains *c = xcalloc(1, sizeof(*c));
	auto_free char *path = realpath(trace_path(trace), NULL);
	char *slash = path ? strrchr(path, '/') : NULL;

	c->trace = trace;
	if (!slash || slash == path)
		return c;
	*slash = 0;
	slash = strrchr(path, '/');
	c->name = xstrdup(slash + 1);
	slash[slash == path] = 0;
	c->run_path = xstrdup(path);
	return c;
}

void wait_chains_free(struct wait_chains *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_peers; i++) {
		if (c->peers[i]->trace)
			trace_close(c->peers[i]->trace);
		free(c->peers[i]->name);
		free(c->peers[i]);
	}
	free(c->run_path);
	free(c->name);
	free(c);
}

/* --- other traces --- */

/* Whether the folder and the database in it are what they seem. Returns 0 or a negative errno. */
static int check_folder(const char *run_path, const char *name)
{
	auto_close int run_fd = open(run_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int fd = -1;
	struct stat st;

	if (run_fd < 0)
		return -errno;
	fd = folder_open(run_fd, name);
	if (fd < 0)
		return fd;
	if (fstatat(fd, TRACE_FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? 0 : -EBADMSG;
}

static int open_peer(const struct wait_chains *c, const char *name, struct trace **ret)
{
	auto_free char *path = NULL;
	char why[512] = "";
	int r;

	if (!folder_name_is_trace(name))
		return -EINVAL;
	if (!c->run_path)
		return -ENOENT;
	r = check_folder(c->run_path, name);
	if (r < 0)
		return r;
	path = xasprintf("%s/%s", c->run_path, name);
	return trace_open(path, ret, why, sizeof(why));
}

/* NULL when there are too many. */
static const struct peer *get_peer(struct wait_chains *c, const char *name)
{
	struct peer *p;

	for (size_t i = 0; i < c->n_peers; i++) {
		if (strcmp(c->peers[i]->name, name) == 0)
			return c->peers[i];
	}
	if (c->n_peers == MAX_PEERS)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->name = xstrdup(name);
	p->error = open_peer(c, name, &p->trace);
	if (p->trace)
		p->has_edges = trace_has_edges(p->trace) == 1;
	c->peers[c->n_peers++] = p;
	return p;
}

/* As far as the two tell: by the machine's name, and how their clocks stand to wall time. */
static bool is_same_boot(struct trace *a, struct trace *b, uint64_t time_ns)
{
	auto_free char *host_a = NULL, *host_b = NULL;
	int64_t real_a, real_b;

	if (trace_meta_text(a, META_HOST, &host_a) == 0 &&
	    trace_meta_text(b, META_HOST, &host_b) == 0 && strcmp(host_a, host_b) != 0)
		return false;
	if (trace_realtime(a, time_ns, &real_a) < 0 || trace_realtime(b, time_ns, &real_b) < 0)
		return true;
	return (real_a > real_b ? (uint64_t)real_a - (uint64_t)real_b
				: (uint64_t)real_b - (uint64_t)real_a) <= MAX_CLOCK_DIFFERENCE_NS;
}

/* --- steps --- */

static bool is_repeated(const struct wait_chains *c, const struct chain_step *steps, size_t n,
			const char *name)
{
	if (c->name && strcmp(c->name, name) == 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(steps[i].name, name) == 0)
			return true;
	}
	return false;
}

static enum chain_state state_of(const struct chain_activity *did, bool has_edges)
{
	if (did->ns == 0)
		return CHAIN_NOTHING;
	if (!did->is_wait)
		return has_edges ? CHAIN_RUNNING : CHAIN_ON_LINE;
	if (did->kind.state == WAIT_FOR_CPU)
		return CHAIN_READY;
	return did->kind.idle ? CHAIN_IDLE : CHAIN_WAITING;
}

/*
 * What a trace did while it was waited for.
 * @step  in: its name and the time; out: all
 * @ret_next  the wait to go on with, when it is one
 */
static void take_step(struct wait_chains *c, const struct peer *peer, struct chain_step *step,
		      struct chain_activity *ret_next)
{
	if (!peer || !peer->trace) {
		step->state = CHAIN_NO_TRACE;
		step->error = peer ? peer->error : -EMFILE;
		return;
	}
	step->name = peer->name;
	if (!is_same_boot(c->trace, peer->trace, step->start_ns)) {
		step->state = CHAIN_FOREIGN;
		return;
	}
	chain_activity_find(peer->trace, step->start_ns, step->end_ns, ret_next);
	step->state = state_of(ret_next, peer->has_edges);
	step->trace = step->state == CHAIN_NOTHING ? NULL : peer->trace;
	step->kind = ret_next->kind;
	step->ns = ret_next->ns;
	step->idle_ns = ret_next->idle_ns;
	step->is_partial = ret_next->is_partial;
}

static const char *peer_of(struct trace *t, const struct wait_kind *kind)
{
	const struct trace_reason *reason = trace_get_reason(t, kind->reason);

	return kind->state != WAIT_FOR_CPU && reason && *reason->peer ? reason->peer : NULL;
}

size_t wait_chains_follow(struct wait_chains *c, const struct trace_wait *wait,
			  struct chain_step ret[static CHAIN_MAX_STEPS])
{
	const char *name = peer_of(c->trace, &wait->kind);
	uint64_t start_ns = wait->longest_start_ns, end_ns = start_ns + wait->longest_ns;
	size_t n = 0;

	while (name && n < CHAIN_MAX_STEPS && end_ns > start_ns && end_ns <= INT64_MAX) {
		struct chain_step *step = &ret[n];
		struct chain_activity did = {0};

		*step = (struct chain_step){.name = name, .start_ns = start_ns, .end_ns = end_ns};
		if (is_repeated(c, ret, n, name))
			step->state = CHAIN_REPEATED;
		else
			take_step(c, get_peer(c, name), step, &did);
		n++;
		if (step->state != CHAIN_WAITING)
			break;
		name = peer_of(step->trace, &step->kind);
		start_ns = did.longest_start_ns;
		end_ns = did.longest_end_ns;
	}
	return n;
}
