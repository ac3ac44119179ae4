# SPDX-License-Identifier: BSD-3-Clause
"""What a precise section costs, in nanoseconds: section_cost.py SHIM-FOLDER; see bench_precise.py.

Says "ready"; then, for each line that it reads, measures and prints as JSON: the loop's overhead is
taken off each figure, which is the least of many runs.
"""

import json
import select
import sys
import time

sys.path.insert(0, sys.argv[1])

from walt.server import trackexec  # noqa: E402
from walt.server.trackexec import precise_timestamping  # noqa: E402

PASSES, RUNS = 1000, 150
poller = select.poll()


def empty():
    for _ in range(PASSES):
        pass


def empty_section():
    for _ in range(PASSES):
        with precise_timestamping():
            pass


def idle(poll):
    for _ in range(PASSES):
        poll(0)


def idle_section(poll, hook):
    for _ in range(PASSES):
        with hook():
            poll(0)


def lines():
    for _ in range(PASSES):
        a = 1
        a = 2
        a = 3
        a = 4
    return a


def lines_section():
    with precise_timestamping():
        for _ in range(PASSES):
            a = 1
            a = 2
            a = 3
            a = 4
    return a


def fail():
    raise KeyError


def failing():
    for _ in range(PASSES):
        try:
            fail()
        except KeyError:
            pass


def least(function, *args):
    best = 1e9
    for _ in range(RUNS):
        start = time.perf_counter()
        function(*args)
        best = min(best, time.perf_counter() - start)
    return best / PASSES * 1e9


def measure():
    poll = poller.poll
    return {
        "is_recorded": bool(trackexec._words[32]),
        "empty": least(empty_section) - least(empty),
        "idle": least(idle_section, poll, precise_timestamping) - least(idle, poll),
        "fail": least(failing) - least(empty),
        "line": (least(lines_section) - least(lines)) / 5,
    }


def main():
    trackexec.record(None, None)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


main()
