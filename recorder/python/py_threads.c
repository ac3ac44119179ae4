/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_threads.h"

#include <errno.h>
#include <string.h>

#include "common/xalloc.h"

static uint64_t u64_in(const uint8_t *p, uint32_t offset)
{
	uint64_t v;

	memcpy(&v, p + offset, sizeof(v));
	return v;
}

/* What is needed of an interpreter lies closer together than this in all versions so far. */
#define INTERP_BYTES 256

struct interp {
	uint64_t id;
	remote_addr next, newest_thread;
};

static int read_interp(struct memory *mem, const struct py_layout *l, remote_addr addr,
		       struct interp *ret)
{
	const uint32_t fields[] = {l->interp.id, l->interp.next, l->interp.threads_head};
	uint64_t *values[] = {&ret->id, &ret->next, &ret->newest_thread};
	uint32_t first = fields[0], last = fields[0];
	uint8_t raw[INTERP_BYTES];
	int r = 0;

	for (int i = 1; i < 3; i++) {
		first = fields[i] < first ? fields[i] : first;
		last = fields[i] > last ? fields[i] : last;
	}
	if (last - first > sizeof(raw) - 8) {
		for (int i = 0; r == 0 && i < 3; i++)
			r = memory_read_u64(mem, addr + fields[i], values[i]);
		return r;
	}
	r = memory_read(mem, addr + first, raw, last - first + 8u);
	for (int i = 0; r == 0 && i < 3; i++)
		*values[i] = u64_in(raw, fields[i] - first);
	return r;
}

/* The threads of one interpreter, newest first; each must name its interpreter. */
static int list_threads(struct memory *mem, const struct py_layout *l, remote_addr interp,
			remote_addr tstate, const struct py_thread *proto,
			struct py_thread **threads, size_t *cap, size_t *n)
{
	int r = 0;

	while (tstate) {
		uint8_t raw[PY_MAX_TSTATE_BYTES];
		uint32_t native = l->thread.native_thread_id;
		uint32_t len = (native != LAYOUT_ABSENT ? native : l->thread.thread_id) + 8;
		struct py_thread t = *proto;

		if (*n == PY_MAX_THREADS)
			return 0;
		if (len > sizeof(raw))
			return -EBADMSG;
		r = memory_read(mem, tstate, raw, len);
		if (r < 0)
			break;
		if (u64_in(raw, l->thread.interp) != interp)
			return -EAGAIN;
		t.tstate = tstate;
		t.python_id = u64_in(raw, l->thread.thread_id);
		t.native_id = native != LAYOUT_ABSENT ? u64_in(raw, native) : 0;
		*threads = xgrow(*threads, cap, *n + 1, sizeof(t));
		(*threads)[(*n)++] = t;
		tstate = u64_in(raw, l->thread.next);
	}
	/* A thread state is freed when its thread ends: the list was read while that happened. */
	return r == -EFAULT ? -EAGAIN : r;
}

int py_threads_list(struct memory *mem, const struct py_layout *l, remote_addr runtime,
		    struct py_thread **threads, size_t *cap)
{
	remote_addr addr;
	size_t n = 0;
	int r;

	r = memory_read_u64(mem, runtime + l->runtime.interpreters_head, &addr);
	for (int i = 0; r == 0 && addr && i < PY_MAX_INTERPRETERS; i++) {
		struct py_thread proto = {.gil = runtime + l->runtime.gil};
		struct interp interp = {0};

		r = read_interp(mem, l, addr, &interp);
		if (r == 0 && l->interp.gil != LAYOUT_ABSENT)
			r = memory_read_u64(mem, addr + l->interp.gil, &proto.gil);
		if (r < 0)
			break;
		proto.interpreter = interp.id;
		r = list_threads(mem, l, addr, interp.newest_thread, &proto, threads, cap, &n);
		addr = interp.next;
	}
	return r < 0 ? r : (int)n;
}

int py_gil_read(struct memory *mem, const struct py_layout *l, remote_addr gil, struct py_gil *ret)
{
	uint8_t raw[64];
	int32_t locked;
	int r;

	if (l->gil.switch_number + 8 > sizeof(raw))
		return -EBADMSG;
	r = memory_read(mem, gil, raw, l->gil.switch_number + 8);
	if (r < 0)
		return r;
	memcpy(&locked, raw + l->gil.locked, sizeof(locked));
	ret->last_holder = u64_in(raw, l->gil.last_holder);
	ret->switches = u64_in(raw, l->gil.switch_number);
	ret->locked = locked > 0;
	return 0;
}
