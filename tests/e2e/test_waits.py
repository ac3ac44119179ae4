#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Waits in the trace: those of programs that know and note what they waited for, and how long.

    TRACKEXEC_PYTHON=LABEL  only this interpreter (see tests/pythons.py list)
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from collecting import children_of
from recording import DEADLINE_S, TESTS, TRACKEXEC, Target, trackexec
from trace_waits import FOR_CPU, FOR_SOMETHING, WaitTrace
import pythons

MS = 1_000_000
# What must be told: the figures.
LONG_NS = 10 * MS
OFF_NS, OFF_SHARE = 1 * MS, 0.01
EDGE_NS = 100_000
COMPLETE_SHARE, MANY_SHARE = 0.99, 0.75
# Not all on this line: a listener's address costs a search, of which there are only so many.
TCP = r"(127\.0\.0\.1:{port}|TCP socket)"
LOCK = ("lock", r"futex", r"lock or condition \(futex\)")
LOCK_NATIVE = r"sem_|_PySemaphore_|PyThread_acquire_lock|pthread_cond"

# name: kind, system call, text; and a function near the inner end of the native stack
EXPECTED = {
    "sleep": ("sleep", r"clock_nanosleep|select|pselect6", r"sleep 40 ms", r"clock_nanosleep|select"),
    "select": ("poll", r"p?select6?", r"p?select6?: pipe", r"select"),
    "select_two": ("poll", r"p?select6?", r"p?select6?: 2 descriptors", r"select"),
    "select_none": ("sleep", r"p?select6?", r"sleep 40 ms", r"select"),
    "poll": ("poll", r"p?poll", r"p?poll: pipe", r"poll"),
    "epoll": ("poll", r"epoll_p?wait", r"epoll_p?wait: pipe", r"epoll_wait"),
    "selectors": ("poll", r"epoll_p?wait", r"epoll_p?wait: 3 descriptors", r"epoll_wait"),
    "connect": ("connect", r"connect", r"connect to 127\.0\.0\.1:{port}", r"connect"),
    "connect_timeout": ("poll", r"p?poll", r"p?poll: " + TCP, r"poll"),
    "read_pipe": ("read", r"read", r"read pipe", r"read"),
    "recv_unix": ("read", r"recvfrom", r"recv from UNIX socket", r"recv"),
    "recv_tcp": ("read", r"recvfrom", r"recv from " + TCP, r"recv"),
    "accept": ("accept", r"accept4?", r"accept at (listener 127\.0\.0\.1:{port}|TCP socket)",
               r"accept"),
    "flock": ("file lock", r"flock", r"flock .*{path}", r"flock"),
    "fsync": ("sync", r"fsync", r"fsync .*{path}", r"fsync"),
    "child": ("child", r"wait4", r"wait for child: .*time\.sleep\(0\.04\)", r"wait4|waitpid"),
    "dns": ("name", r"p?poll", r"name look-up \(DNS\) at 127\.0\.0\.77:53", r"poll"),
    **{name: (*LOCK, LOCK_NATIVE) for name in (
        "lock", "condition", "event", "queue", "join", "lock_timeout", "event_timeout",
        "queue_timeout")},
}
# These may be over at once.
MAY_BE_SHORT = ("fsync",)
ALL = [name for name in EXPECTED if name != "dns"]
# Functions in which a thread begins. Without symbols, its C library is all that is known.
BEGINNING = re.compile(r"_start\+|clone3?\+|__clone|start_thread|libc\.so\.6\+|libc-.*\.so\+")

NAMESERVER = ("127.0.0.77", 53)
CLONE_NEWNS, MS_PRIVATE, MS_REC, MS_BIND = 0x20000, 1 << 18, 1 << 14, 1 << 12
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
NOBODY = 65534
GAP_EXEC = 3
LIBC = ctypes.CDLL(None, use_errno=True)
# The machine may have other things to do; what is measured here is the recorder.
NICE = -15


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Its value, once it is true."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.005)


def wanted(label):
    return os.environ.get("TRACKEXEC_PYTHON", label) == label


