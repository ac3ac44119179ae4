# SPDX-License-Identifier: BSD-3-Clause
"""asyncio: several tasks, each awaiting a chain of coroutines of its own."""

import asyncio
import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def count(x):
    return x + 1


async def leaf_one(x):
    count(x)  # call:count
    await asyncio.sleep(0)  # call:foreign
    return count(x)  # call:count


async def middle_one(x):
    return await leaf_one(x)  # call:leaf_one


async def task_one(rounds):
    for i in range(rounds):
        await middle_one(i)  # call:middle_one


async def leaf_two(x):
    return count(x)  # call:count


async def chain_two(depth):
    if depth:
        return await chain_two(depth - 1)  # call:chain_two
    return await leaf_two(depth)  # call:leaf_two at:bottom


async def task_two(rounds):
    for _ in range(rounds):
        await chain_two(8)  # call:chain_two
        await asyncio.sleep(0)  # call:foreign


async def stream(n):
    for i in range(n):
        yield count(i)  # call:count


async def task_three(rounds):
    for _ in range(rounds):
        async for item in stream(5):  # call:stream,foreign
            count(item)  # call:count,foreign[-3.9]
        await asyncio.sleep(0)  # call:foreign


async def main():
    warm = True
    while time.monotonic() < END:
        one = task_one(200)  # call:task_one
        two = task_two(200)  # call:task_two
        three = task_three(200)  # call:task_three
        await asyncio.gather(one, two, three)  # call:foreign
        if warm:
            print("ready", flush=True)
            warm = False


asyncio.run(main())  # call:main,task_one,task_two,task_three,foreign
