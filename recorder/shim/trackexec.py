# SPDX-License-Identifier: BSD-3-Clause
"""Marks sections of code of which trackexec-collector records every line.

    from walt.server.trackexec import precise_timestamping, record, stop

    with precise_timestamping():
        ...                                   # each line of it, with its own time
    ev_loop.idle_section_hook = precise_timestamping

Installed in place of walt/server/trackexec.py; Python 3.8 to 3.15, nothing else needed. Without a
collector all of it is harmless. What is recorded goes to a ring in shared memory, which the
collector finds by itself; docs/shim-ring.md describes it. Nothing here waits for anybody.

Each attribute and each call counts here: a section used as an event loop's hook is entered and
left thousands of times a second. That is why some code is written out that would be a function
elsewhere. What goes wrong must not reach the program, but a signal handler of the program may
raise its own errors in the middle of this code, so only errors that can be ours are caught.
"""

import sys
import _thread
from itertools import count as _count
from struct import Struct as _Struct, error as _struct_error
from sys import _getframe, gettrace as _gettrace, settrace as _settrace
from time import monotonic_ns as _now

__all__ = ["precise_timestamping", "record", "stop"]

# ---- the ring: see docs/shim-ring.md

_NAME = "trackexec-ring"
_MAGIC = 0x474E4952_43455845  # "EXECRING"
_VERSION = 1
_HEAD = 4096
_SLOT = 32
_BYTES = 1 << 22  # of all slots, after the head
_MASK = _BYTES - 1
_PACKAGES_AT, _PACKAGES_MAX = 1024, 2048

# Words of the header; from 32 on they are the collector's.
_W_MAGIC, _W_VERSION, _W_PID, _W_BYTES, _W_SLOT, _W_STATE = range(6)
_W_UNTIL, _W_WANTED, _W_PACKAGES = 32, 33, 34

_STATE_READY, _STATE_TRACING, _STATE_MONITORING, _STATE_ASIDE = 1, 2, 3, 4
_WANT_EXACT = 2

# A record: time or code object, frame, line, thread << 8 | kind, and its number.
_pack = _Struct("QQIIQ").pack_into
_THREAD, _FRAME, _ENTER, _LINE, _AT, _CALL, _RETURN, _LEAVE, _FORGET, _RESUME, _EXACT = range(1, 12)

_RETELL_NS = 100 * 10**6  # a stack that stays is told again: who reads may have missed it
_MAX_FRAMES = 512
_MAX_CODES = 1 << 16
_MAX_FILES = 1 << 14
_MAX_THREADS = (1 << 24) - 1

_has_monitoring = hasattr(sys, "monitoring")
# Who took it away from 3.12 or later does not want to be looked at.
_can_tell = _has_monitoring or sys.version_info < (3, 12)

# Functions whose frame can be left and entered again.
_GENERATOR = 0x20 | 0x80 | 0x200

# What can go wrong here: a ring that is closed, an object of a dying interpreter, a code object whose
# tables are cut short.
_OURS = (ValueError, BufferError, TypeError, AttributeError, LookupError, _struct_error)

_no_words = [0] * 64
_words = _no_words
_head = None
_ring = None
# Each record's number is where it lies, counted on and on; 0 is none.
_next = _count(_SLOT, _SLOT).__next__
_tls = _thread._local()
_opcode = _weak = None  # of the module opcode and weakref.ref, once there is a ring
_is_used = True  # at first, after a fork, and while a section may be open
_can_open = _can_tell
_tool = None  # our number in sys.monitoring, while it tells us anything
_ALWAYS = object()  # among the owners of a thread: all of its time is a section
_states = []  # weak, of the threads
_n_threads = 0
_suspended = {}  # frames of generators in a section -> how many sections
_packages = None
_files = {}  # name -> whether it is followed
_codes = {}  # id -> _Code, followed ones only, which keeps them and so their addresses


class _State:
    """A thread that opened a section."""

    __slots__ = ("number", "owners", "plain", "line", "call", "back", "leave",
                 # What is known of the next section if it is the same as the last (its frame, or
                 # 0; its instruction; its line, or 0; LINE; who traces), of its end (its frame,
                 # its line, or 0; until when all this is known); the frame that needs no watching.
                 "told", "end", "silent", "due",
                 "trace", "trace_silent", "called", "watch", "__weakref__")


_NOTHING = (0, 0, 0, 0, None)  # in place of a state's `told`


class _Code:
    __slots__ = ("code", "bodies", "yields", "is_watched", "keep", "has_off", "n_idle")


def _emit(first, frame, line, word):
    at = _next()
    _pack(_ring, at & _MASK, first, frame, line, word, at)


