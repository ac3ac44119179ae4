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

/* A number that is larger was never given out. */
#define MAX_PAST_FILES (1u << 20)

struct source_file {
	char *path;
	size_t path_len;
	uint64_t hash;
	uint64_t size;
	enum file_state state;
	int changed;	 /* bool: the state is to be stored again */
	int is_past;	 /* bool: of an earlier recorder, not compared yet with what is there now */
	uint32_t before; /* id of the row with the text as it was before; 0: none */
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

static struct source_file *add_file(struct source_files *f, const char *path, size_t len)
{
	struct source_file *file;
	char *copy = xmalloc(len + 1);

	if (len)
		memcpy(copy, path, len);
	copy[len] = 0;
	f->files = xgrow(f->files, &f->cap_files, f->n_files + 1, sizeof(*f->files));
	file = &f->files[f->n_files++];
	*file = (struct source_file){.path = copy, .path_len = len};
	return file;
}

static void add_to_index(struct source_files *f, uint32_t id)
{
	const struct source_file *file = &f->files[id - 1];

	hash_index_add(&f->index, hash_fold(hash_bytes(file->path, file->path_len)), id - 1);
}

int source_files_add_past(struct source_files *f, const struct file_row *row)
{
	struct source_file *file;

	if (row->id > MAX_PAST_FILES)
		return -EBADMSG;
	/* A number that is not there belongs to no path. */
	while (f->n_files + 1 < row->id)
		add_file(f, "", 0)->state = FILE_MISSING;
	if (row->id != f->n_files + 1)
		return -EBADMSG;
	file = add_file(f, row->path, row->path_len);
	file->state = row->state;
	file->size = row->size;
	file->hash = row->hash;
	file->is_past = 1;
	add_to_index(f, row->id);
	f->n_stored = f->n_files;
	return 0;
}

static uint32_t find_path(const struct source_files *f, const char *path, size_t len)
{
	uint32_t hash = hash_fold(hash_bytes(path, len)), found = 0;

	/* A path can have several rows after it changed: the newest counts. */
	HASH_INDEX_FOR_EACH(&f->index, hash, at, id)
	{
		if (f->files[id].path_len == len && !memcmp(f->files[id].path, path, len) &&
		    id >= found)
			found = id + 1;
	}
	return found;
}

static uint32_t add_new(struct source_files *f, const char *path, size_t len, uint32_t before)
{
	add_file(f, path, len)->before = before;
	add_to_index(f, (uint32_t)f->n_files);
	return (uint32_t)f->n_files;
}

/* bool: the file is not as an earlier recorder stored it. */
static int has_another_text(const struct source_files *f, const struct source_file *file)
{
	auto_free char *text = NULL;
	size_t len = 0;

	/* One that can't be read now (the target is gone) says nothing about a change. */
	if (read_text(f, file, &text, &len) < 0)
		return 0;
	return file->state == FILE_MISSING || len != file->size ||
	       hash_bytes(text, len) != file->hash;
}

uint32_t source_files_find(struct source_files *f, const char *path, size_t len)
{
	uint32_t id = find_path(f, path, len);
	struct source_file *file;

	if (id == 0)
		return add_new(f, path, len, 0);
	file = &f->files[id - 1];
	if (!file->is_past)
		return id;
	file->is_past = 0;
	if (!has_another_text(f, file))
		return id;
	if (file->state == FILE_STORED) {
		file->state = FILE_CHANGED;
		file->changed = f->has_changed = 1;
	}
	return add_new(f, path, len, id);
}

uint32_t source_files_before(const struct source_files *f, uint32_t id)
{
	return f->files[id - 1].before;
}

int source_files_has_new(const struct source_files *f)
{
	return f->n_stored < f->n_files || f->has_changed;
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
