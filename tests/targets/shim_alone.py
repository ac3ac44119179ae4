# SPDX-License-Identifier: BSD-3-Clause
"""The shim without a recorder, for test_precise.py: shim_alone.py CASE; says "ok"."""

import importlib
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

ENTER, LINE, CALL, RETURN, LEAVE, EXACT = 3, 4, 6, 7, 8, 11
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


def load_anew():
    sys.modules.pop("walt.server.trackexec", None)
    return load()


def check_harmless(shim):
    """Each call, again and again, as a program makes them: nothing is recorded, nothing raised."""
    def numbers():
        with shim.precise_timestamping():
            yield 1

    for _ in range(3):
        shim.record("walt", "/nowhere")
        assert section(shim) == 2
        with shim.precise_timestamping(), shim.precise_timestamping():
            assert list(numbers()) == [1]
        try:
            with shim.precise_timestamping():
                raise KeyError("mine")
        except KeyError as error:
            assert error.args == ("mine",)
        shim.stop()
    assert shim._ring is None and not shim._is_used and sys.gettrace() is None
    assert getattr(shim, "_tool", None) is None


def check_harmless_in_child(shim):
    if hasattr(os, "fork"):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                check_harmless(shim)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0


def modules_missing():
    """Modules that cannot be imported, for whatever reason, or that are others of that name."""
    for name in ("fcntl", "mmap", "opcode", "weakref", "os"):
        module = importlib.import_module(name)
        sys.modules[name] = None
        try:
            shim = load_anew()
            check_harmless(shim)
        finally:
            sys.modules[name] = module
        check_harmless(shim)
        sys.modules[name] = type(sys)(name)
        try:
            shim = load_anew()
            if name in ("opcode", "weakref"):
                attach_if_possible(shim)
            shim.record()
            section(shim)
            section(shim)
        finally:
            sys.modules[name] = module
    shim = load_anew()
    attach(shim)
    section(shim)
    assert lines(shim) >= 2


def attach_if_possible(shim):
    shim.record()
    if shim._ring is not None:
        attach(shim)


def no_resources():
    """No memory, no descriptors, no file of that size: only while the ring would be made."""
    import resource

    for name in ("fcntl", "mmap", "opcode", "weakref"):
        importlib.import_module(name)
    for kind, limit in (("AS", 1 << 20), ("NOFILE", 0), ("FSIZE", 1 << 20)):
        which = getattr(resource, "RLIMIT_" + kind)
        shim = load_anew()
        soft, hard = resource.getrlimit(which)
        resource.setrlimit(which, (limit, hard))
        try:
            shim.record("walt", "/nowhere")
            section(shim)
        finally:
            resource.setrlimit(which, (soft, hard))
        check_harmless(shim)
    # Descriptors: all that were opened are closed again.
    assert not os.path.isdir("/proc/self/fd") or not ring_files()


def seccomp():
    """A filter refuses what makes the ring."""
    import ctypes
    import platform

    number = {"x86_64": 319, "aarch64": 279}.get(platform.machine())
    if number is None:
        return
    lib = ctypes.CDLL(None, use_errno=True)
    filters = b"".join(struct.pack("HBBI", *each) for each in (
        (0x20, 0, 0, 0),  # the system call's number
        (0x15, 0, 1, number),
        (0x06, 0, 0, 0x00050000 | 1),  # EPERM
        (0x06, 0, 0, 0x7fff0000)))
    text = ctypes.create_string_buffer(filters, len(filters))
    program = struct.pack("HxxxxxxP", 4, ctypes.addressof(text))
    assert lib.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert lib.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP
    shim = load()
    check_harmless(shim)
    check_harmless_in_child(shim)


def no_monitoring():
    """It has been taken away, or others have all of its numbers."""
    if not hasattr(sys, "monitoring"):
        return
    monitoring = sys.monitoring
    del sys.monitoring
    shim = load()
    check_harmless(shim)
    check_harmless_in_child(shim)
    sys.monitoring = monitoring
    for tool in range(6):
        monitoring.use_tool_id(tool, f"tool {tool}")
    for first in range(6):
        for tool in range(first):
            monitoring.free_tool_id(tool)
        shim = load_anew()
        attach(shim)
        section(shim)
        # The first two belong to debuggers and to coverage tools.
        assert shim._words[5] == (ASIDE if first < 3 else 3)
        assert (lines(shim) > 0) == (first >= 3), first
        shim._unwatch_all()
        for tool in range(first):
            monitoring.use_tool_id(tool, f"tool {tool}")


