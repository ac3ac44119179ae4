/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading small files whole. */
#ifndef COMMON_READ_FULLY_H
#define COMMON_READ_FULLY_H

#include <stddef.h>

/*
 * Read a file from its beginning, up to size bytes, wherever the descriptor's own offset is (it
 * stays there). A file that grows or shrinks meanwhile is read as far as it is there.
 * @ret_len  the number of bytes in buf
 * Returns 0, or a negative errno: then what is in buf is undefined.
 */
int read_fully(int fd, void *buf, size_t size, size_t *ret_len);

#endif
