# SPDX-License-Identifier: BSD-3-Clause
"""Runs the sections of section_work.py: section_main.py truth | recorded | overrun | steady [TITLE [debugged]] | alone."""

import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def wait_for_collector(shim):
    end = time.monotonic() + 30
    while not shim._words[32] and time.monotonic() < end:
        time.sleep(0.001)


def overrun(shim, work):
    wait_for_collector(shim)
    # The sections below end one that the recorder has seen the begin of.
    with shim.precise_timestamping():
        work.double(1)
        print("attached", flush=True)
        sys.stdin.readline()
        shim._words[32] = time.monotonic_ns() + 600 * 10**9
        end = shim._next() + 2 * shim._BYTES
        while shim._next() < end:
            work.busy()
    print("overrun", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        work.afterwards()
        time.sleep(0.001)


def main(mode):
    if mode == "truth":
        import section_truth
        import walt.server
        sys.modules["walt.server.trackexec"] = walt.server.trackexec = section_truth
        from walt import section_work
        section_truth.begin(os.path.join(HERE, "walt") + os.sep)
        section_work.run()
        sys.settrace(None)
        print(json.dumps([list(events) for events in section_truth.events if events]))
        return
    from walt.server import trackexec
    from walt import section_work
    trackexec.record(None, "/nowhere")
    print("ready", flush=True)
    if mode == "recorded":
        wait_for_collector(trackexec)
    if mode == "steady" and sys.argv[2:]:
        from walt import title
        title.set_title(sys.argv[2])
    if sys.argv[3:]:
        sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "a debugger")
    while mode == "steady":
        section_work.plain()
        time.sleep(0.005)
    if mode == "overrun":
        overrun(trackexec, section_work)
    section_work.run()
    trackexec.stop()
    print("done", flush=True)
    sys.stdin.read()


main(sys.argv[1])
