# SPDX-License-Identifier: BSD-3-Clause
"""Comprehensions of all kinds: frames of their own up to CPython 3.11, inlined from 3.12 on."""

import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def cheap(x):
    return x + 1


def even(x):
    return x % 2 == 0


def lists(n):
    return [cheap(i) for i in range(n)]  # call:lists><listcomp>[-3.11],<listcomp>>cheap,lists>cheap[3.12-]


def dicts(n):
    return {i: cheap(i) for i in range(n)}  # call:dicts><dictcomp>[-3.11],<dictcomp>>cheap,dicts>cheap[3.12-]


def sets(n):
    return {cheap(i) for i in range(n) if i}  # call:sets><setcomp>[-3.11],<setcomp>>cheap,sets>cheap[3.12-]


def generated(n):
    return list(cheap(i) for i in range(n))  # call:generated><genexpr>,<genexpr>>cheap


def nested(n):
    return [[even(j) for j in range(i)] for i in range(n)]  # call:nested><listcomp>[-3.11],<listcomp>><listcomp>[-3.11],<listcomp>>even,nested>even[3.12-]


def filtered(n):
    return [i for i in range(n) if even(i)]  # call:filtered><listcomp>[-3.11],<listcomp>>even,filtered>even[3.12-]


def run(rounds):
    for _ in range(rounds):
        lists(5)  # call:lists
        dicts(5)  # call:dicts
        sets(5)  # call:sets
        generated(5)  # call:generated
        nested(4)  # call:nested
        filtered(5)  # call:filtered


run(1000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(5000)  # call:run
