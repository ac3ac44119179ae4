# SPDX-License-Identifier: BSD-3-Clause
"""server-main: knows the others, and answers the hub."""


class Main:
    ANSWERED_LATER = ("refresh_and_show",)

    def __init__(self, loop, db, blocking):
        self.loop = loop
        self.n_requests = 0
        self.is_pulling = False
        self.db = db
        self.blocking = blocking
        self.devices = {"node": [], "switch": [], "unknown": []}
        self.status = {}

    def plan_timers(self):
        self.loop.plan_each(0.005, self.refresh)
        self.loop.plan_each(0.040, self.summarize)
        self.loop.plan_each(0.200, self.pull)

    # what the hub calls

    def show(self, kind):
        devices = self.devices[kind]
        return [self.describe(device) for device in devices[:40]]

    def refresh_and_show(self, kind, then):
        def show(rows):
            self.keep(kind, rows)
            then(self.show(kind))

        self.n_requests += 1
        self.db.call("list_devices", kind, then=show)
        if self.n_requests % 10 == 0:
            self.summarize()
        if self.n_requests % 20 == 0 and not self.is_pulling:
            self.is_pulling = True
            self.blocking.call("pull_image", "default", then=self.has_pulled)

    def has_pulled(self, _):
        self.is_pulling = False

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
