#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""titled.py WHAT N [FILE]: N sub-processes with titles that the collector follows.

busy: each computes, and counts its rounds in FILE, 8 bytes for each. idle: each waits. born: one
after the other renames itself for each line on standard input, of which it prints the id and the
monotonic time in ns.
"""

import mmap
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "daemon"))

from walt import exercise  # noqa: E402
from walt.title import end_with_parent, set_title  # noqa: E402

NAME = "walt-server-daemon"


def run_apart(title, work):
    pid = os.fork()
    if pid:
        return pid
    try:
        end_with_parent(signal.SIGKILL)
        work(title)
    finally:
        os._exit(1)


def busy(file, number):
    def work(title):
        set_title(title)
        with open(file, "r+b") as opened, mmap.mmap(opened.fileno(), 0) as memory:
            counts = memoryview(memory).cast("Q")

            def count_round():
                counts[number] += 1

            exercise.compute(count_round)

    return work


def idle(title):
    set_title(title)
    exercise.wait()


def born(title):
    set_title(title)
    os.write(1, b"%d %d\n" % (os.getpid(), time.monotonic_ns()))
    exercise.compute(lambda: None)


def main():
    what, n, *files = sys.argv[1:]
    set_title(NAME)
    for number in range(int(n)):
        title = f"{NAME}:{what}-{number:02}"
        if what == "busy":
            run_apart(title, busy(files[0], number))
        elif what == "idle":
            run_apart(title, idle)
        elif os.read(0, 1):
            pid = run_apart(title, born)
            os.read(0, 1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    print("ready", flush=True)
    signal.pause()


main()
