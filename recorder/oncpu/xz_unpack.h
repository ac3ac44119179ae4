/* SPDX-License-Identifier: BSD-3-Clause */
/* Data compressed with xz; liblzma lives behind this file alone. */
#ifndef RECORDER_ONCPU_XZ_UNPACK_H
#define RECORDER_ONCPU_XZ_UNPACK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Unpack one .xz file, which may be anything.
 * @max         bytes that it may become
 * @ret_bytes   malloc()ed, the caller's
 * Returns 0; -EFBIG when it becomes more, or unpacking needs more memory than that; -EBADMSG when
 * it is damaged or something else.
 */
int xz_unpack(const void *data, size_t len, size_t max, unsigned char **ret_bytes, size_t *ret_len);

/* The CRC-32 of IEEE 802.3, as .gnu_debuglink has it, of more bytes behind those that gave crc. */
uint32_t xz_crc32(const void *data, size_t len, uint32_t crc);

#endif
