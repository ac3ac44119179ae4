# SPDX-License-Identifier: BSD-3-Clause
"""No false stack in any trace: every target on every interpreter, as fast as it goes.

    TRACKEXEC_SECONDS=N     record each target that long (default 0.5)
    TRACKEXEC_SNAPSHOTS=N   go on until there are so many snapshots per interpreter
    TRACKEXEC_PYTHON=LABEL  only this interpreter (see tests/pythons.py list)
    TRACKEXEC_TARGET=NAME   only this target
"""

import collections
import os
import unittest

from recording import Recording, Target
import judges
import pythons

SECONDS = float(os.environ.get("TRACKEXEC_SECONDS", 0.5))
SNAPSHOTS = int(os.environ.get("TRACKEXEC_SNAPSHOTS", 0))
MAX_DROPPED_PERCENT = 1
# A look that met a code object that is gone cannot be proven: the first batch in which old ones turn
# out to go is lost, and becomes a gap. Of a recording of some seconds that is up to so much.
COME_AND_GO = "exec_churn"
COME_AND_GO_DROPPED_PERCENT = 15
COME_AND_GO_SECONDS = 2
# Where it got so little of a CPU, the recording is mostly its beginning: the share says nothing.
COME_AND_GO_SNAPSHOTS = 3000
# While the first code objects are loaded, what uses them can't be told yet.
FIRST_DROPPED = 20

# The limits of what can be proven by reading a running process (README, "Why a snapshot can be
# believed"): a generator is read one read later than its caller, which matters where a loop over it
# is over within a few microseconds; and up to 3.10 no two frames are read at one moment. What slips
# through is printed, and must stay below these shares of the time.
SHORT_LOOPS = ("gen_depth", "gen_for", "coroutines")
SHORT_LOOPS_SHARE = 0.002
HEAP_SHARE = 0.005
HEAP_CHURN_SHARE = 0.02  # frame objects and code objects are both recycled

# A false stack that turns up once in so many recordings is printed; one that comes again fails.
TURNS = 3


def known_share(python, name):
    if python.version < (3, 11):
        return HEAP_CHURN_SHARE if name == COME_AND_GO else HEAP_SHARE
    return SHORT_LOOPS_SHARE if name in SHORT_LOOPS else 0


def wanted(variable, name):
    return os.environ.get(variable, name) == name


class Figures:
    """Sums over the recordings of one interpreter and target."""

    def __init__(self):
        self.snapshots = self.cut = self.dropped = 0
        self.code_gaps = self.code_dropped = 0
        self.seconds = 0.0
        self.reasons = collections.Counter()

    def add(self, info):
        self.snapshots += info["snapshots"]
        self.cut += info["cut"]
        self.dropped += info["dropped"]
        self.code_gaps += info["gaps_by_reason"].get("code-replaced", 0)
        self.code_dropped += info["dropped_by_reason"]["code"]
        self.seconds += info["duration_s"]
        self.reasons.update(info["dropped_by_reason"])

    def dropped_percent(self):
        return 100 * self.dropped / max(1, self.snapshots + self.dropped)

    def row(self, label, name):
        return (f"{label:16} {name:16} {self.snapshots:10,} snapshots "
                f"{self.snapshots / max(self.seconds, 1e-9):10,.0f}/s  "
                f"cut {100 * self.cut / max(1, self.snapshots):5.2f} %  "
                f"dropped {self.dropped_percent():5.2f} %")


class Stacks(unittest.TestCase):
    def record(self, python, name, figures):
        with Target(python, name) as target:
            seconds = max(SECONDS, COME_AND_GO_SECONDS if name == COME_AND_GO else 0)
            with Recording(target.process.pid, "--all", "--rate", "max",
                           duration_s=seconds) as recording:
                figures.add(recording.info())
                return judges.JUDGES[name](recording.collapsed(), target.script, python.version)

    def check(self, python, name, figures):
        with self.subTest(python=python.label, target=name):
            for _ in range(TURNS):
                verdict = self.record(python, name, figures)
                share = verdict.impossible / max(1, verdict.impossible + verdict.possible)
                if share <= known_share(python, name):
                    break
                print(f"{python.label} {name}: {share:.6%} impossible: {verdict.examples[0][0]}",
                      flush=True)
            self.assertLessEqual(share, known_share(python, name), verdict.examples)
            self.assertGreater(verdict.possible, 0)
            self.check_dropped(name, figures)

    def check_dropped(self, name, figures):
        if figures.code_dropped:
            self.assertGreater(figures.code_gaps, 0)
        if name == COME_AND_GO and figures.snapshots < COME_AND_GO_SNAPSHOTS:
            print(f"{name}: {figures.snapshots} snapshots are too few to judge what was dropped",
                  flush=True)
        elif figures.dropped > FIRST_DROPPED:
            self.assertLess(figures.dropped_percent(), COME_AND_GO_DROPPED_PERCENT
                            if name == COME_AND_GO else MAX_DROPPED_PERCENT, figures.reasons)

    def test_no_impossible_stack(self):
        for python in pythons.interpreters():
            if not wanted("TRACKEXEC_PYTHON", python.label):
                continue
            figures = {name: Figures() for name in judges.NAMES if wanted("TRACKEXEC_TARGET", name)}
            before = -1
            # A turn that adds nothing has failed already.
            while before < sum(f.snapshots for f in figures.values()) and (
                    before < 0 or sum(f.snapshots for f in figures.values()) < SNAPSHOTS):
                before = sum(f.snapshots for f in figures.values())
                for name in figures:
                    self.check(python, name, figures[name])
            for name, sums in figures.items():
                print(sums.row(python.label, name), flush=True)


if __name__ == "__main__":
    unittest.main()
