/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A line of /proc/PID/maps looks so; the name, if any, goes to the end of the line:
 *
 * 7f1c2a000000-7f1c2a1c5000 r-xp 00026000 fe:01 1184  /usr/lib/libpython3.11.so.1.0 (deleted)
 *
 * The kernel writes a newline inside a name as \012 and leaves all else as it is
 * (fs/proc/task_mmu.c), so a name that holds a backslash and 012 is taken for another one; whoever
 * opens the file compares the inode number.
 */
#include "recorder/target/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/xalloc.h"

/* A line holds at most a name of PATH_MAX bytes, each of them escaped, and the numbers. */
#define LINE_MAX_BYTES (4 * PATH_MAX + 256)

struct scan {
	const char *p;
	const char *end;
};

static bool scan_number(struct scan *s, unsigned base, uint64_t *ret)
{
	const char *first = s->p;
	uint64_t value = 0;

	for (; s->p < s->end; s->p++) {
		char c = *s->p;
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			break;
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret = value;
	return s->p > first;
}

static bool scan_char(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool scan_permissions(struct scan *s, struct mapping *ret)
{
	if (s->end - s->p < 4)
		return false;
	ret->readable = s->p[0] == 'r';
	ret->writable = s->p[1] == 'w';
	ret->executable = s->p[2] == 'x';
	s->p += 4;
	return true;
}

static char *decode_name(const char *name, size_t len)
{
	char *path = xmalloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (len - i >= 4 && memcmp(name + i, "\\012", 4) == 0) {
			path[n++] = '\n';
			i += 3;
		} else {
			path[n++] = name[i];
		}
	}
	path[n] = '\0';
	return path;
}

static bool name_is(const char *name, size_t len, const char *other)
{
	return len == strlen(other) && memcmp(name, other, len) == 0;
}

static bool strip_suffix(const char *text, size_t *len, const char *suffix)
{
	size_t n = strlen(suffix);

	if (*len <= n || memcmp(text + *len - n, suffix, n) != 0)
		return false;
	*len -= n;
	return true;
}

int mappings_parse_line(const char *line, size_t len, struct mapping *ret)
{
	struct scan s = {line, line + len};
	struct mapping m = {0};
	uint64_t major, minor;
	size_t name_len;

	if (!scan_number(&s, 16, &m.start) || !scan_char(&s, '-') || !scan_number(&s, 16, &m.end) ||
	    !scan_char(&s, ' ') || !scan_permissions(&s, &m) || !scan_char(&s, ' ') ||
	    !scan_number(&s, 16, &m.offset) || !scan_char(&s, ' ') ||
	    !scan_number(&s, 16, &major) || !scan_char(&s, ':') || !scan_number(&s, 16, &minor) ||
	    !scan_char(&s, ' ') || !scan_number(&s, 10, &m.inode))
		return -EINVAL;
	if (m.start >= m.end || major > UINT32_MAX || minor > UINT32_MAX)
		return -EINVAL;
	m.dev_major = (uint32_t)major;
	m.dev_minor = (uint32_t)minor;
	while (scan_char(&s, ' '))
		;
	name_len = (size_t)(s.end - s.p);
	m.vdso = name_is(s.p, name_len, "[vdso]");
	/* Other names ([heap], [vdso], //anon …) stand for no file. */
	if (name_len == 0 || *s.p != '/' || m.inode == 0 || memchr(s.p, '\0', name_len)) {
		*ret = m;
		return 0;
	}
	m.deleted = strip_suffix(s.p, &name_len, " (deleted)");
	m.path = decode_name(s.p, name_len);
	*ret = m;
	return 0;
}

static void add_line(struct mappings *m, const char *line, size_t len)
{
	struct mapping item;

	if (mappings_parse_line(line, len, &item) < 0)
		return;
	if (item.vdso) {
		m->vdso_start = item.start;
		m->vdso_end = item.end;
	}
	if (!item.path || strlen(item.path) >= PATH_MAX) {
		free(item.path);
		return;
	}
	if (m->n == MAPPINGS_MAX) {
		m->truncated = true;
		free(item.path);
		return;
	}
	m->items = xgrow(m->items, &m->cap, m->n + 1, sizeof(*m->items));
	m->items[m->n++] = item;
}

/* Add all whole lines of buf; returns how many bytes of an incomplete one are left at its start. */
static size_t add_lines(struct mappings *m, char *buf, size_t len)
{
	char *line = buf;
	char *end = buf + len;
	char *newline;

	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		add_line(m, line, (size_t)(newline - line));
		line = newline + 1;
	}
	len = (size_t)(end - line);
	memmove(buf, line, len);
	/* No line is that long: not a text of the kernel. */
	return len == LINE_MAX_BYTES ? 0 : len;
}

int mappings_read(int fd, struct mappings *ret)
{
	auto_mappings struct mappings m = {0};
	auto_free char *buf = xmalloc(LINE_MAX_BYTES);
	off_t offset = 0;
	size_t len = 0;
	ssize_t n;

	for (;;) {
		n = pread(fd, buf + len, LINE_MAX_BYTES - len, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		offset += n;
		len = add_lines(&m, buf, len + (size_t)n);
	}
	if (offset == 0)
		return -ESRCH;
	if (len > 0)
		add_line(&m, buf, len);
	*ret = m;
	m = (struct mappings){0};
	return 0;
}

void mappings_done(struct mappings *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].path);
	free(m->items);
	*m = (struct mappings){0};
}

struct mapping *mappings_find(const struct mappings *m, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->items[i].start == start && m->items[i].end == end)
			return &m->items[i];
	return NULL;
}
