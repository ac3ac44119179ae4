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

/* The threads of one interpreter, newest first; each must name its interpreter. */
static int list_threads(struct memory *mem, const struct py_layout *l, remote_addr interp,
			const struct py_thread *proto, struct py_thread **threads, size_t *cap,
			size_t *n)
{
	remote_addr tstate;
	int r = memory_read_u64(mem, interp + l->interp.threads_head, &tstate);

	while (r == 0 && tstate) {
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
	remote_addr interp;
	size_t n = 0;
	int r;

	r = memory_read_u64(mem, runtime + l->runtime.interpreters_head, &interp);
	for (int i = 0; r == 0 && interp && i < PY_MAX_INTERPRETERS; i++) {
		struct py_thread proto = {0};

		r = memory_read_u64(mem, interp + l->interp.id, &proto.interpreter);
		if (r == 0 && l->interp.gil != LAYOUT_ABSENT)
			r = memory_read_u64(mem, interp + l->interp.gil, &proto.gil);
		else
			proto.gil = runtime + l->runtime.gil;
		if (r == 0)
			r = list_threads(mem, l, interp, &proto, threads, cap, &n);
		if (r == 0)
			r = memory_read_u64(mem, interp + l->interp.next, &interp);
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
