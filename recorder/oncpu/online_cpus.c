/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/online_cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/read_fully.h"
#include "common/xalloc.h"

int online_cpus_parse(const char *text, unsigned max, int **ret_cpus, unsigned *ret_n)
{
	auto_free int *cpus = NULL;
	size_t cap = 0;
	unsigned n = 0;

	while (*text >= '0' && *text <= '9') {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last < first || last - first >= max || n + last - first >= max)
			return -E2BIG;
		for (; first <= last; first++) {
			cpus = xgrow(cpus, &cap, n + 1, sizeof(*cpus));
			cpus[n++] = (int)first;
		}
		text = *end == ',' ? end + 1 : end;
	}
	if (!n)
		return -EINVAL;
	*ret_cpus = steal_ptr(cpus);
	*ret_n = n;
	return 0;
}

int online_cpus_read(unsigned max, int **ret_cpus, unsigned *ret_n)
{
	auto_close int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	char text[4096];
	size_t len;
	int r;

	if (fd < 0)
		return -errno;
	r = read_fully(fd, text, sizeof(text) - 1, &len);
	if (r < 0)
		return r;
	text[len] = '\0';
	return online_cpus_parse(text, max, ret_cpus, ret_n);
}
