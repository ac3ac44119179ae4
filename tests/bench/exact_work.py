# SPDX-License-Identifier: BSD-3-Clause
"""Plain lines and calls, for bench_exact.py. Arguments: rounds, file for the lines that
sys.settrace() tells ("-": none). Waits for a line of its standard input before it works; then says
how long that took, on the clock and of the CPU. With "watch" instead of a file it works until its
input ends, and says how long each hundredth of a round took and when."""

import array
import select
import sys
import time

LINES = array.array("H")
PER_ROUND = 45


def called(x):
    y = x + 1
    z = y * 2
    return z


def work(rounds):
    total = 0
    for i in range(rounds):
        for k in range(5):
            total += called(i)
            total -= k
            if total > 1000000:
                total = 0
            last = total
        total = last
        total += 1
        total -= 1
    return total


def tracer(frame, event, _arg):
    if frame.f_code.co_name not in ("called", "work"):
        return None
    if event == "line":
        LINES.append(frame.f_lineno)
    return tracer


def watch():
    """So often that what slows it down is seen within a few milliseconds."""
    spans = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        start = time.monotonic()
        work(100)
        spans.append((start, time.monotonic() - start))
    for start, took in spans:
        print(start, took)


def main():
    rounds, path = int(sys.argv[1]), sys.argv[2]
    print("ready", flush=True)
    if path == "watch":
        watch()
        return
    sys.stdin.readline()
    if path != "-":
        sys.settrace(tracer)
    clock, cpu = time.monotonic(), time.process_time()
    work(rounds)
    clock, cpu = time.monotonic() - clock, time.process_time() - cpu
    sys.settrace(None)
    if path != "-":
        with open(path, "wb") as out:
            LINES.tofile(out)
    print(clock, cpu, flush=True)
    sys.stdin.readline()


main()
