/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading JSON, strictly and whole. What is not there, or not of the type that is asked for, is
 * no error: all of these take NULL, and say that there is nothing.
 */
#ifndef READER_JSON_VALUE_H
#define READER_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

struct json_value;

/*
 * One value and nothing behind it, in UTF-8, nested at most 32 deep.
 * @ret  the caller's; everything in it is lent until it is freed
 * Returns 0 or -EBADMSG.
 */
int json_value_parse(const char *text, size_t len, struct json_value **ret);
void json_value_free(struct json_value *v);
DEFINE_CLEANUP(struct json_value *, json_value_free)
#define auto_json_value auto_release(json_value_free)

bool json_value_is_object(struct json_value *v);
/* NULL when it is missing, or null. */
struct json_value *json_value_member(struct json_value *object, const char *key);
/* Whether it is there and null. */
bool json_value_member_is_null(struct json_value *object, const char *key);

size_t json_value_length(struct json_value *array);
struct json_value *json_value_item(struct json_value *array, size_t i);

/* Of a member: NULL when it is no text. */
const char *json_value_text(struct json_value *object, const char *key);
/* Whether it is a number that is not negative. */
bool json_value_number(struct json_value *object, const char *key, double *ret);
/* A whole number; 0 when it is none, or negative. */
uint64_t json_value_count(struct json_value *object, const char *key);
bool json_value_is(struct json_value *object, const char *key, bool expected);

#endif
