/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/text.h"

static void put_string(FILE *out, const char *s)
{
	size_t len = strlen(s);

	putc('"', out);
	for (size_t n; len; s += n, len -= n) {
		uint32_t c = 0;

		n = text_utf8_char(s, len, &c);
		if (n == 0) {
			fputs("\\ufffd", out);
			n = 1;
		} else if (c < 0x20 || c == 0x7f) {
			fprintf(out, "\\u%04x", (unsigned)c);
		} else {
			if (c == '"' || c == '\\')
				putc('\\', out);
			fwrite(s, 1, n, out);
		}
	}
	putc('"', out);
}

static void put_key(struct json_writer *j, const char *key)
{
	fputs(j->n_members[j->depth]++ ? ",\n" : "\n", j->out);
	fprintf(j->out, "%*s", 2 * ((int)j->depth + 1), "");
	put_string(j->out, key);
	fputs(": ", j->out);
}

void json_begin(struct json_writer *j, FILE *out)
{
	*j = (struct json_writer){.out = out};
	putc('{', out);
}

void json_end(struct json_writer *j)
{
	fputs("\n}\n", j->out);
}

void json_object(struct json_writer *j, const char *key)
{
	put_key(j, key);
	putc('{', j->out);
	j->depth++;
	assert(j->depth < JSON_MAX_DEPTH);
	j->n_members[j->depth] = 0;
}

void json_object_end(struct json_writer *j)
{
	int n = j->n_members[j->depth--];

	if (n)
		fprintf(j->out, "\n%*s", 2 * ((int)j->depth + 1), "");
	putc('}', j->out);
}

void json_string(struct json_writer *j, const char *key, const char *value)
{
	if (!value) {
		json_null(j, key);
		return;
	}
	put_key(j, key);
	put_string(j->out, value);
}

void json_int(struct json_writer *j, const char *key, int64_t value)
{
	put_key(j, key);
	fprintf(j->out, "%" PRId64, value);
}

void json_count(struct json_writer *j, const char *key, uint64_t value)
{
	put_key(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void json_real(struct json_writer *j, const char *key, double value, int decimals)
{
	put_key(j, key);
	fprintf(j->out, "%.*f", decimals, value);
}

void json_null(struct json_writer *j, const char *key)
{
	put_key(j, key);
	fputs("null", j->out);
}
