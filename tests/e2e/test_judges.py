# SPDX-License-Identifier: BSD-3-Clause
"""The judges themselves: true stacks pass, false ones do not.

The true ones are taken inside each target by a thread that asks the interpreter.
"""

import itertools
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import judges  # noqa: E402
import pythons  # noqa: E402

# Runs a target's text in this process and prints stacks of its threads in collapsed form. A trace
# function sees the stack of its own thread, which cannot change meanwhile.
WATCHER = """
import collections, os, random, sys, threading, time
path = sys.argv[1]
seconds = float(sys.argv[2])
sys.argv = [path]
with open(path, encoding="utf-8") as file:
    code = compile(file.read(), path, "exec")
seen = collections.Counter()
ready = threading.Event()
skip = 0
budget = 300000  # frames

def note(frame):
    global budget
    if budget < 0:
        return
    stack = []
    while frame and frame.f_code is not own:
        stack.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    if any(code.co_filename == own.co_filename for code, line in stack):
        return
    budget -= len(stack)
    seen[tuple(stack)] += 1

def trace(frame, event, argument):
    global skip
    skip -= 1
    if skip < 0:
        note(frame)
        skip = random.randrange(60)
    return trace

def end():
    ready.wait()
    time.sleep(seconds)
    stacks = dict(seen)
    lines = [";".join("%s:%s:%d" % (code.co_filename, code.co_name, line or 0)
                      for code, line in reversed(stack)) + " %d" % weight
             for stack, weight in stacks.items()]
    os.write(1, b"\\n")
    with open(1, "w") as file:
        file.write("\\n".join(lines))
    os._exit(0)

class Out:
    def write(self, text):
        if text == "ready":
            sys.stdout = sys.__stdout__
            ready.set()
            sys.settrace(trace)
    def flush(self):
        pass

own = sys._getframe().f_code
threading.Thread(target=end).start()
out = sys.stdout = Out()  # kept: print() borrows sys.stdout while it writes
threading.settrace(trace)
exec(code, {"__name__": "__main__", "__file__": path})
"""


class Watched:
    """A target that is being watched."""

    def __init__(self, python, name, seconds=0.1):
        self.python, self.name = python, name
        self.script = python.place(f"{judges.TARGETS}/{name}.py")
        self.process = python.start(WATCHER, self.script, seconds, stdout=subprocess.PIPE,
                                    text=True)

    def lines(self):
        """Its true stacks, when it has ended."""
        try:
            out = self.process.communicate(timeout=60)[0]
        finally:
            self.process.kill()
        return [line for line in out.splitlines() if line.strip()]


def watch(cases):
    """Each one's Watched, when the next one runs already: nothing here depends on time."""
    before = None
    for python, name in cases:
        watched = Watched(python, name)
        if before:
            yield before
        before = watched
    yield before


def one_of_each_minor():
    return {python.version[:2]: python for python in pythons.interpreters()}.values()


class TrueStacks(unittest.TestCase):
    def test_are_possible(self):
        for watched in watch(itertools.product(one_of_each_minor(), judges.NAMES)):
            python, name = watched.python, watched.name
            with self.subTest(python=python.label, target=name):
                verdict = judges.JUDGES[name](watched.lines(), watched.script, python.version)
                self.assertGreater(verdict.possible, 0)
                self.assertEqual(verdict.examples, [])


def mark(name, function, text):
    """The number of the first line of a target's function that contains a text."""
    path = f"{judges.TARGETS}/{name}.py"
    source = judges.read_source(path, None)
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        if re.search(re.escape(text) + r"(?=[\s,>]|$)", line) and source.has_line(
                judges.Frame(path, function, number)):
            return number
    raise LookupError(f"{text} in {function} of {name}")


