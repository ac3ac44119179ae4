#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the collector keeps to: its configuration, limits of the disk, and few privileges."""

import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

from collecting import (COLLECTOR, NOBODY, TESTS, CollectorTest, info, status_field, wait_until)

UNIT = TESTS.parent / "systemd" / "trackexec-collector.service.in"
DENYING = TESTS / "e2e" / "denying.py"
MIB = 1 << 20


class ConfigTest(CollectorTest):
    def test_wrong_line(self):
        """Neither --check-config nor the start accepts it; both say where it is."""
        self.collector.configure("[Sampling]\nRate=5000\nRaet=1\n")
        place = f"{self.collector.config}/collector.conf:3: "
        for options in ((), ("--check-config",)):
            with self.subTest(options=options):
                done = self.collector.run(*options)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(place, done.stderr)
                self.assertIn("Raet", done.stderr)
                self.assertIn("Rate", done.stderr.replace("Raet", ""))

    def test_check(self):
        self.collector.configure("[Sampling]\nRate=2k\n")
        done = self.collector.run("--check-config")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertRegex(self.collector.run("--print-config").stdout, r"(?m)^Rate=2(000|k)")

    def test_config_is_a_folder(self):
        """What was asked for and is not there is not taken for an empty configuration."""
        file = self.folder / "collector.conf"
        file.touch()
        for place in (file, self.folder / "missing"):
            for job in ("--check-config", "--print-config"):
                with self.subTest(place=place.name, job=job):
                    done = self.collector.run("--config", str(place), job)
                    self.assertEqual((done.returncode, done.stdout), (2, ""))
                    self.assertIn(f"--config {place}: give the folder", done.stderr)

    def test_reload(self):
        pid = self.family().fork("one")
        self.start_with_root()
        before, = self.collector.wait_recorded(pid)
        self.assertEqual(before["rate_asked_hz"], 5000)

        self.collector.configure("[Target]\nRate=fast\n")
        self.collector.reload()
        wait_until(lambda: "stays as it was" in self.collector.log(), "it says so")
        self.assert_log(r"collector\.conf:2: .*fast", 1)
        self.assertEqual(self.collector.session(pid)["worker_pid"], before["worker_pid"])

        self.collector.configure(self.target("Packages=family\nRate=300"))
        self.collector.reload()
        wait_until(lambda: "configuration reloaded" in self.collector.log(), "it says so")
        wait_until(lambda: (self.collector.session(pid) or before)["rate_asked_hz"] == 300,
                   "the new rate")
        after, = self.collector.wait_recorded(pid)
        self.assertEqual((after["run"], after["name"]), (before["run"], before["name"]))
        self.assertLessEqual(after["rate_allowed_hz"], 300)
        wait_until(lambda: info(self.collector.folder_of(after))["packages"] == "family",
                   "the new packages are in the trace")

        # Nobody is a target any more.
        self.collector.configure("[Target]\nTitle=no-such-title:*\n")
        self.collector.reload()
        wait_until(lambda: self.collector.session(pid) is None, "it is not recorded any more")
        wait_until(lambda: info(self.collector.folder_of(after))["ended"], "the trace's end")


class StorageTest(CollectorTest):
    def end_a_run(self):
        """The folder of a run that is over."""
        family = self.family()
        self.start_with_root()
        session, = self.collector.wait_recorded(family.fork("one"))
        family.end()
        wait_until(lambda: not self.collector.status()["sessions"], "its end")
        self.collector.stop()
        return self.collector.root / session["run"]

    def test_oldest_go(self):
        run = self.end_a_run()
        names = [f"20010{i}-000000" for i in range(1, 5)]
        for i, name in enumerate(names):
            shutil.copytree(run, run.parent / name)
            self.pad(run.parent / name / "one" / "trace.db", 400 << 10, 978000000 + i)
        shutil.rmtree(run)
        self.collector.configure(self.target() + "[Storage]\nMaxUse=1M\n")
        self.collector.start()
        wait_until(lambda: not (run.parent / names[1]).exists(), "the second oldest goes")
        self.assertEqual(sorted(p.name for p in run.parent.glob("2*")), names[2:])
        for name in names[:2]:
            self.assert_log(rf"deleted run {name} .*: traces use too much", 1)
        # And one that is recorded now stays.
        pid = self.family().fork("two")
        self.collector.wait_recorded(pid)
        wait_until(lambda: (self.collector.status()["disk"]["use_bytes"] or 0) > 0, "it is known")
        self.assertLessEqual(self.collector.status()["disk"]["use_bytes"], MIB)

    @staticmethod
    def pad(path, size, mtime):
        with open(path, "ab") as file:
            file.write(bytes(size - file.tell()))
        for entry in (*path.parent.iterdir(), *path.parent.parent.iterdir()):
            os.utime(entry, (mtime, mtime))

    def test_full_disk(self):
        """Filled by others: nothing grows and nothing is erased, until there is room again."""
        pid = self.family().fork("one")
        self.mount(self.collector)
        self.collector.configure(self.target() + "[Storage]\nKeepFree=4M\n")
        self.collector.start()
        session, = self.collector.wait_recorded(pid)
        trace = self.collector.folder_of(session)
        wait_until(lambda: info(trace)["transitions"] > 0, "lines in the trace")
        # The limits are looked at every ten seconds, and at the start.
        self.collector.stop()
        before = info(trace)
        filling = self.collector.root / "filling"
        filling.write_bytes(bytes(14 * MIB))
        self.collector.start()
        wait_until(lambda: self.collector.status()["disk"]["growth_stopped"], "not growing")
        self.assert_log(r"KeepFree is 4\.00 MiB: recording goes on, but traces do not grow", 1)
        stopped, = self.collector.wait_recorded(pid)
        wait_until(lambda: self.collector.session(pid)["snapshots"] > stopped["snapshots"],
                   "snapshots go on")
        filling.unlink()
        wait_until(lambda: not self.collector.status()["disk"]["growth_stopped"], "growing")
        wait_until(lambda: info(trace)["transitions"] > before["transitions"], "more lines")
        self.assertEqual(self.collector.session(pid)["worker_pid"], stopped["worker_pid"])
        after = info(trace)
        self.assertEqual((after["complete_from_s"], after["trimmed_blocks"]), (0.0, 0))
        self.assertEqual(after["start_unix_s"], before["start_unix_s"])

    def mount(self, collector):
        collector.make_root()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M,mode=750", "e2e",
                               str(collector.root)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"no file system can be mounted: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(collector.root)], check=False)
        self.addCleanup(collector.discard)


