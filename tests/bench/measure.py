# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share: programs to run, recorders to watch, and a report of figures."""

import contextlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "e2e")]

from recording import TRACKEXEC, Line, trackexec  # noqa: E402
import pythons  # noqa: E402

PROGRAMS = pathlib.Path(TRACKEXEC).resolve().parent / "bench"
DEADLINE_S = 60


class BenchError(Exception):
    """Something could not be measured; the message says what and why."""


def wait_for(condition, what):
    """The condition's value, once it is true."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise BenchError(f"waited in vain for {what}")


def run(*words, **options):
    """Run a program to its end; (what it printed, its messages)."""
    words = [str(word) for word in words]
    answer = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            check=False, **options)
    if answer.returncode != 0:
        raise BenchError(f"{' '.join(words)}: status {answer.returncode}: "
                         f"{answer.stderr.strip()}")
    return answer.stdout, answer.stderr


# ---- processes


def children(pid):
    """Process ids of a process's children."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def thread_times(pid):
    """{tid: (ns on a CPU, ns waiting for one)} of a process's threads."""
    times = {}
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            on_cpu, waiting, _ = path.read_text().split()
            times[int(path.parent.name)] = int(on_cpu), int(waiting)
    return times


def memory_kib(pid):
    """(resident, resident with what is shared split among its users) of a process, in KiB."""
    rss = re.search(r"^VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    pss = re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    return int(rss.group(1)), int(pss.group(1))


@contextlib.contextmanager
def apart(pid):
    """Keep a process on one CPU; yields what makes a new process stay off it.

    The recorder sees to that by itself, what it is compared with does not.
    """
    allowed = os.sched_getaffinity(pid)
    own = {max(allowed)}
    os.sched_setaffinity(pid, own)
    try:
        yield lambda: os.sched_setaffinity(0, allowed - own or allowed)
    finally:
        os.sched_setaffinity(pid, allowed)


class Recorder:
    """A running `trackexec record` of a process; a context manager that ends it."""

    def __init__(self, pid, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-bench-")
        self.trace = os.path.join(self.folder.name, "trace")
        self.process = subprocess.Popen(
            [TRACKEXEC, "record", "-q", "--pid", str(pid), "--output", self.trace,
             *map(str, options)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.usage = None

    def __enter__(self):
        wait_for(self._is_recording, "the recorder to attach")
        return self

    def _is_recording(self):
        if self.process.poll() is not None:
            raise BenchError(f"the recorder ended: {self.process.stderr.read().strip()}")
        return os.path.exists(os.path.join(self.trace, "trace.db"))

    def pids(self):
        """The attacher and the worker."""
        return [self.process.pid, *children(self.process.pid)]

    def times(self):
        """{tid: (ns on a CPU, ns waiting)} of all its threads."""
        return {tid: times for pid in self.pids() for tid, times in thread_times(pid).items()}

    def memory_kib(self):
        """(sum of resident, sum of proportional) of both processes."""
        figures = [memory_kib(pid) for pid in self.pids()]
        return tuple(map(sum, zip(*figures)))

    def stop(self):
        """End the recording; CPU seconds that it took from its start to its end."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
            _, status, self.usage = os.wait4(self.process.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
            message = self.process.stderr.read().strip()
            self.process.stderr.close()
            if self.process.returncode != 0:
                raise BenchError(f"recorder: status {self.process.returncode}: {message}")
        return self.usage.ru_utime + self.usage.ru_stime

    def info(self):
        return json.loads(trackexec("info", "--json", self.trace))

    def __exit__(self, *details):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()
        self.folder.cleanup()


def busiest(before, after, wall_s):
    """(share on a CPU, share waiting for one) of the thread that ran most between two times()."""
    shares = [((after[tid][0] - first[0]) / 1e9 / wall_s, (after[tid][1] - first[1]) / 1e9 / wall_s)
              for tid, first in before.items() if tid in after]
    return max(shares, default=(0.0, 0.0))


class Worker:
    """A Python that does a fixed piece of work whenever it is told to; see work.py."""

    def __init__(self, python, kind, rounds):
        self.process = python.start(pathlib.Path(__file__).parent / "work.py", kind, rounds,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = Line(self.process)

    def __enter__(self):
        self.lines.read()
        return self

    def work(self):
        """Do it once; (wall seconds, seconds of them that it waited for a CPU)."""
        os.write(self.process.stdin.fileno(), b"\n")
        wall_ns, waiting_ns = map(int, self.lines.read().split())
        return wall_ns / 1e9, waiting_ns / 1e9

    def __exit__(self, *details):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# ---- figures


def median(values):
    return statistics.median(values)


def debian_python(found):
    """The distribution's own interpreter, or the first that is there."""
    return next((p for p in found if not p.root and p.path.startswith("/usr/bin/")), found[0])


class Report:
    """Prints figures as they come, in 80 columns, and keeps them for --json."""

    def __init__(self):
        self.sections = {}
        self.n_missed = self.n_failed = 0
        self._rows = self._verdicts = None

    def section(self, name, title):
        self._rows, self._verdicts = [], []
        self.sections[name] = {"title": title, "rows": self._rows, "goals": self._verdicts}
        print(f"\n{title}\n{'-' * len(title)}", flush=True)

    def head(self, text):
        print(f"  {text}", flush=True)

    def row(self, text, **figures):
        """A line of a table, and the same for programs."""
        self._rows.append(figures)
        print(f"  {text}", flush=True)

    def note(self, text):
        print(f"  {text}", flush=True)

    def goal(self, what, value, limit, higher=False, unit="", digits=2):
        """Say whether the value reaches the limit."""
        met = value >= limit if higher else value <= limit
        self.n_missed += not met
        sign = ">=" if higher else "<="
        self._verdicts.append({"what": what, "value": value, "goal": limit, "higher": higher,
                               "unit": unit, "met": met})
        print(f"  goal: {what:38} {value:>11,.{digits}f} {sign} {limit:>9,.{digits}f} {unit:5} "
              f"{'met' if met else 'MISSED'}", flush=True)

    def failed(self, what, error):
        """Something could not be measured: an error of the benchmark."""
        self.n_failed += 1
        text = str(error).strip().splitlines()
        self._verdicts.append({"what": what, "error": str(error)})
        print(f"  {what}: cannot be measured: {text[-1] if text else repr(error)}", flush=True)

    @contextlib.contextmanager
    def attempt(self, what):
        """A failure here is reported, and the rest is measured all the same."""
        try:
            yield
        except Exception as error:  # whatever it is, it is said and counted
            self.failed(what, error)


__all__ = ["BenchError", "DEADLINE_S", "PROGRAMS", "Recorder", "Report", "TESTS", "TRACKEXEC",
           "Worker", "apart", "busiest", "children", "debian_python", "median", "pythons", "run", "trackexec",
           "wait_for"]
