#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Precise sections: what the shim tells, on every interpreter, against what sys.settrace sees.

    TRACKEXEC_PYTHON=LABEL  only this interpreter (see tests/pythons.py list)
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from recording import DEADLINE_S, TESTS, TRACKEXEC, Line, trackexec
from collecting import PYTHON, CollectorTest, children_of as children, info, kill, wait_until
import pythons

SHIM = TESTS.parent / "recorder" / "shim" / "trackexec.py"
ONLY = os.environ.get("TRACKEXEC_PYTHON")
# Where sections begin.
BEGINS = [number for number, line in enumerate(
    (TESTS / "targets" / "section_work.py").read_text().splitlines(), 1)
    if re.match(r" +with (precise_timestamping|hook)", line)]
PYTHONS = [p for p in pythons.interpreters() if not ONLY or ONLY in (p.label, p.version_text)]


def place(python, main, *modules):
    """A folder with the shim in its place, modules beside it, and a program: its path inside."""
    outside, inside = python.folder()
    server = pathlib.Path(outside, "walt", "server")
    server.mkdir(parents=True)
    (server.parent / "__init__.py").touch()
    (server / "__init__.py").touch()
    shutil.copy(SHIM, server / "trackexec.py")
    for module in modules:
        shutil.copy(TESTS / "targets" / module, server.parent)
        if module == "section_work.py":
            shutil.copy(TESTS / "targets" / "section_broken.py", server.parent)
    shutil.copy(TESTS / "targets" / "section_truth.py", outside)
    if "\n" in main:
        pathlib.Path(outside, "main.py").write_text(main, encoding="utf-8")
    else:
        shutil.copy(TESTS / "targets" / main, pathlib.Path(outside, "main.py"))
    return os.path.join(inside, "main.py")


def start(python, path, *args):
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen([*python.command, path, *args], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env=environment,
                            preexec_fn=pythons.die_with_parent)


class Trace:
    """A program recorded from its start to where it says "done"."""

    def __init__(self, python, path, *args, rate="5000"):
        with tempfile.TemporaryDirectory(prefix="trackexec-") as folder:
            trace = os.path.join(folder, "trace")
            process = start(python, path, *args)
            try:
                lines = Line(process)
                lines.read()
                recorder = subprocess.Popen(
                    [TRACKEXEC, "record", "-q", "--pid", str(process.pid), "--packages", "walt",
                     "--rate", rate, "--output", trace], stdin=subprocess.DEVNULL)
                try:
                    self.answer = lines.read()
                    # While the target is there: what the recorder has not read yet, it reads now.
                    recorder.send_signal(signal.SIGINT)
                    self.status = recorder.wait(DEADLINE_S)
                finally:
                    recorder.kill()
                    recorder.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
                process.stdin.close()
            self.info = json.loads(trackexec("info", "--json", trace))
            self.events = [json.loads(line) for line in
                           trackexec("export", "--format", "jsonl", trace).splitlines()]

    @staticmethod
    def without_begins(told, begins, expected):
        """
        A section in which nothing else is told for long is told with the line that begins it, as
        on a machine that has other things to do.
        """
        kept = []
        for stack in told:
            at = len(kept)
            is_expected = at < len(expected) and stack == expected[at]
            if is_expected or stack[-1][1] not in begins:
                kept.append(stack)
        return kept

    def stacks(self):
        """Of each thread those that are known precisely: lists of [function, line]."""
        now, told = {}, {}
        for event in self.events:
            if "push" not in event:
                continue
            stack = now.setdefault(event["thread"], [])
            del stack[len(stack) - event["pop"]:]
            stack += [[frame["function"], frame["line"]] for frame in event["push"]]
            if event.get("provenance") == "precise":
                told.setdefault(event["thread"], []).append([list(frame) for frame in stack])
        return list(told.values())


