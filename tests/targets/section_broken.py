# SPDX-License-Identifier: BSD-3-Clause
"""A module whose import fails half-way, for test_precise.py and test_exact.py."""

from walt.section_work import double, fail

a = double(1)


class Half:
    b = double(a)


try:
    fail(2)
except KeyError:
    pass
fail(3)
a = double(4)
