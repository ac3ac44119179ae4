# SPDX-License-Identifier: BSD-3-Clause
"""Deep steady stacks of many kinds, all blocked, for an exact comparison.

Prints "ready", and then one line of JSON: for each blocked thread the frames, outermost first,
as the interpreter itself sees them: [file, name, qualified name or null, line].
"""

import asyncio
import functools
import json
import sys
import threading
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")


def block():
    time.sleep(1e6)  # at:blocked


def plain(depth):
    if depth:
        return plain(depth - 1)
    return block()


def generator(depth):
    if depth:
        yield from generator(depth - 1)
    else:
        yield block()


def expression():
    return sum(block() for _ in range(1))


def comprehension():
    return [{block() for _ in range(1)} for _ in range(1)]


class Base:
    class Inner:
        def method(self):
            return block()

        @property
        def value(self):
            return self.method()

        def __getitem__(self, index):
            return self.value

    @classmethod
    def made(cls):
        return cls.Inner()[0]

    @staticmethod
    def still():
        return Base.made()


def key(item):
    return block()


def callbacks():
    return sorted([1, 2], key=functools.partial(lambda f, x: f(x), key))


def unwinding():
    try:
        raise KeyError
    except KeyError:
        try:
            raise ValueError
        finally:
            block()


def größe_测量_with_a_name_that_does_not_fit_into_a_short_buffer_of_a_hundred_and_twenty_eight_bytes_or_so_and_is_not_ascii():
    return block()


def keywords(*args, **kwargs):
    return größe_测量_with_a_name_that_does_not_fit_into_a_short_buffer_of_a_hundred_and_twenty_eight_bytes_or_so_and_is_not_ascii(
        *args, **kwargs)


async def awaited(depth):
    if depth:
        return await awaited(depth - 1)
    return block()


def loop():
    asyncio.run(awaited(5))


def deep():
    plain(800)


def class_body():
    class Body:
        value = block()
    return Body


def executed():
    exec("def inner():\n    return block()\n\n\ninner()", {"block": block})


THREADS = [
    threading.Thread(target=target, args=args)
    for target, args in (
        (plain, (5,)), (deep, ()), (lambda: list(generator(7)), ()), (expression, ()),
        (comprehension, ()), (Base.still, ()), (callbacks, ()), (unwinding, ()), (keywords, ()),
        (loop, ()), (class_body, ()), (executed, ()),
    )
]


def marked(name):
    with open(__file__, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if text.rstrip().endswith("# at:" + name):
                return number
    raise LookupError(name)


def frames_of(frame):
    frames = []
    while frame:
        code = frame.f_code
        frames.append([code.co_filename, code.co_name, getattr(code, "co_qualname", None),
                       frame.f_lineno])
        frame = frame.f_back
    return frames[::-1]


def wait_until_blocked(line, deadline):
    """A thread that is on the line that sleeps stays there."""
    while True:
        current = sys._current_frames()
        stacks = [frames_of(current[thread.ident]) for thread in THREADS]
        if all(stack[-1][1] == "block" and stack[-1][3] == line for stack in stacks):
            return stacks
        if time.monotonic() > deadline:
            raise TimeoutError("threads did not come to rest")
        time.sleep(0.01)


for thread in THREADS:
    thread.daemon = True
    thread.start()
STACKS = wait_until_blocked(marked("blocked"), time.monotonic() + 60)
print("ready", flush=True)
print(json.dumps(STACKS), flush=True)
while time.monotonic() < END:
    time.sleep(0.1)
