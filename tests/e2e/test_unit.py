#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The systemd units, as systemd's own tools see them: no systemd need run."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SERVICE = "trackexec-collector.service"
SOCKETS = ("trackexec-collector-events.socket", "trackexec-collector-sockets.socket")
EXPOSURE_MAX = 2.0


def run(*command, **kwargs):
    return subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, check=False, **kwargs)


def expand(names):
    """System calls in these names and @groups, after systemd's own list."""
    calls = set()
    todo, seen = list(names), set()
    while todo:
        name = todo.pop()
        if not name.startswith("@"):
            calls.add(name)
        elif name not in seen:
            seen.add(name)
            listed = run("systemd-analyze", "--no-pager", "syscall-filter", name)
            if listed.returncode != 0:
                raise AssertionError(listed.stdout)
            todo += [line.strip() for line in listed.stdout.splitlines()
                     if re.fullmatch(r"    @?\w[\w-]*", line)]
    return calls


@unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze (package systemd)")
class UnitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="trackexec-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        prefix = cls.folder / "prefix"
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
        made = run("make", "-s", f"BUILD={cls.folder}", f"PREFIX={prefix}",
                   cls.folder / SERVICE, cwd=TOP, env=environment)
        if made.returncode != 0:
            raise AssertionError(made.stdout)
        for socket in SOCKETS:
            shutil.copy(TOP / "systemd" / socket, cls.folder)
        program = prefix / "sbin/trackexec-collector"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n", encoding="ascii")
        program.chmod(0o755)
        cls.program = program
        cls.unit = (cls.folder / SERVICE).read_text(encoding="utf-8")

    def values(self, key):
        return re.findall(rf"^{key}=(.*)$", self.unit, re.MULTILINE)

    def test_starts_what_is_installed(self):
        self.assertEqual(self.values("ExecStart"), [str(self.program)])
        self.assertNotIn("@PREFIX@", re.sub(r"^#.*$", "", self.unit, flags=re.MULTILINE))

    def test_verify_finds_nothing(self):
        for name in (SERVICE, *SOCKETS):
            found = run("systemd-analyze", "verify", "--man=no", self.folder / name)
            self.assertEqual(found.stdout.strip(), "", name)
            self.assertEqual(found.returncode, 0, name)

    def test_exposure_is_small(self):
        found = run("systemd-analyze", "--no-pager", "security", "--offline=true",
                    f"--threshold={round(EXPOSURE_MAX * 10)}", self.folder / SERVICE)
        exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", found.stdout)
        self.assertIsNotNone(exposure, found.stdout)
        self.assertLessEqual(float(exposure.group(1)), EXPOSURE_MAX, found.stdout)
        self.assertEqual(found.returncode, 0, found.stdout)

    def test_filter_denies_what_is_dangerous(self):
        allowed = set()
        filters = self.values("SystemCallFilter")
        self.assertFalse(filters[0].startswith("~"), "it begins with what is allowed")
        for line in filters:
            if line.startswith("~"):
                allowed -= expand(line[1:].split())
            else:
                allowed |= expand(line.split())
        # The parser above works, and what is needed is there.
        for call in ("openat", "openat2", "pread64", "inotify_add_watch", "pidfd_open", "seccomp",
                     "pidfd_send_signal", "setresuid", "setfsuid", "setgroups", "capset", "prctl",
                     "sched_setaffinity", "clone3", "recvmsg", "fchown", "landlock_restrict_self",
                     "perf_event_open"):
            self.assertIn(call, allowed)
        for call in ("ptrace", "bpf", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
                     "kexec_load", "init_module", "finit_module", "mount",
                     "chroot", "pivot_root", "setns", "unshare", "userfaultfd", "io_uring_setup",
                     "keyctl", "reboot", "swapon", "settimeofday", "iopl", "kcmp"):
            self.assertNotIn(call, allowed)

    def test_capabilities_have_reasons(self):
        listed = set(" ".join(self.values("CapabilityBoundingSet")).split())
        explained = {name for line in re.findall(r"^# (CAP_[A-Z_, ]*?)  ", self.unit, re.MULTILINE)
                     for name in line.split(", ")}
        self.assertEqual(listed, explained)
        self.assertNotIn("CAP_SYS_ADMIN", listed)
        self.assertNotIn("~", "".join(self.values("CapabilityBoundingSet")))

    def test_root_folder_is_not_made(self):
        """Its presence is the switch."""
        self.assertEqual(self.values("LogsDirectory"), [])
        self.assertEqual(self.values("ReadWritePaths"), ["/var/log", "-/sys/kernel/tracing"])

    def test_sockets_are_passed(self):
        header = (TOP / "recorder/notify.h").read_text(encoding="utf-8")
        for file, what in zip(SOCKETS, ("PROCESS_EVENTS", "SOCKET_DIAG")):
            socket = (self.folder / file).read_text(encoding="utf-8")
            name = re.search(rf'define NOTIFY_{what} "(.*)"', header).group(1)
            self.assertIn(f"\nFileDescriptorName={name}\n", socket)
            self.assertIn(f"\nService={SERVICE}\n", socket)
        self.assertEqual(self.values("Sockets"), [" ".join(SOCKETS)])

    @unittest.skipUnless(shutil.which("systemd-sysusers") and os.geteuid() == 0,
                         "needs systemd-sysusers, and root")
    def test_user_is_made(self):
        root = self.folder / "root"
        (root / "etc").mkdir(parents=True)
        made = run("systemd-sysusers", f"--root={root}", TOP / "systemd/trackexec.sysusers")
        self.assertEqual(made.returncode, 0, made.stdout)
        line = re.search(r"^trackexec:.*$", (root / "etc/passwd").read_text(encoding="utf-8"),
                         re.MULTILINE)
        self.assertIsNotNone(line, made.stdout)
        fields = line.group(0).split(":")
        self.assertNotEqual(fields[2], "0")
        self.assertIn("nologin", fields[6])


if __name__ == "__main__":
    unittest.main()
