/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json-c, whose names collide with those of common/json.h: no other file includes it. A json_value
 * is its json_object under another name, for which null is NULL.
 */
#include "reader/json_value.h"

#include <errno.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <limits.h>

#include "common/xalloc.h"

DEFINE_CLEANUP(struct json_tokener *, json_tokener_free)
#define auto_tokener auto_release(json_tokener_free)

static struct json_object *unwrap(struct json_value *v)
{
	return (struct json_object *)v;
}

static struct json_value *wrap(struct json_object *o)
{
	return (struct json_value *)o;
}

int json_value_parse(const char *text, size_t len, struct json_value **ret)
{
	auto_tokener struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	if (!tokener)
		xalloc_failed();
	if (len >= INT_MAX)
		return -EBADMSG;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* With the NUL at its end, which ends a number, too. */
	object = json_tokener_parse_ex(tokener, text, (int)len + 1);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) < len) {
		json_object_put(object);
		return -EBADMSG;
	}
	*ret = wrap(object);
	return 0;
}

void json_value_free(struct json_value *v)
{
	json_object_put(unwrap(v));
}

bool json_value_is_object(struct json_value *v)
{
	return json_object_is_type(unwrap(v), json_type_object);
}

struct json_value *json_value_member(struct json_value *object, const char *key)
{
	struct json_object *member = NULL;

	if (json_value_is_object(object))
		json_object_object_get_ex(unwrap(object), key, &member);
	return wrap(member);
}

bool json_value_member_is_null(struct json_value *object, const char *key)
{
	struct json_object *member = NULL;

	return json_value_is_object(object) &&
	       json_object_object_get_ex(unwrap(object), key, &member) && !member;
}

size_t json_value_length(struct json_value *array)
{
	return json_object_is_type(unwrap(array), json_type_array)
		   ? json_object_array_length(unwrap(array))
		   : 0;
}

struct json_value *json_value_item(struct json_value *array, size_t i)
{
	return i < json_value_length(array) ? wrap(json_object_array_get_idx(unwrap(array), i))
					    : NULL;
}

const char *json_value_text(struct json_value *object, const char *key)
{
	struct json_object *member = unwrap(json_value_member(object, key));

	return json_object_is_type(member, json_type_string) ? json_object_get_string(member)
							     : NULL;
}

bool json_value_number(struct json_value *object, const char *key, double *ret)
{
	struct json_object *member = unwrap(json_value_member(object, key));

	if (!json_object_is_type(member, json_type_int) &&
	    !json_object_is_type(member, json_type_double))
		return false;
	*ret = json_object_get_double(member);
	/* Neither what is not a number, which it takes. */
	return *ret >= 0;
}

uint64_t json_value_count(struct json_value *object, const char *key)
{
	struct json_object *member = unwrap(json_value_member(object, key));
	int64_t value =
	    json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : 0;

	return value > 0 ? (uint64_t)value : 0;
}

bool json_value_is(struct json_value *object, const char *key, bool expected)
{
	struct json_object *member = unwrap(json_value_member(object, key));

	return json_object_is_type(member, json_type_boolean) &&
	       (bool)json_object_get_boolean(member) == expected;
}
