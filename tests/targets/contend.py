# SPDX-License-Identifier: BSD-3-Clause
"""Computes, on one line. For each line on standard input: its CPU time and the time in which it
lacked a CPU since it began, in ns."""

import sys
import threading
import time


def compute(until):
    while not until:
        sum(range(10000))  # at:busy




over = []
thread = threading.Thread(target=compute, args=(over,), daemon=True)
thread.start()
print("ready", flush=True)
for _ in sys.stdin:
    with open(f"/proc/self/task/{thread.native_id}/schedstat", encoding="ascii") as file:
        print(*file.read().split()[:2], time.monotonic_ns(), flush=True)
