/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"

static void put_bytes(FILE *out, const char *s, size_t len)
{
	putc('"', out);
	for (size_t n; len; s += n, len -= n) {
		uint32_t c = 0;

		n = text_utf8_char(s, len, &c);
		if (n == 0) {
			fputs("\\ufffd", out);
			n = 1;
		} else if (text_is_control(c)) {
			fprintf(out, "\\u%04x", (unsigned)c);
		} else {
			if (c == '"' || c == '\\')
				putc('\\', out);
			fwrite(s, 1, n, out);
		}
	}
	putc('"', out);
}

static void put_string(FILE *out, const char *s)
{
	put_bytes(out, s, strlen(s));
}

char *json_quote(const char *s, size_t len)
{
	char *text = NULL;
	size_t text_len;
	FILE *out = open_memstream(&text, &text_len);

	if (!out)
		xalloc_failed();
	put_bytes(out, s, len);
	if (fclose(out) != 0)
		xalloc_failed();
	return text;
}

static void put_key(struct json_writer *j, const char *key)
{
	int is_first = j->n_members[j->depth]++ == 0;

	if (j->is_line)
		fputs(is_first ? "" : ", ", j->out);
	else
		fprintf(j->out, "%s\n%*s", is_first ? "" : ",", 2 * ((int)j->depth + 1), "");
	if (!key)
		return;
	put_string(j->out, key);
	fputs(": ", j->out);
}

void json_begin(struct json_writer *j, FILE *out)
{
	*j = (struct json_writer){.out = out};
	putc('{', out);
}

void json_begin_line(struct json_writer *j, FILE *out)
{
	json_begin(j, out);
	j->is_line = 1;
}

void json_end(struct json_writer *j)
{
	fputs(j->is_line ? "}\n" : "\n}\n", j->out);
}

static void open_level(struct json_writer *j, const char *key, char bracket)
{
	put_key(j, key);
	putc(bracket, j->out);
	j->depth++;
	assert(j->depth < JSON_MAX_DEPTH);
	j->n_members[j->depth] = 0;
}

static void close_level(struct json_writer *j, char bracket)
{
	int n = j->n_members[j->depth--];

	if (n && !j->is_line)
		fprintf(j->out, "\n%*s", 2 * ((int)j->depth + 1), "");
	putc(bracket, j->out);
}

void json_array(struct json_writer *j, const char *key)
{
	open_level(j, key, '[');
}

void json_array_end(struct json_writer *j)
{
	close_level(j, ']');
}

void json_object(struct json_writer *j, const char *key)
{
	open_level(j, key, '{');
}

void json_object_end(struct json_writer *j)
{
	close_level(j, '}');
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
	/* JSON has no word for these. */
	if (!isfinite(value)) {
		json_null(j, key);
		return;
	}
	put_key(j, key);
	fprintf(j->out, "%.*f", decimals, value);
}

void json_bool(struct json_writer *j, const char *key, int value)
{
	put_key(j, key);
	fputs(value ? "true" : "false", j->out);
}

void json_null(struct json_writer *j, const char *key)
{
	put_key(j, key);
	fputs("null", j->out);
}
