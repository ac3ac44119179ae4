# SPDX-License-Identifier: BSD-3-Clause
"""Lines whose share of the time is known, because the program measures them itself.

Each line marked `share:` is timed from just before to just after. Each takes 10 µs or more, so
the clock's own 0.1 µs do not count. Some are one long call into C, others are full of short
Python calls: a recorder that loses more of the one kind than of the other shows it here.

On SIGTERM, or at its end, the program prints one line of JSON: for each marked line its name, line,
function, nanoseconds and share of the whole run, and `history`, the running sums with the monotonic
time about every 20 ms, for the shares between any two moments.
"""

import json
import os
import signal
import sys
import time
import zlib

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")

NAMES = ("crc_small", "crc_big", "calls", "chain", "generator", "loop", "sleep")
clock = time.perf_counter_ns
SMALL = bytes(100 << 10)
BIG = bytes(400 << 10)


def leaf(x):
    return x + 1


def caller(x):
    return leaf(x)  # call:leaf


def calls(n):
    for i in range(n):
        caller(i)  # call:caller


def chain(depth):
    if depth:
        return chain(depth - 1)  # call:chain
    return depth


def chains(n):
    for _ in range(n):
        chain(20)  # call:chain


def numbers(n):
    for i in range(n):
        yield i


def generator(n):
    for _ in numbers(n):  # call:numbers
        pass


def loop(n):
    x = 0
    for i in range(n):
        x = (x + i) & 1023
    return x


def turn(sums):
    t0 = clock()
    zlib.crc32(SMALL)  # share:crc_small
    t1 = clock()
    zlib.crc32(BIG)  # share:crc_big
    t2 = clock()
    calls(2000)  # call:calls share:calls
    t3 = clock()
    chains(150)  # call:chains share:chain
    t4 = clock()
    generator(3000)  # call:generator share:generator
    t5 = clock()
    loop(4000)  # call:loop share:loop
    t6 = clock()
    time.sleep(0.0001)  # share:sleep
    t7 = clock()
    sums[0] += t1 - t0
    sums[1] += t2 - t1
    sums[2] += t3 - t2
    sums[3] += t4 - t3
    sums[4] += t5 - t4
    sums[5] += t6 - t5
    sums[6] += t7 - t6
    return t7 - t0


def run(sums, history, until):
    total = 0
    noted = 0
    while not STOP and time.monotonic() < until:
        total += turn(sums)  # call:turn
        if total - noted > 20000000:
            noted = total
            history.append((time.monotonic_ns(), *sums))
    return total


def marked_lines():
    lines = {}
    with open(__file__) as file:
        for number, text in enumerate(file, 1):
            for name in NAMES:
                if text.rstrip().endswith("share:" + name):
                    lines[name] = number
    return lines


def report(sums, history):
    total = sum(sums) or 1
    lines = marked_lines()
    print(json.dumps({
        "total_ns": total,
        "lines": [{"name": name, "line": lines[name], "function": "turn", "ns": ns,
                   "share": ns / total} for name, ns in zip(NAMES, sums)],
        "history": history,
    }), flush=True)


STOP = []
signal.signal(signal.SIGTERM, lambda number, frame: STOP.append(number))
run([0] * len(NAMES), [], time.monotonic() + 0.2)  # call:run
print("ready", flush=True)
SUMS, HISTORY = [0] * len(NAMES), []
run(SUMS, HISTORY, END)  # call:run,<lambda>
report(SUMS, HISTORY)
os._exit(0)
