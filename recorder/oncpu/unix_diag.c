/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/unix_diag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/xalloc.h"

/* Answers to requests whose answer was not waited for, at most. */
#define MAX_STALE 8

struct unix_diag {
	int fd;
	pthread_mutex_t lock; /* held from a request to its answer */
	uint32_t sequence;
};

struct request {
	struct nlmsghdr header;
	struct unix_diag_req diag;
};

struct answer {
	uint32_t inode, peer_inode;
	uint8_t type, state;
	struct unix_name name;
};

static int send_request(const struct unix_diag *diag, uint32_t inode)
{
	struct request r = {
	    .header =
		{
		    .nlmsg_len = sizeof(r),
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST,
		    .nlmsg_seq = diag->sequence,
		},
	    .diag =
		{
		    .sdiag_family = AF_UNIX,
		    .udiag_states = UINT32_MAX,
		    .udiag_ino = inode,
		    .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER,
		    .udiag_cookie = {UINT32_MAX, UINT32_MAX}, /* INET_DIAG_NOCOOKIE */
		},
	};

	return send(diag->fd, &r, sizeof(r), MSG_DONTWAIT) == (ssize_t)sizeof(r) ? 0 : -errno;
}

static void take_attribute(const struct rtattr *attr, const char *payload, size_t len,
			   struct answer *a)
{
	if (attr->rta_type == UNIX_DIAG_PEER && len >= sizeof(a->peer_inode)) {
		memcpy(&a->peer_inode, payload, sizeof(a->peer_inode));
	} else if (attr->rta_type == UNIX_DIAG_NAME) {
		if (len > sizeof(a->name.bytes))
			len = sizeof(a->name.bytes);
		memcpy(a->name.bytes, payload, len);
		a->name.len = (uint8_t)len;
	}
}

/* RTA_NEXT() and its like mix signs. */
static void take_attributes(const char *at, size_t len, struct answer *a)
{
	while (len >= sizeof(struct rtattr)) {
		struct rtattr attr;
		size_t next;

		memcpy(&attr, at, sizeof(attr));
		if (attr.rta_len < sizeof(attr) || attr.rta_len > len)
			return;
		take_attribute(&attr, at + sizeof(attr), attr.rta_len - sizeof(attr), a);
		next = RTA_ALIGN((size_t)attr.rta_len);
		if (next > len)
			return;
		at += next;
		len -= next;
	}
}

static int parse_answer(struct nlmsghdr *header, size_t len, struct answer *ret)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(header);
	const struct nlmsgerr *error = NLMSG_DATA(header);
	struct answer a = {0};

	if (!NLMSG_OK(header, len))
		return -EBADMSG;
	if (header->nlmsg_type == NLMSG_ERROR)
		return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) && error->error < 0
			   ? error->error
			   : -EBADMSG;
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return -EBADMSG;
	a.inode = msg->udiag_ino;
	a.type = msg->udiag_type;
	a.state = msg->udiag_state;
	take_attributes((const char *)(msg + 1), header->nlmsg_len - NLMSG_LENGTH(sizeof(*msg)),
			&a);
	*ret = a;
	return 0;
}

/* The kernel has answered before send() returned. */
static int receive_answer(const struct unix_diag *diag, struct answer *ret)
{
	_Alignas(struct nlmsghdr) char buf[1024];

	for (int i = 0; i < MAX_STALE; i++) {
		struct nlmsghdr *header = (struct nlmsghdr *)buf;
		ssize_t n = recv(diag->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0)
			return -errno;
		if ((size_t)n >= sizeof(*header) && header->nlmsg_seq == diag->sequence)
			return parse_answer(header, (size_t)n, ret);
	}
	return -EBADMSG;
}

static int ask(struct unix_diag *diag, uint64_t inode, struct answer *ret)
{
	int r;

	if (inode == 0 || inode > UINT32_MAX)
		return -ENOENT;
	pthread_mutex_lock(&diag->lock);
	diag->sequence++;
	r = send_request(diag, (uint32_t)inode);
	if (r == 0)
		r = receive_answer(diag, ret);
	pthread_mutex_unlock(&diag->lock);
	return r == 0 && ret->inode != inode ? -EBADMSG : r;
}

struct unix_diag *unix_diag_new(int fd)
{
	struct unix_diag *diag;

	if (fd < 0)
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return NULL;
	diag = xcalloc(1, sizeof(*diag));
	diag->fd = fd;
	pthread_mutex_init(&diag->lock, NULL);
	return diag;
}

void unix_diag_free(struct unix_diag *diag)
{
	if (!diag)
		return;
	close(diag->fd);
	pthread_mutex_destroy(&diag->lock);
	free(diag);
}

int unix_diag_read(struct unix_diag *diag, uint64_t inode, struct unix_facts *ret)
{
	struct answer own = {0}, peer = {0};
	int r;

	if (!diag)
		return -EOPNOTSUPP;
	r = ask(diag, inode, &own);
	if (r < 0)
		return r;
	*ret = (struct unix_facts){
	    .known = true,
	    .state = own.state,
	    .type = own.type,
	    .peer_inode = own.peer_inode,
	    .name = own.name,
	};
	if (ask(diag, own.peer_inode, &peer) == 0)
		ret->peer_name = peer.name;
	return 0;
}
