/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of keys, and what a line of a file does to the configuration in the making. */
#include "recorder/config_private.h"

#include <stdlib.h>
#include <string.h>

#include "common/control_protocol.h"
#include "common/similar.h"
#include "common/xalloc.h"
#include "recorder/config_text.h"

#define GLOBAL(field) offsetof(struct collector_config, field)
#define TARGET(field) offsetof(struct target_config, field)

const struct config_key config_keys[N_CONFIG_KEYS] = {
    [KEY_ROOT] = {SECTION_COLLECTOR, "Root", "/var/log/walt/trackexec", GLOBAL(root), &kind_folder},
    [KEY_SOCKET] = {SECTION_COLLECTOR, "Socket", CONTROL_SOCKET_DEFAULT, GLOBAL(socket),
		    &kind_socket},
    [KEY_USER] = {SECTION_COLLECTOR, "User", "trackexec", GLOBAL(user), &kind_user},
    [KEY_GROUP] = {SECTION_COLLECTOR, "Group", "adm", GLOBAL(group), &kind_group},
    [KEY_RATE] = {SECTION_SAMPLING, "Rate", "5000", GLOBAL(rate_hz), &kind_rate},
    [KEY_CPU_BUDGET] = {SECTION_SAMPLING, "CPUBudget", "5%", GLOBAL(cpu_budget_percent),
			&kind_percent},
    [KEY_MODE] = {SECTION_SAMPLING, "Mode", "observed", GLOBAL(mode), &kind_mode},
    [KEY_MIN_WAIT] = {SECTION_SAMPLING, "MinWait", "1ms", GLOBAL(min_wait_ns), &kind_min_wait},
    [KEY_MAX_USE] = {SECTION_STORAGE, "MaxUse", "4G", GLOBAL(max_use_bytes), &kind_max_use},
    [KEY_KEEP_FREE] = {SECTION_STORAGE, "KeepFree", "1G", GLOBAL(keep_free_bytes), &kind_keep_free},
    [KEY_MAX_AGE] = {SECTION_STORAGE, "MaxAge", "0", GLOBAL(max_age_ns), &kind_age},
    [KEY_TARGET_TITLE] = {SECTION_TARGET, "Title", "walt-server-daemon:*", TARGET(title),
			  &kind_title},
    [KEY_TARGET_COMMAND] = {SECTION_TARGET, "Command", NULL, TARGET(command), &kind_command},
    [KEY_TARGET_NAME] = {SECTION_TARGET, "Name", NULL, TARGET(name), &kind_name},
    [KEY_TARGET_USERS] = {SECTION_TARGET, "Users", NULL, TARGET(users), &kind_users},
    [KEY_TARGET_PACKAGES] = {SECTION_TARGET, "Packages", "walt", TARGET(packages), &kind_packages},
    [KEY_TARGET_RATE] = {SECTION_TARGET, "Rate", NULL, TARGET(rate_hz), &kind_rate},
    [KEY_TARGET_MODE] = {SECTION_TARGET, "Mode", NULL, TARGET(mode), &kind_mode},
};

const char *const config_section_names[N_SECTIONS] = {
    [SECTION_COLLECTOR] = "Collector",
    [SECTION_SAMPLING] = "Sampling",
    [SECTION_STORAGE] = "Storage",
    [SECTION_TARGET] = "Target",
};

#define FIRST_SECTION SECTION_COLLECTOR

/* --- sections --- */

static enum config_section find_section(const char *name)
{
	for (int s = FIRST_SECTION; s < N_SECTIONS; s++) {
		if (strcmp(name, config_section_names[s]) == 0)
			return (enum config_section)s;
	}
	return SECTION_IGNORED;
}

static void refuse_section(struct config_draft *d, unsigned line, const char *name)
{
	const char *similar =
	    find_similar(name, config_section_names + FIRST_SECTION, N_SECTIONS - FIRST_SECTION);

	if (similar)
		config_errors_add(d->errors, d->file, line,
				  "unknown section [%s]; did you mean [%s]?", name, similar);
	else
		config_errors_add(d->errors, d->file, line,
				  "unknown section [%s]: there are [Collector], [Target], "
				  "[Target NAME], [Sampling] and [Storage]",
				  name);
}

/* NAME of "Target NAME", or NULL. */
static const char *skip_target_word(const char *section)
{
	size_t len = strlen(config_section_names[SECTION_TARGET]);
	const char *name = section + len;

	if (strncmp(section, config_section_names[SECTION_TARGET], len) != 0)
		return NULL;
	name += strspn(name, " \t");
	return name > section + len ? name : NULL;
}

static bool find_target(struct config_draft *d, const char *name)
{
	/* [0] has no name. */
	for (d->target = 1; d->target < d->n_targets; d->target++) {
		if (strcmp(d->targets[d->target].config.section, name) == 0)
			return true;
	}
	return false;
}

static void begin_named_target(struct config_draft *d, unsigned line, const char *name)
{
	const char *fault = trace_name_find_fault(name, strlen(name));

	d->section = SECTION_IGNORED;
	if (fault) {
		config_errors_add(d->errors, d->file, line,
				  "[Target %s]: the name %s, but it names a folder", name, fault);
		return;
	}
	if (!find_target(d, name)) {
		if (d->n_targets == CONFIG_TARGETS_MAX) {
			config_errors_add(d->errors, d->file, line,
					  "[Target %s]: there are %d targets already", name,
					  CONFIG_TARGETS_MAX);
			return;
		}
		d->targets[d->n_targets++] = (struct target_draft){
		    .config.section = xstrdup(name),
		    .section = {d->file, line},
		};
	}
	d->section = SECTION_TARGET;
}

