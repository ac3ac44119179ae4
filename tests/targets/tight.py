# SPDX-License-Identifier: BSD-3-Clause
"""Two functions that call each other millions of times a second."""

import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def ping(n):
    return pong(n) + 1  # call:pong


def pong(n):
    if n:
        return ping(n - 1)  # call:ping
    return n  # at:bottom


def run(rounds):
    for _ in range(rounds):
        ping(1)  # call:ping


run(20000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(50000)  # call:run