def _open():
    """Make the ring of this process. Returns whether there is one."""
    global _head, _ring, _words, _next, _can_open, _packages, _opcode, _weak
    if _ring is not None or not _can_open:
        return _ring is not None
    _can_open = False
    # Without a GIL, numbers and frames would need locks.
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    # All that is ever needed, as this is where it may fail: a section could not.
    import fcntl
    import mmap
    import opcode
    import os
    import weakref

    _opcode, _weak = opcode, weakref.ref
    fd = os.memfd_create(_NAME, 1 | 2)  # MFD_CLOEXEC | MFD_ALLOW_SEALING
    try:
        os.ftruncate(fd, _HEAD + _BYTES)
        fcntl.fcntl(fd, 1033, 1 | 2 | 4)  # F_ADD_SEALS: no more seals, no other size
        # Each has a descriptor of its own.
        head = mmap.mmap(fd, _HEAD)
        ring = mmap.mmap(fd, _BYTES, offset=_HEAD)
    finally:
        os.close(fd)
    words = memoryview(head)[:512].cast("Q")
    words[_W_VERSION] = _VERSION
    words[_W_PID] = os.getpid()
    words[_W_BYTES] = _BYTES
    words[_W_SLOT] = _SLOT
    words[_W_STATE] = _STATE_READY
    words[_W_MAGIC] = _MAGIC
    _next = _count(_SLOT, _SLOT).__next__
    _head, _ring, _words, _packages = head, ring, words, None
    return True


def _try_open():
    try:
        return _open()
    except Exception:  # no memfd, no memory, no descriptors
        return False


def _new_state():
    """For a thread that has none. None when there is no ring."""
    global _n_threads
    if _ring is None and not _try_open():
        return None
    state = _State()
    _n_threads = _n_threads % _MAX_THREADS + 1
    number = _n_threads << 8
    state.number = _n_threads
    state.owners = []
    state.told, state.end = _NOTHING, (0, 0, 0)
    state.silent = state.due = 0
    state.plain = False
    state.trace = state.trace_silent = state.called = state.watch = None
    state.line, state.call, state.back = number | _LINE, number | _CALL, number | _RETURN
    state.leave = number | _LEAVE
    if not _has_monitoring:
        _make_traced(state)
    _states[:] = [ref for ref in _states if ref() is not None]
    _states.append(_weak(state))
    _tls.state = state
    return state


# ---- which code is followed: as recorder/follow.c decides


def _is_installed(file):
    if "/site-packages/" in file or "/dist-packages/" in file or file.startswith("<frozen "):
        return True
    for lib in ("/lib/python3", "/lib64/python3"):
        rest = file.partition(lib)[2].lstrip("0123456789.")
        if rest.startswith(("/", "zip/")):
            return True
    return False


def _is_in_package(file, package):
    package = "/" + package.replace(".", "/")
    path = "/" + file
    at = path.find(package)
    while at >= 0:
        rest = path[at + len(package):]
        if rest == ".py":
            return True
        if rest[:1] == "/":
            *folders, name = rest[1:].split("/")
            if name and all(folder.isidentifier() for folder in folders):
                return True
        at = path.find(package, at + 1)
    return False


def _is_file_followed(file):
    if file == __file__ or _packages is None:
        return False
    if _packages == "*":
        return not file.startswith("<frozen importlib.")
    if _packages == "":
        return not _is_installed(file)
    return any(_is_in_package(file, package) for package in _packages.split(","))


def _adopt_packages():
    """What is followed, as the collector wrote it."""
    global _packages
    length = min(_words[_W_PACKAGES] & 0xFFFFFFFF, _PACKAGES_MAX)
    text = bytes(_head[_PACKAGES_AT:_PACKAGES_AT + length]).decode("utf-8", "replace")
    if text != _packages:
        _packages = text
        _files.clear()
        _forget_codes()


def _learn(code):
    """The _Code of a code object that is not known; None when it is not followed."""
    file = code.co_filename
    is_followed = _files.get(file)
    if is_followed is None:
        if len(_files) >= _MAX_FILES:
            _files.clear()
        is_followed = _files[file] = _is_file_followed(file)
    if not is_followed or (code.co_name == "<module>" and _packages not in ("*", "")):
        return None
    if len(_codes) >= _MAX_CODES:
        _forget_codes()
    known = _Code()
    known.code = code
    known.bodies = {}
    known.yields = None
    known.is_watched = False
    known.keep = None
    known.has_off = False
    known.n_idle = 0
    _codes[id(code)] = known
    return known


def _forget_codes():
    """Their addresses can belong to others from now on."""
    _unwatch_all()
    _codes.clear()
    _emit(_now(), 0, 0, _FORGET)


# ---- sections, whatever sees the lines


