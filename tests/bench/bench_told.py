# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench.py about events that others than looks tell: their way into the trace."""

import os
import re
import tempfile

from measure import PROGRAMS, median, run

EVENTS = 5_000_000
# As many as an interpreter's probes give at most, four times over: the writer is to have time left.
GOAL = 4 * 400_000


def measure_told(options, report):
    rates = {"told": [], "written": []}
    with tempfile.TemporaryDirectory(prefix="trackexec-bench-") as folder:
        for i in range(options.repeat + 2):
            said = "\n".join(run(PROGRAMS / "told_rate", os.path.join(folder, str(i)), EVENTS))
            for what, values in rates.items():
                values.append(int(re.search(rf"^{what} .* (\d+) events/s", said, re.M).group(1)))
    for what, values in rates.items():
        report.row(f"{what:10}{median(values):14,.0f} events/s of CPU", what=what, per_s=values)
    report.goal("written, events/s of CPU", median(rates["written"]), GOAL, higher=True, digits=0)


SECTIONS = {"told": ("19. Events that others than looks tell", measure_told)}
