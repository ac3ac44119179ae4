/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "recorder/config_files.h"
#include "recorder/config_private.h"

const char *const config_default_folders[] = {
    "/etc/trackexec",
    "/run/trackexec",
    "/usr/lib/trackexec",
    NULL,
};

/* --- release --- */

static void clear_fields(bool is_target, void *base)
{
	for (int k = 0; k < N_CONFIG_KEYS; k++) {
		const struct config_key *key = &config_keys[k];

		if ((key->section == SECTION_TARGET) == is_target && key->kind->clear)
			key->kind->clear((char *)base + key->offset);
	}
}

void target_config_done(struct target_config *t)
{
	clear_fields(true, t);
	free(t->section);
	free(t->packages_text);
}

void collector_config_free(struct collector_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_targets; i++)
		target_config_done(&c->targets[i]);
	free(c->targets);
	clear_fields(false, c);
	free(c);
}

/* --- from a draft --- */

static void draft_init(struct config_draft *d, struct config_errors *errors)
{
	*d = (struct config_draft){.errors = errors};
	d->targets = xcalloc(CONFIG_TARGETS_MAX, sizeof(*d->targets));
	d->n_targets = 1;
}

/* Whatever comes of it, the draft is gone. Returns 0 or -EINVAL. */
static int draft_finish(struct config_draft *d, struct collector_config **ret)
{
	struct collector_config *c = xmalloc(sizeof(*c));

	config_draft_complete(d);
	config_draft_check(d);
	*c = d->config;
	c->n_targets = d->n_targets;
	c->targets = xcalloc(d->n_targets, sizeof(*c->targets));
	/* The one for WALT goes last: what was written for some of its processes comes before. */
	for (size_t i = 0; i < d->n_targets; i++)
		c->targets[i] = d->targets[(i + 1) % d->n_targets].config;
	free(d->targets);
	if (d->errors->n) {
		collector_config_free(c);
		return -EINVAL;
	}
	*ret = c;
	return 0;
}

int collector_config_parse(const char *name, const char *text, size_t len,
			   struct collector_config **ret, struct config_errors *errors)
{
	struct config_draft d;

	draft_init(&d, errors);
	config_draft_read(&d, name, text, len);
	return draft_finish(&d, ret);
}

int collector_config_load(const char *const *folders, struct collector_config **ret,
			  struct config_errors *errors)
{
	auto_config_files struct config_files files = {0};
	struct config_draft d;

	config_files_read(folders, errors, &files);
	draft_init(&d, errors);
	for (size_t i = 0; i < files.n; i++)
		config_draft_read(&d, files.items[i].path, files.items[i].text, files.items[i].len);
	return draft_finish(&d, ret);
}

/* --- as text --- */

static void print_fields(FILE *out, enum config_section section, const void *base)
{
	for (int k = 0; k < N_CONFIG_KEYS; k++) {
		const struct config_key *key = &config_keys[k];

		if (key->section == section)
			key->kind->print(out, key->name, (const char *)base + key->offset);
	}
}

char *collector_config_format(const struct collector_config *c)
{
	static const enum config_section globals[] = {SECTION_COLLECTOR, SECTION_SAMPLING,
						      SECTION_STORAGE};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		xalloc_failed();
	for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
		fprintf(out, "[%s]\n", config_section_names[globals[i]]);
		print_fields(out, globals[i], c);
		putc('\n', out);
	}
	for (size_t i = 0; i < c->n_targets; i++) {
		const char *name = c->targets[i].section;

		fprintf(out, "%s[Target%s%s]\n", i ? "\n" : "", name ? " " : "", name ? name : "");
		print_fields(out, SECTION_TARGET, &c->targets[i]);
	}
	if (fclose(out) != 0)
		xalloc_failed();
	return text;
}