def without_repeats(stacks):
    return [stack for i, stack in enumerate(stacks) if not i or stack != stacks[i - 1]]


class Sections(unittest.TestCase):
    maxDiff = 4000

    def test_lines_are_those_that_settrace_sees(self):
        for python in PYTHONS:
            with self.subTest(python=python.label):
                path = place(python, "section_main.py", "section_work.py")
                process = start(python, path, "truth")
                truth = json.loads(process.communicate(timeout=DEADLINE_S)[0])
                trace = Trace(python, path, "recorded")
                self.assertEqual(trace.answer, "done")
                self.assertEqual(trace.status, 0)
                self.assertEqual(trace.info["section_records_lost"], 0)
                self.assertGreater(trace.info["sections"], 30)
                self.assertEqual(len(trace.stacks()), len(truth))
                for told, expected in zip(trace.stacks(), truth):
                    if python.version[:2] == (3, 9):
                        # It traces a line again when an exception leads to its section's end.
                        told, expected = without_repeats(told), without_repeats(expected)
                    self.assertEqual(trace.without_begins(told, BEGINS, expected), expected)

    def test_what_is_overwritten_is_a_gap(self):
        for python in PYTHONS:
            with self.subTest(python=python.label), \
                    tempfile.TemporaryDirectory(prefix="trackexec-") as folder:
                self.check_overrun(python, os.path.join(folder, "trace"))

    def check_overrun(self, python, trace):
        process = start(python, place(python, "section_main.py", "section_work.py"), "overrun")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        lines = Line(process)
        lines.read()
        recorder = subprocess.Popen(
            [TRACKEXEC, "record", "-q", "--pid", str(process.pid), "--packages", "walt",
             "--output", trace], stdin=subprocess.DEVNULL)
        self.addCleanup(recorder.wait)
        self.addCleanup(recorder.kill)
        self.assertEqual(lines.read(), "attached")
        # It has seen the begin of the section that goes on now.
        wait_until(lambda: info(trace)["sections"] > 0, "a section that is told", DEADLINE_S)
        worker, = children(recorder.pid)
        os.kill(worker, signal.SIGSTOP)
        self.addCleanup(kill, worker)
        process.stdin.write(b"\n")
        process.stdin.flush()
        self.assertEqual(lines.read(), "overrun")
        os.kill(worker, signal.SIGCONT)
        process.stdin.write(b"\n")
        process.stdin.flush()
        self.assertEqual(lines.read(), "done")
        recorder.send_signal(signal.SIGINT)
        self.assertEqual(recorder.wait(DEADLINE_S), 0)
        found = info(trace)
        self.assertGreater(found["section_records_lost"], 1000)
        self.assertGreater(found["gaps_by_reason"].get("section-overrun", 0), 0)
        # After it, sections are told as before.
        events = [json.loads(line) for line in
                  trackexec("export", "--format", "jsonl", trace).splitlines()]
        self.assertIn("afterwards", {frame["function"] for event in events[-2000:]
                                     if event.get("provenance") == "precise"
                                     for frame in event["push"]})

    def test_without_a_collector_nothing_happens(self):
        for python in PYTHONS:
            with self.subTest(python=python.label):
                path = place(python, "section_main.py", "section_work.py")
                process = start(python, path, "alone")
                answer = process.communicate(timeout=DEADLINE_S)[0]
                self.assertEqual(answer, b"ready\ndone\n")
                self.assertEqual(process.returncode, 0)


