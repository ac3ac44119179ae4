/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/trace_name.h"

#include <stdint.h>
#include <string.h>

#include "common/text.h"

#define QUOTE_(x) #x
#define QUOTE(x)  QUOTE_(x)

const char *trace_name_find_fault(const char *name, size_t len)
{
	if (len == 0)
		return "is empty";
	if (len > TRACE_NAME_MAX)
		return "is longer than " QUOTE(TRACE_NAME_MAX) " bytes";
	/* Which also leaves out "." and "..". */
	if (name[0] == '.')
		return "begins with a dot";
	if (name[0] == '-')
		return "begins with a dash";
	if (name[0] == ' ' || name[len - 1] == ' ')
		return "has a blank at an end";
	if (memchr(name, '/', len))
		return "holds a slash";
	for (size_t n; len; name += n, len -= n) {
		uint32_t c = 0;

		n = text_utf8_char(name, len, &c);
		if (n == 0)
			return "is not valid UTF-8";
		if (text_is_control(c))
			return "holds a control character";
	}
	return NULL;
}