class FalseStacks(unittest.TestCase):
    def expect(self, name, reason, *frames, **options):
        path = f"{judges.TARGETS}/{name}.py"
        stack = []
        for frame in frames:
            function, _, line = frame.partition(":")
            file = path
            if function.startswith("<gen-"):
                file, function = function.split("/")
            number = int(line) if re.fullmatch(r"\d+", line) else mark(name, function, line)
            stack.append(f"{file}:{function}:{number}")
        verdict = judges.JUDGES[name]([";".join(stack) + " 5"], **options)
        if reason is None:
            self.assertEqual((verdict.possible, verdict.examples), (5, []))
        else:
            self.assertEqual((verdict.possible, verdict.impossible), (0, 5))
            self.assertIn(reason, verdict.examples[0][0])

    RUN_A = ("<module>:call:run", "run:call:caller_a")

    def test_true_stack_and_its_prefix_pass(self):
        self.expect("two_callers", None, *self.RUN_A, "caller_a:call:leaf_a", "leaf_a:x + 1")
        self.expect("two_callers", None, *self.RUN_A, "caller_a:call:leaf_a")

    def test_wrong_callee(self):
        self.expect("two_callers", "leaf_b called by caller_a", *self.RUN_A, "caller_a:call:leaf_a",
                    "leaf_b:x + 2")

    def test_wrong_call_line(self):
        self.expect("two_callers", "leaf_a called by caller_a", *self.RUN_A, "caller_a:call:leaf_c",
                    "leaf_a:x + 1")

    def test_line_outside_its_function(self):
        self.expect("two_callers", "is not in leaf_a", *self.RUN_A, "caller_a:call:leaf_a",
                    f"leaf_a:{mark('two_callers', 'leaf_b', 'x + 2')}")

    def test_missing_module(self):
        self.expect("tight", "<module> missing", "run:call:ping", "ping:call:pong")
        self.expect("tight", None, "run:call:ping", "ping:call:pong", own=True)

    def test_too_deep(self):
        self.expect("tight", "5 frames", "<module>:call:run", "run:call:ping", "ping:call:pong",
                    "pong:call:ping", "ping:call:pong", "pong:call:ping", "ping:call:pong")

    def test_wrong_depth_at_the_bottom(self):
        frames = ["<module>:call:run", "run:at:twelve"] + ["walk:call:walk"] * 6
        self.expect("gen_depth", "not 13", *frames, "walk:at:bottom")
        frames[1] = "run:at:six"
        self.expect("gen_depth", None, *frames, "walk:at:bottom")
        self.expect("gen_depth", "never more than 7", *frames, "walk:call:walk", "walk:depth + 1")

    def test_wrong_thread_start(self):
        script = f"{judges.TARGETS}/threads.py"
        number = mark("threads", "lock_user", "with LOCK:")
        line = f"/lib/threading.py:_bootstrap:1;{script}:lock_user:{number} 1"
        self.assertIn("no thread starts", judges.judge("threads", [line]).examples[0][0])

    def test_comprehension_of_another_version(self):
        frames = ("<module>:call:run", "run:call:lists", "lists:call:lists", "cheap:x + 1")
        self.expect("comprehensions", None, *frames, version=(3, 12))
        self.expect("comprehensions", "cheap called by lists", *frames, version=(3, 11))

    def test_generated_code_of_another_variant(self):
        frames = ("<module>:call:run", "run:call:churn", "churn:work()")
        self.expect("exec_churn", None, *frames, "<gen-2>/work_002:76")
        self.expect("exec_churn", "work_003 in <gen-2>", *frames, "<gen-2>/work_003:76")
        self.expect("exec_churn", "line 90", *frames, "<gen-2>/work_002:90")


class Shares(unittest.TestCase):
    TRUTH = {"lines": [{"name": "a", "line": 7, "function": "turn", "ns": 300},
                       {"name": "b", "line": 9, "function": "turn", "ns": 100}],
             "history": [[1000, 0, 0], [2000, 10, 10], [3000, 110, 310]]}

    def test_of_the_whole_run_and_of_a_stretch(self):
        self.assertEqual(judges.true_shares(self.TRUTH), {"a": 0.75, "b": 0.25})
        self.assertEqual(judges.true_shares(self.TRUTH, 1500, 3000), {"a": 0.25, "b": 0.75})

    def test_of_an_export_count_what_the_lines_call(self):
        lines = ["/t.py:<module>:1;/t.py:turn:7 2", "/t.py:<module>:1;/t.py:turn:8 50",
                 "/t.py:<module>:1;/t.py:turn:7;/t.py:leaf:2 4", "/t.py:turn:9 2"]
        self.assertEqual(judges.recorded_shares(self.TRUTH, lines, "/t.py"), {"a": 0.75, "b": 0.25})


if __name__ == "__main__":
    unittest.main()
