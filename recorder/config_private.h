/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration in the making: what was set where. The keys are rows of one table, which
 * parsing, checking and printing share.
 */
#ifndef RECORDER_CONFIG_PRIVATE_H
#define RECORDER_CONFIG_PRIVATE_H

#include <stdio.h>

#include "recorder/config.h"

enum config_section {
	SECTION_NONE,	 /* before the first one */
	SECTION_IGNORED, /* a wrong one, which has been told */
	SECTION_COLLECTOR,
	SECTION_SAMPLING,
	SECTION_STORAGE,
	SECTION_TARGET, /* with or without a name */
	N_SECTIONS,
};

/* In the order in which they are printed. */
enum config_key_id {
	KEY_ROOT,
	KEY_SOCKET,
	KEY_USER,
	KEY_GROUP,
	KEY_RATE,
	KEY_CPU_BUDGET,
	KEY_MODE,
	KEY_MIN_WAIT,
	KEY_MAX_USE,
	KEY_KEEP_FREE,
	KEY_MAX_AGE,
	KEY_TARGET_TITLE,
	KEY_TARGET_COMMAND,
	KEY_TARGET_NAME,
	KEY_TARGET_USERS,
	KEY_TARGET_PACKAGES,
	KEY_TARGET_RATE,
	KEY_TARGET_MODE,
	N_CONFIG_KEYS,
};

/* How a value is read, kept and written. */
struct value_kind {
	const char *possible; /* completes a sentence that said what is wrong */
	bool is_list;	      /* assignments add to it */
	/*
	 * From a text that is not empty. Returns 0 or -EINVAL; then it may set *ret_reason to a
	 * malloc()ed text that says more than `possible`.
	 */
	int (*parse)(const char *text, void *field, char **ret_reason);
	/* Whether what it names exists; may be NULL. As parse(). */
	int (*verify)(const char *text, char **ret_reason);
	/* Back to nothing; may be NULL. */
	void (*clear)(void *field);
	/* A line, or none when there is nothing to say. */
	void (*print)(FILE *out, const char *key, const void *field);
};

extern const struct value_kind kind_folder, kind_socket, kind_user, kind_group, kind_rate,
    kind_percent, kind_mode, kind_max_use, kind_keep_free, kind_age, kind_min_wait, kind_title,
    kind_command, kind_name, kind_users, kind_packages;

struct config_key {
	enum config_section section;
	const char *name;
	const char *fallback; /* the default; NULL: none. Of a target: WALT's */
	size_t offset;	      /* in struct collector_config or target_config */
	const struct value_kind *kind;
};

extern const struct config_key config_keys[N_CONFIG_KEYS];

/* The word between the brackets. */
extern const char *const config_section_names[N_SECTIONS];

/* Where something was set; line 0: nowhere, or taken back. */
struct config_origin {
	const char *file; /* lent, as long as the draft exists */
	unsigned line;
};

struct target_draft {
	struct target_config config;
	struct config_origin section;		   /* where it came up first */
	struct config_origin where[N_CONFIG_KEYS]; /* KEY_TARGET_… */
};

struct config_draft {
	struct collector_config config;		   /* its targets are below */
	struct config_origin where[N_CONFIG_KEYS]; /* the other ones */
	struct target_draft *targets;		   /* [0] is WALT's */
	size_t n_targets;
	enum config_section section; /* the one that is being read */
	size_t target;		     /* which, in SECTION_TARGET */
	const char *file;	     /* lent */
	struct config_errors *errors;
};

/* Read one more file; later ones override. */
void config_draft_read(struct config_draft *d, const char *file, const char *text, size_t len);

/* Fill in the defaults, and what follows from the rest. */
void config_draft_complete(struct config_draft *d);

/* What no line alone can tell: whether the targets are complete and can be told apart. */
void config_draft_check(struct config_draft *d);

/* The name that all traces of a target get, NULL when it comes from the titles. */
const char *target_config_fixed_name(const struct target_config *t);
void target_config_done(struct target_config *t);

#endif
