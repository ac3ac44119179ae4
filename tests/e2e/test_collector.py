#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The collector at work: who is recorded, since when, and to which folders."""

import os
import re
import shutil
import signal
import time
import unittest

from collecting import (NOBODY, CollectorTest, ask, children_of, info, is_alive, kill, wait_until)

LATE_S = 0.3
MANY_S = 120


class RootTest(CollectorTest):
    """The folder's presence is the switch."""

    def test_folder_begins_and_ends_it(self):
        collector = self.collector
        collector.configure("")
        daemon, pids = self.daemon()
        collector.start()
        self.assertEqual(collector.status()["root"]["state"], "absent")
        self.assertEqual(collector.status()["sessions"], [])
        self.assertEqual(collector.workers(), [])

        collector.make_root()
        sessions = collector.wait_recorded(*pids.values())
        self.check_sessions(sessions, daemon, pids)
        self.check_rights(sessions)
        for session in sessions:
            self.check_content(collector.folder_of(session), session["pid"])
        self.check_removal(sessions, pids)
        self.assertIsNone(daemon.poll())

    def check_sessions(self, sessions, daemon, pids):
        self.assertEqual({s["name"]: s["pid"] for s in sessions}, pids)
        runs = {s["run"] for s in sessions}
        self.assertEqual(len(runs), 1)
        run = runs.pop()
        self.assertEqual(os.readlink(self.collector.root / "latest"), run)
        named = time.mktime(time.strptime(run, "%y%m%d-%H%M%S"))
        started = os.stat(f"/proc/{daemon.pid}").st_ctime
        self.assertLessEqual(abs(named - started), 2)
        for session in sessions:
            self.assertEqual(session["python"].split(".")[0], "3")
            self.assertIsNone(session["last_error"])
            self.assertEqual(session["title"], f"walt-server-daemon:{session['name']}")

    def check_content(self, trace, pid):
        """While it is being recorded."""
        wait_until(lambda: info(trace)["transitions"] > 5, f"lines in {trace}")
        found = info(trace)
        self.assertEqual((found["pid"], found["ended"]), (pid, False))
        self.assertEqual(found["packages"], "walt")
        table = ask("analyse", trace)
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertIn("/walt/loop.py", table.stdout)
        self.assertNotIn("/json/", table.stdout)

    def check_removal(self, sessions, pids):
        collector = self.collector
        workers = collector.workers()
        self.assertGreaterEqual(len(workers), 4)
        shutil.rmtree(collector.root)
        wait_until(lambda: not collector.status()["sessions"], "no sessions")
        self.assertEqual(collector.status()["root"]["state"], "absent")
        wait_until(lambda: not any(map(is_alive, workers)), "the workers have ended")
        collector.make_root()
        again = collector.wait_recorded(*pids.values())
        self.assertEqual({s["run"] for s in again}, {s["run"] for s in sessions})
        for session in again:
            self.assertEqual(info(collector.folder_of(session))["gaps_by_reason"].get(
                "recorder-absent"), None, "it is a new trace")

    def test_replaced_folder(self):
        family = self.family()
        pid = family.fork("one")
        self.start_with_root()
        before, = self.collector.wait_recorded(pid)
        other = self.folder / "other"
        other.mkdir(0o750)
        moved = self.folder / "moved"
        self.collector.root.rename(moved)
        other.rename(self.collector.root)
        trace = self.collector.root / before["run"] / before["name"]
        wait_until(lambda: (trace / "trace.db").exists(), "a trace in the new folder")
        self.collector.wait_recorded(pid)
        old = moved / before["run"] / before["name"]
        wait_until(lambda: info(old)["ended"], "the end of the trace in the old folder")
        self.assertEqual(info(old)["end_reason"], "folder removed")

    def test_trace_folder_removed(self):
        """One trace is deleted by hand: it alone ends."""
        family = self.family()
        pids = family.fork("one"), family.fork("two")
        self.start_with_root()
        one, two = self.collector.wait_recorded(*pids)
        shutil.rmtree(self.collector.folder_of(one))
        self.assertTrue(wait_until(lambda: self.has_ended(pids[0], one), "the end of it"))
        self.assertEqual(self.collector.session(pids[1])["worker_pid"], two["worker_pid"])

    def has_ended(self, pid, before):
        session = self.collector.session(pid)
        return session is None or session["worker_pid"] != before["worker_pid"]

    def test_symbolic_link(self):
        place = self.folder / "place"
        place.mkdir(0o750)
        self.collector.root.symlink_to(place)
        self.assert_refused(r"symbolic link")
        self.assertEqual(list(place.iterdir()), [])
        self.collector.root.unlink()
        self.collector.make_root()
        wait_until(lambda: self.collector.status()["root"]["state"] == "present", "recording")

    def test_writable_by_others(self):
        self.collector.make_root(0o770)
        self.assert_refused(r"chmod go-w ")
        self.collector.root.chmod(0o750)
        wait_until(lambda: self.collector.status()["root"]["state"] == "present", "recording")

    def test_owner(self):
        self.collector.make_root()
        os.chown(self.collector.root, NOBODY, -1)
        self.assert_refused(r"chown root")

    def assert_refused(self, pattern):
        pid = self.family().fork("one")
        self.collector.start()
        root = wait_until(lambda: self.refused_root(), "the root is refused")
        self.assertRegex(root["why"], pattern)
        self.assertIn(str(self.collector.root), root["why"])
        self.assert_log(re.escape(root["why"]), 1)
        self.assertIsNone(self.collector.session(pid))

    def refused_root(self):
        root = self.collector.status()["root"]
        return root if root["state"] == "refused" else None


