/* SPDX-License-Identifier: BSD-3-Clause */
/* What the lines mean together: defaults, and targets that make sense beside each other. */
#include "recorder/config_private.h"

#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"

/* --- defaults --- */

static void use_fallback(const struct config_key *key, void *base)
{
	char *reason = NULL;

	if (key->fallback)
		key->kind->parse(key->fallback, (char *)base + key->offset, &reason);
}

static void complete_walt(struct target_draft *t)
{
	bool has_pattern = t->where[KEY_TARGET_TITLE].line || t->where[KEY_TARGET_COMMAND].line;

	if (!has_pattern)
		use_fallback(&config_keys[KEY_TARGET_TITLE], &t->config);
	if (!t->where[KEY_TARGET_PACKAGES].line)
		use_fallback(&config_keys[KEY_TARGET_PACKAGES], &t->config);
}

/* The words with commas between. */
static char *join(char *const *words)
{
	char *text = xstrdup("");

	for (; *words; words++) {
		char *longer = xasprintf("%s%s%s", text, *text ? "," : "", *words);

		free(text);
		text = longer;
	}
	return text;
}

static void complete_target(struct target_draft *t, const struct collector_config *global)
{
	struct target_config *c = &t->config;

	if (!t->where[KEY_TARGET_RATE].line)
		c->rate_hz = global->rate_hz;
	if (!t->where[KEY_TARGET_MODE].line)
		c->mode = global->mode;
	if (!c->packages)
		c->packages = xcalloc(1, sizeof(*c->packages));
	c->packages_text = join(c->packages);
	c->follow = !*c->packages		     ? FOLLOW_OWN
		    : strcmp(*c->packages, "*") == 0 ? FOLLOW_ALL
						     : FOLLOW_PACKAGES;
}

void config_draft_complete(struct config_draft *d)
{
	for (int k = 0; k < N_CONFIG_KEYS; k++) {
		if (config_keys[k].section != SECTION_TARGET && !d->where[k].line)
			use_fallback(&config_keys[k], &d->config);
	}
	complete_walt(&d->targets[0]);
	for (size_t i = 0; i < d->n_targets; i++)
		complete_target(&d->targets[i], &d->config);
}

/* --- checks --- */

#define complain(d, where, ...) \
	config_errors_add((d)->errors, (where)->file, (where)->line, __VA_ARGS__)

const char *target_config_fixed_name(const struct target_config *t)
{
	if (t->name)
		return t->name;
	return t->title && strchr(t->title, '*') ? NULL : t->section;
}

/* Where a target's pattern was set; where the target was, when that is a default. */
static const struct config_origin *pattern_origin(const struct target_draft *t)
{
	if (t->where[KEY_TARGET_TITLE].line)
		return &t->where[KEY_TARGET_TITLE];
	if (t->where[KEY_TARGET_COMMAND].line)
		return &t->where[KEY_TARGET_COMMAND];
	return &t->section;
}

static void check_target(struct config_draft *d, const struct target_draft *t)
{
	const struct target_config *c = &t->config;
	bool title = c->title || t->where[KEY_TARGET_TITLE].line;
	bool command = c->command || t->where[KEY_TARGET_COMMAND].line;

	if (title && command)
		complain(d, &t->where[KEY_TARGET_COMMAND],
			 "Command= beside the Title= of the same target: give one of them");
	else if (!title && !command)
		complain(d, &t->section,
			 "[Target %s] has neither Title= nor Command=: give one of them",
			 c->section);
	else if (c->name && c->title && strchr(c->title, '*'))
		complain(d, &t->where[KEY_TARGET_NAME],
			 "Name= beside Title=%s, whose * is the name: leave one of them out",
			 c->title);
	else if (!target_config_fixed_name(c) && !(c->title && strchr(c->title, '*')) &&
		 !t->where[KEY_TARGET_NAME].line && (c->title || c->command))
		complain(d, pattern_origin(t),
			 "this gives the traces no name: use a * in Title=, or add Name=");
}

/* For messages: "[Target NAME]". The caller frees. */
static char *describe(const struct target_draft *t)
{
	return t->config.section ? xasprintf("[Target %s]", t->config.section)
				 : xstrdup("[Target]");
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* @other  comes first in the files, or is a default */
static void check_pair(struct config_draft *d, const struct target_draft *t,
		       const struct target_draft *other)
{
	const char *name = target_config_fixed_name(&t->config);
	auto_free char *section = describe(other);

	if (is_same_text(t->config.title, other->config.title))
		complain(d, pattern_origin(t), "Title=%s is that of %s already", t->config.title,
			 section);
	else if (is_same_text(t->config.command, other->config.command))
		complain(d, pattern_origin(t), "Command=%s is that of %s already",
			 t->config.command, section);
	else if (is_same_text(name, target_config_fixed_name(&other->config)))
		complain(
		    d, t->where[KEY_TARGET_NAME].line ? &t->where[KEY_TARGET_NAME] : &t->section,
		    "the traces would have the name %s, as those of %s: give another Name=", name,
		    section);
}

void config_draft_check(struct config_draft *d)
{
	for (size_t i = 0; i < d->n_targets; i++) {
		check_target(d, &d->targets[i]);
		for (size_t k = 0; k < i; k++)
			check_pair(d, &d->targets[i], &d->targets[k]);
	}
}
