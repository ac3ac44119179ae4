/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/xz_unpack.h"

#include <errno.h>
#include <lzma.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

#define FIRST_BYTES (256u << 10)

/* Let the output grow until all is there. */
static int run(lzma_stream *stream, size_t max, unsigned char **out, size_t *ret_len)
{
	size_t cap = 0;
	lzma_ret r;

	do {
		size_t done = (size_t)stream->total_out;
		size_t need = done == 0 ? FIRST_BYTES : done + 1;

		if (done >= max)
			return -EFBIG;
		*out = xgrow(*out, &cap, need, 1);
		stream->next_out = *out + done;
		stream->avail_out = (cap < max ? cap : max) - done;
		r = lzma_code(stream, LZMA_FINISH);
	} while (r == LZMA_OK && stream->avail_out == 0);
	if (r == LZMA_MEMLIMIT_ERROR)
		return -EFBIG;
	if (r != LZMA_STREAM_END)
		return -EBADMSG;
	*ret_len = (size_t)stream->total_out;
	return 0;
}

int xz_unpack(const void *data, size_t len, size_t max, unsigned char **ret_bytes, size_t *ret_len)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	auto_free unsigned char *out = NULL;
	int r;

	if (lzma_stream_decoder(&stream, max, 0) != LZMA_OK)
		xalloc_failed();
	stream.next_in = data;
	stream.avail_in = len;
	r = run(&stream, max, &out, ret_len);
	lzma_end(&stream);
	if (r < 0)
		return r;
	*ret_bytes = steal_ptr(out);
	return 0;
}

uint32_t xz_crc32(const void *data, size_t len, uint32_t crc)
{
	return lzma_crc32(data, len, crc);
}
