# SPDX-License-Identifier: BSD-3-Clause
"""A service whose sub-processes come and go as it is told: a command in JSON per line of its
standard input, answered by a line of process ids.

    family.py PREFIX [PADDING]    titles are PREFIX:NAME; the padding makes room for them

    ["fork", NAME, DELAY_S, LIFE_S]   forks a child that takes its title after some time
    ["spawn", NAME, DELAY_S, LIFE_S]  the same by multiprocessing's spawn method
    ["nested", NAME]                  a child that forks one which keeps its parent's title
    ["many", N, NAME, LIFE_S]         N children at once: NAME0, NAME1, …
"""

import json
import multiprocessing
import os
import signal
import sys
import time

from title import end_with_parent, set_title

FOREVER_S = 1e6


def add_up(n):
    total = 0
    for i in range(n):
        total += i
    return total


def work(life_s):
    end = time.monotonic() + life_s
    while time.monotonic() < end:
        add_up(10000)
        time.sleep(0.01)


def be_child(prefix, name, delay_s, life_s):
    end_with_parent(signal.SIGKILL)
    time.sleep(delay_s)
    set_title(f"{prefix}:{name}")
    work(life_s)


def fork(main, *args):
    pid = os.fork()
    if pid:
        return pid
    try:
        main(*args)
    finally:
        os._exit(0)


def be_parent_and_child(prefix, name, writer):
    set_title(f"{prefix}:{name}")
    grandchild = fork(be_same, writer)
    with open(writer, "w", encoding="ascii") as file:
        file.write(str(grandchild))
    be_child(prefix, name, 0, FOREVER_S)


def be_same(writer):
    os.close(writer)
    end_with_parent(signal.SIGKILL)
    work(FOREVER_S)


def nested(prefix, name):
    reader, writer = os.pipe()
    child = fork(be_parent_and_child, prefix, name, writer)
    os.close(writer)
    with open(reader, encoding="ascii") as file:
        return [child, int(file.read())]


def spawn(prefix, name, delay_s, life_s):
    process = multiprocessing.get_context("spawn").Process(
        target=be_child, args=(prefix, name, delay_s, life_s))
    process.start()
    return process.pid


def obey(prefix, verb, *args):
    if verb == "fork":
        return [fork(be_child, prefix, *args)]
    if verb == "spawn":
        return [spawn(prefix, *args)]
    if verb == "nested":
        return nested(prefix, *args)
    n, name, life_s = args
    return [fork(be_child, prefix, f"{name}{i}", 0, life_s) for i in range(n)]


def main():
    prefix = sys.argv[1]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    set_title(prefix)
    print("ready", flush=True)
    for line in sys.stdin:
        print(*obey(prefix, *json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
