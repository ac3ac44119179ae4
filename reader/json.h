/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing JSON, one member per line, without building a tree first. */
#ifndef READER_JSON_H
#define READER_JSON_H

#include <stdint.h>
#include <stdio.h>

/* Nested at most so deep. */
#define JSON_MAX_DEPTH 8

struct json_writer {
	FILE *out;
	unsigned depth;
	int n_members[JSON_MAX_DEPTH]; /* so far, on each level */
};

void json_begin(struct json_writer *j, FILE *out); /* of the one object that all is in */
void json_end(struct json_writer *j);

void json_object(struct json_writer *j, const char *key);
void json_object_end(struct json_writer *j);
/* Bytes that are not UTF-8 become U+FFFD. NULL becomes null. */
void json_string(struct json_writer *j, const char *key, const char *value);
void json_int(struct json_writer *j, const char *key, int64_t value);
void json_count(struct json_writer *j, const char *key, uint64_t value);
void json_real(struct json_writer *j, const char *key, double value, int decimals);
void json_null(struct json_writer *j, const char *key);

#endif
