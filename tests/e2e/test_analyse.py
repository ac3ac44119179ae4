# SPDX-License-Identifier: BSD-3-Clause
"""trackexec analyse, on recordings of programs that know where their time went."""

import csv
import io
import json
import os
import pathlib
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

from recording import DEADLINE_S, TESTS, TRACKEXEC, Recording, Target, trackexec
from terminal import Terminal
import pythons

PYTHON = "/usr/bin/python3"
PHASES = TESTS / "targets" / "phases.py"
LINES = {line.split("# line of ")[1]: number
         for number, line in enumerate(PHASES.read_text().splitlines(), 1) if "# line of " in line}
ROUNDS = 6
OK, FAILED, USAGE, NO_TRACE = 0, 1, 2, 3


def analyse(*words, status=OK, **options):
    done = subprocess.run([TRACKEXEC, "analyse", *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=DEADLINE_S,
                          **options)
    if done.returncode != status:
        raise AssertionError(f"status {done.returncode}: {done.stdout}{done.stderr}")
    return done


def analyse_json(*words, **options):
    return json.loads(analyse("--json", *words, **options).stdout)


def interpreter():
    return next((python for python in pythons.interpreters() if not python.root),
                pythons.interpreters()[0])


def marked_line(script, mark):
    lines = pathlib.Path(script).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(mark))


