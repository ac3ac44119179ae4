# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench.py about exact mode: whether each line is there, and what it costs."""

import array
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

from measure import PROGRAMS, TESTS, BenchError, median, run, wait_for
from recording import TRACKEXEC, Line

PYTHON = "/usr/bin/python3.11"
COST_US = 2.5
BACK_MS = 100
LINES = 5000000
PER_ROUND = 36  # lines of exact_work.py's work(), about
RATE = 400000  # events a second that the collector's side has to take
SLOWER = 1.5  # a hundred rounds that take longer than usual by this are not at full speed
DEADLINE_S = 600


class Work:
    def __init__(self, rounds, mode):
        self.process = subprocess.Popen(
            [PYTHON, str(TESTS / "bench" / "exact_work.py"), str(rounds), str(mode)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = Line(self.process)
        self.lines.read(DEADLINE_S)

    def work(self):
        """Seconds on the clock, and of the CPU."""
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()
        return [float(word) for word in self.lines.read(DEADLINE_S).split()]

    def end(self):
        output, _ = self.process.communicate(timeout=DEADLINE_S)
        return output.decode()


class Exact:
    """trackexec record --mode exact of a process."""

    def __init__(self, pid, folder):
        self.trace = folder / "trace"
        self.process = subprocess.Popen(
            [TRACKEXEC, "record", "--mode", "exact", "-q", "--all", "--output", str(self.trace),
             "--pid", str(pid)], stdin=subprocess.DEVNULL)
        wait_for(lambda: (self.trace / "trace.db").exists(), "a trace")
        # The probes are set just after that; there is nothing that would tell from outside.
        time.sleep(1)
        if self.process.poll() is not None:
            raise BenchError("exact mode is not possible here")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        if self.process.wait(DEADLINE_S) != 0:
            raise BenchError("the recorder failed")


def recorded_lines(trace):
    """Innermost lines of work(), one for each line that was told."""
    found = array.array("H")
    command = [TRACKEXEC, "export", "--format", "jsonl", str(trace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for text in process.stdout:
            if b'"pop"' not in text:
                continue
            push = json.loads(text)["push"]
            if push and push[-1]["function"] in ("work", "called"):
                found.append(push[-1]["line"])
    return found


def measure_lines(options, report, folder):
    rounds = options.exact_lines // PER_ROUND
    told = folder / "told"
    reference = Work(rounds, told)
    traced = reference.work()
    reference.end()
    expected = array.array("H")
    with open(told, "rb") as lines:
        expected.frombytes(lines.read())

    program = Work(rounds, "-")
    plain = program.work()
    program.end()
    program = Work(rounds, "-")
    exact = Exact(program.process.pid, folder)
    clock, cpu = program.work()
    exact.stop()
    program.end()
    info = json.loads(subprocess.run([TRACKEXEC, "info", "--json", exact.trace],
                                     capture_output=True, check=True).stdout)
    recorded = recorded_lines(exact.trace)
    n = len(expected)
    same = sum(1 for a, b in zip(expected, recorded) if a == b) if len(recorded) else 0
    percent = 100 * same / n if len(recorded) == n else 100 * min(same, len(recorded)) / n
    cost_us = (cpu - plain[1]) / n * 1e6
    report.row(f"{n:,} lines: {len(recorded):,} recorded, {same:,} in the same place; "
               f"{n / clock:,.0f} lines/s; cost {cost_us:.2f} us CPU a line, "
               f"{(clock - plain[0]) / n * 1e6:.2f} us on the clock; "
               f"sys.settrace {(traced[1] - plain[1]) / n * 1e6:.2f} us",
               lines=n, recorded=len(recorded), lines_per_s=n / clock, cost_us=cost_us,
               settrace_us=(traced[1] - plain[1]) / n * 1e6, gaps=info["gaps_by_reason"],
               bytes=info["bytes"])
    report.goal("exact mode: lines complete and in order", percent, 100, higher=True, unit="%",
                digits=3)
    report.goal("exact mode: CPU per line for the target", cost_us, COST_US, unit="us", digits=2)


def measure_end(report, folder):
    """How soon after the end of exact mode the program is as fast as before."""
    program = Work(0, "watch")
    time.sleep(0.5)
    recorder = Exact(program.process.pid, folder / "end")
    time.sleep(0.5)
    ended = time.monotonic()
    recorder.stop()
    time.sleep(1)
    spans = [tuple(map(float, line.split())) for line in program.end().splitlines()]
    usual = median([took for start, took in spans if start > ended + 0.5])
    exact = median([took for start, took in spans if ended - 0.3 < start < ended])
    after = [span for span in spans if span[0] > ended]
    # From then on it is as fast as before, but for what others on this machine take.
    back = next(start for i, (start, _) in enumerate(after)
                if median([took for _, took in after[i:i + 9]]) < SLOWER * usual)
    back_ms = (back - ended) * 1e3
    report.row(f"full speed {back_ms:.0f} ms after its end (a hundred rounds: {exact * 1e3:.1f} ms "
               f"with exact mode, {usual * 1e3:.2f} ms without)", back_ms=back_ms)
    report.goal("exact mode: full speed after", back_ms, BACK_MS, unit="ms", digits=0)


def syscall_us():
    """What entering the kernel costs on this machine; a probe costs some of that, too."""
    program = ("import os, time; n = range(200000); f = os.getppid; s = time.process_time()\n"
               "for _ in n: f()\n"
               "m = time.process_time(); e = m - s; f = int\n"
               "for _ in n: f()\n"
               "print((e - (time.process_time() - m)) / len(n) * 1e6)")
    return float(subprocess.run([PYTHON, "-c", program], capture_output=True, check=True).stdout)


def figures(text):
    """Of "words  number unit" in each line."""
    found = {}
    for line in text.splitlines():
        words, number = re.fullmatch(r"(.*?) +([\d.]+)(?: .*)?", line).groups()
        found[words] = float(number)
    return found


def measure_probe(report):
    """What is ours of the cost of a probe."""
    cost = figures(run(PROGRAMS / "probe_cost")[0])
    report.row(f"reference: a probe that only counts costs {cost['counted']:.2f} us here, as exact "
               f"mode opens it {cost['told']:.2f} us", counted_us=cost["counted"],
               told_us=cost["told"])


def measure_rate(options, report, folder):
    """The collector's side alone, of which no machine's probes ask as much."""
    for rate in (RATE, "max"):
        taken = figures(run(PROGRAMS / "exact_rate", folder / f"rate-{rate}", rate,
                            options.exact_rate_s)[0])
        report.row(f"records that are made up, {'as many as it takes' if rate == 'max' else f'{rate:,}/s'}: "
                   f"{taken['events/s']:,.0f} events/s, {taken['lost']:.0f} lost, "
                   f"{taken['ring in use']:.1f} % of a ring in use; CPU "
                   f"{taken['CPU of the sampler']:.0f} ns an event in the sampler, "
                   f"{taken['CPU of the writer']:.0f} ns in the writer",
                   asked=rate, **{key.replace(" ", "_"): value for key, value in taken.items()})
        if rate == RATE:
            report.goal("exact mode: lost of 400,000 events/s", taken["lost"] + taken["events"]
                        - taken["taken"], 0, digits=0)
        else:
            report.goal("exact mode: events/s without the probes", taken["events/s"], RATE,
                        higher=True, digits=0)


def measure_exact(options, report):
    if os.geteuid() != 0 or not os.path.exists(PYTHON):
        raise BenchError(f"takes root and {PYTHON}")
    with tempfile.TemporaryDirectory(prefix="trackexec-bench-") as name:
        folder = pathlib.Path(name)
        (folder / "end").mkdir()
        report.row(f"reference: an empty system call takes {syscall_us():.2f} us here",
                   syscall_us=syscall_us())
        with report.attempt("probe"):
            measure_probe(report)
        with report.attempt("rate"):
            measure_rate(options, report, folder)
        with report.attempt("lines"):
            measure_lines(options, report, folder)
        with report.attempt("end"):
            measure_end(report, folder)


def set_lengths(options):
    options.exact_lines = LINES // 10 if options.quick else LINES
    options.exact_rate_s = 2 if options.quick else 10


SECTIONS = {
    "exact": ("20. Exact mode: completeness, cost, and the end of it", measure_exact),
}
