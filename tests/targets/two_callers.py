# SPDX-License-Identifier: BSD-3-Clause
"""Two callers, each with its own leaf, and two call lines in each of them.

All leaves look alike, so that their frames lie at the same place in memory.
"""

import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def leaf_a(x):
    return x + 1


def leaf_b(x):
    return x + 2


def leaf_c(x):
    return x + 3


def leaf_d(x):
    return x + 4


def caller_a(x):
    x = leaf_a(x)  # call:leaf_a
    return leaf_c(x)  # call:leaf_c


def caller_b(x):
    x = leaf_b(x)  # call:leaf_b
    return leaf_d(x)  # call:leaf_d


def run(rounds):
    for _ in range(rounds):
        caller_a(1)  # call:caller_a
        caller_b(1)  # call:caller_b


run(20000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(50000)  # call:run
