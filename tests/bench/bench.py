#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""make bench: measure what trackexec promises, each figure beside its reference of the same run.

Says "met" or "MISSED" beside each goal, and ends well either way: it measures, the tests judge.
The machine should have nothing else to do. Where it has, --nice -15 gives what is measured the
CPU before others; "running" and "without waiting" say how far that went.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from measure import (PROGRAMS, Recorder, Report, TRACKEXEC, apart, Worker, busiest,
                     debian_python, median, pythons, run, wait_for)
from recording import Recording, Target
import bench_collector
import bench_exact
import bench_waits
import bench_precise
import bench_replay
import bench_report
import bench_told
import judges

MAX_RATE = ("--rate", "max", "--all")


def watched_recording(target, seconds, *options):
    """Record; (info, share of a CPU that the sampler had, share in which it waited for one)."""
    with Recorder(target.process.pid, *options) as recorder:
        wait_for(lambda: len(recorder.times()) > 2, "the sampler")
        before, start = recorder.times(), time.monotonic()
        time.sleep(seconds)
        had, waited = busiest(before, recorder.times(), time.monotonic() - start)
        recorder.stop()
        return recorder.info(), had, waited


# ---- 1: snapshots per second


def austin_rate(python, seconds):
    """(samples/s as fast as it goes, None), or (None, why not)."""
    austin = shutil.which("austin")
    if not austin:
        return None, "not installed (apt-get install austin)"
    version = run(austin, "--version")[0].strip()
    with tempfile.TemporaryDirectory() as folder, Target(python, "tight") as target:
        output = os.path.join(folder, "samples")
        with subprocess.Popen([austin, "-i", "1", "-o", output, "-p", str(target.process.pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as process:
            start = time.monotonic()
            try:
                message = process.communicate(timeout=seconds)[1]
                why = (message.strip().splitlines() or ["it ended at once"])[-1]
                return None, f"{version} cannot read {python.label}: {why}"
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                process.communicate()
            elapsed = time.monotonic() - start
        with open(output, encoding="utf-8", errors="replace") as file:
            samples = sum(1 for line in file if line.startswith("P"))
    if not samples:
        return None, f"{version} reads nothing of {python.label}"
    return samples / elapsed, None


def bare_and_snapshots(pid, seconds):
    """(snapshots/s, bare preads/s) of one thread without a writer."""
    with apart(pid) as keep_off:
        words = run(PROGRAMS / "snapshots", pid, seconds, preexec_fn=keep_off)[1].split()
    return (float(words[words.index("snapshots,") + 1].removesuffix("/s;")),
            float(words[words.index("pread") + 1].removesuffix("/s;")))


def rate_of(python, options):
    """Medians of turns: recorder, one thread, bare; and the last recording's info."""
    recorded, alone, bare, had, waited = [], [], [], [], []
    with Target(python, "tight") as target:
        for _ in range(options.repeat):
            snapshots, preads = bare_and_snapshots(target.process.pid, options.seconds)
            info, on_cpu, waiting = watched_recording(target, options.seconds, *MAX_RATE)
            alone.append(snapshots)
            bare.append(preads)
            recorded.append(info["snapshots_per_s"])
            had.append(on_cpu)
            waited.append(waiting)
    ratio = median([snapshots / preads for snapshots, preads in zip(alone, bare)])
    return {"recorder_per_s": median(recorded), "alone_per_s": median(alone),
            "bare_per_s": median(bare), "ratio": ratio, "on_cpu": median(had),
            "waiting": median(waited), "cut": info["cut"] / max(1, info["snapshots"]),
            "dropped": info["dropped"] / max(1, info["snapshots"] + info["dropped"])}


def measure_rate(options, report):
    report.head("one thread: without a writer; running: of the time the sampler had a CPU")
    report.head("                recorder  one thread  bare pread ratio    cut   drop running")
    found = {}
    for python in options.pythons:
        with report.attempt(python.label):
            f = found[python.label] = rate_of(python, options)
            report.row(f"{python.label:14}{f['recorder_per_s']:8,.0f}/s {f['alone_per_s']:9,.0f}/s "
                       f"{f['bare_per_s']:9,.0f}/s {f['ratio']:5.2f} {f['cut']:6.2%} "
                       f"{f['dropped']:6.2%} {f['on_cpu']:7.0%}",
                       python=python.label, **f)
    for label, f in found.items():
        report.goal(f"{label}: snapshots/s", f["recorder_per_s"], 350000, higher=True, digits=0)
    for label, f in found.items():
        report.goal(f"{label}: of a bare pread's rate", f["ratio"], 0.6, higher=True)
    for python in dict.fromkeys((options.main, options.pythons[0])):
        rate, why = austin_rate(python, options.seconds)
        report.row(f"austin, {python.label}: " + (f"{rate:,.0f} samples/s" if rate else why),
                   python=python.label, austin_per_s=rate)


# ---- 2: impossible stacks


class Sums:
    """What was seen of one program."""

    def __init__(self):
        self.snapshots = self.cut = self.dropped = self.impossible = 0
        self.seconds = 0.0
        self.examples = []

    def add(self, info, verdict):
        self.snapshots += info["snapshots"]
        self.cut += info["cut"]
        self.dropped += info["dropped"]
        self.seconds += info["duration_s"]
        self.impossible += verdict.impossible
        self.examples += verdict.examples

    def figures(self):
        return {"snapshots": self.snapshots, "per_s": self.snapshots / max(self.seconds, 1e-9),
                "cut_percent": 100 * self.cut / max(1, self.snapshots),
                "dropped_percent": 100 * self.dropped / max(1, self.snapshots + self.dropped),
                "impossible_us": self.impossible}


def judged_recording(python, name, sums, seconds=0.5):
    with Target(python, name) as target:
        with Recording(target.process.pid, *MAX_RATE, duration_s=seconds) as recording:
            sums.add(recording.info(), judges.JUDGES[name](recording.collapsed(), target.script,
                                                           python.version))


def stacks_of(python, options, report):
    """Turns over all programs until there are enough snapshots; {program: figures}."""
    sums = collections.defaultdict(Sums)
    total, before = 0, -1
    while before < total < options.stacks:
        before = total
        for name in judges.NAMES:
            judged_recording(python, name, sums[name])
        total = sum(s.snapshots for s in sums.values())
    for name, s in sums.items():
        f = s.figures()
        report.row(f"{python.label:14} {name:15}{f['snapshots']:10,} {f['per_s']:9,.0f}/s "
                   f"{f['cut_percent']:6.2f}% {f['dropped_percent']:6.2f}% "
                   f"{f['impossible_us']:7,} us", python=python.label, program=name, **f)
        for reason, _ in s.examples[:2]:
            report.note(f"    impossible: {reason}"[:78])
    return {name: s.figures() for name, s in sums.items()}


def measure_stacks(options, report):
    report.head(f"{'':30}snapshots       rate     cut dropped impossible")
    for python in options.pythons:
        with report.attempt(python.label):
            f = stacks_of(python, options, report).values()
            report.goal(f"{python.label}: snapshots judged", sum(p["snapshots"] for p in f),
                        options.stacks, higher=True, digits=0)
            report.goal(f"{python.label}: impossible, us", sum(p["impossible_us"] for p in f), 0,
                        digits=0)
            report.goal(f"{python.label}: cut, worst program",
                        max(p["cut_percent"] for p in f), 5, unit="%")
            report.goal(f"{python.label}: dropped, worst program",
                        max(p["dropped_percent"] for p in f), 1, unit="%")


# ---- 3: shares per line


def share_errors(python, rate, seconds):
    """{line: (truth, recorded)} of known_shares, in percent, over the time of the recording."""
    with Target(python, "known_shares") as target:
        with Recording(target.process.pid, "--rate", rate, duration_s=seconds) as recording:
            target.process.send_signal(signal.SIGTERM)
            truth = json.loads(target.lines.read())
            info = recording.info()
            offset = time.time_ns() - time.monotonic_ns()
            start = int(info["start_unix_s"] * 1e9) - offset
            true = judges.true_shares(truth, start, start + int(info["duration_s"] * 1e9))
            seen = judges.recorded_shares(truth, recording.collapsed(), target.script)
    return {name: (100 * true[name], 100 * seen[name]) for name in true}


def measure_shares(options, report):
    for python in options.pythons:
        for rate in ("5000", "max"):
            with report.attempt(f"{python.label}, rate {rate}"):
                turns = [share_errors(python, rate, 3 * options.seconds)
                         for _ in range(options.repeat)]
                shares = {name: tuple(median([turn[name][i] for turn in turns]) for i in (0, 1))
                          for name in turns[0]}
                worst = max(shares, key=lambda name: abs(shares[name][0] - shares[name][1]))
                true, seen = shares[worst]
                report.row(f"{python.label:14} rate {rate:5} worst line {worst:10} truth "
                           f"{true:6.2f} % recorded {seen:6.2f} %", python=python.label,
                           rate=rate, shares=shares)
                report.goal(f"{python.label} at {rate}: off the truth", abs(true - seen), 1,
                            unit="pp")


# ---- 4: the target's slowdown


@contextlib.contextmanager
def nothing(pid):
    """Nothing beside the target; yields the processes to stop and to continue."""
    del pid
    yield []


@contextlib.contextmanager
def busy_loop(pid):
    """A process that keeps the other CPU busy and does not know of the target."""
    with apart(pid) as keep_off:
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"],
                                   stdin=subprocess.DEVNULL, preexec_fn=keep_off)
        try:
            yield [process.pid]
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def recorder_beside(pid):
    """The recorder as fast as it goes; what is stopped and continued is its worker."""
    with Recorder(pid, *MAX_RATE) as recorder:
        worker = wait_for(lambda: recorder.pids()[1:], "the worker")
        yield worker
        recorder.stop()


def send(pids, number):
    for pid in pids:
        os.kill(pid, number)


def paired(worker, beside, pairs):
    """Slowdown in percent of each pair, as the clock says and without waiting for a CPU.

    What is beside the worker is stopped for one half of each pair, in turns the first and the
    second: the halves follow each other closely, so what else the machine does hits both.
    """
    slower, slower_running = [], []
    with beside(worker.process.pid) as pids:
        for pair in range(pairs + 1):
            times = {}
            for with_it in (bool(pair % 2), not pair % 2):
                send(pids, signal.SIGCONT if with_it else signal.SIGSTOP)
                times[with_it] = worker.work()
            send(pids, signal.SIGCONT)
            wall, waiting = zip(times[True], times[False])
            running = [w - v for w, v in zip(wall, waiting)]
            slower.append(100 * (wall[0] / wall[1] - 1))
            slower_running.append(100 * (running[0] / running[1] - 1))
    # The first is for warming up.
    return slower[1:], slower_running[1:]


def rounds_for(python, kind, seconds):
    """How many rounds take about that long."""
    rounds = {"tight": 100000, "deep": 100}[kind]
    with Worker(python, kind, rounds) as worker:
        return max(1, int(rounds * seconds / min(worker.work()[0] for _ in range(3))))


def measure_slowdown(options, report):
    python = options.main
    series = (("no recorder in either", nothing), ("a busy loop beside it", busy_loop),
              ("recorder, rate max", recorder_beside))
    report.head(f"Python {python.label}, {options.pairs} pairs; slower by, in percent:")
    report.head(f"{'':28}median     min     max   without waiting for a CPU: median")
    for kind in ("tight", "deep"):
        with report.attempt(kind), Worker(python, kind, rounds_for(python, kind, 0.25)) as worker:
            for name, beside in series:
                slower, running = paired(worker, beside, options.pairs)
                report.row(f"{kind:6}{name:22}{median(slower):6.2f} {min(slower):7.2f} "
                           f"{max(slower):7.2f} {median(running):18.2f}", program=kind,
                           beside=name, slower=slower, slower_without_waiting=running)
            report.goal(f"{kind}: slower at full rate", median(slower), 1, unit="%")
            report.goal(f"{kind}: the same, without waiting", median(running), 1, unit="%")


# ---- 5: the recorder's own cost


def cost_at(target, rate, seconds):
    """The recorder's CPU, rate and memory at a rate, beside a loop that only wakes up and reads."""
    with apart(target.process.pid) as keep_off:
        bare_cpu, bare_rate = map(float, run(PROGRAMS / "bare_rate", target.process.pid, rate,
                                             seconds / 2, preexec_fn=keep_off)[0].split())
    with Recorder(target.process.pid, "--rate", rate, "--all") as recorder:
        time.sleep(1)
        before, start = recorder.times(), time.monotonic()
        # Flat from here on: the first blocks have been filled.
        time.sleep(seconds / 2)
        memory_before = recorder.memory_kib()
        time.sleep(seconds / 2)
        after, took = recorder.times(), time.monotonic() - start
        memory_after = recorder.memory_kib()
        whole_s = recorder.stop()
        info = recorder.info()
    threads = [(after[tid][0] - first[0]) / 1e7 / took for tid, first in before.items()]
    return {"cpu_percent": sum(threads), "sampler_percent": max(threads), "whole_cpu_s": whole_s,
            "bare_cpu_percent": bare_cpu, "bare_rate_hz": bare_rate,
            "rate_hz": info["snapshots_per_s"], "duration_s": info["duration_s"],
            "memory_kib": memory_before, "memory_after_kib": memory_after}


def measure_cost(options, report):
    report.head("       CPU %   sampler  bare loop      rate   whole CPU   RSS (PSS) MiB, and after")
    with Target(options.main, "tight") as target:
        for rate, limit in ((1000, 1.5), (10000, 10)):
            with report.attempt(f"{rate} Hz"):
                f = cost_at(target, rate, options.cost_seconds)
                rss, pss = (kib / 1024 for kib in f["memory_kib"])
                rss_after, pss_after = (kib / 1024 for kib in f["memory_after_kib"])
                report.row(f"{rate:5}  {f['cpu_percent']:6.2f} {f['sampler_percent']:8.2f} "
                           f"{f['bare_cpu_percent']:10.2f} {f['rate_hz']:9.1f} "
                           f"{f['whole_cpu_s']:9.3f} s  {rss:5.1f} ({pss:4.1f}) -> "
                           f"{rss_after:5.1f} ({pss_after:4.1f})", asked_hz=rate, **f)
                report.goal(f"{rate} Hz: CPU of a core", f["cpu_percent"], limit, unit="%")
                report.goal(f"{rate} Hz: off the rate", 100 * abs(f["rate_hz"] / rate - 1), 2,
                            unit="%")
                report.goal(f"{rate} Hz: memory, both processes", rss_after, 16, unit="MiB")
                report.goal(f"{rate} Hz: memory grown by", rss_after - rss, 1, unit="MiB")


# ---- 6: bytes on disk


def measure_bytes(options, report):
    with Target(options.main, "tight") as target, Recorder(
            target.process.pid, *MAX_RATE) as recorder:
        time.sleep(options.disk_seconds / 2)
        early = recorder.memory_kib()[0] / 1024
        time.sleep(options.disk_seconds / 2)
        late = recorder.memory_kib()[0] / 1024
        recorder.stop()
        size = sum(p.stat().st_size for p in pathlib.Path(recorder.trace).rglob("*"))
        info = recorder.info()
    each = size / max(1, info["transitions"])
    # An event as it is told to the writer: a header of 16 bytes, two counts, about one frame.
    report.row(f"{options.main.label}, {info['duration_s']:.0f} s: {info['transitions']:,} "
               f"transitions of {info['snapshots']:,} snapshots, {size:,} bytes",
               transitions=info["transitions"], bytes=size, lost=info["lost"])
    report.note(f"in the ring each takes 32 bytes and more; lost: {info['lost']:,}")
    report.goal("bytes per transition", each, 2)
    report.goal("memory, both processes", late, 16, unit="MiB")
    report.goal("memory grown by", late - early, 1, unit="MiB")


# ---- 7: reading a large trace


def forget_cached(path):
    """Out of the page cache with it."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def reading_time(command, trace, cold):
    if cold:
        forget_cached(os.path.join(trace, "trace.db"))
    start = time.perf_counter()
    run(TRACKEXEC, *command.split(), trace)
    return time.perf_counter() - start


# What is asked of a large trace, and in how many seconds the answer is to be there.
READINGS = {"info": 0.3, "analyse": 0.3, "analyse --since 10.5% --until 90.5%": 1,
            "analyse --by function": 0.3, "analyse --by function --since 10.5% --until 90.5%": 1}


# Those that decode every event, and how many of them a second of CPU time.
DECODING = {"export --format collapsed": 20e6, "analyse --by function --percentiles": None}


def decoding_rate(command, trace, transitions):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(TRACKEXEC, *command.split(), trace)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return transitions / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure_reading(options, report):
    report.head(f"{'':82}warm      cold   (medians of {2 * options.repeat + 1}, in seconds)")
    with tempfile.TemporaryDirectory(prefix="trackexec-bench-") as folder:
        for transitions in (options.transitions // 50, options.transitions):
            trace = os.path.join(folder, str(transitions))
            run(PROGRAMS / "make_trace", trace, transitions)
            size = os.path.getsize(os.path.join(trace, "trace.db"))
            for command, goal_s in READINGS.items():
                warm, cold = ([reading_time(command, trace, is_cold)
                               for _ in range(2 * options.repeat + 1)] for is_cold in (False, True))
                report.row(f"{command:56} {transitions:11,} {size >> 20:4} MiB "
                           f"{median(warm):10.3f} {median(cold):9.3f}", command=command,
                           transitions=transitions, bytes=size, warm_s=warm, cold_s=cold)
                if transitions == options.transitions:
                    report.goal(f"{command}, warm", median(warm), goal_s, unit="s", digits=3)
                    report.goal(f"{command}, cold", median(cold), goal_s, unit="s", digits=3)
        for command, goal in DECODING.items():
            rates = [decoding_rate(command, trace, transitions)
                     for _ in range(options.repeat)]
            report.row(f"{command:56} {median(rates):13,.0f} events/s of CPU", command=command,
                       rates=rates)
            if goal:
                report.goal(f"{command}, events/s of CPU", median(rates), goal, higher=True, digits=0)


# ---- 8: threads that sleep


def measure_threads(options, report):
    """The same program with its sleeping threads and without them, and the tight one, in turns."""
    rates = collections.defaultdict(list)

    def record(name, target):
        info, _, _ = watched_recording(target, options.seconds, *MAX_RATE)
        rates[name].append(info["snapshots_per_s"])

    with Target(options.main, "many_threads") as many, \
            Target(options.main, "many_threads", "inf", 0) as alone, \
            Target(options.main, "tight") as tight:
        targets = {"300 sleeping, 1 busy": many, "0 sleeping, 1 busy": alone, "tight": tight}
        pause(targets.values())
        for _ in range(options.repeat):
            for name, target in targets.items():
                target.process.send_signal(signal.SIGCONT)
                record(name, target)
                target.process.send_signal(signal.SIGSTOP)
    for name, values in rates.items():
        report.row(f"{name:24}{median(values):10,.0f}/s", program=name, per_s=values)
    many_rate = median(rates["300 sleeping, 1 busy"])
    report.goal("300 sleeping: of the rate with none",
                many_rate / median(rates["0 sleeping, 1 busy"]), 0.95, higher=True)
    report.note(f"of the tight program's rate: {many_rate / median(rates['tight']):.2f}")


def pause(targets):
    for target in targets:
        target.process.send_signal(signal.SIGSTOP)


# ---- all of them

SECTIONS = {
    "rate": ("1. Snapshots per second, tight calls, as fast as it goes", measure_rate),
    "stacks": ("2. Impossible stacks, cut and dropped ones", measure_stacks),
    "shares": ("3. Share of time per line, and the truth", measure_shares),
    "slowdown": ("4. Slowdown of the target at full rate", measure_slowdown),
    "cost": ("5. The recorder's own CPU and memory, one busy target", measure_cost),
    "bytes": ("6. Bytes on disk, tight calls, as fast as it goes", measure_bytes),
    "reading": ("7. Reading a large trace", measure_reading),
    "threads": ("8. Snapshots per second with many sleeping threads", measure_threads),
    **bench_collector.SECTIONS,
    **bench_waits.SECTIONS,
    **bench_replay.SECTIONS,
    **bench_report.SECTIONS,
    **bench_told.SECTIONS,
    **bench_exact.SECTIONS,
    **bench_precise.SECTIONS,
}


def parse_options(words):
    parser = argparse.ArgumentParser(
        prog="bench.py", description=__doc__.split("\n\n")[0],
        epilog="sections: " + ", ".join(SECTIONS))
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION",
                        help="measure only this section (may be given again)")
    parser.add_argument("--quick", action="store_true", help="a few minutes: shorter, less certain")
    parser.add_argument("--python", action="append", metavar="LABEL",
                        help="only this interpreter (see tests/pythons.py list)")
    parser.add_argument("--stacks", type=int, metavar="N",
                        help="snapshots judged per interpreter (default 2000000)")
    parser.add_argument("--nice", type=int, default=0, metavar="N",
                        help="run everything at this nice value (below 0 as root)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE, too")
    options = parser.parse_args(words)
    quick = options.quick
    options.stacks = options.stacks or (200000 if quick else 2000000)
    options.seconds = 1 if quick else 2
    options.repeat = 1 if quick else 3
    options.pairs = 15 if quick else 31
    options.cost_seconds = 5 if quick else 20
    options.disk_seconds = 5 if quick else 20
    options.transitions = 5000000 if quick else 50000000
    bench_collector.set_lengths(options)
    bench_waits.set_lengths(options)
    bench_exact.set_lengths(options)
    bench_replay.set_lengths(options)
    found = pythons.interpreters()
    options.pythons = [p for p in found if not options.python or p.label in options.python]
    if not options.pythons:
        parser.error("no such interpreter; there are: " + ", ".join(p.label for p in found))
    options.main = debian_python(options.pythons)
    return options


def set_nice(nice):
    """For this process and its children; also among the sessions where the kernel groups them."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write(str(nice))


def main(words):
    options = parse_options(words)
    report = Report()
    if options.nice:
        set_nice(options.nice)
    machine = {"cpus": os.cpu_count(), "nice": options.nice, "kernel": platform.release(), "load": os.getloadavg()[0],
               "date": time.strftime("%Y-%m-%d")}
    print(f"{machine['date']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, load before "
          f"{machine['load']:.2f}")
    for name in options.only or SECTIONS:
        title, measure = SECTIONS[name]
        report.section(name, title)
        with report.attempt(name):
            measure(options, report)
    print(f"\n{report.n_missed} goals missed, {report.n_failed} figures could not be measured")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "sections": report.sections}, file, indent=1)
            file.write("\n")
    return 1 if report.n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
