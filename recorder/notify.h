/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling the service manager how the daemon is doing (sd_notify(3)). Started by another one than
 * systemd, or by hand, all of it does nothing. None of it waits.
 *
 * A worker, which has no business with the service manager, must not call these.
 */
#ifndef RECORDER_NOTIFY_H
#define RECORDER_NOTIFY_H

#include <stdint.h>

/* Each returns 1, 0 when nobody listens, or a negative errno. */

/* Started, or reloaded. */
int notify_ready(void);
int notify_reloading(void);
int notify_stopping(void);
/* To be called only when sampling and writing have progressed since the last time. */
int notify_watchdog(void);
/* One line for `systemctl status`; control characters in it become '?', and it may be cut. */
int notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * After how long without notify_watchdog() the service manager ends us; call it at least twice as
 * often. 0: never.
 */
uint64_t notify_watchdog_interval_ns(void);

/*
 * Take a descriptor that the service manager has opened for us (sd_listen_fds(3)).
 * @name  FileDescriptorName= of its unit
 * Returns the descriptor, the caller's, which does not block and is closed on exec; -ENOENT when
 * none of that name was passed; or another negative errno. To be asked once for each name.
 */
int notify_take_descriptor(const char *name);

/* The kernel's process events: a netlink socket in their group (trackexec-collector-events.socket).
 */
#define NOTIFY_PROCESS_EVENTS "process-events"
/* Its word on sockets: a netlink socket (trackexec-collector-sockets.socket). */
#define NOTIFY_SOCKET_DIAG "socket-diag"

#endif
