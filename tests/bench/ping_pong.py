# SPDX-License-Identifier: BSD-3-Clause
"""ping_pong.py ROUNDS: for each line on standard input, hand a token to a child and back so often.

Each round is two switches of either process. Answers with the nanoseconds that it took, those in
which this process waited for a CPU, and its switches.
"""

import os
import resource
import sys
import time


def echo(r, w):
    while os.read(r, 8):
        os.write(w, b"x")


def play(rounds, r, w):
    for _ in range(rounds):
        os.write(w, b"x")
        os.read(r, 8)


def switches():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


def main(rounds):
    there, back = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(there[1])
        os.close(back[0])
        echo(there[0], back[1])
        os._exit(0)
    os.close(there[0])
    os.close(back[1])
    print("ready", flush=True)
    for _ in sys.stdin:
        before, start = switches(), time.monotonic_ns()
        play(rounds, back[0], there[1])
        took = time.monotonic_ns() - start
        print(took, 0, switches() - before, flush=True)


main(int(sys.argv[1]))