def chosen_pythons():
    """The distribution's own, one with a shared libpython, an old one, and one in a chroot."""
    found = [python for python in pythons.interpreters() if wanted(python.label)]
    own = [p for p in found if p.path.startswith("/usr/bin/") and not p.root]
    shared = [p for p in found if p.version[:2] == (3, 11) and p not in own]
    old = [p for p in found if p.version[:2] in ((3, 8), (3, 9))]
    chroot = [p for p in found if p.root and p.version >= (3, 13)]
    return own[:1] + shared[:1] + old[-1:] + chroot[-1:] or found


def can_have_edges():
    level = pathlib.Path("/proc/sys/kernel/perf_event_paranoid")
    return level.exists() and os.geteuid() == 0


def marked_lines(path, kind="wait"):
    lines = {}
    for number, text in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        for name in re.findall(rf"# {kind}:(\w+)", text):
            lines[name] = number
    return lines


def be_urgent():
    """Also among the sessions where the kernel groups them."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        os.setsid()
        pathlib.Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


def refuse_perf_events():
    """A seccomp(2) filter: of all system calls, this one is not allowed."""
    number = {"x86_64": 298}.get(os.uname().machine, 241)
    refused, allowed = 0x00050000 | errno.EACCES, 0x7FFF0000
    code = b"".join(struct.pack("HBBI", *row) for row in (
        (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, refused), (0x06, 0, 0, allowed)))
    text = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(text))
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or LIBC.prctl(PR_SET_SECCOMP, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter")


class Recorder:
    """A recorder that runs beside the target until it is told to stop."""

    def __init__(self, pid, *options, before=(), **popen):
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-waits-")
        os.chmod(self.folder.name, 0o777)
        self.trace = os.path.join(self.folder.name, "trace")
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        popen.setdefault("preexec_fn", be_urgent)
        self.process = subprocess.Popen(
            [*before, TRACKEXEC, "record", "-q", "--pid", str(pid), "--output", self.trace,
             *map(str, options)], stdin=subprocess.DEVNULL, stderr=self.log, **popen)

    def __enter__(self):
        try:
            wait_until(self._has_seen, "a thread in the trace")
        except BaseException:
            self.__exit__()
            raise
        return self

    def query(self, text):
        path = os.path.join(self.trace, "trace.db")
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                return db.execute(text).fetchall()
        except sqlite3.OperationalError:
            return []

    def _has_seen(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the recorder ended: {self.said()}")
        return self.query("SELECT 1 FROM threads LIMIT 1")

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self, expect=0):
        """Its trace, as it is when the recorder has ended."""
        self.process.send_signal(signal.SIGINT)
        return self.wait(expect)

    def wait(self, expect=0):
        status = self.process.wait(DEADLINE_S)
        if status != expect:
            raise AssertionError(f"status {status}: {self.said()}")
        return WaitTrace(self.trace)

    def __exit__(self, *details):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Nameserver:
    """Says that there is no such name, after a while; and a view of the files in which it serves."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(NAMESERVER)
        self.conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.conf.write(f"nameserver {NAMESERVER[0]}\noptions attempts:1 timeout:5\n")
        self.conf.flush()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self.sock.recvfrom(512)
                if not query:
                    return
                time.sleep(0.04)
                # A response, recursion available, no such name.
                self.sock.sendto(query[:2] + b"\x81\x83" + query[4:], client)

    def see(self):
        """For a child, before it becomes the target."""
        pythons.die_with_parent()
        if (LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
                or LIBC.mount(self.conf.name.encode(), b"/etc/resolv.conf", None, MS_BIND, None)):
            raise OSError(ctypes.get_errno(), "no view of its own")

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", NAMESERVER)
        self.thread.join(DEADLINE_S)
        self.sock.close()
        self.conf.close()


class Unseen(Exception):
    """The recorder itself had no CPU for much of the time; the gaps."""


