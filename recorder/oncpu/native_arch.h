/* SPDX-License-Identifier: BSD-3-Clause */
/* What the machine calls its registers, in libunwind's numbers and in DWARF's. */
#ifndef RECORDER_ONCPU_NATIVE_ARCH_H
#define RECORDER_ONCPU_NATIVE_ARCH_H

#if defined(__x86_64__)
/* DWARF numbers: of the column with the return address, and one behind the last general one. */
#define NATIVE_DWARF_RETURN 16
#define NATIVE_DWARF_N	    17
#define NATIVE_UNW_PC	    UNW_X86_64_RIP
#define NATIVE_UNW_SP	    UNW_X86_64_RSP
/* What holds the return address when a frame is left. */
#define NATIVE_UNW_RETURN UNW_X86_64_RIP
/* What frame pointers are kept in, and the others that a function saves beside it. */
#define NATIVE_UNW_FRAME UNW_X86_64_RBP
#define NATIVE_UNW_SAVED                                                                       \
	{                                                                                      \
		UNW_X86_64_RBX, UNW_X86_64_R12, UNW_X86_64_R13, UNW_X86_64_R14, UNW_X86_64_R15 \
	}
/* A call pushes the return address: each frame takes some of the stack. */
#define NATIVE_FRAME_MIN_BYTES 8
#elif defined(__aarch64__)
#define NATIVE_DWARF_RETURN 30
#define NATIVE_DWARF_N	    96
#define NATIVE_UNW_PC	    UNW_AARCH64_PC
#define NATIVE_UNW_SP	    UNW_AARCH64_SP
#define NATIVE_UNW_RETURN   UNW_AARCH64_X30
#define NATIVE_UNW_FRAME    UNW_AARCH64_X29
#define NATIVE_UNW_SAVED                         \
	{                                        \
		UNW_AARCH64_X19, UNW_AARCH64_X20 \
	}
#define NATIVE_FRAME_MIN_BYTES 0
#else
/* cppcheck-suppress preprocessorErrorDirective */
#error "unwinding is not known for this machine"
#endif

#endif
