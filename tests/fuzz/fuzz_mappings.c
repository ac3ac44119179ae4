/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text in place of /proc/PID/maps. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "recorder/target/mappings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("maps", MFD_CLOEXEC);
	struct mappings maps;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (mappings_read(fd, &maps) == 0) {
		for (size_t i = 0; i < maps.n; i++) {
			const struct mapping *m = &maps.items[i];

			if (!m->path || m->path[0] != '/' || m->start >= m->end)
				abort();
			if (!mappings_find(&maps, m->start, m->end))
				abort();
		}
		mappings_done(&maps);
	}
	close(fd);
	return 0;
}
