#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""make demo: start a small daemon, record its sub-processes, show where their time went.

    tests/demo.py [OUTPUT_FOLDER]     default: a new folder below build/demo
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
BUILD = TESTS.parent / "build"
TRACKEXEC = os.environ.get("TRACKEXEC") or str(BUILD / "trackexec")
TITLE = "walt-server-daemon:"
NAMES = ("server-main", "server-db", "server-blocking", "server-hub")
SECONDS = 5
DEADLINE_S = 30


class DemoError(Exception):
    """Something in the demo did not work; the message says what."""


def sub_processes(parent):
    """{name: pid} of the children whose title is that of a sub-process."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            title = (folder / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
        except OSError:
            continue
        if int(fields[1]) == parent and title.startswith(TITLE):
            found[title[len(TITLE):]] = int(folder.name)
    return found


def wait_for_sub_processes(daemon):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            raise DemoError(f"the daemon has ended with status {daemon.returncode}")
        found = sub_processes(daemon.pid)
        if set(found) == set(NAMES):
            return {name: found[name] for name in NAMES}
        time.sleep(0.05)
    raise DemoError(f"the daemon has no sub-processes {', '.join(NAMES)}")


def record(pids, output):
    """Record all of them at once."""
    recorders = {
        name: subprocess.Popen([TRACKEXEC, "record", "-q", "--packages", "walt", "--pid", str(pid),
                                "--name", name, "--duration", str(SECONDS),
                                "--output", str(output / name)])
        for name, pid in pids.items()}
    failed = [name for name, recorder in recorders.items() if recorder.wait() != 0]
    if failed:
        raise DemoError(f"could not record {', '.join(failed)}")


def show(names, output):
    for name in names:
        print(f"\n== {name}\n", flush=True)
        table = subprocess.run([TRACKEXEC, "analyse", "--num-items", "8", str(output / name)],
                               check=False)
        if table.returncode != 0:
            raise DemoError(f"could not analyse {output / name}")
    print("\nThe traces:")
    for name in names:
        print(f"  {output / name}")


def output_folder(words):
    output = pathlib.Path(words[0]) if words else (
        BUILD / "demo" / time.strftime("%y%m%d-%H%M%S"))
    output.mkdir(parents=True, exist_ok=True)
    return output


def main(words):
    if not os.access(TRACKEXEC, os.X_OK):
        raise DemoError(f"{TRACKEXEC} is not there: run make first")
    output = output_folder(words)
    folder = tempfile.mkdtemp(prefix="trackexec-demo-")
    daemon = None
    try:
        shutil.copytree(TESTS / "daemon", folder, dirs_exist_ok=True)
        daemon = subprocess.Popen([sys.executable, f"{folder}/walt-server-daemon"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        pids = wait_for_sub_processes(daemon)
        print(f"recording {', '.join(pids)} for {SECONDS} seconds …", flush=True)
        record(pids, output)
        show(pids, output)
        if daemon.poll() is not None:
            raise DemoError(f"the daemon has ended with status {daemon.returncode}")
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (DemoError, OSError) as error:
        sys.exit(f"demo: {error}")