class Waits(unittest.TestCase):
    """With `self.target`, a running waits.py."""

    def start(self, python, names=None, **popen):
        proc = os.open("/proc", os.O_PATH)
        self.addCleanup(os.close, proc)
        words = [",".join(names)] if names else []
        target = self.enterContext(Target(python, "waits", proc, *words, stdin=subprocess.PIPE,
                                          pass_fds=[proc], **popen))
        self.addCleanup(target.process.stdin.close)
        self.script = target.script
        self.lines = marked_lines(TESTS / "targets" / "waits.py")
        return target

    def ask(self, target, mode, names=()):
        """What it notes."""
        target.process.stdin.write(f"{mode} {','.join(names)}\n".encode())
        target.process.stdin.flush()
        return json.loads(target.lines.read())

    def enterContext(self, manager):
        """As in unittest from 3.11 on."""
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def record(self, pid, *options, **popen):
        return self.enterContext(Recorder(pid, *options, **popen))

    # ---- one noted wait

    def is_in_gap(self, trace, note):
        """Time in which the trace itself says that it knows nothing."""
        return any(start < note["after_ns"] and end > note["before_ns"]
                   for _, start, end, _ in trace.gaps)

    def problems(self, trace, note):
        """What is wrong with a noted wait as it was recorded."""
        name = note["name"]
        waits = trace.of(note, self.script, self.lines[name])
        waits = [wait for wait in waits if wait.state == FOR_SOMETHING]
        off_ns = note["after_ns"] - note["before_ns"] - note["cpu_ns"]
        # Without /proc it is not known how long it lacked a CPU.
        least_ns = (note["least_ms"] * MS if note["delay_ns"] is None
                    else off_ns - note["delay_ns"])
        if name in MAY_BE_SHORT and least_ns < LONG_NS:
            return
        if not waits:
            yield f"not there, but {trace.of(note)} of {trace.threads_of(note)}"
            return
        yield from self.wrong_times(note, waits, least_ns, off_ns)
        # Once it is over the thread may have to wait for the GIL, and that may be long as well.
        longest = max(waits, key=lambda wait: wait.length_ns)
        if longest.length_ns >= LONG_NS and not any(
                wait.length_ns >= LONG_NS and self.has_right_reason(note, wait) for wait in waits):
            yield f"its reason is {longest.reason}"

    def wrong_times(self, note, waits, least_ns, off_ns):
        tolerance_ns = OFF_NS + OFF_SHARE * off_ns
        total_ns = sum(wait.length_ns for wait in waits)
        if not least_ns - tolerance_ns <= total_ns <= off_ns + tolerance_ns:
            yield f"{total_ns / MS:.3f} ms, not {least_ns / MS:.3f} to {off_ns / MS:.3f}"
        if (waits[0].start_ns < note["before_ns"] - EDGE_NS or
                waits[-1].end_ns > note["after_ns"] + EDGE_NS):
            yield f"begins or ends outside of [{note['before_ns']}, {note['after_ns']}]"

    def has_right_reason(self, note, wait):
        kind, call, what, _ = EXPECTED[note["name"]]
        what = what.replace("{port}", str(note.get("port"))).replace(
            "{path}", re.escape(note.get("path", "")))
        return (wait.reason.kind == kind and re.fullmatch(call, wait.reason.call)
                and re.fullmatch(what, wait.reason.what))

    def native_problem(self, python, note, wait):
        frames = wait.native.frames
        if not wait.native.is_complete:
            return "not complete"
        if not BEGINNING.search(frames[-1]):
            return f"begins in {frames[-1]}"
        # Without a symbol table only what a library exports has a name.
        if not python.root and not any(re.search(EXPECTED[note["name"]][3], frame)
                                       for frame in frames[:8]):
            return f"has no {EXPECTED[note['name']][3]}"
        return None

    def check(self, python, trace, notes):
        """All of them: times and reasons, and nearly all of their native stacks."""
        wrong, stacks, n_unseen = [], [], 0
        for note in notes:
            if note["name"] not in EXPECTED:
                continue
            if self.is_in_gap(trace, note):
                n_unseen += 1
                continue
            waits = trace.of(note, self.script, self.lines[note["name"]])
            wrong += [f"{note['name']}: {problem}; {waits}" for problem in self.problems(trace, note)]
            stacks += [(note["name"], self.native_problem(python, note, wait), wait)
                       for wait in waits
                       if wait.state == FOR_SOMETHING and wait.length_ns >= LONG_NS
                       and self.has_right_reason(note, wait)]
        if n_unseen > len(notes) / 2:
            raise Unseen(trace.gaps)
        self.assertEqual(wrong, [])
        # Only so many a second are looked for.
        n_all = len(stacks)
        stacks = [stack for stack in stacks if stack[2].native.frames]
        self.assertGreaterEqual(len(stacks), MANY_SHARE * n_all)
        bad = [stack for stack in stacks if stack[1]]
        self.assertLessEqual(len(bad), (1 - COMPLETE_SHARE) * len(stacks), bad)
        return len(notes), len(stacks), n_unseen


