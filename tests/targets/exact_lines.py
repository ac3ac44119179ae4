# SPDX-License-Identifier: BSD-3-Clause
"""Does the same each time, to the line: calls, generators, coroutines, exceptions, threads.

arguments: rounds, file for what sys.settrace() tells ("-": do not trace). Says "ready", then works
at each line of its standard input that is not "exec" or "warm up", and says "done".
"""

import os
import sys
import threading


def leaf(x):
    y = x + 1
    return y


def recursive(n):
    if n == 0:
        return 0
    return 1 + recursive(n - 1)


def gen(n):
    for i in range(n):
        got = yield i
        if got:
            leaf(got)


def delegating(n):
    before = 1
    r = yield from gen(n)
    return before


class Thing:
    def __init__(self, v):
        self.v = v

    def method(self):
        return leaf(self.v)

    @property
    def prop(self):
        return self.v


def raises(n):
    if n % 3 == 0:
        raise ValueError(n)
    return n


def catches(n):
    try:
        raises(n)
    except ValueError as e:
        x = str(e)
    else:
        x = ''
    finally:
        y = x
    return y


async def coro(n):
    r = await inner(n)
    return r


class Pause:
    def __await__(self):
        yield 1
        yield 2


async def inner(n):
    await Pause()
    for i in range(2):
        await Pause()
    return n


def drive(c):
    try:
        while True:
            c.send(None)
    except StopIteration as e:
        return e.value


one = lambda x: x + 1
two = lambda x: (x +
                 1)


def deco(f):
    def wrapper(*a):
        return f(*a)
    return wrapper


@deco
def decorated(x):
    return x


def outer(n):
    def nested(x):
        return x + n
    return nested(1)


def half_imported():
    """A module that fails while it is imported; what it has begun ends with it."""
    t = 0
    for i in range(3):
        try:
            import exact_broken
            t += exact_broken.a
        except LookupError:
            t += leaf(i)
    return t


def work(n):
    t = half_imported()
    for i in range(n):
        t += leaf(i)
        t += one(i)
        t += two(i)
        t += decorated(i)
        t += outer(i)
        recursive(i % 7)
        for v in gen(3):
            t += v
        for v in delegating(2): t += v
        g = gen(4); next(g); g.send(5); g.close()
        th = Thing(i)
        th.method()
        th.prop
        catches(i)
        drive(coro(i))
        l = [x for x in range(3)]
        l = [x
             for x in range(3)
             if x]
        d = {k: v for k, v in enumerate(l)}
        s = sum(x for x in l)
        s = sum(x
                for x in l)
        while t > 10: t -= 1000
        if t and i: pass
        with open(os.devnull, encoding="ascii"):
            pass
    return t


def with_threads(n):
    """One after the other: what each does is known, not how they would mix."""
    for _ in range(3):
        thread = threading.Thread(target=work, args=(n,))
        thread.start()
        thread.join()


EVENTS = []
FILES = (__file__, os.path.join(os.path.dirname(__file__), "exact_broken.py"))


def tracer(frame, event, _arg):
    code = frame.f_code
    if code.co_filename not in FILES or code.co_name in ("main", "with_threads"):
        return None
    EVENTS.append((threading.get_native_id(), event, code.co_name, code.co_firstlineno, frame.f_lineno))
    return tracer


def main():
    rounds, path = int(sys.argv[1]), sys.argv[2]
    sys.dont_write_bytecode = True
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "exec":
            os.execv(sys.executable, [sys.executable, *sys.argv])
        if line.strip() == "warm up":
            leaf(1)
            print("warm", flush=True)
            continue
        if path != "-":
            threading.settrace(tracer)
            sys.settrace(tracer)
        work(rounds)
        with_threads(2)
        sys.settrace(None)
        threading.settrace(None)
        print("done", flush=True)
    if path != "-":
        with open(path, "w", encoding="ascii") as out:
            for event in EVENTS:
                print(*event, file=out)


if __name__ == "__main__":
    main()
