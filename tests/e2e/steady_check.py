# SPDX-License-Identifier: BSD-3-Clause
"""Compares a recording of a program of steady stacks with what the interpreter itself says."""

import json

from recording import Recording, Target


def parse_stack(text):
    """[(file, function, line), ...] of a line of the export."""
    frames = []
    for frame in text.rpartition(" ")[0].split(";"):
        rest, _, line = frame.rpartition(":")
        file, _, function = rest.rpartition(":")
        frames.append((file, function, int(line)))
    return tuple(frames)


def escape(text):
    """As the export writes names: what would end a frame or a line, and backslashes."""
    def escaped(character):
        if character == "\\":
            return "\\\\"
        return f"\\x{ord(character):02x}" if character == ";" or ord(character) < 32 else character
    return "".join(map(escaped, text))


def expected_stack(stack, qualified):
    return tuple((escape(file), escape(qualname if qualified and qualname else name), line or 0)
                 for file, name, qualname, line in stack)


def differences(stack, seen):
    """Where the seen stack that is most like this one departs from it, for the message."""
    def common(other):
        return sum(1 for ours, theirs in zip(stack, other) if ours == theirs)
    best = max(seen, key=common, default=())
    pairs = [(ours, theirs) for ours, theirs in zip(stack, best) if ours != theirs]
    return f"{len(stack)} and {len(best)} frames; first difference: {pairs[:1]}"


def record_steady(python, name):
    """(what the interpreter says, what was recorded) of a program's stacks."""
    folder = python.folder()[1]
    with Target(python, name, env={"TMPDIR": folder}) as target:
        truth = json.loads(target.lines.read())
        with Recording(target.process.pid, "--all", "--rate", "1k",
                       duration_s=0.5) as recording:
            return truth, {parse_stack(line.rstrip("\n")) for line in recording.collapsed()}


def check(case, python, name):
    """Every thread's stack is in the export, and no other one but the main thread's."""
    truth, seen = record_steady(python, name)
    # Qualified names are the code object's own from 3.11 on.
    qualified = python.version >= (3, 11)
    expected = {expected_stack(stack, qualified) for stack in truth}
    for stack in expected:
        with case.subTest(python=python.label, leaf=stack[-2]):
            case.assertTrue(stack in seen, "not seen: " + differences(stack, seen))
    with case.subTest(python=python.label, leaf="others"):
        others = {stack for stack in seen - expected if stack[0][1] != "<module>"}
        case.assertEqual(others, set())
