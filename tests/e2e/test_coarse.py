#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Waits where the kernel's context-switch records are not permitted, or not wished for."""

import contextlib
import ctypes
import os
import pathlib
import platform
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

import collecting

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.path.abspath(os.environ.get("TRACKEXEC", HERE.parent.parent / "build/trackexec"))
PYTHON = "/usr/bin/python3"
NOBODY = 65534
DEADLINE_S = 60
OK, USAGE, NOT_ALLOWED = 0, 2, 4

NAPS = """
import sys, threading, time
def nap(s):
    time.sleep(s)
def compute(s):
    end = time.thread_time() + s
    while time.thread_time() < end:
        pass
def work(n):
    for i in range(n):
        nap(0.2)
        compute(0.1)
if "thread" in sys.argv:
    time.sleep(0.5)
    thread = threading.Thread(target=work, args=(6,))
    thread.start()
    thread.join()
else:
    work(6)
"""
NAP_LINE, COMPUTE_LINES = 4, (6, 7, 8)
N_NAPS, NAP_S, COMPUTE_S = 6, 0.2, 0.1


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint)]


class Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]


def refuse_records():
    """From here on perf_event_open(2) fails with EACCES, as with Debian's perf_event_paranoid 3."""
    number = {"x86_64": 298, "aarch64": 241}[platform.machine()]
    program = (Instruction * 4)(
        Instruction(0x20, 0, 0, 0),            # load the number of the call
        Instruction(0x15, 0, 1, number),       # is it that one?
        Instruction(0x06, 0, 0, 0x00050000 | 13),
        Instruction(0x06, 0, 0, 0x7fff0000))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(set_seccomp, mode_filter, ctypes.byref(Filter(4, program)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


class CoarseTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="trackexec-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o777)
        self.output = os.path.join(self.folder, "trace")
        self.script = os.path.join(self.folder, "naps.py")
        pathlib.Path(self.script).write_text(NAPS, encoding="utf-8")
        self.program = PROGRAM

    def record(self, *options, words=(), expect=OK, **popen):
        done = subprocess.run([self.program, "record", "--output", self.output, *options, "--",
                               PYTHON, self.script, *words], cwd=self.folder, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False, **popen)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stderr

    def as_nobody(self, **more):
        if os.getuid() != 0:
            self.skipTest("needs root")
        # What is in a folder of the developer's may be out of reach for others.
        self.program = os.path.join(self.folder, "trackexec")
        shutil.copy(PROGRAM, self.program)
        os.chmod(self.program, 0o755)
        return {"user": NOBODY, "group": NOBODY, "extra_groups": [], **more}

    def query(self, sql):
        with contextlib.closing(sqlite3.connect(os.path.join(self.output, "trace.db"))) as db:
            return db.execute(sql).fetchall()

    def edges(self):
        return self.query("SELECT value FROM meta WHERE key = 'edges'")[0][0]

    def line_times(self):
        """Seconds by line: self, waiting, ready."""
        return {line: (own / 1e9, waiting / 1e9, ready / 1e9)
                for line, own, waiting, ready in self.query(
                    "SELECT line, sum(self_ns), sum(wait_ns), sum(ready_ns) FROM lines"
                    " GROUP BY line")}

    def assert_naps(self, missed=0):
        """Each wait is right to 20 ms, and what computes does not wait."""
        times = self.line_times()
        _, waiting, ready = times[NAP_LINE]
        naps = N_NAPS - missed
        self.assertGreaterEqual(waiting + ready, naps * (NAP_S - 0.03), times)
        self.assertLessEqual(waiting, naps * (NAP_S + 0.02) + missed * NAP_S, times)
        computing = [times.get(line, (0, 0, 0)) for line in COMPUTE_LINES]
        self.assertLessEqual(sum(waiting for _, waiting, _ in computing), N_NAPS * 0.02, times)
        self.assertGreaterEqual(sum(own for own, _, _ in computing),
                                naps * (COMPUTE_S - 0.02), times)

    def assert_reasons(self, at_least):
        waits = self.query("SELECT kind, call, what, sum(n) FROM waits JOIN reasons"
                           " ON reasons.id = waits.reason WHERE waits.line = 4 AND native > 0"
                           " GROUP BY kind, call")
        self.assertEqual([wait[:2] for wait in waits], [("sleep", "clock_nanosleep")])
        self.assertGreaterEqual(waits[0][3], at_least)

    def test_waits_by_choice(self):
        self.record("--edges", "coarse")
        self.assertEqual(self.edges(), "coarse")
        self.assert_naps()
        self.assert_reasons(N_NAPS - 1)

    def test_waits_of_a_later_thread(self):
        self.record("--edges", "coarse", words=["thread"])
        self.assert_naps(missed=1)
        self.assert_reasons(N_NAPS - 2)

    def test_waits_at_a_low_rate(self):
        self.record("--edges", "coarse", "--rate", "100")
        self.assert_naps()

    def test_an_ordinary_user_is_told_why(self):
        said = self.record("-v", **self.as_nobody(preexec_fn=refuse_records))
        self.assertEqual(self.edges(), "coarse")
        self.assertIn("Permission denied", said)
        self.assertIn("CAP_PERFMON", said)
        self.assertIn("kernel.perf_event_paranoid", said)
        self.assert_naps()
        self.assert_reasons(N_NAPS - 1)

    def test_exact_is_refused(self):
        said = self.record("--edges", "exact", expect=NOT_ALLOWED,
                           **self.as_nobody(preexec_fn=refuse_records))
        self.assertIn("--edges exact", said)
        self.assertIn("kernel.perf_event_paranoid", said)
        self.assertFalse(os.path.exists(self.output))

    def test_none(self):
        self.record("--edges", "none")
        self.assertEqual(self.edges(), "none")
        self.assertEqual(self.query("SELECT count(*) FROM waits"), [(0,)])
        self.assertEqual(sum(waiting + ready for _, waiting, ready in
                             self.line_times().values()), 0)

    def test_other_words_are_refused(self):
        said = self.record("--edges", "rough", expect=USAGE)
        self.assertIn("auto, exact, coarse or none", said)


class CollectorTest(collecting.CollectorTest):
    """The daemon where even root is refused."""

    def test_it_records_and_says_so(self):
        collector = self.collector
        self.start_with_root(preexec_fn=refuse_records)
        pids = [self.sleeper("one"), self.sleeper("two")]
        sessions = collector.wait_recorded(*pids)
        self.assertEqual({session["edges"] for session in sessions}, {"coarse"})
        self.assert_log(r"warning.*waits are known to some 20 ms only.*CAP_PERFMON", times=1)
        trace = collector.folder_of(sessions[0]) / "trace.db"
        collecting.wait_until(lambda: self.waits(trace), "a wait with its reason")

    def sleeper(self, name):
        """A Python with that title, which sleeps for a tenth of a second at a time."""
        process = subprocess.Popen([f"{self.prefix}:{name}"], executable=PYTHON,
                                   stdin=subprocess.PIPE)
        process.stdin.write(b"import time\nwhile True:\n    time.sleep(0.1)\n")
        process.stdin.close()
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process.pid

    @staticmethod
    def waits(trace):
        with contextlib.closing(sqlite3.connect(f"file:{trace}?mode=ro", uri=True)) as db:
            edges = db.execute("SELECT value FROM meta WHERE key = 'edges'").fetchone()
            return edges == ("coarse",) and db.execute(
                "SELECT call FROM waits JOIN reasons ON reasons.id = waits.reason").fetchall()


if __name__ == "__main__":
    unittest.main()
