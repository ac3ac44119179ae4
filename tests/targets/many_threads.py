# SPDX-License-Identifier: BSD-3-Clause
"""Three hundred sleeping threads and one busy one."""

import sys
import threading
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")

SLEEPERS = int(sys.argv[2]) if len(sys.argv) > 2 else 300
STARTED = []


def sleep_long():
    STARTED.append(1)
    time.sleep(1e6)


def sleeper():
    sleep_long()  # call:sleep_long


def leaf(x):
    return x + 1


def caller(x):
    return leaf(x)  # call:leaf


def run(rounds):
    for _ in range(rounds):
        caller(1)  # call:caller


threading.stack_size(256 << 10)
for _ in range(SLEEPERS):
    thread = threading.Thread(target=sleeper)  # thread:sleeper
    thread.daemon = True
    thread.start()
while len(STARTED) < SLEEPERS:
    time.sleep(0.01)
run(20000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(50000)  # call:run
