/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/wait_link.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "recorder/oncpu/native_files.h"
#include "recorder/oncpu/wait_source.h"
#include "recorder/target/mappings.h"

#define ASK_HEAD    offsetof(struct wait_ask, file_kind)
#define ANSWER_HEAD offsetof(struct wait_answer, facts)

union one_fd {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_bytes(int sock, const void *bytes, size_t len, int fd, int flags)
{
	union one_fd control = {0};
	/* sendmsg() does not write there. */
	union {
		const void *given;
		void *base;
	} p = {.given = bytes};
	struct iovec iov = {.iov_base = p.base, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Returns the number of bytes, or a negative errno. */
static ssize_t receive_bytes(int sock, void *buf, size_t size, int *ret_fd, int flags)
{
	union one_fd control;
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr m = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c;
	ssize_t n;

	*ret_fd = -1;
	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		close_p(ret_fd);
		*ret_fd = -1;
		return -EBADMSG;
	}
	return n;
}

/* --- the worker --- */

static int ask(int sock, const struct wait_ask *question, size_t len, struct wait_answer *ret)
{
	int r = send_bytes(sock, question, len, -1, 0);
	ssize_t n;

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	n = receive_bytes(sock, ret, offsetof(struct wait_answer, file), &ret->file, 0);
	if (n < 0)
		return (int)n;
	if ((size_t)n < ANSWER_HEAD || ret->len != (size_t)n - ANSWER_HEAD)
		return -EBADMSG;
	return ret->status;
}

int wait_link_thread(int sock, uint32_t tid, struct thread_facts *ret)
{
	struct wait_ask q = {.question = WAIT_ASK_THREAD, .tid = tid};
	struct wait_answer a;
	int r = ask(sock, &q, ASK_HEAD, &a);

	if (r == 0)
		*ret = a.facts.thread;
	return r;
}

int wait_link_fd(int sock, uint32_t tid, int fd, struct fd_facts *ret)
{
	struct wait_ask q = {.question = WAIT_ASK_FD, .tid = tid, .number = fd};
	struct wait_answer a;
	int r = ask(sock, &q, ASK_HEAD, &a);

	if (r == 0)
		*ret = a.facts.fd;
	return r;
}

int wait_link_child(int sock, int32_t pid, struct child_facts *ret)
{
	struct wait_ask q = {.question = WAIT_ASK_CHILD, .number = pid};
	struct wait_answer a;
	int r = ask(sock, &q, ASK_HEAD, &a);

	if (r == 0)
		*ret = a.facts.child;
	return r;
}

int wait_link_peer(int sock, const struct peer_question *peer, char ret[static WAIT_PEER_MAX])
{
	struct wait_ask q = {.question = WAIT_ASK_PEER, .peer = *peer};
	struct wait_answer a;
	int r = ask(sock, &q, ASK_HEAD, &a);

	if (r == 0) {
		memcpy(ret, a.facts.peer, WAIT_PEER_MAX);
		ret[WAIT_PEER_MAX - 1] = '\0';
	}
	return r;
}

int wait_link_sched(int sock, uint32_t target_tid, uint32_t *ret_tid)
{
	struct wait_ask q = {.question = WAIT_ASK_SCHED, .tid = target_tid};
	struct wait_answer a;
	int r = ask(sock, &q, ASK_HEAD, &a);

	if (r < 0)
		return r;
	*ret_tid = a.facts.tid;
	return a.file >= 0 ? a.file : -EBADMSG;
}

int wait_link_file(int sock, const struct native_file *file)
{
	struct wait_ask q = {
	    .question = WAIT_ASK_FILE,
	    .file_kind = file->kind,
	    .start = file->mapping->start,
	    .end = file->mapping->end,
	};
	struct wait_answer a;
	int r;

	if (file->build_id)
		q.build_id = *file->build_id;
	snprintf(q.path, sizeof(q.path), "%s", file->mapping->path ? file->mapping->path : "");
	snprintf(q.link, sizeof(q.link), "%s", file->link ? file->link : "");
	r = ask(sock, &q, sizeof(q), &a);
	if (r < 0)
		return r;
	return a.file >= 0 ? a.file : -EBADMSG;
}

/* --- the attacher --- */

int wait_link_receive(int sock, struct wait_ask *ret)
{
	ssize_t n;
	int fd;

	memset(ret, 0, sizeof(*ret));
	n = receive_bytes(sock, ret, sizeof(*ret), &fd, MSG_DONTWAIT);
	/* Nobody wants that. */
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return (int)n;
	if ((size_t)n != (ret->question == WAIT_ASK_FILE ? sizeof(*ret) : ASK_HEAD) ||
	    ret->question >= N_WAIT_QUESTIONS)
		return -EBADMSG;
	ret->path[sizeof(ret->path) - 1] = '\0';
	ret->link[sizeof(ret->link) - 1] = '\0';
	return 0;
}

static int open_file(const struct identity *id, const struct wait_ask *ask)
{
	/* native_file_open() does not write there. */
	char path[PATH_MAX];
	struct mapping mapping = {.start = ask->start, .end = ask->end, .path = path};
	struct native_file file = {
	    .kind = (enum native_file_kind)ask->file_kind,
	    .mapping = &mapping,
	    .build_id = &ask->build_id,
	    .link = ask->link,
	};

	memcpy(path, ask->path, sizeof(path));
	return native_file_open(id, &file);
}

void wait_link_answer(const struct identity *id, const struct socket_sources *sockets,
		      const struct wait_ask *ask, struct wait_answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->file = -1;
	switch (ask->question) {
	case WAIT_ASK_THREAD:
		ret->status = wait_source_read_thread(id, (pid_t)ask->tid, &ret->facts.thread);
		ret->len = sizeof(ret->facts.thread);
		break;
	case WAIT_ASK_FD:
		ret->status =
		    wait_source_read_fd(id, (pid_t)ask->tid, ask->number, sockets, &ret->facts.fd);
		/* The rest of a long field, the last one, is zeros. */
		ret->len = (uint32_t)(offsetof(struct fd_facts, info) + strlen(ret->facts.fd.info));
		break;
	case WAIT_ASK_CHILD:
		ret->status = wait_source_read_child(id, ask->number, &ret->facts.child);
		ret->len = sizeof(ret->facts.child);
		break;
	case WAIT_ASK_PEER:
		ret->status = -ENOENT;
		break;
	case WAIT_ASK_SCHED:
		ret->file = wait_source_open_sched(id, (pid_t)ask->tid, &ret->facts.tid);
		ret->status = ret->file < 0 ? ret->file : 0;
		ret->len = sizeof(ret->facts.tid);
		break;
	default:
		ret->file = open_file(id, ask);
		ret->status = ret->file < 0 ? ret->file : 0;
	}
	if (ret->status < 0)
		ret->len = 0;
}

int wait_link_reply(int sock, struct wait_answer *answer)
{
	int r = send_bytes(sock, answer, ANSWER_HEAD + answer->len, answer->file, MSG_DONTWAIT);

	if (answer->file >= 0)
		close(answer->file);
	answer->file = -1;
	return r;
}
