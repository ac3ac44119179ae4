/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/source_files.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/pack.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/trace_store.h"

struct source_file {
	char *path;
	size_t path_len;
	uint64_t hash;
	uint64_t size;
	enum file_state state;
	int changed; /* bool: the state is to be stored again */
};

struct source_files {
	read_source_fn read_source;
	void *ctx;
	struct source_file *files; /* by id - 1 */
	size_t n_files, cap_files, n_stored;
	struct hash_index index;
	int has_changed; /* bool: one of them */
};

struct source_files *source_files_new(read_source_fn read_source, void *ctx)
{
	struct source_files *f = xcalloc(1, sizeof(*f));

	f->read_source = read_source;
	f->ctx = ctx;
	return f;
}

void source_files_free(struct source_files *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_files; i++)
		free(f->files[i].path);
	free(f->files);
	hash_index_done(&f->index);
	free(f);
}

uint32_t source_files_find(struct source_files *f, const char *path, size_t len)
{
	uint32_t hash = hash_fold(hash_bytes(path, len));
	char *copy;

	HASH_INDEX_FOR_EACH(&f->index, hash, at, id)
	{
		if (f->files[id].path_len == len && !memcmp(f->files[id].path, path, len))
			return id + 1;
	}
	copy = xmalloc(len + 1);
	memcpy(copy, path, len);
	copy[len] = 0;
	f->files = xgrow(f->files, &f->cap_files, f->n_files + 1, sizeof(*f->files));
	f->files[f->n_files] = (struct source_file){.path = copy, .path_len = len};
	hash_index_add(&f->index, hash, (uint32_t)f->n_files);
	return (uint32_t)++f->n_files;
}

int source_files_has_new(const struct source_files *f)
{
	return f->n_stored < f->n_files || f->has_changed;
}

static int read_text(const struct source_files *f, const struct source_file *file, char **ret,
		     size_t *ret_len)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int r;

	if (!f->read_source || strlen(file->path) != file->path_len)
		return -ENOENT;
	r = f->read_source(f->ctx, file->path, &text, &len);
	if (r < 0)
		return r;
	if (len > SOURCE_MAX_BYTES)
		return -EFBIG;
	*ret = steal_ptr(text);
	*ret_len = len;
	return 0;
}

static int store_file(struct source_files *f, size_t i, struct trace_store *store,
		      struct packer *packer)
{
	struct source_file *file = &f->files[i];
	struct file_row row = {
	    .id = (uint32_t)i + 1,
	    .path = file->path,
	    .path_len = file->path_len,
	};
	auto_free char *text = NULL;
	auto_free char *packed = NULL;
	size_t len = 0;

	file->state = FILE_MISSING;
	if (read_text(f, file, &text, &len) == 0) {
		file->state = FILE_STORED;
		file->size = len;
		file->hash = hash_bytes(text, len);
		packed = xmalloc(pack_bound(len));
		row.source_len = pack_bytes(packer, text, len, packed);
		row.source = packed;
		row.size = file->size;
		row.hash = file->hash;
	}
	row.state = file->state;
	return trace_store_file(store, &row);
}

int source_files_store(struct source_files *f, struct trace_store *store, struct packer *packer)
{
	int r = 0;

	for (size_t i = f->n_stored; r == 0 && i < f->n_files; i++)
		r = store_file(f, i, store, packer);
	for (size_t i = 0; f->has_changed && r == 0 && i < f->n_stored; i++) {
		if (f->files[i].changed)
			r = trace_store_file_state(store, (uint32_t)i + 1, f->files[i].state);
	}
	return r;
}

void source_files_stored(struct source_files *f)
{
	f->n_stored = f->n_files;
	for (size_t i = 0; f->has_changed && i < f->n_files; i++)
		f->files[i].changed = 0;
	f->has_changed = 0;
}

void source_files_check(struct source_files *f)
{
	for (size_t i = 0; i < f->n_stored; i++) {
		struct source_file *file = &f->files[i];
		auto_free char *text = NULL;
		size_t len = 0;

		/* One that can't be read now (the target is gone) says nothing about a change. */
		if (file->state != FILE_STORED || read_text(f, file, &text, &len) < 0 ||
		    (len == file->size && hash_bytes(text, len) == file->hash))
			continue;
		file->state = FILE_CHANGED;
		file->changed = f->has_changed = 1;
	}
}
