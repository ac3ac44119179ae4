#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""make demo: start the collector and a small daemon, show what is recorded of its sub-processes.

    tests/demo.py [OUTPUT_FOLDER]     default: a new folder below build/demo

Without root, which the collector needs, each sub-process is recorded by `trackexec record`.
"""

import contextlib
import json
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
COLLECTOR = str(pathlib.Path(TRACKEXEC).parent / "trackexec-collector")
TITLE = "walt-server-daemon:"
NAMES = ("server-main", "server-db", "server-blocking", "server-hub")
WORKER_USER = "nobody"
SECONDS = 5
DEADLINE_S = 30


class DemoError(Exception):
    """Something in the demo did not work; the message says what."""


def wait_for(look, what):
    """What look() gives, once that is something."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise DemoError(f"waited in vain for {what}")


def run(*words):
    """Show a command as a user would type it, and what it prints."""
    print(f"\n$ trackexec {' '.join(map(str, words))}\n", flush=True)
    done = subprocess.run([TRACKEXEC, *map(str, words)], check=False)
    if done.returncode != 0:
        raise DemoError(f"trackexec {words[0]} has failed")


# --- the daemon ---

def sub_processes(parent):
    """{name: pid} of the children whose title is that of a sub-process, when all are there."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            title = (folder / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
        except OSError:
            continue
        if int(fields[1]) == parent and title.startswith(TITLE):
            found[title[len(TITLE):]] = int(folder.name)
    return {name: found[name] for name in NAMES} if set(found) == set(NAMES) else None


def check_daemon(daemon):
    if daemon.poll() is not None:
        raise DemoError(f"the daemon has ended with status {daemon.returncode}")


@contextlib.contextmanager
def sample_daemon(folder):
    """The running daemon of tests/daemon, and its sub-processes."""
    shutil.copytree(TESTS / "daemon", folder / "daemon")
    daemon = subprocess.Popen([sys.executable, str(folder / "daemon/walt-server-daemon")],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        def look():
            check_daemon(daemon)
            return sub_processes(daemon.pid)
        yield wait_for(look, f"the sub-processes {', '.join(NAMES)}")
        check_daemon(daemon)
    finally:
        daemon.terminate()
        daemon.wait()


# --- with the collector ---

@contextlib.contextmanager
def collector(folder, root):
    """The running collector; yields what gives its status."""
    socket = folder / "collector.sock"
    config = folder / "config"
    config.mkdir()  # not that of this machine
    process = subprocess.Popen(
        [COLLECTOR, "--root", str(root), "--config", str(config),
         "--socket", str(socket), "--user", WORKER_USER], stdin=subprocess.DEVNULL)

    def status():
        if process.poll() is not None:
            raise DemoError(f"the collector has ended with status {process.returncode}")
        answer = subprocess.run([TRACKEXEC, "status", "--json", "--socket", str(socket)],
                                capture_output=True, text=True, check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    try:
        wait_for(status, "the collector")
        yield status
    finally:
        process.terminate()
        process.wait()


def recorded(status, pids):
    """The sessions of these processes by name, when all of them have been recorded for a while."""
    sessions = {s["name"]: s for s in status()["sessions"] if s["pid"] in pids.values()
                and s["state"] == "recording" and s["since_unix_s"] + SECONDS <= time.time()}
    return sessions if len(sessions) == len(pids) else None


def show_folders(root, run_folder):
    print(f"\n$ ls -l {root}/latest && find {root}/latest/\n")
    print(f"latest -> {os.readlink(root / 'latest')}")
    for path in (run_folder, *sorted(run_folder.rglob("*"))):
        print(path)


def demo_collector(folder, output):
    root = folder / "root"
    with collector(folder, root) as status:
        with sample_daemon(folder) as pids:
            print(f"the daemon runs and nothing is recorded; now: mkdir {root}", flush=True)
            root.mkdir()
            root.chmod(0o750)
            print(f"recording for {SECONDS} seconds …", flush=True)
            sessions = wait_for(lambda: recorded(status, pids), f"traces of {', '.join(pids)}")
            run("status", "--socket", folder / "collector.sock")
            # One start of the daemon, one folder. A real daemon on this machine has another one.
            run_folder = root / sessions[NAMES[0]]["run"]
            show_folders(root, run_folder)
            run("list", "--root", root)
            for name in NAMES:
                run("analyse", "--num-items", 8, run_folder / name)
    # The collector has ended, and so have the traces: each is one plain file now.
    shutil.copytree(run_folder, output, dirs_exist_ok=True)
    return [output / name for name in NAMES]


# --- without ---

def demo_record(folder, output):
    """Record all of them at once."""
    print("demo: the collector needs root; without it, each process is recorded by hand",
          flush=True)
    with sample_daemon(folder) as pids:
        print(f"recording {', '.join(pids)} for {SECONDS} seconds …", flush=True)
        recorders = {
            name: subprocess.Popen([TRACKEXEC, "record", "-q", "--packages", "walt",
                                    "--pid", str(pid), "--name", name,
                                    "--duration", str(SECONDS), "--output", str(output / name)])
            for name, pid in pids.items()}
        failed = [name for name, recorder in recorders.items() if recorder.wait() != 0]
    if failed:
        raise DemoError(f"could not record {', '.join(failed)}")
    for name in NAMES:
        run("analyse", "--num-items", 8, output / name)
    return [output / name for name in NAMES]


def output_folder(words):
    output = pathlib.Path(words[0]) if words else (
        BUILD / "demo" / time.strftime("%y%m%d-%H%M%S"))
    output.mkdir(parents=True, exist_ok=True)
    return output


def main(words):
    for program in (TRACKEXEC, COLLECTOR):
        if not os.access(program, os.X_OK):
            raise DemoError(f"{program} is not there: run make first")
    output = output_folder(words)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trackexec-demo-"))
    try:
        folder.chmod(0o755)
        traces = (demo_collector if os.geteuid() == 0 else demo_record)(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\nThe traces:")
    for trace in traces:
        print(f"  {trace}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (DemoError, OSError) as error:
        sys.exit(f"demo: {error}")
