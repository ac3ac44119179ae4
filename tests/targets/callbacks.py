# SPDX-License-Identifier: BSD-3-Clause
"""Python called from C called from Python, each way with a callback of its own."""

import functools
import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")

WORDS = ["pear", "apple", "fig", "plum"]


def sort_key(word):
    return len(word)


def mapped(x):
    return x + 1


def kept(x):
    return x > 1


def added(x, y):
    return x + y


def partly(x, y):
    return x * y


PARTIAL = functools.partial(partly, 2)


@functools.lru_cache(maxsize=2)
def cached(x):
    return x - 1


def decorate(function):
    def wrapper(x):
        return function(x)  # call:decorated
    return wrapper


@decorate
def decorated(x):
    return x + 5


class Thing:
    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return self.value + other.value

    def __getitem__(self, index):
        return self.value + index

    def __len__(self):
        return 3

    def __eq__(self, other):
        return self.value == other.value

    def __hash__(self):
        return 7

    def __call__(self, x):
        return x + self.value

    def __iter__(self):
        yield self.value

    def __enter__(self):
        return self

    def __exit__(self, *details):
        return None

    def __getattr__(self, name):
        return name

    @property
    def double(self):
        return self.value * 2

    @staticmethod
    def static(x):
        return x

    @classmethod
    def build(cls, x):
        return cls(x)  # call:__init__


class Short:
    def __del__(self):
        return None


class Longer:
    def __del__(self):
        released(self)  # call:released


def released(thing):
    return thing


def owner(word):
    short, longer = Short(), Longer()
    return short and longer and word


def functions():
    sorted(WORDS, key=sort_key)  # call:sort_key
    list(map(mapped, (1, 2, 3)))  # call:mapped
    list(filter(kept, (1, 2, 3)))  # call:kept
    functools.reduce(added, (1, 2, 3))  # call:added
    PARTIAL(3)  # call:partly
    for i in range(4):
        cached(i)  # call:cached
    decorated(1)  # call:wrapper
    max((1, 2, 3), key=lambda x: -x)  # call:<lambda>


def dunders():
    one = Thing(1)  # call:__init__
    two = Thing.build(2)  # call:build
    total = one + two  # call:__add__
    total += one[5]  # call:__getitem__
    total += len(one)  # call:__len__
    total += one == two  # call:__eq__
    total += len({one: 1})  # call:__hash__
    total += one(2)  # call:__call__
    total += one.double  # call:double
    total += Thing.static(1)  # call:static
    total += sum(one)  # call:__iter__
    with two:  # call:__enter__,__exit__
        total += 1  # call:__exit__[-3.9]
    two.unknown  # call:__getattr__
    return total


def deleted():
    short = Short()
    del short  # call:__del__
    owner(1)  # call:owner,__del__
    sorted(WORDS, key=owner)  # call:owner,__del__


def run(rounds):
    for _ in range(rounds):
        functions()  # call:functions
        dunders()  # call:dunders
        deleted()  # call:deleted


run(1000)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(5000)  # call:run
