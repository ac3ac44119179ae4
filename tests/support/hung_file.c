/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system in user space (FUSE, spoken without its library) that answers all but reading. One
 * process reads its file, so the first page stays locked; another maps it privately for direct I/O,
 * for which the kernel drops the file's pages first, and waits for that lock while it holds the one
 * of the memory map.
 */
#include "tests/support/hung_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_INODE  2
#define FILE_SIZE   65536
#define PATIENCE_MS 10000

static void answer(int fd, uint64_t unique, int error, const void *data, size_t len)
{
	struct fuse_out_header header = {
	    .len = (uint32_t)(sizeof(header) + len), .error = error, .unique = unique};
	char reply[256];

	memcpy(reply, &header, sizeof(header));
	if (len)
		memcpy(reply + sizeof(header), data, len);
	if (write(fd, reply, header.len) < 0 && errno != ENOENT)
		_exit(1);
}

static struct fuse_attr attributes(uint64_t inode)
{
	struct fuse_attr attr = {.ino = inode, .nlink = 1, .blksize = 4096};

	attr.mode = inode == FILE_INODE ? S_IFREG | 0444 : S_IFDIR | 0555;
	attr.size = inode == FILE_INODE ? FILE_SIZE : 0;
	return attr;
}

/* @asked  is written to when the file is read; @n_opened counts */
static void serve_one(int fd, int asked, int *n_opened, const struct fuse_in_header *in)
{
	struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
	struct fuse_entry_out entry = {.nodeid = FILE_INODE, .entry_valid = 60, .attr_valid = 60};
	struct fuse_attr_out attr = {.attr_valid = 60};
	struct fuse_open_out opened = {0};

	entry.attr = attributes(FILE_INODE);
	attr.attr = attributes(in->nodeid);
	switch (in->opcode) {
	case FUSE_INIT:
		answer(fd, in->unique, 0, &init, sizeof(init));
		return;
	case FUSE_LOOKUP:
		answer(fd, in->unique, 0, &entry, sizeof(entry));
		return;
	case FUSE_GETATTR:
		answer(fd, in->unique, 0, &attr, sizeof(attr));
		return;
	case FUSE_OPEN:
		opened.open_flags = (*n_opened)++ ? FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE : 0;
		answer(fd, in->unique, 0, &opened, sizeof(opened));
		return;
	case FUSE_READ:
		if (write(asked, "x", 1) != 1)
			_exit(1);
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		answer(fd, in->unique, -ENOSYS, NULL, 0);
	}
}

static void serve(int fd, int asked)
{
	static _Alignas(8) char buf[FUSE_MIN_READ_BUFFER * 2];
	int n_opened = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < (ssize_t)sizeof(struct fuse_in_header))
			_exit(0);
		serve_one(fd, asked, &n_opened, (const void *)buf);
	}
}

static void read_file(int folder)
{
	char c;
	int fd = openat(folder, "file", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(fd >= 0 && read(fd, &c, 1) == 1 ? 0 : 1);
}

/* Returns 0 once the first page is being read. */
static int start_processes(struct hung_file *f)
{
	struct pollfd p = {.events = POLLIN};
	int asked[2];

	if (pipe(asked) < 0)
		return -errno;
	f->asked = p.fd = asked[0];
	f->server = fork();
	if (f->server == 0)
		serve(f->fuse_fd, asked[1]);
	close(asked[1]);
	close(f->fuse_fd);
	f->reader = fork();
	if (f->reader == 0)
		read_file(f->folder);
	return poll(&p, 1, PATIENCE_MS) > 0 ? 0 : -EIO;
}

/* Returns the folder, or a negative errno. */
static int mount_folder(int fuse_fd)
{
	char path[] = "/tmp/trackexec-hung-XXXXXX", options[128];
	int fd = -1, r = 0;

	if (!mkdtemp(path))
		return -errno;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse_fd);
	if (mount("trackexec", path, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		r = -errno;
	if (r == 0) {
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : fd;
		umount2(path, MNT_DETACH);
	}
	rmdir(path);
	return r;
}

int hung_file_start(struct hung_file *f)
{
	int r;

	*f = (struct hung_file){.fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC)};
	if (f->fuse_fd < 0)
		return -errno;
	f->folder = mount_folder(f->fuse_fd);
	if (f->folder < 0) {
		close(f->fuse_fd);
		return f->folder;
	}
	r = start_processes(f);
	if (r < 0)
		hung_file_release(f);
	return r;
}

int hung_file_hang(const struct hung_file *f)
{
	int fd = openat(f->folder, "file", O_RDONLY);
	void *p;

	if (fd < 0)
		return -errno;
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? -errno : 0;
}

void hung_file_release(struct hung_file *f)
{
	/* Without its server the file system gives all who wait an error. */
	kill(f->server, SIGKILL);
	waitpid(f->server, NULL, 0);
	waitpid(f->reader, NULL, 0);
	close(f->asked);
	close(f->folder);
}
