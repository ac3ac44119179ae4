/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compression, the only place that knows zstd. A packed piece is one zstd frame with its content
 * size and a checksum, so damage is detected. Used by one thread each.
 */
#ifndef COMMON_PACK_H
#define COMMON_PACK_H

#include <stddef.h>
#include <stdint.h>

struct packer;
struct unpacker;

struct packer *packer_new(void);
void packer_free(struct packer *p);
/* The most that len bytes become. */
size_t pack_bound(size_t len);
/*
 * Compress len bytes into dst, which holds at least pack_bound(len).
 * Returns the compressed size.
 */
size_t pack_bytes(struct packer *p, const void *src, size_t len, void *dst);

struct unpacker *unpacker_new(void);
void unpacker_free(struct unpacker *u);
/*
 * Decompress one piece of at most max_len bytes of content.
 * @ret, @ret_len  malloc()ed content, one NUL byte behind it; the caller frees
 * Returns 0, or -EBADMSG when it is damaged or larger.
 */
int unpack_bytes(struct unpacker *u, const void *src, size_t len, size_t max_len, uint8_t **ret,
		 size_t *ret_len);

#endif
