# SPDX-License-Identifier: BSD-3-Clause
"""server-db: the one process that talks SQL."""

import sqlite3

SCHEMA = """
create table devices (mac text primary key, name text, type text, image text);
create table logs (time real, device text, line text);
create index logs_by_device on logs (device);
"""
TYPES = ("node", "switch", "unknown")
MAX_LOGS = 5000


class Database:
    def __init__(self):
        self.connection = sqlite3.connect(":memory:")
        self.connection.row_factory = sqlite3.Row
        self.connection.executescript(SCHEMA)
        for number in range(200):
            self.add_device(number)

    def add_device(self, number):
        mac = ":".join(f"{(number >> shift) & 255:02x}" for shift in (40, 32, 24, 16, 8, 0))
        self.execute("insert into devices values (?, ?, ?, ?)",
                     mac, f"node-{number}", TYPES[number % len(TYPES)], "default")

    def execute(self, query, *values):
        return self.connection.execute(query, values)

    def list_devices(self, kind):
        rows = self.execute("select * from devices where type = ? order by name", kind)
        return [dict(row) for row in rows]

    def count_logs(self, pattern):
        rows = self.execute("select device, count(*) as n from logs where line like ?"
                            " group by device order by n desc limit 5", pattern)
        return {row["device"]: row["n"] for row in rows}

    def add_logs(self, records):
        with self.connection:
            for time, device, line in records:
                self.execute("insert into logs values (?, ?, ?)", time, device, line)
            self.execute("delete from logs where rowid <= (select max(rowid) from logs) - ?",
                         MAX_LOGS)
        return len(records)
