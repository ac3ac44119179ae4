#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write recorder/python/py_opcodes_table.c: what each CPython says of its own opcodes.

usage: gen-opcodes.py PYTHON... > recorder/python/py_opcodes_table.c

PYTHON: one command per minor version 3.8 to 3.15, in this order (a word, or a quoted command
line such as "chroot DIR python3.14"). Each is asked for its opcode numbers and inline caches;
what an opcode means for a reader of frames is decided below, by name. To add a version, give
its interpreter as well and look at the names that this prints as new.
"""
import json
import shlex
import subprocess
import sys

# Runs inside the interpreter that is asked; prints {name: [number, caches]}.
ASK = r'''
import json, opcode, sys
v = sys.version_info[:2]
def specialized_311():
    """3.11 and 3.12 give specialised opcodes the free numbers in order (generate_opcode_h.py)."""
    used = set(opcode.opmap.values())
    out, n = {}, 1
    names = list(opcode._specialized_instructions)
    if v == (3, 11):
        used.add(255)                       # DO_TRACING
    else:
        used |= {x for x in range(237, 256)}
    for name in names:
        while n in used:
            n += 1
        out[name] = n
        used.add(n)
    return out
family = {}
table = dict(opcode.opmap)
if v >= (3, 13):
    import _opcode_metadata as m
    table = {k: n for k, n in m.opmap.items() if n < 256}
    table.update(m._specialized_opmap)
    for base, names in m._specializations.items():
        family.update({n: base for n in names})
    caches = opcode._inline_cache_entries
elif v >= (3, 11):
    table = {k: n for k, n in table.items() if n < 256}
    table.update(specialized_311())
    if v == (3, 11):
        table["DO_TRACING"] = 255           # only in the C headers
    for base, names in opcode._specializations.items():
        family.update({n: base for n in names})
    entries = opcode._inline_cache_entries
    caches = {opcode.opname[i]: n for i, n in enumerate(entries) if n}
else:
    caches = {}
out = {}
for name, number in table.items():
    base = family.get(name, name)
    if base not in caches:
        for prefix in ("INSTRUMENTED_", ""):
            stem = name[len(prefix):] if name.startswith(prefix) else name
            if stem in caches:
                base = stem
                break
        else:
            if base.endswith("_ADAPTIVE"):
                base = base[:-9]
    out[name] = [number, caches.get(base, 0)]
print(json.dumps(out))
'''

NO_CALLEE = {
    8: 'ROT_TWO ROT_THREE DUP_TOP DUP_TOP_TWO ROT_FOUR NOP LOAD_CONST JUMP_FORWARD LOAD_FAST',
    9: 'ROT_TWO ROT_THREE DUP_TOP DUP_TOP_TWO ROT_FOUR NOP LOAD_CONST JUMP_FORWARD LOAD_FAST',
    10: 'ROT_TWO ROT_THREE DUP_TOP DUP_TOP_TWO ROT_FOUR NOP ROT_N LOAD_CONST JUMP_FORWARD LOAD_FAST '
        'LOAD_CLOSURE',
    11: 'CACHE PUSH_NULL NOP EXTENDED_ARG_QUICK LOAD_CONST__LOAD_FAST LOAD_FAST__LOAD_CONST '
        'LOAD_FAST__LOAD_FAST SWAP LOAD_CONST JUMP_FORWARD COPY LOAD_FAST '
        'JUMP_BACKWARD_NO_INTERRUPT LOAD_CLOSURE EXTENDED_ARG COPY_FREE_VARS KW_NAMES',
    12: 'CACHE PUSH_NULL NOP MATCH_MAPPING MATCH_SEQUENCE LOAD_CONST__LOAD_FAST '
        'LOAD_FAST__LOAD_CONST LOAD_FAST__LOAD_FAST SWAP LOAD_CONST JUMP_FORWARD COPY LOAD_FAST '
        'JUMP_BACKWARD_NO_INTERRUPT LOAD_CLOSURE LOAD_FAST_AND_CLEAR EXTENDED_ARG COPY_FREE_VARS '
        'KW_NAMES',
    13: 'CACHE MATCH_MAPPING MATCH_SEQUENCE NOP PUSH_NULL UNARY_NOT COPY COPY_FREE_VARS '
        'EXTENDED_ARG JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD LOAD_CONST LOAD_FAST '
        'LOAD_FAST_AND_CLEAR LOAD_FAST_LOAD_FAST POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE SWAP',
    14: 'CACHE MATCH_MAPPING MATCH_SEQUENCE NOP NOT_TAKEN PUSH_NULL UNARY_NOT COPY COPY_FREE_VARS '
        'EXTENDED_ARG JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD LOAD_COMMON_CONSTANT LOAD_CONST '
        'LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW '
        'LOAD_FAST_LOAD_FAST LOAD_SMALL_INT POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE SWAP '
        'LOAD_CONST_IMMORTAL LOAD_CONST_MORTAL',
    15: 'CACHE MATCH_MAPPING MATCH_SEQUENCE NOP NOT_TAKEN PUSH_NULL UNARY_NOT COPY COPY_FREE_VARS '
        'EXTENDED_ARG JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD LOAD_COMMON_CONSTANT LOAD_CONST '
        'LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW '
        'LOAD_FAST_LOAD_FAST LOAD_SMALL_INT POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE SWAP',
}

# A specialised opcode whose guard fails runs the generic body, so only those are left out of
# "iterates" that mean a call of a Python function or work on built-in types.
ITERATES = set('''
FOR_ITER FOR_ITER_GEN FOR_ITER_VIRTUAL SEND SEND_GEN SEND_VIRTUAL SEND_ASYNC_GEN YIELD_FROM
CALL CALL_ADAPTIVE CALL_KW CALL_FUNCTION CALL_METHOD CALL_FUNCTION_KW CALL_FUNCTION_EX
CALL_BUILTIN_CLASS CALL_BUILTIN_FAST CALL_BUILTIN_FAST_WITH_KEYWORDS CALL_BUILTIN_O
CALL_NO_KW_BUILTIN_FAST CALL_NO_KW_BUILTIN_O CALL_NO_KW_METHOD_DESCRIPTOR_FAST
CALL_NO_KW_METHOD_DESCRIPTOR_NOARGS CALL_NO_KW_METHOD_DESCRIPTOR_O CALL_NO_KW_TUPLE_1
CALL_EX_NON_PY_GENERAL CALL_KW_NON_PY CALL_METHOD_DESCRIPTOR_FAST
CALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS CALL_METHOD_DESCRIPTOR_NOARGS CALL_METHOD_DESCRIPTOR_O
CALL_NON_PY_GENERAL CALL_TUPLE_1 PRECALL PRECALL_ADAPTIVE PRECALL_BUILTIN_CLASS
PRECALL_BUILTIN_FAST_WITH_KEYWORDS PRECALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS
PRECALL_NO_KW_BUILTIN_FAST PRECALL_NO_KW_BUILTIN_O PRECALL_NO_KW_METHOD_DESCRIPTOR_FAST
PRECALL_NO_KW_METHOD_DESCRIPTOR_NOARGS PRECALL_NO_KW_METHOD_DESCRIPTOR_O PRECALL_NO_KW_TUPLE_1
UNPACK_SEQUENCE UNPACK_SEQUENCE_ADAPTIVE UNPACK_EX LIST_EXTEND SET_UPDATE DICT_UPDATE DICT_MERGE
CONTAINS_OP STORE_SLICE STORE_SUBSCR BINARY_OP BINARY_OP_ADAPTIVE INPLACE_ADD WITH_EXCEPT_START
BUILD_LIST_UNPACK BUILD_TUPLE_UNPACK BUILD_SET_UNPACK BUILD_TUPLE_UNPACK_WITH_CALL
CALL_INTRINSIC_1 CALL_INTRINSIC_2 CLEANUP_THROW END_ASYNC_FOR GET_ITER
'''.split())

LEAVES = set('RETURN_VALUE RETURN_CONST RETURN_GENERATOR YIELD_VALUE INTERPRETER_EXIT '
             'EXIT_INIT_CHECK ASYNC_GEN_WRAP'.split())

CALLS_OPERAND = set('''
CALL CALL_ADAPTIVE CALL_PY_EXACT_ARGS CALL_PY_WITH_DEFAULTS CALL_PY_GENERAL
CALL_BOUND_METHOD_EXACT_ARGS CALL_BOUND_METHOD_GENERAL CALL_KW CALL_KW_PY CALL_KW_BOUND_METHOD
CALL_FUNCTION_EX CALL_EX_PY CALL_FUNCTION CALL_METHOD CALL_FUNCTION_KW
'''.split())

RESUMES_OPERAND = set('''
FOR_ITER FOR_ITER_GEN FOR_ITER_VIRTUAL SEND SEND_GEN SEND_VIRTUAL SEND_ASYNC_GEN YIELD_FROM
'''.split())

# With all that specialises them.
INLINES = ('LOAD_ATTR', 'BINARY_SUBSCR', 'BINARY_OP', 'CALL_ALLOC_AND_ENTER_INIT')

# What a loop over a generator is compiled to: its argument, the call, the iterator.
ROLES = (('LOAD_SMALL_INT', 'LOAD_SMALL_INT'), ('LOAD_CONST_IMMORTAL', 'LOAD_CONST'),
         ('LOAD_CONST_MORTAL', 'LOAD_CONST'), ('PRECALL', 'PRECALL'), ('GET_ITER', 'GET_ITER'))


def role(name):
    if name == 'LOAD_CONST':
        return 'LOAD_CONST'
    return next((r for start, r in ROLES if name.startswith(start)), None)


HIDES = set('INSTRUMENTED_LINE INSTRUMENTED_INSTRUCTION ENTER_EXECUTOR TRACE_RECORD DO_TRACING '
            'INSTRUMENTED_CALL INSTRUMENTED_CALL_KW INSTRUMENTED_CALL_FUNCTION_EX'.split())


def flags(name, minor):
    plain = name[13:] if name.startswith('INSTRUMENTED_') else name
    out = ['KNOWN']
    if name in NO_CALLEE[minor].split():
        out.append('NO_CALLEE')
    if plain in ITERATES or name in HIDES:
        out.append('ITERATES')
    if plain in LEAVES:
        out.append('LEAVES')
    if name in CALLS_OPERAND:
        out.append('CALLS_OPERAND')
    if plain in RESUMES_OPERAND:
        out.append('RESUMES_OPERAND')
    if name in HIDES:
        out.append('HIDES')
    if plain.startswith(INLINES):
        out.append('INLINES')
    return out


def ask(command):
    words = shlex.split(command) + ['-c', ASK]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)


def table(minor, ops):
    """One C initialiser; ops is {name: [number, caches]}."""
    lines = ['\t{', '\t\t.minor = %d,' % minor]
    lines.append('\t\t.extended_arg = %d,' % ops['EXTENDED_ARG'][0])
    lines.append('\t\t.extended_arg_quick = %d,' %
                 ops.get('EXTENDED_ARG_QUICK', ops['EXTENDED_ARG'])[0])
    by_number = sorted((number, name, caches) for name, (number, caches) in ops.items())
    if any(c for _n, _name, c in by_number):
        lines.append('\t\t.caches = {')
        for number, name, caches in by_number:
            if caches:
                lines.append('\t\t\t[%d] = %d, /* %s */' % (number, caches, name))
        lines.append('\t\t},')
    lines.append('\t\t.flags = {')
    for number, name, _caches in by_number:
        lines.append('\t\t\t[%d] = %s, /* %s */' % (number, ' | '.join(flags(name, minor)), name))
    lines += ['\t\t},', '\t\t.roles = {']
    for number, name, _caches in by_number:
        if role(name):
            lines.append('\t\t\t[%d] = PY_ROLE_%s, /* %s */' % (number, role(name), name))
    lines += ['\t\t},', '\t},']
    return '\n'.join(lines)


HEAD = '''/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Made by tools/gen-opcodes.py from what CPython 3.8 to 3.15 say of their opcodes; do not edit.
 * tests/e2e/test_opcodes.py compares it with every interpreter at hand.
 */
/* clang-format off */
#include "recorder/python/py_opcodes.h"

#define NO_CALLEE       PY_OP_NO_CALLEE
#define ITERATES        PY_OP_ITERATES
#define LEAVES          PY_OP_LEAVES
#define CALLS_OPERAND   PY_OP_CALLS_OPERAND
#define RESUMES_OPERAND PY_OP_RESUMES_OPERAND
#define HIDES           PY_OP_HIDES
#define INLINES         PY_OP_INLINES
#define KNOWN           PY_OP_KNOWN

const struct py_opcodes py_opcodes_table[PY_N_OPCODE_TABLES] = {'''


def main(commands):
    if len(commands) != len(NO_CALLEE):
        sys.exit(__doc__)
    print(HEAD)
    for minor, command in zip(sorted(NO_CALLEE), commands):
        print(table(minor, ask(command)))
    print('};')


if __name__ == '__main__':
    main(sys.argv[1:])
