# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench.py about replay: how long each movement takes, and how much memory."""

import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time

from measure import PROGRAMS, TRACKEXEC, median, run

RARE = "tight.py:55"  # see make_trace.c: seen once, after two thirds
MIB = 1 << 20


class Batch:
    """A running `replay --batch`; ask() gives the answer and how long it took in ms."""

    def __init__(self, trace):
        self.process = subprocess.Popen([TRACKEXEC, "replay", "--batch", trace], text=True,
                                        bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command):
        start = time.perf_counter()
        self.process.stdin.write(command + "\n")
        answer = self.process.stdout.readline()
        took_ms = 1e3 * (time.perf_counter() - start)
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"{command}: {answer.strip() or 'no answer'}")
        return answer, took_ms

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def first_screen(trace):
    """From the start of the program to its first whole screen: ms; its peak of memory in MiB."""
    main, side = pty.openpty()
    fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    start = time.perf_counter()
    process = subprocess.Popen([TRACKEXEC, "replay", trace], stdin=side, stdout=side,
                               env=environment)
    os.close(side)
    shown = b""
    try:
        while b"q quit" not in shown:
            if not select.select([main], [], [], 30)[0]:
                raise RuntimeError("no screen came")
            shown += os.read(main, 1 << 16)
        took_ms = 1e3 * (time.perf_counter() - start)
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        os.close(main)
    return took_ms, peak


def measure_moves(batch, n):
    """{movement: [ms]} from places all over the trace."""
    times = {name: [] for name in ("jump", "n", "s", "N", "S", "c", "C")}
    chance = random.Random(4711)
    batch.ask("place")
    batch.ask(f"b {RARE}")
    for _ in range(n):
        times["jump"].append(batch.ask(f"j {100 * chance.random():.6f}%")[1])
        for move in ("n", "s", "N", "S"):
            times[move].append(batch.ask(move)[1])
        # From both sides of the one hit.
        batch.ask(f"j {60 * chance.random():.6f}%")
        answer, took = batch.ask("c")
        if "breakpoint=1" not in answer:
            raise RuntimeError(f"the breakpoint was not reached: {answer}")
        times["c"].append(took)
        batch.ask(f"j {70 + 30 * chance.random():.6f}%")
        answer, took = batch.ask("C")
        if "breakpoint=1" not in answer:
            raise RuntimeError(f"the breakpoint was not reached: {answer}")
        times["C"].append(took)
    return times


def measure_long_call(options, report, folder):
    trace = os.path.join(folder, "long")
    run(PROGRAMS / "long_call", trace, options.call_blocks)
    forwards, backwards = [], []
    for _ in range(options.repeat + 2):
        with Batch(trace) as batch:
            batch.ask("place")
            answer, took = batch.ask("n")
            if ":3 main" not in answer:
                raise RuntimeError(f"not over the call: {answer}")
            forwards.append(took)
            backwards.append(batch.ask("N")[1])
            peak = batch.peak_mib()
    report.row(f"n, N over a call of {options.call_blocks:,} blocks: {median(forwards):.2f}, "
               f"{median(backwards):.2f} ms; {peak:.1f} MiB", n_ms=forwards, N_ms=backwards,
               peak_mib=peak)
    report.goal("n over a long call", max(forwards + backwards), 100, unit="ms")


def measure_replay(options, report):
    with tempfile.TemporaryDirectory(prefix="trackexec-bench-") as folder:
        trace = os.path.join(folder, "trace")
        made = run(PROGRAMS / "make_trace", trace, options.replay_transitions)[0].split("\n")
        size = os.path.getsize(os.path.join(trace, "trace.db"))
        report.row(f"{options.replay_transitions:,} events, {size / MIB:.0f} MiB",
                   bytes=size, made=made)
        with report.attempt("first screen"):
            opened = [first_screen(trace) for _ in range(2 * options.repeat + 3)]
            report.row(f"first screen: {median([ms for ms, _ in opened]):.1f} ms, "
                       f"{opened[-1][1]:.1f} MiB", opened=opened)
            report.goal("first screen, median", median([ms for ms, _ in opened]), 100, unit="ms")
            report.goal("memory then", max(mib for _, mib in opened), 64, unit="MiB")
        with report.attempt("movements"), Batch(trace) as batch:
            times = measure_moves(batch, options.replay_moves)
            report.head(f"{'':8}median       99 %      worst   (ms)")
            limits = {"jump": 20, "n": 5, "s": 5, "N": 5, "S": 5, "c": 50, "C": 50}
            for name, taken in times.items():
                taken.sort()
                most = taken[int(0.99 * (len(taken) - 1))]
                report.row(f"{name:6}{median(taken):8.2f} {most:10.2f} {taken[-1]:10.2f}",
                           movement=name, ms=taken)
            for name, limit in limits.items():
                most = times[name][int(0.99 * (len(times[name]) - 1))]
                report.goal(f"{name}: 99 of 100", most, limit, unit="ms")
            report.goal("memory at all times", batch.peak_mib(), 64, unit="MiB")
        with report.attempt("a long call"):
            measure_long_call(options, report, folder)


def set_lengths(options):
    options.replay_transitions = 5_000_000 if options.quick else 100_000_000
    options.replay_moves = 50 if options.quick else 300
    options.call_blocks = 100_000 if options.quick else 1_000_000


SECTIONS = {"replay": ("17. Replay: a trace of 100 million events", measure_replay)}
