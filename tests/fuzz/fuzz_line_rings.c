/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings of line events with anything in them, which change while they are read: the input is a list
 * of what is written, and of when it is read. Each read is bounded and ends, and what it returns is
 * within what was asked for.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/exact/line_rings.h"
#include "tests/support/line_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_RINGS 3
#define BYTES	((size_t)4096)

#define REGS                                                                  \
	(UINT64_C(1) << 3 | UINT64_C(1) << usdt_stack_pointer(USDT_MACHINE) | \
	 UINT64_C(1) << (USDT_REGS_MAX - 1))

enum {
	PUT_SAMPLE,
	PUT_LOST,
	PUT_RAW,
	SET_HEAD,
	SET_TAIL,
	MOVE_HEAD,
	OVERWRITE,
	READ,
	N_STEPS,
};

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t number(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	if (bytes > in->left)
		bytes = in->left;
	memcpy(&value, in->at, bytes);
	in->at += bytes;
	in->left -= bytes;
	return value;
}

static void put_sample(struct line_writer *w, struct input *in)
{
	static const uint8_t stack[64];
	struct line_write what = {.time_ns = number(in, 1), .ip = 1, .event = 2, .tid = 3};

	what.stack = stack;
	what.stack_len = (uint32_t)(8 * (number(in, 1) % 9));
	line_writer_sample(w, &what);
}

static void put_raw(struct line_writer *w, struct input *in)
{
	uint32_t type = (uint32_t)number(in, 1) % 16;
	uint16_t size = (uint16_t)number(in, 2);
	uint64_t body[64] = {0};
	size_t n = number(in, 1) % 64;

	for (size_t i = 0; i < n; i++)
		body[i] = number(in, i % 4 == 2 ? 8 : 1);
	line_writer_raw(w, type, size, body, n * sizeof(body[0]));
}

static void overwrite(const struct line_writer *w, struct input *in)
{
	size_t offset = number(in, 2) % BYTES, n = number(in, 1);

	for (size_t i = 0; i < n; i++)
		w->data[(offset + i) % BYTES] = (uint8_t)number(in, 1);
}

static void check(const struct line_sample *sample, enum line_record kind, uint64_t until_ns)
{
	uint8_t sum = 0;

	if (sample->cpu >= N_RINGS || sample->time_ns > until_ns)
		abort();
	if (kind == LINE_LOST && !sample->lost)
		abort();
	if (kind != LINE_REACHED)
		return;
	for (size_t i = 0; i < sample->state.stack_len; i++)
		sum ^= sample->state.stack[i];
	/* So that it is read. */
	__asm__ volatile("" : : "r"(sum));
}

/* All of it, as much as can be in there. */
static void read_all(struct line_rings *rings, uint64_t until_ns)
{
	struct line_sample sample = {0};
	enum line_record kind;
	size_t n = 0, of;

	while ((kind = line_rings_next(rings, until_ns, &sample)) != LINE_NOTHING) {
		check(&sample, kind, until_ns);
		if (++n > N_RINGS * (BYTES / 8 + 1))
			abort();
	}
	if (line_rings_fill(rings, &of) > of)
		abort();
}

static void step(struct line_writer *writers, struct line_rings *rings, struct input *in)
{
	uint8_t what = (uint8_t)number(in, 1);
	struct line_writer *w = &writers[what / N_STEPS % N_RINGS];
	struct line_sample sample = {0};

	switch (what % N_STEPS) {
	case PUT_SAMPLE:
		put_sample(w, in);
		break;
	case PUT_LOST:
		line_writer_lost(w, number(in, 8), number(in, 2));
		break;
	case PUT_RAW:
		put_raw(w, in);
		break;
	case SET_HEAD:
		w->page->data_head = w->head = number(in, 8);
		break;
	case SET_TAIL:
		w->page->data_tail = number(in, 8);
		break;
	case MOVE_HEAD:
		w->head += number(in, 2);
		w->page->data_head = w->head;
		break;
	case OVERWRITE:
		overwrite(w, in);
		break;
	default: /* some, or all */
		if (what & 0x80) {
			read_all(rings, number(in, 2));
		} else {
			uint64_t until_ns = number(in, 1);
			enum line_record kind = line_rings_next(rings, until_ns, &sample);

			if (kind != LINE_NOTHING)
				check(&sample, kind, until_ns);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct line_writer writers[N_RINGS];
	struct input in = {data, size};
	struct line_rings *rings;
	int fds[N_RINGS];

	for (unsigned i = 0; i < N_RINGS; i++) {
		struct line_writer *w = &writers[i];

		if (!w->page)
			line_writer_init(w, BYTES, REGS);
		memset(w->data, 0, BYTES);
		w->head = w->n_lost = 0;
		w->page->data_head = w->page->data_tail = 0;
		fds[i] = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
	}
	if (line_rings_new(fds, N_RINGS, BYTES, REGS, &rings) < 0)
		abort();
	while (in.left)
		step(writers, rings, &in);
	read_all(rings, UINT64_MAX);
	line_rings_free(rings);
	return 0;
}
