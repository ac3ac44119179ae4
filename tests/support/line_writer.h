/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings of line events as the kernel writes them (line_rings.h reads them), in memory of our own:
 * for tests and benchmarks, which need no privilege and no probes for that. Mistakes of the caller
 * abort.
 */
#ifndef TESTS_SUPPORT_LINE_WRITER_H
#define TESTS_SUPPORT_LINE_WRITER_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/exact/usdt_args.h"

struct line_writer {
	int fd; /* to be handed over, or closed */
	struct perf_event_mmap_page *page;
	uint8_t *data;
	size_t bytes;
	uint64_t regs; /* that are in each sample, as bits */
	uint64_t head;
	uint64_t n_lost; /* not told yet */
};

/* What a probe says. Those of regs[] that are not asked for are left out. */
struct line_write {
	uint64_t time_ns;
	uint64_t ip;
	uint64_t event;
	uint32_t tid;
	uint32_t stack_len; /* multiple of 8; 0: none is copied */
	const uint8_t *stack;
	uint64_t regs[USDT_REGS_MAX];
};

void line_writer_init(struct line_writer *w, size_t bytes, uint64_t regs);
/* Not the descriptor. */
void line_writer_done(struct line_writer *w);

/*
 * As the kernel does when a probe is reached. False: there is no room, which is told
 * (PERF_RECORD_LOST) before the next one for which there is.
 */
bool line_writer_sample(struct line_writer *w, const struct line_write *what);
/* So many were lost up to then. */
bool line_writer_lost(struct line_writer *w, uint64_t lost, uint64_t time_ns);
/* Anything: a header of that type and size, and what follows it. Size is what the header says. */
bool line_writer_raw(struct line_writer *w, uint32_t type, uint16_t size, const void *body,
		     size_t len);
/* Bytes that were not taken yet. */
size_t line_writer_fill(const struct line_writer *w);

#endif