@unittest.skipUnless(can_have_edges(), "needs root, and perf events")
class KnownWaits(Waits):
    TURNS = 3

    def turn(self, python, names, **popen):
        with contextlib.ExitStack() as stack:
            self.enterContext = stack.enter_context
            target = self.start(python, names, **popen)
            recorder = self.record(target.process.pid)
            notes = [self.ask(target, mode) for mode in ("one", "threads")]
            trace = recorder.stop()
        self.assertEqual([len(part) for part in notes], [len(names)] * 2)
        self.assertEqual(trace.meta["edges"], "exact")
        return self.check(python, trace, sum(notes, []))

    def turns(self, python):
        names = list(ALL)
        more = {}
        if not python.root:
            names.append("dns")
            more["preexec_fn"] = self.nameserver.see
        error = None
        # What is wrong once, where others take the CPUs, is printed; what comes again fails.
        for _ in range(self.TURNS):
            try:
                return self.turn(python, names, **more)
            except (Unseen, AssertionError) as wrong:
                error = wrong
                print(f"{python.label}: {str(error)[:300]}", flush=True)
        if isinstance(error, Unseen):
            self.skipTest("the machine is too busy")
        raise error

    @classmethod
    def setUpClass(cls):
        cls.nameserver = Nameserver()
        cls.addClassCleanup(cls.nameserver.close)

    def test_one_after_the_other_and_all_at_once(self):
        for python in chosen_pythons():
            with self.subTest(python=python.label):
                n, n_stacks, n_unseen = self.turns(python)
                print(f"{python.label}: {n} waits, of which {n_unseen} in gaps, {n_stacks} native "
                      "stacks", flush=True)


def own_python():
    return chosen_pythons()[0]


@unittest.skipUnless(can_have_edges(), "needs root, and perf events")
class Edges(Waits):
    N_SLEEPS = 60

    def test_times_of_many_sleeps(self):
        """Each within what the target saw; the middle one within 100 us of it at both ends.

        They are so short that a recorder that lacks a CPU meets some only when they are over, and
        cannot tell their line.
        """
        target = self.start(own_python(), ["short_sleep"])
        recorder = self.record(target.process.pid)
        notes = self.ask(target, "one", ["short_sleep"] * self.N_SLEEPS)
        trace = recorder.stop()
        starts, ends, seen = [], [], 0
        for note in notes:
            if self.is_in_gap(trace, note):
                continue
            waits = [wait for wait in trace.of(note, self.script, self.lines["short_sleep"])
                     if wait.state == FOR_SOMETHING and wait.start_ns >= note["before_ns"] - 2048]
            self.assertLessEqual(len(waits), 1)
            if not waits:
                continue
            seen += 1
            # Times in a trace are rounded down to units of 1024 ns.
            starts.append(waits[0].start_ns - note["before_ns"])
            ends.append(note["after_ns"] - waits[0].end_ns)
            self.assertGreater(starts[-1], -2048)
            self.assertGreater(ends[-1], -2048)
            # The call computes its end before it sleeps.
            self.assertGreater(waits[0].length_ns, note["least_ms"] * MS - EDGE_NS)
        self.assertGreater(seen, self.N_SLEEPS / 2)
        print(f"{seen} sleeps: begin {statistics.median(starts) / 1000:.0f} us after what the "
              f"target noted, end {statistics.median(ends) / 1000:.0f} us before", flush=True)
        self.assertLess(statistics.median(starts), EDGE_NS)
        self.assertLess(statistics.median(ends), EDGE_NS)

    def test_how_long_a_wait_must_be_to_be_listed(self):
        for least, is_listed in (("100us", True), ("1h", False)):
            with self.subTest(least):
                target = self.start(own_python(), ["short_sleep"])
                recorder = self.record(target.process.pid, "--min-wait", least)
                notes = self.ask(target, "one", ["short_sleep"] * self.N_SLEEPS)
                trace = recorder.stop()
                line = self.script, self.lines["short_sleep"]
                listed = [wait for note in notes for wait in trace.of(note, *line)
                          if wait.state == FOR_SOMETHING]
                self.assertEqual(bool(listed), is_listed)
                # Listed or not, it waited there.
                _, self_ns, wait_ns, _ = trace.lines[line]
                self.assertGreater(wait_ns, self_ns / 2)

    def test_native_code_without_the_gil_is_no_wait(self):
        target = self.start(own_python(), ["c_code", "sleep", "poll"])
        recorder = self.record(target.process.pid)
        notes = self.ask(target, "threads")
        trace = recorder.stop()
        note = next(note for note in notes if note["name"] == "c_code")
        _, self_ns, wait_ns, ready_ns = trace.lines[self.script, self.lines["c_code"]]
        on_cpu_ns = self_ns - wait_ns - ready_ns
        # It takes the GIL again now and then, and others had the CPU.
        self.assertLess(wait_ns, 0.5 * self_ns)
        self.assertLess(abs(on_cpu_ns - note["cpu_ns"]), 0.2 * note["cpu_ns"] + 2 * MS,
                        (self_ns, wait_ns, ready_ns, note))

    def test_preempted_is_not_waiting(self):
        cpu = {max(os.sched_getaffinity(0))}
        targets = [self.enterContext(Target(own_python(), "contend", stdin=subprocess.PIPE))
                   for _ in range(2)]
        for target in targets:
            self.addCleanup(target.process.stdin.close)
            for task in os.listdir(f"/proc/{target.process.pid}/task"):
                os.sched_setaffinity(int(task), cpu)

        def times():
            targets[0].process.stdin.write(b"\n")
            targets[0].process.stdin.flush()
            return [int(word) for word in targets[0].lines.read().split()]
        recorder = self.record(targets[0].process.pid)
        before = times()
        wait_until(lambda: times()[0] - before[0] > 300 * MS, "CPU time")
        trace = recorder.stop()
        after = times()
        line = judges_at("contend", "busy")
        _, self_ns, wait_ns, ready_ns = trace.lines[targets[0].script, line]
        on_cpu_ns, delay_ns = (b - a for a, b in zip(before[:2], after[:2]))
        share, truth = ready_ns / self_ns, delay_ns / (on_cpu_ns + delay_ns)
        print(f"of the time of a busy line, others had the CPU {share:.1%}, by the kernel "
              f"{truth:.1%}", flush=True)
        self.assertGreater(share, 0.35)
        self.assertLess(abs(share - truth), 0.1)
        self.assertLess(wait_ns, 0.1 * self_ns)
        self.assertTrue([w for w in trace.waits if w.state == FOR_CPU and w.line == line])


