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

int py_object_read_str(struct memory *mem, const struct py_layout *l, remote_addr str, char *buf,
		       size_t size, bool *truncated)
{
	uint8_t head[PY_MAX_STR_BYTES];
	uint64_t length;
	unsigned state, kind;
	remote_addr data;
	auto_free uint8_t *chars = NULL;
	bool all = true;
	size_t n;
	int r;

	if (l->unicode.compact_data > sizeof(head))
		return -EBADMSG;
	r = memory_read(mem, str, head, l->unicode.compact_data);
	if (r < 0)
		return r;
	memcpy(&length, head + l->unicode.length, 8);
	state = head[l->unicode.state];
	kind = STATE_KIND(state);
	if (length > INT32_MAX || (kind != 1 && kind != 2 && kind != 4))
		return -EBADMSG;
	if (STATE_COMPACT(state))
		data = str + (STATE_ASCII(state) ? l->unicode.ascii_data : l->unicode.compact_data);
	else {
		r = memory_read_u64(mem, str + l->unicode.compact_data, &data);
		if (r < 0)
			return r;
	}
	n = length < size ? (size_t)length : size - 1;
	if (n) {
		chars = xmalloc(n * kind);
		r = memory_read(mem, data, chars, n * kind);
		if (r < 0)
			return r;
	}
	n = to_utf8(chars, n, kind, buf, size, &all);
	buf[n] = '\0';
	if (truncated)
		*truncated = !all || length >= size;
	return (int)n;
}

int py_object_read_bytes(struct memory *mem, const struct py_layout *l, remote_addr bytes,
			 size_t max, uint8_t **ret, size_t *ret_len)
{
	auto_free uint8_t *data = NULL;
	uint64_t size;
	int r;

	r = memory_read_u64(mem, bytes + l->bytes.size, &size);
	if (r < 0)
		return r;
	*ret_len = size;
	if (size > max)
		return -EBADMSG;
	data = xmalloc(size);
	if (size) {
		r = memory_read(mem, bytes + l->bytes.data, data, size);
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
