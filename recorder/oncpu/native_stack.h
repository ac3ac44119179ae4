/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The native call stack of a thread of another process, which sleeps in the kernel and goes on
 * doing so: it is neither stopped nor asked. Of its registers two are known, those that
 * /proc/PID/task/TID/syscall ends with; all else comes from its memory. Should it wake up
 * meanwhile, the stack is a mixture: who calls looks afterwards whether it still sleeps.
 *
 * A stack either goes down to where the thread began, or says why it does not. No frame is a
 * guess: where one is found through a register that is not known, the function's own code has to
 * say how large it is, and a call to be in front of its return address (native_step.c). Memory,
 * unwind tables and ELF files are the target's, and may be wrong or hostile.
 *
 * An unwinder belongs to one thread at a time.
 */
#ifndef RECORDER_ONCPU_NATIVE_STACK_H
#define RECORDER_ONCPU_NATIVE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "recorder/oncpu/native_symbols.h"
#include "recorder/target/memory.h"

struct native_unwinder;

#define NATIVE_MAX_FRAMES 512

enum native_end {
	NATIVE_COMPLETE,    /* the last frame is the one that the thread began with */
	NATIVE_NO_CODE,	    /* an address in no file's code: generated code, or no address */
	NATIVE_NO_TABLE,    /* the file has no unwind table for that code */
	NATIVE_BAD_TABLE,   /* it has one that makes no sense, or is beyond what is looked at */
	NATIVE_NO_REGISTER, /* the frame is found through a register that is not known */
	NATIVE_UNREADABLE,  /* the stack, or what the table refers to, is not mapped */
	NATIVE_LOOP,	    /* the next frame is not further up the stack, or it took too long */
	NATIVE_TOO_DEEP,    /* there are more frames than asked for */
	N_NATIVE_ENDS
};

/* A few words for people; "complete" and so on. */
const char *native_end_text(enum native_end end);

struct native_frame {
	uint64_t ip;
	/* ip is where it will go on after a call; the call itself is in front of that. */
	bool after_call;
	uint64_t start; /* where its function begins, by the unwind table; 0 when that is unknown */
	/* From native_name(): */
	const char *module;   /* path as the target names it, "[vdso]", or NULL: no file */
	const char *function; /* its symbol, any bytes; NULL when no symbol covers it */
	/* Of ip in the function; without one, in the file: what addr2line takes. */
	uint64_t offset;
};

/*
 * @mem      lent
 * @maps_fd  of the target's /proc/PID/maps, or a file with such a text; lent
 * @open     where files with symbols come from, see native_symbols.h; @ctx is passed to it
 */
struct native_unwinder *native_unwinder_new(struct memory *mem, int maps_fd, native_open_fn open,
					    void *ctx);
void native_unwinder_free(struct native_unwinder *u);

DEFINE_CLEANUP(struct native_unwinder *, native_unwinder_free)
#define auto_native_unwinder auto_release(native_unwinder_free)

/*
 * Unwind. Reads the target's memory, and its mappings when they may have changed; a file only once
 * when it is an image without a table to search, as programs are that are linked statically.
 * @ip, @sp       of the thread
 * @frames        innermost first, at most max (at most NATIVE_MAX_FRAMES); without names
 * @ret_n         how many; at least 1 where max is
 * @ret_end       why the last one is the last
 * Returns 0, or -ESRCH when the target is gone (or another negative errno of mappings_read()).
 */
int native_unwind(struct native_unwinder *u, uint64_t ip, uint64_t sp, struct native_frame *frames,
		  size_t max, size_t *ret_n, enum native_end *ret_end);

/*
 * The target's mappings have changed: they are read again with the next unwind. Without being told,
 * an unwinder notices when a stack seems to end early, and within ten seconds.
 */
void native_unwinder_expire(struct native_unwinder *u);

/*
 * Fill in module, function and offset of frames of the last native_unwind(). What they point to is
 * lent until the next one. Reads symbols of files that were not met before, which may take ms.
 */
void native_name(struct native_unwinder *u, struct native_frame *frames, size_t n);

#endif
