# SPDX-License-Identifier: BSD-3-Clause
"""For programs whose threads are all blocked somewhere: what the interpreter says where they are.

run() starts a thread for each function, waits until all of them are in block(), and prints "ready"
and one line of JSON: for each thread its frames, outermost first, as [file, name, qualified name
or null, line or null].
"""

import json
import sys
import threading
import time


def block():
    time.sleep(1e6)


SLEEP_LINE = block.__code__.co_firstlineno + 1


def frames_of(frame):
    frames = []
    while frame:
        code = frame.f_code
        frames.append([code.co_filename, code.co_name, getattr(code, "co_qualname", None),
                       frame.f_lineno])
        frame = frame.f_back
    return frames[::-1]


def wait_until_blocked(threads):
    """A thread that is on the line that sleeps stays there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        current = sys._current_frames()
        stacks = [frames_of(current.get(thread.ident)) for thread in threads]
        if all(stack and stack[-1][1] == "block" and stack[-1][3] == SLEEP_LINE
               for stack in stacks):
            return stacks
        time.sleep(0.01)
    raise TimeoutError("threads did not come to rest")


def run(functions):
    end = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.daemon = True
        thread.start()
    stacks = wait_until_blocked(threads)
    print("ready", flush=True)
    print(json.dumps(stacks), flush=True)
    while time.monotonic() < end:
        time.sleep(0.1)
