/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the collector, see common/control_protocol.h. */
#ifndef READER_STATUS_CLIENT_H
#define READER_STATUS_CLIENT_H

#include <stddef.h>

/*
 * Send a request and read the whole answer, which takes at most a quarter of a minute.
 * @ret  the answer, any bytes, with a NUL behind them; the caller frees
 * Returns 0, -ENOENT or -ECONNREFUSED (nobody is there), -EACCES, -ETIMEDOUT, -EMSGSIZE (it is
 * larger than CONTROL_ANSWER_MAX), or another negative errno.
 */
int status_client_ask(const char *path, const char *request, char **ret, size_t *ret_len);

#endif
