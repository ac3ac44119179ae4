#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Precise sections: what the shim tells, on every interpreter, against what sys.settrace sees.

    TRACKEXEC_PYTHON=LABEL  only this interpreter (see tests/pythons.py list)
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from recording import DEADLINE_S, TESTS, TRACKEXEC, Line, trackexec
import pythons

SHIM = TESTS.parent / "recorder" / "shim" / "trackexec.py"
ONLY = os.environ.get("TRACKEXEC_PYTHON")
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
            self.info = json.loads(trackexec("info", "--json", trace))
            self.events = [json.loads(line) for line in
                           trackexec("export", "--format", "jsonl", trace).splitlines()]

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
                for told, expected in zip(trace.stacks(), truth):
                    self.assertEqual(told, expected)
                self.assertEqual(len(trace.stacks()), len(truth))

    def test_without_a_collector_nothing_happens(self):
        for python in PYTHONS:
            with self.subTest(python=python.label):
                path = place(python, "section_main.py", "section_work.py")
                process = start(python, path, "alone")
                answer = process.communicate(timeout=DEADLINE_S)[0]
                self.assertEqual(answer, b"ready\ndone\n")
                self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
