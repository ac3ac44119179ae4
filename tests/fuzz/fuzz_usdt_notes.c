/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes in place of a program's USDT notes, and any text in place of their arguments. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/exact/usdt_notes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t stack[64];
	struct usdt_state state = {.stack = stack, .stack_len = sizeof(stack), .stack_start = 8};
	struct usdt_arg args[USDT_ARGS_MAX];
	struct usdt_probe probes[4];
	char *text = malloc(size + 1);
	int64_t value;

	usdt_notes_parse(data, size, "python", 1, probes, 4);
	memcpy(text, data, size);
	text[size] = '\0';
	for (int machine = USDT_X86_64; machine <= USDT_AARCH64; machine++) {
		int n = usdt_args_parse((enum usdt_machine)machine, text, args);

		for (int i = 0; i < n; i++) {
			usdt_arg_value(&args[i], &state, &value);
			if (usdt_arg_regs(&args[i]) >> USDT_REGS_MAX)
				abort();
		}
	}
	free(text);
	return 0;
}
