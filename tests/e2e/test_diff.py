#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What changed from one recording to another: analyse --diff against programs that are known."""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest

from recording import TRACKEXEC, Recording, Target, trackexec
from test_waits import can_have_edges, own_python

OK, FAILED, USAGE, NO_TRACE = 0, 1, 2, 3
S = 6.0


def run(*words, **options):
    return subprocess.run([TRACKEXEC, "analyse", "--diff", *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          **options)


def changes(items):
    return sorted((item["change"], item["function"]) for item in items)


@unittest.skipUnless(can_have_edges(), "needs root, and perf events")
class Diff(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.traces = {}
        for name, version in (("old", "old"), ("again", "old"), ("new", "new")):
            with Target(own_python(), f"diff/{version}/server") as target:
                recording = Recording(target.process.pid, duration_s=S)
            cls.addClassCleanup(recording.__exit__)
            cls.traces[name] = recording.trace

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="trackexec-diff-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def diff(self, old, new):
        return json.loads(trackexec("analyse", "--json", "--diff", self.traces[old],
                                    self.traces[new]))

    def copy(self, name):
        return shutil.copytree(self.traces["old"], self.folder / name)

    @staticmethod
    def sql(trace, text):
        db = sqlite3.connect(os.path.join(trace, "trace.db"))
        with db:
            db.execute(text)
        db.close()

    # --- what is found ---

    def test_two_recordings_of_one_program(self):
        for old, new in (("old", "again"), ("again", "old"), ("old", "old")):
            with self.subTest(f"{old} {new}"):
                found = self.diff(old, new)
                self.assertEqual(found["functions"], [])
                self.assertEqual(found["lines"], [])
                self.assertGreaterEqual(found["functions_compared"], 5)
                self.assertGreaterEqual(found["least_factor"], 1.25)
                self.assertEqual(found["same_trace"], old == new)

    def test_exactly_what_changed(self):
        found = self.diff("old", "new")
        self.assertEqual(changes(found["functions"]),
                         [("gone", "old_only"), ("new", "new_only"), ("slower", "store")])
        store = found["functions"][0]
        self.assertEqual(store["function"], "store")
        # It sleeps 100 ms in place of 10, and on a busy machine each time longer: by less.
        self.assertGreater(store["factor"], 1.25)
        self.assertLess(store["factor"], 14)
        # The first and the last call of a recording can be cut off.
        self.assertGreater(store["old"]["average_ns"], 9e6)
        self.assertGreater(store["new"]["average_ns"], 90e6)
        self.assertGreater(store["factor"], store["threshold"])
        self.assertEqual(store["by"], "calls")

    def test_the_line_though_it_moved_and_changed(self):
        found = self.diff("old", "new")
        line = [line for line in found["lines"] if line["change"] == "slower"]
        self.assertEqual([item["source"] for item in line], ["time.sleep(0.1)"])
        texts = [pathlib.Path(line[0][side]["file"]).read_text().splitlines()
                 for side in ("old", "new")]
        self.assertEqual(texts[0][line[0]["old"]["line"] - 1].strip(), "time.sleep(0.01)")
        self.assertEqual(texts[1][line[0]["new"]["line"] - 1].strip(), "time.sleep(0.1)")
        self.assertNotEqual(line[0]["old"]["line"], line[0]["new"]["line"])

    def test_the_other_way_round(self):
        found = self.diff("new", "old")
        self.assertEqual(changes(found["functions"]),
                         [("faster", "store"), ("gone", "new_only"), ("new", "old_only")])
        self.assertLess(found["functions"][0]["factor"], 0.8)

    # --- the tables ---

    def test_text_fits(self):
        for width in (88, 120):
            answer = run(self.traces["old"], self.traces["new"],
                         env={**os.environ, "COLUMNS": str(width)})
            self.assertEqual(answer.returncode, OK, answer.stderr)
            table = answer.stdout.split("\n\n", 1)[1]
            self.assertEqual([line for line in table.splitlines() if len(line) > width], [])
        self.assertRegex(answer.stdout, r"(?m)^slower .* server\.py:\d+ +store$")
        self.assertRegex(answer.stdout, r"(?m)^slower .* time\.sleep\(0\.1\)$")
        text = run("-l", "1", self.traces["old"], self.traces["new"]).stdout
        self.assertIn("... and 2 more functions (--num-items)", text)

    # --- what is wrong ---

    def check_error(self, status, message, *words):
        answer = run(*words)
        self.assertEqual(answer.returncode, status, answer.stderr)
        self.assertIn(message, answer.stderr)
        return answer

    def test_usage(self):
        old = self.traces["old"]
        self.check_error(USAGE, "two traces")
        self.check_error(USAGE, "two traces", old)
        self.check_error(USAGE, "two traces", old, old, old)
        self.check_error(USAGE, "--since", "--since", "1s", old, old)
        self.check_error(USAGE, "CSV", "--format", "csv", old, old)
        self.check_error(USAGE, "different tables", "--stalls", old, old)

    def test_without_edges(self):
        trace = self.copy("without")
        for text in ("UPDATE meta SET value = 'none' WHERE key = 'edges'", "DELETE FROM waits",
                     "UPDATE blocks SET waits = NULL"):
            self.sql(trace, text)
        answer = run(trace, self.traces["new"])
        self.assertEqual(answer.returncode, OK, answer.stderr)
        self.assertRegex(answer.stdout, r"(?m)^slower .* store$")

    def test_foreign_newer_missing_empty(self):
        old = self.traces["old"]
        (self.folder / "foreign").write_text("not a trace" * 500)
        (self.folder / "nothing").mkdir()
        newer, empty = self.copy("newer"), self.copy("empty")
        self.sql(newer, "PRAGMA user_version = 99")
        for words in ((self.folder / "foreign", old), (old, self.folder / "foreign"),
                      (self.folder / "nothing", old), (old, self.folder / "absent")):
            self.check_error(NO_TRACE, str(self.folder), *words)
        self.check_error(NO_TRACE, "newer", old, newer)
        for table in ("blocks", "lines", "waits"):
            self.sql(empty, f"DELETE FROM {table}")
        answer = run(empty, old)
        self.assertEqual(answer.returncode, OK, answer.stderr)
        self.assertIn("0 functions compared", answer.stdout)

    def test_damaged(self):
        trace = self.copy("damaged")
        self.sql(trace, "UPDATE blocks SET data = x'0011'")
        answer = self.check_error(NO_TRACE, "damaged: what could be read is compared",
                                  self.traces["old"], trace)
        self.assertIn("OLD  ", answer.stdout)

    def test_output_that_fails(self):
        command = [TRACKEXEC, "analyse", "--diff", self.traces["old"], self.traces["new"]]
        with open("/dev/full", "w", encoding="ascii") as full:
            answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True,
                                    check=False)
        self.assertEqual(answer.returncode, FAILED)
        self.assertIn("No space left", answer.stderr)
        r, w = os.pipe()
        os.close(r)
        answer = subprocess.run(command, stdout=w, stderr=subprocess.PIPE, text=True, check=False)
        os.close(w)
        self.assertIn(answer.returncode, (OK, -signal.SIGPIPE))
        self.assertEqual(answer.stderr, "")


if __name__ == "__main__":
    unittest.main()
