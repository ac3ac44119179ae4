/* SPDX-License-Identifier: BSD-3-Clause */
/* The collector's status (recorder/status.h, as JSON), printed for people. */
#ifndef READER_STATUS_PRINT_H
#define READER_STATUS_PRINT_H

#include <stddef.h>
#include <stdint.h>

struct json_value;

/*
 * On standard output. What is missing or of another type, as in the answer of a newer or an older
 * daemon, is shown as "-".
 * @now_unix_s  to tell how long ago something was
 * @width       of the terminal; 0: nothing is cut
 */
void status_print(struct json_value *status, int64_t now_unix_s, size_t width);

#endif