static void on_section(void *ctx, unsigned line, const char *name)
{
	struct config_draft *d = ctx;
	const char *target = name ? skip_target_word(name) : NULL;

	if (!name) {
		d->section = SECTION_IGNORED;
		return;
	}
	if (target) {
		begin_named_target(d, line, target);
		return;
	}
	d->section = find_section(name);
	d->target = 0;
	if (d->section == SECTION_IGNORED)
		refuse_section(d, line, name);
}

/* --- keys --- */

static enum config_key_id find_key(enum config_section section, const char *name)
{
	int k = 0;

	while (k < N_CONFIG_KEYS &&
	       (config_keys[k].section != section || strcmp(config_keys[k].name, name) != 0))
		k++;
	return (enum config_key_id)k;
}

/* The section that has such a key, or SECTION_IGNORED. */
static enum config_section find_owner(const char *name)
{
	for (int k = 0; k < N_CONFIG_KEYS; k++) {
		if (strcmp(config_keys[k].name, name) == 0)
			return config_keys[k].section;
	}
	return SECTION_IGNORED;
}

/* The names of a section's keys. Returns how many. */
static size_t list_keys(enum config_section section, const char *ret[static N_CONFIG_KEYS])
{
	size_t n = 0;

	for (int k = 0; k < N_CONFIG_KEYS; k++) {
		if (config_keys[k].section == section)
			ret[n++] = config_keys[k].name;
	}
	return n;
}

static void refuse_key(struct config_draft *d, unsigned line, const char *name)
{
	const char *section = config_section_names[d->section];
	enum config_section owner = find_owner(name);
	const char *keys[N_CONFIG_KEYS], *similar;
	size_t n = list_keys(d->section, keys);
	auto_free char *list = xstrdup("");

	similar = find_similar(name, keys, n);
	if (owner != SECTION_IGNORED) {
		config_errors_add(d->errors, d->file, line, "%s= is no key of [%s], but of [%s]",
				  name, section, config_section_names[owner]);
	} else if (similar) {
		config_errors_add(d->errors, d->file, line,
				  "unknown key %s= in [%s]; did you mean %s=?", name, section,
				  similar);
	} else {
		for (size_t i = 0; i < n; i++) {
			char *longer = xasprintf("%s%s%s=", list, i ? ", " : "", keys[i]);

			free(list);
			list = longer;
		}
		config_errors_add(d->errors, d->file, line,
				  "unknown key %s= in [%s]: its keys are %s", name, section, list);
	}
}

/* --- values --- */

static bool is_quoted(const char *value)
{
	size_t len = strlen(value);

	return len >= 2 && (*value == '"' || *value == '\'') && value[len - 1] == *value;
}

static void set_value(struct config_draft *d, unsigned line, const struct config_key *key,
		      const char *value, void *field)
{
	const struct value_kind *kind = key->kind;
	auto_free char *reason = NULL;
	int r;

	r = is_quoted(value) ? -1 : kind->parse(value, field, &reason);
	/* What the defaults name comes with the installation, which may not be complete yet. */
	if (r == 0 && kind->verify && (!key->fallback || strcmp(value, key->fallback) != 0))
		r = kind->verify(value, &reason);
	if (r == 0)
		return;
	config_errors_add(d->errors, d->file, line, "%s=%s: %s", key->name, value,
			  is_quoted(value) ? "leave out the quotes"
			  : reason	   ? reason
					   : kind->possible);
}

static void assign(struct config_draft *d, unsigned line, enum config_key_id k, const char *value)
{
	const struct config_key *key = &config_keys[k];
	bool is_target = key->section == SECTION_TARGET;
	struct target_draft *t = &d->targets[d->target];
	struct config_origin *where = is_target ? &t->where[k] : &d->where[k];
	char *base = is_target ? (char *)&t->config : (char *)&d->config;
	void *field = base + key->offset;

	*where = (struct config_origin){d->file, line};
	if (*value) {
		set_value(d, line, key, value, field);
		return;
	}
	if (key->kind->clear)
		key->kind->clear(field);
	/* A list that was emptied is empty; anything else is the default again. */
	if (!key->kind->is_list)
		where->line = 0;
}

static void on_assignment(void *ctx, unsigned line, const char *name, const char *value)
{
	struct config_draft *d = ctx;
	enum config_key_id k;

	if (d->section == SECTION_IGNORED)
		return;
	if (d->section == SECTION_NONE) {
		config_errors_add(d->errors, d->file, line,
				  "%s= stands before any section: write one above, as [Target]",
				  name);
		return;
	}
	k = find_key(d->section, name);
	if (k == N_CONFIG_KEYS)
		refuse_key(d, line, name);
	else
		assign(d, line, k, value);
}

static void on_wrong_line(void *ctx, unsigned line, const char *reason)
{
	struct config_draft *d = ctx;

	config_errors_add(d->errors, d->file, line, "%s", reason);
}

void config_draft_read(struct config_draft *d, const char *file, const char *text, size_t len)
{
	static const struct config_text_ops ops = {on_section, on_assignment, on_wrong_line};

	d->file = file;
	d->section = SECTION_NONE;
	d->target = 0;
	config_text_parse(text, len, &ops, d);
}
