# SPDX-License-Identifier: BSD-3-Clause
"""A server of sorts: the version before. ../new/server.py is the one after; see test_diff.py.

Says "ready" and goes on.
"""

import time


def parse(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def compute(n):
    values = [i % 7 for i in range(n)]
    values.sort()
    return sum(values)


def store():
    time.sleep(0.01)


def old_only():
    return sum(range(100000))


def handle():
    parse(5000)
    compute(5000)
    store()
    old_only()


def serve():
    while True:
        handle()
        time.sleep(0.01)


print("ready", flush=True)
serve()
