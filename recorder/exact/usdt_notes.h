/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The USDT probes of a program: what its notes (.note.stapsdt) say of where they are, which
 * semaphores turn them on, and where their arguments are. The file is under the target's control,
 * as are the notes.
 */
#ifndef RECORDER_EXACT_USDT_NOTES_H
#define RECORDER_EXACT_USDT_NOTES_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/exact/usdt_args.h"
#include "recorder/target/elf_image.h"

#define USDT_NAME_MAX 48
#define USDT_TEXT_MAX 256

struct usdt_probe {
	char name[USDT_NAME_MAX];
	char text[USDT_TEXT_MAX];  /* of the arguments */
	uint64_t pc;		   /* address before the load bias is added */
	uint64_t semaphore;	   /* the same; 0: none */
	uint64_t pc_offset;	   /* in the file */
	uint64_t semaphore_offset; /* in the file; 0: none */
	struct usdt_arg args[USDT_ARGS_MAX];
	int n_args; /* or why they are not understood: a negative errno */
};

/*
 * Take the bytes of the notes to pieces, those of this provider. Offsets stay 0.
 * @notes_base  address of .stapsdt.base in the file, 0: there is none; addresses in the notes are
 *              moved by as much as it was since they were written (prelink)
 * Returns how many there are, of which at most max are in ret, or -EBADMSG.
 */
int usdt_notes_parse(const void *notes, size_t len, const char *provider, uint64_t notes_base,
		     struct usdt_probe *ret, size_t max);

/*
 * The same of a file, with offsets. A probe that is not in code, or whose semaphore is nowhere in
 * the file, is left out.
 * Returns how many are in ret; -ENOENT when there are no notes at all; -EFBIG; -EBADMSG.
 */
int usdt_notes_read(struct elf_image *image, const char *provider, struct usdt_probe *ret,
		    size_t max);

#endif
