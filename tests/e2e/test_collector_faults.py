#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The collector and its workers ended in all ways: what is lost, and how it goes on."""

import random
import time
import unittest

from collecting import CollectorTest, ask, end_of, info, is_alive, kill, wait_until

LOST_MAX_S = 2.0
KILLS = 5


class FaultsTest(CollectorTest):
    def gaps(self, session):
        return info(self.collector.folder_of(session))["gaps_by_reason"]

    def wait_written(self, session, since):
        """Until the trace tells of what was after that moment."""
        trace = self.collector.folder_of(session)
        wait_until(lambda: end_of(trace) > since, f"more in {trace}")

    def test_restarted_collector(self):
        """The traces of those that live go on."""
        pid = self.family().fork("one")
        self.start_with_root()
        before, = self.collector.wait_recorded(pid)
        self.wait_written(before, time.time())
        self.collector.stop()
        self.assertTrue(info(self.collector.folder_of(before))["ended"])
        first = info(self.collector.folder_of(before))
        self.collector.start()
        after, = self.collector.wait_recorded(pid)
        self.assertEqual((after["run"], after["name"]), (before["run"], before["name"]))
        self.wait_written(after, time.time())
        second = info(self.collector.folder_of(after))
        self.assertFalse(second["ended"])
        self.assertEqual(second["start_unix_s"], first["start_unix_s"])
        self.assertEqual(second["gaps_by_reason"].get("recorder-absent"), 1)
        self.assertGreater(second["transitions"], first["transitions"])
        self.assertEqual(len(self.collector.traces()), 1)

    def test_killed_collector(self):
        """At any moment, with all workers: little is lost, and the next start cleans up."""
        family = self.family()
        lasting = family.fork("lasting")
        self.collector.make_root()
        seed = random.randrange(1 << 32)
        moments = random.Random(seed)
        for i in range(KILLS):
            with self.subTest(seed=seed, kill=i):
                self.check_kill(family, lasting, i, moments.uniform(0, 2))
        self.assertEqual(self.traces_by_state(), {"recording": {"lasting"}, "ended": {
            f"short{i}" for i in range(KILLS)}})

    def check_kill(self, family, lasting, i, pause_s):
        short = family.fork(f"short{i}")
        self.collector.start()
        sessions = self.collector.wait_recorded(lasting, short)
        # From the first block on all is bounded, whenever the end comes.
        seen = time.time()
        for session in sessions:
            self.wait_written(session, seen)
        time.sleep(pause_s)
        killed = time.time()
        self.collector.kill_all()
        for session in sessions:
            trace = self.collector.folder_of(session)
            self.assertGreater(end_of(trace), killed - LOST_MAX_S)
            self.assertEqual(ask("analyse", trace).returncode, 0)
            self.assertEqual(self.collector.traces()[f"{session['run']}/{session['name']}"]
                             ["state"], "killed")
        kill(short)
        wait_until(lambda: not is_alive(short), "its end")
        self.collector.start()
        again, = self.collector.wait_recorded(lasting)
        self.assertEqual(again["name"], "lasting")
        self.assertEqual(self.gaps(again).get("recorder-absent"), 2 * i + 1)
        wait_until(lambda: f"short{i}" in self.traces_by_state().get("ended", ()),
                   "the end of the trace whose process is gone")
        if i + 1 < KILLS:
            self.collector.stop()

    def traces_by_state(self):
        found = {}
        for trace in self.collector.traces().values():
            found.setdefault(trace["state"], set()).add(trace["name"])
        return found

    def test_killed_worker(self):
        """Another one goes on, and nobody else notices."""
        family = self.family()
        pids = family.fork("one"), family.fork("two")
        self.start_with_root()
        one, two = self.collector.wait_recorded(*pids)
        self.wait_written(one, time.time())
        kill(one["worker_pid"])
        wait_until(lambda: (self.collector.session(pids[0]) or one)["worker_pid"]
                   not in (one["worker_pid"], 0), "another worker")
        again, same = self.collector.wait_recorded(*pids)
        self.wait_written(again, time.time())
        self.assertEqual((again["name"], again["restarts"]), (one["name"], 1))
        self.assertEqual(self.gaps(again).get("recorder-absent"), 1)
        self.assertGreater(self.collector.session(pids[0])["gaps"], 0)
        self.assertEqual((same["worker_pid"], same["restarts"]), (two["worker_pid"], 0))
        self.assertIsNone(self.gaps(same).get("recorder-absent"))
        self.assert_log(r"one: process \d+: its worker ended unexpectedly", 1)
        self.assertEqual(len(self.collector.traces()), 2)

    def test_workers_end_with_the_collector(self):
        """Also when it can't tell them: each ends its trace by itself."""
        pid = self.family().fork("one")
        self.start_with_root()
        session, = self.collector.wait_recorded(pid)
        kill(self.collector.pid)
        self.collector.process.wait()
        wait_until(lambda: not is_alive(session["worker_pid"]), "the end of the worker")
        self.assertTrue(info(self.collector.folder_of(session))["ended"])


if __name__ == "__main__":
    unittest.main()
