/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing JSON, one member per line, without building a tree first. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Nested at most so deep. */
#define JSON_MAX_DEPTH 8

struct json_writer {
	FILE *out;
	int is_line; /* bool: all on one line */
	unsigned depth;
	int n_members[JSON_MAX_DEPTH]; /* so far, on each level */
};

void json_begin(struct json_writer *j, FILE *out);	/* of the one object that all is in */
void json_begin_line(struct json_writer *j, FILE *out); /* the same on one line, for JSON lines */
void json_end(struct json_writer *j);

/* In an array a member has no key: NULL, here and below. */
void json_array(struct json_writer *j, const char *key);
void json_array_end(struct json_writer *j);
void json_object(struct json_writer *j, const char *key);
void json_object_end(struct json_writer *j);
/*
 * Bytes that are not UTF-8 become U+FFFD, and what could disturb a terminal is escaped. NULL
 * becomes null.
 */
void json_string(struct json_writer *j, const char *key, const char *value);
void json_int(struct json_writer *j, const char *key, int64_t value);
void json_count(struct json_writer *j, const char *key, uint64_t value);
/* What is no finite number becomes null. */
void json_real(struct json_writer *j, const char *key, double value, int decimals);
void json_bool(struct json_writer *j, const char *key, int value);
void json_null(struct json_writer *j, const char *key);

/*
 * Bytes as a JSON string with its quotes, as json_string() writes it, for what is written without
 * a json_writer. The caller frees.
 */
char *json_quote(const char *s, size_t len);

#endif
