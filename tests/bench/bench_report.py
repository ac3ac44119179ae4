# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench.py about report: how large the page of a long trace is, and how soon open."""

import os
import resource
import sys
import tempfile

from measure import PROGRAMS, TRACKEXEC, median, run

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "e2e"))
from browser import Browser, find_chromium  # pylint: disable=wrong-import-position

MIB = 1 << 20
TRANSITIONS = 50_000_000


def open_times(page, n):
    """Seconds from asking for the page until it has drawn everything."""
    times = []
    for _ in range(n):
        with Browser() as browser:
            times.append(browser.open(page))
    return times


def measure_page(options, report, transitions, stacks):
    what = f"{transitions:,} events, {stacks:,} stacks" if stacks else f"{transitions:,} events"
    with tempfile.TemporaryDirectory(prefix="trackexec-bench-") as folder:
        trace, page = os.path.join(folder, "trace"), os.path.join(folder, "report.html")
        run(PROGRAMS / "make_trace", trace, transitions, *([stacks] if stacks else []))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(TRACKEXEC, "report", trace, "-o", page)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        size = os.path.getsize(page) / MIB
        report.row(f"{what}: {took:.1f} s of CPU to make, {size:.2f} MiB", s=took, mib=size)
        report.goal(f"size of the page, {what}", size, 10, unit="MiB")
        if not find_chromium():
            report.row("there is no Chromium to open it: apt-get install chromium")
            return
        opened = open_times(page, options.repeat + 2)
        report.row(f"opened in {median(opened):.2f} s", opened=opened)
        report.goal(f"open, median, {what}", median(opened), 2, unit="s")


def measure_report(options, report):
    transitions = TRANSITIONS // 10 if options.quick else TRANSITIONS
    for stacks in (0, 1_000_000):
        measure_page(options, report, transitions, stacks)


SECTIONS = {"report": ("18. Report: a trace of 50 million events", measure_report)}
