# SPDX-License-Identifier: BSD-3-Clause
"""Waits of a trace, read as docs/trace-format.md tells, without the project's own readers."""

import collections
import contextlib
import os
import sqlite3
import subprocess

FOR_SOMETHING, FOR_CPU = 0, 1
BEGAN_BEFORE, GOES_ON = 1, 2

Reason = collections.namedtuple("Reason", "kind call what polled", defaults=("", "", "", 0))
Native = collections.namedtuple("Native", "is_complete frames", defaults=(False, ()))
NO_REASON, NO_NATIVE = Reason(), Native()


class Wait:
    """One stretch off the CPU, whole though it may lie in several blocks."""

    def __init__(self, thread, kind, start_ns, end_ns, is_open):
        self.thread = thread
        self.path, self.line, self.reason, self.native, self.state, self.is_idle = kind
        self.start_ns, self.end_ns, self.is_open = start_ns, end_ns, is_open

    @property
    def length_ns(self):
        return self.end_ns - self.start_ns

    def __repr__(self):
        kind = ("ready" if self.state == FOR_CPU else
                f"{self.reason.kind or '?'}/{self.reason.call} {self.reason.what!r}")
        return (f"<{os.path.basename(self.path or '-')}:{self.line} thread {self.thread} "
                f"{self.length_ns / 1e6:.3f} ms {kind}{' idle' if self.is_idle else ''} "
                f"{'complete' if self.native.is_complete else list(self.native.frames[-2:])}>")


def unpack(data):
    """One zstd frame."""
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout


def read_numbers(data):
    numbers, at = [], 0
    while at < len(data):
        n = data[at] - 247
        if n <= 0:
            numbers.append(data[at])
            at += 1
        else:
            numbers.append(int.from_bytes(data[at + 1:at + 1 + n], "little"))
            at += 1 + n
    return numbers


def decode_waits(data):
    """[(kind's five numbers, flags, start since the block's first time, length)], times in ns."""
    numbers = iter(read_numbers(unpack(data)))
    assert next(numbers) == 1, "an unknown format"
    shift = next(numbers)
    kinds = [[next(numbers) for _ in range(5)] for _ in range(next(numbers))]
    heads = [next(numbers) for _ in range(next(numbers))]
    gaps = [next(numbers) for _ in heads]
    lengths = [next(numbers) for _ in heads]
    assert next(numbers, None) is None, "bytes behind the waits"
    waits, end = [], 0
    for head, gap, length in zip(heads, gaps, lengths):
        start = end + gap
        end = start + length
        waits.append((kinds[head // 4], head % 4, start << shift, length << shift))
    return waits


class WaitTrace:
    """All of the waits of a trace, by time of their beginning."""

    def __init__(self, trace):
        path = os.path.join(trace, "trace.db")
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            self.meta = dict(db.execute("SELECT key, value FROM meta"))
            self.files = dict(db.execute("SELECT id, path FROM files"))
            self.reasons = {number: Reason(*row) for number, *row in
                            db.execute("SELECT id, kind, call, what, polled FROM reasons")}
            self.natives = {number: Native(bool(complete), tuple(frames.splitlines()))
                            for number, complete, frames in
                            db.execute("SELECT id, complete, frames FROM native_stacks")}
            self.threads = {row[0]: row[1:] for row in db.execute(
                "SELECT id, native_id, python_id, first_ns, last_ns FROM threads")}
            self.lines = {(path, line): times for path, line, *times in db.execute(
                "SELECT path, line, sum(visits), sum(self_ns), sum(wait_ns), sum(ready_ns) "
                "FROM lines JOIN files ON files.id = file GROUP BY path, line")}
            self.sums = db.execute("SELECT block, file, line, reason, native, state, idle, n, "
                                   "total_ns, longest_ns, longest_start_ns FROM waits").fetchall()
            self.gaps = db.execute("SELECT thread, start_ns, end_ns, reason FROM gaps").fetchall()
            self.waits = []
            self._read(db)

    def _read(self, db):
        blocks = db.execute("SELECT thread, first_ns, last_ns, waits FROM blocks "
                            "ORDER BY thread, first_ns")
        open_waits = {}
        for thread, first_ns, last_ns, data in blocks:
            before = open_waits.pop(thread, None)
            for numbers, flags, start, length in decode_waits(data) if data else ():
                end_ns = last_ns if flags & GOES_ON else first_ns + start + length
                # Behind a gap it may be another one that began in it.
                if flags & BEGAN_BEFORE and before and self._is_like(before, numbers):
                    before.end_ns = end_ns
                    wait = before
                    # What it was waiting for may be known only later.
                    self._set_kind(wait, numbers, only_better=True)
                else:
                    wait = Wait(thread, self._kind(numbers), first_ns + start, end_ns, False)
                    self.waits.append(wait)
                wait.is_open = bool(flags & GOES_ON)
                before = None
                if wait.is_open:
                    open_waits[thread] = wait
        self.waits.sort(key=lambda wait: wait.start_ns)

    def _kind(self, numbers):
        file, line, reason, native, state = numbers
        return (self.files.get(file), line, self.reasons.get(reason, NO_REASON),
                self.natives.get(native, NO_NATIVE), state % 2, bool(state // 2))

    def _is_like(self, wait, numbers):
        path, line, _, _, state, _ = self._kind(numbers)
        return (wait.path, wait.line, wait.state) == (path, line, state)

    def _set_kind(self, wait, numbers, only_better):
        _, _, reason, native, _, idle = self._kind(numbers)
        if reason is not NO_REASON or not only_better:
            wait.reason = reason
        if native is not NO_NATIVE or not only_better:
            wait.native = native
        wait.is_idle |= idle

    def threads_of(self, note):
        return {number: row for number, row in self.threads.items()
                if row[0] == note["native_id"] or row[1] == note["python_id"]}

    def of(self, note, path=None, line=None):
        """Those of a thread (on a line) between two times, as a target noted them."""
        threads = self.threads_of(note)
        return [wait for wait in self.waits
                if wait.thread in threads and (not path or (wait.path, wait.line) == (path, line))
                and wait.end_ns > note["before_ns"] and wait.start_ns < note["after_ns"]]
