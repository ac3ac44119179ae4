# SPDX-License-Identifier: BSD-3-Clause
"""The sections of bench.py that measure the daemon, trackexec-collector, at its default settings."""

import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time

from load_client import LoadClient
from measure import (BenchError, PROGRAMS, TESTS, TRACKEXEC, children, median, run, trackexec,
                     wait_for)

COLLECTOR = pathlib.Path(TRACKEXEC).resolve().parent / "trackexec-collector"
NAMES = ("server-main", "server-db", "server-blocking", "server-hub")
USER = "nobody"
WARM_S = 6


def process_cpu_ns(pid):
    """CPU time of a process with all threads that it ever had; 0 when it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


class Collector:
    """A running daemon with a folder of its own; a context manager that ends it."""

    def __init__(self, with_folder=True, with_events=True):
        # Not in /tmp: while the root is missing the folders above it are watched, and what others
        # create there would be measured. Its worker, another user, must get there.
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-bench-", dir="/var/tmp")
        os.chmod(self.folder.name, 0o755)
        self.root = pathlib.Path(self.folder.name, "root")
        self.socket = os.path.join(self.folder.name, "sock")
        if with_folder:
            self.make_root()
        config = pathlib.Path(self.folder.name, "config")
        config.mkdir()
        # The kernel tells of processes in the first network namespace only.
        before = [] if with_events else ["unshare", "--net"]
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [*before, COLLECTOR, "--root", self.root, "--config", config,
             "--user", USER, "--socket", self.socket],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)

    def make_root(self):
        self.root.mkdir(mode=0o750)

    def __enter__(self):
        try:
            wait_for(self._is_there, "the collector's socket")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_there(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise BenchError(f"the collector ended: {self.log.read().strip()}")
        return os.path.exists(self.socket)

    def status(self):
        return json.loads(trackexec("status", "--json", "--socket", self.socket))

    def wait_for_targets(self, n):
        def all_recorded():
            sessions = self.status()["sessions"]
            return len(sessions) == n and all(s["state"] == "recording" for s in sessions)

        wait_for(all_recorded, f"the collector to record {n} processes")

    def pids(self):
        """The attacher and its workers."""
        return [self.process.pid, *children(self.process.pid)]

    def cpu_ns(self):
        return sum(map(process_cpu_ns, self.pids()))

    def traces(self):
        return sorted(self.root.glob("[0-9]*/*/trace.db"))

    def let_run(self, does_run):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT if does_run else signal.SIGSTOP)

    def __exit__(self, *details):
        self.let_run(True)
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Daemon:
    """The sample daemon, serving clients from outside."""

    def __init__(self, python):
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-bench-")
        self.socket = os.path.join(self.folder.name, "sock")
        self.process = start(python, TESTS / "daemon" / "walt-server-daemon", self.socket)

    def __enter__(self):
        wait_for(lambda: os.path.exists(self.socket), "the sample daemon")
        return self

    def __exit__(self, *details):
        end(self.process)
        self.folder.cleanup()


def start(python, script, *words, **popen):
    popen.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([*python.command, script, *map(str, words)], stdout=subprocess.PIPE,
                            **popen)


def end(process):
    process.terminate()
    process.wait()
    if process.stdout:
        process.stdout.close()
    if process.stdin:
        process.stdin.close()


@contextlib.contextmanager
def titled(python, what, n, *words):
    process = start(python, TESTS / "bench" / "titled.py", what, n, *words)
    try:
        if process.stdout.readline() != b"ready\n":
            raise BenchError(f"titled.py {what} did not start")
        yield process
    finally:
        end(process)


def scatter(values):
    """Half the width of the middle half, as a standard deviation."""
    quarter = statistics.quantiles(values, n=4)
    return (quarter[2] - quarter[0]) / 1.349


def resolution(*series):
    """Medians that differ by less can't be told apart: two standard errors of the difference."""
    return 2 * 1.253 * math.sqrt(sum(scatter(values) ** 2 / len(values) for values in series))


# ---- load


