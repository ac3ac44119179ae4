/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/native_stack.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/oncpu/native_images.h"
#include "recorder/oncpu/native_memory.h"
#include "recorder/oncpu/native_names.h"
#include "recorder/oncpu/native_sites.h"
#include "recorder/oncpu/native_step.h"
#include "recorder/oncpu/native_tables.h"

/*
 * Mappings are read anew when they are so old. Where a stack ends early there may be new code, so
 * they are then read earlier, though not each time: some stacks always end so.
 */
#define MAX_AGE_NS     (10 * NS_PER_S)
#define RETRY_AFTER_NS (100 * NS_PER_MS)

struct native_unwinder {
	int maps_fd;
	struct native_memory *memory;
	struct native_images images;
	uint64_t images_ns; /* when they were read; 0: not yet */
	struct native_sites *sites;
	struct native_names *names;
	struct native_stepper *stepper;
};

static const char *const end_texts[N_NATIVE_ENDS] = {
    [NATIVE_COMPLETE] = "complete",
    [NATIVE_NO_CODE] = "address not in the code of a file",
    [NATIVE_NO_TABLE] = "no unwind table for this code",
    [NATIVE_BAD_TABLE] = "unwind table makes no sense",
    [NATIVE_NO_REGISTER] = "depends on a register that is not known",
    [NATIVE_UNREADABLE] = "stack not readable",
    [NATIVE_LOOP] = "stack does not end",
    [NATIVE_TOO_DEEP] = "too many frames",
};

const char *native_end_text(enum native_end end)
{
	return end < N_NATIVE_ENDS ? end_texts[end] : "unknown";
}

/* --- object --- */

struct native_unwinder *native_unwinder_new(struct memory *mem, int maps_fd, native_open_fn open,
					    void *ctx)
{
	struct native_unwinder *u = xcalloc(1, sizeof(*u));

	u->maps_fd = maps_fd;
	u->memory = native_memory_new(mem);
	u->sites = native_sites_new();
	u->names = native_names_new(open, ctx);
	u->stepper = native_stepper_new(u->memory, u->sites, &u->images);
	return u;
}

void native_unwinder_free(struct native_unwinder *u)
{
	if (!u)
		return;
	native_stepper_free(u->stepper);
	native_names_free(u->names);
	native_sites_free(u->sites);
	native_images_done(&u->images);
	native_memory_free(u->memory);
	free(u);
}

/* --- images --- */

static void forget_sites(struct native_unwinder *u)
{
	native_sites_clear(u->sites);
	native_stepper_forget(u->stepper);
}

/* Returns whether code is mapped otherwise than before, or a negative errno. */
static int renew_images(struct native_unwinder *u)
{
	auto_native_images struct native_images images = {0};
	struct mappings maps;
	int r;

	r = mappings_read(u->maps_fd, &maps);
	if (r < 0)
		return r;
	native_images_init(&images, &maps);
	u->images_ns = clock_monotonic_ns();
	if (native_images_same(&images, &u->images))
		return 0;
	native_images_done(&u->images);
	u->images = images;
	images = (struct native_images){0};
	native_names_prune(u->names, &u->images);
	forget_sites(u);
	return 1;
}

static bool are_images_older(const struct native_unwinder *u, uint64_t age_ns)
{
	return u->images_ns == 0 || clock_monotonic_ns() - u->images_ns >= age_ns;
}

void native_unwinder_expire(struct native_unwinder *u)
{
	u->images_ns = 0;
}

/* --- unwinding --- */

struct walk {
	struct native_frame *frames;
	size_t max, n;
	enum native_end end;
	int error; /* -ESRCH when the target is gone */
};

/*
 * Put a frame down and find out how to leave it.
 * Returns its site, lent until the next one, or NULL with walk->end set.
 */
static const struct native_site *enter_frame(struct native_unwinder *u, struct walk *walk,
					     uint64_t ip, bool after_call)
{
	struct native_frame *frame = &walk->frames[walk->n++];
	const struct native_site *site;
	int r;

	*frame = (struct native_frame){.ip = ip, .after_call = after_call};
	r = native_sites_get(u->sites, &u->images, u->memory, ip, after_call, &site);
	if (r < 0) {
		walk->end = native_end_of_error(r);
		walk->error = r == -ESRCH ? r : 0;
		return NULL;
	}
	frame->start = site->start;
	if (site->image && site->error == 0)
		return site;
	walk->end = site->image ? native_end_of_error(site->error) : NATIVE_NO_CODE;
	return NULL;
}

