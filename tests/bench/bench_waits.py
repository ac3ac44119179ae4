# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench.py about waits: what edges, reasons and native stacks cost and find."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time

from measure import (BenchError, PROGRAMS, Recorder, TESTS, TRACKEXEC, children, median, run,
                     thread_times)
from recording import Line, Target
from trace_waits import WaitTrace
import bench_collector

IDLE_CPU_PERCENT = 0.2
SLOWER_PERCENT = 2
COMPLETE_PERCENT = 99
SWITCHES_PER_S = 20000
NOW_S = 1


def cpu_percent(recorder, seconds):
    """Of a core, all threads of both processes."""
    before, start = recorder.times(), time.monotonic()
    time.sleep(seconds)
    after, took = recorder.times(), time.monotonic() - start
    return sum(after[tid][0] - first[0] for tid, first in before.items() if tid in after) / took / 1e7


def measure_idle(options, report):
    for name in ("one thread", "300 threads"):
        with report.attempt(f"idle, {name}"), contextlib.ExitStack() as stack:
            n = 0 if name == "one thread" else 300
            target = stack.enter_context(Target(options.main, "sleepers", n))
            recorder = stack.enter_context(Recorder(target.process.pid))
            time.sleep(bench_collector.WARM_S)
            percent = cpu_percent(recorder, options.idle_seconds)
            recorder.stop()
            report.row(f"`trackexec record` of an idle target, {name}: {percent:.3f} % of a core",
                       threads=n, cpu_percent=percent)
            if n == 0:
                report.goal("idle target: CPU", percent, IDLE_CPU_PERCENT, unit="%", digits=3)
    with report.attempt("collector"), bench_collector.Collector() as collector, \
            bench_collector.titled(options.main, "idle", 4):
        collector.wait_for_targets(4)
        time.sleep(bench_collector.WARM_S)
        percent = bench_collector.cpu_over(collector, options.idle_seconds)
        report.row(f"collector, four idle targets: {percent:.3f} % of a core", cpu_percent=percent)
        report.goal("four idle targets: CPU", percent, IDLE_CPU_PERCENT, unit="%", digits=3)


