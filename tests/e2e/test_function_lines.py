# SPDX-License-Identifier: BSD-3-Clause
"""The lines of a function, from indexes, are what decoding all events finds, to the nanosecond."""

import json
import os
import shutil
import sqlite3
import tempfile
import unittest

from recording import Recording, Target, trackexec
import pythons

# Not what is listed in units of a microsecond.
KEYS = ("visits", "self_ns", "total_ns", "on_cpu_ns", "wait_ns", "ready_ns")
FUNCTIONS = ("naps", "lambdas", "outer", "run", "other", "*", "*<lambda>")
PARTS = ((), ("--since", "20%", "--until", "80%"))


def lines(trace, *options):
    found = json.loads(trackexec("analyse", "--json", "-l", 10000, *options, trace))
    return {(row["file"], row["line"]): [row[key] for key in KEYS] for row in found["lines"]}


def query(path, sql):
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


class FunctionLines(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        self.addCleanup(self.folder.cleanup)

    def without_index(self, trace):
        """As an earlier program would have recorded it."""
        path = shutil.copy(os.path.join(trace, "trace.db"), self.folder.name)
        query(path, "DROP TABLE shared_lines")
        return path

    def check(self, trace):
        for name in FUNCTIONS:
            for part in PARTS:
                with self.subTest(function=name, part=part):
                    options = ("--function", name, *part)
                    decoded = lines(trace, *options, "--percentiles")
                    self.assertEqual(lines(trace, *options), decoded)

    def test_they_are_what_decoding_finds(self):
        for python in pythons.interpreters():
            with self.subTest(python=python), \
                    Target(python, "same_line") as target, \
                    Recording(target.process.pid, duration_s=1.5) as recording:
                shared = query(os.path.join(recording.trace, "trace.db"),
                               "SELECT count(DISTINCT line), count(DISTINCT code)"
                               " FROM shared_lines")
                self.assertGreaterEqual(shared[0], (1, 2))
                self.check(recording.trace)
                self.check(self.without_index(recording.trace))


if __name__ == "__main__":
    unittest.main()
