# SPDX-License-Identifier: BSD-3-Clause
"""Generators that feed loops, generator expressions and next()."""

import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def numbers(n):
    for i in range(n):
        yield i


def evens(n):
    for x in numbers(n):  # call:numbers
        if x % 2 == 0:
            yield x


def pairs(n):
    for x in evens(n):  # call:evens
        for y in numbers(3):  # call:numbers
            yield x, y


def nested(n):
    total = 0
    for x, y in pairs(n):  # call:pairs
        total += x * y
    return total


def summed(n):
    return sum(x + y for x, y in pairs(n))  # call:summed><genexpr>,summed>pairs,<genexpr>>pairs


def stepped():
    # Run to their ends: a generator that is closed early would run once more where it is freed.
    items = evens(4)  # call:evens
    first = next(items)  # call:evens
    second = next(items)  # call:evens
    rest = next(items, None)  # call:evens
    return first, second, rest


def run(rounds):
    for _ in range(rounds):
        nested(6)  # call:nested
        summed(6)  # call:summed
        stepped()  # call:stepped


run(1000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(5000)  # call:run
