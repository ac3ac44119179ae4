/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec export: a trace in the formats of other tools. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/call_tree.h"
#include "reader/report.h"
#include "reader/trace.h"

DEFINE_CLEANUP(struct trace *, trace_close)
DEFINE_CLEANUP(struct call_tree *, call_tree_free)

/* file:function:line, with whatever would end a frame or a line escaped. */
static char *frame_text(struct trace *t, const struct tree_frame *frame)
{
	const struct trace_code *code = trace_get_code(t, frame->code);
	const struct trace_file *file = trace_get_file(t, frame->file);
	auto_free char *path =
	    file ? text_escape(file->path, file->path_len, ";", TEXT_UTF8) : xstrdup("?");
	auto_free char *name =
	    code ? text_escape(code->name, code->name_len, ";", TEXT_UTF8) : xstrdup("?");

	return xasprintf("%s:%s:%" PRId32, path, name, frame->line);
}

/* The stack that ends at a node, outermost first. */
static void print_stack(const struct call_tree *tree, char *const *texts, uint32_t node,
			uint32_t *path, FILE *out)
{
	size_t depth = 0;

	for (; node != TREE_ROOT; node = tree->nodes[node].parent)
		path[depth++] = tree->nodes[node].frame;
	while (depth) {
		fputs(texts[path[--depth]], out);
		putc(depth ? ';' : ' ', out);
	}
}

/* The one line per stack that flame graph tools read; the empty stack has none. */
static void print_collapsed(struct trace *t, const struct call_tree *tree, FILE *out)
{
	char **texts = xcalloc(tree->n_frames, sizeof(*texts));
	/* No stack is deeper than there are nodes. */
	auto_free uint32_t *path = xreallocarray(NULL, tree->n_nodes, sizeof(*path));

	for (size_t i = 0; i < tree->n_frames; i++)
		texts[i] = frame_text(t, &tree->frames[i]);
	for (uint32_t i = TREE_ROOT + 1; i < tree->n_nodes; i++) {
		uint64_t us = (tree->nodes[i].self_ns + NS_PER_US / 2) / NS_PER_US;

		if (us == 0)
			continue;
		print_stack(tree, texts, i, path, out);
		fprintf(out, "%" PRIu64 "\n", us);
	}
	for (size_t i = 0; i < tree->n_frames; i++)
		free(texts[i]);
	free(texts);
}

struct export_format {
	const char *name;
	void (*print)(struct trace *t, const struct call_tree *tree, FILE *out);
};

static const struct export_format formats[] = {
    {.name = "collapsed", .print = print_collapsed},
};

static const struct export_format *find_format(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	}
	return NULL;
}

static int export_to(struct trace *t, const struct export_format *format, const char *output)
{
	auto_release(call_tree_free) struct call_tree *tree = NULL;
	int to_stdout = strcmp(output, "-") == 0;
	auto_fclose FILE *file = to_stdout ? NULL : fopen(output, "we");
	FILE *out = to_stdout ? stdout : file;
	char lost[128];
	int r;

	if (!out) {
		log_error("cannot write '%s': %s", output, strerror(errno));
		return EXIT_FAILED;
	}
	r = call_tree_new(t, &tree);
	format->print(t, tree, out);
	if (ferror(out) || fflush(out)) {
		log_error("cannot write %s: %s", to_stdout ? "to standard output" : output,
			  strerror(errno));
		return EXIT_FAILED;
	}
	if (r == 0 && trace_is_damaged(t))
		r = -EBADMSG;
	if (r == 0)
		return EXIT_OK;
	snprintf(lost, sizeof(lost),
		 "exported what could be read; %" PRIu64 " blocks with %" PRIu64
		 " transitions are lost",
		 tree->n_lost_blocks, tree->n_lost_events);
	return report_damage(t, r, tree->n_lost_blocks ? lost : "exported what could be read");
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"format", required_argument, NULL, 'f'},
	    {"output", required_argument, NULL, 'o'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	auto_release(trace_close) struct trace *t = NULL;
	const struct export_format *format = NULL;
	const char *output = "-";
	int option, status;

	while ((option = getopt_long(argc, argv, "f:o:h", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			format = find_format(optarg);
			if (!format) {
				log_error("export: unknown format '%s'; there is: collapsed",
					  optarg);
				return command_usage_error(&cmd_export);
			}
			break;
		case 'o':
			output = optarg;
			break;
		case 'h':
			fputs(cmd_export.help, stdout);
			return EXIT_OK;
		default:
			return command_usage_error(&cmd_export);
		}
	}
	if (!format) {
		log_error("export: which format? Give --format collapsed");
		return command_usage_error(&cmd_export);
	}
	status = report_open(&cmd_export, argc, argv, optind, &t);
	if (status != EXIT_OK)
		return status;
	return export_to(t, format, output);
}

const struct command cmd_export = {
    .name = "export",
    .summary = "convert a trace for other tools",
    .help = "Usage: trackexec export --format FORMAT [-o FILE] TRACE\n"
	    "\n"
	    "Convert a trace for other tools. TRACE is a trace's folder or its trace.db;\n"
	    "it may still be being recorded.\n"
	    "\n"
	    "Options:\n"
	    "  -f, --format FORMAT  collapsed: one line per distinct stack, outermost\n"
	    "                       frame first, all threads together:\n"
	    "                         file:function:line;...;file:function:line COUNT\n"
	    "                       COUNT is wall time in microseconds. Line 0 is an\n"
	    "                       unknown line. In names, bytes that would break the\n"
	    "                       format are shown as \\xNN, a backslash as \\\\.\n"
	    "  -o, --output FILE    write to FILE, not to standard output (-)\n"
	    "  -h, --help           show this help\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec export -f collapsed trackexec-app-4242 > app.collapsed\n"
	    "  trackexec export -f collapsed trackexec-app-4242 | flamegraph.pl > app.svg\n"
	    "  trackexec export -f collapsed -o app.collapsed trackexec-app-4242/trace.db\n",
    .run = run,
};
