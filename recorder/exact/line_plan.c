/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_plan.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/exact/usdt_notes.h"
#include "recorder/target/mappings.h"

/* python3.11 has eight probes. */
#define PROBES_MAX 64

/* More of the stack than what an operand needs: the bytes that it takes. */
#define FRAME_POINTER_BYTES 1024

static const char *const probe_names[N_PROBE_KINDS] = {
    [PROBE_LINE] = "line",
    [PROBE_ENTRY] = "function__entry",
    [PROBE_RETURN] = "function__return",
};

static int kind_of(const struct usdt_probe *probe)
{
	for (int i = 0; i < N_PROBE_KINDS; i++) {
		if (strcmp(probe->name, probe_names[i]) == 0)
			return i;
	}
	return -ENOENT;
}

/* How much of the stack holds this operand; the frame pointer is somewhere above its end. */
static uint32_t stack_bytes_for(const struct usdt_arg *arg)
{
	uint64_t bytes;

	if (arg->kind != USDT_ARG_MEMORY)
		return 0;
	if (arg->reg != usdt_stack_pointer(USDT_MACHINE) || arg->index != USDT_NO_REG)
		return FRAME_POINTER_BYTES;
	bytes = ((uint64_t)arg->value + arg->size + 7) & ~UINT64_C(7);
	return bytes < LINE_STACK_MAX ? (uint32_t)bytes : LINE_STACK_MAX;
}

static int add_probe(struct line_plan *plan, const struct usdt_probe *probe, int kind,
		     uint64_t bias)
{
	struct line_request *request = &plan->request;
	struct line_probe *p = &plan->probes[request->n_probes];

	if (request->n_probes == LINE_PROBES_MAX)
		return -E2BIG;
	if (probe->n_args < 3)
		return -EOPNOTSUPP;
	p->ip = probe->pc + bias;
	p->kind = (enum line_probe_kind)kind;
	for (int i = 0; i < 3; i++) {
		uint32_t bytes = stack_bytes_for(&probe->args[i]);

		p->args[i] = probe->args[i];
		request->regs |= usdt_arg_regs(&probe->args[i]);
		if (bytes > request->stack_bytes)
			request->stack_bytes = bytes;
	}
	request->probes[request->n_probes].offset = probe->pc_offset;
	request->probes[request->n_probes].semaphore = probe->semaphore_offset;
	request->n_probes++;
	return 0;
}

int line_plan_make(struct elf_image *image, const struct mapping *map, struct line_plan *ret)
{
	auto_free struct usdt_probe *probes = xcalloc(PROBES_MAX, sizeof(*probes));
	struct line_plan plan = {
	    .request = {.map_start = map->start, .map_end = map->end},
	};
	bool has_kind[N_PROBE_KINDS] = {false};
	uint64_t bias;
	int n, r;

	*ret = (struct line_plan){0};
	r = elf_image_load_bias(image, map->start, map->offset, &bias);
	if (r < 0)
		return r;
	n = usdt_notes_read(image, "python", probes, PROBES_MAX);
	if (n < 0)
		return n;
	/* The lines first: they cost most, and what comes first also ends first. */
	for (int kind = 0; kind < N_PROBE_KINDS; kind++) {
		for (int i = 0; i < n; i++) {
			if (kind_of(&probes[i]) != kind)
				continue;
			r = add_probe(&plan, &probes[i], kind, bias);
			if (r < 0)
				return r;
			has_kind[kind] = true;
		}
		if (!has_kind[kind])
			return -ENOENT;
	}
	/* One of them may point to the frame, see exact_codes.h. */
	plan.request.regs |= usdt_kept_regs(USDT_MACHINE);
	if (plan.request.stack_bytes)
		plan.request.regs |= UINT64_C(1) << usdt_stack_pointer(USDT_MACHINE);
	*ret = plan;
	return 0;
}

int line_plan_decode(const struct line_plan *plan, const struct line_sample *sample,
		     struct line_event *ret)
{
	for (uint32_t i = 0; i < plan->request.n_probes; i++) {
		const struct line_probe *p = &plan->probes[i];
		int64_t values[3];

		if (p->ip != sample->ip)
			continue;
		for (int k = 0; k < 3; k++) {
			if (usdt_arg_value(&p->args[k], &sample->state, &values[k]) < 0)
				return -EFAULT;
		}
		*ret = (struct line_event){
		    .file = (uint64_t)values[0],
		    .name = (uint64_t)values[1],
		    .line = (int32_t)values[2],
		    .kind = p->kind,
		    .probe = p,
		};
		return 0;
	}
	return -ENOENT;
}
