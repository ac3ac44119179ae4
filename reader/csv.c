/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/csv.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"

void csv_empty(struct csv_writer *c)
{
	if (c->has_cell)
		putc(',', c->out);
	c->has_cell = true;
}

void csv_text(struct csv_writer *c, const char *text)
{
	auto_free char *plain = NULL;

	csv_empty(c);
	if (!text)
		return;
	plain = text_plain(text, strlen(text), TEXT_UTF8);
	if (!strpbrk(plain, ",\"\r\n")) {
		fputs(plain, c->out);
		return;
	}
	putc('"', c->out);
	for (const char *at = plain; *at; at++) {
		if (*at == '"')
			putc('"', c->out);
		putc(*at, c->out);
	}
	putc('"', c->out);
}

void csv_count(struct csv_writer *c, uint64_t value)
{
	csv_empty(c);
	fprintf(c->out, "%" PRIu64, value);
}

void csv_real(struct csv_writer *c, double value, int decimals)
{
	csv_empty(c);
	fprintf(c->out, "%.*f", decimals, value);
}

void csv_end_line(struct csv_writer *c)
{
	fputs("\r\n", c->out);
	c->has_cell = false;
}
