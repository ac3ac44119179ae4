#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""`trackexec record` when something is wrong, ends early, or changes under its eyes."""

import contextlib
import json
import os
import pathlib
import pty
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.path.abspath(os.environ.get("TRACKEXEC", HERE.parent.parent / "build/trackexec"))
PYTHON = "/usr/bin/python3"
NOBODY = 65534
DEADLINE_S = 30

FAILED, USAGE, NOT_ALLOWED, NO_PYTHON = 1, 2, 4, 5

BUSY = """
import sys, time
def work(n):
    total = 0
    for i in range(n):
        total += i
    return total
print("ready", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    work(100)
"""
SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.01)


def setUpModule():
    """As from a terminal, also where the tests run under nohup or in the background."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class RecordTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="trackexec-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)
        self.output = os.path.join(self.folder, "trace")

    def record(self, *arguments, expect, program=(PROGRAM,), **kwargs):
        """Run to the end; returns what it said on standard error."""
        done = subprocess.run([*program, "record", *map(str, arguments)], cwd=self.folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=DEADLINE_S, **kwargs)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stderr

    def start(self, *arguments, **kwargs):
        """Start a recorder; its standard error goes to a file, see said()."""
        self.log = os.path.join(self.folder, "stderr")
        with open(self.log, "w", encoding="utf-8") as log:
            process = subprocess.Popen([PROGRAM, "record", *map(str, arguments)], cwd=self.folder,
                                       stdin=subprocess.DEVNULL, stderr=log, **kwargs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def said(self):
        return pathlib.Path(self.log).read_text(encoding="utf-8")

    def wait(self, process, expect):
        self.assertEqual(process.wait(DEADLINE_S), expect, self.said())
        return self.said()

    def wait_for_trace(self, folder=None):
        """Until the recorder has created all of the trace, that is, is attached."""
        path = os.path.join(folder or self.output, "trace.db")

        def is_there():
            try:
                with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                    return db.execute("SELECT count(*) FROM meta").fetchone()[0] > 0
            except sqlite3.OperationalError:
                return False
        wait_until(is_there, "the trace")

    def target(self, code, python=PYTHON, **kwargs):
        """A Python that runs code and has said "ready"."""
        process = subprocess.Popen([python, "-c", code], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, cwd=self.folder, **kwargs)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def meta(self, folder=None):
        folder = folder or self.output
        self.assertEqual(os.listdir(folder), ["trace.db"])
        with contextlib.closing(sqlite3.connect(os.path.join(folder, "trace.db"))) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            return dict(db.execute("SELECT key, value FROM meta"))

    def assert_nothing_left(self):
        left = [name for name in os.listdir(self.folder) if name != "stderr"]
        self.assertEqual(left, [])


class Options(RecordTest):
    def assert_usage(self, text, *arguments):
        said = self.record(*arguments, expect=USAGE)
        self.assertIn(text, said)
        self.assertIn("--help", said)
        self.assert_nothing_left()

    def test_no_target(self):
        self.assert_usage("nothing to record")

    def test_two_targets(self):
        self.assert_usage("not both", "--pid", os.getpid(), "--", "true")

    def test_unknown_options(self):
        self.assert_usage("--colour", "--colour", "--pid", 1)
        self.assert_usage("-z", "-z")

    def test_value_missing_or_too_much(self):
        self.assert_usage("--pid needs a value", "--pid")
        self.assert_usage("takes no value", "--all=yes", "--pid", 1)

    def test_bad_values(self):
        for option, values in {
                "--pid": ("x", "0", "-1", "1x", "99999999999999999999", ""),
                "--rate": ("0", "fast", "-5", "1kk", "nan", ""),
                "--duration": ("0", "-1", "soon", "5 parsecs", ""),
                "--name": ("a/b", ".", "..", "", "x" * 65, "a\nb"),
                "--packages": ("", "a,,b", ",", "a/b"),
                "--output": ("",),
        }.items():
            for value in values:
                with self.subTest(option=option, value=value):
                    self.assert_usage(option, option, value, "--", "true")

    def test_contradiction(self):
        self.assert_usage("contradict", "--all", "--packages", "a", "--", "true")
        self.assert_usage("contradict", "--packages", "a", "--all", "--", "true")

    def test_help(self):
        done = subprocess.run([PROGRAM, "record", "--help"], capture_output=True, text=True,
                              check=True)
        self.assertIn("Examples:", done.stdout)
        self.assertEqual(done.stderr, "")
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)


class WrongTarget(RecordTest):
    def test_no_such_process(self):
        child = subprocess.Popen(["true"])
        child.wait()
        said = self.record("--pid", child.pid, expect=FAILED)
        self.assertIn(f"there is no process {child.pid}", said)
        self.assert_nothing_left()

    def test_not_a_python(self):
        child = subprocess.Popen(["sleep", "60"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        said = self.record("--pid", child.pid, expect=NO_PYTHON)
        self.assertIn("no Python interpreter", said)
        self.assertIn("sleep", said)
        self.assert_nothing_left()

    def test_zombie(self):
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        said = self.record("--pid", child.pid, expect=FAILED)
        self.assertIn("has ended already", said)
        child.wait()
        self.assert_nothing_left()

    def test_kernel_thread(self):
        comm = pathlib.Path("/proc/2/comm")
        if not comm.exists() or comm.read_text(encoding="utf-8") != "kthreadd\n":
            self.skipTest("no kernel threads in this PID namespace")
        self.assertIn("kernel thread", self.record("--pid", 2, expect=NO_PYTHON))
        self.assert_nothing_left()

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    def test_process_of_another_user(self):
        program = shutil.copy(PROGRAM, self.folder)
        os.mkdir(self.output)
        os.chown(self.output, NOBODY, NOBODY)
        as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                     program)
        target = self.target(SLEEPER)
        said = self.record("--output", self.output, "--pid", target.pid, program=as_nobody,
                           expect=NOT_ALLOWED)
        self.assertIn("runs as user 0", said)
        self.assertIn("CAP_SYS_PTRACE", said)
        self.assertEqual(os.listdir(self.output), [])

    def in_hidden_proc(self, options):
        """Words that run a command as nobody, where /proc is mounted with these options."""
        words = ("unshare", "--mount", "sh", "-c",
                 f"mount -t proc -o {options} proc /proc && exec \"$@\"", "sh",
                 "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"mounting another /proc is not possible here: {done.stderr.strip()}")
        return words

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount and to be another user")
    def test_process_hidden_by_proc(self):
        program = shutil.copy(PROGRAM, self.folder)
        os.mkdir(self.output)
        os.chown(self.output, NOBODY, NOBODY)
        target = self.target(SLEEPER)
        hidden = self.in_hidden_proc("hidepid=2")
        said = self.record("--output", self.output, "--pid", target.pid,
                           program=(*hidden, program), expect=NOT_ALLOWED)
        self.assertIn(f"/proc hides process {target.pid}", said)
        self.assertIn("hidepid", said)
        self.assertIn("run trackexec as root", said)
        self.assertEqual(os.listdir(self.output), [])
        # One that does not exist is not said to be hidden.
        child = subprocess.Popen(["true"])
        child.wait()
        said = self.record("--output", self.output, "--pid", child.pid,
                           program=(*hidden, program), expect=FAILED)
        self.assertIn(f"there is no process {child.pid}", said)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount and to be another user")
    def test_process_shown_to_a_group(self):
        program = shutil.copy(PROGRAM, self.folder)
        os.mkdir(self.output)
        os.chown(self.output, NOBODY, NOBODY)
        target = self.target(SLEEPER)
        shown = self.in_hidden_proc(f"hidepid=2,gid={NOBODY}")
        said = self.record("--output", self.output, "--pid", target.pid,
                           program=(*shown, program), expect=NOT_ALLOWED)
        self.assertIn("runs as user 0", said)
        self.assertNotIn("hidepid", said)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    def test_protected_process(self):
        program = shutil.copy(PROGRAM, self.folder)
        os.mkdir(self.output)
        os.chown(self.output, NOBODY, NOBODY)
        target = self.target("import ctypes; ctypes.CDLL(None).prctl(4, 0)\n" + SLEEPER,
                             user=NOBODY, group=NOBODY, extra_groups=[])
        said = self.record("--output", self.output, "--pid", target.pid, user=NOBODY,
                           group=NOBODY, extra_groups=[], program=(program,), expect=NOT_ALLOWED)
        self.assertRegex(said, "PR_SET_DUMPABLE|ptrace_scope|runs as user")

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    def test_root_may_record_another_user(self):
        target = self.target(SLEEPER, user=NOBODY, group=NOBODY, extra_groups=[])
        self.record("--output", self.output, "--duration", "200ms", "--pid", target.pid, expect=0)
        self.assertEqual(self.meta()["end_reason"], "duration reached")


class Output(RecordTest):
    def test_not_empty(self):
        os.mkdir(self.output)
        pathlib.Path(self.output, "precious").touch()
        said = self.record("--output", self.output, "--", PYTHON, "-c", "open('ran', 'w')",
                           expect=FAILED)
        self.assertIn("not empty", said)
        self.assertIn("--output", said)
        self.assertEqual(os.listdir(self.output), ["precious"])
        self.assertFalse(os.path.exists(os.path.join(self.folder, "ran")))

    def test_is_a_file(self):
        pathlib.Path(self.output).touch()
        self.assertIn("not a folder", self.record("--output", self.output, "--", "true",
                                                  expect=FAILED))

    def test_parent_is_missing(self):
        said = self.record("--output", self.output + "/deeper", "--", "true", expect=FAILED)
        self.assertIn("does not exist", said)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    def test_not_writable(self):
        program = shutil.copy(PROGRAM, self.folder)
        said = self.record("--output", self.output, "--", "true", program=(program,), user=NOBODY,
                           group=NOBODY, extra_groups=[], expect=NOT_ALLOWED)
        self.assertIn("cannot write to", said)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be kept out as another user")
    def test_root_in_a_closed_home_of_another_user(self):
        home = os.path.join(self.folder, "home")
        os.mkdir(home, 0o700)
        os.chown(home, NOBODY, NOBODY)
        output = os.path.join(home, "trace")
        target = self.target(SLEEPER)
        self.record("--output", output, "--duration", "200ms", "--pid", target.pid, expect=0)
        self.assertEqual(self.meta(output)["end_reason"], "duration reached")

    def test_empty_folder_is_taken(self):
        os.mkdir(self.output)
        self.record("--output", self.output, "--duration", "200ms", "--", PYTHON, "-c",
                    "import time; time.sleep(1)", expect=0)
        self.assertEqual(self.meta()["end_reason"], "duration reached")

    def test_default_name(self):
        target = self.target(SLEEPER)
        self.record("--duration", "100ms", "--pid", target.pid, expect=0)
        folder = os.path.join(self.folder, f"trackexec-python3-{target.pid}")
        self.assertEqual(self.meta(folder)["name"], "python3")

    def small_disk(self, size):
        mount = os.path.join(self.folder, "disk")
        os.mkdir(mount)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount],
                              stderr=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            self.skipTest("mounting a small file system is not possible here")
        self.addCleanup(subprocess.run, ["umount", "-l", mount], check=True)
        return mount

    def test_disk_full_from_the_start(self):
        mount = self.small_disk("16k")
        with open(os.path.join(mount, "filler"), "wb", buffering=0) as f, \
                contextlib.suppress(OSError):
            while True:
                f.write(bytes(4096))
        target = self.target(SLEEPER)
        said = self.record("--output", os.path.join(mount, "trace"), "--pid", target.pid,
                           expect=FAILED)
        self.assertIn("No space left on device", said)
        self.assertIn("make room", said)
        self.assertEqual(os.listdir(mount), ["filler"])

    def test_disk_full_in_the_middle(self):
        mount = self.small_disk("256k")
        output = os.path.join(mount, "trace")
        target = self.target(BUSY)
        recorder = self.start("--output", output, "--rate", "max", "--all", "--pid", target.pid)
        self.wait_for_trace(output)
        wait_until(lambda: "No space left on device" in self.said() or recorder.poll() is not None,
                   "the disk to be full")
        recorder.send_signal(signal.SIGINT)
        said = self.wait(recorder, FAILED)
        self.assertIn("make room", said)
        copy = os.path.join(self.folder, "copy")
        shutil.copytree(output, copy)
        with contextlib.closing(sqlite3.connect(os.path.join(copy, "trace.db"))) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            self.assertGreater(db.execute("SELECT count(*) FROM blocks").fetchone()[0], 0)


class Command(RecordTest):
    def test_cannot_be_run(self):
        self.assertIn("No such file", self.record("--", "no-such-program", expect=127))
        self.assertIn("Permission denied", self.record("--", "/etc/passwd", expect=126))
        self.assert_nothing_left()

    def test_status_is_passed_on(self):
        self.record("--output", self.output, "--", PYTHON, "-c",
                    "import time; time.sleep(.3); raise SystemExit(7)", expect=7)
        self.assertEqual(self.meta()["end_reason"], "target exited")

    def test_death_by_signal_is_passed_on(self):
        self.record("--output", self.output, "--", PYTHON, "-c",
                    "import os, time; time.sleep(.3); os.kill(os.getpid(), 9)", expect=128 + 9)
        self.assertEqual(self.meta()["end_reason"], "target exited")

    def test_ends_before_it_is_a_python(self):
        said = self.record("--", "true", expect=NO_PYTHON)
        self.assertIn("nothing was recorded", said)
        self.record("--", "false", expect=1)
        self.assert_nothing_left()

    def test_becomes_a_python_by_exec(self):
        script = f"exec env sh -c 'sleep .1; exec {PYTHON} -c \"import time; time.sleep(.3)\"'"
        self.record("--output", self.output, "--", "sh", "-c", script, expect=0)
        self.assertTrue(self.meta()["python"].startswith("3."))

    def test_goes_on_after_the_duration(self):
        code = "import time; time.sleep(1); open('survived', 'w')"
        self.record("--output", self.output, "--duration", "200ms", "--", PYTHON, "-c", code,
                    expect=0)
        self.assertEqual(self.meta()["end_reason"], "duration reached")
        self.assertTrue(os.path.exists(os.path.join(self.folder, "survived")))

    def test_has_no_descriptors_and_no_blocked_signals_of_ours(self):
        code = ("import os, signal, time\n"
                "print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1],\n"
                "      signal.pthread_sigmask(signal.SIG_BLOCK, []), flush=True)\n"
                "time.sleep(.3)")
        done = subprocess.run([PROGRAM, "record", "-q", "-o", self.output, "--", PYTHON, "-c",
                               code], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=True, timeout=DEADLINE_S)
        self.assertEqual(done.stdout, "[0, 1, 2] set()\n")
        self.assertEqual(done.stderr, "")

    def test_interrupt_ends_the_trace_and_the_command(self):
        recorder = self.start("--output", self.output, "--", PYTHON, "-c", SLEEPER,
                              start_new_session=True, stdout=subprocess.PIPE)
        self.addCleanup(recorder.stdout.close)
        self.assertEqual(recorder.stdout.readline(), b"ready\n")
        self.wait_for_trace()
        os.killpg(recorder.pid, signal.SIGINT)
        # An interrupted Python kills itself with that signal.
        self.wait(recorder, 128 + signal.SIGINT)
        self.assertIn(self.meta()["end_reason"], ("stopped by user", "target exited"))


class Changes(RecordTest):
    def test_target_ends(self):
        target = self.target(SLEEPER)
        recorder = self.start("--output", self.output, "--pid", target.pid)
        self.wait_for_trace()
        target.kill()
        target.wait()
        self.wait(recorder, 0)
        self.assertEqual(self.meta()["end_reason"], "target exited")

    def test_target_executes_something_else(self):
        target = self.piped_target("os.execv('/bin/sleep', ['sleep', '60'])")
        recorder = self.start("--output", self.output, "--pid", target.pid)
        self.wait_for_trace()
        target.stdin.close()
        said = self.wait(recorder, FAILED)
        self.assertIn("executed another program", said)
        self.assertIn("sleep", said)
        self.assertEqual(self.meta()["end_reason"], "target executed another program")

    def piped_target(self, then):
        """A Python that does something once its standard input is closed."""
        code = f"import os, sys\nprint('ready', flush=True)\nsys.stdin.read()\n{then}"
        process = subprocess.Popen([PYTHON, "-c", code], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        for clean in (process.stdout.close, process.stdin.close, process.wait, process.kill):
            self.addCleanup(clean)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def test_target_executes_another_python(self):
        target = self.piped_target(
            f"os.execv('{PYTHON}', ['python3', '-c', 'import time; time.sleep(60)'])")
        recorder = self.start("--output", self.output, "--pid", target.pid)
        self.wait_for_trace()
        before = os.readlink(f"/proc/{target.pid}/exe")
        target.stdin.close()

        def is_replaced():
            command = pathlib.Path(f"/proc/{target.pid}/cmdline").read_bytes()
            return b"sleep(60)" in command and os.readlink(f"/proc/{target.pid}/exe") == before
        wait_until(is_replaced, "the target to execute")

        def has_gap():
            with contextlib.closing(sqlite3.connect(os.path.join(self.output, "trace.db"))) as db:
                return db.execute("SELECT count(*) FROM gaps").fetchone()[0]
        wait_until(has_gap, "the gap in the trace")
        recorder.send_signal(signal.SIGTERM)
        self.wait(recorder, 0)
        self.assertEqual(self.meta()["end_reason"], "stopped by user")

    def test_interrupt_ends_the_trace(self):
        target = self.target(SLEEPER)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                output = f"{self.output}-{int(number)}"
                recorder = self.start("--output", output, "--pid", target.pid)
                self.wait_for_trace(output)
                for _ in range(3):
                    recorder.send_signal(number)
                self.wait(recorder, 0)
                self.assertEqual(self.meta(output)["end_reason"], "stopped by user")
        self.assertIsNone(target.poll())

    def worker_of(self, recorder):
        children = pathlib.Path(f"/proc/{recorder.pid}/task/{recorder.pid}/children")
        if not children.exists():
            self.skipTest("this kernel does not list children")
        return int(children.read_text(encoding="utf-8").split()[0])

    def test_worker_is_killed(self):
        target = self.target(SLEEPER)
        recorder = self.start("--output", self.output, "--pid", target.pid)
        self.wait_for_trace()
        os.kill(self.worker_of(recorder), signal.SIGKILL)
        said = self.wait(recorder, FAILED)
        self.assertIn("ended unexpectedly", said)

    def test_attacher_is_killed(self):
        target = self.target(SLEEPER)
        recorder = self.start("--output", self.output, "--pid", target.pid)
        self.wait_for_trace()
        worker = self.worker_of(recorder)
        recorder.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{worker}"), "the worker to end")
        self.assertEqual(self.meta()["end_reason"], "recorder ended")

    def test_worker_has_given_up_its_privileges(self):
        target = self.target(SLEEPER)
        recorder = self.start("--output", self.output, "--pid", target.pid)
        self.wait_for_trace()
        worker = self.worker_of(recorder)
        status = pathlib.Path(f"/proc/{worker}/status").read_text(encoding="utf-8")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(fields[name], 16), 0, name)
        if os.geteuid() == 0:
            self.assertEqual(int(fields["CapBnd"], 16), 0)
        self.assertEqual(fields["NoNewPrivs"], "1")
        recorder.send_signal(signal.SIGINT)
        self.wait(recorder, 0)


class Summary(RecordTest):
    def test_counts_what_info_counts(self):
        # Code that comes and goes: what was counted first is dropped later.
        target = self.target("import time; print('ready', flush=True)\n"
                             "end = time.monotonic() + 60\n"
                             "while time.monotonic() < end:\n"
                             "    exec(compile('def f(): return 1\\nfor i in range(99): f()',"
                             " 'x', 'exec'))\n")
        said = self.record("--output", self.output, "--duration", 1, "--rate", "max", "--all",
                           "--pid", target.pid, expect=0)
        info = json.loads(subprocess.check_output([PROGRAM, "info", "--json", self.output]))
        self.assertIn(f" {info['snapshots']:,} snapshots (", said)
        self.assertIn(f", {info['cut']:,} cut, {info['dropped']:,} dropped), "
                      f"{info['transitions']:,} transitions, ", said)
        self.assertGreater(info["snapshots"], 0)


class Terminal(RecordTest):
    def test_progress_line_is_shown_and_cleared(self):
        target = self.target(SLEEPER)
        parent, child = pty.openpty()
        self.addCleanup(os.close, parent)
        recorder = subprocess.Popen(
            [PROGRAM, "record", "--output", self.output, "--duration", "1.5", "--pid",
             str(target.pid)], stdin=subprocess.DEVNULL, stderr=child,
            env={**os.environ, "TERM": "xterm"})
        os.close(child)
        self.addCleanup(recorder.wait)
        self.addCleanup(recorder.kill)
        text = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(parent, 4096):
                text += chunk
        self.assertEqual(recorder.wait(DEADLINE_S), 0)
        self.assertIn(b"snapshots/s", text)
        self.assertIn(b"\r\033[Ktrackexec: recorded", text)


if __name__ == "__main__":
    unittest.main()