def _enter(state, frame, kind=_ENTER):
    """The stack and the section's begin. Returns its innermost followed frame, or None."""
    state.told, state.end, state.silent = _NOTHING, (0, 0, 0), 0
    frames = []
    while frame is not None and len(frames) < _MAX_FRAMES:
        code = frame.f_code
        if id(code) in _codes or _learn(code) is not None:
            frames.append(frame)
        frame = frame.f_back
    number = state.number << 8
    _emit(_thread.get_ident(), _thread.get_native_id(), 0, number | _THREAD)
    for outer in reversed(frames):
        _emit(id(outer.f_code), id(outer), outer.f_lineno or 0, number | _FRAME)
    base = frames[0] if frames else None
    _emit(_now(), id(base) if base else 0, len(frames), number | kind)
    return base


def _prepare(state, frame):
    """
    Whether a section may begin, and all that is only looked at now and then. Returns the frame
    whose lines are to be seen, or `frame` when there is none; None: nobody wants it, or another
    tracer is there.
    """
    if id(frame) == state.told[0]:
        frame.f_trace_lines = True
    state.told = _NOTHING
    now, until = _now(), _words[_W_UNTIL]
    if now > until:
        _words[_W_UNTIL] = 0  # whoever should have renewed it is gone
        return None
    _adopt_packages()
    is_free = _take_tracer(state)
    _words[_W_STATE] = _tracing_state if is_free else _STATE_ASIDE
    if _words[_W_WANTED] == _WANT_EXACT and _tool is not None:
        _set_exact(True)
        return None
    base = _enter(state, frame)
    if not is_free:
        _emit(_now(), 0, 0, state.leave)
        return None
    if base is None:
        return frame
    if base is frame and not frame.f_code.co_flags & _GENERATOR:
        _look_at_body(state, frame, min(now + _RETELL_NS, until))
    return base


def _look_at_body(state, frame, due):
    """The next sections of this frame may begin with their first line, if they have one."""
    known = _codes[id(frame.f_code)]
    lasti = frame.f_lasti
    if lasti not in known.bodies:
        known.bodies[lasti] = _try_find(_find_body, known.code, lasti)
    body = known.bodies[lasti]
    if body is not None:
        line, last = body
        state.silent = id(frame) if line else 0
        state.told = id(frame), lasti, line, state.line, state.trace_silent if line else state.trace
        state.end = state.silent, last, due
        # What a new frame at the same address does not have. An f_trace would make line numbers
        # stale up to 3.9; when lines are off, a debugger that comes later sees none.
        if _has_monitoring:
            frame.f_trace = _mark_of_frame
        else:
            frame.f_trace_lines = False


def _tell_body(state):
    """The section's only line, whose frame nobody watches, begins."""
    _emit(_now(), state.silent, state.told[2], state.line)


def _leave(state):
    base, line, _ = state.end
    _emit(_now(), base, line, state.leave)


def _calm_down():
    """The collector is gone: is there still a section that it saw the begin of?"""
    global _is_used
    for ref in _states:
        state = ref()
        if state is not None and state.owners:
            return
    if not _suspended and (_ring is not None or not _can_open):
        _is_used = False
        _unwatch_all()
        if _ring is not None:
            _words[_W_STATE] = _STATE_READY


def _is_nested(state, frame):
    """
    Whether a section is open around the one that begins. An interrupt at the wrong moment can have
    left one that has no end: its frame is not on the stack any more.
    """
    state.plain = False
    owners = state.owners
    alive = {id(_ALWAYS), id(None)}
    outer = frame
    while outer is not None:
        alive.add(id(outer))
        outer = outer.f_back
    owners[:] = [owner for owner in owners if id(owner) in alive]
    if owners:
        owners.append(frame)
        return True
    _leave(state)
    return False


def _drop_owner(state, frame):
    """A section ends here. Returns whether it was known."""
    owners = state.owners
    for i in range(len(owners) - 1, -1, -1):
        if owners[i] is frame:
            del owners[i]
            return True
    n = _suspended.pop(frame, 0)
    if n > 1:
        _suspended[frame] = n - 1
    if n:
        return False
    # Entered by another frame, such as that of an exit stack.
    if owners and owners[-1] is not _ALWAYS:
        del owners[-1]
        return True
    return False


def _suspend(state, frame):
    """A generator that opened sections yields: they go on when it does."""
    owners = state.owners
    n = 0
    while owners and owners[-1] is frame:
        owners.pop()
        n += 1
    _suspended[frame] = n


def _move_out(state, frame):
    """The frame returns, and the section that it opened does not end: its caller's is it now."""
    outer = frame.f_back
    while outer is not None and id(outer.f_code) not in _codes:
        outer = outer.f_back
    owners = state.owners
    for i, owner in enumerate(owners):
        if owner is frame:
            owners[i] = outer
    return outer