class FoldersTest(CollectorTest):
    def test_runs_and_names(self):
        """A late one shares the run, one that is restarted gets another name, a restarted daemon
        another run."""
        family = self.family()
        first = family.fork("one")
        self.start_with_root()
        one, = self.collector.wait_recorded(first)
        kill(first)
        wait_until(lambda: self.collector.session(first) is None, "the end of the first")
        pids = family.fork("one"), family.fork("two")
        again, late = self.collector.wait_recorded(*pids)
        self.assertEqual((again["run"], again["name"]), (one["run"], "one.2"))
        self.assertEqual((late["run"], late["name"]), (one["run"], "two"))
        self.assertEqual(info(self.collector.folder_of(one))["end_reason"], "target exited")

        # Runs that begin within the same second are told apart, too.
        other = self.family().fork("one")
        new, = self.collector.wait_recorded(other)
        self.assertNotEqual(new["run"], one["run"])
        self.assertEqual(new["name"], "one")
        self.assertEqual(os.readlink(self.collector.root / "latest"), new["run"])
        self.assertEqual(set(self.collector.traces()),
                         {f"{one['run']}/one", f"{one['run']}/one.2", f"{one['run']}/two",
                          f"{new['run']}/one"})

    def test_bad_names(self):
        """What would be no folder of ours."""
        family = self.family()
        self.start_with_root()
        bad = [family.fork(name) for name in ("../../x", "..", ".x", "a\nb", "a\x1b[31mb", " ",
                                              "y" * 65)]
        good = family.fork("good")
        self.collector.wait_recorded(good)
        for pid in bad:
            reason = wait_until(lambda pid=pid: self.collector.refused(pid), "a reason")
            self.assertIn("no folder can have the name", reason)
            self.assertIsNone(self.collector.session(pid))
        self.assertNotIn("\x1b", self.collector.log())
        self.assertEqual({t.partition("/")[2] for t in self.collector.traces()}, {"good"})
        # They are told once each, whatever happens meanwhile.
        self.assert_log(r"no folder can have the name", len(bad))


class TitlesTest(CollectorTest):
    def test_late_title_after_fork(self):
        self.check_late("fork")

    def test_late_title_after_spawn(self):
        """As WALT starts its sub-processes."""
        self.check_late("spawn")

    def check_late(self, verb):
        family = self.family()
        self.start_with_root()
        wait_until(lambda: self.collector.status()["root"]["state"] == "present", "recording")
        pids = [getattr(family, verb)(f"late{i}", LATE_S) for i in range(3)]
        wait_until(lambda: all(self.has_title(pid) for pid in pids), "the titles")
        self.collector.wait_recorded(*pids)

    def has_title(self, pid):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return file.read().startswith(self.prefix + ":")

    def test_child_with_its_parents_title(self):
        family = self.family()
        self.start_with_root()
        child, grandchild = family.tell("nested", "outer")
        session, = self.collector.wait_recorded(child)
        self.assertEqual(session["name"], "outer")
        reason = wait_until(lambda: self.collector.refused(grandchild), "a reason")
        self.assertIn("title", reason)
        self.assertIsNone(self.collector.session(grandchild))
        self.assertEqual(len(self.collector.traces()), 1)

    def test_child_is_known_after_a_restart(self):
        """Also by who did not see it being forked."""
        child, grandchild = self.family().tell("nested", "outer")
        self.start_with_root()
        self.collector.wait_recorded(child)
        wait_until(lambda: self.collector.refused(grandchild), "a reason")

    def test_other_program(self):
        """Not Python: told once, and nothing else suffers."""
        self.start_with_root()
        fake = self.other_program(f"{self.prefix}:fake")
        pid = self.family().fork("one")
        self.collector.wait_recorded(pid)
        session = wait_until(lambda: self.waiting(fake.pid), "the reason")
        self.assertIn("not a CPython", session["last_error"])
        time.sleep(1.5)  # long enough for another try
        self.assert_log(rf"process {fake.pid}: .*not a CPython", 1)
        self.assert_log(rf"process {fake.pid}\b", 1)
        self.assertEqual(len(list(self.collector.root.glob("[0-9]*/*/trace.db"))), 1)
        fake.kill()
        fake.wait()
        wait_until(lambda: self.collector.session(fake.pid) is None, "it is forgotten")
        self.assertEqual([p.name for p in self.collector.root.glob("*/fake*")], [])

    def waiting(self, pid):
        session = self.collector.session(pid)
        return session if session and session["last_error"] else None

    def test_users(self):
        """Of others only those who are named."""
        family = self.family(user=NOBODY, group=NOBODY)
        pid = family.fork("theirs")
        self.start_with_root()
        reason = wait_until(lambda: self.collector.refused(pid), "a reason")
        self.assertIn("Users=", reason)
        self.assertIn(str(NOBODY), reason)
        self.assertIsNone(self.collector.session(pid))
        self.assertEqual(self.collector.traces(), {})

        self.collector.configure(self.target("Packages=*\nUsers=nobody"))
        self.collector.reload()
        self.collector.wait_recorded(pid)
        self.assertIsNone(self.collector.refused(pid))


