# SPDX-License-Identifier: BSD-3-Clause
"""The version after ../old/server.py: code moved down the file, one function is slower, one new.

Says "ready" and goes on.
"""

import time


def unused():
    """Makes all that follows move down."""
    return None


def parse(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def compute(n):
    # This comment moves the lines below within the function.
    values = [i % 7 for i in range(n)]
    values.sort()
    return sum(values)


def store():
    time.sleep(0.1)


def new_only():
    return sum(range(100000))


def handle():
    parse(5000)
    compute(5000)
    store()
    new_only()


def serve():
    while True:
        handle()
        time.sleep(0.01)


print("ready", flush=True)
serve()
