# SPDX-License-Identifier: BSD-3-Clause
"""Which stacks of the programs in tests/targets/ can have existed.

A judge takes the lines of `trackexec export --format collapsed` and returns a Verdict. What it
holds them against is in the source of the target itself:

    # call:leaf_a                on this line only leaf_a is called (a list: call:leaf_a,leaf_b)
    # call:outer>leaf_a          the same, but for calls made by outer; needed where one line
                                 belongs to several code objects (a comprehension, say)
    # call:leaf_a[3.12-]         only from CPython 3.12 on;  [-3.11]: up to 3.11
    # call:foreign               code of other files may be on top here
    # call:<gen>                 calls into a file named <gen-N>
    # thread:work                a thread starts in work
    # at:name                    a line that a judge below wants to know by name

A line without a mark calls nothing. Frames of other files (the standard library) are looked
through. A stack that ends early is possible, for every prefix of a stack did exist.
"""

import ast
import collections
import functools
import itertools
import os
import re
import tokenize

TARGETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "targets")
MAX_EXAMPLES = 10

# Weights are in microseconds; examples are (reason, line of the export).
Verdict = collections.namedtuple("Verdict", "possible impossible examples")
# `count` frames in a row are the same: a deep recursion is one Frame.
Frame = collections.namedtuple("Frame", "file name line count", defaults=(1,))
Scope = collections.namedtuple("Scope", "name lines")

SCOPES = {ast.ListComp: "<listcomp>", ast.SetComp: "<setcomp>", ast.DictComp: "<dictcomp>",
          ast.GeneratorExp: "<genexpr>", ast.Lambda: "<lambda>"}


# [caller>]callee[FIRST-LAST], the last brackets literally
MARK = re.compile(r"(?:({0})>)?({0})(?:\[([\d.]*)-([\d.]*)\])?".format(r"\w+|<\w+>"))


class Impossible(Exception):
    """Why a stack cannot have existed."""


@functools.lru_cache(maxsize=100000)
def parse_frame(text, count=1):
    """file:function:line; the name without what it is nested in, which old CPythons don't know."""
    rest, _, line = text.rpartition(":")
    file, _, name = rest.rpartition(":")
    return Frame(file, name.rpartition(".")[2], int(line), count)


def parse_collapsed(lines):
    """(frames, weight, text) for each line of the export."""
    for text in lines:
        text = text.rstrip("\n")
        if text:
            stack, _, count = text.rpartition(" ")
            frames = [parse_frame(frame, len(list(same)))
                      for frame, same in itertools.groupby(stack.split(";"))]
            yield frames, int(count), text