def loaded_pairs(python, n_connections, options, recorded):
    """[(throughput ratio, p99 ratio)] of closed loops with and without, in turns."""
    ratios = []
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(Collector()) if recorded else None
        daemon = stack.enter_context(Daemon(python))
        client = stack.enter_context(LoadClient(daemon.socket, n_connections))
        if collector:
            collector.wait_for_targets(len(NAMES))
        client.closed_loop(WARM_S if recorded else 1)
        for pair in range(options.load_pairs):
            figures = {}
            for with_it in (bool(pair % 2), not pair % 2):
                if collector:
                    collector.let_run(with_it)
                client.closed_loop(0.1)
                figures[with_it] = client.closed_loop(options.load_seconds)
            ratios.append([figures[True][i] / figures[False][i] for i in (0, 1)])
        rate, p99_s = (median(values) for values in zip(figures[True], figures[False]))
    return {"throughput": [pair[0] for pair in ratios], "p99": [pair[1] for pair in ratios],
            "per_s": rate, "p99_s": p99_s}


def measure_load(options, report):
    report.head(f"{options.load_pairs} pairs, closed loop; ratios with/without:")
    report.head(f"{'':24}throughput (scatter)  99th percentile (scatter)")
    for n in (1, 4):
        with report.attempt(f"{n} connections"):
            found = {}
            for name, recorded in (("unrecorded in both", False), ("recorded", True)):
                f = found[recorded] = loaded_pairs(options.main, n, options, recorded)
                report.row(f"{n} x {name:20}{median(f['throughput']):10.3f} "
                           f"({scatter(f['throughput']):.3f}) {median(f['p99']):16.3f} "
                           f"({scatter(f['p99']):.3f})", connections=n, recorded=recorded, **f)
            report.note(f"about {f['per_s']:,.0f} requests/s, p99 {1000 * f['p99_s']:.1f} ms")
            noise = found[False]
            report.note("a goal here is what can be told from noise in this run, no more")
            report.goal(f"{n} connections: throughput lost",
                        1 - median(f["throughput"]) / median(noise["throughput"]),
                        resolution(f["throughput"], noise["throughput"]), digits=3)
            report.goal(f"{n} connections: p99 longer by",
                        median(f["p99"]) / median(noise["p99"]) - 1,
                        resolution(f["p99"], noise["p99"]), digits=3)


# ---- disk


def trace_sizes(collector):
    """(KB that the files take now, KB when the -wal is in the base) of all traces."""
    now = checkpointed = 0
    with tempfile.TemporaryDirectory() as folder:
        for trace in collector.traces():
            for path in trace.parent.glob("trace.db*"):
                # The -shm is memory that is shared, and small.
                now += path.stat().st_size if not path.name.endswith("-shm") else 0
            copy = os.path.join(folder, "trace.db")
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(f"{trace}{suffix}", copy + suffix)
            with contextlib.closing(sqlite3.connect(copy)) as db:
                db.execute("pragma wal_checkpoint(truncate)").fetchall()
            checkpointed += os.path.getsize(copy)
            for path in pathlib.Path(folder).iterdir():
                path.unlink()
    return now / 1000, checkpointed / 1000


def disk_use(options, per_s):
    """KB a minute, and KB after it; of the files as they are, and once checkpointed."""
    with Collector() as collector, Daemon(options.main) as daemon, \
            LoadClient(daemon.socket) as client:
        def go_on(seconds):
            if per_s:
                return client.at_rate(per_s, seconds)
            time.sleep(seconds)
            return 0

        collector.wait_for_targets(len(NAMES))
        go_on(2)
        before, start_s = trace_sizes(collector), time.monotonic()
        reached = go_on(options.trace_seconds)
        took = time.monotonic() - start_s
        after = trace_sizes(collector)
        sessions = collector.status()["sessions"]
        wal = sum(path.stat().st_size for path in collector.root.glob("*/*/trace.db-wal")) / 1000
        # What is left when all has ended must be what the copies promised.
        end(daemon.process)
        wait_for(lambda: not list(collector.root.glob("[0-9]*/*/trace.db-wal")), "the traces' end")
        ended = sum(path.stat().st_size for path in collector.traces()) / 1000
    return {"wal_kb": wal, "kb_ended": ended, "kb_per_min": [60 * (b - a) / took for a, b in zip(before, after)],
            "kb_after": after, "requests_per_s": reached,
            "transitions": sum(s["transitions"] for s in sessions)}


def measure_disk(options, report):
    report.head(f"over {options.trace_seconds} s; files with -wal, and once checkpointed:")
    for what, per_s, limit in (("100 requests/s", 100, 500), ("idle", 0, 70)):
        with report.attempt(what):
            f = disk_use(options, per_s)
            report.row(f"{what:16}{f['kb_per_min'][0]:7.1f}, {f['kb_per_min'][1]:7.1f} KB/min; "
                       f"in all {f['kb_after'][0]:.0f}, {f['kb_after'][1]:.0f} KB",
                       load=what, **f)
            report.note(f"of it {f['wal_kb']:.0f} KB in -wal, which goes with the end: then "
                        f"{f['kb_ended']:.0f} KB, {f['transitions']:,} transitions")
            report.goal(f"{what}: checkpointed, a minute", f["kb_per_min"][1], limit, unit="KB",
                        digits=1)


