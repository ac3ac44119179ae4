# SPDX-License-Identifier: BSD-3-Clause
"""Two threads that compute and want the interpreter's lock, each in a line of its own."""

import threading


def first():
    n = 0
    while True:
        n = (n + 1) & 1023  # at:first


def second():
    n = 0
    while True:
        n = (n + 1) & 1023  # at:second


for function in (first, second):
    threading.Thread(target=function, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
