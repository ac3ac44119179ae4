/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What trackexec-collector was told in collector.conf and its drop-ins, see
 * trackexec-collector.conf(5). Loaded as a whole or not at all: when new files are bad, the
 * configuration from before stays as it was.
 */
#ifndef RECORDER_CONFIG_H
#define RECORDER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "recorder/config_errors.h"
#include "recorder/sampler.h"
#include "recorder/trace_name.h"

#define CONFIG_TARGETS_MAX 64
/* Users and packages of one target. */
#define CONFIG_LIST_MAX 64
/* Of a command line that is matched; what goes beyond does not count. */
#define CONFIG_TITLE_MAX 4096

enum sampling_mode {
	SAMPLING_OBSERVED,
	SAMPLING_EXACT,
};

/* As the word in the file. */
const char *sampling_mode_name(enum sampling_mode mode);

struct config_user {
	char *name; /* as written: a name or a number */
	uid_t uid;
};

struct config_users {
	struct config_user *items;
	size_t n;
};

/* A service to record: which processes are its own, and how they are followed. */
struct target_config {
	char *section; /* NAME of [Target NAME]; NULL: the one for WALT */
	/* One of these two, the other one is NULL. */
	char *title;   /* at most one '*', which then stands for the name of the trace */
	char *command; /* a pattern as in glob(7), without special treatment of slashes */
	char *name;    /* of its traces; NULL: section's, or what stands for the '*' */
	struct config_users users; /* whose processes are followed, besides root's */
	enum follow_mode follow;
	char **packages;     /* NULL-terminated, never NULL; {"*"} with FOLLOW_ALL */
	char *packages_text; /* the same with commas: "" = own code; "*" = all */
	double rate_hz;	     /* 0: as fast as it goes */
	enum sampling_mode mode;
};

/* Plain values, read only. */
struct collector_config {
	char *root;		   /* absolute, no "..", no slash at its end */
	char *socket;		   /* the same; fits into a sockaddr_un */
	char *user;		   /* of the worker; a name or a number, see recorder/accounts.h */
	char *group;		   /* of the traces; the same */
	double rate_hz;		   /* 0: as fast as it goes */
	double cpu_budget_percent; /* of one core, for the whole daemon; above 0, at most 100 */
	enum sampling_mode mode;
	uint64_t min_wait_ns; /* waits are recorded from here on */
	uint64_t max_use_bytes;
	uint64_t keep_free_bytes;      /* 0: none */
	uint64_t max_age_ns;	       /* whole seconds; 0: unlimited */
	struct target_config *targets; /* in the order in which they are tried; WALT's is last */
	size_t n_targets;
};

/* /etc/trackexec and so on, the one that counts most first; NULL-terminated. */
extern const char *const config_default_folders[];

/*
 * Read and check all files. May wait for the name service (Users=).
 * @folders  see config_files_read()
 * @ret      on success the caller's, to be released with collector_config_free()
 * @errors   {0} at first; to be released with config_errors_done() whatever is returned
 * Returns 0, or -EINVAL after adding all that is wrong to @errors. No files at all are fine: the
 * defaults. That the users and groups of the defaults exist is not checked.
 */
int collector_config_load(const char *const *folders, struct collector_config **ret,
			  struct config_errors *errors);

/* The same from one text; @name stands for the file in errors. */
int collector_config_parse(const char *name, const char *text, size_t len,
			   struct collector_config **ret, struct config_errors *errors);

void collector_config_free(struct collector_config *c);
DEFINE_CLEANUP(struct collector_config *, collector_config_free)
#define auto_collector_config auto_release(collector_config_free)

/* What is in effect, as a file that says the same. The caller frees. */
char *collector_config_format(const struct collector_config *c);

/* Whether processes of this user are followed. Root's always are. */
bool config_user_is_allowed(const struct target_config *target, uid_t uid);

/*
 * Which target a process belongs to, by its command line, and the name of its trace.
 * @title     as /proc/PID/cmdline has it: len bytes, any; NULs between words, or at the end
 * @ret_name  of size bytes, more than TRACE_NAME_MAX
 * Returns 1; 0 when it is of no target; or -EINVAL when it is of one but can't have the name that
 * its title asks for (trace_name.h): then *ret_target is set all the same.
 */
int config_match(const struct collector_config *c, const char *title, size_t len,
		 const struct target_config **ret_target, char *ret_name, size_t size);

#endif