class Interrupted(BaseException):
    """As KeyboardInterrupt."""


def interrupt_at(n, function, files):
    """Call it, and raise at the n-th line of these files. Returns whether there was one."""
    left = [n]

    def tracer(frame, event, arg):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left[0] -= 1
            if not left[0]:
                raise Interrupted
        return tracer

    sys.settrace(tracer)
    try:
        function()
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
    return False


def interrupted_import():
    """A signal handler raises anywhere while the module is imported; then it is imported again."""
    files = {load().__file__}
    n = 1
    while interrupt_at(n, load_anew, files):
        n += 5  # it has many lines
        shim = load_anew()
        attach(shim)
        section(shim)
        assert lines(shim) >= 2
        if hasattr(sys, "monitoring"):
            shim._unwatch_all()
    assert n > 100


def interrupted_open():
    """The same while the ring is made: there is one, or none, but nothing half of it."""
    n, found = 1, set()
    while True:
        shim = load_anew()
        if not interrupt_at(n, shim.record, {shim.__file__}):
            break
        n += 1
        found.add(shim._ring is None)
        if shim._ring is None:
            section(shim)
            section(shim)
        else:
            attach(shim)
            section(shim)
            assert lines(shim) >= 2
            if hasattr(sys, "monitoring"):
                shim._unwatch_all()
    assert n > 20 and True in found


def odd_code():
    """Code objects of which tools have taken tables away."""
    def work(shim):
        a = 0
        for i in range(3):
            with shim.precise_timestamping():
                a += i
                a += 1
            with shim.precise_timestamping():
                a += 1
        return a

    shim = load()
    attach(shim)
    code = work.__code__
    for change in ({"co_linetable": b""}, {"co_lnotab": b""}, {"co_exceptiontable": b"\x80\x04"},
                   {"co_exceptiontable": code.co_exceptiontable[:-2]
                    if hasattr(code, "co_exceptiontable") else b""}):
        try:
            odd = type(work)(code.replace(**change), globals())
        except TypeError:  # other versions have it
            continue
        for _ in range(3):
            assert odd(shim) == 9
        assert not shim._tls.state.owners and sys.gettrace() is None
    before = lines(shim)
    assert work(shim) == 9
    assert lines(shim) >= before + 9


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


def check_balance(shim, first):
    """Each frame that is told to begin is told to end, the inner ones first."""
    stack, n = [], 0
    for number in range(32 + 32 * first, 32 + 32 * len(records(shim)), 32):
        _, frame, _, word, _ = struct.unpack_from("QQIIQ", shim._ring, number & shim._MASK)
        if word & 255 == CALL:
            stack.append(frame)
            n += 1
        elif word & 255 == RETURN:
            assert stack and stack[-1] == frame, n
            stack.pop()
        elif word & 255 == LINE and stack:
            assert stack[-1] == frame, n
    assert n > 50 and not stack


def fail_unfollowed():
    """Not of the package: nothing of it is told, and its exceptions stay what they are."""
    def steps():
        yield 1
        yield 2

    def fail():
        raise KeyError("mine")

    for _ in range(5):
        thrown, closed = steps(), steps()
        next(thrown)
        next(closed)
        closed.close()
        for call in (fail, lambda: thrown.throw(KeyError("mine"))):
            try:
                call()
            except KeyError as error:
                assert error.args == ("mine",)
            else:
                raise AssertionError


def unwound():
    """What exceptions leave within a section."""
    shim = load()
    work = importlib.import_module("walt.section_work")
    attach(shim, b"walt")
    work.plain()
    shim.precise_timestamping().__enter__()
    before = len(records(shim))
    work.swallowed()
    work.half_imported()
    fail_unfollowed()
    check_balance(shim, before)
    shim.precise_timestamping().__exit__(None, None, None)
    assert not shim._tls.state.owners and sys.gettrace() is None


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
    # What exceptions leave is told, wherever they end.
    before = len(records(shim))
    work.swallowed()
    work.half_imported()
    check_balance(shim, before)
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
