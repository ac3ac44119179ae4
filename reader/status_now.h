/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the threads of the recorded processes do now. The collector does not know: it is read from
 * their traces, by whoever may read these. Of others nothing is said.
 */
#ifndef READER_STATUS_NOW_H
#define READER_STATUS_NOW_H

#include <stddef.h>

struct json_value;

/*
 * For people, on standard output; a blank line before it when there is anything.
 * @status  as the collector answers
 * @width   of the terminal, 0: any
 */
void status_now_print(struct json_value *status, size_t width);

/*
 * The answer again, on standard output, with an array "now" as its last member.
 * @text  the answer, an object, as it came
 */
void status_now_json(struct json_value *status, const char *text, size_t len);

#endif