def _find_lines(code):
    """Where lines begin: (instruction, line or None), in the order of instructions."""
    if hasattr(code, "co_lines"):
        return [(start, line) for start, _, line in code.co_lines()]
    at, line, lines = 0, code.co_firstlineno, []
    for step, more in zip(code.co_lnotab[::2], code.co_lnotab[1::2]):
        if step:
            lines.append((at, line))
        at += step
        line += more - 256 if more > 127 else more
    return lines + [(at, line)]


def _try_find(find, code, lasti):
    """None, as where it finds nothing: the code's tables are not to be understood."""
    try:
        return find(code, lasti)
    except _OURS:
        return None


def _find_body(code, lasti):
    """
    What the section that begins at this instruction does: (its line, the line of its end or 0)
    when all of it is on one line, without jumps: then nobody needs to watch it. (0, 0) when it is
    more, but begins with a line of its own. None: neither.
    """
    text, handlers, starts = code.co_code, _read_handlers(code), _find_lines(code)
    end, pop_block = len(text), _opcode.opmap.get("POP_BLOCK")
    if handlers is not None:
        after = [h for h in handlers if h[0] > lasti]
        if not after or min(after)[0] - lasti > 12:
            return None
        pop_block, end = None, min(after)[1]

    def line_of(at):
        return [line for start, line in starts if start <= at][-1]

    begin, body = line_of(lasti), None
    for at in range(lasti + 2, end, 2):
        line = line_of(at)
        if text[at] == pop_block:
            end = at + 2
            break
        if line == begin and body is None:
            continue
        if body is None:
            body = line
        if (line is None or line != body or text[at] in _opcode.hasjrel or text[at] in _opcode.hasjabs
                or text[at] == _opcode.opmap["YIELD_VALUE"]):
            return body and (0, 0)
    if body is None:
        return None
    last = line_of(end)
    return body, last if last and last != body else 0


def _read_varint(table, at):
    byte = table[at]
    value = byte & 63
    while byte & 64:
        at += 1
        byte = table[at]
        value = value << 6 | byte & 63
    return value, at + 1


def _read_handlers(code):
    """
    Ranges of instructions and where an exception in them goes: (start, end, handler). None up to
    3.10, where instructions tell that.
    """
    table, at, handlers = getattr(code, "co_exceptiontable", None), 0, []
    if table is None:
        return None
    while at < len(table):
        start, at = _read_varint(table, at)
        length, at = _read_varint(table, at)
        handler, at = _read_varint(table, at)
        _, at = _read_varint(table, at)
        handlers.append((2 * start, 2 * (start + length), 2 * handler))
    return handlers


# ---- up to 3.11: sys.settrace, while a section is open


class _TracedSection:
    """What precise_timestamping() returns: it has no state of its own, so one is enough."""

    __slots__ = ()

    def __enter__(self):
        if _is_used:
            frame = _getframe(1)
            try:
                state = _tls.state
                base, lasti, line, word, trace = state.told
                if (id(frame) == base and not frame.f_trace_lines and frame.f_lasti == lasti
                        and _gettrace() is None):
                    # Its first line tells that it began.
                    if line:
                        at = _next()
                        _pack(_ring, at & 0x3FFFFF, _now(), base, line, word, at)
                    else:
                        state.plain = True
                        state.owners.append(frame)
                        frame.f_trace_lines = True
                        frame.f_trace = state.called
                    # From here on each instruction is slow.
                    return _settrace(trace)
                _begin_traced(state, frame)
            except _OURS:
                _begin_first(frame)
        elif _words[32]:
            _begin_first(_getframe(1))
        return None

    def __exit__(self, kind, value, traceback):
        # That this function is called was traced, and mostly has ended the section. Who traces
        # gets a copy of each variable, so there are no more than these.
        if _is_used:
            try:
                if _tls.state.owners or _suspended:
                    _end_traced(_tls.state, _getframe(1))
            except _OURS:
                _suspended.pop(_getframe(1), None)


def _begin_traced(state, frame):
    global _is_used
    if state.owners and _is_nested(state, frame):
        return
    if not _words[_W_UNTIL]:
        _calm_down()
        return
    base = _prepare(state, frame)
    if base is None:
        return
    if not state.silent and id(base.f_code) in _codes:
        base.f_trace_lines = True
        base.f_trace = state.called
    _is_used = True
    if state.silent:
        _tell_body(state)
        _settrace(state.trace_silent)
        return
    state.owners.append(base)
    state.plain = state.told is not _NOTHING
    _settrace(state.trace)


