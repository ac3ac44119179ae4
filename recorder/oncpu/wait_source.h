/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading what the kernel says of a waiting thread, for the half of the recorder that may: most of
 * it is shown to the privileged only, at each read. Bounded, and not interpreted beyond what is
 * needed to find it; none of it comes from the target's memory but a child's command line, which
 * is passed on as it is.
 *
 * Each of these can block for as long as the target likes (see recorder/look.h), so they are called
 * from helper threads; they touch no state but their arguments. What a thread waits for can have
 * changed since, so read its system call again afterwards and drop all of it when it differs.
 */
#ifndef RECORDER_ONCPU_WAIT_SOURCE_H
#define RECORDER_ONCPU_WAIT_SOURCE_H

#include <sys/types.h>

#include "recorder/oncpu/wait_facts.h"
#include "recorder/target/identity.h"

struct net_cache;
struct unix_diag;

/* What helps to tell what sockets are. */
struct socket_sources {
	struct net_cache *cache; /* of this target; NULL: each look at a TCP socket takes ms */
	struct unix_diag *diag;	 /* of all; NULL: other ends of Unix sockets are not known */
};

/*
 * The system call of a thread, to be read often: 2 us, where opening it takes 6 more. That it is
 * the same as a moment ago, with the same arguments, is all that most waits need to be told.
 * Returns a descriptor, the caller's; -ESRCH when the thread has ended, or another negative errno.
 */
int wait_source_open_syscall(const struct identity *id, pid_t tid);
/* Returns 0, -ESRCH, -EACCES, -EPERM or another negative errno. */
int wait_source_read_syscall(int fd, char buf[static WAIT_SYSCALL_MAX]);

/*
 * What a thread does in the kernel. Returns 0; -ESRCH when it has ended, -EACCES or -EPERM when
 * that may not be read, or another negative errno.
 */
int wait_source_read_thread(const struct identity *id, pid_t tid, struct thread_facts *ret);

/*
 * What one of its descriptors is. That a part can't be read is no error: it stays empty.
 * Returns 0; -EBADF when it has no such descriptor (any more), -ESRCH when the thread has ended,
 * -EACCES or -EPERM, or another negative errno.
 */
int wait_source_read_fd(const struct identity *id, pid_t tid, int fd,
			const struct socket_sources *sockets, struct fd_facts *ret);

/*
 * The scheduler's figures of a thread (see edges_coarse.h), for whoever has the descriptor.
 * @target_tid  as the target calls it, which in a container is not its number here
 * @ret_tid     its number here
 * Returns a descriptor, the caller's; -ESRCH when there is no such thread, or another negative
 * errno.
 */
int wait_source_open_sched(const struct identity *id, pid_t target_tid, uint32_t *ret_tid);

/*
 * A child that the target waits for.
 * @pid  as the target calls it, which in a container is not its number here
 * Returns 0; -ECHILD when the target has no such child (any more), or another negative errno.
 */
int wait_source_read_child(const struct identity *id, pid_t pid, struct child_facts *ret);

#endif
