# SPDX-License-Identifier: BSD-3-Clause
"""A module whose import fails half-way, for exact_lines.py."""


def double(x):
    y = x + x
    return y


def broken(x):
    if x > 1:
        raise LookupError(x)
    return double(x)


def numbers(n):
    for i in range(n):
        yield double(i)


def missing(self):
    raise AttributeError(broken(1))


steps = numbers(3)
next(steps)
steps.close()
Half = type("Half", (), {"missing": property(missing)})
a = getattr(Half(), "missing", None)
try:
    broken(2)
except LookupError:
    a = double(3)
broken(4)
a = double(5)
