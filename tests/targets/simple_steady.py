# SPDX-License-Identifier: BSD-3-Clause
"""Deep steady stacks of many kinds, all blocked, for an exact comparison (see steady.py)."""

import asyncio
import functools

import steady
from steady import block


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


steady.run([
    functools.partial(plain, 5), deep, lambda: list(generator(7)), expression, comprehension,
    Base.still, callbacks, unwinding, keywords, loop, class_body, executed,
])
