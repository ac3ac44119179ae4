# SPDX-License-Identifier: BSD-3-Clause
"""server-hub: speaks with the clients; without any it plays them, too."""

import random
import string

NAMES = string.ascii_lowercase


class Hub:
    def __init__(self, loop, main):
        self.loop = loop
        self.main = main
        self.random = random.Random(7)

    def play_clients(self):
        self.loop.plan_each(0.001, self.client_request)
        self.loop.plan_each(0.010, self.log_lines)

    def serve(self, kind, then):
        """A client's request: it gets a table, and leaves some lines in the log."""
        self.log_lines(2)
        self.main.call("refresh_and_show", kind,
                       then=lambda devices: then(self.print_table(devices)))

    def client_request(self):
        kind = self.random.choice(("node", "switch", "unknown"))
        self.main.call("show", kind, then=self.print_table)

    def print_table(self, devices):
        widths = column_widths(devices)
        lines = [format_row(device, widths) for device in devices]
        return "\n".join(lines)

    def log_lines(self, n_lines=20):
        records = [[float(i), f"node-{i}", self.make_line()] for i in range(n_lines)]
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
