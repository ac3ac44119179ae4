# SPDX-License-Identifier: BSD-3-Clause
"""trackexec export --format pprof and callgrind, read by programs that we did not write."""

import collections
import gzip
import json
import os
import re
import shutil
import subprocess
import unittest

from recording import TESTS, TRACKEXEC, Recording, Target, trackexec
import pythons

PROTO = TESTS / "data" / "profile.proto"
NUMBERS = re.compile(r"^\s*((?:[\d,]+|\.)(?:\s+(?:[\d,]+|\.)){%d})  (.*)$")


def export(trace, *options):
    return subprocess.run([TRACKEXEC, "export", *options, trace], capture_output=True,
                          check=True).stdout


def parse_text(lines):
    """The text format of protocol buffers, of which this much comes: a field has all its values."""
    message = collections.defaultdict(list)
    for line in lines:
        line = line.strip()
        if line == "}":
            break
        if line.endswith("{"):
            message[line.split()[0]].append(parse_text(lines))
        else:
            name, _, value = line.partition(": ")
            message[name].append(value if value.startswith('"') else int(value))
    return message


class Profile:
    def __init__(self, data):
        text = subprocess.run(
            ["protoc", f"--proto_path={PROTO.parent}", "--decode=trackexec.pprof.Profile",
             PROTO.name], input=gzip.decompress(data), capture_output=True, check=True).stdout
        self.message = parse_text(iter(text.decode().splitlines()))
        self.strings = [value[1:-1] for value in self.message["string_table"]]
        self.types = [self.strings[value["type"][0]] for value in self.message["sample_type"]]
        self.units = [self.strings[value["unit"][0]] for value in self.message["sample_type"]]
        self.functions = {f["id"][0]: f for f in self.message["function"]}
        self.locations = {location["id"][0]: location for location in self.message["location"]}

    def place(self, location_id):
        (line,) = self.locations[location_id]["line"]
        function = self.functions[line["function_id"][0]]
        return (self.strings[function["filename"][0]], line["line"][0],
                self.strings[function["name"][0]])

    def samples(self):
        """Places, innermost first, values by type, labels."""
        for sample in self.message["sample"]:
            labels = {self.strings[label["key"][0]]:
                      self.strings[label["str"][0]] if label["str"] else label["num"][0]
                      for label in sample["label"]}
            yield ([self.place(location) for location in sample["location_id"]],
                   dict(zip(self.types, sample["value"])), labels)


class Profiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        python = next(iter(pythons.interpreters()))
        with Target(python, "threads") as target:
            cls.pid = target.process.pid
            cls.script = target.script
            cls.recording = Recording(cls.pid, duration_s=2.0)
        cls.addClassCleanup(cls.recording.folder.cleanup)
        cls.trace = cls.recording.trace
        answer = json.loads(trackexec("analyse", "-j", "-l", "100000", cls.trace))
        cls.has_edges = answer["edges"]
        # Wall time, and where it is known, on-CPU time and time waited.
        cls.lines = {line["line"]: (line["self_ns"], line["on_cpu_ns"], line["wait_ns"])
                     [:3 if cls.has_edges else 1] for line in answer["lines"] if line["self_ns"]}

    @unittest.skipUnless(shutil.which("protoc"), "the protobuf compiler is not there")
    def test_pprof_is_what_analyse_says(self):
        profile = Profile(export(self.trace, "--format", "pprof"))
        self.assertEqual(profile.types,
                         ["events", "cpu", "wall"] if self.has_edges else ["events", "wall"])
        self.assertEqual(set(profile.units), {"count", "nanoseconds"})
        self.assertEqual(profile.strings[0], "")
        # pprof would shorten names that equal it, such as <module>.
        self.assertFalse([f for f in profile.functions.values() if f["system_name"]])
        lines, on_cpu = collections.Counter(), collections.Counter()
        threads = set()
        for places, values, labels in profile.samples():
            lines[places[0][1]] += values["wall"]
            on_cpu[places[0][1]] += values.get("cpu", 0)
            self.assertEqual(labels["process"], json.loads(
                trackexec("info", "--json", self.trace))["name"])
            threads.add(labels["thread"])
        self.assertEqual(lines, {line: times[0] for line, times in self.lines.items()})
        if self.has_edges:
            self.assertEqual({line: on_cpu[line] for line in lines},
                             {line: times[1] for line, times in self.lines.items()})
        self.assertGreater(len(threads), 3)

    @unittest.skipUnless(shutil.which("protoc"), "the protobuf compiler is not there")
    def test_pprof_has_callers_and_labels(self):
        profile = Profile(export(self.trace, "--format", "pprof"))
        leaf = [(places, labels) for places, _, labels in profile.samples()
                if places[0][2] == "busy_leaf"]
        self.assertTrue(leaf)
        for places, labels in leaf:
            self.assertEqual([name for _, _, name in places[:3]],
                             ["busy_leaf", "busy_caller", "busy"])
            self.assertEqual(labels["pid"], self.pid)
        start = profile.message["time_nanos"][0] / 1e9
        self.assertLess(abs(os.stat(os.path.join(self.trace, "trace.db")).st_mtime - start), 3600)
        self.assertGreater(profile.message["duration_nanos"][0], 1e9)

    @unittest.skipUnless(shutil.which("protoc"), "the protobuf compiler is not there")
    def test_pprof_of_an_interval_of_a_thread(self):
        profile = Profile(export(self.trace, "--format", "pprof", "--since", "+0.5s",
                                 "--until", "+0.5s", "--thread", "1"))
        self.assertEqual({labels["thread"] for _, _, labels in profile.samples()}, {"1"})
        self.assertEqual(profile.message["duration_nanos"], [500_000_000])
        self.assertLessEqual(sum(values["wall"] for _, values, _ in profile.samples()), 5e8)

    def annotate(self, *options):
        path = os.path.join(self.recording.folder.name, "callgrind.out")
        export(self.trace, "--format", "callgrind", "-o", path)
        done = subprocess.run(["callgrind_annotate", "--threshold=100", "--show-percs=no",
                               *options, path], capture_output=True, text=True, check=True,
                              cwd=self.recording.folder.name)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def numbers(self, line):
        """The costs at the start of a line, and the rest of it."""
        found = re.match(NUMBERS.pattern % (2 if self.has_edges else 0), line)
        if not found:
            return None, line
        return [0 if word == "." else int(word.replace(",", ""))
                for word in found[1].split()], found[2]

    @unittest.skipUnless(shutil.which("callgrind_annotate"), "Valgrind is not there")
    def test_callgrind_annotate_has_the_times_of_each_function(self):
        functions = {}
        for line in self.annotate("--auto=no").splitlines():
            costs, rest = self.numbers(line)
            if costs and ":" in rest:
                functions[rest.rpartition(":")[2]] = costs[0]
        expected = collections.Counter()
        for stack in self.recording.collapsed():
            frames, _, microseconds = stack.rpartition(" ")
            expected[frames.rpartition(";")[2].split(":")[-2]] += int(microseconds)
        self.assertEqual(sum(functions.values()), sum(times[0] for times in self.lines.values()))
        for name, microseconds in expected.items():
            # Each stack of the collapsed format is rounded.
            self.assertAlmostEqual(functions[name] / 1000, microseconds, delta=500, msg=name)

    @unittest.skipUnless(shutil.which("callgrind_annotate"), "Valgrind is not there")
    def test_callgrind_annotate_has_the_times_of_each_line(self):
        source = TESTS.joinpath("targets", "threads.py").read_text().splitlines()
        lines, number, calls = {}, 0, []
        text = self.annotate("--auto=yes", f"--context={len(source)}").partition("-- Auto-ann")[2]
        for line in text.splitlines():
            costs, rest = self.numbers(line)
            if costs and rest.startswith("=> "):
                calls.append((number, rest.partition(":")[2].split(" ")[0], costs[0]))
            elif costs and number < len(source):
                self.assertEqual(rest, source[number])
                number += 1
                if costs[0]:
                    lines[number] = tuple(costs)
        self.assertEqual(lines, self.lines)
        called = {line: name for line, text in enumerate(source, 1)
                  for name in re.findall(r"# call:(\w+)$", text)}
        self.assertTrue(calls)
        for line, name, _ in calls:
            self.assertEqual(called[line], name)

    def test_a_reader_that_leaves_is_no_error(self):
        for name in ("pprof", "callgrind"):
            with self.subTest(name), subprocess.Popen(
                    [TRACKEXEC, "export", "--format", name, self.trace], stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE) as process:
                process.stdout.close()
                self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