class Phases(unittest.TestCase):
    """A program that sleeps and works by turns, for times that are known."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        cls.trace = os.path.join(cls.folder.name, "trace")
        cls.script = shutil.copy(PHASES, cls.folder.name)
        # A machine with other things to do gives a recorder no time to look.
        for _ in range(4):
            shutil.rmtree(cls.trace, ignore_errors=True)
            cls.record()
            cls.unobserved_ns = analyse_json(cls.trace)["unobserved_ns"]
            if cls.unobserved_ns < 1e6:
                break

    @classmethod
    def record(cls):
        done = subprocess.run([TRACKEXEC, "record", "-q", "--output", cls.trace, "--", PYTHON,
                               cls.script, str(ROUNDS)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=True, timeout=DEADLINE_S)
        cls.phases = [(float(when), name) for when, name in
                      (line.split() for line in done.stdout.splitlines() if " " in line)]
        # Where the machine is busy, the first ones may be over before they are looked at.
        start = json.loads(trackexec("info", "--json", cls.trace))["start_unix_s"]
        cls.phases = [phase for phase in cls.phases if phase[0] > start]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def file_id(self):
        return f"--file-id={next(row['file_id'] for row in self.rows().values())}"

    def rows(self, *options, what="lines", key="line"):
        return {row[key]: row for row in
                analyse_json("-l", 1000, "--file", "phases.py", *options, self.trace)[what]}

    def test_visits_last_as_long_as_they_do(self):
        if self.unobserved_ns > 1e6:
            self.skipTest("the machine is too busy: some of it was not observed")
        rows = self.rows("--percentiles")
        for name, seconds in (("sleep_first", 0.15), ("sleep_second", 0.1), ("once", 0.02)):
            with self.subTest(line=name):
                durations = rows[LINES[name]]["durations"]
                began = [when for when, phase in self.phases if phase == name]
                # The one that went on when the recording began may be there, too.
                self.assertIn(durations["count"] - (len(began) or 1), (0, 1))
                # A busy machine can make a sleep longer, but not half of them by much.
                self.assertGreater(durations["p50_ns"], seconds * 1e9 * 0.98)
                self.assertLess(durations["p50_ns"], seconds * 1e9 * 1.5)
                self.assertGreaterEqual(durations["max_ns"], durations["p50_ns"] * 0.98)
                if name != "once":
                    self.assertLess(min(abs(durations["max_unix_s"] - when) for when in began),
                                    0.02)

    def test_functions_and_lines_agree(self):
        lines, functions = self.rows(), self.rows("--by", "function", what="functions",
                                                  key="function")
        for key in ("self_ns", "on_cpu_ns", "wait_ns", "ready_ns"):
            if any(row[key] is None for row in lines.values()):
                continue
            with self.subTest(key=key):
                self.assertEqual(sum(row[key] for row in lines.values()),
                                 sum(row[key] for row in functions.values()))
        if self.unobserved_ns < 1e6:
            called = sum(name == "sleep_first" for _, name in self.phases)
            self.assertIn(functions["sleep_first"]["calls"] - called, (0, 1))
        self.assertGreaterEqual(functions["main"]["total_ns"],
                                max(row["total_ns"] for row in functions.values()))

    def test_the_index_of_functions_is_what_a_walk_finds(self):
        walked = self.copy("DROP TABLE functions")
        for part in ((), ("--since", "30%", "--until", "70%"), ("--function", "sleep_*")):
            found = [analyse_json("--by", "function", "-l", 1000, *part, trace)
                     for trace in (self.trace, walked)]
            for rows in found:
                rows.pop("trace", None)
                for row in rows["functions"]:
                    # Waits are listed in units of a microsecond.
                    row.pop("gil_ns", None)
            with self.subTest(part=part):
                self.assertEqual(*found)

    def test_an_interval_has_what_happened_in_it(self):
        whole = self.rows()
        start = next(when for when, name in self.phases[3:] if name == "sleep_first")
        row = self.rows("--since", f"@{start + 0.02:.6f}", "--until", "+0.1s")[
            LINES["sleep_first"]]
        self.assertLess(abs(row["self_ns"] - 100e6), 1e6)
        self.assertEqual(row["visits"], 0)
        half = f"@{self.phases[len(self.phases) // 2][0]:.6f}"
        first, second = self.rows("--until", half), self.rows("--since", half)
        for line, row in whole.items():
            for key in ("self_ns", "on_cpu_ns", "wait_ns", "ready_ns"):
                parts = sum(part[line][key] or 0 for part in (first, second) if line in part)
                self.assertEqual(parts, row[key] or 0)

    def test_formats_agree(self):
        rows = self.rows()
        text = analyse("--format", "csv", "-l", 1000, "--file", "phases.py", self.trace).stdout
        table = {int(row["line"]) if row["line"] else None: row
                 for row in csv.DictReader(io.StringIO(text, newline=""))}
        self.assertEqual(set(table), set(rows))
        for line, row in rows.items():
            self.assertEqual(table[line]["source"], row["source"] or "")
            self.assertEqual(int(table[line]["self_ns"]), row["self_ns"])

    def test_a_file_is_annotated(self):
        text = analyse(self.file_id(), self.trace).stdout
        source = PHASES.read_text(encoding="utf-8").splitlines()
        shown = text.split("SOURCE\n")[1].splitlines()
        for line, row in zip(source, shown):
            self.assertTrue(row.endswith(line.rstrip()), row)
        self.assertIn(" %", shown[LINES["sleep_first"] - 1])
        self.assertNotIn(" %", shown[LINES["sleep_first"] - 3])

    def test_it_is_a_program_of_its_own(self):
        program = os.path.join(self.folder.name, "walt-server-trackexec-analyse")
        os.symlink(TRACKEXEC, program)
        done = subprocess.run([program, "--num-items", "2", "--sort-column", "average-runtime",
                               self.trace], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, analyse("--num-items", 2, "--sort-column",
                                              "average-runtime", self.trace).stdout)
        self.assertIn("walt-server-trackexec-analyse",
                      subprocess.run([program, "--version"], capture_output=True, text=True,
                                     check=True).stdout)

    # --- where it goes

    def test_who_has_read_enough_may_leave(self):
        script = f"{shlex.quote(TRACKEXEC)} analyse {{}} {shlex.quote(self.trace)}" \
                 " | head -n 1; echo status=${{PIPESTATUS[0]}}"
        for option in ("-l1000", "--json", "--format=csv", self.file_id()):
            with self.subTest(option=option):
                done = subprocess.run(["bash", "-c", script.format(option)], text=True,
                                      capture_output=True, check=True)
                self.assertEqual(done.stderr, "")

    def test_a_closed_pipe_is_no_error(self):
        # Also where SIGPIPE has its default, and where the output does not fit into one buffer.
        for restored in (False, True):
            for option in ("-l20", "--json", "--format=csv", "--waits"):
                with self.subTest(option=option, restored=restored):
                    reader, writer = os.pipe()
                    os.close(reader)
                    with os.fdopen(writer, "wb") as pipe:
                        done = subprocess.run(
                            [TRACKEXEC, "analyse", option, self.trace], stdout=pipe,
                            stderr=subprocess.PIPE, check=False, restore_signals=restored)
                    self.assertEqual((done.returncode, done.stderr), (OK, b""))

    def test_a_full_disk_is_told(self):
        for option in ("-l20", "--json", "--format=csv", self.file_id(), "--waits"):
            with self.subTest(option=option), open("/dev/full", "wb") as full:
                done = subprocess.run([TRACKEXEC, "analyse", option, self.trace], stdout=full,
                                      stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual(done.returncode, FAILED)
                self.assertIn("cannot write to standard output: No space left on device",
                              done.stderr)

    def terminal(self, *options, **environment):
        variables = {"LESS": "FRX", "TERM": "tmux-256color", **environment}
        return Terminal([TRACKEXEC, "analyse", *options, self.trace], columns=100, rows=30,
                        **variables)

    def test_long_output_goes_through_the_pager(self):
        with self.terminal("-l3", TRACKEXEC_PAGER="sed s/^/paged:/", PAGER="false") as terminal:
            lines = terminal.wait("LOCATION", "status=0")
            self.assertTrue(any(line.startswith("paged:") for line in lines))
        with self.terminal("--no-pager", "-l3", PAGER="sed s/^/paged:/") as terminal:
            lines = terminal.wait("LOCATION", "status=0")
            self.assertFalse(any("paged:" in line for line in lines))

    def test_without_the_pager_all_is_shown(self):
        with self.terminal("-l3", PAGER="no-such-pager -R") as terminal:
            terminal.wait("no pager 'no-such-pager -R'", "LOCATION", "status=0")
        with self.terminal("--json", PAGER="no-such-pager -R") as terminal:
            terminal.wait('"lines_not_shown"', "status=0")

    def test_a_pager_that_is_left_ends_quietly(self):
        with self.terminal(self.file_id(), PAGER="head -n 1") as terminal:
            lines = [line for line in terminal.wait("status=") if line]
            self.assertEqual(len(lines), 2, lines)
            self.assertEqual(lines[1], "status=0")

    def test_less_shows_a_file_page_by_page(self):
        if not shutil.which("less"):
            self.skipTest("less is not installed")
        with self.terminal(self.file_id(), PAGER="less") as terminal:
            terminal.wait("LINE")
            self.assertFalse(any("status=" in line for line in terminal.screen()))
            terminal.keys("q")
            terminal.wait("status=0")

    def test_colours_are_for_terminals(self):
        for variables, is_coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            with self.subTest(**variables), \
                    self.terminal("--no-pager", "-l3", **variables) as terminal:
                terminal.wait("status=0")
                shown = "\n".join(terminal.screen(attributes=True))
                self.assertEqual("\x1b[1m" in shown, is_coloured)
        self.assertNotIn("\x1b", analyse(self.trace).stdout)

    # --- what is no good

    def copy(self, *statements):
        folder = tempfile.mkdtemp(dir=self.folder.name)
        path = shutil.copy(os.path.join(self.trace, "trace.db"), folder)
        with sqlite3.connect(path) as db:
            for statement in statements:
                db.execute(statement)
        db.close()
        return path

    def test_an_empty_trace_is_no_error(self):
        path = self.copy("DELETE FROM lines", "DELETE FROM functions", "DELETE FROM waits",
                         "DELETE FROM blocks", "DELETE FROM threads")
        for option, text in (("-l20", "No line of the followed code was seen."),
                             ("-f", "No function of the followed code was seen."),
                             ("--waits", "No wait of the followed code was seen")):
            with self.subTest(option=option):
                self.assertIn(text, analyse(option, path).stdout)
        self.assertEqual(analyse_json(path)["lines"], [])

    def test_a_newer_trace_is_told(self):
        done = analyse(self.copy("PRAGMA user_version = 99"), status=NO_TRACE)
        self.assertIn("newer", done.stderr)

    def test_a_foreign_file_is_told(self):
        done = analyse(self.script, status=NO_TRACE)
        self.assertEqual(done.stdout, "")
        self.assertIn(self.script, done.stderr)

    def test_damage_is_told_and_the_rest_shown(self):
        # So short a recording can have a single block: the damaged one comes behind it.
        path = self.copy("INSERT INTO blocks (id, thread, first_ns, last_ns, lowest_depth, "
                         "n_events, data) SELECT id + 1, thread, last_ns, last_ns + 1000000, "
                         "lowest_depth, 1, substr(data, 1, length(data) / 2) FROM blocks "
                         "WHERE id = (SELECT max(id) FROM blocks)")
        done = analyse("--by", "function", "--percentiles", path, status=NO_TRACE)
        self.assertIn("sleep_first", done.stdout)
        self.assertIn("damaged: what could be read is shown", done.stderr)

    def test_an_interval_without_events_is_told(self):
        done = analyse("--since", "2001-01-01", "--until", "2001-01-02", self.trace, status=USAGE)
        self.assertIn("analyse: ", done.stderr)
        self.assertEqual(done.stdout, "")


# What the analyser adds up is tested here, not what the recorder misses: at a moderate rate beside
# exact edges, lines next to a wait that is shorter than the interval are 2 to 3 points off.
UNBIASED = ("--rate", "max", "--edges", "none")


class Shares(unittest.TestCase):
    """The shares that a program measured itself between two moments."""

    def measure(self):
        """{line: (truth, found)}, the part of the interval that was observed, and turn's of it."""
        with Target(interpreter(), "known_shares") as target, \
                Recording(target.process.pid, *UNBIASED, duration_s=2.5) as recording:
            target.process.send_signal(signal.SIGTERM)
            truth = json.loads(target.lines.read())
            offset = time.time_ns() - time.monotonic_ns()
            start = int(recording.info()["start_unix_s"] * 1e9) - offset
            inside = [sums for sums in truth["history"] if start + 3e8 < sums[0] < start + 2.3e9]
            first, last = inside[0], inside[-1]
            interval = ("--since", f"[{first[0] / 1e9:.9f}]", "--until", f"[{last[0] / 1e9:.9f}]")
            found = analyse_json("-l", 1000, "--function", "turn", *interval, recording.trace)
            functions = analyse_json("-l", 1000, "-f", *interval, recording.trace)["functions"]
        sums = [after - before for before, after in zip(first[1:], last[1:])]
        totals = {row["line"]: row["total_ns"] for row in found["lines"]}
        seen = [totals.get(line["line"], 0) for line in truth["lines"]]
        shares = {line["name"]: (true / sum(sums), each / sum(seen))
                  for line, true, each in zip(truth["lines"], sums, seen)}
        turn = next(row for row in functions if row["function"] == "turn")
        observed = found["observed_ns"]
        return shares, observed / (last[0] - first[0]), turn["total_ns"] / observed

    def test_they_are_the_truth(self):
        # A machine with other things to do gives a recorder no time to look.
        for _ in range(5):
            shares, observed, turn = self.measure()
            worst = max(abs(true - found) for true, found in shares.values())
            if worst < 0.01 and turn > 0.98:
                return
        load = os.getloadavg()[0]
        if observed < 0.99 or load > os.cpu_count():
            self.skipTest(f"the machine is too busy: {observed:.0%} of the time was observed, "
                          f"load {load}")
        self.assertGreater(turn, 0.98)
        self.assertLess(worst, 0.01, shares)


class Gil(unittest.TestCase):
    def test_waits_for_it_have_their_column(self):
        with Target(interpreter(), "gil") as target, \
                Recording(target.process.pid, duration_s=1.5) as recording:
            if recording.info()["edges"] != "exact":
                self.skipTest("no permission to see when threads are on a CPU")
            rows = {row["line"]: row for row in
                    analyse_json("-l", 1000, recording.trace)["lines"]}
            text = analyse("--sort-column", "gil", recording.trace).stdout
            script = target.script
        self.assertIn("GIL", text)
        for mark in ("at:first", "at:second"):
            row = rows[marked_line(script, mark)]
            loop = rows.get(row["line"] - 1, {"self_ns": 0, "gil_ns": 0, "wait_ns": 0})
            gil, wait, own = (row[key] + loop[key] for key in ("gil_ns", "wait_ns", "self_ns"))
            # Each has it half of the time.
            self.assertGreater(wait / own, 0.3)
            self.assertLess(wait / own, 0.7)
            self.assertGreater(gil / wait, 0.5)
            self.assertLessEqual(gil, wait)


if __name__ == "__main__":
    unittest.main()