# ---- 32 targets


def rounds(file):
    with open(file, "rb") as opened:
        return sum(memoryview(opened.read()).cast("Q"))


def window(collector, file, processes, seconds):
    """Rounds per second, rounds per CPU second of the busy, collector's CPU in percent, CPUs that
    the busy had."""
    pids = collector.pids()

    def read():
        """All of one moment: finding the processes takes longer, and was done before."""
        return (time.monotonic(), rounds(file), sum(map(process_cpu_ns, processes)),
                sum(map(process_cpu_ns, pids)))

    before = read()
    time.sleep(seconds)
    took, n, target_ns, own_ns = (b - a for a, b in zip(before, read()))
    return n / took, n / (target_ns / 1e9), own_ns / took / 1e7, target_ns / took / 1e9


def measure_targets(options, report):
    with tempfile.NamedTemporaryFile() as counts, Collector() as collector:
        counts.write(bytes(8 * 16))
        counts.flush()
        with titled(options.main, "busy", 16, counts.name) as busy, \
                titled(options.main, "idle", 16):
            collector.wait_for_targets(32)
            sessions = collector.status()["sessions"]
            report.goal("processes that are recorded",
                        sum(s["state"] == "recording" for s in sessions), 32, higher=True, digits=0)
            time.sleep(WARM_S)
            processes = children(busy.pid)
            cpu = [window(collector, counts.name, processes, 10)[2]
                   for _ in range(options.repeat)]
            sessions = collector.status()["sessions"]
            rates = [s["rate_hz"] for s in sessions if "busy" in s["name"]]
            report.row("CPU of all processes over 10 s: " +
                       ", ".join(f"{percent:.2f} %" for percent in cpu) +
                       f"; busy looked at {median(rates):.0f} times/s", cpu_percent=cpu,
                       rates_hz=rates)
            slower, had = turns(collector, counts.name, processes, options)
    for name, values in slower.items():
        report.row(f"busy slower by, {name:18}{median(values):6.2f} % +- {resolution(values):.2f}",
                   kind=name, slower=values)
    report.goal("CPU over ten seconds, the most", max(cpu), 5, unit="%")
    report.note(f"the busy had {had:.2f} of {os.cpu_count()} CPUs; all of them, when nothing else "
                "runs: then they lose")
    report.note("by the clock what is taken, half of 5 % with two CPUs")
    for (name, values), limit in zip(slower.items(), (5 / os.cpu_count(), 1)):
        if name == "by the clock" and had < 0.9 * os.cpu_count():
            report.note("by the clock: not judged, others took the CPUs from them")
            continue
        # Met only when it is certain: noise that could hide a miss is counted as one.
        report.goal(f"busy slower at worst, {name}", median(values) + resolution(values), limit,
                    unit="%")


def turns(collector, file, processes, options):
    slower, had = {"by the clock": [], "per CPU second": []}, []
    for pair in range(options.target_pairs):
        figures = {}
        for with_it in (bool(pair % 2), not pair % 2):
            collector.let_run(with_it)
            time.sleep(0.05)
            figures[with_it] = window(collector, file, processes, options.target_seconds)
        had.append(figures[False][3])
        for i, values in enumerate(slower.values()):
            values.append(100 * (figures[False][i] / figures[True][i] - 1))
    collector.let_run(True)
    return slower, median(had)


# ---- birth


def first_snapshot_ns(trace):
    """The monotonic time of the first snapshot of a trace that has ended."""
    with contextlib.closing(sqlite3.connect(f"file:{trace}?mode=ro", uri=True)) as db:
        return db.execute("select min(first_ns) from threads").fetchone()[0]


def one_birth(collector, process, number):
    """Milliseconds. Nothing reads the trace, and nothing polls, until it is over."""
    process.stdin.write(b"\n")
    process.stdin.flush()
    titled_ns = int(process.stdout.readline().split()[1])
    time.sleep(0.2)
    folder = wait_for(lambda: [path.parent for path in collector.root.glob(
        f"[0-9]*/born-{number:02}/trace.db")], "its trace")[0]
    time.sleep(0.5)
    process.stdin.write(b"\n")
    process.stdin.flush()
    wait_for(lambda: not (folder / "trace.db-wal").exists(), "the end of its trace")
    return (first_snapshot_ns(folder / "trace.db") - titled_ns) / 1e6


