/* SPDX-License-Identifier: BSD-3-Clause */
/* From one frame of a sleeping thread to its caller, by what the unwind tables say. */
#ifndef RECORDER_ONCPU_NATIVE_STEP_H
#define RECORDER_ONCPU_NATIVE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/oncpu/native_stack.h"

struct native_images;
struct native_memory;
struct native_site;
struct native_sites;
struct native_stepper;

/* All lent: they must stay as long as the stepper. */
struct native_stepper *native_stepper_new(struct native_memory *memory, struct native_sites *sites,
					  const struct native_images *images);
void native_stepper_free(struct native_stepper *s);

/* Forget what was learned: the sites were cleared. */
void native_stepper_forget(struct native_stepper *s);

/* Begin with the innermost frame. Returns whether that is possible. */
bool native_stepper_begin(struct native_stepper *s, uint64_t ip, uint64_t sp);

/*
 * Leave a frame.
 * @site     where it is; one without an error
 * @ip, @sp  in and out: of the frame, then of its caller
 * @ret_end  why there is no caller, if so
 * Returns whether there is one.
 */
bool native_stepper_leave(struct native_stepper *s, const struct native_site *site, uint64_t *ip,
			  uint64_t *sp, enum native_end *ret_end);

/* -ESRCH when the target was found to be gone since the beginning, or 0. */
int native_stepper_error(const struct native_stepper *s);

/* What an error of native_memory_read() or native_cfi_find() means for a stack. */
enum native_end native_end_of_error(int error);

#endif
