# SPDX-License-Identifier: BSD-3-Clause
"""trackexec replay --batch, on recordings of a program that says when it does what."""

import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest

from recording import DEADLINE_S, TESTS, TRACKEXEC
import pythons

PHASES = TESTS / "targets" / "phases.py"
# Lines by what phases.py says there.
LINES = {word: number for number, line in enumerate(PHASES.read_text().splitlines(), 1)
         for mark in ("# line of ",) if mark in line for word in [line.split(mark)[1]]}
BUSY = {number for number, line in enumerate(PHASES.read_text().splitlines(), 1)
        if LINES["work"] - 3 <= number <= LINES["work"] + 9}


def replay(trace, *commands, options=(), status=0):
    """The lines that are printed."""
    done = subprocess.run([TRACKEXEC, "replay", "--batch", *options, trace], text=True,
                          input="".join(f"{command}\n" for command in commands),
                          capture_output=True, check=False)
    if done.returncode != status:
        raise AssertionError(f"status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.splitlines()


def replay_json(trace, *commands, status=0):
    return [json.loads(line)
            for line in replay(trace, *commands, options=["--json"], status=status)]


class Place:
    """A line of the batch mode, taken apart."""

    def __init__(self, line):
        words = line.partition(" (")[0].split(" ")
        self.time, self.location, self.function = words[:3]
        self.path, _, self.line = self.location.rpartition(":")
        self.line = int(self.line) if self.line.isdigit() else None
        values = dict(word.split("=", 1) for word in words[3:] if "=" in word)
        self.depth = int(values["depth"])
        self.thread = int(values["thread"])
        self.provenance = values["provenance"]
        self.flags = [word for word in words[3:] if "=" not in word]


class Replay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        cls.trace = os.path.join(cls.folder.name, "trace")
        # A source that is gone afterwards: what is in the trace is shown.
        script = shutil.copy(PHASES, cls.folder.name)
        done = subprocess.run([TRACKEXEC, "record", "-q", "--output", cls.trace, "--",
                               "/usr/bin/python3", script, "6"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=True, timeout=DEADLINE_S)
        os.unlink(script)
        cls.script = script
        cls.phases = [(float(when), name) for when, name in
                      (line.split() for line in done.stdout.splitlines() if " " in line)]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def jump(self, unix_s):
        return Place(replay(self.trace, f"j @{unix_s:.9f}")[0])

    def test_jumps_land_in_sleeping_moments(self):
        n = 0
        for (start, name), (end, _) in zip(self.phases, self.phases[1:]):
            if not name.startswith("sleep"):
                continue
            for part in (0.25, 0.5, 0.75):
                place = self.jump(start + part * min(end - start, 0.1))
                # The sleep itself, or a gap: then what was before is shown, and that it is one.
                if "gap-follows" not in place.flags:
                    self.assertEqual((place.line, place.function), (LINES[name], name))
                    n += 1
        self.assertGreater(n, 3)

    def test_jumps_land_in_busy_moments(self):
        n = 0
        for (start, name), (end, _) in zip(self.phases, self.phases[1:]):
            if name != "busy":
                continue
            for i in range(20):
                place = self.jump(start + (end - start) * (0.1 + 0.04 * i))
                if "gap-follows" not in place.flags:
                    self.assertIn(place.line, BUSY)
                    n += 1
        self.assertGreater(n, 10)

    def test_steps_go_through_all_both_ways(self):
        there = replay(self.trace, "j start", *["s"] * 60)
        back = replay(self.trace, "j start", "60s", *["S"] * 60)
        strip = [line.partition(" (")[0] for line in there]
        self.assertEqual(strip, [line.partition(" (")[0] for line in back[1:]][::-1])
        times = [line.split()[0] for line in there]
        self.assertEqual(times, sorted(times))

    def test_next_does_not_go_deeper(self):
        lines = replay(self.trace, f"b phases.py:{LINES['work']}", "c", *["n"] * 20)[1:]
        places = [Place(line) for line in lines]
        for before, place in zip(places, places[1:]):
            self.assertLessEqual(place.depth, before.depth)

    def test_a_breakpoint_that_is_hit_once(self):
        commands = [f"b phases.py:{LINES['once']}", "c", "bt", "c", "C", "C"]
        answer = replay(self.trace, *commands)
        self.assertIn("breakpoint 1", answer[0])
        self.assertEqual((Place(answer[1]).line, Place(answer[1]).function),
                         (LINES["once"], "once"))
        self.assertTrue(answer[2].endswith("phases.py:%d once" % LINES["once"]), answer[2])
        self.assertIn("main", answer[3])
        back = [line for line in answer if line.startswith("20")]
        self.assertEqual(Place(back[-2]).line, LINES["once"])
        self.assertIn("start-of-trace", back[-1])

    def test_calls_are_found_one_after_the_other(self):
        # There were six; on a busy machine one may not have been seen.
        *answer, last = replay(self.trace, *["v sleep_first"] * 8, status=1)
        seen = [Place(line) for line in answer if not line.startswith("error")]
        self.assertTrue(all(place.function == "sleep_first" for place in seen))
        self.assertEqual(len({place.time for place in seen}), len(seen))
        self.assertIn(len(seen), range(2, 7))
        self.assertTrue(last.startswith("error: no call of sleep_first"), last)

    def test_a_line_that_never_ran_is_refused(self):
        answer = replay(self.trace, "b phases.py:2", status=1)
        self.assertEqual(answer, [f"error: line 2 of {self.script} never ran in this trace"])

    def test_source_is_that_of_the_trace(self):
        answer = replay(self.trace, "f phases.py", f"list {LINES['once']},{LINES['once']}")
        self.assertIn("time.sleep(0.02)  # line of once", answer[1])

    def test_the_state_leads_back(self):
        for command in ("40%", "71.3%"):
            answer = replay(self.trace, "thread 1", f"j {command}", "3s", "=")
            words = answer[-1].split()
            self.assertEqual(words[:3], ["trackexec", "replay", self.trace])
            again = replay(self.trace, "place", options=words[3:])
            self.assertEqual(Place(again[0]).__dict__, Place(answer[-2]).__dict__)

    def test_json_says_the_same(self):
        commands = ("j 50%", "s", "bt", "list", "x")
        objects = replay_json(self.trace, *commands, status=1)
        lines = replay(self.trace, *commands, status=1)
        for line, item in zip(lines[:2], objects[:2]):
            place = Place(line)
            self.assertEqual((item["time"], item["file"], item["line"], item["function"],
                              item["depth"], item["thread"], item["provenance"], item["flags"]),
                             (place.time, place.path, place.line, place.function, place.depth,
                              place.thread, place.provenance, place.flags))
            self.assertGreater(item["lasts_ns"], 0)
        self.assertEqual(len(objects[2]["frames"]), objects[1]["depth"])
        self.assertEqual(sum(line["is_current"] for line in objects[3]["lines"]), 1)
        self.assertIn("unknown command", objects[4]["error"])

    def test_every_event_is_marked_as_sampled(self):
        for line in replay(self.trace, *["s"] * 20):
            self.assertEqual(Place(line).provenance, "observed")
            self.assertIn("sampled", Place(line).flags)

    def test_the_program_has_a_name_of_its_own(self):
        program = os.path.join(self.folder.name, "walt-server-trackexec-replay")
        if not os.path.exists(program):
            os.symlink(TRACKEXEC, program)
        done = subprocess.run([program, "--batch", self.trace], input="place\n", text=True,
                              capture_output=True, check=True)
        self.assertIn("start-of-trace", done.stdout)
        done = subprocess.run([program, "--version"], text=True, capture_output=True, check=True)
        self.assertRegex(done.stdout, r"\Awalt-server-trackexec-replay \d+\.\d+\.\d+\n\Z")

    def test_without_a_terminal_the_batch_mode_is_named(self):
        done = subprocess.run([TRACKEXEC, "replay", self.trace], stdin=subprocess.DEVNULL,
                              text=True, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--batch", done.stderr)

    def test_a_copy_on_another_machine_reads_the_same(self):
        # Its zone does not matter, and the process is long gone.
        copy = os.path.join(self.folder.name, "copy")
        shutil.copytree(self.trace, copy, dirs_exist_ok=True)
        commands = ["j 30%", "s", "n"]
        done = subprocess.run([TRACKEXEC, "replay", "--batch", copy], text=True, check=True,
                              input="\n".join(commands), capture_output=True,
                              env={**os.environ, "TZ": "America/New_York"})
        self.assertEqual(done.stdout.splitlines(), replay(self.trace, *commands))

    def test_hostile_names_do_no_harm(self):
        copy = os.path.join(self.folder.name, "hostile")
        shutil.copytree(self.trace, copy, dirs_exist_ok=True)
        with sqlite3.connect(os.path.join(copy, "trace.db")) as db:
            db.execute("UPDATE code SET qualname = 'a\x1b[2J b\nc\u202e'")
            db.execute("UPDATE files SET path = '/x/\x1b]0;y\x07 z.py'")
        for options in ([], ["--json"]):
            done = subprocess.run([TRACKEXEC, "replay", "--batch", *options, copy], check=True,
                                  input=b"s\nbt\nthreads\nf\n=\n", capture_output=True)
            text = done.stdout.decode()
            self.assertFalse([c for c in text if (c < " " and c != "\n") or c in "\u202e\x7f"],
                             text)
        line = replay(copy, "j 50%")[0]
        self.assertEqual(line.count(" "), line.rstrip().count(" "))
        self.assertIn("a\\x1b[2J\\x20b\\x0ac\\xe2\\x80\\xae", line)


NAPS = """import time
def nap():
    time.sleep(0.2)
def work():
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        sum(range(100))
for _ in range(20):  # it may take a while until the recording begins
    work()
for _ in range(4):
    nap()
    work()
"""


class Waits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.trace = os.path.join(cls.folder.name, "trace")
        script = pathlib.Path(cls.folder.name, "naps.py")
        script.write_text(NAPS)
        subprocess.run([TRACKEXEC, "record", "-q", "--output", cls.trace, "--",
                        "/usr/bin/python3", script], stdin=subprocess.DEVNULL, check=True,
                       timeout=DEADLINE_S)
        with sqlite3.connect(os.path.join(cls.trace, "trace.db")) as db:
            edges, = db.execute("SELECT value FROM meta WHERE key = 'edges'").fetchone()
        if edges != "exact":
            raise unittest.SkipTest(f"edges are {edges}: exact ones are not permitted here")

    def assert_nap(self, item):
        self.assertEqual((item["line"], item["function"]), (3, "nap"), item)
        self.assertIn("waiting", item["flags"])
        state = item["state"]
        self.assertEqual((state["activity"], state["reason"], state["idle"]),
                         ("waiting", "sleep 200 ms", False))
        # Preempted between the call and its sleep, it sleeps for what is left.
        self.assertGreater(state["length_ns"], 120_000_000)

    def test_jumps_land_on_the_waits_both_ways(self):
        *there, last = replay_json(self.trace, "j start", *["wait 120ms"] * 6, status=1)
        self.assertIn("no such wait after", last["error"])
        *back, first = replay_json(self.trace, "j end", *["rwait 120ms"] * 6, status=1)
        self.assertIn("no such wait before", first["error"])
        # On a busy machine the program can wait as long before its first line.
        there, back = ([item for item in items[1:] if "line" in item] for items in (there, back))
        for item in there + back:
            self.assert_nap(item)
        times = [item["monotonic_ns"] for item in there]
        self.assertEqual(len(times), 4)
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(times, [item["monotonic_ns"] for item in back][::-1])

    def test_each_moment_of_a_wait_is_in_it(self):
        _, nap, within, after = replay_json(self.trace, "j +300ms", "wait 120ms", "j +100ms", "s")
        self.assert_nap(nap)
        self.assert_nap(within)
        self.assertEqual(within["state"], nap["state"])
        self.assertNotEqual(after["state"], nap["state"])

    def test_a_line_of_the_batch_mode_says_it(self):
        line = replay(self.trace, "j +300ms", "wait 120ms")[1]
        self.assertRegex(line, r" waiting .* wait_ns=\d+ reason=sleep\\x20200\\x20ms "
                               r"\(waits [\d.]+ ms: sleep 200 ms\)$")
        self.assertEqual(Place(line).function, "nap")


class Live(unittest.TestCase):
    def test_what_comes_is_seen_and_the_place_stays(self):
        with tempfile.TemporaryDirectory(prefix="trackexec-") as folder:
            trace = os.path.join(folder, "trace")
            script = shutil.copy(PHASES, folder)
            program = subprocess.Popen(["/usr/bin/python3", script, "1000"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            recorder = subprocess.Popen([TRACKEXEC, "record", "-q", "--output", trace, "--pid",
                                         str(program.pid)], stdin=subprocess.DEVNULL)
            try:
                self.follow(trace)
            finally:
                recorder.terminate()
                recorder.wait(DEADLINE_S)
                program.kill()
                program.wait()
            # Its end was written, although a reader had been there.
            self.assertIn("end-of-trace", replay(trace, "j end")[0])
            self.assertEqual(sorted(os.listdir(trace)), ["trace.db"])

    def wait_for(self, ask, found):
        deadline = time.monotonic() + DEADLINE_S
        while True:
            answer = ask()
            if found(answer):
                return answer
            self.assertLess(time.monotonic(), deadline, answer)
            time.sleep(0.1)

    def follow(self, trace):
        deadline = time.monotonic() + DEADLINE_S
        while subprocess.run([TRACKEXEC, "info", trace], capture_output=True,
                             check=False).returncode:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        with subprocess.Popen([TRACKEXEC, "replay", "--batch", trace], text=True, bufsize=1,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            def ask(command):
                process.stdin.write(command + "\n")
                return process.stdout.readline().rstrip("\n")

            first = self.wait_for(lambda: ask("j end"), lambda a: "still-recorded" in a)
            later = self.wait_for(lambda: ask("j end"),
                                  lambda a: a.split()[0] > first.split()[0])
            self.assertIn("still-recorded", later)
            stays = Place(ask("j 1%"))
            time_before = stays.time
            self.wait_for(lambda: ask("place"), lambda a: Place(a).time == time_before)
            self.assertEqual(ask("q"), "")


class Interpreters(unittest.TestCase):
    def test_all_versions_are_replayed(self):
        only = os.environ.get("TRACKEXEC_PYTHON")
        for python in pythons.interpreters():
            if only not in (None, python.label):
                continue
            with self.subTest(python=python.label), \
                    tempfile.TemporaryDirectory(prefix="trackexec-") as folder:
                process = python.start(PHASES, 3, stdout=subprocess.PIPE, text=True)
                try:
                    self.assertEqual(process.stdout.readline(), "ready\n")
                    trace = os.path.join(folder, "trace")
                    subprocess.run([TRACKEXEC, "record", "-q", "--output", trace, "--pid",
                                    str(process.pid)], stdin=subprocess.DEVNULL, check=True,
                                   timeout=DEADLINE_S)
                finally:
                    process.kill()
                    process.stdout.close()
                    process.wait()
                answer = replay(trace, f"b {pathlib.Path(process.script).name}:{LINES['once']}",
                                "c", "o")
                self.assertEqual(Place(answer[1]).line, LINES["once"])
                self.assertNotEqual(Place(answer[2]).function, "once")


if __name__ == "__main__":
    unittest.main()
