/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/accounts.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* A group's entry lists its members. */
#define ENTRY_FIRST_BYTES 1024
#define ENTRY_MAX_BYTES	  ((size_t)1 << 20)

static bool is_number(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

/* The highest number means "no id" to the kernel. */
static int parse_id(const char *text, uint32_t *ret)
{
	uint64_t id = 0;

	for (; *text; text++) {
		id = id * 10 + (uint64_t)(*text - '0');
		if (id >= UINT32_MAX)
			return -ENOENT;
	}
	*ret = (uint32_t)id;
	return 0;
}

/* What getpwnam_r() and getgrnam_r() return when there is no such name: see their man page. */
static int translate(int error)
{
	switch (error) {
	case 0:
	case ENOENT:
	case ESRCH:
	case EBADF:
	case EPERM:
		return -ENOENT;
	default:
		return -error;
	}
}

int account_find_user(const char *name, uid_t *ret)
{
	struct passwd entry, *found = NULL;
	size_t size = ENTRY_FIRST_BYTES;
	auto_free char *buf = NULL;
	int error;

	if (is_number(name))
		return parse_id(name, ret);
	do {
		free(buf);
		buf = xmalloc(size);
		error = getpwnam_r(name, &entry, buf, size, &found);
		size *= 2;
	} while (error == ERANGE && size <= ENTRY_MAX_BYTES);
	if (!found)
		return translate(error);
	*ret = entry.pw_uid;
	return 0;
}

int account_find_group(const char *name, gid_t *ret)
{
	struct group entry, *found = NULL;
	size_t size = ENTRY_FIRST_BYTES;
	auto_free char *buf = NULL;
	int error;

	if (is_number(name))
		return parse_id(name, ret);
	do {
		free(buf);
		buf = xmalloc(size);
		error = getgrnam_r(name, &entry, buf, size, &found);
		size *= 2;
	} while (error == ERANGE && size <= ENTRY_MAX_BYTES);
	if (!found)
		return translate(error);
	*ret = entry.gr_gid;
	return 0;
}
