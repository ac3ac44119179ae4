# SPDX-License-Identifier: BSD-3-Clause
"""trackexec export, on a recording of a program that says when it does what: what the formats'
own readers understand of it agrees with `analyse`, to the nanosecond."""

import collections
import decimal
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

from recording import DEADLINE_S, TESTS, TRACKEXEC, trackexec

PHASES = TESTS / "targets" / "phases.py"
READERS = TESTS / "e2e" / "readers"
NPM = TESTS.parent / "build" / "npm"
SPEEDSCOPE = "speedscope@1.25.0"
EMPTY = None


def export(trace, name, *options):
    return trackexec("export", "--format", name, *options, trace)


def failed(*words):
    """Status and message of an export that fails."""
    done = subprocess.run([TRACKEXEC, "export", *map(str, words)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stderr


def speedscope_release():
    """Where npm's package has its program; None when it can't be had."""
    folder = NPM / "node_modules" / "speedscope" / "dist" / "release"
    if not folder.is_dir() and shutil.which("npm"):
        NPM.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", NPM, "--ignore-scripts", "--no-audit",
                        "--no-fund", SPEEDSCOPE], capture_output=True, check=False,
                       timeout=5 * DEADLINE_S, stdin=subprocess.DEVNULL)
    return folder if folder.is_dir() and shutil.which("node") else None


class Stacks:
    """Time by stack, from the lines of the format jsonl, as its manual page explains it."""

    def __init__(self, text):
        self.by_line = collections.Counter()
        self.by_function = collections.Counter()
        self.waits = collections.Counter()
        self.gap_ns = self.empty_ns = 0
        self.times = []
        self.threads = {}
        stack, last = [], None
        for event in map(json.loads, text.splitlines()):
            if "native_id" in event:
                self.threads[event["thread"]] = event
                assert not stack
                last = event["time"]
                continue
            self.times.append(event["time"])
            assert event["time"] >= last
            top = stack[-1] if stack else EMPTY
            if "wait" in event:
                place = top[:2] if top else ("", 0)
                self.waits[(event["wait"], *place)] += event["duration"]
                continue
            self.add(top, event["time"] - last)
            last = event["time"]
            if "end" in event:
                continue
            if "gap" in event:
                assert not stack
                self.gap_ns += event["duration"]
                last += event["duration"]
                continue
            assert event["pop"] <= len(stack)
            del stack[len(stack) - event["pop"]:]
            stack += [(e["file"], e["line"], e["function"]) for e in event["push"]]
        assert not stack

    def add(self, top, ns):
        if top is EMPTY:
            self.empty_ns += ns
            return
        self.by_line[top[:2]] += ns
        self.by_function[top[0], top[2]] += ns


