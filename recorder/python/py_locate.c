/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every CPython exports _PyRuntime from the file that holds the interpreter, stripped or not; the
 * executable itself or a libpython. Files whose names say that they may hold it are looked at
 * first, then all others that are executable: an application can carry it under any name.
 */
#include "recorder/python/py_locate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "recorder/target/elf_image.h"
#include "recorder/target/mappings.h"

/* Files opened at most in one search. */
#define IMAGES_MAX 512

/* Interpreters that can be told by the name of a file that they map. */
static const struct {
	const char *part; /* of the file name */
	const char *what;
} known_files[] = {
    {"libpypy", "PyPy"},
    {"pypy", "PyPy"},
    {"libpythonvm", "GraalPy"},
    {"graalpy", "GraalPy"},
    {"micropython", "MicroPython"},
    {"jython", "Jython"},
    {"libjvm.so", "a Java program, maybe Jython"},
    {"libcoreclr.so", "a .NET program, maybe IronPython"},
    {"libmonosgen", "a Mono program, maybe IronPython"},
};

enum symbol_index {
	SYM_RUNTIME,
	SYM_VERSION,
	SYM_CONFIG,	  /* appeared in 3.8 */
	SYM_THREAD_STATE, /* to 3.6, where there is no _PyRuntime */
	SYM_STRING,	  /* 2.x only */
	SYM_PYPY,
	N_SYMBOLS,
};