def judges_at(name, mark):
    return marked_lines(TESTS / "targets" / f"{name}.py", "at")[mark]


@unittest.skipUnless(can_have_edges(), "needs root, and perf events")
class Idle(Waits):
    def test_loop_and_handler(self):
        kinds = ("selectors", "asyncio")
        targets = [self.enterContext(Target(own_python(), "event_loop", kind)) for kind in kinds]
        recorders = [Recorder(target.process.pid) for target in targets]
        self.lines = marked_lines(TESTS / "targets" / "event_loop.py")
        for kind, recorder in zip(kinds, recorders):
            self.enterContext(recorder)
            with self.subTest(kind):
                self.check_loop(kind, recorder)

    def check_loop(self, kind, recorder):
        def has_both():
            return len(recorder.query(
                "SELECT DISTINCT line FROM waits WHERE state = 0 AND reason > 0 AND line IN "
                f"({self.lines[kind]}, {self.lines['nested']})")) == 2
        wait_until(has_both, "waits of both kinds")
        waits = [wait for wait in recorder.stop().waits if wait.reason.what
                 and wait.state == FOR_SOMETHING and wait.length_ns >= LONG_NS]
        outer = [wait for wait in waits if wait.line == self.lines[kind]]
        nested = [wait for wait in waits if wait.line == self.lines["nested"]]
        self.assertTrue(outer)
        self.assertTrue(nested)
        self.assertEqual([wait for wait in outer if not wait.is_idle], [])
        # Until the loop's own was seen, this was the outermost one.
        first_ns = min(wait.end_ns for wait in outer)
        self.assertEqual([wait for wait in nested
                          if wait.is_idle and wait.start_ns > first_ns], [])