def _end_traced(state, frame):
    state.plain = False
    is_ours = _gettrace() in (state.trace, state.trace_silent, state.watch)
    if is_ours:
        _settrace(None)
    if _drop_owner(state, frame) and not state.owners:
        _leave(state)
        _untrace(state, frame)
    if is_ours:
        _settrace(state.trace if state.owners else state.watch if _suspended else None)


def _untrace(state, frame):
    """These go on, but not in a section."""
    while frame is not None:
        if frame.f_trace is state.called:
            frame.f_trace = None
            frame.f_trace_lines = id(frame) != state.told[0]
        frame = frame.f_back


def _take_traced(state):
    return _gettrace() in (None, state.watch)


def _find_yields(code):
    """Where a generator's function yields: offsets of instructions."""
    # While it waits for another generator, YIELD_FROM is the next instruction.
    yields = {_opcode.opmap["YIELD_VALUE"]: 0, _opcode.opmap.get("YIELD_FROM"): 2}
    text = code.co_code
    return frozenset(at - yields[text[at]] for at in range(0, len(text), 2) if text[at] in yields)


def _does_yield(frame):
    code = frame.f_code
    if not code.co_flags & _GENERATOR:
        return False
    known = _codes.get(id(code))
    if known is None:
        return False
    if known.yields is None:
        known.yields = _find_yields(code)
    return frame.f_lasti in known.yields


def _is_at_start(frame):
    """Whether a generator's function begins, and does not go on."""
    at = frame.f_lasti
    if at < 0:
        return True
    text = frame.f_code.co_code
    return text[at] == _opcode.opmap.get("RESUME") and text[at + 1] & 3 == 0


def _leave_frame_traced(state, frame):
    """A frame that opened a section returns or yields before its end."""
    if _does_yield(frame):
        _suspend(state, frame)
        if not state.owners:
            _leave(state)
            _settrace(state.watch)
        return
    outer = _move_out(state, frame)
    if outer is not None:
        outer.f_trace = state.called


def _make_traced(state):
    """The functions that see the thread's lines."""
    pack, ring, now, number, settrace = _pack, _ring, _now, _next, _settrace
    codes, suspended, owners = _codes, _suspended, state.owners
    line_word, call_word, back_word = state.line, state.call, state.back
    leave_word = state.leave
    at_word = state.number << 8 | _AT
    exit_code = _TracedSection.__exit__.__code__

    def called(frame, event, arg):
        try:
            if not owners:
                return None
            if event == "line":
                line = frame.f_lineno or 0
                at = number()
                pack(ring, at & 0x3FFFFF, now(), id(frame), line, line_word, at)
            elif event == "return":
                at = number()
                pack(ring, at & 0x3FFFFF, now(), id(frame), 0, back_word, at)
                if owners[-1] is frame:
                    _leave_frame_traced(state, frame)
                frame.f_trace = None  # a generator may go on when no section is open
        except _OURS:
            return None
        return called

    def trace_silent(frame, event, arg):
        # While the only line of a section runs: this is its end, mostly.
        try:
            settrace(None)
            if frame.f_code is not exit_code:
                outer = frame
                while id(outer) != state.silent:
                    outer = outer.f_back
                owners.append(outer)
                settrace(trace)
                return trace(frame, event, arg)
            base, line, due = state.end
            at = number()
            time = now()
            pack(ring, at & 0x3FFFFF, time, base, line, leave_word, at)
            if time > due:
                state.told = _NOTHING
        except _OURS:
            pass
        return None

    def trace(frame, event, arg):
        code = frame.f_code
        try:
            if code is exit_code:
                outer = frame.f_back
                if state.plain and outer is owners[-1]:
                    settrace(None)
                    outer.f_trace = None
                    outer.f_trace_lines = False
                    at = number()
                    time = now()
                    pack(ring, at & 0x3FFFFF, time, 0, 0, leave_word, at)
                    state.plain = False
                    owners.clear()
                    if time > state.end[2]:
                        state.told = _NOTHING
                return None
            if id(code) not in codes and _learn(code) is None:
                return None
            at = number()
            pack(ring, at & 0x3FFFFF, id(code), id(frame), 0, call_word, at)
            if code.co_flags & _GENERATOR:
                if not _is_at_start(frame):
                    line = frame.f_lineno or 0
                    at = number()
                    pack(ring, at & 0x3FFFFF, now(), id(frame), line, at_word, at)
                if suspended:
                    state.plain = False
                    owners.extend([frame] * suspended.pop(frame, 0))
        except _OURS:
            return None
        return called

    def watch(frame, event, arg):
        try:
            n = suspended.pop(frame, 0)
            if not n:
                return None
            owners.extend([frame] * n)
            _enter(state, frame, _RESUME)
            _settrace(state.trace)
        except _OURS:
            return None
        return called

    state.called, state.trace, state.watch = called, trace, watch
    state.trace_silent = trace_silent


