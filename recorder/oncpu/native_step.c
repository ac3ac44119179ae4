/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libunwind lives behind this file alone. It executes call frame information and keeps track of
 * where registers were saved; it sees the target through the functions below. What it reads of
 * unwind tables are the copies of native_sites.h; of the target itself it reads the stack, and
 * what an expression in a table leads to.
 *
 * It has ways of its own for code without a table, which guess. It takes them when it is told that
 * there is none (-UNW_ENOINFO), so that is never said here.
 */
#include "recorder/oncpu/native_step.h"

#include <errno.h>
#include <libunwind.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "recorder/oncpu/native_arch.h"
#include "recorder/oncpu/native_memory.h"
#include "recorder/oncpu/native_prologue.h"
#include "recorder/oncpu/native_sites.h"

/* Exported for such as us (perf does the same), though no header has it. */
extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip,
					      unw_dyn_info_t *di, unw_proc_info_t *pi,
					      int need_unwind_info, void *arg);
#define search_unwind_table UNW_OBJ(dwarf_search_unwind_table)

/* How much larger the frame pointer of a caller may be. */
#define CALLER_MAX_BYTES (UINT64_C(1) << 20)

enum native_end native_end_of_error(int error)
{
	switch (error) {
	case -ENOENT:
		return NATIVE_NO_TABLE;
	case -EBADMSG:
		return NATIVE_BAD_TABLE;
	case -ELOOP:
		return NATIVE_LOOP;
	default:
		return NATIVE_UNREADABLE;
	}
}

struct native_stepper {
	struct native_memory *memory;
	struct native_sites *sites;
	const struct native_images *images;
	unw_addr_space_t space;
	/* Of the unwind under way: */
	unw_cursor_t cursor;
	uint64_t ip, sp; /* of the innermost frame */
	bool has_frame_pointer;
	uint64_t frame_pointer;	 /* as it is in the innermost frame */
	struct native_site site; /* of the frame that is being left */
	enum native_end end;	 /* why something was refused */
	int error;		 /* -ESRCH when that was found out */
};

/* Note why libunwind gets no answer. */
static int refuse(struct native_stepper *s, enum native_end end, int error)
{
	s->end = end;
	if (error == -ESRCH)
		s->error = error;
	return -UNW_EUNSPEC;
}

/* --- what libunwind asks --- */

static int on_find_proc_info(unw_addr_space_t as, unw_word_t code, unw_proc_info_t *pi,
			     int need_unwind_info, void *arg)
{
	struct native_stepper *s = arg;
	const struct native_site *site = &s->site;
	unw_dyn_info_t di = {
	    .format = UNW_INFO_FORMAT_IP_OFFSET,
	    .start_ip = site->start,
	    .end_ip = site->end,
	    .u.rti = {.segbase = site->table, .table_data = site->table, .table_len = 1},
	};

	if (code < site->start || code >= site->end ||
	    search_unwind_table(as, code, &di, pi, need_unwind_info, arg) < 0 ||
	    (need_unwind_info && !pi->unwind_info))
		return refuse(s, NATIVE_BAD_TABLE, 0);
	return 0;
}

static int on_access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write,
			 void *arg)
{
	struct native_stepper *s = arg;
	uint64_t word;
	int r;

	(void)as;
	if (write)
		return -UNW_EREADONLYREG;
	if (addr >= NATIVE_SITES_BASE)
		r = native_sites_read(s->sites, addr, &word);
	else
		r = native_memory_read_word(s->memory, addr, &word);
	if (r < 0)
		return refuse(s, native_end_of_error(r), r);
	*value = word;
	return 0;
}

static int on_access_reg(unw_addr_space_t as, unw_regnum_t number, unw_word_t *value, int write,
			 void *arg)
{
	struct native_stepper *s = arg;

	(void)as;
	if (write)
		return -UNW_EREADONLYREG;
	if (number == NATIVE_UNW_PC)
		*value = s->ip;
	else if (number == NATIVE_UNW_SP)
		*value = s->sp;
	else if (number == NATIVE_UNW_FRAME && s->has_frame_pointer)
		*value = s->frame_pointer;
	else
		return refuse(s, NATIVE_NO_REGISTER, 0);
	return 0;
}

static int on_access_fpreg(unw_addr_space_t as, unw_regnum_t number, unw_fpreg_t *value, int write,
			   void *arg)
{
	(void)as;
	(void)number;
	(void)value;
	(void)write;
	return refuse(arg, NATIVE_NO_REGISTER, 0);
}

