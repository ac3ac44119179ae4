/* SPDX-License-Identifier: BSD-3-Clause */
/* Which CPUs there are: events of all threads on all CPUs are opened CPU by CPU. */
#ifndef RECORDER_ONCPU_ONLINE_CPUS_H
#define RECORDER_ONCPU_ONLINE_CPUS_H

/*
 * The numbers of the CPUs that are online.
 * @ret_cpus  malloc()ed, the caller's
 * Returns 0; -E2BIG when there are more than max; or another negative errno.
 */
int online_cpus_read(unsigned max, int **ret_cpus, unsigned *ret_n);
/* The same from the text of /sys/devices/system/cpu/online: "0-3,8,10-11". */
int online_cpus_parse(const char *text, unsigned max, int **ret_cpus, unsigned *ret_n);

#endif
