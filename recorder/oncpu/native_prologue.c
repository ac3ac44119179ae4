/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function with a frame pointer begins like this, maybe with other instructions in between:
 *
 *     55                     push   %rbp
 *     48 89 e5               mov    %rsp,%rbp
 *     41 54                  push   %r12
 *     53                     push   %rbx
 *     48 83 ec 20            sub    $0x20,%rsp      or 48 81 ec and four bytes
 *
 * Its code is looked through for that subtraction without telling instructions apart: whatever
 * else looks like one is a candidate too, and is not confirmed by what is on the stack.
 */
#include "recorder/oncpu/native_prologue.h"

#include <string.h>

#include "recorder/oncpu/native_memory.h"

#if defined(__x86_64__)

/* Compilers may put off making room until it is needed, but not for long. */
#define MAX_CODE_BYTES 1024
#define MAX_ROOM_BYTES (1u << 20)
/* For eight bytes of room compilers push a register whose value they don't need. */
#define PUSH_RAX	  0x50
#define PUSH_RCX	  0x51
#define PUSH_WITHIN_BYTES 32

static size_t add_room(uint32_t *rooms, size_t n, uint32_t bytes)
{
	if (n == NATIVE_MAX_ROOMS || bytes > MAX_ROOM_BYTES || bytes % 8 != 0)
		return n;
	for (size_t i = 0; i < n; i++)
		if (rooms[i] == bytes)
			return n;
	rooms[n] = bytes;
	return n + 1;
}

static bool has_push(const unsigned char *code, size_t len)
{
	for (size_t i = 0; i < len && i < PUSH_WITHIN_BYTES; i++)
		if (code[i] == PUSH_RAX || code[i] == PUSH_RCX)
			return true;
	return false;
}

size_t native_prologue_rooms(struct native_memory *memory, uint64_t start, uint64_t end,
			     uint32_t rooms[static NATIVE_MAX_ROOMS])
{
	unsigned char code[MAX_CODE_BYTES];
	size_t len = end - start < sizeof(code) ? (size_t)(end - start) : sizeof(code);
	size_t n = 0;

	if (native_memory_read(memory, start, code, len) < 0)
		return 0;
	for (size_t i = 0; i < len; i++) {
		uint32_t bytes;

		if (len - i >= 4 && memcmp(code + i, "\x48\x83\xec", 3) == 0)
			n = add_room(rooms, n, code[i + 3]);
		if (len - i >= 7 && memcmp(code + i, "\x48\x81\xec", 3) == 0) {
			memcpy(&bytes, code + i + 3, sizeof(bytes));
			n = add_room(rooms, n, bytes);
		}
	}
	if (n == 0)
		n = add_room(rooms, n, 0);
	if (n == 1 && rooms[0] == 0 && has_push(code, len))
		n = add_room(rooms, n, 8);
	return n;
}

/* Length of `ff /2`, a call through a register or memory, by its second and third byte; or 0. */
static size_t indirect_call_length(const unsigned char *p)
{
	unsigned mode = p[1] >> 6, operand = p[1] & 7;
	size_t len = 2;

	if (p[0] != 0xff || ((p[1] >> 3) & 7) != 2)
		return 0;
	if (mode == 3)
		return len;
	if (operand == 4) {
		len++;
		/* No base register but four bytes. */
		if (mode == 0 && (p[2] & 7) == 5)
			return len + 4;
	}
	if (mode == 0)
		return operand == 5 ? len + 4 : len;
	return len + (mode == 1 ? 1 : 4);
}

enum native_call native_call_before(struct native_memory *memory, uint64_t ip, uint64_t *ret_target)
{
	unsigned char code[8]; /* the last one pads */
	int32_t distance;

	code[7] = 0;
	if (ip < 7 || native_memory_read(memory, ip - 7, code, 7) < 0)
		return NATIVE_CALL_NONE;
	if (code[2] == 0xe8) {
		memcpy(&distance, code + 3, sizeof(distance));
		*ret_target = ip + (uint64_t)(int64_t)distance;
		return NATIVE_CALL_DIRECT;
	}
	for (size_t len = 2; len <= 7; len++)
		if (indirect_call_length(code + 7 - len) == len)
			return NATIVE_CALL_INDIRECT;
	return NATIVE_CALL_NONE;
}

#else

/* There tables find frames through the stack pointer, which is known. */
size_t native_prologue_rooms(struct native_memory *memory, uint64_t start, uint64_t end,
			     uint32_t rooms[static NATIVE_MAX_ROOMS])
{
	(void)memory;
	(void)start;
	(void)end;
	(void)rooms;
	return 0;
}

enum native_call native_call_before(struct native_memory *memory, uint64_t ip, uint64_t *ret_target)
{
	(void)memory;
	(void)ip;
	(void)ret_target;
	return NATIVE_CALL_NONE;
}

#endif
