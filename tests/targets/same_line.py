# SPDX-License-Identifier: BSD-3-Clause
"""Functions that share lines with others: lambdas, comprehensions, nested and one-line functions."""

import sys
import threading
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def spin(n):
    while n > 0:
        n -= 1


def nap(_=0): time.sleep(0.0002)


def twice(f): f(); f()


def naps(n):
    return [[nap(j) for j in range(n)] for _ in range(n)]


def lambdas(n):
    twice(lambda: spin(n)); twice(lambda: (nap(), spin(n)))
    key = max(range(5), key=lambda i: (spin(i), nap())[0] or i)
    return key


def outer(n):
    def inner(k): return inner(k - 1) if k else spin(n)
    def other(): nap()
    inner(4); other()
    return {i: other() for i in range(2)}, sum(spin(20) or i for i in range(n))


class Worker:
    step = lambda self, n: outer(n) if n > 3 else nap()

    def run(self, n):
        for i in range(n): self.step(i)


def main():
    while time.monotonic() < END:
        naps(2)
        lambdas(30)
        Worker().run(6)


threading.Thread(target=main, daemon=True).start()
print("ready", flush=True)
main()