static void on_put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as;
	(void)pi;
	(void)arg;
}

/* Code that says at run time how to unwind it: nobody has that any more. */
static int on_get_dyn_info_list(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	(void)as;
	(void)addr;
	(void)arg;
	return -UNW_ENOINFO;
}

static int on_resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	(void)as;
	(void)cursor;
	(void)arg;
	return -UNW_EINVAL;
}

static int on_get_proc_name(unw_addr_space_t as, unw_word_t addr, char *buf, size_t size,
			    unw_word_t *offset, void *arg)
{
	(void)as;
	(void)addr;
	(void)buf;
	(void)size;
	(void)offset;
	(void)arg;
	return -UNW_ENOINFO;
}

static unw_accessors_t accessors = {
    .find_proc_info = on_find_proc_info,
    .put_unwind_info = on_put_unwind_info,
    .get_dyn_info_list_addr = on_get_dyn_info_list,
    .access_mem = on_access_mem,
    .access_reg = on_access_reg,
    .access_fpreg = on_access_fpreg,
    .resume = on_resume,
    .get_proc_name = on_get_proc_name,
};

/* --- object --- */

struct native_stepper *native_stepper_new(struct native_memory *memory, struct native_sites *sites,
					  const struct native_images *images)
{
	struct native_stepper *s = xcalloc(1, sizeof(*s));

	s->memory = memory;
	s->sites = sites;
	s->images = images;
	s->space = unw_create_addr_space(&accessors, 0);
	if (!s->space)
		xalloc_failed();
	unw_set_caching_policy(s->space, UNW_CACHE_GLOBAL);
	return s;
}

void native_stepper_free(struct native_stepper *s)
{
	if (!s)
		return;
	unw_destroy_addr_space(s->space);
	free(s);
}

void native_stepper_forget(struct native_stepper *s)
{
	unw_flush_cache(s->space, 0, 0);
}

bool native_stepper_begin(struct native_stepper *s, uint64_t ip, uint64_t sp)
{
	s->ip = ip;
	s->sp = sp;
	s->has_frame_pointer = false;
	s->error = 0;
	return unw_init_remote(&s->cursor, s->space, s) == 0;
}

/* --- frames with a frame pointer, when it is not known --- */

static bool is_saved_at(unw_cursor_t *cursor, int reg, uint64_t *ret)
{
	unw_save_loc_t where;

	if (unw_get_save_loc(cursor, reg, &where) < 0 || where.type != UNW_SLT_MEMORY)
		return false;
	*ret = where.u.addr;
	return true;
}

/* Leave the frame as if the frame pointer had this value. Returns whether that is possible. */
static bool try_frame_pointer(struct native_stepper *s, const unw_cursor_t *from, uint64_t value,
			      unw_cursor_t *ret)
{
	s->has_frame_pointer = true;
	s->frame_pointer = value;
	*ret = *from;
	return unw_step(ret) > 0;
}

/* Bytes from the lowest register that this frame has pushed up to its frame pointer. */
static bool find_pushed_bytes(struct native_stepper *s, const unw_cursor_t *from, uint64_t sp,
			      uint64_t *ret)
{
	static const int saved[] = NATIVE_UNW_SAVED;
	unw_cursor_t cursor;
	uint64_t at;

	/* The table places them relative to the frame pointer: any value will do. */
	if (!try_frame_pointer(s, from, sp, &cursor) ||
	    !is_saved_at(&cursor, NATIVE_UNW_FRAME, &at) || at != sp)
		return false;
	*ret = 0;
	for (size_t i = 0; i < sizeof(saved) / sizeof(saved[0]); i++)
		if (is_saved_at(&cursor, saved[i], &at) && at < sp && sp - at > *ret)
			*ret = sp - at;
	return true;
}

/*
 * How well the frame, taken for that large, fits with where it says that it was called from: 0 when
 * it does not.
 * @value  of the frame pointer
 */
static unsigned confirm_frame(struct native_stepper *s, unw_cursor_t *cursor, uint64_t value)
{
	const struct native_site *caller;
	enum native_call call;
	unw_word_t ip, callers;
	uint64_t target;
	unsigned fit;

	if (unw_get_reg(cursor, NATIVE_UNW_PC, &ip) < 0)
		return 0;
	call = native_call_before(s->memory, ip, &target);
	if (call == NATIVE_CALL_NONE ||
	    native_sites_get(s->sites, s->images, s->memory, ip, true, &caller) < 0 ||
	    !caller->image || caller->error < 0)
		return 0;
	if (call == NATIVE_CALL_INDIRECT)
		fit = 4;
	else
		/* Another function may have been called and have jumped here. */
		fit = target == s->site.start ? 6 : 2;
	/* Callers mostly have a frame pointer, too. */
	if (unw_get_reg(cursor, NATIVE_UNW_FRAME, &callers) == 0 && callers > value &&
	    callers - value < CALLER_MAX_BYTES)
		fit++;
	return fit;
}

