# SPDX-License-Identifier: BSD-3-Clause
"""server-main: knows the others, and answers the hub."""


class Main:
    def __init__(self, loop, db, blocking):
        self.db = db
        self.blocking = blocking
        self.devices = {"node": [], "switch": [], "unknown": []}
        self.status = {}
        loop.plan_each(0.005, self.refresh)
        loop.plan_each(0.040, self.summarize)
        loop.plan_each(0.200, self.pull)

    # what the hub calls

    def show(self, kind):
        devices = self.devices[kind]
        return [self.describe(device) for device in devices[:40]]

    def log(self, records):
        self.db.call("add_logs", records)
        for _, device, line in records:
            self.status[device] = self.classify(line)

    def describe(self, device):
        status = self.status.get(device["name"], "silent")
        return {"name": device["name"], "mac": device["mac"], "status": status}

    def classify(self, line):
        vowels = sum(1 for letter in line if letter in "aeiou")
        return "noisy" if vowels > 8 else "calm"

    # timers

    def refresh(self):
        for kind in self.devices:
            self.db.call("list_devices", kind, then=lambda rows, kind=kind: self.keep(kind, rows))

    def keep(self, kind, rows):
        self.devices[kind] = sorted(rows, key=lambda row: int(row["name"].partition("-")[2]))

    def summarize(self):
        self.db.call("count_logs", "%a%e%")

    def pull(self):
        self.blocking.call("pull_image", "default", then=self.pulled)

    def pulled(self, image):
        self.blocking.call("run_command", image)
