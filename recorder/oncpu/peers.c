/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/peers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/oncpu/net_cache.h"
#include "recorder/oncpu/net_tables.h"

/* A pipe or socket that a target has open; descriptors of the same are one. */
struct holding {
	uint64_t inode;
	bool reads, writes;
};

/* What a target had when it was looked at. */
struct possessions {
	pid_t pid;
	uint64_t start_ticks;
	uint64_t read_ns; /* 0: never */
	struct holding *holdings;
	size_t n, cap;
	struct hash_index index; /* by inode */
};

struct peers {
	struct possessions *targets;
	size_t n, cap;
	uint64_t pause_end_ns; /* of searching for addresses */
};

struct peers *peers_new(void)
{
	return xcalloc(1, sizeof(struct peers));
}

static void possessions_done(struct possessions *p)
{
	free(p->holdings);
	hash_index_done(&p->index);
}

void peers_free(struct peers *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		possessions_done(&p->targets[i]);
	free(p->targets);
	free(p);
}

static uint32_t hash_inode(uint64_t inode)
{
	return hash_fold(hash_mix(0, inode));
}

static struct holding *find_holding(const struct possessions *p, uint64_t inode)
{
	if (p->n == 0)
		return NULL;
	HASH_INDEX_FOR_EACH(&p->index, hash_inode(inode), at, id)
	if (p->holdings[id].inode == inode)
		return &p->holdings[id];
	return NULL;
}

static void add_holding(struct possessions *p, uint64_t inode, bool reads, bool writes)
{
	struct holding *h = find_holding(p, inode);

	if (!h) {
		p->holdings = xgrow(p->holdings, &p->cap, p->n + 1, sizeof(*p->holdings));
		h = &p->holdings[p->n];
		*h = (struct holding){.inode = inode};
		hash_index_add(&p->index, hash_inode(inode), (uint32_t)p->n);
		p->n++;
	}
	h->reads |= reads;
	h->writes |= writes;
}

/* "pipe:[1234]", "socket:[1234]" */
static bool parse_inode(const char *link, uint64_t *ret)
{
	unsigned long long inode;

	if (sscanf(link, "pipe:[%llu]", &inode) != 1 && sscanf(link, "socket:[%llu]", &inode) != 1)
		return false;
	*ret = inode;
	return true;
}

