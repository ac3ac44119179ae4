/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A target's memory as an unwinder reads it: word by word, mostly from the same few pages. What
 * was read once during an unwind is not read again, the stack comes in pieces of a few pages, and
 * an unwind gets only so many reads and words: foreign tables must not make us read for ever.
 */
#ifndef RECORDER_ONCPU_NATIVE_MEMORY_H
#define RECORDER_ONCPU_NATIVE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/target/memory.h"

/* What one unwind may take. A deep stack that is seen for the first time takes a hundredth. */
#define NATIVE_MEMORY_MAX_READS 16384
#define NATIVE_MEMORY_MAX_WORDS (1u << 20)

struct native_memory;

/* @mem  lent: must stay as long as the object */
struct native_memory *native_memory_new(struct memory *mem);
void native_memory_free(struct native_memory *m);

/*
 * Forget what was read: a new unwind begins, at this stack pointer. What lies from there on, up
 * to a few pages, is read at once, so that it is of one moment as far as it can be.
 */
void native_memory_begin(struct native_memory *m, uint64_t sp);

/*
 * Both return 0, -EFAULT when a part is not mapped there, -ESRCH when the address space is gone,
 * or -ELOOP when the unwind has had its share.
 */
int native_memory_read(struct native_memory *m, remote_addr addr, void *buf, size_t len);
int native_memory_read_word(struct native_memory *m, remote_addr addr, uint64_t *ret);

#endif
