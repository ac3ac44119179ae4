/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_object.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* Include/cpython/unicodeobject.h: bits of the state word; only its low byte is defined. */
#define STATE_KIND(s)	 (((s) >> 2) & 7)
#define STATE_COMPACT(s) (((s) >> 5) & 1)
#define STATE_ASCII(s)	 (((s) >> 6) & 1)

#define MAX_DICT_ENTRIES UINT64_C(65536)

/*
 * What follows an object's header is read with it, so that most names and line tables take one
 * read; but nothing of the next page, which may be another mapping's.
 */
#define STR_READ_BYTES	 256
#define BYTES_READ_BYTES 512
#define PAGE_BYTES	 4096

/* Append a code point; returns its length, 0 when it does not fit. */
static size_t put_utf8(char *out, size_t room, uint32_t c)
{
	if ((c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		c = 0xfffd;
	if (c < 0x80) {
		if (room < 1)
			return 0;
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		if (room < 2)
			return 0;
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		if (room < 3)
			return 0;
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	if (room < 4)
		return 0;
	out[0] = (char)(0xf0 | (c >> 18 & 7));
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* n characters of kind bytes each to UTF-8; returns the bytes written, *all = whether all fit. */
static size_t to_utf8(const uint8_t *data, size_t n, unsigned kind, char *buf, size_t size,
		      bool *all)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t c = 0;
		size_t k;

		memcpy(&c, data + i * kind, kind);
		k = put_utf8(buf + used, size - 1 - used, c);
		if (!k) {
			*all = false;
			break;
		}
		used += k;
	}
	return used;
}

/* Read `least` bytes, and more, up to `most`, as far as they are there. Returns how many. */
static int read_ahead(struct memory *mem, remote_addr addr, void *buf, size_t least, size_t most)
{
	size_t in_page = PAGE_BYTES - addr % PAGE_BYTES;
	int n;

	if (most > in_page)
		most = in_page > least ? in_page : least;
	n = memory_read_some(mem, addr, buf, most);
	if (n == -EFAULT && most > least)
		n = memory_read_some(mem, addr, buf, least);
	if (n < 0)
		return n;
	return (size_t)n < least ? -EFAULT : n;
}

/* Where a str's characters are, and how many it has of how many bytes each. */
struct str_data {
	remote_addr at;
	uint64_t length;
	unsigned kind;
};

/* @head  the first l->unicode.compact_data bytes of the str at `str` */
static int find_str_data(struct memory *mem, const struct py_layout *l, remote_addr str,
			 const uint8_t *head, struct str_data *ret)
{
	unsigned state = head[l->unicode.state];

	memcpy(&ret->length, head + l->unicode.length, 8);
	ret->kind = STATE_KIND(state);
	if (ret->length > INT32_MAX || (ret->kind != 1 && ret->kind != 2 && ret->kind != 4))
		return -EBADMSG;
	if (!STATE_COMPACT(state))
		return memory_read_u64(mem, str + l->unicode.compact_data, &ret->at);
	ret->at = str + (STATE_ASCII(state) ? l->unicode.ascii_data : l->unicode.compact_data);
	return 0;
}

int py_object_read_str(struct memory *mem, const struct py_layout *l, remote_addr str, char *buf,
		       size_t size, bool *truncated)
{
	uint8_t ahead[STR_READ_BYTES];
	auto_free uint8_t *rest = NULL;
	const uint8_t *chars = ahead;
	struct str_data data;
	bool all = true;
	size_t n;
	int got, r;

	if (l->unicode.compact_data > PY_MAX_STR_BYTES)
		return -EBADMSG;
	got = read_ahead(mem, str, ahead, l->unicode.compact_data, sizeof(ahead));
	if (got < 0)
		return got;
	r = find_str_data(mem, l, str, ahead, &data);
	if (r < 0)
		return r;
	n = data.length < size ? (size_t)data.length : size - 1;
	if (data.at - str <= (unsigned)got && n * data.kind <= (unsigned)got - (data.at - str)) {
		chars = ahead + (data.at - str);
	} else if (n) {
		chars = rest = xmalloc(n * data.kind);
		r = memory_read(mem, data.at, rest, n * data.kind);
		if (r < 0)
			return r;
	}
	n = to_utf8(chars, n, data.kind, buf, size, &all);
	buf[n] = '\0';
	if (truncated)
		*truncated = !all || data.length >= size;
	return (int)n;
}

int py_object_read_bytes(struct memory *mem, const struct py_layout *l, remote_addr bytes,
			 size_t max, uint8_t **ret, size_t *ret_len)
{
	uint8_t ahead[BYTES_READ_BYTES];
	auto_free uint8_t *data = NULL;
	size_t have, from = l->bytes.data - l->bytes.size;
	uint64_t size;
	int got, r;

	if (l->bytes.data < l->bytes.size || from > sizeof(ahead) - sizeof(size))
		return -EBADMSG;
	got = read_ahead(mem, bytes + l->bytes.size, ahead, sizeof(size), sizeof(ahead));
	if (got < 0)
		return got;
	memcpy(&size, ahead, sizeof(size));
	*ret_len = size;
	if (size > max)
		return -EBADMSG;
	data = xmalloc(size);
	have = (size_t)got > from ? (size_t)got - from : 0;
	have = have < size ? have : size;
	memcpy(data, ahead + (have ? from : 0), have);
	if (have < size) {
		r = memory_read(mem, bytes + l->bytes.data + have, data + have, size - have);
		if (r < 0)
			return r;
	}
	*ret = steal_ptr(data);
	return 0;
}

/* PyDictKeysObject to 3.10 (Objects/dict-common.h). */
#define DICT_MA_KEYS	 32
#define KEYS_SIZE	 8
#define KEYS_NENTRIES	 32
#define KEYS_INDICES	 40
#define KEYS_ENTRY_BYTES 24 /* hash, key, value */

int py_object_dict_get(struct memory *mem, const struct py_layout *l, remote_addr dict,
		       const char *key, remote_addr *ret)
{
	uint64_t keys, head[5], size, n;
	remote_addr entries;
	int r;

	r = memory_read_u64(mem, dict + DICT_MA_KEYS, &keys);
	if (r < 0)
		return r;
	r = memory_read(mem, keys, head, sizeof(head));
	if (r < 0)
		return r;
	size = head[KEYS_SIZE / 8];
	n = head[KEYS_NENTRIES / 8];
	if (n > MAX_DICT_ENTRIES || size > 2 * MAX_DICT_ENTRIES)
		return -EBADMSG;
	entries = keys + KEYS_INDICES + size * (size <= 0xff ? 1 : size <= 0xffff ? 2 : 4);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t entry[3];
		char name[64];

		r = memory_read(mem, entries + i * KEYS_ENTRY_BYTES, entry, sizeof(entry));
		if (r < 0)
			return r;
		if (!entry[1] || !entry[2])
			continue;
		r = py_object_read_str(mem, l, entry[1], name, sizeof(name), NULL);
		if (r >= 0 && strcmp(name, key) == 0) {
			*ret = entry[2];
			return 0;
		}
	}
	return -ENOENT;
}

int py_object_read_int(struct memory *mem, remote_addr obj, uint64_t *ret)
{
	uint64_t n_digits;
	uint32_t digits[2] = {0, 0};
	int r;

	r = memory_read_u64(mem, obj + PY_OB_SIZE, &n_digits);
	if (r < 0)
		return r;
	if (n_digits > 2)
		return -EBADMSG;
	if (n_digits) {
		r = memory_read(mem, obj + 24, digits, 4 * n_digits);
		if (r < 0)
			return r;
	}
	*ret = (uint64_t)digits[0] | (uint64_t)digits[1] << 30;
	return 0;
}
