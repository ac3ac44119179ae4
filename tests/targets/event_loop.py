# SPDX-License-Identifier: BSD-3-Clause
"""Event loops that are mostly idle, and handlers that wait for several descriptors themselves.

    event_loop.py selectors|asyncio

Says "ready" and goes on. Lines that wait are marked with `# wait:NAME`.
"""

import asyncio
import os
import select
import selectors
import sys

PIPES = [os.pipe() for _ in range(4)]
S = 0.03


def handler():
    select.select([PIPES[0][0], PIPES[1][0]], [], [], S)  # wait:nested


def deeper():
    handler()


def run_selectors():
    with selectors.DefaultSelector() as selector:
        for r, _ in PIPES:
            selector.register(r, selectors.EVENT_READ)
        while True:
            selector.select(S)  # wait:selectors
            deeper()


async def work():
    loop = asyncio.get_running_loop()
    for r, _ in PIPES:
        loop.add_reader(r, print)
    while True:
        await asyncio.sleep(S)
        deeper()


def run_asyncio():
    asyncio.run(work())  # wait:asyncio


print("ready", flush=True)
{"selectors": run_selectors, "asyncio": run_asyncio}[sys.argv[1]]()
