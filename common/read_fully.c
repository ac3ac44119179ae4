/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/read_fully.h"

#include <errno.h>
#include <unistd.h>

int read_fully(int fd, void *buf, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = pread(fd, (char *)buf + len, size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}
