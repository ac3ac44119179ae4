# SPDX-License-Identifier: BSD-3-Clause
"""Sections of all kinds, for test_precise.py: placed as a module of a package that is followed.

Deterministic, and no loop is on one line: what its lines do does not depend on who looks.
"""

import asyncio
import contextlib
import importlib
import threading

from walt.server.trackexec import precise_timestamping


def double(x):
    y = x + x
    return y


def fail(x):
    if x > 1:
        raise KeyError(x)
    return x


def plain():
    a = 1
    with precise_timestamping():
        b = a + 1
        c = double(b)
        for i in range(3):
            c += i
    return c


def returning(x):
    with precise_timestamping():
        if x:
            return double(x)
        x = 5
    return x


def raising():
    try:
        with precise_timestamping():
            fail(1)
            fail(2)
            double(3)
    except KeyError:
        pass


def catching():
    with precise_timestamping():
        try:
            fail(7)
        except KeyError:
            a = 1
        finally:
            a = double(2)
    return a


def nested():
    with precise_timestamping():
        a = plain()
        with precise_timestamping():
            a += 1
        a += 1
    return a


def recursive(n):
    if n == 0:
        return 0
    with precise_timestamping():
        return 1 + recursive(n - 1)


def recursive_failing(n):
    try:
        if n == 0:
            fail(9)
        recursive_failing(n - 1)
    except KeyError:
        if n == 2:
            return n
        raise
    return 0


def recursion():
    recursive(3)
    with precise_timestamping():
        recursive_failing(4)


def numbers(n):
    for i in range(n):
        with precise_timestamping():
            a = i
            yield a
            a = double(a)
    double(1)


def squares(n):
    for i in range(n):
        yield double(i)


def generators():
    total = 0
    for i in numbers(3):
        total += i
    with precise_timestamping():
        for i in squares(3):
            total += i
        for i in numbers(2):
            total += i
    closed = numbers(3)
    next(closed)
    closed.close()
    thrown = numbers(3)
    next(thrown)
    try:
        thrown.throw(KeyError(1))
    except KeyError:
        pass
    return total


class Thing:
    def __init__(self, x):
        self.x = x

    @property
    def twice(self):
        return double(self.x)

    def __add__(self, other):
        return Thing(self.x + other.x)

    def __lt__(self, other):
        return self.x < other.x


def implicit():
    """Functions that no call in the source names."""
    things = [Thing(3), Thing(1)]
    with precise_timestamping():
        a = things[0] + things[1]
        b = a.twice
        things.sort()
        c = list(map(double, [1, 2]))
    return b, c


class Odd:
    """What it raises is swallowed by the interpreter."""

    def __init__(self, n):
        self.n = n

    @property
    def missing(self):
        raise AttributeError(fail(1))

    def __getattr__(self, name):
        raise AttributeError(name)

    def __iter__(self):
        return self

    def __next__(self):
        self.n -= 1
        if self.n < 0:
            raise StopIteration
        return self.n

    def __hash__(self):
        return 1

    def __eq__(self, other):
        fail(self.n)
        return False


def failing_key(x):
    return fail(x)


def failing_numbers(n):
    for i in range(n):
        yield fail(i)


def swallowed():
    odd = Odd(3)
    with precise_timestamping():
        a = (getattr(odd, "missing", None), double(1))
        b = (hasattr(odd, "other"), double(2))
        c = (list(odd), double(3))
        d = (next(odd, None), double(4))
        e = sum(odd) + double(5)
        f = double(getattr(odd, "missing", 1))
        odd.n = 2
        try:
            {odd: 1}.get(Odd(2))
        except KeyError:
            odd.n = 1
        try:
            sorted([1, 2], key=failing_key)
        except KeyError:
            odd.n = 0
        try:
            list(failing_numbers(3))
        except KeyError:
            pass
        with contextlib.suppress(KeyError):
            double(fail(2))
        g = double(6)
    return a, b, c, d, e, f, g


def half_imported():
    """A module that is followed fails while it is imported."""
    for _ in range(2):
        with precise_timestamping():
            try:
                importlib.import_module("walt.section_broken")
            except KeyError:
                a = double(1)
            a += double(2)
        a += double(3)
    try:
        with precise_timestamping():
            importlib.import_module("walt.section_broken")
            a = 0
    except KeyError:
        a += 1
    return a


def open_elsewhere():
    """A section that outlives the function that opened it."""
    with contextlib.ExitStack() as stack:
        a = 1
        enter_in(stack)
        a = double(a)
    return a


def enter_in(stack):
    stack.enter_context(precise_timestamping())
    double(5)


def hook_loop():
    hook = precise_timestamping
    a = 0
    for _ in range(20):
        with hook():
            a = double(1)
        a += 1
    return a


@contextlib.contextmanager
def between():
    yield 1


def inner_section(x):
    with precise_timestamping():
        x = double(x)
    return x


def hook_forms():
    """Sections that begin again and again in one frame, as an event loop's do."""
    hook = precise_timestamping
    a = []
    for i in range(6):
        with hook():
            a = len(a) * [1]
        with hook() as nothing:
            b = (nothing, inner_section(i))
        with hook():
            c = double(1) if i % 2 else double(2)
        with between():
            with hook():
                d = double(i)
        with hook():
            e = double(i)
            f = len((a, b, c, d, e))
        try:
            with hook():
                fail(i)
        except KeyError:
            f += 1
        try:
            with hook():
                f += 1
                fail(i)
        except KeyError:
            f += 1
        with hook():
            if i == 2:
                continue
        with hook():
            if i == 4:
                break
    return f


def hook_recursion(n):
    hook = precise_timestamping
    for _ in range(3):
        with hook():
            n and hook_recursion(n - 1)
    return n


async def waiter(n):
    for _ in range(n):
        with precise_timestamping():
            a = double(n)
            await asyncio.sleep(0)
            a += 1
        await asyncio.sleep(0)
    return a


async def gather():
    await asyncio.gather(waiter(2), waiter(3))


def coroutines():
    asyncio.run(gather())


def in_thread(n):
    for _ in range(n):
        plain()


def threads():
    for n in (1, 2):
        thread = threading.Thread(target=in_thread, args=(n,))
        thread.start()
        thread.join()


def busy():
    a = 0
    for i in range(1000):
        a += i
    return a


def afterwards():
    with precise_timestamping():
        a = 1
    return a


SCENARIOS = (plain, lambda: (returning(0), returning(1)), raising, catching, nested, recursion,
             generators, implicit, swallowed, half_imported, open_elsewhere, hook_loop,
             hook_forms, lambda: hook_recursion(2), coroutines, threads, plain)


def run():
    for scenario in SCENARIOS:
        scenario()