CLOSED = """
import os, threading, time
def wait(r):
    begun.append(1)
    os.read(r, 1)  # wait:closed
def is_asleep(thread):
    with open(f"/proc/self/task/{thread.native_id}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"
begun = []
r, w = os.pipe()
kept = os.dup(r)
print("ready", flush=True)
input()
thread = threading.Thread(target=wait, args=(r,))
thread.start()
while not begun or not is_asleep(thread):
    pass
os.close(r)
time.sleep(0.1)
os.write(w, b"x")
thread.join()
print("done", flush=True)
input()
"""
DELETED = """
import fcntl, os, sys, tempfile, time
def wait(path, other):
    fcntl.flock(other, fcntl.LOCK_EX)  # wait:deleted
file = tempfile.NamedTemporaryFile(prefix="trackexec-gone-")
other = open(file.name)
fcntl.flock(file, fcntl.LOCK_EX)
os.unlink(file.name)
os.unlink(sys.argv[1])
print("ready", flush=True)
input()
if os.fork() == 0:
    time.sleep(0.1)
    os._exit(0)
file._closer.delete = False
file.close()
wait(None, other)
print("done", flush=True)
input()
"""
THREADS = """
import threading, time
def wait(event):
    event.wait()  # wait:event
event = threading.Event()
threads = [threading.Thread(target=wait, args=(event,)) for _ in range(300)]
print("ready", flush=True)
input()
for thread in threads:
    thread.start()
print("started", flush=True)
input()
event.set()
for thread in threads:
    thread.join()
print("done", flush=True)
input()
"""
# They begin to wait for good while edges come faster than they are looked at.
SWITCHING = """
import os, sys, threading
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
def wait(event):
    event.wait()  # wait:event
event = threading.Event()
threads = [threading.Thread(target=wait, args=(event,), daemon=True) for _ in range(20)]
there, back = os.pipe(), os.pipe()
if not os.fork():
    os.close(there[1])
    while os.read(there[0], 1):
        os.write(back[1], b"x")
    os._exit(0)
def switch():
    for _ in range(20000):
        os.write(there[1], b"x")
        os.read(back[0], 1)
print("ready", flush=True)
input()
for thread in threads[:10]:
    thread.start()
switch()
for thread in threads[10:]:
    thread.start()
switch()
os.close(there[1])
os.wait()
print("done", flush=True)
input()
"""
ENDING = """
import os, subprocess, sys, threading, time
def wait():
    time.sleep(60)  # wait:other
def act():
    time.sleep(0.05)
    {"exit": lambda: os._exit(3),
     "exec": lambda: os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"]),
     "fork": lambda: os.fork() or (time.sleep(0.1), os._exit(0)),
     "spawn": lambda: subprocess.run([sys.executable, "-c", "pass"])}[sys.argv[1]]()
    print("done", flush=True)
    time.sleep(60)
print("ready", flush=True)
input()
threading.Thread(target=wait, daemon=True).start()
threading.Thread(target=act, daemon=True).start()
time.sleep(60)  # wait:main
"""


SAME_PLACE = """
import os, select
def doze(s):
    select.select([], [], [], s)  # wait:doze
def watch(pipes, s):
    select.select(pipes, [], [], s)  # wait:watch
pipes = [os.pipe()[0] for _ in range(3)]
print("ready", flush=True)
input()
for ms in [40] * 8 + [90, 15] * 2 + [40] * 8:
    doze(ms / 1000)
for n in [2] * 8 + [3] * 8:
    watch(pipes[:n], 0.02 * n)
print("done", flush=True)
input()
"""


