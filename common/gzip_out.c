/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/gzip_out.h"

#include <stdint.h>
/* Its input is not const otherwise. */
#define ZLIB_CONST
#include <zlib.h>

#include "common/xalloc.h"

/* The largest window, with the header and the end of gzip. */
#define GZIP_WINDOW  (15 + 16)
#define MEMORY_LEVEL 8
#define CHUNK_BYTES  (1u << 16)

struct gzip_out {
	FILE *out;
	z_stream stream;
	uint8_t buf[CHUNK_BYTES];
};

struct gzip_out *gzip_out_new(FILE *out)
{
	struct gzip_out *g = xcalloc(1, sizeof(*g));

	g->out = out;
	if (deflateInit2(&g->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		xalloc_failed();
	return g;
}

void gzip_out_free(struct gzip_out *g)
{
	if (!g)
		return;
	deflateEnd(&g->stream);
	free(g);
}

/* Take all the input, and with Z_FINISH also write all that is left. */
static void run(struct gzip_out *g, int flush)
{
	size_t n;

	do {
		g->stream.next_out = g->buf;
		g->stream.avail_out = CHUNK_BYTES;
		deflate(&g->stream, flush);
		n = CHUNK_BYTES - g->stream.avail_out;
		fwrite(g->buf, 1, n, g->out);
	} while (g->stream.avail_out == 0);
}

void gzip_out_write(struct gzip_out *g, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len) {
		size_t part = len < CHUNK_BYTES ? len : CHUNK_BYTES;

		g->stream.next_in = at;
		g->stream.avail_in = (uInt)part;
		run(g, Z_NO_FLUSH);
		at += part;
		len -= part;
	}
}

void gzip_out_finish(struct gzip_out *g)
{
	run(g, Z_FINISH);
}
