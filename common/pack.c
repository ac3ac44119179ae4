/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/pack.h"

#include <errno.h>
#include <zstd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/*
 * Level 1 with a window of 128 KiB: the streams of a block are little more than their entropy
 * anyway, and the compressor's memory stays below 1 MiB.
 */
#define PACK_LEVEL	1
#define PACK_WINDOW_LOG 17

struct packer {
	ZSTD_CCtx *ctx;
};

struct unpacker {
	ZSTD_DCtx *ctx;
};

struct packer *packer_new(void)
{
	struct packer *p = xcalloc(1, sizeof(*p));

	p->ctx = ZSTD_createCCtx();
	if (!p->ctx ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_compressionLevel, PACK_LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_windowLog, PACK_WINDOW_LOG)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_checksumFlag, 1)))
		xalloc_failed();
	return p;
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	ZSTD_freeCCtx(p->ctx);
	free(p);
}

size_t pack_bound(size_t len)
{
	return ZSTD_compressBound(len);
}

size_t pack_bytes(struct packer *p, const void *src, size_t len, void *dst)
{
	size_t n = ZSTD_compress2(p->ctx, dst, pack_bound(len), src, len);

	/* With room for the worst case and valid parameters only memory can be lacking. */
	if (ZSTD_isError(n))
		xalloc_failed();
	return n;
}

struct unpacker *unpacker_new(void)
{
	struct unpacker *u = xcalloc(1, sizeof(*u));

	u->ctx = ZSTD_createDCtx();
	if (!u->ctx)
		xalloc_failed();
	return u;
}

void unpacker_free(struct unpacker *u)
{
	if (!u)
		return;
	ZSTD_freeDCtx(u->ctx);
	free(u);
}

int unpack_bytes(struct unpacker *u, const void *src, size_t len, size_t max_len, uint8_t **ret,
		 size_t *ret_len)
{
	unsigned long long size = ZSTD_getFrameContentSize(src, len);
	auto_free uint8_t *content = NULL;

	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > max_len)
		return -EBADMSG;
	content = xmalloc((size_t)size + 1);
	if (ZSTD_decompressDCtx(u->ctx, content, (size_t)size, src, len) != (size_t)size)
		return -EBADMSG;
	content[size] = 0;
	*ret = steal_ptr(content);
	*ret_len = (size_t)size;
	return 0;
}
