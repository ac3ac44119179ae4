/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and opening files in the name of another user. */
#include "recorder/act_as.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/privileges.h"
#include "tests/support/tree.h"

#define SOMEBODY 54321
#define READERS	 54322
#define OTHERS	 54323

#define BIT(capability) (UINT64_C(1) << (capability))

static const struct actor somebody = {.uid = SOMEBODY, .gid = READERS};
static const struct actor with_rights = {.uid = SOMEBODY, .gid = READERS, .overrides = true};
static const struct actor nobody_else = {.uid = (uid_t)-1, .gid = (gid_t)-1};

static char *top;
static int top_fd;

static void setup(void)
{
	umask(027);
	top = tree_new();
	top_fd = tree_open(top, ".");
}

static void teardown(void)
{
	close(top_fd);
	tree_free(top);
}

static bool is_root(const char *test)
{
	if (geteuid() == 0 && privileges_have(CAP_SETUID) && privileges_have(CAP_CHOWN))
		return true;
	fprintf(stderr, "%s: skipped, needs root\n", test);
	return false;
}

static uint64_t effective(void)
{
	uint64_t now = 0;

	ck_assert_int_eq(privileges_get_effective(&now), 0);
	return now;
}

static void drop(int capability)
{
	ck_assert_int_eq(privileges_set_effective(effective() & ~BIT(capability)), 0);
	ck_assert(!privileges_have(capability));
}

/* What a thread's status says of Uid, Gid, Groups and capabilities. */
static char *describe(pid_t tid)
{
	auto_free char *path = xasprintf("/proc/self/task/%d/status", (int)tid);
	auto_fclose FILE *f = fopen(path, "re");
	auto_free char *line = NULL;
	char *text = NULL;
	size_t size = 0, len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert(f && out);
	while (getline(&line, &size, f) > 0) {
		if (strncmp(line, "Uid", 3) == 0 || strncmp(line, "Gid", 3) == 0 ||
		    strncmp(line, "Groups", 6) == 0 || strncmp(line, "Cap", 3) == 0)
			fputs(line, out);
	}
	fclose(out);
	return text;
}

static void begin(const struct actor *actor, struct act_as *ret)
{
	ck_assert_int_eq(act_as_begin(actor, ret), 0);
}

