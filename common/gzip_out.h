/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing to a file in the gzip format. */
#ifndef COMMON_GZIP_OUT_H
#define COMMON_GZIP_OUT_H

#include <stddef.h>
#include <stdio.h>

#include "common/cleanup.h"

struct gzip_out;

/* @out  lent; errors of writing are left in it, for ferror() */
struct gzip_out *gzip_out_new(FILE *out);
void gzip_out_write(struct gzip_out *g, const void *data, size_t len);
/* The end of the format, without which a reader says that it was cut off. */
void gzip_out_finish(struct gzip_out *g);
void gzip_out_free(struct gzip_out *g);
DEFINE_CLEANUP(struct gzip_out *, gzip_out_free)

#endif
