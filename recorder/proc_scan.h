/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All processes and their titles, cheaply enough for once a second. The title of a process is its
 * command line, which it may write over (setproctitle); nothing but reading it again tells whether
 * it did.
 *
 * What a scan costs is one system call per few hundred processes for the list, and three per title
 * read. A table of what was seen saves the titles that need no reading: kernel threads have none,
 * and the caller may have those that stayed the same for long read in every second scan only.
 *
 * A scan goes in steps, so that what may block can be left to another thread:
 *
 *	proc_list_read()	anywhere	the processes there are now
 *	proc_table_update()	owner		the table follows the list
 *	proc_table_take()	owner		some entries to be read: a batch
 *	proc_batch_read()	anywhere	may block, at any title
 *	proc_table_put()	owner		the table learns what was read
 *
 * Not thread-safe: each struct belongs to one thread at a time.
 */
#ifndef RECORDER_PROC_SCAN_H
#define RECORDER_PROC_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longer ones are cut. */
#define PROC_TITLE_MAX 4096
/* Of one batch: titles to read, and bytes of those that have changed. */
#define PROC_BATCH_MAX	 256
#define PROC_BATCH_BYTES (256 << 10)

/*
 * Read a title: blanks between its words, none at its end.
 * @proc_fd  of /proc
 * @buf      not terminated; any bytes may be in it
 * Returns its length; 0 when it has none (kernel threads, zombies); -ESRCH when there is no such
 * process, or another negative errno. May block for as long as the process likes.
 */
int proc_title_read(int proc_fd, pid_t pid, char buf[static PROC_TITLE_MAX]);

/* The same of what a command line's file holds, in place. Returns the new length. */
size_t proc_title_clean(char *buf, size_t len);

/* Never 0, which stands for "not read yet". */
uint64_t proc_title_hash(const char *title, size_t len);

/* One process in a list or table. */
struct proc_entry {
	pid_t pid;
	/* Same process id, same inode: still the same process (the inode holds on to it). */
	uint64_t ino;
	uint64_t title_hash; /* 0: not read yet */
	uint8_t n_same;	     /* how often the title was read and was the same, up to 255 */
	bool is_kernel;	     /* a kernel thread */
};

/* By process id, ascending. */
struct proc_table {
	struct proc_entry *entries;
	size_t n, cap;
	unsigned round; /* counts scans */
};

void proc_table_done(struct proc_table *t);
/* NULL when it is not in there. Valid until the table changes. */
struct proc_entry *proc_table_find(const struct proc_table *t, pid_t pid);
/* The index of the first one from this process id on, n when there is none. */
size_t proc_table_seek(const struct proc_table *t, pid_t pid);

/*
 * The processes there are; only `pid` and `ino` are set. Does not block.
 * @ret  replaced
 * Returns 0 or a negative errno.
 */
int proc_list_read(int proc_fd, struct proc_table *ret);

/* The table is now of these processes; what is known of those that remain is kept. */
void proc_table_update(struct proc_table *t, const struct proc_table *list);

/* What was read of one entry of a batch. */
struct proc_title {
	bool is_new;	/* differs from what the entry said; else the rest is not set */
	uint32_t start; /* in the batch's bytes */
	uint32_t len;
};

struct proc_batch {
	size_t n;
	struct proc_entry entries[PROC_BATCH_MAX];
	/*
	 * How many have been dealt with. What belongs to these is not written any more and may be
	 * read by another thread; entries[n_read] is the one that a late batch is stuck at.
	 */
	_Atomic uint32_t n_read;
	atomic_bool is_cancelled; /* set by another thread: stop before the next one */
	struct proc_title titles[PROC_BATCH_MAX]; /* of the entry with the same index */
	uint32_t n_bytes;
	char bytes[PROC_BATCH_BYTES];
};

/* Empty. The bytes need not be initialised. */
void proc_batch_reset(struct proc_batch *batch);

/*
 * Fill a batch with entries that are due, beginning at the table's element *at, which moves on.
 * @stride  read settled titles in every stride-th scan only (1: in each)
 * @skip    entries to be left out; may be NULL
 * Returns false when the end was reached and the batch is empty.
 */
bool proc_table_take(const struct proc_table *t, size_t *at, unsigned stride,
		     bool (*skip)(void *ctx, const struct proc_entry *e), void *ctx,
		     struct proc_batch *batch);

/*
 * Read the titles of all entries in the batch, which are brought up to date; those that differ are
 * in titles[]. Stops early when there is no room for more: then n_read stays below n, and the rest
 * is to be taken again, from proc_table_seek() on.
 */
void proc_batch_read(int proc_fd, struct proc_batch *batch);

/* Take what the first n_read entries say into the table. */
void proc_table_put(struct proc_table *t, const struct proc_batch *batch, uint32_t n_read);

#endif
