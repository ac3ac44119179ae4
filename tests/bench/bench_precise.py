# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench.py about precise sections: what they cost with and without a collector."""

import json
import os
import pathlib
import shutil
import subprocess
import time

from measure import BenchError, DEADLINE_S, Recorder, TESTS, pythons
from recording import Line

EMPTY_NS, IDLE_NS = 300, 2000
# For these the goals hold; the others are shown.
EMPTY_GOAL = ((3, 8), (3, 11), (3, 12), (3, 13), (3, 15))
IDLE_GOAL = ((3, 11),)


class Sections:
    """tests/bench/section_cost.py with the shim in its place."""

    def __init__(self, python):
        outside, inside = python.folder()
        server = pathlib.Path(outside, "walt", "server")
        server.mkdir(parents=True)
        (server.parent / "__init__.py").touch()
        (server / "__init__.py").touch()
        shutil.copy(TESTS.parent / "recorder" / "shim" / "trackexec.py", server)
        # Code of the package that is followed.
        shutil.copy(TESTS / "bench" / "section_cost.py", server.parent)
        self.process = subprocess.Popen(
            [*python.command, os.path.join(inside, "walt", "section_cost.py"), inside],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pythons.die_with_parent)
        self.lines = Line(self.process)

    def __enter__(self):
        self.lines.read()
        return self

    def __exit__(self, *details):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def measure(self):
        os.write(self.process.stdin.fileno(), b"\n")
        return json.loads(self.lines.read())

    def measure_recorded(self):
        """Once the recorder has found the ring, which it looks for now and then."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            found = self.measure()
            if found["is_recorded"]:
                return found
        raise BenchError("the recorder did not find the shim")


def measure(options, report):
    report.head("ns per empty section without a recorder | then with one: per pass of an idle hook "
                "(`with hook(): poll(0)`, less `poll(0)`) | per line in a section, less the line | per "
                "call that ends by an exception, outside of sections, without and with one")
    for python in options.pythons:
        with report.attempt(python.label), Sections(python) as sections:
            alone = sections.measure()
            with Recorder(sections.process.pid, "--all"):
                recorded = sections.measure_recorded()
            report.row(f"{python.label}: {alone['empty']:.0f} ns | {recorded['idle']:.0f} ns | "
                       f"{recorded['line']:.0f} ns | {alone['fail']:.0f} ns, "
                       f"{recorded['fail']:.0f} ns", python=python.label, empty_ns=alone["empty"],
                       idle_alone_ns=alone["idle"], idle_ns=recorded["idle"],
                       line_ns=recorded["line"], fail_alone_ns=alone["fail"],
                       fail_ns=recorded["fail"])
            if python.version[:2] in EMPTY_GOAL:
                report.goal(f"{python.label}: section without a recorder", alone["empty"], EMPTY_NS,
                            unit="ns", digits=0)
            if python.version[:2] in IDLE_GOAL:
                report.goal(f"{python.label}: idle hook", recorded["idle"], IDLE_NS, unit="ns",
                            digits=0)


SECTIONS = {"precise": ("21. Precise sections", measure)}
