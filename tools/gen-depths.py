#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write recorder/python/py_depth_table.c: stack effects, as CPython 3.8 to 3.13 tell them.

usage: gen-depths.py PYTHON3.8 … PYTHON3.13 > recorder/python/py_depth_table.c

From 3.14 on a frame that waits says itself how many operands it has.
"""
import importlib.util
import json
import os
import shlex
import subprocess
import sys

# Runs inside the interpreter that is asked: opcode -> effect, per_arg, jump_effect, flow.
ASK = r'''
import dis, json, opcode, sys
ends = {"JUMP_FORWARD", "JUMP_ABSOLUTE", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT",
        "RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"}
out = {}
for name, n in opcode.opmap.items():
    if n > 255 or name in ("CACHE", "RESERVED", "ENTER_EXECUTOR") or name.startswith("INSTRUMENTED"):
        continue
    has_arg = n in dis.hasarg if hasattr(dis, "hasarg") else n >= opcode.HAVE_ARGUMENT
    def effect(arg, jump=False):
        return dis.stack_effect(n, arg if has_arg or sys.version_info >= (3, 13) else None,
                                jump=jump)
    base = effect(0)
    flow = (1 if n in opcode.hasjrel else 0) | (2 if n in opcode.hasjabs else 0)
    flow |= 4 if name in ends else 0
    flow |= 8 if "BACKWARD" in name else 0
    per_arg = effect(1) - base if has_arg else 0
    linear = all(effect(a) == base + a * per_arg for a in range(9)) and \
        effect(256) == base + 256 * per_arg if has_arg else True
    if name == "RETURN_GENERATOR" and base == 0:
        base = 1      # the value sent in is on the stack when the generator begins
    out[name] = [n, base, per_arg, effect(0, True) if flow & 3 else 0, flow, linear]
print(json.dumps(out))
'''

# The arguments of these are bits or two bytes.
SPECIAL = {
    'UNPACK_EX': 'PY_DEPTH_UNPACK_EX',
    'MAKE_FUNCTION': 'PY_DEPTH_MAKE_FUNCTION',
    'FORMAT_VALUE': 'PY_DEPTH_FORMAT_VALUE',
    'CALL_FUNCTION_EX': 'PY_DEPTH_BIT_0',
    'BUILD_SLICE': 'PY_DEPTH_IF_3',
    'LOAD_GLOBAL': 'PY_DEPTH_PLUS_BIT_0',
    'LOAD_ATTR': 'PY_DEPTH_PLUS_BIT_0',
    'LOAD_SUPER_ATTR': 'PY_DEPTH_PLUS_BIT_0',
}

HEAD = '''/* SPDX-License-Identifier: BSD-3-Clause */
/* Made by tools/gen-depths.py from dis.stack_effect() of CPython 3.8 to 3.13; do not edit. */
/* clang-format off */
#include "recorder/python/py_depth.h"

#define RELATIVE PY_DEPTH_JUMPS_RELATIVE
#define ABSOLUTE PY_DEPTH_JUMPS_ABSOLUTE
#define ENDS     PY_DEPTH_ENDS
#define BACKWARD PY_DEPTH_JUMPS_BACKWARD

const struct py_depth_table py_depth_tables[PY_N_DEPTH_TABLES] = {'''


def row(name, n, effect, per_arg, jump, flow, linear, base=None):
    base = base or name
    special = SPECIAL.get(base, 'PY_DEPTH_LINEAR')
    if name.startswith('LOAD_') and per_arg == 0 and linear:
        special = 'PY_DEPTH_LINEAR'         # its argument had no such bit yet
    if not linear and base not in SPECIAL:
        sys.exit('%s: the effect of its argument is not known' % name)
    if special != 'PY_DEPTH_LINEAR':
        per_arg = 0
    words = [w for bit, w in ((1, 'RELATIVE'), (2, 'ABSOLUTE'), (4, 'ENDS'), (8, 'BACKWARD'))
             if flow & bit]
    return '\t\t\t[%d] = {1, %d, %d, %d, %s, %s}, /* %s */' % (
        n, effect, per_arg, jump, special, ' | '.join(words) or '0', name)


def specialised(minor, python, ops):
    """Rows for specialised opcodes: the effect of what they specialise, or of their first half."""
    here = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location('gen', os.path.join(here, 'gen-opcodes.py'))
    gen = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gen)
    known = sorted(ops, key=len, reverse=True)
    out = {}
    for name, (number, _caches) in gen.ask(python).items():
        if name in ops or name.startswith('INSTRUMENTED') or minor < 11:
            continue
        for base in known:
            if name.startswith(base + '_') or name == base:
                out[name] = [number] + ops[base][1:] + [base]
                break
    return out


def table(minor, python):
    """One C initialiser, from the interpreter that this command starts."""
    words = shlex.split(python) + ['-c', ASK]
    ops = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    ops.update(specialised(minor, python, ops))
    lines = ['\t{', '\t\t.minor = %d,' % minor,
             '\t\t.jump_unit = %d,' % (1 if minor < 10 else 2), '\t\t.ops = {']
    lines += [row(name, *values) for name, values in sorted(ops.items(), key=lambda item: item[1])]
    return '\n'.join(lines + ['\t\t},', '\t},'])


def main(pythons):
    if len(pythons) != 6:
        sys.exit(__doc__)
    print(HEAD)
    for minor, python in zip(range(8, 14), pythons):
        print(table(minor, python))
    print('};')


if __name__ == '__main__':
    main(sys.argv[1:])