@unittest.skipUnless(can_have_edges(), "needs root, and perf events")
class BadInput(Waits):
    def start_text(self, text, *words, python=None, **popen):
        """A target from a text, below a function: a module's own lines are not followed."""
        body = "def main():\n" + "".join(f"    {line}\n" for line in text.splitlines()) + "main()\n"
        process = (python or own_python()).start(body, *words, stdin=subprocess.PIPE,
                                                 stdout=subprocess.PIPE, text=True, **popen)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.script = process.script
        self.lines = marked_lines(process.script) if os.path.exists(process.script) else {}
        self.expect(process, "ready")
        return process

    def expect(self, process, what):
        self.assertEqual(process.stdout.readline(), what + "\n")

    def go(self, process):
        process.stdin.write("\n")
        process.stdin.flush()

    def long_waits(self, trace, name):
        return [wait for wait in trace.waits if wait.line == self.lines[name]
                and wait.path == self.script and wait.length_ns >= LONG_NS]

    def test_descriptor_closed_meanwhile(self):
        process = self.start_text(CLOSED)
        recorder = self.record(process.pid)
        self.go(process)
        self.expect(process, "done")
        # The last one, if it had to wait for the GIL before.
        wait = self.long_waits(recorder.stop(), "closed")[-1]
        self.assertEqual(wait.reason.kind, "read")
        self.assertRegex(wait.reason.what, "read (pipe|unknown object)$")

    def test_another_wait_at_a_place_that_is_known(self):
        """What waits for the same again and again is not asked each time: that must not lie."""
        process = self.start_text(SAME_PLACE)
        recorder = self.record(process.pid)
        self.go(process)
        self.expect(process, "done")
        trace = recorder.stop()
        dozes, watches = ([wait for wait in self.long_waits(trace, name)
                           if wait.state == FOR_SOMETHING] for name in ("doze", "watch"))
        asked_ms = [40] * 8 + [90, 15] * 2 + [40] * 8
        self.assertEqual(len(dozes), len(asked_ms), dozes)
        self.assertEqual(len(watches), 16, watches)
        told = [(wait.reason.what, f"sleep {ms} ms") for wait, ms in zip(dozes, asked_ms)
                if wait.reason.what]
        self.assertEqual([wait for wait in told if wait[0] != wait[1]], [])
        # The shorter ones are over when they turn out to be others; on a busy machine, some more.
        self.assertGreaterEqual(len(told), 12)
        for wait in watches:
            self.assertRegex(wait.reason.what, r"p?select6?: [23] descriptors")
            self.assertTrue(wait.is_idle)

    def test_other_network(self):
        def leave():
            pythons.die_with_parent()
            if LIBC.unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "no network of its own")
            with socket.socket() as sock:
                fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
        names = ["accept", "recv_tcp", "connect", "connect_timeout", "recv_unix"]
        target = self.start(own_python(), names, preexec_fn=leave)
        recorder = self.record(target.process.pid)
        notes = self.ask(target, "one")
        self.check(own_python(), recorder.stop(), notes)

    def test_deleted_file_and_program(self):
        python = own_python()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        copy = os.path.join(folder, "python3-copy")
        shutil.copy(os.path.realpath(python.path), copy)
        gone = pythons.Interpreter("copy", python.version, copy)
        process = self.start_text(DELETED, copy, python=gone,
                                  env={"PYTHONHOME": "/usr" if python.path.startswith("/usr/")
                                       else str(pathlib.Path(python.path).parent.parent)})
        self.assertFalse(os.path.exists(copy))
        recorder = self.record(process.pid)
        self.go(process)
        self.expect(process, "done")
        wait, = self.long_waits(recorder.stop(), "deleted")
        self.assertEqual(wait.reason.kind, "file lock")
        self.assertRegex(wait.reason.what, r"flock /tmp/trackexec-gone-\w+ \(deleted\)")
        self.assertTrue(wait.native.is_complete, wait.native)
        self.assertRegex(wait.native.frames[-1], r"_start\+.*python3-copy")

    def test_many_threads(self):
        process = self.start_text(THREADS)
        recorder = self.record(process.pid)
        self.go(process)
        self.expect(process, "started")

        def all_seen():
            return len(recorder.query(f"SELECT DISTINCT thread FROM waits JOIN blocks ON "
                                      f"blocks.id = block WHERE line = {self.lines['event']} "
                                      "AND reason > 0"))
        wait_until(lambda: all_seen() == 300, "all of the threads")
        self.go(process)
        self.expect(process, "done")
        waits = self.long_waits(recorder.stop(), "event")
        by_thread = {wait.thread: wait for wait in waits if wait.reason.kind == "lock"}
        self.assertEqual(len(by_thread), 300)

    def test_edges_are_lost(self):
        """The recorder is stopped for a moment, and then is slow: what waits is known all the same."""
        process = self.start_text(SWITCHING)
        recorder = self.record(process.pid, "--rate", "20")
        os.kill(recorder.process.pid, signal.SIGSTOP)
        workers = children_of(recorder.process.pid)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        self.go(process)
        self.expect(process, "done")
        for pid in (recorder.process.pid, *workers):
            os.kill(pid, signal.SIGCONT)

        def all_wait():
            now = json.loads(trackexec("info", "--json", recorder.trace))["now"]
            return (len(now) == 21 and all(thread["state"] == "waiting" for thread in now) and
                    sum("lock" in (thread["reason"] or "") for thread in now) == 20)
        wait_until(all_wait, "all of the threads are known to wait")
        recorder.stop()

    def check_waits_of_both(self, trace):
        """They go on to the end of the process, or of the recording."""
        for name in ("main", "other"):
            wait = self.long_waits(trace, name)[-1]
            self.assertEqual(wait.reason.kind, "sleep", wait)

    def test_ends_and_changes_in_the_middle(self):
        started = []
        for how in ("exit", "exec", "fork", "spawn"):
            process = self.start_text(ENDING, how)
            started.append((how, process, self.script))
        # Side by side: each recorder takes a second until it can be seen to have begun.
        recorders = [Recorder(process.pid) for _, process, _ in started]
        for (how, process, script), recorder in zip(started, recorders):
            self.enterContext(recorder)
            self.go(process)
        for (how, process, self.script), recorder in zip(started, recorders):
            with self.subTest(how):
                getattr(self, "check_" + how)(process, recorder)

    def check_exit(self, _, recorder):
        trace = recorder.wait()
        self.check_waits_of_both(trace)
        self.assertEqual(trace.meta["end_reason"], "target exited")

    def check_exec(self, _, recorder):
        wait_until(lambda: recorder.query(f"SELECT 1 FROM gaps WHERE reason = {GAP_EXEC}"),
                   "the other program")
        self.check_waits_of_both(recorder.stop())

    def check_fork(self, process, recorder):
        self.expect(process, "done")
        wait_until(lambda: recorder.query(
            f"SELECT 1 FROM waits WHERE line = {self.lines['other']} AND reason > 0"),
            "the reason of a wait that goes on")
        trace = recorder.stop()
        self.check_waits_of_both(trace)
        # The child's are not its own.
        self.assertEqual(len(self.long_waits(trace, "main")), 1)
        self.assertTrue(self.long_waits(trace, "main")[0].is_open)

    check_spawn = check_fork

    def test_what_hung_before_the_recorder_came(self):
        """Nothing happens any more: it must be explained all the same."""
        process = self.start_text("print('ready', flush=True)\ninput()  # wait:before")
        recorder = self.record(process.pid)
        wait_until(lambda: recorder.query("SELECT 1 FROM waits WHERE reason > 0 AND native > 0"),
                   "its reason")
        wait, = self.long_waits(recorder.stop(), "before")
        self.assertEqual(wait.reason[:3], ("read", "read", "read pipe"))
        self.assertTrue(wait.native.is_complete)

    def test_unprivileged(self):
        text = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.02)  # wait:nobody"
        process = self.start_text(text, user=NOBODY, group=NOBODY, extra_groups=[])
        recorder = self.record(process.pid, user=NOBODY, group=NOBODY, extra_groups=[],
                               preexec_fn=None)
        wait_until(lambda: self.is_seen(recorder, "nobody"), "its line")
        trace = recorder.stop()
        print(f"edges as nobody: {trace.meta['edges']}", flush=True)
        if trace.meta["edges"] == "none":
            self.assertEqual(trace.waits, [])
        else:
            self.assertEqual(self.long_waits(trace, "nobody")[-1].reason.kind, "sleep")

    def is_seen(self, recorder, name):
        return recorder.query("SELECT 1 FROM lines WHERE line = "
                              f"{self.lines[name]} AND self_ns > 500000000")

    def test_edges_are_refused(self):
        """Then the scheduler's figures stand in (see test_coarse.py); the rest is as ever."""
        process = self.start_text("import time\nprint('ready', flush=True)\n"
                                  "while True: time.sleep(0.02)  # wait:alone")
        recorder = self.record(process.pid, preexec_fn=refuse_perf_events)
        wait_until(lambda: self.is_seen(recorder, "alone"), "its line")
        trace = recorder.stop()
        self.assertEqual(trace.meta["edges"], "coarse")
        _, self_ns, _, _ = trace.lines[self.script, self.lines["alone"]]
        self.assertGreater(self_ns, 0)


if __name__ == "__main__":
    unittest.main()
