/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libseccomp lives behind this file alone. To see what a new call is needed for, run the test
 * under `strace -f` and look for EPERM.
 */
#include "recorder/call_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

DEFINE_CLEANUP(scmp_filter_ctx, seccomp_release)

/* Whatever their arguments. Those that this architecture lacks are negative numbers. */
static const int allowed[] = {
    /* descriptors: a target's memory and files, the database, the socket, stderr */
    SCMP_SYS(pread64),
    SCMP_SYS(read),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(pwrite64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fsync),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(eventfd2),
    /* names; newfstatat is also what fstat() is made of */
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(access),
    SCMP_SYS(readlink),
    SCMP_SYS(unlink),
    SCMP_SYS(getcwd),
    /* memory */
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    /* threads and time */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* signals that come: abort(), and the kernel going on after one */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    /* about ourselves and the machine; sysinfo is for qsort(), uname for gethostname() */
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrandom),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
};

/* The C library then uses older ones, whose flags can be looked at (clone3's are in memory). */
static const int unknown[] = {SCMP_SYS(clone3), SCMP_SYS(faccessat2)};

/* Allowed where so many bits of each argument are so. More than one line of a call: either. */
struct argument {
	uint64_t mask, value;
	unsigned at;
};

#define ARGUMENTS_MAX 2

struct conditional {
	int call;
	unsigned n;
	struct argument arguments[ARGUMENTS_MAX];
};

/* An int: what is in the upper half of the register is undefined. */
#define INT_IS(at_, value_)                                                   \
	{                                                                     \
		.at = (at_), .mask = UINT32_MAX, .value = (uint32_t)(value_), \
	}
#define BITS_ARE(at_, mask_, value_)                                       \
	{                                                                  \
		.at = (at_), .mask = (uint64_t)(mask_), .value = (value_), \
	}

/* What pthread_create() may add to what makes it a thread and no process. */
#define THREAD_NEEDS (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
#define THREAD_MAY                                                                     \
	(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | \
	 CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED)

#define SET_ID_BITS (S_ISUID | S_ISGID)

static const struct conditional conditionals[] = {
    {SCMP_SYS(clone), 1, {BITS_ARE(0, ~(uint64_t)THREAD_MAY, THREAD_NEEDS)}},
    {SCMP_SYS(mmap), 1, {BITS_ARE(2, PROT_EXEC, 0)}},
    {SCMP_SYS(mprotect), 1, {BITS_ARE(2, PROT_EXEC, 0)}},
    /* A descriptor of a folder, got by mistake or by fraud, must not become a way out. */
    {SCMP_SYS(openat), 2, {INT_IS(0, AT_FDCWD), BITS_ARE(3, SET_ID_BITS, 0)}},
    {SCMP_SYS(unlinkat), 2, {INT_IS(0, AT_FDCWD), INT_IS(2, 0)}},
    {SCMP_SYS(faccessat), 1, {INT_IS(0, AT_FDCWD)}},
    {SCMP_SYS(readlinkat), 1, {INT_IS(0, AT_FDCWD)}},
    /* SQLite gives -wal and -shm the mode of the database. */
    {SCMP_SYS(fchmod), 1, {BITS_ARE(1, SET_ID_BITS, 0)}},
    {SCMP_SYS(fcntl), 1, {INT_IS(1, F_GETFD)}},
    {SCMP_SYS(fcntl), 1, {INT_IS(1, F_SETFD)}},
    {SCMP_SYS(fcntl), 1, {INT_IS(1, F_GETFL)}},
    {SCMP_SYS(fcntl), 1, {INT_IS(1, F_GETLK)}},
    {SCMP_SYS(fcntl), 1, {INT_IS(1, F_SETLK)}},
    {SCMP_SYS(fcntl), 1, {INT_IS(1, F_SETLKW)}},
    /* The alarm of a target's edges, on and off. */
    {SCMP_SYS(ioctl), 1, {INT_IS(1, PERF_EVENT_IOC_PAUSE_OUTPUT)}},
    {SCMP_SYS(prctl), 1, {INT_IS(0, PR_SET_NAME)}},
    {SCMP_SYS(prctl), 1, {INT_IS(0, PR_SET_TIMERSLACK)}},
    {SCMP_SYS(sched_setaffinity), 1, {INT_IS(0, 0)}},
};

static int add_conditional(scmp_filter_ctx ctx, const struct conditional *c)
{
	struct scmp_arg_cmp args[ARGUMENTS_MAX];

	for (unsigned i = 0; i < c->n; i++)
		args[i] = (struct scmp_arg_cmp){
		    .arg = c->arguments[i].at,
		    .op = SCMP_CMP_MASKED_EQ,
		    .datum_a = c->arguments[i].mask,
		    .datum_b = c->arguments[i].value,
		};
	return c->call < 0 ? 0 : seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, c->call, c->n, args);
}

static int add_calls(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (calls[i] >= 0)
			r = seccomp_rule_add_array(ctx, action, calls[i], 0, NULL);
	return r;
}

static int add_rules(scmp_filter_ctx ctx)
{
	/* The writer moves along when the sampler leaves the target's CPU. */
	const struct conditional own_affinity = {
	    SCMP_SYS(sched_setaffinity), 1, {INT_IS(0, getpid())}};
	int r;

	r = add_calls(ctx, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));
	if (r == 0)
		r = add_calls(ctx, SCMP_ACT_ERRNO(ENOSYS), unknown,
			      sizeof(unknown) / sizeof(unknown[0]));
	for (size_t i = 0; r == 0 && i < sizeof(conditionals) / sizeof(conditionals[0]); i++)
		r = add_conditional(ctx, &conditionals[i]);
	if (r == 0)
		r = add_conditional(ctx, &own_affinity);
	return r;
}

static int set_attributes(scmp_filter_ctx ctx)
{
	static const struct {
		enum scmp_filter_attr attribute;
		uint32_t value;
	} attributes[] = {
	    {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
	    {SCMP_FLTATR_CTL_TSYNC, 1}, /* all threads */
	    {SCMP_FLTATR_API_SYSRAWRC, 1},
	    /* A tree: kernels before 5.11 run the filter at each read of a target. */
	    {SCMP_FLTATR_CTL_OPTIMIZE, 2},
	    /*
	     * No protection against code in this process that speculates past stores, which
	     * kernels before 5.16 force on who has a filter: no foreign code runs here, and it
	     * makes sampling slow.
	     */
	    {SCMP_FLTATR_CTL_SSB, 1},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(attributes) / sizeof(attributes[0]); i++)
		r = seccomp_attr_set(ctx, attributes[i].attribute, attributes[i].value);
	return r;
}

int call_filter_install(void)
{
	auto_release(seccomp_release) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!ctx)
		return -ENOMEM;
	r = set_attributes(ctx);
	if (r == 0)
		r = add_rules(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	return r;
}