static const char *const symbol_names[N_SYMBOLS] = {
    [SYM_RUNTIME] = "_PyRuntime",
    [SYM_VERSION] = "Py_Version",
    [SYM_CONFIG] = "PyConfig_InitPythonConfig",
    [SYM_THREAD_STATE] = "_PyThreadState_Current",
    [SYM_STRING] = "PyString_FromString",
    [SYM_PYPY] = "pypy_main_startup",
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Names that may hold an interpreter: all but ordinary libraries. */
static bool is_likely(const char *path)
{
	const char *name = base_name(path);

	return strstr(name, "python") || strstr(name, "pypy") || !strstr(name, ".so");
}

/* "2.7" from python2.7 or libpython2.7.so.1.0, "" from others. */
static void version_from_name(const char *name, char *buf, size_t size)
{
	const char *p = strstr(name, "python");
	unsigned major, minor;

	buf[0] = '\0';
	if (p && sscanf(p, "python%1u.%2u", &major, &minor) == 2)
		snprintf(buf, size, "%u.%u", major, minor);
}

/* Something that is certainly Python and not one that we know: describe it. */
static bool describe_other_python(const struct elf_symbol *symbols, const char *path, char *found,
				  size_t size)
{
	const char *name = base_name(path);
	char version[16];

	version_from_name(name, version, sizeof(version));
	if (symbols[SYM_PYPY].found)
		snprintf(found, size, "PyPy (%s)", name);
	else if (symbols[SYM_RUNTIME].found && !symbols[SYM_CONFIG].found)
		snprintf(found, size, "CPython 3.7 (%s)", name);
	else if (symbols[SYM_THREAD_STATE].found && *version)
		snprintf(found, size, "CPython %s (%s)", version, name);
	else if (symbols[SYM_THREAD_STATE].found)
		snprintf(found, size, "CPython %s (%s)",
			 symbols[SYM_STRING].found ? "2" : "3.6 or older", name);
	else
		return false;
	return true;
}

static bool describe_by_name(const char *path, char *found, size_t size)
{
	const char *name = base_name(path);

	for (size_t i = 0; i < sizeof(known_files) / sizeof(known_files[0]); i++) {
		if (!strstr(name, known_files[i].part))
			continue;
		snprintf(found, size, "%s (%s)", known_files[i].what, name);
		return true;
	}
	return false;
}

/* Returns 0, -ENOENT when this file holds no interpreter, or -EOPNOTSUPP with what it holds. */
static int locate_in_image(int fd, const struct mapping *map, struct py_location *ret, char *found,
			   size_t size)
{
	auto_elf_image struct elf_image *image = NULL;
	struct elf_symbol symbols[N_SYMBOLS] = {0};
	uint64_t bias, addr, runtime_size;
	int r;

	r = elf_image_open(fd, &image);
	if (r == -EMEDIUMTYPE) {
		snprintf(found, size, "a program that is not 64-bit (%s)", map->path);
		return -EOPNOTSUPP;
	}
	if (r < 0)
		return -ENOENT;
	for (size_t i = 0; i < N_SYMBOLS; i++)
		symbols[i].name = symbol_names[i];
	if (elf_image_find_symbols(image, symbols, N_SYMBOLS) < 0)
		return -ENOENT;
	addr = symbols[SYM_RUNTIME].value;
	runtime_size = symbols[SYM_RUNTIME].size;
	if (!symbols[SYM_RUNTIME].found &&
	    elf_image_find_section(image, ".PyRuntime", &addr, &runtime_size) == 0) {
		/* Only 3.10 and later have that section. */
		symbols[SYM_RUNTIME].found = true;
		symbols[SYM_CONFIG].found = true;
	}
	if (describe_other_python(symbols, map->path, found, size))
		return -EOPNOTSUPP;
	if (!symbols[SYM_RUNTIME].found)
		return -ENOENT;
	if (elf_image_load_bias(image, map->start, map->offset, &bias) < 0)
		return -ENOENT;
	*ret = (struct py_location){
	    .runtime = bias + addr,
	    .runtime_size = runtime_size,
	    .py_version = symbols[SYM_VERSION].found ? bias + symbols[SYM_VERSION].value : 0,
	};
	snprintf(ret->path, sizeof(ret->path), "%s", map->path);
	return 0;
}

/* A file is mapped in several pieces; its first executable one is enough. */
static bool is_repeated(const struct mappings *maps, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (maps->items[j].executable && maps->items[j].inode == maps->items[i].inode &&
		    maps->items[j].dev_major == maps->items[i].dev_major &&
		    maps->items[j].dev_minor == maps->items[i].dev_minor)
			return true;
	return false;
}

struct search {
	const struct mappings *maps;
	open_image_fn open_image;
	void *ctx;
	unsigned n_opened;
	/* The most telling thing that was found instead so far. */
	char *found;
	size_t found_size;
	bool has_found;
};

static int try_mapping(struct search *s, const struct mapping *map, struct py_location *ret)
{
	auto_close int fd = -1;
	char what[256];
	int r;

	if (s->n_opened++ >= IMAGES_MAX)
		return -ENOENT;
	fd = s->open_image(s->ctx, map);
	if (fd < 0) {
		if (!s->has_found && strstr(base_name(map->path), "python")) {
			snprintf(s->found, s->found_size,
				 "an interpreter whose file cannot be opened (%s: %s)", map->path,
				 strerror(-fd));
			s->has_found = true;
		}
		return -ENOENT;
	}
	r = locate_in_image(fd, map, ret, what, sizeof(what));
	if (r == -EOPNOTSUPP && !s->has_found) {
		snprintf(s->found, s->found_size, "%s", what);
		s->has_found = true;
	}
	return r;
}

static int search_files(struct search *s, bool likely, struct py_location *ret)
{
	for (size_t i = 0; i < s->maps->n; i++) {
		const struct mapping *map = &s->maps->items[i];

		if (!map->executable || is_likely(map->path) != likely || is_repeated(s->maps, i))
			continue;
		if (try_mapping(s, map, ret) == 0)
			return 0;
	}
	return -EOPNOTSUPP;
}

/* Nothing in the files themselves: go by names, or name the program (usually mapped lowest). */
static void describe_program(const struct mappings *maps, char *found, size_t size)
{
	const char *program = NULL;

	for (size_t i = 0; i < maps->n; i++) {
		const struct mapping *map = &maps->items[i];

		if (!map->executable)
			continue;
		if (describe_by_name(map->path, found, size))
			return;
		if (!program)
			program = map->path;
	}
	if (program)
		snprintf(found, size, "no Python interpreter (%s)", program);
	else
		snprintf(found, size, "no program that maps its file");
}

int py_locate(const struct mappings *maps, open_image_fn open_image, void *ctx,
	      struct py_location *ret, char *found, size_t found_size)
{
	struct search s = {
	    .maps = maps,
	    .open_image = open_image,
	    .ctx = ctx,
	    .found = found,
	    .found_size = found_size,
	};

	if (search_files(&s, true, ret) == 0 || search_files(&s, false, ret) == 0)
		return 0;
	if (!s.has_found)
		describe_program(maps, found, found_size);
	return -EOPNOTSUPP;
}