# ---- from 3.12 on: sys.monitoring
#
# Turning events on and off for all code at each section would cost many times what a section may.
# So all code tells its first start, and again only where it is followed; code that ran in a section
# tells its lines from then on. What it tells outside of sections is dropped, and lines that can't
# be part of one are turned off.

_IDLE_STARTS = 64  # so often outside of sections in a row: its lines are not wanted for now


class _MonitoredSection:
    __slots__ = ()

    def __enter__(self):
        if _is_used:
            frame = _getframe(1)
            try:
                state = _tls.state
                base, lasti, line, word, _ = state.told
                if (id(frame) == base and frame.f_trace is _mark_of_frame
                        and frame.f_lasti == lasti and not state.owners):
                    # Its first line tells that it began.
                    state.owners.append(frame)
                    state.plain = True
                    if line:
                        at = _next()
                        _pack(_ring, at & 0x3FFFFF, _now(), base, line, word, at)
                else:
                    _begin_monitored(state, frame)
            except _OURS:
                _begin_first(frame)
        elif _words[32]:
            _begin_first(_getframe(1))

    def __exit__(self, kind, value, traceback):
        if not _is_used:
            return
        try:
            state = _tls.state
            if state.plain:
                state.plain = False
                state.owners.clear()
                base, line, due = state.end
                at = _next()
                now = _now()
                _pack(_ring, at & 0x3FFFFF, now, base, line, state.leave, at)
                if now > due:
                    state.told = _NOTHING
            elif state.owners or _suspended:
                if _drop_owner(state, _getframe(1)) and not state.owners:
                    _leave(state)
        except _OURS:
            _suspended.pop(_getframe(1), None)


def _begin_monitored(state, frame):
    global _is_used
    if state.owners and _is_nested(state, frame):
        return
    if not _words[_W_UNTIL]:
        _calm_down()
        return
    base = _prepare(state, frame)
    if base is None:
        return
    known = _codes.get(id(base.f_code))
    if known is not None:
        _watch_opener(known, base, base is frame, state.silent)
    _is_used = True
    state.owners.append(base)
    state.plain = state.told is not _NOTHING
    if state.silent:
        _tell_body(state)


def _mark_of_frame(frame, event, arg):
    """Is in a frame's f_trace, and not in that of a new one at the same address. Traces nothing."""


def _watch_opener(known, frame, is_site, is_silent):
    """Its lines are wanted, but only those that can be in a section and are not known anyway."""
    lines = (frozenset() if is_silent
             else _try_find(_find_section_lines, known.code, frame.f_lasti) if is_site else None)
    known.n_idle = 0
    if not known.is_watched:
        known.keep = lines
        _watch(known)
    elif lines is None:
        _keep_all(known)
    elif known.keep is not None and not lines <= known.keep:
        known.keep = known.keep | lines
        _restart(known)


def _watch(known):
    monitoring = sys.monitoring
    events = monitoring.events
    known.is_watched = True
    monitoring.set_local_events(_tool, known.code,
                                events.LINE | events.PY_RETURN | events.PY_YIELD)


def _keep_all(known):
    """It runs in a section that another function opened: all of its lines are wanted."""
    known.n_idle = 0
    if not known.is_watched:
        known.keep = None
        _watch(known)
    elif known.keep is not None:
        known.keep = None
        _restart(known)


def _restart(known):
    """Lines that were turned off are told again."""
    if known.has_off:
        known.has_off = False
        sys.monitoring.restart_events()


def _unwatch(known):
    for ref in _states:
        state = ref()
        if state is not None:
            if state.owners:
                return
            state.told = _NOTHING
    if _suspended or not known.is_watched:
        return
    known.is_watched = False
    sys.monitoring.set_local_events(_tool, known.code, 0)
    _restart(known)


def _unwatch_all_monitored():
    global _tool
    if _tool is None:
        return
    monitoring = sys.monitoring
    for known in _codes.values():
        if known.is_watched:
            known.is_watched = False
            monitoring.set_local_events(_tool, known.code, 0)
    monitoring.set_events(_tool, 0)
    monitoring.restart_events()
    monitoring.free_tool_id(_tool)
    _tool = None
    for ref in _states:
        state = ref()
        if state is not None:
            state.told = _NOTHING


def _find_tool():
    """A number for us, or None: somebody else looks at this program's lines."""
    monitoring = sys.monitoring
    if _gettrace() is not None:
        return None
    for other in (monitoring.DEBUGGER_ID, monitoring.COVERAGE_ID):
        if monitoring.get_tool(other) is not None:
            return None
    if _tool is not None:
        return _tool
    for tool in (4, 3, 5, 2):
        if monitoring.get_tool(tool) is None:
            return tool
    return None


