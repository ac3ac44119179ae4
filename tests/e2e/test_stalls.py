#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Long turns of an event loop: analyse --stalls against a program that knows its own."""

import json
import os
import pathlib
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest

from recording import TESTS, TRACKEXEC, Target, trackexec
from test_waits import Recorder, can_have_edges, marked_lines, own_python, wait_until

OK, FAILED, USAGE, NO_TRACE = 0, 1, 2, 3
MS = 1_000_000
COUNT = 3
# What the stalls of stalls.py take at least, and the reason.
EXPECTED = {"sleep": (250, "sleep 250 ms"), "cpu": (200, "on CPU|waiting for a CPU"),
            "socket": (300, "recv from UNIX socket")}


def run(*words, **options):
    return subprocess.run([TRACKEXEC, "analyse", *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, **options)


@unittest.skipUnless(can_have_edges(), "needs root, and perf events")
class Stalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        target = cls.enterClassContext(Target(own_python(), "stalls", COUNT,
                                              stdin=subprocess.PIPE))
        cls.addClassCleanup(target.process.stdin.close)
        cls.script = target.script
        cls.lines = marked_lines(TESTS / "targets" / "stalls.py", "stall")
        cls.recorder = cls.enterClassContext(Recorder(target.process.pid))
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        cls.notes = json.loads(target.lines.read())
        wait_until(cls.has_last_turn, "what comes after the last stall in the trace")
        cls.recorder.stop()
        cls.trace = cls.recorder.trace
        cls.found = json.loads(trackexec("analyse", "--stalls", "--json", cls.trace))

    @classmethod
    def has_last_turn(cls):
        return cls.recorder.query("SELECT 1 FROM blocks WHERE thread = 1 AND last_ns > "
                                  f"{cls.notes[-1]['after_ns'] + 500 * MS}")

    @classmethod
    def enterClassContext(cls, manager):
        value = manager.__enter__()
        cls.addClassCleanup(manager.__exit__, None, None, None)
        return value

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-stalls-")
        self.addCleanup(self.folder.cleanup)

    def group(self, name, found=None):
        groups = [group for group in (found or self.found)["lines"]
                  if group["line"] == self.lines[name]]
        self.assertEqual(len(groups), 1, f"{name}: {json.dumps(found or self.found, indent=1)}")
        return groups[0]

    def truth(self, name):
        """For each: how long its turn lasted at least and at most."""
        before = [{"after_ns": self.notes[0]["before_ns"] - 1000 * MS}] + self.notes
        return [(note["after_ns"] - note["before_ns"], note["next_ns"] - last["after_ns"])
                for last, note in zip(before, self.notes) if note["name"] == name]

    def copy(self, name="copy"):
        return shutil.copytree(self.trace, pathlib.Path(self.folder.name, name))

    # --- what is found ---

    def test_each_stall_is_counted_at_its_line(self):
        for name, (least_ms, reason) in EXPECTED.items():
            with self.subTest(name):
                group, truth = self.group(name), self.truth(name)
                self.assertEqual(group["file"], self.script)
                self.assertEqual(group["count"], COUNT)
                self.assertIn(f"# stall:{name}", group["source"])
                self.assertRegex(group["reason"], f"^({reason})$")
                # Its begin may be taken for idle, when the recorder itself had no CPU to look.
                self.assertGreaterEqual(group["worst"]["ns"], 0.9 * least_ms * MS)
                least, most = zip(*truth)
                self.assertGreater(group["worst"]["ns"], 0.9 * max(least))
                self.assertLess(group["worst"]["ns"], max(most))
                self.assertGreater(group["total_ns"], 0.9 * sum(least))
                self.assertLess(group["total_ns"], sum(most))
                # Looks that had to be cut do not show the line.
                self.assertGreater(group["line_ns"], 0.6 * sum(least))

    def test_nothing_else_is_long(self):
        for group in self.found["lines"]:
            # Any turn is long that waits for a busy machine.
            if group["reason"] != "waiting for a CPU":
                self.assertIn(group["line"], [self.lines[name] for name in EXPECTED])
        self.assertEqual(self.found["event_loops"], 1)
        self.assertEqual(self.found["turns"], sum(g["count"] for g in self.found["lines"]))

    def test_shorter_ones_are_found_when_asked_for(self):
        for options in (("--stalls=15ms",), ("--stalls", "15ms"), ("--stalls", "0.015")):
            with self.subTest(options):
                found = json.loads(trackexec("analyse", *options, "--json", self.trace))
                # One so short may not be told from the wait before it on a busy machine.
                self.assertIn(self.group("short", found)["count"], range(1, COUNT + 1))
                self.assertEqual(found["min_ns"], 15 * MS)
        found = json.loads(trackexec("analyse", self.trace, "--json", "--stalls", "280ms"))
        self.assertEqual(self.group("socket", found)["count"], COUNT)
        self.assertNotIn(self.lines["cpu"], [g["line"] for g in found["lines"]
                                             if g["worst"]["ns"] < 280 * MS])

    def test_the_same_turns_as_in_replay(self):
        """Found there one by one, without the sums that this relies on."""
        commands = "start\n" + "turn 15ms\n" * (self.count("15ms") + 1)
        answer = subprocess.run([TRACKEXEC, "replay", "--batch", self.trace], input=commands,
                                capture_output=True, text=True, check=False)
        lines = answer.stdout.splitlines()[1:]
        found = [line for line in lines if not line.startswith("error")]
        self.assertEqual(len(found), self.count("15ms"), answer.stdout)

    def count(self, least):
        found = json.loads(trackexec("analyse", "--stalls", least, "--json", self.trace))
        return found["turns"] - found["unfinished"]

    def test_the_command_goes_there(self):
        for name in EXPECTED:
            command = shlex.split(self.group(name)["worst"]["replay"])
            self.assertEqual(command[:2], ["trackexec", "replay"])
            answer = subprocess.run([TRACKEXEC, *command[1:2], "--batch", *command[2:]],
                                    input="where\n", capture_output=True, text=True, check=False)
            self.assertEqual(answer.returncode, OK, answer.stderr)
            self.assertIn(f"stalls.py:{self.lines[name]} ", answer.stdout)

    def test_since_and_until(self):
        third = [note for note in self.notes if note["name"] == "cpu"][2]
        start_ns = int(self.recorder_meta("start_monotonic_ns"))
        since = (third["before_ns"] - 100 * MS - start_ns) / 1e9
        found = json.loads(trackexec("analyse", "--stalls", "--json", "--since", f"+{since:.6f}s",
                                     self.trace))
        self.assertEqual(self.group("cpu", found)["count"], 1)
        self.assertEqual(self.group("socket", found)["count"], 1)
        found = json.loads(trackexec("analyse", "--stalls", "--json", "--until", f"+{since:.6f}s",
                                     self.trace))
        self.assertEqual(self.group("cpu", found)["count"], 2)
        self.assertEqual(self.group("sleep", found)["count"], 3)

    def test_only_some_threads(self):
        threads = self.sql(self.trace, "SELECT id FROM threads ORDER BY id")
        found = json.loads(trackexec("analyse", "--stalls", "--json", "--thread", "1", self.trace))
        self.assertEqual(found["turns"], self.found["turns"])
        # Those of the timers have no event loop.
        found = json.loads(trackexec("analyse", "--stalls", "--json", "--thread", threads[-1][0],
                                     self.trace))
        self.assertEqual((found["turns"], found["event_loops"]), (0, 0))
        self.check_error(USAGE, "thread", "--stalls", "--thread", "99", self.trace)
        self.check_error(USAGE, "--thread", "--stalls", "--thread", "1", self.root())

    def recorder_meta(self, key):
        return self.sql(self.trace, f"SELECT value FROM meta WHERE key = '{key}'")[0][0]

    @staticmethod
    def sql(trace, text):
        db = sqlite3.connect(os.path.join(trace, "trace.db"))
        with db:
            rows = db.execute(text).fetchall()
        db.close()
        return rows

    # --- runs and roots ---

    def root(self):
        """Two runs with two traces, one of them newer, and things that are none."""
        root = pathlib.Path(self.folder.name, "root")
        for run_name, name in (("261122-181900", "server-main"), ("261122-181900", "server-db"),
                               ("261123-080000", "it's \u00e9")):
            shutil.copytree(self.trace, root / run_name / name)
        (root / "261123-080000" / "empty").mkdir()
        (root / "latest").symlink_to("261122-181900")
        (root / "notes.txt").write_text("x")
        return root

    def test_a_run_and_all_runs(self):
        root = self.root()
        for path, n in ((root / "261122-181900", 2), (root / "latest", 2), (root, 3),
                        (f"{root}/", 3)):
            with self.subTest(path):
                found = json.loads(trackexec("analyse", "--stalls", "--json", path))
                self.assertEqual(found["traces"], n)
                self.assertEqual(self.group("sleep", found)["count"], n * COUNT)
        text = trackexec("analyse", "--stalls", root)
        self.assertIn("3 traces: ", text)

    def test_all_runs_since_a_time(self):
        root = self.root()
        for since, n in (("-1h", 3), ("now", 0), ("2020-01-01", 3)):
            with self.subTest(since):
                answer = run("--stalls", "--since", since, "--json", root)
                self.assertEqual(answer.returncode, OK, answer.stderr)
                found = json.loads(answer.stdout)
                self.assertEqual(found["turns"] > 0, n > 0)
        text = trackexec("analyse", "--stalls", "--since", "now", root)
        self.assertEqual(text, "0 traces: no turn took longer than 100 ms\n")

    def test_a_bad_trace_does_not_stop_the_others(self):
        root = self.root()
        bad = root / "261122-181900" / "server-db" / "trace.db"
        bad.write_bytes(b"x" * 5000)
        answer = run("--stalls", "--json", root)
        self.assertEqual(answer.returncode, NO_TRACE)
        self.assertIn("server-db", answer.stderr)
        self.assertEqual(json.loads(answer.stdout)["traces"], 2)

    def test_paths_are_quoted(self):
        trace = self.copy("it's $HOME `x`")
        group = json.loads(trackexec("analyse", "--stalls", "--json", trace))["lines"][0]
        self.assertEqual(shlex.split(group["worst"]["replay"])[-1], str(trace))

    # --- the table ---

    def test_text_fits_but_for_the_command(self):
        for width in (72, 80, 120):
            answer = run("--stalls", self.trace, env={**os.environ, "COLUMNS": str(width)})
            for line in answer.stdout.splitlines()[1:]:
                if "trackexec replay" not in line:
                    self.assertLessEqual(len(line), width)
        self.assertIn("COUNT", answer.stdout)
        self.assertIn("sleep 250 ms: time.sleep", answer.stdout)

    def test_nothing_is_said(self):
        self.assertEqual(trackexec("analyse", "--stalls", "1h", self.trace),
                         "no turn took longer than 1 h 00 min\n")

    def test_fewer_lines(self):
        text = trackexec("analyse", "--stalls", "-l", "1", self.trace)
        self.assertRegex(text, r"\.\.\. and \d more lines \(--num-items\)\n$")

    # --- what is wrong ---

    def check_error(self, status, message, *words, **options):
        answer = run(*words, **options)
        self.assertEqual(answer.returncode, status, answer.stderr)
        self.assertIn(message, answer.stderr)
        self.assertNotIn("Traceback", answer.stderr)
        return answer

    def test_usage(self):
        self.check_error(USAGE, "is not a duration", "--stalls=5parsecs", self.trace)
        self.check_error(USAGE, "of what?", "--stalls")
        self.check_error(USAGE, "one too many", "--stalls", self.trace, self.trace)
        self.check_error(USAGE, "--since", "--stalls", "--since", "whenever", self.trace)
        self.check_error(USAGE, "CSV", "--stalls", "--format", "csv", self.trace)
        self.check_error(USAGE, "--sort-column", "--stalls", "-s", "total", self.trace)
        self.check_error(USAGE, "different tables", "--stalls", "--waits", self.trace)
        self.check_error(USAGE, "not after", "--stalls", "--since", "end", "--until", "start",
                         self.trace)

    def test_without_edges(self):
        trace = self.copy()
        self.sql(trace, "UPDATE meta SET value = 'none' WHERE key = 'edges'")
        self.check_error(FAILED, "does not know when threads waited", "--stalls", trace)
        root = self.root()
        self.sql(root / "261122-181900" / "server-db",
                 "UPDATE meta SET value = 'none' WHERE key = 'edges'")
        self.assertIn("Not known for 1 trace", trackexec("analyse", "--stalls", root))

    def test_without_a_loop(self):
        trace = self.copy()
        self.sql(trace, "UPDATE waits SET idle = 0 WHERE idle = 1")
        self.assertIn("No event loop was seen", trackexec("analyse", "--stalls", trace))

    def test_foreign_newer_missing(self):
        folder = pathlib.Path(self.folder.name)
        (folder / "foreign").write_text("not a trace" * 500)
        (folder / "nothing").mkdir()
        newer = self.copy("newer")
        self.sql(newer, "PRAGMA user_version = 99")
        self.check_error(NO_TRACE, "", "--stalls", folder / "foreign")
        self.check_error(NO_TRACE, "", "--stalls", folder / "nothing")
        self.check_error(NO_TRACE, "newer", "--stalls", newer)
        self.check_error(NO_TRACE, "", "--stalls", folder / "absent")

    def test_damaged(self):
        trace = self.copy()
        self.sql(trace, "UPDATE blocks SET waits = x'00'")
        answer = self.check_error(NO_TRACE, "damaged", "--stalls=1ms", trace)
        self.assertIn("no turn", answer.stdout)
        with open(trace / "trace.db", "r+b") as file:
            file.truncate(3 * 4096)
        self.check_error(NO_TRACE, "", "--stalls=1ms", trace)

    def test_output_that_fails(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            answer = subprocess.run([TRACKEXEC, "analyse", "--stalls", self.trace], stdout=full,
                                    stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(answer.returncode, FAILED)
        self.assertIn("No space left", answer.stderr)
        r, w = os.pipe()
        os.close(r)
        answer = subprocess.run([TRACKEXEC, "analyse", "--stalls", self.trace], stdout=w,
                                stderr=subprocess.PIPE, text=True, check=False)
        os.close(w)
        self.assertIn(answer.returncode, (OK, -signal.SIGPIPE))
        self.assertEqual(answer.stderr, "")


if __name__ == "__main__":
    unittest.main()
