# SPDX-License-Identifier: BSD-3-Clause
"""Sleeps and works in lines that are known, and says when. For replay.

    phases.py [ROUNDS]     default: 4

Prints "ready", then for each phase a line "REALTIME NAME", and at the end "REALTIME end".
"""

import sys
import time


def say(name):
    print(f"{time.time():.9f} {name}", flush=True)


def sleep_first():
    say("sleep_first")
    time.sleep(0.15)  # line of sleep_first


def sleep_second():
    say("sleep_second")
    time.sleep(0.1)  # line of sleep_second


def work(n):
    total = 0
    for i in range(n):
        total += i * i  # line of work
    return total


def busy():
    say("busy")
    end = time.monotonic() + 0.15
    while time.monotonic() < end:
        work(2000)


def once():
    time.sleep(0.02)  # line of once


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    print("ready", flush=True)
    for number in range(rounds):
        sleep_first()
        busy()
        sleep_second()
        if number == rounds // 2:
            once()
    say("end")


if __name__ == "__main__":
    main()
