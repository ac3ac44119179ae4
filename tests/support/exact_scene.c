/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/exact_scene.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"

/* Where the probes are; and the registers of their arguments, none of which is kept. */
#define PROBE_IP 0x1000u
static const uint8_t arg_regs[] = {0, 2, 3};
#define ALL_ARG_REGS (UINT64_C(1) << 0 | UINT64_C(1) << 2 | UINT64_C(1) << 3)

/* The register that points to the frame. */
static unsigned frame_reg(void)
{
	return (unsigned)__builtin_ctzll(usdt_kept_regs(USDT_MACHINE));
}

static void make_plan(struct line_plan *plan)
{
	*plan = (struct line_plan){
	    .request = {.regs = ALL_ARG_REGS | usdt_kept_regs(USDT_MACHINE),
			.n_probes = N_PROBE_KINDS},
	};
	for (unsigned kind = 0; kind < N_PROBE_KINDS; kind++) {
		struct line_probe *p = &plan->probes[kind];

		p->ip = PROBE_IP + kind;
		p->kind = (enum line_probe_kind)kind;
		for (unsigned i = 0; i < 3; i++)
			p->args[i] = (struct usdt_arg){.kind = USDT_ARG_REGISTER,
						       .size = i < 2 ? 8 : 4,
						       .is_signed = i == 2,
						       .reg = arg_regs[i],
						       .index = USDT_NO_REG};
	}
}

void exact_scene_offer(struct exact_scene *s)
{
	struct exact_source *source = xcalloc(1, sizeof(*source));
	int fd = fcntl(s->writer.fd, F_DUPFD_CLOEXEC, 0);

	source->plan = s->plan;
	source->is_inherited = true;
	if (line_rings_new(&fd, 1, s->writer.bytes, s->plan.request.regs, &source->rings) < 0)
		abort();
	sampler_set_exact(s->sampler, source);
}

static struct track *add_track(struct sampler *s)
{
	struct track *t = xcalloc(1, sizeof(*t));

	t->id = (struct py_thread){.tstate = IMAGE_TSTATE, .native_id = EXACT_SCENE_TID};
	t->stack = py_stack_new(IMAGE_TSTATE);
	s->tracks = xgrow(s->tracks, &s->tracks_cap, s->n_tracks + 1, sizeof(s->tracks[0]));
	s->tracks[s->n_tracks++] = t;
	return t;
}

void exact_scene_begin(struct exact_scene *s, size_t line_ring_bytes, size_t ring_bytes)
{
	static const char *const packages[] = {"app", NULL};

	memset(s, 0, sizeof(*s));
	py_image_init(&s->im, 11);
	s->py.layout = s->im.l;
	s->config = (struct sampler_config){
	    .follow = FOLLOW_PACKAGES, .packages = packages, .packages_text = "app", .stat_fd = -1};
	s->ring = ring_new(ring_bytes);
	s->sampler = sampler_new(&s->im.mem, &s->py, s->ring, &s->config, 1, 1);
	s->track = add_track(s->sampler);
	make_plan(&s->plan);
	line_writer_init(&s->writer, line_ring_bytes, s->plan.request.regs);
	exact_scene_offer(s);
}

void exact_scene_end(struct exact_scene *s)
{
	sampler_free(s->sampler);
	ring_free(s->ring);
	close(s->writer.fd);
	line_writer_done(&s->writer);
	py_image_done(&s->im);
}

static uint64_t put_text(struct exact_scene *s, const char *text)
{
	uint32_t len = (uint32_t)strlen(text) + 1;
	remote_addr at = py_image_alloc(&s->im, len);

	memcpy(py_image_at(&s->im, at, len), text, len);
	return at;
}

/* As of `def`: the first unit is in its line, each of the others in one of its own. */
static void put_lines(struct exact_scene *s, const struct image_function *f)
{
	uint8_t lines[3 * IMAGE_MAX_UNITS] = {0};

	/* One unit, a step of no line, or of one; two columns. */
	for (uint32_t i = 0; i < f->n_units; i++)
		lines[3 * (size_t)i] = i ? 0xd8 : 0xd0;
	py_image_put(&s->im, f->code + s->im.l.code.linetable,
		     py_image_bytes(&s->im, lines, 3 * f->n_units));
}

struct exact_function exact_scene_function(struct exact_scene *s, const char *qualified,
					   int32_t first_line, bool is_followed)
{
	const char *dot = strrchr(qualified, '.'), *name = dot ? dot + 1 : qualified;
	struct exact_function f = {.first_line = first_line};
	struct image_code about = {
	    .name = qualified, .nlocalsplus = 1, .stacksize = 3, .first_line = first_line};

	about.file = is_followed ? "/srv/app/code.py" : "/usr/lib/code.py";
	f.image = py_image_function(&s->im, 0, &about);
	put_lines(s, &f.image);
	f.file_at = put_text(s, about.file);
	f.name_at = put_text(s, name);
	return f;
}

remote_addr exact_scene_frame(struct exact_scene *s, const struct exact_function *f)
{
	remote_addr frame = py_image_alloc(&s->im, 256);

	py_image_put(&s->im, frame + s->im.l.frame.code, f->image.code);
	return frame;
}

void exact_scene_fill(const struct exact_scene *s, struct line_write *ret,
		      enum line_probe_kind kind, const struct exact_function *f, remote_addr frame,
		      int32_t line)
{
	*ret = (struct line_write){
	    .ip = s->plan.probes[kind].ip, .event = 100 + kind, .tid = EXACT_SCENE_TID};
	ret->regs[arg_regs[0]] = f->file_at;
	ret->regs[arg_regs[1]] = f->name_at;
	ret->regs[arg_regs[2]] = (uint32_t)line;
	ret->regs[frame_reg()] = frame;
}

uint64_t exact_scene_say(struct exact_scene *s, enum line_probe_kind kind,
			 const struct exact_function *f, remote_addr frame, int32_t line)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct line_write what;

	if (now_ns <= s->last_ns)
		now_ns = s->last_ns + 1;
	s->last_ns = now_ns;
	exact_scene_fill(s, &what, kind, f, frame, line);
	what.time_ns = now_ns;
	if (!line_writer_sample(&s->writer, &what))
		abort();
	return now_ns;
}

void exact_scene_take(struct exact_scene *s)
{
	uint64_t now_ns = clock_monotonic_ns();

	/* All that was said is in the past. */
	while (now_ns <= s->last_ns)
		now_ns = clock_monotonic_ns();
	sampler_exact_take(s->sampler, now_ns);
}
