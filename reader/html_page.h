/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One page that needs nothing else: markup, style, script and data. Its Content-Security-Policy
 * names the hashes of its style and script: nothing else runs, and nothing is fetched.
 */
#ifndef READER_HTML_PAGE_H
#define READER_HTML_PAGE_H

#include <stddef.h>
#include <stdio.h>

/* @data  base64. Whether all was written is for the caller to ask the stream. */
void html_page_write(FILE *out, const char *data);

/* Bytes of a page without data. */
size_t html_page_overhead(void);

#endif
