/* SPDX-License-Identifier: BSD-3-Clause */
/* Help and lists, shown in place of the source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "reader/replay_batch.h"
#include "reader/replay_screen_private.h"

void screen_overlay_close(struct screen *s)
{
	for (size_t i = 0; i < s->overlay.n_lines; i++)
		free(s->overlay.lines[i]);
	free(s->overlay.lines);
	s->overlay = (struct overlay){0};
}

/* Takes the text, which is UTF-8. */
static void add_line(struct screen *s, char *text)
{
	struct overlay *o = &s->overlay;

	o->lines = xgrow(o->lines, &o->cap_lines, o->n_lines + 1, sizeof(*o->lines));
	o->lines[o->n_lines++] = text_plain(text, strlen(text), s->charset);
	free(text);
}

/* A row of the table: keys, then names with what they take, then what it does. */
static void add_command(struct screen *s, const struct replay_command *c)
{
	auto_free char *typed =
	    c->names ? xasprintf("%s%s%s", c->names, c->args ? " " : "", c->args ? c->args : "")
		     : xstrdup("");

	add_line(s, xasprintf("  %-20s %s", c->keys ? c->keys : "", c->help));
	if (*typed)
		add_line(s, xasprintf("  %-20s   %s", "", typed));
}

void screen_overlay_help(struct screen *s)
{
	screen_overlay_close(s);
	s->overlay.is_help = true;
	add_line(s,
		 xstrdup("Keys at the left do it at once; below each is what to type. Any other"));
	add_line(s,
		 xstrdup("letter opens the prompt. A number before a command repeats it (20n),"));
	add_line(s, xstrdup("Enter does the last one again, Tab completes, Ctrl-C ends a search."));
	add_line(s, xstrdup("Scroll with the arrows; h leaves this help."));
	for (size_t i = 0; i < n_replay_commands; i++) {
		const struct replay_command *c = &replay_commands[i];

		if (c->help) {
			add_command(s, c);
			continue;
		}
		add_line(s, xstrdup(""));
		add_line(s, xstrdup(c->names));
	}
}

void screen_overlay_answer(struct screen *s, const struct answer *a)
{
	auto_free char *text = NULL;
	char *line, *rest = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		xalloc_failed();
	replay_batch_print(s->replay, a, out);
	fclose(out);
	screen_overlay_close(s);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		add_line(s, xstrdup(line));
}