class Alone(unittest.TestCase):
    def check(self, case):
        for python in PYTHONS:
            with self.subTest(python=python.label):
                process = start(python, place(python, "shim_alone.py", "section_work.py"), case)
                self.assertEqual(process.communicate(timeout=DEADLINE_S)[0], b"ok\n")
                self.assertEqual(process.returncode, 0)

    def test_a_child_has_its_own_ring(self):
        self.check("fork")

    def test_it_steps_aside_for_another_tracer(self):
        self.check("other_tracer")

    def test_there_may_be_no_memfd(self):
        self.check("no_memfd")

    def test_a_filter_may_refuse_the_memfd(self):
        self.check("seccomp")

    def test_there_may_be_no_memory_and_no_descriptors(self):
        self.check("no_resources")

    def test_modules_may_be_missing(self):
        self.check("modules_missing")

    def test_sys_monitoring_may_be_missing_or_taken(self):
        self.check("no_monitoring")

    def test_its_import_may_be_interrupted(self):
        self.check("interrupted_import")

    def test_making_the_ring_may_be_interrupted(self):
        self.check("interrupted_open")

    def test_tables_of_code_may_be_cut_short(self):
        self.check("odd_code")

    def test_a_collector_that_died_is_noticed(self):
        self.check("collector_dies")

    def test_errors_stay_those_of_the_program(self):
        self.check("errors_stay_those_of_the_program")

    def test_an_interrupt_leaves_no_section_open(self):
        self.check("interrupted")

    def test_a_section_on_one_line(self):
        self.check("one_line")

    def test_several_sections_in_a_function(self):
        self.check("many_sites")

    def test_line_numbers_of_the_program_stay_right(self):
        self.check("line_numbers")

    def test_what_exceptions_leave_is_told(self):
        self.check("unwound")

    def test_all_code_can_be_told(self):
        self.check("exact")


