# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the collector share: the daemon itself, services for it, and what it tells.

Other processes of this machine may look like targets, too: what a test looks at is found by the
process ids of its own ones, and its services have titles that nobody else has.
"""

import contextlib
import grp
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

from recording import TESTS, TRACKEXEC, Line

COLLECTOR = str(pathlib.Path(TRACKEXEC).parent / "trackexec-collector")
PYTHON = "/usr/bin/python3"
WORKER_USER = "nobody"
NOBODY = 65534
DEADLINE_S = 20
ROOM = "-" * 120


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Until it is true; returns what it gave."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.02)


def read_text(path):
    """A file's text; "" when it is not there, or its process is gone."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def status_field(pid, name):
    match = re.search(rf"^{name}:[ \t]*(.*?)[ \t]*$", read_text(f"/proc/{pid}/status"), re.MULTILINE)
    return match.group(1) if match else None


def is_alive(pid):
    """Any of its threads: the first one can be gone while others still hold its files and locks."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return False
    states = [status_field(f"{pid}/task/{task}", "State") for task in tasks]
    return any(state is not None and state[0] not in "ZX" for state in states)


def children_of(parent):
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        fields = read_text(folder / "stat").rpartition(")")[2].split()
        if fields and int(fields[1]) == parent:
            found.append(int(folder.name))
    return found


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def ask(*words):
    """What trackexec prints; its exit status does not matter."""
    return subprocess.run([TRACKEXEC, *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def info(trace):
    """What `trackexec info` says of a trace, which may be open at this moment."""
    answer = ask("info", "--json", trace)
    if answer.returncode != 0:
        raise AssertionError(f"{trace} cannot be read: {answer.stderr}")
    return json.loads(answer.stdout)


def end_of(trace):
    """Until when a trace tells, in seconds since 1970."""
    found = info(trace)
    return found["start_unix_s"] + found["duration_s"]


class Collector:
    """The daemon, with a folder of its own for its root, configuration, socket and log."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        self.config = self.folder / "etc"
        self.socket = self.folder / "socket"
        self.log_path = self.folder / "log"
        self.config.mkdir(exist_ok=True)
        self.process = None

    def make_root(self, mode=0o750):
        self.root.mkdir()
        self.root.chmod(mode)

    def configure(self, text):
        (self.config / "collector.conf").write_text(text, encoding="utf-8")

    def command(self, *options):
        return [COLLECTOR, "--root", str(self.root), "--config", str(self.config),
                "--user", WORKER_USER, "--socket", str(self.socket), *options]

    def run(self, *options):
        """To the end, which is near."""
        return subprocess.run(self.command(*options), stdin=subprocess.DEVNULL, check=False,
                              capture_output=True, text=True, timeout=DEADLINE_S)

    def start(self, prefix=(), **popen):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([*prefix, *self.command()], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, **popen)
        wait_until(self.is_ready, "the collector answers")
        return self

    @property
    def pid(self):
        return self.process.pid

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the collector has ended: {self.log()}")
        return self.status() is not None

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """Ends it as systemd does; returns how long it took."""
        since = time.monotonic()
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        took_s = time.monotonic() - since
        if code != 0:
            raise AssertionError(f"the collector has ended with status {code}: {self.log()}")
        return took_s

    def kill_all(self):
        """Itself and all workers, with no chance to write anything.

        It is stopped first: a worker whose collector is gone ends its trace, and a collector whose
        worker is gone starts another one, whenever this process here does not get the CPU between
        two kills.
        """
        kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: (status_field(self.pid, "State") or "Z")[0] in "TZX", "it has stopped")
        workers = self.workers()
        for pid in [*workers, self.pid]:
            kill(pid)
        self.process.wait()
        wait_until(lambda: not any(map(is_alive, workers)), "the end of killed workers")

    def discard(self):
        if self.process and self.process.poll() is None:
            self.kill_all()

    def workers(self):
        return children_of(self.pid)

    def log(self):
        return read_text(self.log_path)

    def status(self):
        """None while it does not answer."""
        answer = ask("status", "--json", "--socket", self.socket, "--root", self.root)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def session(self, pid):
        """What the status says of one process; None when it is not recorded."""
        for session in (self.status() or {"sessions": []})["sessions"]:
            if session["pid"] == pid:
                return session
        return None

    def refused(self, pid):
        """Why a process is not followed; None when nothing is said of it."""
        for process in (self.status() or {"refused": []})["refused"]:
            if process["pid"] == pid:
                return process["reason"]
        return None

    def recorded(self, pids):
        """Sessions of all these processes, when each is recorded and has been looked at."""
        sessions = {s["pid"]: s for s in (self.status() or {"sessions": []})["sessions"]}
        found = [sessions.get(pid) for pid in pids]
        if all(s and s["state"] == "recording" and s["snapshots"] > 0 for s in found):
            return found
        return None

    def wait_recorded(self, *pids, deadline_s=DEADLINE_S):
        try:
            return wait_until(lambda: self.recorded(pids), "", deadline_s)
        except AssertionError:
            raise AssertionError(f"processes {pids} are not recorded: {self.status()}, "
                                 f"log: {self.log()}") from None

    def folder_of(self, session):
        return self.root / session["run"] / session["name"]

    def traces(self):
        """What `trackexec list` finds on disk: {"RUN/NAME": description}."""
        listed = json.loads(ask("list", "--json", "--root", self.root).stdout)
        return {f"{t['run']}/{t['name']}": t for t in listed["traces"]}