def births(options, with_events):
    """Milliseconds from the title to the first snapshot, of each."""
    found = []
    script = TESTS / "bench" / "titled.py"
    with Collector(with_events=with_events) as collector:
        has_events = collector.status()["process_events"]
        if has_events != with_events:
            raise BenchError("there are no process events" if with_events
                             else "process events can't be turned off")
        process = start(options.main, script, "born", options.births, stdin=subprocess.PIPE)
        try:
            for number in range(options.births):
                found.append(one_birth(collector, process, number))
        finally:
            end(process)
    return found


def measure_birth(options, report):
    for name, with_events in (("process events", True), ("scans only", False)):
        with report.attempt(name):
            ms = births(options, with_events)
            report.row(f"{name:16} {len(ms)} births: median {median(ms):7.1f} ms, most "
                       f"{max(ms):7.1f} ms", events=with_events, ms=ms)
            if with_events:
                report.goal("first snapshot after, median", median(ms), 50, unit="ms", digits=1)
                report.goal("first snapshot after, most", max(ms), 50, unit="ms", digits=1)


# ---- idle


def cpu_over(collector, seconds):
    before, start_s = collector.cpu_ns(), time.monotonic()
    time.sleep(seconds)
    return (collector.cpu_ns() - before) / (time.monotonic() - start_s) / 1e7


def measure_idle(options, report):
    with Collector(with_folder=False) as collector:
        time.sleep(1)
        percent = cpu_over(collector, options.idle_seconds)
        report.row(f"folder missing: {percent:.4f} % CPU over {options.idle_seconds} s",
                   cpu_percent=percent)
        report.goal("folder missing: CPU", percent, 0.01, unit="%", digits=4)
        with titled(options.main, "idle", 4):
            collector.make_root()
            collector.wait_for_targets(4)
            time.sleep(WARM_S)
            percent = cpu_over(collector, options.idle_seconds)
            report.row(f"four idle targets: {percent:.2f} % CPU over {options.idle_seconds} s",
                       cpu_percent=percent)
            report.goal("four idle targets: CPU", percent, 5, unit="%")


# ---- storage


def measure_storage(options, report):
    with tempfile.TemporaryDirectory(prefix="trackexec-bench-") as folder:
        start_s = time.monotonic()
        f = json.loads(run(PROGRAMS / "store_day", folder, options.store_hours, 300, 8192)[0])
        took = time.monotonic() - start_s
    report.row(f"{options.store_hours} h in {took:.0f} s: {f['changes']:,} transitions, at most "
               f"{f['peak_bytes'] / 1024:,.0f} KiB at once; {f['deletions']} deletions, "
               f"{f['trims']} trims", hours=options.store_hours, **f)
    report.goal("at once, of MaxUse", f["peak_bytes"] / f["max_use_bytes"], 1, digits=3)
    report.goal("deletions and trims", f["deletions"] + f["trims"], 1, higher=True, digits=0)


# ---- scan


def measure_scan(options, report):
    for line in run(PROGRAMS / "scan_rate")[0].splitlines():
        report.row(line)
        if line.startswith("scan, with a table"):
            scan_ms = float(line.split()[-2])
    report.goal("scan of 1,000 processes, median", scan_ms, 10, unit="ms")


def set_lengths(options):
    quick = options.quick
    options.load_pairs = 5 if quick else 21
    options.load_seconds = 0.4 if quick else 1
    options.trace_seconds = 15 if quick else 60
    options.target_pairs = 7 if quick else 21
    options.target_seconds = 0.5 if quick else 1
    options.births = 8 if quick else 20
    options.idle_seconds = 8 if quick else 20
    options.store_hours = 5 if quick else 24


SECTIONS = {
    "load": ("9. Daemon: the sample daemon under load, recorded and not", measure_load),
    "disk": ("10. Daemon: bytes of trace of four processes", measure_disk),
    "targets": ("11. Daemon: 32 targets at once, half of them busy", measure_targets),
    "birth": ("12. Daemon: from a title to the first snapshot", measure_birth),
    "idle": ("13. Daemon: its CPU while nothing happens", measure_idle),
    "storage": ("14. Daemon: limits of storage, a busy target at speed", measure_storage),
    "scan": ("15. Daemon: a scan for titles, ms of CPU", measure_scan),
}