static void look_at_fd(struct possessions *p, int dir_fd, const char *name)
{
	char link[64];
	ssize_t len = readlinkat(dir_fd, name, link, sizeof(link) - 1);
	struct stat st;
	uint64_t inode;

	if (len <= 0)
		return;
	link[len] = '\0';
	/* The mode of the link itself is how the file is open (proc(5), /proc/pid/fd). */
	if (parse_inode(link, &inode) && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		add_holding(p, inode, st.st_mode & S_IRUSR, st.st_mode & S_IWUSR);
}

static void close_folder(DIR *dir)
{
	closedir(dir);
}
DEFINE_CLEANUP(DIR *, close_folder)

static void look_at_fds(struct possessions *p, const struct identity *id)
{
	auto_close int fd = openat(id->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_release(close_folder) DIR *dir = NULL;
	const struct dirent *entry;

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir)
		return;
	steal_fd(&fd);
	for (int i = 0; i < PEERS_MAX_FDS && (entry = readdir(dir)); i++)
		if (entry->d_name[0] != '.')
			look_at_fd(p, dirfd(dir), entry->d_name);
}

static bool is_of(const struct possessions *p, const struct identity *id)
{
	return p->pid == id->pid && p->start_ticks == id->start_ticks;
}

/* Those of a target, read now if they are old. Valid until the next call. */
static struct possessions *get_possessions(struct peers *p, const struct identity *id,
					   uint64_t now_ns)
{
	struct possessions *found = NULL;

	for (size_t i = 0; i < p->n && !found; i++)
		if (is_of(&p->targets[i], id))
			found = &p->targets[i];
	if (!found) {
		p->targets = xgrow(p->targets, &p->cap, p->n + 1, sizeof(*p->targets));
		found = &p->targets[p->n++];
		*found = (struct possessions){.pid = id->pid, .start_ticks = id->start_ticks};
	}
	if (found->read_ns && now_ns - found->read_ns < PEERS_MAX_AGE_NS)
		return found;
	possessions_done(found);
	*found =
	    (struct possessions){.pid = id->pid, .start_ticks = id->start_ticks, .read_ns = now_ns};
	look_at_fds(found, id);
	return found;
}

/* Forget those that are no targets any more. */
static void forget_others(struct peers *p, const struct identity *const *targets, size_t n)
{
	for (size_t i = 0; i < p->n;) {
		bool is_there = false;

		for (size_t j = 0; j < n && !is_there; j++)
			is_there = is_of(&p->targets[i], targets[j]);
		if (is_there) {
			i++;
			continue;
		}
		possessions_done(&p->targets[i]);
		p->targets[i] = p->targets[--p->n];
	}
}

/* The socket at the other end of a connection, or the listener that has it in its queue. */
struct end_search {
	const struct peer_question *question;
	uint64_t inode, listener;
};

/* A listener for all IPv6 addresses takes connections by IPv4, too. */
static bool is_heard_at(const struct net_address *listener, const struct net_address *address)
{
	if (net_address_equal(listener, address))
		return true;
	return net_address_is_any(listener) &&
	       (listener->family == AF_INET6 || listener->family == address->family);
}

static bool match_end(const char *line, void *ctx)
{
	struct end_search *s = ctx;
	const struct peer_question *q = s->question;
	struct net_line l;

	if (net_line_parse(line, &l) < 0 || l.inode == 0 || l.local.port != q->peer.port)
		return false;
	if (l.state == NET_LISTEN && is_heard_at(&l.local, &q->peer))
		s->listener = l.inode;
	if (!q->local.family || !net_address_equal(&l.local, &q->peer) ||
	    !net_address_equal(&l.peer, &q->local))
		return false;
	s->inode = l.inode;
	return true;
}

static uint64_t search_inet_end(const struct identity *self, const struct peer_question *q)
{
	static const enum net_table tables[] = {NET_TCP, NET_TCP6, NET_UDP, NET_UDP6};
	struct end_search s = {.question = q};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (net_table_search(self->proc_fd, tables[i], match_end, &s) == 0)
			return s.inode;
	return s.listener;
}

/* The tables of the kernel are walked over, so this is limited to a share of one CPU. */
static uint64_t find_inet_end(struct peers *p, const struct identity *self,
			      const struct peer_question *q, uint64_t now_ns)
{
	uint64_t start_ns, took_ns, inode;

	if (q->peer.port == 0 || now_ns < p->pause_end_ns)
		return 0;
	start_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
	inode = search_inet_end(self, q);
	took_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	p->pause_end_ns = now_ns + took_ns * NET_CACHE_PAUSE;
	return inode;
}

struct name_search {
	char name[UNIX_NAME_MAX + 1]; /* as the table shows it */
	size_t len;
	uint64_t inode;
};

static bool match_name(const char *line, void *ctx)
{
	struct name_search *s = ctx;
	struct net_unix_line l;

	if (net_unix_line_parse(line, &l) < 0 || !l.listens || l.name_len != s->len ||
	    memcmp(l.name, s->name, s->len) != 0)
		return false;
	s->inode = l.inode;
	return true;
}

static uint64_t find_unix_listener(const struct identity *self, const struct unix_name *name)
{
	struct name_search s = {.len = name->len};

	if (s.len > UNIX_NAME_MAX)
		return 0;
	memcpy(s.name, name->bytes, s.len);
	/* A path ends at its NUL; each of an abstract name is shown as '@'. */
	if (s.name[0])
		s.len = strnlen(s.name, s.len);
	for (size_t i = 0; i < s.len; i++)
		if (s.name[i] == '\0')
			s.name[i] = '@';
	if (s.len > 0)
		net_table_search(self->proc_fd, NET_UNIX, match_name, &s);
	return s.inode;
}

/* The other end's inode; 0 when there is none. */
static uint64_t find_inode(struct peers *p, const struct identity *self,
			   const struct peer_question *q, uint64_t now_ns)
{
	switch (q->kind) {
	case PEER_PIPE_WRITER:
	case PEER_PIPE_READER:
		return q->inode;
	case PEER_UNIX:
		return q->inode ? q->inode : find_unix_listener(self, &q->name);
	case PEER_INET:
		return find_inet_end(p, self, q, now_ns);
	default:
		return 0;
	}
}

static bool is_pipe(const struct peer_question *q)
{
	return q->kind == PEER_PIPE_WRITER || q->kind == PEER_PIPE_READER;
}

/* 0: no, 1: it could be, 2: it is one that has nothing but the other end. */
static int rate(const struct peer_question *q, const struct holding *h)
{
	bool has_other, has_same;

	if (!h)
		return 0;
	if (!is_pipe(q))
		return 2;
	has_other = q->kind == PEER_PIPE_WRITER ? h->writes : h->reads;
	has_same = q->kind == PEER_PIPE_WRITER ? h->reads : h->writes;
	if (!has_other)
		return 0;
	return has_same ? 1 : 2;
}

static size_t find_child(const struct identity *const *targets, size_t n, size_t self,
			 int32_t child, size_t *ret, size_t max)
{
	for (size_t i = 0; i < n && max > 0; i++) {
		if (i == self || targets[i]->pid != child)
			continue;
		*ret = i;
		return 1;
	}
	return 0;
}

size_t peers_find(struct peers *p, const struct identity *const *targets, size_t n, size_t self,
		  const struct peer_question *question, uint64_t now_ns, size_t *ret, size_t max)
{
	uint8_t rates[PEERS_MAX_TARGETS] = {0};
	size_t n_found = 0;
	uint64_t inode;

	if (n > PEERS_MAX_TARGETS)
		n = PEERS_MAX_TARGETS;
	if (self >= n)
		return 0;
	if (question->kind == PEER_CHILD)
		return find_child(targets, n, self, question->child, ret, max);
	inode = find_inode(p, targets[self], question, now_ns);
	if (inode == 0)
		return 0;
	forget_others(p, targets, n);
	for (size_t i = 0; i < n; i++)
		if (i != self)
			rates[i] = (uint8_t)rate(
			    question, find_holding(get_possessions(p, targets[i], now_ns), inode));
	for (int wanted = 2; wanted > 0; wanted--)
		for (size_t i = 0; i < n && n_found < max; i++)
			if (rates[i] == wanted)
				ret[n_found++] = i;
	return n_found;
}