def _take_monitored(state):
    global _tool
    tool = _find_tool()
    if tool is None:
        _unwatch_all_monitored()
        return False
    if _tool is None:
        monitoring = sys.monitoring
        events = monitoring.events
        monitoring.use_tool_id(tool, "trackexec")
        _tool = tool
        for event, callback in (
                (events.PY_START, _on_start), (events.PY_RESUME, _on_resume),
                (events.PY_THROW, _on_throw), (events.LINE, _on_line),
                (events.PY_RETURN, _on_return), (events.PY_YIELD, _on_yield),
                (events.PY_UNWIND, _on_return if _can_disable_all else _on_unwind)):
            monitoring.register_callback(tool, event, callback)
        monitoring.set_events(tool, _find_events())
    return True


def _find_events():
    """What is wanted of all code; where it is not followed, it is told once, if that can be said."""
    events = sys.monitoring.events
    return events.PY_START | events.PY_RESUME | events.PY_THROW | events.PY_UNWIND


def _on_line(code, line):
    try:
        state = _tls.state
        if state.owners:
            frame = id(_getframe(1))
            if frame != state.silent:
                at = _next()
                _pack(_ring, at & 0x3FFFFF, _now(), frame, line, state.line, at)
                return None
    except _OURS:
        pass
    known = _codes.get(id(code))
    if known is not None:
        keep = known.keep
        if keep is None or line in keep:
            return None
        known.has_off = True
    return _DISABLE


def _on_start(code, offset):
    known = _codes.get(id(code))
    if known is None:
        known = _learn(code)
        if known is None:
            return _DISABLE
    try:
        state = _tls.state
        if not state.owners:
            known.n_idle += 1
            if known.n_idle == _IDLE_STARTS:
                _unwatch(known)
            return None
        _tell_call(state, known, _getframe(1))
    except _OURS:
        pass
    return None


def _set_exact(is_exact):
    """Whether all followed code tells its lines, all the time."""
    monitoring = sys.monitoring
    events = monitoring.events
    wanted = _find_events()
    if is_exact:
        wanted |= events.LINE | events.PY_RETURN | events.PY_YIELD
    monitoring.register_callback(_tool, events.LINE, _on_line_exact if is_exact else _on_line)
    monitoring.set_events(_tool, wanted)
    monitoring.restart_events()
    for ref in _states:
        state = ref()
        if state is None:
            continue
        state.due = 0
        if state.owners and state.owners[0] is _ALWAYS:
            del state.owners[0]
            if not state.owners:
                _emit(_now(), 0, 0, state.leave)


def _go_on_exact(state, frame, now):
    """Now and then: whether it still is to be so. The stack is told again."""
    if now > _words[_W_UNTIL]:
        _set_exact(False)
        _words[_W_UNTIL] = 0
        _unwatch_all()
        return False
    if _words[_W_WANTED] != _WANT_EXACT:
        _set_exact(False)
        return False
    _adopt_packages()
    state.due = now + _RETELL_NS
    if _ALWAYS not in state.owners:
        state.plain = False
        state.owners.insert(0, _ALWAYS)
    _enter(state, frame, _EXACT)
    return True


def _on_line_exact(code, line):
    if id(code) not in _codes and _learn(code) is None:
        return _DISABLE
    try:
        state = getattr(_tls, "state", None) or _new_state()
        frame = _getframe(1)
        now = _now()
        if now > state.due and not _go_on_exact(state, frame, now):
            return None
        at = _next()
        _pack(_ring, at & 0x3FFFFF, now, id(frame), line, state.line, at)
    except _OURS:
        pass
    return None


def _tell_call(state, known, frame):
    if state.owners[0] is not _ALWAYS and (known.keep is not None or not known.is_watched):
        _keep_all(known)
    known.n_idle = 0
    at = _next()
    _pack(_ring, at & 0x3FFFFF, id(known.code), id(frame), 0, state.call, at)


def _on_resume(code, offset):
    if id(code) not in _codes and _learn(code) is None:
        return _DISABLE
    _resume(_getframe(1))
    return None


def _on_throw(code, offset, exception):
    if id(code) in _codes or _learn(code) is not None:
        _resume(_getframe(1))
        return None
    return _DISABLE if _can_disable_all else None


def _resume(frame):
    try:
        state = getattr(_tls, "state", None)
        n = _suspended.pop(frame, 0) if _suspended else 0
        if state is None:
            if not n:
                return
            state = _new_state()
        owners = state.owners
        if owners:
            _tell_call(state, _codes[id(frame.f_code)], frame)
            _emit(_now(), id(frame), frame.f_lineno or 0, state.number << 8 | _AT)
        elif n:
            _enter(state, frame, _RESUME)
        if n:
            state.plain = False
            owners.extend([frame] * n)
    except _OURS:
        pass