class Slices:
    """The chrome format, with its rules of nesting checked."""

    def __init__(self, text):
        whole = json.loads(text, parse_float=decimal.Decimal)
        self.other = whole["otherData"]
        self.self_ns = collections.Counter()
        self.names = collections.defaultdict(list)
        self.categories = collections.Counter()
        open_slices = collections.defaultdict(list)
        last = {}
        for event in whole["traceEvents"]:
            track = event["pid"], event["tid"]
            if event["ph"] == "M":
                self.names[event["name"]].append(event["args"]["name"])
                continue
            ns = event["ts"] * 1000
            assert ns == int(ns) and ns >= last.get(track, 0)
            last[track] = ns
            stack = open_slices[track]
            if event["ph"] == "B":
                stack.append([event, ns, 0])
                # What waits calls nothing.
                assert len(stack) < 2 or stack[-2][0]["cat"] == "python"
                continue
            assert event["ph"] == "E"
            begin, start, in_calls = stack.pop()
            self.categories[begin["cat"]] += int(ns - start)
            if begin["cat"] != "python":
                continue
            self.self_ns[begin["args"]["file"], begin["name"]] += int(ns - start - in_calls)
            if stack:
                stack[-1][2] += ns - start
        assert not any(open_slices.values())


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        cls.trace = os.path.join(cls.folder.name, "trace")
        subprocess.run([TRACKEXEC, "record", "-q", "--output", cls.trace, "--",
                        "/usr/bin/python3", PHASES, "4"], stdin=subprocess.DEVNULL,
                       capture_output=True, check=True, timeout=DEADLINE_S)
        cls.analysed = json.loads(trackexec("analyse", "--json", "-l", 1000000, cls.trace))
        cls.by_line = {(line["file"], line["line"]): line["self_ns"]
                       for line in cls.analysed["lines"] if line["self_ns"]}
        cls.stacks = Stacks(export(cls.trace, "jsonl"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_jsonl_is_what_analyse_says(self):
        self.assertEqual({k: ns for k, ns in self.stacks.by_line.items() if ns}, self.by_line)
        self.assertEqual(sum(self.stacks.by_line.values()) + self.stacks.empty_ns,
                         self.analysed["observed_ns"])

    def test_jsonl_tells_the_sleeps(self):
        if not self.analysed["edges"]:
            self.skipTest("it is not known here when threads wait")
        off_cpu = {(line["file"], line["line"]): line["wait_ns"] + line["ready_ns"]
                   for line in self.analysed["lines"]}
        by_place = collections.Counter()
        for (_, *place), ns in self.stacks.waits.items():
            by_place[tuple(place)] += ns
        for place, ns in by_place.items():
            # Of short ones no wait tells; ends of waits are stored to about a microsecond.
            if place[0]:
                self.assertLessEqual(ns, off_cpu[place] + 100_000)
        # A loaded machine can see a sleep on the line before it, but it does see it.
        self.assertGreater(sum(by_place.values()), 4 * (0.15 + 0.1) * 1e9 * 0.9)

    def test_collapsed_is_what_analyse_says(self):
        by_line, n = collections.Counter(), collections.Counter()
        for line in export(self.trace, "collapsed").splitlines():
            stack, _, count = line.rpartition(" ")
            file, _, number = stack.rpartition(";")[2].rsplit(":", 2)
            by_line[file, int(number)] += int(count)
            n[file, int(number)] += 1
        for place, us in by_line.items():
            # Each stack is rounded, and of those below half a microsecond none is there.
            self.assertAlmostEqual(us * 1000, self.by_line[place], delta=500 * (n[place] + 5))
        self.assertAlmostEqual(sum(by_line.values()) * 1000, sum(self.by_line.values()),
                               delta=500 * (sum(n.values()) + 50))

    def test_chrome_is_what_jsonl_says(self):
        slices = Slices(export(self.trace, "chrome"))
        self.assertEqual(+slices.self_ns, +self.stacks.by_function)
        self.assertEqual(sum(slices.categories[c] for c in ("wait", "ready")),
                         sum(self.stacks.waits.values()))
        self.assertEqual(slices.categories["gap"], self.stacks.gap_ns)
        self.assertEqual(len(slices.names["thread_name"]), len(self.stacks.threads))
        self.assertEqual(len(slices.names["process_name"]), 1)
        self.assertRegex(slices.other["start"], r"^\d{4}-\d\d-\d\dT[\d:.]{18}[+-]\d\d:\d\d$")

    def test_speedscope_reads_it_as_analyse_says(self):
        release = speedscope_release()
        if not release:
            self.skipTest("npm and node are needed, and npm's package speedscope")
        path = os.path.join(self.folder.name, "app.speedscope.json")
        export(self.trace, "speedscope", "-o", path)
        done = subprocess.run(["node", READERS / "speedscope_import.js", release, path],
                              capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        read = json.loads(done.stdout)
        by_line = collections.Counter()
        for profile in read["profiles"]:
            self.assertEqual(profile["unit"], "nanoseconds")
            for frame in profile["frames"]:
                by_line[frame["file"], frame.get("line", 0)] += frame["self"]
        self.assertEqual(dict(+by_line), self.by_line)
        self.assertEqual(len(read["profiles"]), len(self.stacks.threads))

    def test_speedscope_keeps_to_its_schema(self):
        """Without npm: what https://www.speedscope.app/file-format-schema.json asks for."""
        read = json.loads(export(self.trace, "speedscope"))
        self.assertEqual(read["$schema"], "https://www.speedscope.app/file-format-schema.json")
        frames = read["shared"]["frames"]
        self.assertEqual(len({(f["name"], f["file"], f.get("line")) for f in frames}), len(frames))
        by_line = collections.Counter()
        for profile in read["profiles"]:
            self.assertEqual((profile["type"], profile["unit"]), ("evented", "nanoseconds"))
            stack, last = [], profile["startValue"]
            for event in profile["events"]:
                self.assertLessEqual(last, event["at"])
                if stack:
                    frame = frames[stack[-1]]
                    by_line[frame["file"], frame.get("line", 0)] += event["at"] - last
                last = event["at"]
                if event["type"] == "O":
                    stack.append(event["frame"])
                else:
                    self.assertEqual((event["type"], event["frame"]), ("C", stack.pop()))
            self.assertEqual(stack, [])
            self.assertLessEqual(last, profile["endValue"])
        self.assertEqual(dict(+by_line), self.by_line)

    def test_an_interval_is_just_that(self):
        info = json.loads(trackexec("info", "--json", self.trace))
        part = Stacks(export(self.trace, "jsonl", "--since", "+300ms", "--until", "+400ms"))
        total = sum(part.by_line.values()) + part.empty_ns + part.gap_ns
        self.assertEqual(total, 400 * 10**6 * len(part.threads), info)
        self.assertLessEqual(max(part.times) - min(part.times), 400 * 10**6)
        halves = [Stacks(export(self.trace, "jsonl", *options))
                  for options in (["--until", "50%"], ["--since", "50%"])]
        self.assertEqual(+(halves[0].by_line + halves[1].by_line), +self.stacks.by_line)
        # Of a wait in the middle each has its part.
        self.assertEqual(sum(sum(h.waits.values()) for h in halves),
                         sum(self.stacks.waits.values()))

    def test_a_thread_is_just_that(self):
        thread = min(self.stacks.threads)
        self.assertEqual(set(Stacks(export(self.trace, "jsonl", "--thread", thread)).threads),
                         {thread})

    # --- what can go wrong ---

    def test_a_reader_that_leaves_is_no_error(self):
        for name in "collapsed", "speedscope", "chrome", "jsonl":
            there, here = os.pipe()
            os.close(there)
            done = subprocess.run([TRACKEXEC, "export", "-f", name, self.trace], stdout=here,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
            os.close(here)
            self.assertEqual((done.returncode, done.stderr), (0, b""), name)

    def test_output_that_cannot_be_written(self):
        for name in "collapsed", "speedscope", "chrome", "jsonl":
            for path, why in (("/dev/full", "No space left"), ("/nonexistent/x", "No such file"),
                              (self.folder.name, "Is a directory")):
                status, message = failed("-f", name, "-o", path, self.trace)
                self.assertEqual(status, 1)
                self.assertIn(f"cannot write '{path}': {why}", message)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TRACKEXEC, "export", "-f", "jsonl", self.trace], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr,
                         "trackexec: cannot write to standard output: No space left on device\n")

    def test_output_replaces_a_file_when_it_is_complete(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "out")
            link = pathlib.Path(folder, "link")
            path.write_text("before")
            link.symlink_to("out")
            status, _ = failed("-f", "jsonl", "-o", path, "--since", "nonsense", self.trace)
            self.assertEqual((status, path.read_text()), (2, "before"))
            export(self.trace, "jsonl", "-o", link)
            self.assertTrue(link.is_symlink())
            self.assertEqual(path.read_text(), export(self.trace, "jsonl"))
            self.assertEqual(sorted(os.listdir(folder)), ["link", "out"])

    def test_intervals_and_threads_that_are_not_there(self):
        for options, why in ((["--since", "+1h"], "the trace has nothing of that time"),
                             (["--until", "start"], "the trace has nothing of that time"),
                             (["--since", "60%", "--until", "40%"], "--until is not after"),
                             (["--thread", "4711"], "there is no thread '4711'"),
                             (["--since", "noon"], "--since 'noon': not a time")):
            status, message = failed("-f", "jsonl", *options, self.trace)
            self.assertEqual(status, 2, message)
            self.assertIn(why, message)

    def copy(self, sql):
        folder = tempfile.mkdtemp(dir=self.folder.name)
        shutil.copy(os.path.join(self.trace, "trace.db"), folder)
        database = sqlite3.connect(os.path.join(folder, "trace.db"))
        database.executescript(sql)
        database.close()
        return folder

    def test_traces_that_cannot_be_read(self):
        foreign = os.path.join(self.folder.name, "foreign.db")
        pathlib.Path(foreign).write_text("this is something else\n" * 100)
        for trace, why in ((self.copy("PRAGMA user_version = 999"), "newer"),
                           (foreign, "not a"),
                           ("/nonexistent", "No such file")):
            status, message = failed("-f", "chrome", trace)
            self.assertEqual(status, 3, message)
            self.assertIn(why, message)

    def test_a_damaged_trace_gives_what_is_left(self):
        damaged = self.copy(
            "INSERT INTO blocks (id, thread, first_ns, last_ns, lowest_depth, n_events, data) "
            "SELECT id + 1, thread, last_ns, last_ns + 1000000, 0, 7, zeroblob(100) FROM blocks "
            "ORDER BY id DESC LIMIT 1")
        for name in "collapsed", "speedscope", "chrome", "jsonl":
            done = subprocess.run([TRACKEXEC, "export", "-f", name, damaged], check=False,
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 3)
            self.assertRegex(done.stderr, r"damaged: exported what could be read; 1 blocks with 7")
            self.assertGreater(len(done.stdout), 100)
            if name == "chrome":
                self.assertGreater(Slices(done.stdout).categories["gap"], 0)
            if name == "jsonl":
                self.assertGreater(Stacks(done.stdout).gap_ns, 0)

    def test_an_empty_trace_gives_an_empty_file(self):
        empty = self.copy("DELETE FROM blocks; DELETE FROM lines; DELETE FROM threads;")
        self.assertEqual(export(empty, "collapsed"), "")
        self.assertEqual(export(empty, "jsonl"), "")
        self.assertEqual(json.loads(export(empty, "speedscope"))["profiles"], [])
        self.assertEqual(len(json.loads(export(empty, "chrome"))["traceEvents"]), 1)


if __name__ == "__main__":
    unittest.main()
