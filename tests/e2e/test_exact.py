#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Exact mode: each line that sys.settrace() tells, in its order; and nothing is left of it after."""

import collections
import ctypes
import errno
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import tempfile
import unittest

from collecting import CollectorTest, ask, info, wait_until
from recording import TESTS, TRACKEXEC, Line, trackexec

from pythons import interpreters

PYTHON = "/usr/bin/python3.11"
PMU = pathlib.Path("/sys/bus/event_source/devices/uprobe/type")
SCRIPT = TESTS / "targets" / "exact_lines.py"
ROUNDS = 800
DEADLINE_S = 60


def why_not():
    """Why this machine cannot do it, or None."""
    if os.geteuid() != 0:
        return "probes need root"
    if not PMU.exists():
        return "this kernel has no uprobe PMU"
    if not os.path.exists(PYTHON):
        return f"there is no {PYTHON}"
    return None if semaphores() else f"{PYTHON} has no probe python:line"


# Run a program so; the mounts are its own.
WITHOUT_TRACEFS = ("unshare", "--mount", "sh", "-c",
                   "umount -q -l /sys/kernel/tracing /sys/kernel/debug; exec \"$@\"", "sh")
WITH_TRACEFS = ("unshare", "--mount", "sh", "-c",
                "mount -t tracefs none /sys/kernel/tracing && exec \"$@\"", "sh",
                "setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")


def deny_mounts():
    """The program cannot mount a tracefs of its own in the way in which the recorder does that."""
    allow, no_permission = 0x7fff0000, 0x00050000 | errno.EPERM
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(allow)))
    number = lib.seccomp_syscall_resolve_name(b"fsopen")
    if lib.seccomp_rule_add(rules, ctypes.c_uint32(no_permission), number, 0) or \
            lib.seccomp_load(rules):
        raise OSError("no seccomp")


def notes_text():
    try:
        return subprocess.run(["readelf", "-n", PYTHON], capture_output=True, text=True,
                              check=False).stdout
    except FileNotFoundError:
        return ""


def semaphores():
    """Addresses in the file, by name of the probe."""
    found = {}
    for name, address in re.findall(r"Provider: python\s+Name: (\S+)\s+.*Semaphore: (0x[0-9a-f]+)",
                                    notes_text()):
        if name in ("line", "function__entry", "function__return"):
            found[name] = int(address, 16)
    return found