static int try_write(const char *name)
{
	int fd = openat(top_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static void assert_owner(int fd, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_uid, uid);
	ck_assert_uint_eq(st.st_gid, gid);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
}

START_TEST(what_is_made_belongs_to_the_actor)
{
	auto_act_as struct act_as scope = {0};
	auto_free char *before = NULL, *after = NULL;
	auto_close int fd = -1, own = -1;

	if (!is_root("what_is_made_belongs_to_the_actor"))
		return;
	drop(CAP_CHOWN);
	before = describe(gettid());
	begin(&with_rights, &scope);
	fd = try_write("theirs");
	ck_assert_int_ge(fd, 0);
	act_as_end(&scope);
	assert_owner(fd, SOMEBODY, READERS, 0600);
	after = describe(gettid());
	ck_assert_str_eq(after, before);
	own = try_write("ours");
	assert_owner(own, 0, getegid(), 0600);
	/* A second time it does nothing. */
	act_as_end(&scope);
}
END_TEST

START_TEST(the_scope_ends_it)
{
	auto_free char *before = describe(gettid());
	auto_free char *after = NULL;

	if (!is_root("the_scope_ends_it"))
		return;
	for (int i = 0; i < 2; i++) {
		auto_act_as struct act_as scope = {0};
		auto_free char *meanwhile = NULL;

		begin(i ? &somebody : &with_rights, &scope);
		meanwhile = describe(gettid());
		ck_assert_str_ne(meanwhile, before);
	}
	after = describe(gettid());
	ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(others_files_are_closed_to_the_actor)
{
	auto_act_as struct act_as scope = {0};

	if (!is_root("others_files_are_closed_to_the_actor"))
		return;
	tree_write(top, "secret", "secret");
	ck_assert_int_eq(fchmodat(top_fd, "secret", 0600, 0), 0);
	begin(&somebody, &scope);
	ck_assert_int_eq(openat(top_fd, "secret", O_RDONLY), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(try_write("new"), -EACCES);
	act_as_end(&scope);
	ck_assert_int_eq(close(openat(top_fd, "secret", O_RDONLY | O_CLOEXEC)), 0);
}
END_TEST

/* As the kernel takes it away only when it is told to care for users' changes. */
START_TEST(they_are_closed_also_where_the_kernel_leaves_capabilities)
{
	auto_act_as struct act_as scope = {0};

	if (!is_root("they_are_closed_also_where_the_kernel_leaves_capabilities"))
		return;
	if (prctl(PR_SET_SECUREBITS, 1 << 2 /* SECBIT_NO_SETUID_FIXUP */, 0, 0, 0) < 0) {
		fputs("they_are_closed_also_where_the_kernel_leaves_capabilities: skipped, needs "
		      "CAP_SETPCAP\n",
		      stderr);
		return;
	}
	begin(&somebody, &scope);
	ck_assert_int_eq(try_write("new"), -EACCES);
	ck_assert(!privileges_have(CAP_FOWNER) && !privileges_have(CAP_DAC_READ_SEARCH));
}
END_TEST

START_TEST(overriding_is_all_that_stays)
{
	auto_act_as struct act_as scope = {0};

	if (!is_root("overriding_is_all_that_stays"))
		return;
	begin(&with_rights, &scope);
	ck_assert(privileges_have(CAP_DAC_OVERRIDE));
	ck_assert(!privileges_have(CAP_CHOWN) && !privileges_have(CAP_FOWNER));
	ck_assert(!privileges_have(CAP_DAC_READ_SEARCH) && !privileges_have(CAP_MKNOD));
	ck_assert(privileges_have(CAP_SETUID));
	act_as_end(&scope);
	/* What is not there before does not come this way. */
	drop(CAP_DAC_OVERRIDE);
	begin(&with_rights, &scope);
	ck_assert_int_eq(try_write("new"), -EACCES);
	act_as_end(&scope);
	ck_assert(!privileges_have(CAP_DAC_OVERRIDE) && privileges_have(CAP_CHOWN));
}
END_TEST

START_TEST(groups_are_those_of_the_actor)
{
	const gid_t own[] = {OTHERS, 4, 5}, groups[] = {READERS};
	const struct actor in_group = {
	    .uid = SOMEBODY,
	    .gid = SOMEBODY,
	    .groups = groups,
	    .n_groups = 1,
	};
	auto_act_as struct act_as scope = {0};
	gid_t found[8];

	if (!is_root("groups_are_those_of_the_actor"))
		return;
	ck_assert_int_eq(setgroups(3, own), 0);
	begin(&in_group, &scope);
	ck_assert_int_eq(getgroups(8, found), 1);
	ck_assert_uint_eq(found[0], READERS);
	act_as_end(&scope);
	ck_assert_int_eq(getgroups(8, found), 3);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	begin(&in_group, &scope);
	act_as_end(&scope);
	ck_assert_int_eq(getgroups(8, found), 0);
}
END_TEST

struct bystander {
	pthread_barrier_t barrier;
	pid_t tid;
};

static void *stand_by(void *arg)
{
	struct bystander *b = arg;

	b->tid = gettid();
	pthread_barrier_wait(&b->barrier);
	pthread_barrier_wait(&b->barrier);
	return NULL;
}

START_TEST(other_threads_stay_who_they_are)
{
	const gid_t groups[] = {READERS};
	const struct actor actor = {
	    .uid = SOMEBODY,
	    .gid = READERS,
	    .groups = groups,
	    .n_groups = 1,
	};
	auto_act_as struct act_as scope = {0};
	auto_free char *before = NULL, *meanwhile = NULL;
	struct bystander b;
	pthread_t thread;

	if (!is_root("other_threads_stay_who_they_are"))
		return;
	ck_assert_int_eq(pthread_barrier_init(&b.barrier, NULL, 2), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, stand_by, &b), 0);
	pthread_barrier_wait(&b.barrier);
	before = describe(b.tid);
	begin(&actor, &scope);
	meanwhile = describe(b.tid);
	act_as_end(&scope);
	ck_assert_str_eq(meanwhile, before);
	pthread_barrier_wait(&b.barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&b.barrier);
}
END_TEST

START_TEST(without_the_right_nothing_changes)
{
	static const int needed[] = {CAP_SETUID, CAP_SETGID};
	const gid_t groups[] = {READERS};
	const struct actor actors[] = {
	    somebody,
	    {.uid = SOMEBODY, .gid = READERS, .groups = groups, .n_groups = 1},
	};

	if (!is_root("without_the_right_nothing_changes"))
		return;
	for (size_t i = 0; i < 4; i++) {
		uint64_t all = effective();
		auto_act_as struct act_as scope = {0};
		auto_free char *before = NULL, *after = NULL;

		drop(needed[i / 2]);
		before = describe(gettid());
		ck_assert_int_eq(act_as_begin(&actors[i % 2], &scope), -EPERM);
		ck_assert(!scope.acting);
		after = describe(gettid());
		ck_assert_str_eq(after, before);
		ck_assert_int_eq(privileges_set_effective(all), 0);
	}
}
END_TEST

START_TEST(to_act_as_oneself_takes_no_right)
{
	const struct actor self = {.uid = geteuid(), .gid = getegid(), .overrides = true};
	auto_free char *before = NULL;

	if (geteuid() == 0 && privileges_have(CAP_SETUID))
		ck_assert_int_eq(
		    privileges_set_effective(effective() & ~(BIT(CAP_SETUID) | BIT(CAP_SETGID))),
		    0);
	before = describe(gettid());
	for (int i = 0; i < 2; i++) {
		auto_act_as struct act_as scope = {0};
		auto_free char *meanwhile = NULL;

		begin(i ? &self : &nobody_else, &scope);
		meanwhile = describe(gettid());
		ck_assert_str_eq(meanwhile, before);
	}
}
END_TEST

/* --- act_as_settle() --- */

START_TEST(mode_and_group_are_as_wanted_whatever_the_folder_says)
{
	auto_act_as struct act_as scope = {0};
	auto_close int fd = -1, folder = -1;

	if (!is_root("mode_and_group_are_as_wanted_whatever_the_folder_says"))
		return;
	ck_assert_int_eq(chown(top, 0, OTHERS), 0);
	ck_assert_int_eq(chmod(top, 02755), 0);
	drop(CAP_CHOWN);
	begin(&with_rights, &scope);
	fd = try_write("file");
	assert_owner(fd, SOMEBODY, OTHERS, 0600);
	ck_assert_int_eq(act_as_settle(&with_rights, fd, 0640), 0);
	ck_assert_int_eq(mkdirat(top_fd, "folder", 0700), 0);
	folder = tree_open(top, "folder");
	ck_assert_int_eq(act_as_settle(&with_rights, folder, 0750), 0);
	act_as_end(&scope);
	assert_owner(fd, SOMEBODY, READERS, 0640);
	assert_owner(folder, SOMEBODY, READERS, 0750);
}
END_TEST

/* As on a file system where all belongs to whoever has mounted it. */
START_TEST(another_owner_is_told)
{
	auto_act_as struct act_as scope = {0};
	auto_close int fd = try_write("ours");

	if (!is_root("another_owner_is_told"))
		return;
	ck_assert_int_eq(act_as_settle(&with_rights, fd, 0640), -EOPNOTSUPP);
	ck_assert_int_eq(act_as_settle(&nobody_else, fd, 0640), 0);
	begin(&with_rights, &scope);
	ck_assert_int_eq(act_as_settle(&with_rights, fd, 0600), -EOPNOTSUPP);
	act_as_end(&scope);
	assert_owner(fd, 0, getegid(), 0640);
}
END_TEST

START_TEST(what_is_ones_own_needs_only_its_mode)
{
	auto_close int fd = try_write("own");

	ck_assert_int_eq(act_as_settle(&nobody_else, fd, 0640), 0);
	assert_owner(fd, geteuid(), getegid(), 0640);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("act_as");
	TCase *tc = tcase_create("act_as");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_made_belongs_to_the_actor);
	tcase_add_test(tc, the_scope_ends_it);
	tcase_add_test(tc, others_files_are_closed_to_the_actor);
	tcase_add_test(tc, they_are_closed_also_where_the_kernel_leaves_capabilities);
	tcase_add_test(tc, overriding_is_all_that_stays);
	tcase_add_test(tc, groups_are_those_of_the_actor);
	tcase_add_test(tc, other_threads_stay_who_they_are);
	tcase_add_test(tc, without_the_right_nothing_changes);
	tcase_add_test(tc, to_act_as_oneself_takes_no_right);
	tcase_add_test(tc, mode_and_group_are_as_wanted_whatever_the_folder_says);
	tcase_add_test(tc, another_owner_is_told);
	tcase_add_test(tc, what_is_ones_own_needs_only_its_mode);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
