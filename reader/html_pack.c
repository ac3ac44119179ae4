/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_pack.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

#include "common/xalloc.h"

/* What is collected before it is packed. */
#define IN_BYTES  ((size_t)64 << 10)
#define OUT_BYTES ((size_t)64 << 10)
/* The largest window, with gzip's frame around it. */
#define GZIP_WINDOW (15 + 16)
#define LEVEL	    6
#define MEMORY	    8

struct html_pack {
	z_stream z;
	uint8_t in[IN_BYTES];
	size_t n_in;
	uint8_t *out;
	size_t n_out, cap_out;
};

struct html_pack *html_pack_new(void)
{
	struct html_pack *p = xcalloc(1, sizeof(*p));

	if (deflateInit2(&p->z, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		xalloc_failed();
	return p;
}

void html_pack_free(struct html_pack *p)
{
	if (!p)
		return;
	deflateEnd(&p->z);
	free(p->out);
	free(p);
}

static void squeeze(struct html_pack *p, int flush)
{
	p->z.next_in = p->in;
	p->z.avail_in = (uInt)p->n_in;
	p->n_in = 0;
	do {
		p->out = xgrow(p->out, &p->cap_out, p->n_out + OUT_BYTES, 1);
		p->z.next_out = p->out + p->n_out;
		p->z.avail_out = OUT_BYTES;
		/* With room for output and a stream of ours it can't fail. */
		if (deflate(&p->z, flush) == Z_STREAM_ERROR)
			assert(0);
		p->n_out += OUT_BYTES - p->z.avail_out;
	} while (p->z.avail_out == 0);
}

static void put_byte(struct html_pack *p, uint8_t byte)
{
	p->in[p->n_in++] = byte;
	if (p->n_in == IN_BYTES)
		squeeze(p, Z_NO_FLUSH);
}

void html_pack_bytes(struct html_pack *p, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		put_byte(p, bytes[i]);
}

void html_pack_number(struct html_pack *p, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(p, (uint8_t)(value | 0x80));
	put_byte(p, (uint8_t)value);
}

void html_pack_signed(struct html_pack *p, int64_t value)
{
	uint64_t twice = (uint64_t)value << 1;

	html_pack_number(p, value < 0 ? ~twice : twice);
}

const uint8_t *html_pack_finish(struct html_pack *p, size_t *ret_len)
{
	squeeze(p, Z_FINISH);
	*ret_len = p->n_out;
	return p->out;
}

char *html_base64(const void *data, size_t len)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = data;
	char *text = xmalloc((len + 2) / 3 * 4 + 1), *out = text;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t bits = (uint32_t)in[i] << 16;

		if (n > 1)
			bits |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			bits |= in[i + 2];
		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[bits & 63] : '=';
	}
	*out = '\0';
	return text;
}