def semaphore_addresses(pid):
    """Of an executable that is not moved, or of one that is."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        first = next(line for line in maps if os.path.realpath(PYTHON) in line)
    start = int(first.split("-")[0], 16)
    bias = 0 if start == 0x400000 else start
    return {name: bias + address for name, address in semaphores().items()}


def semaphore_values(pid):
    with open(f"/proc/{pid}/mem", "rb") as memory:
        values = {}
        for name, address in semaphore_addresses(pid).items():
            memory.seek(address)
            values[name] = struct.unpack("<H", memory.read(2))[0]
    return values


def semaphore_addresses_of_new():
    """Where they will be in an executable that is not moved; none, if it is one that is."""
    with open(PYTHON, "rb") as elf:
        is_fixed = struct.unpack("<H", elf.read(18)[16:])[0] == 2
    return list(semaphores().values()) if is_fixed else []


def definitions(pid):
    """Probes that this process has defined; wherever tracefs is, or from a mount of our own."""
    path = pathlib.Path("/sys/kernel/tracing/uprobe_events")
    if path.exists():
        text = path.read_text(encoding="ascii")
    else:
        text = subprocess.run(
            ["unshare", "--mount", "sh", "-c",
             "mount -t tracefs none /sys/kernel/tracing && cat /sys/kernel/tracing/uprobe_events"],
            capture_output=True, text=True, check=True).stdout
    return re.findall(rf"p:trackexec/p{pid}_\d+", text)


def interpreter_without_probes(test):
    for python in interpreters():
        if python.version >= (3, 12) and python.root is None:
            return python.path
    test.skipTest("there is no CPython 3.12 or later")
    return None


class Program:
    """tests/targets/exact_lines.py, which waits for a word to begin."""

    def __init__(self, rounds=ROUNDS, trace="-", python=PYTHON, mark="x"):
        self.process = subprocess.Popen([python, str(SCRIPT), str(rounds), str(trace), mark],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.lines = Line(self.process)
        if self.lines.read(DEADLINE_S) != "ready":
            raise RuntimeError("the program does not begin")

    def tell(self, word="go"):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def work(self):
        self.tell()
        if self.lines.read(DEADLINE_S) != "done":
            raise RuntimeError("the program does not end")

    def end(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()


def expected_states(path):
    """Of each thread, in its order: depth, function and line of the innermost frame, as they are
    after each line, after each return, and when a generator goes on."""
    threads = collections.defaultdict(list)
    stacks = collections.defaultdict(list)
    with open(path, encoding="ascii") as events:
        for text in events:
            tid, event, name, first, line = text.split()
            stack, states = stacks[tid], threads[tid]
            if event == "call":
                stack.append([name, int(line)])
                if line not in (first, "0"):  # goes on; a module begins before its first line
                    states.append((len(stack), *stack[-1]))
            elif event == "line":
                stack[-1][1] = int(line)
                states.append((len(stack), *stack[-1]))
            elif event == "return":
                stack.pop()
                states.append((len(stack), *(stack[-1] if stack else ("", 0))))
    return list(threads.values())


def recorded_states(trace):
    """The same of a trace, from the first time that work() begins."""
    threads = collections.defaultdict(list)
    stacks = collections.defaultdict(list)
    for text in trackexec("export", "--format", "jsonl", trace).splitlines():
        event = json.loads(text)
        if "pop" not in event:
            continue
        stack = stacks[event["thread"]]
        if event["pop"]:
            del stack[-event["pop"]:]
        for frame in event["push"]:
            stack.append((frame["function"].rpartition(".")[2], frame["line"]))
        names = [name for name, _ in stack]
        if "work" in names:
            base = names.index("work")
            threads[event["thread"]].append((len(stack) - base, *stack[-1]))
        elif threads[event["thread"]] and threads[event["thread"]][-1] != (0, "", 0):
            threads[event["thread"]].append((0, "", 0))
    return [states for _, states in sorted(threads.items())]


@unittest.skipIf(why_not(), why_not())
class RecordTest(unittest.TestCase):
    """trackexec record --mode exact"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="trackexec-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.trace = self.folder / "trace"

    def program(self, *args, **options):
        program = Program(*args, **options)
        self.addCleanup(program.end)
        self.addCleanup(program.process.kill)
        return program

    def record(self, pid, prefix=(), **popen):
        process = subprocess.Popen([*prefix, TRACKEXEC, "record", "--mode", "exact", "--output",
                                    str(self.trace), "--pid", str(pid)],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   **popen)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def begin(self, program, **options):
        recorder = self.record(program.pid, **options)
        wait_until(lambda: all(semaphore_values(program.pid).values()), "probes are set")
        wait_until(lambda: self.is_told(program), "its lines are told")
        return recorder

    def is_told(self, program):
        """What it has done before work() is not compared."""
        program.tell("warm up")
        self.assertEqual(program.lines.read(DEADLINE_S), "warm")
        try:
            return info(self.trace).get("transitions_by_provenance", {}).get("exact", 0) > 0
        except AssertionError:  # it is being made
            return False

    def finish(self, recorder):
        recorder.send_signal(signal.SIGINT)
        _, errors = recorder.communicate(timeout=DEADLINE_S)
        self.assertEqual(recorder.returncode, 0, errors)
        return errors

    def expected(self, rounds=ROUNDS):
        told = self.folder / "told"
        traced = Program(rounds, trace=told)
        traced.work()
        traced.end()
        return expected_states(told)

    def test_each_line_in_order(self):
        expected = self.expected()
        program = self.program()
        recorder = self.begin(program)
        program.work()
        self.assertTrue(all(semaphore_values(program.pid).values()))
        self.assertEqual(len(definitions(recorder.pid)), 3)
        self.finish(recorder)
        self.assertEqual(set(semaphore_values(program.pid).values()), {0})
        self.assertEqual(definitions(recorder.pid), [])

        # Before it begins, a busy machine may pause the recorder.
        self.assertEqual(set(info(self.trace)["gaps_by_reason"]) - {"recorder-paused"}, set())
        recorded = recorded_states(self.trace)
        self.assertEqual(len(recorded), len(expected))
        self.assertGreater(len(expected[0]), 200000)
        for wanted, found in zip(expected, recorded):
            self.assert_same(wanted, found)

    def assert_same(self, wanted, found):
        for i, (a, b) in enumerate(zip(wanted, found)):
            self.assertEqual(a, b, f"event {i}; before it {wanted[max(0, i - 3):i]}")
        self.assertEqual(len(wanted), len(found))

    def test_without_tracefs(self):
        """Threads that start later are looked at only, and that is said."""
        expected = self.expected(100)
        program = self.program(100)
        recorder = self.begin(program, prefix=WITHOUT_TRACEFS, preexec_fn=deny_mounts)
        program.work()
        self.assertIn("only looked at", self.finish(recorder))
        self.assertEqual(set(semaphore_values(program.pid).values()), {0})
        recorded = recorded_states(self.trace)
        self.assert_same(expected[0], recorded[0])
        kinds = info(self.trace)["transitions_by_provenance"]
        self.assertGreater(kinds["exact"], 1000)

    def test_with_tracefs_but_few_capabilities(self):
        """As the collector's unit has it."""
        expected = self.expected(100)
        program = self.program(100)
        recorder = self.begin(program, prefix=WITH_TRACEFS)
        program.work()
        self.finish(recorder)
        self.assertEqual(set(semaphore_values(program.pid).values()), {0})
        recorded = recorded_states(self.trace)
        self.assertEqual(len(recorded), len(expected))
        for wanted, found in zip(expected, recorded):
            self.assert_same(wanted, found)

    def test_killed_recorder_leaves_nothing(self):
        program = self.program(10)
        recorder = self.begin(program)
        recorder.kill()
        recorder.wait()
        wait_until(lambda: set(semaphore_values(program.pid).values()) == {0}, "no probes are left")
        program.work()
        # What it defined is in no process any more; who comes next removes that, too.
        program = self.program(1)
        self.trace = self.folder / "next"
        following = self.begin(program)
        self.assertEqual(definitions(recorder.pid), [])
        self.finish(following)

    def test_another_program_is_recorded_too(self):
        program = self.program(3)
        recorder = self.begin(program)
        program.work()
        program.tell("exec")
        self.assertEqual(program.lines.read(DEADLINE_S), "ready")
        wait_until(lambda: all(semaphore_values(program.pid).values()), "probes are set again")
        program.work()
        self.finish(recorder)
        self.assertEqual(info(self.trace)["gaps_by_reason"].get("exec"), 1)

    def test_threads_that_run_all_the_time_and_a_fork(self):
        addresses = semaphore_addresses_of_new()
        hot = subprocess.Popen([PYTHON, str(TESTS / "targets" / "exact_hot.py"),
                                *map(str, addresses)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(hot.stdout.close)
        self.addCleanup(hot.wait)
        self.addCleanup(hot.kill)
        self.addCleanup(hot.stdin.close)
        lines = Line(hot)
        self.assertEqual(lines.read(DEADLINE_S), "ready")
        recorder = self.record(hot.pid)
        wait_until(lambda: all(semaphore_values(hot.pid).values()), "probes are set")
        hot.stdin.write(b"fork\n")
        hot.stdin.flush()
        # A child is not recorded: the kernel takes the probes out of it.
        self.assertEqual(set(lines.read(DEADLINE_S).split()), {"0"} if addresses else set())
        self.finish(recorder)
        self.check_stacks()

    def check_stacks(self):
        """Only such that can be: hot() calls recurse(), which calls itself, or numbers()."""
        possible = re.compile(r"hot( recurse){0,6}|hot numbers|<module> main|<module>|")
        stacks, told = collections.defaultdict(list), collections.Counter()
        for text in trackexec("export", "--format", "jsonl", self.trace).splitlines():
            event = json.loads(text)
            if "pop" not in event:
                continue
            stack = stacks[event["thread"]]
            if event["pop"]:
                del stack[-event["pop"]:]
            stack.extend(frame["function"] for frame in event["push"])
            self.assertTrue(possible.fullmatch(" ".join(stack)), stack)
            told[event["thread"]] += 1
        self.assertEqual(sum(n > 100 for n in told.values()), 3, told)

    def test_target_that_ends(self):
        program = self.program(3)
        recorder = self.begin(program)
        program.work()
        program.end()
        _, errors = recorder.communicate(timeout=DEADLINE_S)
        self.assertEqual(recorder.returncode, 0, errors)

    def test_notes_that_lie(self):
        """A probe there would make another instruction of the one that is there."""
        place, = (place for name, place in re.findall(
            r"Name: (\S+)\s+Location: (0x[0-9a-f]+)", notes_text()) if name == "line")
        elf = pathlib.Path(PYTHON).read_bytes()
        notes = elf.index(b"stapsdt\0")
        at = elf.index(struct.pack("<Q", int(place, 16)), notes)
        lying = self.folder / "python3.11"
        lying.write_bytes(elf[:at] + struct.pack("<Q", int(place, 16) + 1) + elf[at + 8:])
        lying.chmod(0o755)
        program = self.program(20, python=str(lying))
        recorder = self.record(program.pid)
        _, errors = recorder.communicate(timeout=DEADLINE_S)
        self.assertEqual(recorder.returncode, 1, errors)
        self.assertIn("cannot be true", errors)
        self.assertEqual(definitions(recorder.pid), [])
        program.work()

    def test_interpreter_without_probes(self):
        program = self.program(3, python=interpreter_without_probes(self))
        recorder = self.record(program.pid)
        _, errors = recorder.communicate(timeout=DEADLINE_S)
        self.assertEqual(recorder.returncode, 1, errors)
        self.assertIn("built without the probe python:line", errors)
        self.assertIn("shim", errors)
        self.assertFalse(self.trace.exists())


@unittest.skipIf(why_not(), why_not())
class CollectorExactTest(CollectorTest):
    """Mode=exact, and trackexec exact on, off and for."""

    def program(self, *args, **options):
        program = Program(*args, mark=self.prefix, **options)
        self.addCleanup(program.end)
        self.addCleanup(program.process.kill)
        return program

    def target(self, text="Packages=*"):
        return f"[Target {self.prefix}]\nCommand=*exact_lines.py* {self.prefix}\n{text}\n"

    def exact(self, *words):
        return ask("exact", "--socket", self.collector.socket, *words)

    def mode(self, pid):
        return self.collector.session(pid)["mode"]

    def test_on_and_off(self):
        program = self.program(20)
        self.start_with_root()
        session, = self.collector.wait_recorded(program.pid)
        self.assertEqual((session["mode"], session["exact_wanted"]), ("observed", False))
        answer = self.exact("on", session["name"])
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        self.assertTrue(all(semaphore_values(program.pid).values()))
        program.work()
        wait_until(lambda: self.collector.session(program.pid)["probe_events"] > 5000,
                   "lines are told")
        self.assertEqual(self.exact("off", program.pid).returncode, 0)
        wait_until(lambda: set(semaphore_values(program.pid).values()) == {0}, "no probes are left")
        session = self.collector.session(program.pid)
        self.assertEqual((session["mode"], session["exact_error"], session["probe_events_lost"]),
                         ("observed", None, 0))
        before = session["probe_events"]
        program.work()
        self.assertEqual(self.collector.session(program.pid)["probe_events"], before)
        self.assertIsNone(session["last_error"])
        self.assertEqual(self.exact("on", "nobody-has-this-name").returncode, 1)
        self.assertEqual(self.exact("maybe", "x").returncode, 2)

    def test_for_a_while(self):
        program = self.program(20)
        self.start_with_root()
        session, = self.collector.wait_recorded(program.pid)
        self.assertEqual(self.exact("for", "2s", session["name"]).returncode, 0)
        self.assertIsNotNone(self.collector.session(program.pid)["exact_until_unix_s"])
        wait_until(lambda: self.mode(program.pid) == "observed", "the time is over")
        wait_until(lambda: set(semaphore_values(program.pid).values()) == {0}, "no probes are left")

    def test_configured_and_killed(self):
        self.collector.configure(self.target("Packages=*\nMode=exact"))
        program = self.program(20)
        self.start_with_root()
        self.collector.wait_recorded(program.pid)
        wait_until(lambda: self.mode(program.pid) == "exact", "exact mode")
        program.work()
        killed = self.collector.pid
        self.collector.kill_all()
        wait_until(lambda: set(semaphore_values(program.pid).values()) == {0}, "no probes are left")
        program.work()
        self.collector.start()
        self.assertEqual(definitions(killed), [])
        wait_until(lambda: self.mode(program.pid) == "exact", "exact mode again")
        program.work()
        self.assertEqual(self.collector.session(program.pid)["probe_events_lost"], 0)
        stopped = self.collector.pid
        self.collector.stop()
        self.assertEqual(definitions(stopped), [])
        self.assertEqual(set(semaphore_values(program.pid).values()), {0})

    def test_killed_while_it_is_on_for_a_while(self):
        program = self.program(20)
        self.start_with_root()
        session, = self.collector.wait_recorded(program.pid)
        self.assertEqual(self.exact("on", session["name"]).returncode, 0)
        killed = self.collector.pid
        self.assertEqual(len(definitions(killed)), 3)
        self.collector.kill_all()
        wait_until(lambda: set(semaphore_values(program.pid).values()) == {0}, "no probes are left")
        # The one that is started instead does not go on with it, and cleans up.
        self.collector.start()
        self.assertEqual(definitions(killed), [])
        self.collector.wait_recorded(program.pid)
        self.assertEqual(self.mode(program.pid), "observed")

    def test_interpreter_without_probes(self):
        program = self.program(3, python=interpreter_without_probes(self))
        self.start_with_root()
        session, = self.collector.wait_recorded(program.pid)
        answer = self.exact("on", session["name"])
        self.assertEqual(answer.returncode, 1)
        self.assertIn("built without the probe python:line", answer.stderr)
        session = self.collector.session(program.pid)
        self.assertEqual((session["mode"], session["exact_wanted"]), ("observed", False))
        self.assertIn("python:line", session["exact_error"])


if __name__ == "__main__":
    unittest.main()