static void walk_stack(struct native_unwinder *u, struct walk *walk, uint64_t ip, uint64_t sp)
{
	bool after_call = false;

	walk->n = 0;
	walk->error = 0;
	walk->end = NATIVE_UNREADABLE;
	if (native_sites_are_full(u->sites))
		forget_sites(u);
	native_memory_begin(u->memory, sp);
	if (!native_stepper_begin(u->stepper, ip, sp))
		return;
	while (walk->n < walk->max) {
		const struct native_site *site = enter_frame(u, walk, ip, after_call);

		if (!site)
			return;
		/* The kernel's frame goes back into the middle of something. */
		after_call = !site->signal_frame;
		if (!native_stepper_leave(u->stepper, site, &ip, &sp, &walk->end)) {
			walk->error = native_stepper_error(u->stepper);
			return;
		}
	}
	walk->end = NATIVE_TOO_DEEP;
}

/*
 * The file of the last frame may have tables that its program headers don't lead to: look into it,
 * once. Returns whether it has.
 */
static bool find_tables(struct native_unwinder *u, const struct walk *walk)
{
	const struct native_frame *last = &walk->frames[walk->n - 1];
	struct native_image *image;
	uint64_t addr, size;

	if (walk->end != NATIVE_NO_TABLE)
		return false;
	image = native_images_find(&u->images, native_site_code(last->ip, last->after_call));
	if (!image || image->state != NATIVE_IMAGE_NO_TABLE || image->has_tried_index)
		return false;
	image->has_tried_index = true;
	if (native_names_find_section(u->names, image, ".eh_frame", &addr, &size) < 0 ||
	    native_image_index(image, u->memory, addr, size) < 0)
		return false;
	forget_sites(u);
	return true;
}

/* Whether other mappings may tell more. */
static bool may_know_more(const struct native_unwinder *u, const struct walk *walk)
{
	return walk->end != NATIVE_COMPLETE && walk->end != NATIVE_TOO_DEEP && walk->error == 0 &&
	       are_images_older(u, RETRY_AFTER_NS);
}

int native_unwind(struct native_unwinder *u, uint64_t ip, uint64_t sp, struct native_frame *frames,
		  size_t max, size_t *ret_n, enum native_end *ret_end)
{
	struct walk walk = {
	    .frames = frames,
	    .max = max < NATIVE_MAX_FRAMES ? max : NATIVE_MAX_FRAMES,
	};
	int r;

	if (are_images_older(u, MAX_AGE_NS)) {
		r = renew_images(u);
		if (r < 0)
			return r;
	}
	walk_stack(u, &walk, ip, sp);
	if (may_know_more(u, &walk)) {
		r = renew_images(u);
		if (r < 0)
			return r;
		if (r > 0)
			walk_stack(u, &walk, ip, sp);
	}
	while (find_tables(u, &walk))
		walk_stack(u, &walk, ip, sp);
	if (walk.error < 0)
		return walk.error;
	*ret_n = walk.n;
	*ret_end = walk.end;
	return 0;
}

/* --- names --- */

static void name_frame(struct native_unwinder *u, struct native_frame *frame)
{
	uint64_t code = native_site_code(frame->ip, frame->after_call);
	struct native_image *image = native_images_find(&u->images, code);
	const struct native_symbols *symbols;
	uint64_t start;

	frame->module = NULL;
	frame->function = NULL;
	frame->offset = 0;
	if (!image)
		return;
	frame->module = native_image_name(image);
	if (native_image_load(image, u->memory) < 0 || image->state < NATIVE_IMAGE_NO_TABLE) {
		frame->offset = frame->ip - image->start;
		if (image->mapping)
			frame->offset += image->mapping->offset;
		return;
	}
	symbols = native_names_get(u->names, image, u->memory);
	code -= image->bias;
	start = frame->start ? frame->start - image->bias : code;
	frame->function = native_symbols_find(symbols, code, start, &frame->offset);
	if (frame->function)
		frame->offset += frame->after_call;
	else
		frame->offset = frame->ip - image->bias;
}

void native_name(struct native_unwinder *u, struct native_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		name_frame(u, &frames[i]);
}
