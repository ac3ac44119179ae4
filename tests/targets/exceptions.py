# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions that unwind several frames, are caught at two levels, and calls right after."""

import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def thrower(n):
    if n == 0:
        raise ValueError(n)  # at:raise
    thrower(n - 1)  # call:thrower


def after_high(n):
    return n + 1


def after_low(n):
    return n + 2


def middle():
    try:
        thrower(5)  # call:thrower
    except KeyError:
        after_low(0)  # call:after_low


def catch_high():
    try:
        middle()  # call:middle
    except ValueError:
        after_high(1)  # call:after_high
    after_high(2)  # call:after_high


def catch_low():
    try:
        thrower(2)  # call:thrower
    except ValueError:
        after_low(1)  # call:after_low
    after_low(2)  # call:after_low


def run(rounds):
    for _ in range(rounds):
        catch_high()  # call:catch_high
        catch_low()  # call:catch_low


run(5000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(20000)  # call:run