class Family:
    """A running tests/targets/family.py; see there."""

    def __init__(self, folder, prefix, **popen):
        self.prefix = prefix
        self.process = subprocess.Popen(
            [PYTHON, str(folder / "family.py"), prefix, ROOM], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, **popen)
        self.lines = Line(self.process)
        if self.lines.read(DEADLINE_S) != "ready":
            raise RuntimeError("the family does not begin")

    def tell(self, *command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()
        return [int(word) for word in self.lines.read(DEADLINE_S).split()]

    def fork(self, name, delay_s=0.0, life_s=1e6):
        return self.tell("fork", name, delay_s, life_s)[0]

    def spawn(self, name, delay_s=0.0, life_s=1e6):
        return self.tell("spawn", name, delay_s, life_s)[0]

    def end(self):
        """The children follow."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@unittest.skipUnless(os.geteuid() == 0, "the collector needs root")
class CollectorTest(unittest.TestCase):
    """A collector that is not started yet, and families for it."""

    def setUp(self):
        # Also where the tests run under nohup: an ignored signal would be inherited.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trackexec-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)
        self.prefix = f"e2e-{os.getpid()}-{self._testMethodName[5:25]}"
        self.collector = Collector(self.folder)
        self.addCleanup(self.collector.discard)
        self.collector.configure(self.target())

    def target(self, text="Packages=*"):
        """A configuration that follows this test's families."""
        return f"[Target]\nTitle={self.prefix}:*\n{text}\n"

    def start_with_root(self, **popen):
        self.collector.make_root()
        return self.collector.start(**popen)

    def family(self, prefix=None, **popen):
        service = self.folder / "service"
        if not service.exists():
            service.mkdir()
            shutil.copy(TESTS / "targets" / "family.py", service)
            shutil.copy(TESTS / "daemon" / "walt" / "title.py", service)
        family = Family(service, prefix or self.prefix, **popen)
        self.addCleanup(family.end)
        return family

    def other_program(self, title):
        """Not Python, with that title."""
        process = subprocess.Popen([title, "100"], executable="/bin/sleep")
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def daemon(self):
        """The sample daemon, and {name: process id} of its sub-processes."""
        folder = tempfile.mkdtemp(prefix="daemon-", dir=self.folder)
        shutil.copytree(TESTS / "daemon", folder, dirs_exist_ok=True)
        process = subprocess.Popen([PYTHON, f"{folder}/walt-server-daemon"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process, wait_until(lambda: self.sub_processes(process.pid), "four sub-processes")

    @staticmethod
    def sub_processes(parent):
        found = {}
        for pid in children_of(parent):
            title = read_text(f"/proc/{pid}/cmdline").rstrip("\0")
            if title.startswith("walt-server-daemon:"):
                found[title.partition(":")[2]] = pid
        return found if len(found) == 4 else None

    def check_rights(self, sessions):
        """For root and one group; the worker's user owns what it writes."""
        adm = grp.getgrnam("adm").gr_gid
        for session in sessions:
            folder = self.collector.folder_of(session)
            for path, owner in ((folder.parent, 0), (folder, NOBODY)):
                st = path.lstat()
                self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid),
                                 (0o750, owner, adm), path)
            for path in folder.iterdir():
                st = path.lstat()
                self.assertEqual((stat.S_IMODE(st.st_mode), st.st_gid), (0o640, adm), path)
                self.assertEqual(st.st_uid, NOBODY if path.name.startswith("trace.db") else 0)
        st = self.collector.socket.lstat()
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o660, 0, adm))

    def assert_log(self, pattern, times=None):
        found = re.findall(pattern, self.collector.log(), re.MULTILINE)
        if times is None:
            self.assertTrue(found, f"no line {pattern!r} in: {self.collector.log()}")
        else:
            self.assertEqual(len(found), times, f"{pattern!r} in: {self.collector.log()}")
