# SPDX-License-Identifier: BSD-3-Clause
"""The queries of docs/sql.md, by the program sqlite3 on a real recording, and what they answer."""

import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from recording import TESTS, TRACKEXEC, Recording, Target, trackexec
import pythons

EXTENSION = pathlib.Path(TRACKEXEC).with_name("trackexec.so")
DOCUMENT = TESTS.parent / "docs" / "sql.md"
# A heading, and the query in the block that follows.
QUERY = re.compile(r"^### ([^\n]*)\n(?:(?!^###).)*?^```sql\n(.*?)^```$", re.S | re.M)


def sanitizer():
    """The library that has to come first, when the extension was built with one."""
    needs = subprocess.run(["ldd", EXTENSION], capture_output=True, text=True, check=True).stdout
    found = re.search(r"=> (\S*libasan\S*)", needs)
    return {"LD_PRELOAD": found[1], "ASAN_OPTIONS": "detect_leaks=0"} if found else {}


def sqlite(database, query, check=True):
    """The rows as dictionaries; without check, what it says is wrong."""
    done = subprocess.run(
        ["sqlite3", "-batch", "-readonly", "-json", "-cmd", f".load {EXTENSION}", database],
        input=query, capture_output=True, text=True, check=False, env={**os.environ, **sanitizer()})
    if not check:
        return done.stderr
    if done.returncode or done.stderr:
        raise AssertionError(f"{query}\n{done.stderr}")
    return json.loads(done.stdout or "[]")


def queries():
    return dict(QUERY.findall(DOCUMENT.read_text()))


@unittest.skipUnless(shutil.which("sqlite3"), "the program sqlite3 is not there")
class Sql(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        python = next(iter(pythons.interpreters()))
        with Target(python, "threads") as target:
            cls.recording = Recording(target.process.pid, duration_s=2.0)
        cls.addClassCleanup(cls.recording.folder.cleanup)
        cls.database = os.path.join(cls.recording.trace, "trace.db")
        cls.lines = {(line["file"], line["line"]): line
                     for line in cls.analyse("lines", "-l", "100000")}

    @classmethod
    def analyse(cls, what, *options):
        return json.loads(trackexec("analyse", "-j", *options, cls.recording.trace))[what]

    def ask(self, query, **options):
        return sqlite(self.database, query, **options)

    def ask_document(self, words):
        """What the one query answers whose heading has these words."""
        (query,) = [query for title, query in queries().items() if words in title]
        return self.ask(query)

    def test_ten_queries_of_the_document_answer(self):
        self.assertEqual(len(queries()), 10)
        for title, query in queries().items():
            with self.subTest(title):
                self.assertTrue(self.ask(query))

    def test_lines_are_those_of_analyse(self):
        rows = self.ask_document("Which lines")
        expected = sorted(self.lines.values(), key=lambda line: -line["self_ns"])[:10]
        self.assertEqual([row["line"] for row in rows], [line["line"] for line in expected])
        for row, line in zip(rows, expected):
            self.assertEqual(row["source"], line["source"])
            self.assertEqual(row["seen"], line["visits"])
            self.assertAlmostEqual(row["seconds"], line["self_ns"] / 1e9, places=9)

    def test_sums_of_stretches_are_those_of_analyse(self):
        sums = self.ask("SELECT file, line, sum(duration_ns) AS ns FROM trackexec_stacks"
                        " WHERE depth > 0 GROUP BY 1, 2")
        self.assertEqual({(row["file"], row["line"]): row["ns"] for row in sums},
                         {place: line["self_ns"] for place, line in self.lines.items()
                          if line["self_ns"]})
        functions = self.ask_document("Which functions")
        self.assertAlmostEqual(sum(row["seconds"] for row in functions),
                               sum(line["self_ns"] for line in self.lines.values()) / 1e9,
                               delta=0.05)

    def test_events_are_visits(self):
        visits = self.ask("SELECT file, line, count(*) AS n FROM trackexec_events"
                          " WHERE event IS NOT 'found' GROUP BY 1, 2")
        self.assertEqual({(row["file"], row["line"]): row["n"] for row in visits},
                         {place: line["visits"] for place, line in self.lines.items()
                          if line["visits"]})

    def test_callers_are_those_of_the_program(self):
        callers = collections.defaultdict(set)
        for row in self.ask_document("Who calls"):
            callers[row["function"]].add(row["caller"])
        self.assertEqual(callers["busy_leaf"], {"busy_caller"})
        self.assertEqual(callers["busy_caller"], {"busy"})

    def test_waits_are_those_of_analyse(self):
        """Single times are rounded to a microsecond, the sums of the table are not."""
        waits = self.analyse("waits", "--waits", "--idle", "-l", "100000")
        if not waits:
            self.skipTest("this machine does not tell when threads are on a CPU")
        rows = self.ask_document("by kind and length")
        for kind in ("sleep", "lock"):
            expected = [wait for wait in waits if wait["kind"] == kind]
            found = [row for row in rows if row["kind"] == kind]
            n = sum(row["n"] for row in found)
            self.assertAlmostEqual(sum(row["seconds"] for row in found),
                                   sum(wait["total_ns"] for wait in expected) / 1e9,
                                   delta=n * 2e-6 + 1e-5)
        # There, a wait that goes on over a gap is one; here, it is two.
        longest = self.ask_document("waited for longest")[0]
        self.assertLess(longest["ms"] * 1e6,
                        5000 + max(wait["longest_ns"] for wait in waits
                                   if wait["state"] == "waiting" and not wait["idle"]))

    def test_slices_add_up(self):
        slices = self.ask_document("each thread doing when")
        whole = sum(line["self_ns"] for line in self.lines.values())
        observed = sum(row["ms"] for row in slices if row["activity"] != "gap") * 1e6
        self.assertGreaterEqual(observed, whole * 0.9999)
        (threads,) = self.ask("SELECT count(DISTINCT thread) AS n FROM trackexec_stacks")
        self.assertEqual(len(self.ask_document("not observed")), threads["n"])

    def test_errors_tell_what_is_wrong(self):
        self.assertIn("No such file",
                      self.ask("SELECT * FROM trackexec_events('/nonexistent')", check=False))
        self.assertIn("not a time",
                      self.ask("SELECT * FROM trackexec_events(NULL, 'never')", check=False))

    def test_a_live_trace_can_be_asked(self):
        python = next(iter(pythons.interpreters()))
        folder = os.path.join(self.recording.folder.name, "live")
        with Target(python, "threads") as target:
            with subprocess.Popen([TRACKEXEC, "record", "-q", "--pid", str(target.process.pid),
                                   "--output", folder], stdin=subprocess.DEVNULL) as recorder:
                try:
                    self.wait_for_rows(folder, recorder)
                finally:
                    recorder.terminate()
        self.assertEqual(recorder.returncode, 0)
        # Whoever asked has let go of it.
        self.assertEqual(os.listdir(folder), ["trace.db"])

    def wait_for_rows(self, folder, recorder):
        query = f"SELECT count(*) AS n FROM trackexec_stacks('{folder}')"
        said = ""
        for _ in range(600):
            self.assertIsNone(recorder.poll())
            try:
                if sqlite(":memory:", query)[0]["n"] > 100:
                    return
            except AssertionError as error:
                said = str(error)
            try:
                recorder.wait(0.1)
            except subprocess.TimeoutExpired:
                pass
        self.fail(f"no rows came: {said}")


if __name__ == "__main__":
    unittest.main()