class LoadTest(CollectorTest):
    def test_nothing_is_left_of_sessions(self):
        family = self.family()
        self.start_with_root()
        self.collector.wait_recorded(family.fork("first"))
        before = self.wait_idle()
        self.come_and_go(family, 100, 20)
        # Threads for looks stay for some seconds, and a look under way has descriptors.
        seen = []
        for what in ("threads", "descriptors"):
            wait_until(lambda what=what: self.is_as_before(before, what, seen),
                       f"no more {what} than before: {before}, {seen[-3:]}")
        self.assertLess(seen[-1]["memory_kb"], before["memory_kb"] + 1024)

    def is_as_before(self, before, what, seen):
        seen.append(self.wait_idle())
        return seen[-1][what] <= before[what]

    def come_and_go(self, family, n, n_traces):
        """Ten at a time, some of which end while they are being found.

        On a busy machine those are nearly all: then there are more, which live longer.
        """
        end = time.monotonic() + MANY_S
        i = 0
        while i < n or len(self.collector.traces()) <= n_traces:
            self.assertLess(time.monotonic(), end, f"{len(self.collector.traces())} traces of {i}")
            life_s = 0.05 + 0.4 * (i % 30) / 30 + (i // n) * 0.5
            pids = family.tell("many", 10, f"short{i}-", life_s)
            wait_until(lambda pids=pids: not any(map(is_alive, pids)), "their end")
            i += 10

    def wait_idle(self):
        """One session is left; what the collector holds then."""
        wait_until(lambda: len(self.collector.status()["sessions"]) == 1, "the end of sessions")
        wait_until(lambda: len(children_of(self.collector.pid)) == 1, "the end of workers")
        proc = f"/proc/{self.collector.pid}"
        with open(f"{proc}/status", encoding="utf-8") as file:
            text = file.read()
        return {"descriptors": len(os.listdir(f"{proc}/fd")),
                "threads": len(os.listdir(f"{proc}/task")),
                "memory_kb": int(re.search(r"VmRSS:\s+(\d+)", text).group(1))}


class SignalsTest(CollectorTest):
    def test_terminated(self):
        pids = [self.family().fork(name) for name in ("one", "two")]
        self.start_with_root()
        sessions = self.collector.wait_recorded(*pids)
        workers = self.collector.workers()
        self.assertLess(self.collector.stop(), 2.0)
        self.assertFalse(any(map(is_alive, workers)))
        for session in sessions:
            found = info(self.collector.folder_of(session))
            self.assertTrue(found["ended"])
            self.assertEqual(found["end_reason"], "recorder stopped")
        self.assertFalse(self.collector.socket.exists())

    def test_stopped_target(self):
        """It delays nobody, itself neither."""
        family = self.family()
        stopped = family.fork("stopped")
        self.addCleanup(kill, stopped, signal.SIGCONT)
        self.start_with_root()
        self.collector.wait_recorded(stopped)
        kill(stopped, signal.SIGSTOP)
        frozen = self.other_program("sleep")
        kill(frozen.pid, signal.SIGSTOP)
        self.collector.wait_recorded(family.fork("other"))
        kill(stopped)
        wait_until(lambda: self.collector.session(stopped) is None, "its end")
        self.assertLess(self.collector.stop(), 2.0)


if __name__ == "__main__":
    unittest.main()
