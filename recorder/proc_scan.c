/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/proc_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/target/identity.h"

/* Read so often without a change, a title is settled. */
#define SETTLED 8
/* A kernel thread may become a process (when the kernel starts a helper), so look now and then. */
#define KERNEL_STRIDE 16
/* The largest that the kernel can be set to have. */
#define PID_MAX (4 << 20)

size_t proc_title_clean(char *buf, size_t len)
{
	while (len > 0 && (buf[len - 1] == '\0' || buf[len - 1] == ' '))
		len--;
	for (size_t i = 0; i < len; i++)
		if (buf[i] == '\0')
			buf[i] = ' ';
	return len;
}

uint64_t proc_title_hash(const char *title, size_t len)
{
	uint64_t hash = hash_bytes(title, len);

	return hash ? hash : 1;
}

/* One read of a small file of a process. Returns its length or a negative errno. */
static int read_once(int proc_fd, pid_t pid, const char *name, char *buf, size_t size)
{
	auto_close int fd = -1;
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	do
		n = read(fd, buf, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

int proc_title_read(int proc_fd, pid_t pid, char buf[static PROC_TITLE_MAX])
{
	int n = read_once(proc_fd, pid, "cmdline", buf, PROC_TITLE_MAX);

	return n < 0 ? n : (int)proc_title_clean(buf, (size_t)n);
}

void proc_table_done(struct proc_table *t)
{
	free(t->entries);
	*t = (struct proc_table){0};
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = ((const struct proc_entry *)a)->pid, y = ((const struct proc_entry *)b)->pid;

	return (x > y) - (x < y);
}

size_t proc_table_seek(const struct proc_table *t, pid_t pid)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->entries[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct proc_entry *proc_table_find(const struct proc_table *t, pid_t pid)
{
	size_t i = proc_table_seek(t, pid);

	return i < t->n && t->entries[i].pid == pid ? &t->entries[i] : NULL;
}

/* A process id in decimal, 0 for the other names in /proc. */
static pid_t parse_pid(const char *name)
{
	pid_t pid = 0;

	for (; *name; name++) {
		if (*name < '0' || *name > '9' || pid > PID_MAX)
			return 0;
		pid = pid * 10 + (*name - '0');
	}
	return pid;
}

static struct proc_entry *append(struct proc_table *t)
{
	t->entries = xgrow(t->entries, &t->cap, t->n + 1, sizeof(*t->entries));
	t->entries[t->n] = (struct proc_entry){0};
	return &t->entries[t->n++];
}

/* Returns whether these came in order. */
static bool append_listed(struct proc_table *t, const char *buf, size_t len)
{
	bool in_order = true;
	const struct dirent64 *d;

	for (size_t at = 0; at < len; at += d->d_reclen) {
		struct proc_entry *e;
		pid_t pid;

		d = (const void *)(buf + at);
		pid = parse_pid(d->d_name);
		if (pid == 0 || t->n >= PID_MAX)
			continue;
		e = append(t);
		e->pid = pid;
		e->ino = d->d_ino;
		in_order &= t->n < 2 || e[-1].pid < pid;
	}
	return in_order;
}

int proc_list_read(int proc_fd, struct proc_table *ret)
{
	/* A description of its own: the offset in the folder belongs to it. */
	auto_close int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buf[32 << 10];
	bool in_order = true;
	ssize_t n;

	if (fd < 0)
		return -errno;
	ret->n = 0;
	while ((n = getdents64(fd, buf, sizeof(buf))) > 0)
		in_order &= append_listed(ret, buf, (size_t)n);
	if (n < 0)
		return -errno;
	/* The kernel goes by process id; that it does is not promised. */
	if (!in_order)
		qsort(ret->entries, ret->n, sizeof(*ret->entries), compare_pids);
	return 0;
}

void proc_table_update(struct proc_table *t, const struct proc_table *list)
{
	struct proc_table now = {.round = t->round + 1};
	size_t old = 0;

	now.entries = xgrow(NULL, &now.cap, list->n, sizeof(*now.entries));
	for (size_t i = 0; i < list->n; i++) {
		struct proc_entry *e = append(&now);

		*e = (struct proc_entry){.pid = list->entries[i].pid, .ino = list->entries[i].ino};
		while (old < t->n && t->entries[old].pid < e->pid)
			old++;
		if (old < t->n && t->entries[old].pid == e->pid && t->entries[old].ino == e->ino)
			*e = t->entries[old];
	}
	proc_table_done(t);
	*t = now;
}

static bool is_due(const struct proc_table *t, const struct proc_entry *e, unsigned stride)
{
	if (e->is_kernel)
		stride = KERNEL_STRIDE;
	else if (e->n_same < SETTLED)
		return true;
	/* Some of them each time. */
	return ((unsigned)e->pid + t->round) % stride == 0;
}

void proc_batch_reset(struct proc_batch *batch)
{
	batch->n = 0;
	batch->n_bytes = 0;
	atomic_init(&batch->n_read, 0);
	atomic_init(&batch->is_cancelled, false);
}

bool proc_table_take(const struct proc_table *t, size_t *at, unsigned stride,
		     bool (*skip)(void *ctx, const struct proc_entry *e), void *ctx,
		     struct proc_batch *batch)
{
	proc_batch_reset(batch);
	for (; *at < t->n && batch->n < PROC_BATCH_MAX; ++*at) {
		const struct proc_entry *e = &t->entries[*at];

		if (is_due(t, e, stride) && !(skip && skip(ctx, e)))
			batch->entries[batch->n++] = *e;
	}
	return batch->n > 0;
}

/* Has no command line: a kernel thread, or a process that is about to end, or to begin. */
static bool is_kernel_thread(int proc_fd, pid_t pid)
{
	struct process_stat stat;
	char text[1024];
	int n = read_once(proc_fd, pid, "stat", text, sizeof(text));

	return n > 0 && process_stat_parse(text, (size_t)n, &stat) == 0 &&
	       process_is_kernel_thread(&stat);
}

static void read_entry(int proc_fd, struct proc_batch *b, uint32_t i)
{
	struct proc_entry *e = &b->entries[i];
	char *title = b->bytes + b->n_bytes;
	int len = proc_title_read(proc_fd, e->pid, title);
	uint64_t hash;

	b->titles[i] = (struct proc_title){0};
	/* It is gone, or hidden: it will be missing in a list, or is tried again. */
	if (len < 0)
		return;
	hash = proc_title_hash(title, (size_t)len);
	if (hash == e->title_hash) {
		if (e->n_same < UINT8_MAX)
			e->n_same++;
		return;
	}
	e->is_kernel = len == 0 && is_kernel_thread(proc_fd, e->pid);
	e->title_hash = hash;
	e->n_same = 0;
	b->titles[i] =
	    (struct proc_title){.is_new = true, .start = b->n_bytes, .len = (uint32_t)len};
	b->n_bytes += (uint32_t)len;
}

void proc_batch_read(int proc_fd, struct proc_batch *batch)
{
	uint32_t i = 0;

	for (; i < batch->n && batch->n_bytes + PROC_TITLE_MAX <= PROC_BATCH_BYTES; i++) {
		if (atomic_load_explicit(&batch->is_cancelled, memory_order_relaxed))
			break;
		read_entry(proc_fd, batch, i);
		atomic_store_explicit(&batch->n_read, i + 1, memory_order_release);
	}
}

void proc_table_put(struct proc_table *t, const struct proc_batch *batch, uint32_t n_read)
{
	for (uint32_t i = 0; i < n_read; i++) {
		const struct proc_entry *read = &batch->entries[i];
		struct proc_entry *e = proc_table_find(t, read->pid);

		if (e && e->ino == read->ino)
			*e = *read;
	}
}
