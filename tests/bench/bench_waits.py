# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench.py about waits: what edges, reasons and native stacks cost and find."""

import contextlib
import os
import signal
import subprocess
import time

from measure import BenchError, Recorder, TESTS, children, median, thread_times
from recording import Line, Target
from trace_waits import WaitTrace
import bench_collector

IDLE_CPU_PERCENT = 0.2
SLOWER_PERCENT = 2
COMPLETE_PERCENT = 99
SWITCHES_PER_S = 20000


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


def switching_pairs(python, options):
    """Slower by so many percent, by the clock and by CPU time; and switches per second without."""
    by_clock, by_cpu, rates = [], [], []
    with PingPong(python, options.ping_rounds) as game:
        game.play()
        for pair in range(options.switch_pairs):
            found = {}
            for with_it in (bool(pair % 2), not pair % 2):
                with recorded(game.process.pid) if with_it else contextlib.nullcontext():
                    turns = [game.play() for _ in range(3)]
                    found[with_it] = min(turn[0] for turn in turns), min(turn[1] for turn in turns)
            rates.append(turns[0][2] / turns[0][0])
            by_clock.append(100 * (found[True][0] / found[False][0] - 1))
            by_cpu.append(100 * (found[True][1] / found[False][1] - 1))
    return by_clock, by_cpu, rates


def measure_switching(options, report):
    with report.attempt("switching"):
        by_clock, by_cpu, rates = switching_pairs(options.main, options)
        report.row(f"{median(rates):,.0f} switches/s; slower, medians of {len(by_clock)} pairs: "
                   f"{median(by_clock):.2f} % by the clock, {median(by_cpu):.2f} % by CPU time",
                   by_clock=by_clock, by_cpu=by_cpu, switches_per_s=rates)
        report.note(f"in proportion, at {SWITCHES_PER_S:,} switches/s: "
                    f"{median(by_cpu) * SWITCHES_PER_S / median(rates):.2f} %")
        report.goal("slower at 20,000 switches/s, CPU time",
                    median(by_cpu) * SWITCHES_PER_S / median(rates), SLOWER_PERCENT, unit="%")


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


def set_lengths(options):
    options.ping_rounds = 10000
    options.switch_pairs = 5 if options.quick else 15
    options.wait_rounds = 3 if options.quick else 40


def measure_waits(options, report):
    measure_idle(options, report)
    measure_switching(options, report)
    measure_stacks(options, report)


SECTIONS = {
    "waits": ("16. Waits: idle targets, switches, native stacks", measure_waits),
}
