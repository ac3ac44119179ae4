# SPDX-License-Identifier: BSD-3-Clause
"""An event loop that stalls: it sleeps, computes, and waits for a socket where it must not.

    stalls.py [COUNT]

Says "ready", waits for a line, then stalls COUNT times (default 3) in each way, and notes for each
stall, as one line of JSON: its name, the monotonic times just before and after, and one in the next
turn. Then it stays.
Lines that cost the time are marked with `# stall:NAME`.
"""

import asyncio
import json
import os
import socket
import sys
import threading
import time

S = {"sleep": 0.25, "cpu": 0.2, "socket": 0.3, "short": 0.02}
NOTES = []
PIPES = [os.pipe() for _ in range(2)]


def sleep():
    time.sleep(S["sleep"])  # stall:sleep


def cpu():
    end = time.thread_time() + S["cpu"]
    while time.thread_time() < end: pass  # stall:cpu


def blocking_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        timer = threading.Timer(S["socket"], theirs.send, [b"x"])
        timer.start()
        ours.recv(1)  # stall:socket
        timer.join()


def short():
    time.sleep(S["short"])  # stall:short


WAYS = {"sleep": sleep, "cpu": cpu, "socket": blocking_socket, "short": short}


def stall(name):
    before = time.monotonic_ns()
    WAYS[name]()
    NOTES.append({"name": name, "before_ns": before, "after_ns": time.monotonic_ns()})


async def ticks():
    while True:
        await asyncio.sleep(0.01)


async def main(count):
    loop = asyncio.get_running_loop()
    for r, _ in PIPES:
        loop.add_reader(r, print)
    ticking = loop.create_task(ticks())
    await asyncio.sleep(0.3)
    for _ in range(count):
        for name in WAYS:
            stall(name)
            await asyncio.sleep(0.05)
            NOTES[-1]["next_ns"] = time.monotonic_ns()
    print(json.dumps(NOTES), flush=True)
    await ticking


print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))  # stall:loop
