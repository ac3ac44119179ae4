# SPDX-License-Identifier: BSD-3-Clause
"""What the end-to-end tests share: start a target, record it with the real program, read it."""

import json
import os
import pathlib
import selectors
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

TRACKEXEC = os.environ.get("TRACKEXEC") or str(TESTS.parent / "build" / "trackexec")
DEADLINE_S = 60


class Line:
    """Reads lines of a process's standard output, each with a deadline."""

    def __init__(self, process):
        self.file = process.stdout
        self.buffer = b""

    def read(self, deadline_s=DEADLINE_S):
        end = time.monotonic() + deadline_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.file, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if not selector.select(max(0, end - time.monotonic())):
                    raise TimeoutError("the target said nothing")
                data = os.read(self.file.fileno(), 1 << 16)
                if not data:
                    raise EOFError("the target has ended")
                self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()


class Target:
    """A running program of tests/targets/, warm; a context manager that ends it."""

    def __init__(self, python, name, *args, **popen):
        self.name = name
        self.python = python
        path = TESTS / "targets" / f"{name}.py"
        self.process = python.start(path, *args, stdout=subprocess.PIPE, **popen)
        self.script = self.process.script
        self.lines = Line(self.process)

    def __enter__(self):
        try:
            line = self.lines.read()
            if line != "ready":
                raise RuntimeError(f"{self.name} said {line!r}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *details):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def trackexec(*words, check=True, **options):
    answer = subprocess.run([TRACKEXEC, *map(str, words)], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False, **options)
    if check and answer.returncode != 0:
        raise RuntimeError(f"trackexec {' '.join(map(str, words))}: status {answer.returncode}: "
                           f"{answer.stderr.strip()}")
    return answer.stdout


class Recording:
    """A trace of a running process, in a folder that goes away with this object."""

    def __init__(self, pid, *options, duration_s=1.0):
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        self.trace = os.path.join(self.folder.name, "trace")
        trackexec("record", "-q", "--pid", pid, "--duration", duration_s, "--output", self.trace,
                  *options)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.folder.cleanup()

    def info(self):
        return json.loads(trackexec("info", "--json", self.trace))

    def collapsed(self):
        """The lines of the export, one after the other: deep stacks make them long and many."""
        command = [TRACKEXEC, "export", "--format", "collapsed", self.trace]
        with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8",
                              errors="surrogateescape") as process:
            yield from process.stdout
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")
