/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes on their way into a page: packed with gzip, which browsers can unpack, then as base64. */
#ifndef READER_HTML_PACK_H
#define READER_HTML_PACK_H

#include <stddef.h>
#include <stdint.h>

struct html_pack;

struct html_pack *html_pack_new(void);
void html_pack_free(struct html_pack *p);

void html_pack_bytes(struct html_pack *p, const void *data, size_t len);
/* Seven bits to a byte, the lowest first; all but the last byte have the highest bit set. */
void html_pack_number(struct html_pack *p, uint64_t value);
/* Small ones of either sign take few bytes: 0, -1, 1, -2 become 0, 1, 2, 3. */
void html_pack_signed(struct html_pack *p, int64_t value);

/* Nothing more comes. Returns the packed bytes, lent until html_pack_free(). */
const uint8_t *html_pack_finish(struct html_pack *p, size_t *ret_len);

/* Without line breaks. The caller frees; a NUL byte behind it. */
char *html_base64(const void *data, size_t len);

#endif
