# SPDX-License-Identifier: BSD-3-Clause
"""The shim without a recorder, for test_precise.py: shim_alone.py CASE; says "ok"."""

import importlib
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

ENTER, LINE, LEAVE, EXACT = 3, 4, 8, 11
ASIDE = 4


def load():
    return importlib.import_module("walt.server.trackexec")


def attach(shim, packages=b"*"):
    """As a collector that follows all code would."""
    shim.record()
    shim._head[1024:1024 + len(packages)] = packages
    shim._words[34] = 1 << 32 | len(packages)
    shim._words[33] = 1
    shim._words[32] = time.monotonic_ns() + 600 * 10**9


def records(shim):
    """(kind, line) of all so far."""
    found, number = [], 32
    while True:
        _, _, line, word, there = struct.unpack_from("QQIIQ", shim._ring, number & shim._MASK)
        if there != number:
            return found
        found.append((word & 255, line))
        number += 32


def section(shim):
    with shim.precise_timestamping():
        a = 1
        a += 1
    return a


def lines(shim):
    return sum(kind == LINE for kind, _ in records(shim))


def ring_files():
    return {os.stat(f"/proc/self/fd/{name}").st_ino for name in os.listdir("/proc/self/fd")
            if "trackexec-ring" in link(f"/proc/self/fd/{name}")}


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def check_child(shim, before):
    """In a child: nothing of its parent's ring is left, and it makes its own."""
    assert not os.path.isdir("/proc/self/fd") or not ring_files()
    assert shim._ring is None
    section(shim)
    assert shim._ring is not None and not lines(shim)
    attach(shim)
    section(shim)
    assert 2 <= lines(shim) < before


def fork_and_check(shim, before):
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        return
    status = 1
    try:
        check_child(shim, before)
        status = 0
    finally:
        os._exit(status)


def fork():
    shim = load()
    attach(shim)
    for _ in range(5):
        section(shim)
    before = lines(shim)
    fork_and_check(shim, before)
    assert lines(shim) == before
    with shim.precise_timestamping():
        fork_and_check(shim, before)
        a = 1
    assert a and lines(shim) > before
    assert sys.gettrace() is None


def other_tracer():
    shim = load()
    attach(shim)
    seen = []

    def tracer(frame, event, arg):
        seen.append(event)
        return tracer

    sys.settrace(tracer)
    section(shim)
    assert sys.gettrace() is tracer
    sys.settrace(None)
    assert seen and not lines(shim) and shim._words[5] == ASIDE
    # Again, once it is gone; and one that comes in a section stays.
    shim._tls.state.told = shim._NOTHING
    section(shim)
    assert lines(shim) >= 2
    with shim.precise_timestamping():
        sys.settrace(tracer)
    assert sys.gettrace() is tracer
    sys.settrace(None)
    section(shim)
    assert sys.gettrace() is None


def no_memfd():
    del os.memfd_create
    shim = load()
    for _ in range(3):
        section(shim)
    shim.record("walt", "/nowhere")
    shim.stop()
    assert shim._ring is None and not shim._is_used


def collector_dies():
    shim = load()
    attach(shim)
    for _ in range(3):
        section(shim)
    shim._words[32] = time.monotonic_ns() - 1
    shim._tls.state.told = shim._NOTHING
    for _ in range(3):
        section(shim)
    before = len(records(shim))
    section(shim)
    assert len(records(shim)) == before and not shim._is_used and shim._words[32] == 0
    if hasattr(sys, "monitoring"):
        assert shim._tool is None
    attach(shim)
    section(shim)
    assert len(records(shim)) > before


def errors_stay_those_of_the_program():
    shim = load()
    attach(shim)
    for error in (ValueError, TypeError, AttributeError, KeyboardInterrupt, StopIteration):
        try:
            with shim.precise_timestamping():
                raise error("mine")
        except error as caught:
            assert str(caught) == "mine"
    assert sys.gettrace() is None and not shim._tls.state.owners


def interrupted():
    """A section that an interrupt left without an end does not last."""
    shim = load()
    attach(shim)

    def leave_open():
        shim._tls.state.owners.append(sys._getframe())

    section(shim)
    before = lines(shim)
    leave_open()
    shim._tls.state.told = shim._NOTHING
    section(shim)
    assert lines(shim) >= before + 2 and not shim._tls.state.owners
    before = lines(shim)
    a = 1
    a += 1
    assert lines(shim) == before and sys.gettrace() is None


def one_line():
    """A section whose body is on the line of the statement is told by its begin."""
    shim = load()
    attach(shim)
    for _ in range(20):
        with shim.precise_timestamping(): pass
    kinds = [kind for kind, _ in records(shim)]
    assert kinds.count(LEAVE) == 20, kinds
    while kinds:
        end = kinds.index(LEAVE)
        # Up to 3.9 the statement itself can be told as a line.
        assert {ENTER, LINE} & set(kinds[:end]), kinds
        del kinds[:end + 1]


def many_sites():
    """More than one section in a function, with lines between that are in none."""
    shim = load()
    attach(shim)
    a = 0
    for _ in range(20):
        with shim.precise_timestamping():
            a += 1
        a += 10
        a += 20
        with shim.precise_timestamping():
            a += 2
        a += 30
    first = many_sites.__code__.co_firstlineno
    told = [line - first for kind, line in records(shim) if kind == LINE]
    assert told.count(7) == told.count(11) == 20, told
    assert not {8, 9, 12} & set(told), told


def number_of(error):
    return error.__traceback__.tb_lineno


def line_numbers():
    """Tracebacks and frames say where the program is, also behind a section."""
    shim = load()
    attach(shim)
    first = line_numbers.__code__.co_firstlineno

    def numbers():
        with shim.precise_timestamping():
            yield 1
        yield 2
        yield sys._getframe().f_lineno - first

    steps = numbers()
    for _ in range(20):
        with shim.precise_timestamping():
            a = 1
        with shim.precise_timestamping():
            a += 1
            next(steps, None)
        try:
            raise ValueError
        except ValueError as error:
            assert number_of(error) - first == 20
        assert sys._getframe().f_lineno - first == 23
    assert list(numbers()) == [1, 2, 10]
    assert sys.gettrace() is None


def exact():
    """From 3.12 on all code can be told, from the next section on."""
    if not hasattr(sys, "monitoring"):
        return
    shim = load()
    work = importlib.import_module("walt.section_work")
    attach(shim, b"walt")
    shim._words[33] = 2
    section(shim)
    before = lines(shim)
    for i in range(10):
        work.double(i)
    assert lines(shim) - before == 20, records(shim)
    assert EXACT in [kind for kind, _ in records(shim)]
    # Sections are nothing special now.
    before = lines(shim)
    work.plain()
    assert lines(shim) - before == 15, lines(shim) - before
    # And not any more.
    shim._words[33] = 1
    shim._tls.state.due = 0
    work.double(0)
    before = len(records(shim))
    work.double(2)
    assert len(records(shim)) == before and not shim._tls.state.owners
    work.plain()
    assert len(records(shim)) > before
    shim._words[33] = 2
    shim._tls.state.told = shim._NOTHING
    section(shim)
    work.double(1)
    shim._words[32] = 1
    shim._tls.state.due = 0
    work.double(2)
    assert shim._tool is None


globals()[sys.argv[1]]()
print("ok")