class PingPong:
    """Two processes that wake each other; both on one CPU, where a switch costs least."""

    def __init__(self, python, rounds):
        self.process = python.start(TESTS / "bench" / "ping_pong.py", rounds,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = Line(self.process)

    def __enter__(self):
        self.lines.read()
        self.partner = children(self.process.pid)[0]
        cpu = {max(os.sched_getaffinity(self.process.pid))}
        for pid in (self.process.pid, self.partner):
            os.sched_setaffinity(pid, cpu)
        return self

    def play(self):
        """(seconds, those without a CPU, switches)"""
        partner = thread_times(self.partner)[self.partner]
        own = thread_times(self.process.pid)[self.process.pid]
        os.write(self.process.stdin.fileno(), b"\n")
        took_ns, _, switches = map(int, self.lines.read().split())
        partner_after = thread_times(self.partner)[self.partner]
        own_after = thread_times(self.process.pid)[self.process.pid]
        on_cpu_ns = sum(b[0] - a[0] for a, b in ((own, own_after), (partner, partner_after)))
        return took_ns / 1e9, on_cpu_ns / 1e9, switches

    def __exit__(self, *details):
        for pid in (self.partner, self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def recorded(pid):
    """Yields what stops and continues the recorder's half that reads. The events stay open then:
    what they cost is measured by turns with and without a recorder."""
    with Recorder(pid) as recorder:
        yield recorder
        recorder.stop()


@contextlib.contextmanager
def switches_noted(pid):
    """By the kernel, for nobody."""
    with subprocess.Popen([PROGRAMS / "bare_switches", str(pid)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        if process.stdout.readline() != b"ready\n":
            raise BenchError("bare_switches has failed")
        yield
        process.stdin.close()


def switching_turns(python, options):
    """For each way: slower by so many percent than alone, by CPU time; and switches per second."""
    ways = {"alone": lambda pid: contextlib.nullcontext(), "recorded": recorded,
            "switches noted": switches_noted}
    slower, rates = {name: [] for name in ways}, []
    with PingPong(python, options.ping_rounds) as game:
        game.play()
        for number in range(options.switch_pairs):
            found = {}
            for name in sorted(ways, reverse=number % 2):
                with ways[name](game.process.pid):
                    turns = [game.play() for _ in range(3)]
                    found[name] = min(turn[1] for turn in turns)
                if name == "alone":
                    rates.append(turns[0][2] / turns[0][0])
            for name, cpu_s in found.items():
                slower[name].append(100 * (cpu_s / found["alone"] - 1))
    return slower, rates


def measure_switching(options, report):
    with report.attempt("switching"):
        slower, rates = switching_turns(options.main, options)
        report.row(f"{median(rates):,.0f} switches/s; slower by CPU time, medians of {len(rates)} "
                   f"turns: {median(slower['recorded']):.2f} %, where the kernel only notes the "
                   f"switches {median(slower['switches noted']):.2f} %",
                   switches_per_s=rates, slower_percent=slower)
        part = SWITCHES_PER_S / median(rates)
        report.note(f"in proportion, at {SWITCHES_PER_S:,} switches/s: "
                    f"{median(slower['recorded']) * part:.2f} %, the kernel's notes alone "
                    f"{median(slower['switches noted']) * part:.2f} %")
        report.goal("slower at 20,000 switches/s, CPU time",
                    median(slower["recorded"]) * part, SLOWER_PERCENT, unit="%")


def measure_stacks(options, report):
    """Waits of all kinds, again and again."""
    for python in options.pythons:
        with report.attempt(python.label):
            proc = os.open("/proc", os.O_PATH)
            try:
                f = stacks_of(python, options, proc)
            finally:
                os.close(proc)
            report.row(f"{python.label:14} {f['waits']:6,} waits over 10 ms: with a reason "
                       f"{f['reasons']:7.2%}, a stack {f['stacks']:7.2%}, of those complete "
                       f"{f['complete']:7.2%}", python=python.label, **f)
            report.goal(f"{python.label}: complete stacks", 100 * f["complete"], COMPLETE_PERCENT,
                        higher=True, unit="%")


def stacks_of(python, options, proc):
    names = ",".join(name for name in ("sleep", "select", "poll", "epoll", "read_pipe", "recv_unix",
                                       "recv_tcp", "accept", "flock", "lock", "queue", "event"))
    with Target(python, "waits", proc, names, stdin=subprocess.PIPE, pass_fds=[proc]) as target:
        with Recorder(target.process.pid) as recorder:
            for _ in range(options.wait_rounds):
                target.process.stdin.write(b"one\n")
                target.process.stdin.flush()
                target.lines.read()
            recorder.stop()
            waits = [wait for wait in WaitTrace(recorder.trace).waits
                     if wait.state == 0 and wait.length_ns >= 10_000_000]
        target.process.stdin.close()
    if not waits:
        raise BenchError("there are no waits")
    with_stack = [wait for wait in waits if wait.native.frames]
    return {"waits": len(waits),
            "reasons": sum(bool(wait.reason.what) for wait in waits) / len(waits),
            "stacks": len(with_stack) / len(waits),
            "complete": sum(w.native.is_complete for w in with_stack) / max(1, len(with_stack))}


# A thread that does now this, now that, and then hangs.
HANGING = """
import random, sys, time
random.seed(7)
for line in sys.stdin:
    end = time.monotonic() + random.choice((0.01, 0.2, 0.7))
    while time.monotonic() < end:
        sum(range(1000))
    for _ in range(random.randrange(6)):
        time.sleep(random.choice((0.002, 0.05, 0.3)))
    print("hangs", flush=True)
    time.sleep(2.5)
    print("on", flush=True)
"""


def told_after_s(recorder, target, begun_s):
    """Until `info` tells the hang's reason; None when it was over before."""
    while not select.select([target.stdout], [], [], 0.01)[0]:
        now = json.loads(run(TRACKEXEC, "info", "--json", recorder.trace)[0]).get("now") or [{}]
        if now[0].get("reason") == "sleep 2.5 s" and \
                now[0]["since"] > time.time() - (time.monotonic() - begun_s) - 0.1:
            return time.monotonic() - begun_s
    return None


def measure_now(options, report):
    for rate in ("5000", "30"):
        with report.attempt(f"now, {rate} Hz"), \
                options.main.start(HANGING, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE) as target, \
                Recorder(target.pid, "--rate", rate) as recorder:
            lines, found = Line(target), []
            for _ in range(options.hangs):
                os.write(target.stdin.fileno(), b"\n")
                lines.read()
                found.append(told_after_s(recorder, target, time.monotonic()))
                lines.read()
            target.stdin.close()
            if None in found:
                raise BenchError("a hang was over before it was told")
            report.row(f"a hang is told by info, {rate} Hz: after {median(found):.2f} s, at most "
                       f"{max(found):.2f} s", rate=rate, after_s=found)
            report.goal(f"a hang is told, {rate} Hz, at most", max(found), NOW_S, unit="s")


def set_lengths(options):
    options.ping_rounds = 10000
    options.switch_pairs = 5 if options.quick else 15
    options.hangs = 6 if options.quick else 20
    options.wait_rounds = 3 if options.quick else 40


def measure_waits(options, report):
    measure_idle(options, report)
    measure_switching(options, report)
    measure_now(options, report)
    measure_stacks(options, report)


SECTIONS = {
    "waits": ("16. Waits: idle targets, switches, native stacks", measure_waits),
}
