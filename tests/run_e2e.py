#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs tests/e2e: run_e2e.py [PATTERN] [SECONDS]

What fails is run again when the rest is over, twice at most: programs are recorded here while
others use the machine, and a wait that another process made longer is no mistake of ours. Each
such test is told, with its first failure. What a sanitizer reports is a mistake at the first time.
"""
import io
import os
import re
import sys
import unittest

E2E = os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e")
TRIES = 3
SANITIZER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|: runtime error: ")


def name_of(test):
    """The name by which the loader finds it: of a test, or of the class that could not begin."""
    test = getattr(test, "test_case", test)  # of a subtest
    prepared = re.match(r"(?:setUp|tearDown)(?:Class|Module) \((.*)\)$", test.id())
    return prepared.group(1) if prepared else test.id()


def broken(result):
    """Names of what failed, with the first report of each."""
    reports = {}
    for test, report in result.failures + result.errors:
        reports.setdefault(name_of(test), report)
    for test in result.unexpectedSuccesses:
        reports.setdefault(name_of(test), "passes, though it is expected to fail\n")
    return reports


def try_again(name):
    """Whether it passes when it is run alone."""
    out = io.StringIO()
    try:
        suite = unittest.defaultTestLoader.loadTestsFromName(name)
    except Exception as e:  # a module that can't be loaded
        print("%s: %s" % (name, e), file=sys.stderr)
        return False
    result = unittest.TextTestRunner(stream=out, verbosity=2).run(suite)
    if not result.wasSuccessful():
        sys.stderr.write(re.sub("^", "    ", out.getvalue(), flags=re.M))
    return result.wasSuccessful()


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else "test_*.py"
    suite = unittest.defaultTestLoader.discover(E2E, pattern=pattern)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    first = broken(result)
    if not first:
        return 0
    left = [name for name, report in first.items() if SANITIZER.search(report)]
    again = [name for name in first if name not in left]
    for number in range(2, TRIES + 1):
        if again:
            print("\nAgain, alone, try %d: %s" % (number, ", ".join(again)), file=sys.stderr)
        again = [name for name in again if not try_again(name)]
    left += again
    for name in first:
        if name not in left:
            print("passed when it was run again: %s" % name, file=sys.stderr)
    # The last word on all, in unittest's form, as .ci/run counts it.
    print("\nRan %d tests in all" % result.testsRun, file=sys.stderr)
    if left:
        for name in left:
            print("failed for good: %s" % name, file=sys.stderr)
        print("\nFAILED (failures=%d)" % len(left), file=sys.stderr)
        return 1
    print("\nOK (again=%d)" % len(first), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
