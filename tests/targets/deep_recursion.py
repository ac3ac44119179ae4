# SPDX-License-Identifier: BSD-3-Clause
"""Recursion 3000 deep from one line and 1500 deep from another, each with its own leaf.

Runs in a thread with a big stack: up to CPython 3.10 each call also takes C stack.
"""

import sys
import threading
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def leaf_long(x):
    return x + 1


def leaf_short(x):
    return x + 2


def descend(n, leaf):
    if n:
        return descend(n - 1, leaf)  # call:descend
    return leaf(n)  # call:leaf_long,leaf_short at:bottom


def run(rounds):
    for _ in range(rounds):
        descend(3000, leaf_long)  # call:descend at:long
        descend(1500, leaf_short)  # call:descend at:short


def main():
    run(20)  # call:run
    print("ready", flush=True)
    while time.monotonic() < END:
        run(200)  # call:run


sys.setrecursionlimit(20000)
threading.stack_size(256 << 20)
thread = threading.Thread(target=main)  # thread:main
thread.start()
thread.join()  # call:foreign