class Source:
    """What the source of a target says: its scopes, and the marks on its lines."""

    def __init__(self, path, version):
        self.version = version
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
        self.scopes = collections.defaultdict(list)
        self._collect(tree, Scope("<module>", set(range(0, tree.body[-1].end_lineno + 1))))
        self.calls = collections.defaultdict(set)  # (line, scope's name or None) -> callees
        self.threads = set()
        self.at = {}
        with open(path, "rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type == tokenize.COMMENT:
                    self._read_marks(token.string, token.start[0])

    def _collect(self, node, scope):
        self.scopes[scope.name].append(scope)
        pending = list(ast.iter_child_nodes(node))
        while pending:
            child = pending.pop()
            name = SCOPES.get(type(child)) or getattr(child, "name", None)
            if type(child) in SCOPES or isinstance(
                    child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                decorators = getattr(child, "decorator_list", [])
                first = min(part.lineno for part in [child, *decorators])
                self._collect(child, Scope(name, set(range(first, child.end_lineno + 1))))
                # The lines of an inner body are not its outer scope's; of a comprehension they are
                # (inlined from 3.12 on).
                if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    scope.lines.difference_update(
                        range(max(child.body[0].lineno, child.lineno + 1), child.end_lineno + 1))
            else:
                pending.extend(ast.iter_child_nodes(child))

    def _read_marks(self, comment, line):
        for kind, value in re.findall(r"\b(call|thread|at):(\S+)", comment):
            for item in value.split(","):
                caller, callee, first, last = MARK.fullmatch(item).groups()
                if not self._is_version(first, last):
                    continue
                if kind == "call":
                    self.calls[line, caller].add(callee)
                elif kind == "thread":
                    self.threads.add(callee)
                else:
                    self.at[callee] = line

    def _is_version(self, first, last):
        def number(text):
            return tuple(int(part) for part in text.split("."))
        if self.version is None:
            return True
        return (not first or self.version[:2] >= number(first)) and (
            not last or self.version[:2] <= number(last))

    def has_line(self, frame):
        return any(frame.line in scope.lines for scope in self.scopes.get(frame.name, ()))

    def callees(self, frame):
        """What this frame can have called; without a line: anything that its scope calls."""
        if frame.line == 0:
            return {callee for (line, caller), names in self.calls.items() for callee in names
                    if caller in (None, frame.name) and any(
                        line in scope.lines for scope in self.scopes[frame.name])}
        return self.calls.get((frame.line, None), set()) | self.calls.get(
            (frame.line, frame.name), set())

    def module_callees(self):
        return self.callees(Frame("", "<module>", 0))


@functools.lru_cache(maxsize=None)
def read_source(path, version):
    return Source(path, version)


GENERATED = re.compile(r"<gen-(\d+)>")


def is_generated(frame):
    return GENERATED.fullmatch(frame.file) is not None


def check_frame(source, frame):
    """The frame by itself: is there such a function, and has it such a line?"""
    if frame.name not in source.scopes:
        raise Impossible(f"there is no {frame.name}")
    if frame.line and not source.has_line(frame):
        raise Impossible(f"line {frame.line} is not in {frame.name}")


def check_bottom(source, stack, script, own):
    """Where a stack starts: the module, or the first function of a thread."""
    first = stack[0]
    if own:
        names = source.module_callees() | source.threads | {"<module>"}
        if first.file == script and first.name not in names:
            raise Impossible(f"{first.name} at the bottom")
        return
    if first.file == script:
        if first.name != "<module>":
            raise Impossible(f"{first.name} at the bottom, and <module> missing")
    elif first.name != "_bootstrap":
        raise Impossible(f"{first.name} of {first.file} at the bottom")
    else:
        inner = next((frame for frame in stack if frame.file == script), None)
        if inner and inner.name not in source.threads:
            raise Impossible(f"no thread starts in {inner.name}")


def check_call(source, caller, callee, is_direct):
    """A frame of the target and what stands on it; callee None: other code at the top."""
    names = source.callees(caller)
    if callee is None:
        if "foreign" not in names:
            raise Impossible(f"other code called by {caller.name} at line {caller.line}")
    elif is_generated(callee):
        if "<gen>" not in names or not is_direct:
            raise Impossible(f"generated code called by {caller.name} at line {caller.line}")
    elif callee.name not in names:
        raise Impossible(f"{callee.name} called by {caller.name} at line {caller.line}")


def check_stack(source, stack, script, own):
    """The rules that hold for all targets."""
    check_bottom(source, stack, script, own)
    caller = None
    is_direct = True
    for frame in stack:
        if frame.file != script and not is_generated(frame):
            is_direct = False
            continue
        if not is_generated(frame):
            check_frame(source, frame)
        if caller and not is_generated(caller):
            check_call(source, caller, frame, is_direct)
        if frame.count > 1:
            check_call(source, frame, frame, True)
        caller, is_direct = frame, True
    if caller and caller.file == script and not is_direct:
        check_call(source, caller, None, is_direct)


# ---- what single targets add


def expect_depth(stack, name, limit, bottom_line=None):
    """At most `limit` frames of that name, and just as many where the last of them is marked."""
    frames = [frame for frame in stack if frame.name == name]
    depth = sum(frame.count for frame in frames)
    if depth > limit:
        raise Impossible(f"{depth} frames of {name}, there are never more than {limit}")
    if frames and bottom_line and frames[-1].line == bottom_line and depth != limit:
        raise Impossible(f"{name} at line {bottom_line} with {depth} frames, not {limit}")


def tight(source, stack, script):
    calls = [frame for frame in stack if frame.name in ("ping", "pong")]
    depth = sum(frame.count for frame in calls)
    if depth > 4:
        raise Impossible(f"{depth} frames of ping and pong")
    if calls and calls[-1].line == source.at["bottom"] and depth != 4:
        raise Impossible(f"the last pong after {depth} frames")


def gen_depth(source, stack, script):
    entry = next((frame for frame in stack if frame.name == "run"), None)
    depth = {source.at["six"]: 7, source.at["twelve"]: 13}
    if entry and entry.line in depth:
        expect_depth(stack, "walk", depth[entry.line], source.at["bottom"])


def exceptions(source, stack, script):
    deep = any(frame.name == "middle" for frame in stack)
    expect_depth(stack, "thrower", 6 if deep else 3, source.at["raise"])


def deep_recursion(source, stack, script):
    entry = next((frame for frame in stack if frame.name == "run"), None)
    if entry is None:
        return
    kinds = {source.at["long"]: (3001, "leaf_long"), source.at["short"]: (1501, "leaf_short")}
    if entry.line not in kinds:
        return
    limit, leaf = kinds[entry.line]
    expect_depth(stack, "descend", limit, source.at["bottom"])
    if stack[-1].name.startswith("leaf_") and stack[-1].name != leaf:
        raise Impossible(f"{stack[-1].name} below the entry of {leaf}")


def coroutines(source, stack, script):
    expect_depth(stack, "chain_two", 9, source.at["bottom"])


def exec_churn(source, stack, script):
    generated = [frame for frame in stack if is_generated(frame)]
    if sum(frame.count for frame in generated) > 2:
        raise Impossible("more than two generated frames")
    for frame in generated:
        check_generated(frame)
    if not generated:
        return
    if generated[0].name.startswith("help_"):
        raise Impossible("a helper that nobody has called")
    if len(generated) == 2:
        caller, callee = generated
        n = int(GENERATED.fullmatch(caller.file).group(1))
        if caller.file != callee.file or not callee.name.startswith("help_") or caller.line not in (
                0, generated_line(n) + 3) or not caller.name.startswith("work_"):
            raise Impossible(f"{callee} called by {caller}")


def generated_line(n):
    """The target's first_line()."""
    return 1 + n * 37 % 911


def check_generated(frame):
    n = int(GENERATED.fullmatch(frame.file).group(1))
    first = generated_line(n)
    spans = {"<module>": range(first, first + 6), "work_%03d" % n: range(first, first + 5),
             "help_%03d" % n: range(first + 5, first + 7)}
    if frame.name not in spans:
        raise Impossible(f"{frame.name} in {frame.file}")
    # Code of a module starts on line 0 or 1, before its first statement.
    allowed = frame.line in spans[frame.name] or (frame.name == "<module>" and frame.line == 1)
    if frame.line and not allowed:
        raise Impossible(f"line {frame.line} of {frame.name}")


EXTRA = {"tight": tight, "gen_depth": gen_depth, "exceptions": exceptions,
         "deep_recursion": deep_recursion, "coroutines": coroutines, "exec_churn": exec_churn}
NAMES = ("tight", "two_callers", "gen_depth", "gen_for", "exceptions", "deep_recursion",
         "comprehensions", "callbacks", "threads", "coroutines", "many_threads", "exec_churn",
         "known_shares")


def judge(name, lines, script=None, version=None, own=False):
    """Judge an export of the target `name`.

    script   the path that it was run from, as it saw it itself
    version  of the CPython that ran it: a tuple; None: what holds for any of them
    own      recorded without --all: neither <module> nor the standard library is there
    """
    path = os.path.join(TARGETS, name + ".py")
    script = script or path
    source = read_source(path, version and tuple(version[:2]))
    possible = impossible = 0
    examples = []
    for stack, weight, text in parse_collapsed(lines):
        try:
            check_stack(source, stack, script, own)
            if name in EXTRA:
                EXTRA[name](source, stack, script)
            possible += weight
        except Impossible as reason:
            # A stack that was seen, but for less than a microsecond, is as impossible.
            impossible += max(weight, 1)
            if len(examples) < MAX_EXAMPLES:
                examples.append((str(reason), text))
    return Verdict(possible, impossible, examples)


JUDGES = {name: functools.partial(judge, name) for name in NAMES}


def line_weights(lines, script, function):
    """{line: weight} of the time that the function spent on each of its lines, callees included."""
    weights = collections.Counter()
    for stack, weight, _ in parse_collapsed(lines):
        for frame in stack:
            if frame.file == script and frame.name == function:
                weights[frame.line] += weight
                break
    return weights


def true_shares(truth, start_ns=None, end_ns=None):
    """{name: share} of known_shares' own report, or of the stretch between two monotonic times."""
    names = [line["name"] for line in truth["lines"]]
    sums = [line["ns"] for line in truth["lines"]]
    if start_ns is not None:
        inside = [sums for time, *sums in truth["history"] if start_ns <= time <= end_ns]
        if len(inside) < 2:
            raise ValueError("known_shares did not run in that stretch")
        sums = [last - first for first, last in zip(inside[0], inside[-1])]
    return {name: ns / sum(sums) for name, ns in zip(names, sums)}


def recorded_shares(truth, lines, script):
    """{name: share} of the same lines in an export; of their sum, as in true_shares()."""
    weights = line_weights(lines, script, truth["lines"][0]["function"])
    sums = {line["name"]: weights[line["line"]] for line in truth["lines"]}
    total = sum(sums.values()) or 1
    return {name: weight / total for name, weight in sums.items()}
