# SPDX-License-Identifier: BSD-3-Clause
"""A program in a terminal: tmux shows it, keys go in, text comes out."""

import os
import shlex
import subprocess
import tempfile
import time

DEADLINE_S = 20


class Terminal:
    """A context manager; what it runs ends with it."""

    def __init__(self, command, columns=80, rows=24, locale="C.UTF-8", **environment):
        self.folder = tempfile.TemporaryDirectory(prefix="trackexec-tmux-")
        self.socket = os.path.join(self.folder.name, "socket")
        words = ["env", f"LC_ALL={locale}", *(f"{k}={v}" for k, v in environment.items()), *command]
        # The shell that is left tells that the program has gone, and with which status.
        script = f"trap : INT; {shlex.join(map(str, words))}; echo status=$?; cat"
        config = os.path.join(self.folder.name, "config")
        with open(config, "w", encoding="utf-8") as file:
            file.write("set -g default-terminal tmux-256color\nset -sg escape-time 0\n"
                       "set -g status off\nset -g mouse on\n")
        # -u: tmux itself is to keep whatever the program writes.
        self.tmux("-u", "-f", config, "new-session", "-d", "-x", columns, "-y", rows,
                  "sh", "-c", script)

    def tmux(self, *words):
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        environment.pop("TMUX", None)
        return subprocess.run(["tmux", "-S", self.socket, *map(str, words)], check=True, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, env=environment,
                              encoding="utf-8").stdout

    def keys(self, *keys):
        """By tmux's names: Enter, Tab, F10, C-l."""
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def screen(self, attributes=False):
        """The lines, each without the blanks at its end."""
        options = ["-e"] if attributes else []
        return [line.rstrip() for line in
                self.tmux("capture-pane", "-p", *options).split("\n")]

    def wait(self, *texts, gone=()):
        """The screen as soon as all texts are on it and none of `gone`."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            lines = self.screen()
            shown = "\n".join(lines)
            if all(text in shown for text in texts) and not any(text in shown for text in gone):
                return lines
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {texts!r} without {gone!r}; this was "
                                     f"shown:\n{shown}")
            time.sleep(0.05)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        try:
            self.tmux("kill-server")
        except subprocess.CalledProcessError:
            pass
        self.folder.cleanup()
