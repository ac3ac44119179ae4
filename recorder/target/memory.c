/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/memory.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

void memory_init_fd(struct memory *m, int fd)
{
	*m = (struct memory){.fd = fd};
}

void memory_init_image(struct memory *m,
		       int (*read_image)(void *ctx, remote_addr addr, void *buf, size_t len),
		       void *ctx)
{
	*m = (struct memory){.fd = -1, .read_image = read_image, .ctx = ctx};
}

void memory_done(struct memory *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

int memory_read_some(struct memory *m, remote_addr addr, void *buf, size_t len)
{
	ssize_t n;

	m->n_reads++;
	/* off_t is signed; no user address of a supported machine has the top bit set. */
	if (addr > INT64_MAX || len > INT_MAX || len == 0)
		return -EFAULT;
	if (m->read_image) {
		int r = m->read_image(m->ctx, addr, buf, len);

		return r < 0 ? r : (int)len;
	}
	do
		n = pread(m->fd, buf, len, (off_t)addr);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (int)n;
	/* 0 bytes: no users of that address space are left (fs/proc/base.c, mem_rw()). */
	return n == 0 || errno == ESRCH ? -ESRCH : -EFAULT;
}

int memory_read(struct memory *m, remote_addr addr, void *buf, size_t len)
{
	int n = memory_read_some(m, addr, buf, len);

	if (n < 0)
		return n;
	return (size_t)n == len ? 0 : -EFAULT;
}

int memory_read_u64(struct memory *m, remote_addr addr, uint64_t *ret)
{
	return memory_read(m, addr, ret, sizeof(*ret));
}

int memory_read_u32(struct memory *m, remote_addr addr, uint32_t *ret)
{
	return memory_read(m, addr, ret, sizeof(*ret));
}