class PrivilegesTest(CollectorTest):
    def unit_values(self, key):
        return " ".join(re.findall(rf"^{key}=(.*)$", UNIT.read_text(encoding="utf-8"),
                                   re.MULTILINE)).split()

    def check_worker(self, pid, groups=""):
        """It can do nothing but what its descriptors allow."""
        for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
            self.assertEqual(int(status_field(pid, name), 16), 0, name)
        self.assertEqual(status_field(pid, "Uid").split(), [str(NOBODY)] * 4)
        self.assertNotIn("0", status_field(pid, "Gid").split())
        self.assertEqual(status_field(pid, "Groups"), groups)
        self.assertEqual(status_field(pid, "NoNewPrivs"), "1")
        self.assertEqual(status_field(pid, "Seccomp"), "2")

    def test_worker(self):
        pid = self.family().fork("one")
        self.start_with_root()
        session, = self.collector.wait_recorded(pid)
        self.check_worker(session["worker_pid"])

    @unittest.skipUnless(shutil.which("setpriv"), "needs setpriv (package util-linux)")
    def test_as_the_unit_runs_it(self):
        """With its capabilities only, and without the system calls that it denies."""
        capabilities = [name.removeprefix("CAP_").lower()
                        for name in self.unit_values("CapabilityBoundingSet")]
        prefix = ["setpriv", "--bounding-set=" + ",".join(["-all"] + [f"+{c}" for c in
                                                                      capabilities]),
                  "--inh-caps=-all", "--no-new-privs", sys.executable, str(DENYING)]
        self.check_denial(prefix)
        family = self.family(user=NOBODY, group=NOBODY)
        self.collector.configure(self.target("Packages=*\nUsers=nobody"))
        pids = [self.family().fork("roots"), family.fork("nobodys"), family.spawn("spawned", 0.2)]
        self.start_with_root(prefix=prefix)
        self.check_collector(capabilities)
        sessions = self.collector.wait_recorded(*pids)
        self.check_rights(sessions)
        for session in sessions:
            self.check_worker(session["worker_pid"])
            self.assertIsNone(session["last_error"])
            trace = self.collector.folder_of(session)
            wait_until(lambda trace=trace: info(trace)["transitions"] > 5, f"lines in {trace}")
            self.assert_source(trace)
        self.assertLess(self.collector.stop(), 2.0)
        for session in sessions:
            self.assertTrue(info(self.collector.folder_of(session))["ended"])

    def assert_source(self, trace):
        """The sources could be read, too."""
        exported = subprocess.run([COLLECTOR.removesuffix("-collector"), "analyse", trace],
                                  capture_output=True, text=True, check=True).stdout
        self.assertIn("time.sleep(0.01)", exported)

    def check_denial(self, prefix):
        """What the helper is said to deny, it denies."""
        call = ("import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
                "print(libc.ptrace(0, 0, 0, 0), ctypes.get_errno())")
        done = subprocess.run([*prefix, sys.executable, "-c", call], capture_output=True,
                              text=True, check=True)
        self.assertEqual(done.stdout.split(), ["-1", "1"])

    def check_collector(self, capabilities):
        pid = self.collector.pid
        self.assertEqual(bin(int(status_field(pid, "CapBnd"), 16)).count("1"), len(capabilities))
        self.assertEqual(status_field(pid, "CapEff"), status_field(pid, "CapBnd"))
        self.assertEqual(status_field(pid, "Seccomp"), "2")
        self.assertEqual(status_field(pid, "NoNewPrivs"), "1")


def setUpModule():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


if __name__ == "__main__":
    unittest.main()