class ExactThroughShim(unittest.TestCase):
    """trackexec record --mode exact where there are no probes."""

    def setUp(self):
        self.pythons = [p for p in PYTHONS if p.version >= (3, 12)]
        if not self.pythons:
            self.skipTest("no CPython 3.12 or later")
        folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.trace = ""

    def record(self, *words):
        self.trace = tempfile.mkdtemp(dir=self.folder)
        process = subprocess.Popen(
            [TRACKEXEC, "record", "--mode", "exact", "--packages", "walt", "--output", self.trace,
             *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def check(self, recorder):
        def n_exact():
            try:
                return info(self.trace).get("transitions_by_provenance", {}).get("exact", 0)
            except AssertionError:  # it is being made
                return 0

        wait_until(lambda: n_exact() > 1000, "lines told by the shim", DEADLINE_S)
        recorder.send_signal(signal.SIGINT)
        recorder.kill_target()
        _, errors = recorder.communicate(timeout=DEADLINE_S)
        self.assertIn("exact mode goes through its shim", errors)

    def test_a_process(self):
        for python in self.pythons:
            with self.subTest(python=python.label):
                process = start(python, place(python, "section_main.py", "section_work.py"), "steady")
                self.addCleanup(process.stdout.close)
                self.addCleanup(process.stdin.close)
                self.addCleanup(process.wait)
                self.addCleanup(process.kill)
                self.assertEqual(Line(process).read(), "ready")
                recorder = self.record("--pid", str(process.pid))
                recorder.kill_target = lambda: None
                self.check(recorder)
                self.assertEqual(recorder.returncode, 0)
                process.kill()

    def test_a_command_that_loads_the_shim_soon(self):
        python = self.pythons[0]
        path = place(python, "section_main.py", "section_work.py")
        recorder = self.record("--", *python.command, path, "steady")
        recorder.kill_target = lambda: [kill(pid) for pid in children(recorder.pid)]
        self.check(recorder)

    def test_a_process_without_the_shim(self):
        for python in PYTHONS:
            if python.version < (3, 12):
                continue
            with self.subTest(python=python.label):
                process = python.start("import time\nprint('ready', flush=True)\ntime.sleep(600)\n",
                                       stdout=subprocess.PIPE)
                self.addCleanup(process.stdout.close)
                self.addCleanup(process.wait)
                self.addCleanup(process.kill)
                self.assertEqual(Line(process).read(), "ready")
                recorder = self.record("--pid", str(process.pid))
                _, errors = recorder.communicate(timeout=DEADLINE_S)
                self.assertEqual(recorder.returncode, 1, errors)
                self.assertIn("there is no shim in it", errors)
                self.assertFalse(os.listdir(self.trace))
                process.kill()


class Collected(CollectorTest):
    """By the daemon, whose workers are confined."""

    def test_the_daemon_finds_the_shim_and_a_new_worker_too(self):
        collector = self.start_with_root()
        python, = (p for p in pythons.interpreters() if p.path == os.path.realpath(PYTHON))
        path = place(python, "section_main.py", "section_work.py")
        shutil.copy(TESTS / "daemon" / "walt" / "title.py", os.path.dirname(path) + "/walt")
        title = f"{self.prefix}:sections"
        process = subprocess.Popen([PYTHON, path, "steady", title], preexec_fn=pythons.die_with_parent,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        session, = collector.wait_recorded(process.pid)
        sections = self.wait_for_sections(collector, process.pid, 5)
        kill(session["worker_pid"])
        wait_until(lambda: self.session(collector, process.pid)["worker_pid"] not in
                   (None, session["worker_pid"]), "another worker")
        # The new one counts on from what is in the trace.
        self.wait_for_sections(collector, process.pid, sections + 5)
        found = info(collector.folder_of(session))
        self.assertGreater(found["sections"], 5)
        self.assertGreater(found["transitions_by_provenance"]["precise"], 50)

    def start_sections(self, *words):
        """A target without probes that opens sections all the time."""
        found = [p for p in PYTHONS if p.version >= (3, 12) and not p.root]
        if not found:
            self.skipTest("no CPython 3.12 or later that is not in a chroot")
        path = place(found[-1], "section_main.py", "section_work.py")
        shutil.copy(TESTS / "daemon" / "walt" / "title.py", os.path.dirname(path) + "/walt")
        process = subprocess.Popen([*found[-1].command, path, "steady", f"{self.prefix}:sections",
                                    *words], preexec_fn=pythons.die_with_parent,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_shim_that_steps_aside_is_no_exact_mode(self):
        collector = self.start_with_root()
        process = self.start_sections("debugged")
        session, = collector.wait_recorded(process.pid)
        self.wait_for_sections(collector, process.pid, 1)
        done = subprocess.run([TRACKEXEC, "exact", "--socket", collector.socket, "on",
                               session["name"]], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("its shim has stepped aside", done.stderr)
        told = self.session(collector, process.pid)
        self.assertEqual(told["mode"], "observed")

    def test_exact_mode_goes_through_the_shim_where_there_are_no_probes(self):
        collector = self.start_with_root()
        process = self.start_sections()
        session, = collector.wait_recorded(process.pid)
        self.wait_for_sections(collector, process.pid, 1)
        self.exact(collector, "on", session["name"])
        told = self.session(collector, process.pid)
        self.assertEqual((told["mode"], told["exact_through_shim"], told["exact_error"]),
                         ("exact", True, None))
        folder = collector.folder_of(session)

        def n_exact():
            return info(folder).get("transitions_by_provenance", {}).get("exact", 0)

        wait_until(lambda: n_exact() > 1000, "lines told by the shim")
        self.exact(collector, "off", session["name"])
        told = self.session(collector, process.pid)
        self.assertEqual((told["mode"], told["exact_through_shim"]), ("observed", False))

    def exact(self, collector, *words):
        self.assertEqual(trackexec("exact", "--socket", collector.socket, *words), "")

    @staticmethod
    def session(collector, pid):
        return collector.session(pid) or {"worker_pid": None, "sections": 0, "shim": False}

    def wait_for_sections(self, collector, pid, more_than):
        def is_there():
            session = self.session(collector, pid)
            return session["shim"] and session["sections"] > more_than and session["sections"]

        return wait_until(is_there, "sections that are told")


if __name__ == "__main__":
    unittest.main()
