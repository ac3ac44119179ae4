# SPDX-License-Identifier: BSD-3-Clause
"""One recursive generator with two entries: `yield from`, 6 and 12 deep."""

import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def walk(depth):
    if depth:
        yield from walk(depth - 1)  # call:walk
    else:
        yield depth  # at:bottom
    yield depth + 1


def run(rounds):
    total = 0
    for _ in range(rounds):
        for item in walk(6):  # call:walk at:six
            total += item
        for item in walk(12):  # call:walk at:twelve
            total += item
    return total


run(1000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(5000)  # call:run