def _on_return(code, offset, value):
    if id(code) not in _codes and _learn(code) is None:
        return _DISABLE
    try:
        state = _tls.state
        if state.owners:
            _tell_return(state, _getframe(1))
    except _OURS:
        pass
    return None


def _on_unwind(code, offset, exception):
    """Up to 3.14 no code can be left out of it."""
    if id(code) in _codes:
        try:
            state = _tls.state
            if state.owners:
                _tell_return(state, _getframe(1))
        except _OURS:
            pass


def _tell_return(state, frame):
    # No deeper than what tells the begin of a frame: an error of ours, that it is too deep, would
    # take the place of the exception that leaves it.
    at = _next()
    _pack(_ring, at & 0x3FFFFF, _now(), id(frame), 0, state.back, at)
    if state.owners[-1] is frame:
        outer = _move_out(state, frame)
        if outer is not None:
            _keep_all(_codes[id(outer.f_code)])


def _on_yield(code, offset, value):
    if id(code) not in _codes and _learn(code) is None:
        return _DISABLE
    try:
        state = _tls.state
        owners = state.owners
        if owners:
            frame = _getframe(1)
            _emit(_now(), id(frame), 0, state.back)
            if owners[-1] is frame:
                _suspend(state, frame)
                if not owners:
                    _emit(_now(), 0, 0, state.leave)
    except _OURS:
        pass
    return None


def _find_section_lines(code, lasti):
    """
    The lines that can run between the begin of a section at this instruction and its end; None
    when it is no with statement that begins there. An exception anywhere between would have to
    reach the statement's handler, so what belongs to it is what leads there.
    """
    handlers = _read_handlers(code)
    after = [h for h in handlers if h[0] > lasti]
    if not after:
        return None
    first = min(after)
    text = code.co_code
    names = [_opcode.opname[text[at]] for at in range(first[2], min(first[2] + 8, len(text)), 2)]
    if first[0] - lasti > 12 or names[:2] != ["PUSH_EXC_INFO", "WITH_EXCEPT_START"]:
        return None

    def leads_there(at):
        for _ in range(64):
            found = [h for h in handlers if h[0] <= at < h[1]]
            if not found:
                return False
            if found[0][2] == first[2]:
                return True
            at = found[0][2]
        return True

    lines = set()
    for start, end, line in code.co_lines():
        if line is not None and (start <= lasti < end
                                 or any(leads_there(at) for at in range(start, end, 2))):
            lines.add(line)
    return lines


# ---- which of them, and what happens at a fork


def _begin_first(frame):
    """The first of this thread, or of this process, or since a collector came."""
    try:
        state = getattr(_tls, "state", None) or _new_state()
        if state is None:
            _calm_down()
        else:
            _begin(state, frame)
    except _OURS:
        pass


def _after_fork():
    """The child has a ring of its own, made when it is needed, or none."""
    global _head, _ring, _words, _tls, _is_used, _can_open, _packages
    head, ring, words = _head, _ring, _words
    state = getattr(_tls, "state", None)
    _head, _ring, _words, _packages = None, None, _no_words, None
    _tls = _thread._local()
    _is_used, _can_open = True, _can_tell
    _states.clear()
    _suspended.clear()
    if state is not None and not _has_monitoring:
        if _gettrace() in (state.trace, state.trace_silent, state.watch):
            _settrace(None)
        _untrace(state, _getframe())
    _unwatch_all()
    _codes.clear()
    if ring is not None:
        words.release()
        head.close()
        ring.close()


if _has_monitoring:
    _DISABLE = sys.monitoring.DISABLE
    _can_disable_all = sys.version_info >= (3, 15)  # also what exceptions do
    _tracing_state = _STATE_MONITORING
    _section = _MonitoredSection()
    _begin, _take_tracer = _begin_monitored, _take_monitored
    _unwatch_all = _unwatch_all_monitored
else:
    _tracing_state = _STATE_TRACING
    _section = _TracedSection()
    _begin, _take_tracer = _begin_traced, _take_traced

    def _unwatch_all():
        """Nothing outlives a section."""


def precise_timestamping():
    """For a with statement: each line that runs in it is recorded with its time."""
    return _section


def record(package=None, log_dir_path=None):
    """The collector records, and knows what and where to; here all is made ready for sections."""
    _try_open()


def stop():
    """The collector sees the end of the process by itself."""


try:
    from os import register_at_fork as _register_at_fork
    _register_at_fork(after_in_child=_after_fork)
except ImportError:  # no fork either
    _can_open = False
