# SPDX-License-Identifier: BSD-3-Clause
"""server-hub: speaks with the clients; here it plays them, too."""

import random
import string

NAMES = string.ascii_lowercase


class Hub:
    def __init__(self, loop, main):
        self.main = main
        self.random = random.Random(7)
        loop.plan_each(0.001, self.client_request)
        loop.plan_each(0.010, self.log_lines)

    def client_request(self):
        kind = self.random.choice(("node", "switch", "unknown"))
        self.main.call("show", kind, then=self.print_table)

    def print_table(self, devices):
        widths = column_widths(devices)
        lines = [format_row(device, widths) for device in devices]
        return "\n".join(lines)

    def log_lines(self):
        records = [[float(i), f"node-{i}", self.make_line()] for i in range(20)]
        self.main.call("log", records)

    def make_line(self):
        words = ["".join(self.random.choices(NAMES, k=5)) for _ in range(6)]
        return " ".join(words)


def column_widths(devices):
    widths = {}
    for device in devices:
        for key, value in device.items():
            widths[key] = max(widths.get(key, 0), len(value))
    return widths


def format_row(device, widths):
    return " ".join(value.ljust(widths[key]) for key, value in device.items())
