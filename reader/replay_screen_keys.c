/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys by name. Which does what is said by the table of commands. */
#include <string.h>

#include "reader/replay_screen_private.h"

static const struct {
	const char *name;
	int code;
} named_keys[] = {
    {"Up", KEY_UP},	   {"Down", KEY_DOWN},	    {"Left", KEY_LEFT},	    {"Right", KEY_RIGHT},
    {"PageUp", KEY_PPAGE}, {"PageDown", KEY_NPAGE}, {"Home", KEY_HOME},	    {"End", KEY_END},
    {"Space", ' '},	   {"Tab", '\t'},	    {"Ctrl-L", 'L' & 0x1f},
};

/* Terminals count F13 on for F1 with Shift. */
#define SHIFT_F 12

static int function_key(const char *name, size_t len)
{
	int shift = 0, number = 0;

	if (len > 6 && memcmp(name, "Shift-", 6) == 0) {
		shift = SHIFT_F;
		name += 6;
		len -= 6;
	}
	if (len < 2 || len > 3 || name[0] != 'F')
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		number = number * 10 + (name[i] - '0');
	}
	return KEY_F(number + shift);
}

int screen_key_code(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(named_keys) / sizeof(named_keys[0]); i++) {
		if (strlen(named_keys[i].name) == len && memcmp(named_keys[i].name, name, len) == 0)
			return named_keys[i].code;
	}
	return len == 1 ? (unsigned char)name[0] : function_key(name, len);
}

const struct replay_command *screen_find_key(int key)
{
	for (size_t i = 0; i < n_replay_commands; i++) {
		const char *name = replay_commands[i].keys;

		while (name && *name) {
			size_t len = strcspn(name, " ");

			if (screen_key_code(name, len) == key)
				return &replay_commands[i];
			name += len;
			name += strspn(name, " ");
		}
	}
	return NULL;
}