/* What the frame pointer may be, and the best that was found. */
struct guess {
	const unw_cursor_t *from;
	uint64_t value;
	unsigned fit, n; /* how many fit that well */
};

static void consider(struct native_stepper *s, struct guess *guess, uint64_t value)
{
	unw_cursor_t cursor;
	unsigned fit;

	if (!try_frame_pointer(s, guess->from, value, &cursor))
		return;
	fit = confirm_frame(s, &cursor, value);
	if (fit > guess->fit) {
		guess->fit = fit;
		guess->value = value;
		guess->n = 0;
	}
	guess->n += fit > 0 && fit == guess->fit;
}

/*
 * The frame that is to be left has its frame pointer where no inner frame has saved it. All of:
 * its code takes so many bytes of the stack, the table has it save so many registers, below them
 * or among them, and what is then the return address follows a call, tell its value. If there are
 * several such values, and none of them fits better than all others, it stays unknown.
 */
static bool find_frame_pointer(struct native_stepper *s, const unw_cursor_t *from, uint64_t sp)
{
	struct guess guess = {.from = from};
	uint32_t rooms[NATIVE_MAX_ROOMS];
	size_t n = native_prologue_rooms(s->memory, s->site.start, s->site.ip, rooms);
	uint64_t pushed;

	if (n == 0 || !find_pushed_bytes(s, from, sp, &pushed))
		return false;
	for (size_t i = 0; i < n; i++) {
		consider(s, &guess, sp + pushed + rooms[i]);
		if (pushed > 0 && rooms[i] >= pushed)
			consider(s, &guess, sp + rooms[i]);
	}
	s->frame_pointer = guess.value;
	return guess.n == 1;
}

/* As unw_step(), with that. */
static int step(struct native_stepper *s, uint64_t sp)
{
	const unw_cursor_t before = s->cursor;
	int r = unw_step(&s->cursor);

	if (r >= 0 || s->end != NATIVE_NO_REGISTER || s->has_frame_pointer)
		return r;
	s->cursor = before;
	s->has_frame_pointer = find_frame_pointer(s, &before, sp);
	s->end = s->has_frame_pointer ? NATIVE_BAD_TABLE : NATIVE_NO_REGISTER;
	return s->has_frame_pointer ? unw_step(&s->cursor) : r;
}

/* --- one frame --- */

/* Whether the table says that nothing called this function. */
static bool has_no_caller(unw_cursor_t *cursor)
{
	unw_save_loc_t where;

	return unw_get_save_loc(cursor, NATIVE_UNW_RETURN, &where) == 0 &&
	       where.type == UNW_SLT_NONE;
}

/*
 * Go from the frame that was entered to its caller. Returns whether there is one; s->end says why
 * not.
 */
static bool leave_frame(struct native_stepper *s, uint64_t *ip, uint64_t *sp)
{
	uint64_t from = *sp;
	unw_word_t word;
	int r;

	/* For what libunwind itself refuses. */
	s->end = NATIVE_BAD_TABLE;
	r = step(s, *sp);
	if (r < 0)
		return false;
	if (r == 0) {
		if (has_no_caller(&s->cursor))
			s->end = NATIVE_COMPLETE;
		return false;
	}
	if (unw_get_reg(&s->cursor, NATIVE_UNW_PC, &word) < 0)
		return false;
	*ip = word;
	if (unw_get_reg(&s->cursor, NATIVE_UNW_SP, &word) < 0)
		return false;
	*sp = word;
	/* A handler may run on a stack of its own, anywhere. */
	if (!s->site.signal_frame && (*sp < from || *sp - from < NATIVE_FRAME_MIN_BYTES)) {
		s->end = NATIVE_LOOP;
		return false;
	}
	return true;
}

bool native_stepper_leave(struct native_stepper *s, const struct native_site *site, uint64_t *ip,
			  uint64_t *sp, enum native_end *ret_end)
{
	bool left;

	s->site = *site;
	left = leave_frame(s, ip, sp);
	*ret_end = s->end;
	return left;
}

int native_stepper_error(const struct native_stepper *s)
{
	return s->error;
}
