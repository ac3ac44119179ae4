# SPDX-License-Identifier: BSD-3-Clause
"""Frames of many kinds, exactly as the interpreter itself sees them."""

import unittest

import recording  # noqa: F401 (finds tests/)
import pythons
import steady_check


class Frames(unittest.TestCase):
    def test_are_what_the_interpreter_says(self):
        for python in pythons.interpreters():
            with self.subTest(python=python.label):
                steady_check.check(self, python, "simple_steady")


if __name__ == "__main__":
    unittest.main()
