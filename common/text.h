/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text that others wrote: names and paths of a target can hold any bytes, and must neither break
 * a terminal nor a line of output.
 */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Length in bytes of the valid UTF-8 character at the start of s (1 to 4), 0 when there is none.
 * @ret  its code point, may be NULL
 */
size_t text_utf8_char(const char *s, size_t len, uint32_t *ret);
int text_is_utf8(const char *s, size_t len); /* bool */
/* C0, DEL and C1; also the separators and direction marks that can reorder or break a line. */
int text_is_control(uint32_t c); /* bool */

enum text_charset {
	TEXT_UTF8,
	TEXT_ASCII, /* for a terminal that shows nothing else */
};

/* What the user's locale can show. After setlocale(LC_CTYPE, ""). */
enum text_charset text_locale_charset(void);

/*
 * Make text safe for one line of output: bytes that are not UTF-8, control characters and what
 * is listed in `special` (ASCII) become \xNN, a backslash becomes two, and with TEXT_ASCII each
 * other non-ASCII character \uNNNN or \UNNNNNNNN.
 * Returns a malloc()ed string, the caller frees.
 */
char *text_escape(const char *s, size_t len, const char *special, enum text_charset charset);

/*
 * A line of source for a table: like text_escape(), but backslashes stay, tabs become blanks,
 * and what can't be shown becomes '?'. The caller frees.
 */
char *text_plain(const char *s, size_t len, enum text_charset charset);

/* Columns that a string takes on a terminal. */
size_t text_width(const char *s);

/*
 * Cut a string (valid UTF-8) to at most `width` columns; an ellipsis stands for what is gone.
 * text_cut_left() keeps the end. Returns a malloc()ed string, the caller frees.
 */
char *text_cut_left(const char *s, size_t width, enum text_charset charset);
char *text_cut_right(const char *s, size_t width, enum text_charset charset);

#endif
