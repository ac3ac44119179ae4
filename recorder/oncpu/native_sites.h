/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The places in code that a target's stacks were seen at, and how to leave each: a stack goes
 * through the same few hundred places again and again. What unwind tables say is kept here in a
 * form that libunwind reads, checked, and out of the target's reach.
 */
#ifndef RECORDER_ONCPU_NATIVE_SITES_H
#define RECORDER_ONCPU_NATIVE_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct native_image;
struct native_images;
struct native_memory;
struct native_sites;

struct native_site {
	uint64_t ip;
	bool after_call;	    /* it follows a call, which is what was being executed */
	struct native_image *image; /* NULL: not in any file's code */
	int error;		    /* 0, or why there is no way on: of native_cfi_find() */
	/* Only without error: */
	uint64_t start, end; /* of the function around it */
	bool signal_frame;
	uint64_t table; /* of native_sites_read(): a table with this one function */
};

/* Addresses of tables, for native_sites_read(); no machine has such for a process. */
#define NATIVE_SITES_BASE (UINT64_C(1) << 63)

struct native_sites *native_sites_new(void);
void native_sites_free(struct native_sites *sites);

/* Forget all. */
void native_sites_clear(struct native_sites *sites);
/* Whether it is time to: there are more than fit into bounded memory. */
bool native_sites_are_full(const struct native_sites *sites);

/*
 * Get the site of an address, reading from the target what is not known yet.
 * @ret  lent until the next call, or the next clear
 * Returns 0, or -EFAULT, -ESRCH or -ELOOP of native_memory_read(): then nothing was kept.
 */
int native_sites_get(struct native_sites *sites, const struct native_images *images,
		     struct native_memory *memory, uint64_t ip, bool after_call,
		     const struct native_site **ret);

/* Eight bytes of a table. Returns 0 or -EFAULT. */
int native_sites_read(const struct native_sites *sites, uint64_t addr, uint64_t *ret);

/* The address that tells the function: a call may be the last instruction of one. */
static inline uint64_t native_site_code(uint64_t ip, bool after_call)
{
	return after_call ? ip - 1 : ip;
}

#endif
