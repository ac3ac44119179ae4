# SPDX-License-Identifier: BSD-3-Clause
"""Several threads, each with its own chain of functions: sleeping, waiting for a lock, busy."""

import sys
import threading
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")

LOCK = threading.Lock()
STARTED = []


def busy_leaf(x):
    return x + 1


def busy_caller(x):
    return busy_leaf(x)  # call:busy_leaf


def busy():
    STARTED.append(1)
    while time.monotonic() < END:
        for i in range(1000):
            busy_caller(i)  # call:busy_caller


def doze_inner():
    time.sleep(0.002)


def doze_outer():
    doze_inner()  # call:doze_inner


def doze():
    STARTED.append(1)
    while time.monotonic() < END:
        doze_outer()  # call:doze_outer


def locked_work():
    total = 0
    for i in range(300):
        total += i
    return total


def lock_user():
    with LOCK:
        locked_work()  # call:locked_work


def lock_first():
    STARTED.append(1)
    while time.monotonic() < END:
        lock_user()  # call:lock_user


def lock_holder():
    LOCK.acquire()
    time.sleep(0.001)
    LOCK.release()


def lock_second():
    STARTED.append(1)
    while time.monotonic() < END:
        lock_holder()  # call:lock_holder


THREADS = [
    threading.Thread(target=busy),  # thread:busy
    threading.Thread(target=doze),  # thread:doze
    threading.Thread(target=lock_first),  # thread:lock_first
    threading.Thread(target=lock_second),  # thread:lock_second
]
for thread in THREADS:
    thread.daemon = True
    thread.start()
while len(STARTED) < len(THREADS):
    time.sleep(0.001)
print("ready", flush=True)
while time.monotonic() < END:
    time.sleep(0.05)
