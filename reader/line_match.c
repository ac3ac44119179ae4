/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/line_match.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

struct line {
	const char *text;
	size_t len;
};

static struct line trimmed(const struct source_text *s, int32_t number)
{
	struct line l = {.text = ""};
	const char *text = source_text_line(s, number, &l.len);

	if (!text) {
		l.len = 0;
		return l;
	}
	l.text = text;
	while (l.len && strchr(" \t\f", l.text[0])) {
		l.text++;
		l.len--;
	}
	while (l.len && strchr(" \t\f", l.text[l.len - 1]))
		l.len--;
	return l;
}

static size_t indentation(const struct source_text *s, int32_t number)
{
	size_t len = 0, n = 0;
	const char *text = source_text_line(s, number, &len);

	while (n < len && strchr(" \t\f", text[n]))
		n++;
	return n;
}

/* Blank lines, comments and the end of a long head are no new statement at this depth. */
static bool begins_statement(struct line l)
{
	return l.len && !strchr("#)]}", l.text[0]);
}

int32_t function_last_line(const struct source_text *s, int32_t first, int32_t seen)
{
	size_t depth = indentation(s, first);
	bool has_body = false;
	int32_t last = seen > first ? seen : first;

	for (int32_t i = first + 1; i <= s->n_lines; i++) {
		struct line l = trimmed(s, i);

		if (!begins_statement(l))
			continue;
		if (indentation(s, i) > depth)
			has_body = true;
		else if (has_body && i > seen)
			break;
		last = i > last ? i : last;
	}
	return last;
}

/* --- the longest common subsequence --- */

struct pair {
	const struct line *old_lines, *new_lines;
	size_t old_n, new_n;
	int32_t *ret;
};

static bool is_equal(const struct line *a, const struct line *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* lengths[i][j]: of what is common to the lines from the i-th and the j-th on. */
static uint16_t *common_lengths(const struct pair *p)
{
	size_t columns = p->new_n + 1;
	uint16_t *lengths = xcalloc((p->old_n + 1) * columns, sizeof(*lengths));

	for (size_t i = p->old_n; i-- > 0;) {
		for (size_t j = p->new_n; j-- > 0;) {
			uint16_t below = lengths[(i + 1) * columns + j];
			uint16_t right = lengths[i * columns + j + 1];

			if (is_equal(&p->old_lines[i], &p->new_lines[j]))
				lengths[i * columns + j] =
				    (uint16_t)(lengths[(i + 1) * columns + j + 1] + 1);
			else
				lengths[i * columns + j] = below > right ? below : right;
		}
	}
	return lengths;
}

static void follow(const struct pair *p, const uint16_t *lengths, int32_t offset)
{
	size_t columns = p->new_n + 1, i = 0, j = 0;

	while (i < p->old_n && j < p->new_n) {
		if (is_equal(&p->old_lines[i], &p->new_lines[j]))
			p->ret[i++] = (int32_t)j++ + offset;
		else if (lengths[(i + 1) * columns + j] >= lengths[i * columns + j + 1])
			i++;
		else
			j++;
	}
}

/* Between lines that stayed: as many old ones as new ones. */
static void pair_changed(int32_t *ret, size_t old_n, size_t new_n)
{
	int32_t before = -1;

	for (size_t i = 0; i < old_n;) {
		size_t end = i, after;

		if (ret[i] >= 0) {
			before = ret[i++];
			continue;
		}
		while (end < old_n && ret[end] < 0)
			end++;
		after = end < old_n ? (size_t)ret[end] : new_n;
		if (after - (size_t)(before + 1) == end - i) {
			for (size_t k = i; k < end; k++)
				ret[k] = before + 1 + (int32_t)(k - i);
		}
		i = end;
	}
}

static struct line *read_lines(const struct source_text *s, int32_t first, size_t n)
{
	struct line *lines = xcalloc(n + 1, sizeof(*lines));

	for (size_t i = 0; i < n; i++)
		lines[i] = trimmed(s, first + (int32_t)i);
	return lines;
}

/* What is the same at both ends needs no table; returns how many lines at the begin. */
static size_t match_ends(struct pair *p)
{
	size_t begin = 0, least = p->old_n < p->new_n ? p->old_n : p->new_n;

	while (begin < least && is_equal(&p->old_lines[begin], &p->new_lines[begin])) {
		p->ret[begin] = (int32_t)begin;
		begin++;
	}
	while (p->old_n > begin && p->new_n > begin &&
	       is_equal(&p->old_lines[p->old_n - 1], &p->new_lines[p->new_n - 1])) {
		p->old_n--;
		p->new_n--;
		p->ret[p->old_n] = (int32_t)p->new_n;
	}
	return begin;
}

void line_match(const struct source_text *old_text, int32_t old_first, size_t old_n,
		const struct source_text *new_text, int32_t new_first, size_t new_n, int32_t *ret)
{
	auto_free struct line *old_lines = read_lines(old_text, old_first, old_n);
	auto_free struct line *new_lines = read_lines(new_text, new_first, new_n);
	auto_free uint16_t *lengths = NULL;
	struct pair p = {old_lines, new_lines, old_n, new_n, ret};
	size_t begin;

	for (size_t i = 0; i < old_n; i++)
		ret[i] = -1;
	begin = match_ends(&p);
	p = (struct pair){
	    .old_lines = old_lines + begin,
	    .new_lines = new_lines + begin,
	    .old_n = p.old_n - begin,
	    .new_n = p.new_n - begin,
	    .ret = ret + begin,
	};
	if (p.old_n > LINE_MATCH_MAX || p.new_n > LINE_MATCH_MAX) {
		for (size_t i = 0; i < p.old_n && i < p.new_n; i++)
			p.ret[i] = (int32_t)(begin + i);
		return;
	}
	lengths = common_lengths(&p);
	follow(&p, lengths, (int32_t)begin);
	pair_changed(ret, old_n, new_n);
}
