/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker asks why a thread waits, the attacher reads what only it may: over a SOCK_SEQPACKET
 * pair of their own, so that neither the trace nor the life of the target has to wait for that.
 * One question at a time; each gets an answer.
 */
#ifndef RECORDER_ONCPU_WAIT_LINK_H
#define RECORDER_ONCPU_WAIT_LINK_H

#include <limits.h>
#include <stdint.h>

#include "recorder/oncpu/native_symbols.h"
#include "recorder/oncpu/peer_question.h"
#include "recorder/oncpu/wait_facts.h"
#include "recorder/target/elf_image.h"
#include "recorder/target/identity.h"

struct socket_sources;

enum wait_question {
	WAIT_ASK_THREAD, /* tid: what it does in the kernel */
	WAIT_ASK_FD,	 /* tid; number: what that descriptor is */
	WAIT_ASK_CHILD,	 /* number: pid of a child */
	WAIT_ASK_PEER,	 /* peer: which other target is at the other end */
	WAIT_ASK_FILE,	 /* a file with symbols */
	WAIT_ASK_SCHED,	 /* tid, as the target knows it: its scheduler's figures */
	N_WAIT_QUESTIONS
};

#define WAIT_PEER_MAX 80

struct wait_ask {
	uint32_t question; /* enum wait_question */
	uint32_t tid;
	int32_t number;
	struct peer_question peer;
	/* Only sent with WAIT_ASK_FILE, see struct native_file. */
	uint32_t file_kind;
	uint64_t start, end;
	struct elf_build_id build_id;
	char path[PATH_MAX];
	char link[NAME_MAX + 1];
};

struct wait_answer {
	int32_t status; /* 0 or a negative errno; then nothing else is sent */
	uint32_t len;	/* bytes of the facts that are sent */
	union {
		struct thread_facts thread;
		struct child_facts child;
		char peer[WAIT_PEER_MAX]; /* name of its trace */
		uint32_t tid;
		struct fd_facts fd;
	} facts;
	int file; /* travels beside the bytes; -1: none */
};

/* --- the worker's side; sock: its end. All return 0 or a negative errno --- */

/* -EPIPE: the other side is gone. */
int wait_link_thread(int sock, uint32_t tid, struct thread_facts *ret);
int wait_link_fd(int sock, uint32_t tid, int fd, struct fd_facts *ret);
int wait_link_child(int sock, int32_t pid, struct child_facts *ret);
/* -ENOENT: none, or that can't be told. */
int wait_link_peer(int sock, const struct peer_question *peer, char ret[static WAIT_PEER_MAX]);
/*
 * The figures of the thread that the target knows by this number, see edges_coarse.h.
 * Returns a descriptor.
 */
int wait_link_sched(int sock, uint32_t target_tid, uint32_t *ret_tid);
/* Returns a descriptor. */
int wait_link_file(int sock, const struct native_file *file);

/* --- the attacher's --- */

/* Does not wait. Returns 0, -EAGAIN, -EPIPE, or -EBADMSG for what is no question. */
int wait_link_receive(int sock, struct wait_ask *ret);
/*
 * Find the answer, to all but WAIT_ASK_PEER: then it is -ENOENT. Can block for as long as the
 * target likes (see recorder/look.h).
 * @sockets  see wait_source.h
 */
void wait_link_answer(const struct identity *id, const struct socket_sources *sockets,
		      const struct wait_ask *ask, struct wait_answer *ret);
/* Send it, and close its descriptor. Does not wait. Returns 0 or a negative errno. */
int wait_link_reply(int sock, struct wait_answer *answer);

#endif
