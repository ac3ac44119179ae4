/* SPDX-License-Identifier: BSD-3-Clause */
/* Which target a process belongs to. All of this is judged of text that any user can choose. */
#include "recorder/config_private.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

bool config_user_is_allowed(const struct target_config *target, uid_t uid)
{
	if (uid == 0)
		return true;
	for (size_t i = 0; i < target->users.n; i++) {
		if (target->users.items[i].uid == uid)
			return true;
	}
	return false;
}

/*
 * "python3\0app.py\0" becomes "python3 app.py". setproctitle() leaves NULs, some programs blanks,
 * in the room that the command line had. Returns the length.
 */
static size_t make_plain(const char *title, size_t len, char buf[static CONFIG_TITLE_MAX + 1])
{
	while (len > 0 && (title[len - 1] == '\0' || title[len - 1] == ' '))
		len--;
	if (len > CONFIG_TITLE_MAX)
		len = CONFIG_TITLE_MAX;
	for (size_t i = 0; i < len; i++)
		buf[i] = title[i] ? title[i] : ' ';
	buf[len] = '\0';
	return len;
}

/* @ret_name  what stands for the '*', lent from title; NULL when the pattern has none */
static bool match_title(const char *pattern, const char *title, size_t len, const char **ret_name,
			size_t *ret_len)
{
	const char *star = strchr(pattern, '*');
	size_t before, after;

	*ret_name = NULL;
	if (!star)
		return strcmp(pattern, title) == 0;
	before = (size_t)(star - pattern);
	after = strlen(star + 1);
	if (len < before + after || memcmp(title, pattern, before) != 0 ||
	    memcmp(title + len - after, star + 1, after) != 0)
		return false;
	*ret_name = title + before;
	*ret_len = len - before - after;
	return true;
}

/* @name, @len  in and out: stays as it is when the target has a name of its own */
static bool match_target(const struct target_config *t, const char *title, size_t len,
			 const char **ret_name, size_t *ret_len)
{
	if (t->command) {
		*ret_name = NULL;
		if (fnmatch(t->command, title, 0) != 0)
			return false;
	} else if (!match_title(t->title, title, len, ret_name, ret_len)) {
		return false;
	}
	if (!*ret_name) {
		*ret_name = target_config_fixed_name(t);
		*ret_len = strlen(*ret_name);
	}
	return true;
}

int config_match(const struct collector_config *c, const char *title, size_t len,
		 const struct target_config **ret_target, char *ret_name, size_t size)
{
	char plain[CONFIG_TITLE_MAX + 1];
	const char *name;
	size_t name_len;

	assert(size > TRACE_NAME_MAX);
	len = make_plain(title, len, plain);
	for (size_t i = 0; i < c->n_targets; i++) {
		if (!match_target(&c->targets[i], plain, len, &name, &name_len))
			continue;
		*ret_target = &c->targets[i];
		if (!trace_name_is_valid(name, name_len))
			return -EINVAL;
		memcpy(ret_name, name, name_len);
		ret_name[name_len] = '\0';
		return 1;
	}
	return 0;
}
