/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/follow.h"

#include <ctype.h>
#include <string.h>

/* [p, end) is an identifier; bytes above ASCII may be letters of one. */
static bool is_identifier(const char *p, const char *end)
{
	if (p == end || isdigit((unsigned char)*p))
		return false;
	for (; p < end; p++) {
		if (!isalnum((unsigned char)*p) && *p != '_' && !((unsigned char)*p & 0x80))
			return false;
	}
	return true;
}

/* Directories and file of this path can all be part of a module's dotted name. */
static bool is_importable(const char *path)
{
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		if (!is_identifier(path, slash))
			return false;
		path = slash + 1;
	}
	return *path != '\0'; /* the file itself: scripts are run from their path as well */
}

/* If path begins with the package's directories, what follows them; NULL otherwise. */
static const char *skip_package(const char *path, const char *package)
{
	for (; *package; path++, package++) {
		if (*path != (*package == '.' ? '/' : *package))
			return NULL;
	}
	return path;
}

static bool is_in_package(const char *file, const char *package)
{
	for (const char *p = file; p; p = strchr(p, '/')) {
		const char *rest;

		if (*p == '/')
			p++;
		rest = skip_package(p, package);
		if (!rest)
			continue;
		if (*rest == '/' && is_importable(rest + 1))
			return true;
		if (strcmp(rest, ".py") == 0)
			return true;
	}
	return false;
}

/* …/lib/python3.11/… or …/lib64/python3.11/…, and the zipped one …/lib/python311.zip/… */
static bool is_standard_library(const char *file)
{
	for (const char *p = file; (p = strstr(p, "/lib")); p++) {
		const char *q = p + 4;

		if (strncmp(q, "64", 2) == 0)
			q += 2;
		if (strncmp(q, "/python3", 8) != 0)
			continue;
		for (q += 8; isdigit((unsigned char)*q) || *q == '.'; q++)
			;
		if (*q == '/' || strncmp(q, "zip/", 4) == 0 || strncmp(q - 1, ".zip/", 5) == 0)
			return true;
	}
	return false;
}

static bool is_installed(const char *file)
{
	return strstr(file, "/site-packages/") || strstr(file, "/dist-packages/") ||
	       is_standard_library(file) || strncmp(file, "<frozen ", 8) == 0;
}

/* What takes the place of walt/server/trackexec.py is ours, not what is to be looked at. */
static bool is_shim(const char *file)
{
	static const char name[] = "/walt/server/trackexec.py";
	size_t len = strlen(file);

	return len >= sizeof(name) - 1 && strcmp(file + len - (sizeof(name) - 1), name) == 0;
}

bool follow_file(enum follow_mode mode, const char *const *packages, const char *file,
		 const char *function)
{
	if (is_shim(file))
		return false;
	switch (mode) {
	case FOLLOW_ALL:
		return strncmp(file, "<frozen importlib.", 18) != 0;
	case FOLLOW_OWN:
		return !is_installed(file);
	case FOLLOW_PACKAGES:
		break;
	}
	if (strcmp(function, "<module>") == 0)
		return false;
	for (; *packages; packages++) {
		if (is_in_package(file, *packages))
			return true;
	}
	return false;
}
