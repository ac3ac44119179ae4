# SPDX-License-Identifier: BSD-3-Clause
"""work.py KIND ROUNDS: do a fixed piece of work for each line on standard input.

Answers each with the nanoseconds that it took and those of them in which it waited for a CPU.
"""

import os
import sys
import threading
import time


def ping(n):
    return pong(n) + 1


def pong(n):
    if n:
        return ping(n - 1)
    return n


def tight(rounds):
    for _ in range(rounds):
        ping(1)


def descend(n):
    if n:
        return descend(n - 1)
    return n


def deep(rounds):
    """Maps and unmaps chunks of the data stack as it goes."""
    for _ in range(rounds):
        descend(3000)


def waiting_ns():
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1])


def main():
    work = {"tight": tight, "deep": deep}[sys.argv[1]]
    rounds = int(sys.argv[2])
    work(rounds)
    os.write(1, b"ready\n")
    while os.read(0, 1):
        waited = waiting_ns()
        start = time.perf_counter_ns()
        work(rounds)
        took = time.perf_counter_ns() - start
        os.write(1, b"%d %d\n" % (took, waiting_ns() - waited))


# In a thread with a big stack: up to CPython 3.10 each call also takes C stack.
sys.setrecursionlimit(20000)
threading.stack_size(256 << 20)
thread = threading.Thread(target=main)
thread.start()
thread.join()
