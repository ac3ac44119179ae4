/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes in place of a configuration file. One that is accepted must print as one that says
 * the same, and its targets must give good names only, whatever the title: here the file itself.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "recorder/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct collector_config *parse(const char *text, size_t len)
{
	auto_config_errors struct config_errors errors = {0};
	struct collector_config *c = NULL;
	int r = collector_config_parse("collector.conf", text, len, &c, &errors);

	if ((r == 0) != (errors.n == 0) || (r == 0) != (c != NULL) || (r && r != -EINVAL))
		abort();
	for (size_t i = 0; i < errors.n; i++) {
		if (strchr(errors.lines[i], '\n') ||
		    !text_is_utf8(errors.lines[i], strlen(errors.lines[i])))
			abort();
	}
	return c;
}

static void print_and_compare(const struct collector_config *c)
{
	auto_free char *text = collector_config_format(c);
	auto_collector_config struct collector_config *again = parse(text, strlen(text));
	auto_free char *text_again = NULL;

	if (!again)
		abort();
	text_again = collector_config_format(again);
	if (strcmp(text, text_again) != 0 || again->n_targets != c->n_targets ||
	    again->max_age_ns != c->max_age_ns || again->max_use_bytes != c->max_use_bytes)
		abort();
}

static void match(const struct collector_config *c, const char *title, size_t len)
{
	const struct target_config *target;
	char name[TRACE_NAME_MAX + 1];

	if (config_match(c, title, len, &target, name, sizeof(name)) == 1 &&
	    !trace_name_is_valid(name, strlen(name)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	auto_collector_config struct collector_config *c = parse(text, size);

	if (!c)
		return 0;
	print_and_compare(c);
	match(c, text, size);
	for (size_t i = 0; i < c->n_targets; i++) {
		const char *pattern =
		    c->targets[i].title ? c->targets[i].title : c->targets[i].command;

		match(c, pattern, strlen(pattern));
	}
	return 0;
}
