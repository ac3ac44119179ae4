/* SPDX-License-Identifier: BSD-3-Clause */
/* Values that are lists: words between commas or blanks; each assignment adds to them. */
#include "recorder/config_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "recorder/accounts.h"

#define SEPARATORS ", \t"
#define ALL_WORD   "*"

/* Where a printed line goes on with the same key again. */
#define PRINT_WIDTH 100

/* Cut off the next word. Returns it, the caller frees, or NULL. */
static char *next_word(const char **text)
{
	size_t len;
	char *word;

	*text += strspn(*text, SEPARATORS);
	len = strcspn(*text, SEPARATORS);
	if (!len)
		return NULL;
	word = xstrndup(*text, len);
	*text += len;
	return word;
}

static int refuse_long_list(char **ret_reason)
{
	*ret_reason = xasprintf("more than %d in one list", CONFIG_LIST_MAX);
	return -EINVAL;
}

/* One word of a printed list. @column  in and out: how wide the line is, 0: none has begun */
static void print_word(FILE *out, const char *key, const char *word, size_t *column)
{
	size_t len = strlen(word);

	if (*column && *column + 1 + len > PRINT_WIDTH) {
		putc('\n', out);
		*column = 0;
	}
	*column += (size_t)(*column ? fprintf(out, " %s", word) : fprintf(out, "%s=%s", key, word));
}

/* --- users --- */

static int add_user(struct config_users *users, const char *name, char **ret_reason)
{
	uid_t uid;
	int r = account_find_user(name, &uid);

	if (r == -ENOENT)
		*ret_reason = xasprintf("there is no user %s here", name);
	else if (r < 0)
		*ret_reason = xasprintf("cannot look up the user %s: %s", name, strerror(-r));
	if (r < 0)
		return -EINVAL;
	if (users->n == CONFIG_LIST_MAX)
		return refuse_long_list(ret_reason);
	for (size_t i = 0; i < users->n; i++) {
		if (users->items[i].uid == uid)
			return 0;
	}
	if (!users->items)
		users->items = xcalloc(CONFIG_LIST_MAX, sizeof(*users->items));
	users->items[users->n++] = (struct config_user){xstrdup(name), uid};
	return 0;
}

static int parse_users(const char *text, void *field, char **ret_reason)
{
	for (;;) {
		auto_free char *word = next_word(&text);
		int r;

		if (!word)
			return 0;
		r = add_user(field, word, ret_reason);
		if (r < 0)
			return r;
	}
}

static void clear_users(void *field)
{
	struct config_users *users = field;

	for (size_t i = 0; i < users->n; i++)
		free(users->items[i].name);
	free(users->items);
	*users = (struct config_users){0};
}

static void print_users(FILE *out, const char *key, const void *field)
{
	const struct config_users *users = field;
	size_t column = 0;

	if (!users->n)
		fprintf(out, "%s=", key);
	for (size_t i = 0; i < users->n; i++)
		print_word(out, key, users->items[i].name, &column);
	putc('\n', out);
}

const struct value_kind kind_users = {
    .possible = "",
    .is_list = true,
    .parse = parse_users,
    .clear = clear_users,
    .print = print_users,
};

/* --- packages --- */

/* walt, walt.server: letters, digits and underscores; bytes above ASCII may be letters. */
static bool is_package(const char *name)
{
	bool at_start = true;

	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (*name == '.' && !at_start) {
			at_start = true;
			continue;
		}
		if (c < 0x80 && c != '_' && !isalpha(c) && (at_start || !isdigit(c)))
			return false;
		at_start = false;
	}
	return !at_start;
}

static int add_package(char ***packages, char **word, char **ret_reason)
{
	char **list = *packages;
	size_t n = 0;

	if (strcmp(*word, ALL_WORD) != 0 && !is_package(*word)) {
		*ret_reason = xasprintf("%s is no package that can be imported: give names as "
					"walt or walt.server, or * for all",
					*word);
		return -EINVAL;
	}
	for (; list && list[n]; n++) {
		if (strcmp(list[n], *word) == 0)
			return 0;
	}
	if (n == CONFIG_LIST_MAX)
		return refuse_long_list(ret_reason);
	if (n > 0 && (strcmp(*word, ALL_WORD) == 0 || strcmp(list[0], ALL_WORD) == 0)) {
		*ret_reason = xstrdup("* is all packages: give it alone, or names");
		return -EINVAL;
	}
	if (!list)
		list = *packages = xcalloc(CONFIG_LIST_MAX + 1, sizeof(*list));
	list[n] = steal_ptr(*word);
	return 0;
}

static int parse_packages(const char *text, void *field, char **ret_reason)
{
	for (;;) {
		auto_free char *word = next_word(&text);
		int r;

		if (!word)
			return 0;
		r = add_package(field, &word, ret_reason);
		if (r < 0)
			return r;
	}
}

static void clear_packages(void *field)
{
	char ***packages = field;

	for (char **p = *packages; p && *p; p++)
		free(*p);
	free(*packages);
	*packages = NULL;
}

static void print_packages(FILE *out, const char *key, const void *field)
{
	char *const *list = *(char **const *)field;
	size_t column = 0;

	if (!list || !*list)
		fprintf(out, "%s=", key);
	for (; list && *list; list++)
		print_word(out, key, *list, &column);
	putc('\n', out);
}

const struct value_kind kind_packages = {
    .possible = "",
    .is_list = true,
    .parse = parse_packages,
    .clear = clear_packages,
    .print = print_packages,
};
