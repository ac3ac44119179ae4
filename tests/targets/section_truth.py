# SPDX-License-Identifier: BSD-3-Clause
"""Stands in for the shim in another run, for test_precise.py: what sys.settrace sees of sections.

It traces from the beginning of each thread to its end and only keeps what is in a section, and it
shares no code with the shim. `events` holds a list for each thread: stacks of (function, line),
outermost first, one for each line, return and resumption within a section.
"""

import sys
import threading

PACKAGE = ""
events = []
local = threading.local()


def is_followed(frame):
    code = frame.f_code
    return (code.co_filename.startswith(PACKAGE) and code.co_filename != __file__
            and code.co_name != "<module>")


def name_of(code):
    return getattr(code, "co_qualname", code.co_name)


def note(frame):
    stack = []
    while frame is not None:
        if is_followed(frame):
            stack.append([name_of(frame.f_code), frame.f_lineno])
        frame = frame.f_back
    local.events.append(stack[::-1])


class Section:
    def __enter__(self):
        local.owners.append(sys._getframe(1))

    def __exit__(self, *details):
        local.owners.remove(local.owners[-1])


section = Section()


def precise_timestamping():
    return section


def trace(frame, event, arg):
    if not is_followed(frame):
        return None
    if frame in local.suspended:
        local.owners += [frame] * local.suspended.pop(frame)
    if local.owners and frame in local.seen:
        note(frame)  # goes on
    if frame.f_code.co_flags & (0x20 | 0x80 | 0x200):
        local.seen.append(frame)
    return trace_lines


def trace_lines(frame, event, arg):
    owners = local.owners
    if event == "line" and owners:
        note(frame)
    if event == "return":
        if owners:
            note(frame.f_back)
        n = owners.count(frame)
        if n and frame.f_code.co_flags & (0x20 | 0x80 | 0x200):
            local.owners = [owner for owner in owners if owner is not frame]
            local.suspended[frame] = n
    return trace_lines


def start():
    local.owners, local.suspended, local.seen = [], {}, []
    local.events = []
    events.append(local.events)
    sys.settrace(trace)


def begin(package):
    global PACKAGE
    PACKAGE = package
    run = threading.Thread.run

    def traced_run(thread):
        start()
        run(thread)

    threading.Thread.run = traced_run
    start()
