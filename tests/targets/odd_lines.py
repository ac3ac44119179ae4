# SPDX-License-Identifier: BSD-3-Clause
"""Lines that are hard to tell, all blocked, for an exact comparison (see steady.py).

Jumps that do not fit into a byte, forwards and backwards, numbers up to 2^31, tables of many
kilobytes, code without lines, and code whose source is not where its name says.
"""

import importlib
import os
import shutil
import sys
import tempfile
import types
import zipfile

import steady
from steady import block

FOLDER = tempfile.mkdtemp()


def same(function):
    return function


def pick(*values):
    return values[0]


def multi_line_call():
    return pick(
        1,
        pick(
            2,
            block(
            ),
            3,
        ),
        4)


def backwards():
    return (
        lambda first:

        first(


        ))(
        block
    )


@same
@pick(
    same,
    2,
)
def decorated(
        value=1,
        *more):
    return block()


class Manager:
    def __enter__(self):
        return self

    def __exit__(self,
                 *details):
        return block()


def leaves_with():
    with \
            Manager() as manager, \
            Manager():
        pick(
            manager)
    return manager


def class_body():
    class Outer:
        x = 1

        class Inner:
            y = 2
            z = block()
    return Outer


def condition(value=1):
    return [
        item
        for item in (
            value,
        )
        if item
        and not
        block()
    ]


def made(text, name, path="<made>"):
    """A function from generated source."""
    space = {"block": block, "pick": pick}
    exec(compile(text, path, "exec"), space)
    return space[name]


def long_jumps():
    gaps = (1, 126, 127, 128, 254, 255, 256, 300, 4000, 33000, 70000)
    body = "".join("\n" * gap + "    x = %d\n" % gap for gap in gaps)
    return made("def jumps():\n" + body + "    return block()\n", "jumps")


def loop_back(gap):
    """From the call back to the loop's head, over many lines; the second turn blocks."""
    text = ("def back():\n    for f in (pick, block):\n" + "\n" * gap +
            "        f(*[1][:f is pick])\n")
    return made(text, "back")


def argument_far(gap):
    """The call's line is far above the one of its last argument."""
    text = "def far():\n    return block(\n        *(\n" + "\n" * gap + "        ))\n"
    return made(text, "far")


def high(lines):
    return made("\n" * lines + "def high():\n    return block()\n", "high")


def moved(first_line):
    """A function that claims to start at a line."""
    code = made("def moved():\n    return block()\n", "moved").__code__
    return types.FunctionType(code.replace(co_firstlineno=first_line), {"block": block})


def many_lines(count):
    body = "".join("    x = %d + %d\n" % (i, 100000 + i) for i in range(count))
    return made("def many(x=0):\n" + body + "    return block(*pick([]))\n", "many")


def without_lines():
    code = made("def without():\n    return block()\n", "without").__code__
    return types.FunctionType(code.replace(co_linetable=b""), {"block": block})


def evaluated():
    return eval("(\n\nlambda:\n\nblock())", {"block": block})()


def evaluated_directly():
    return eval("pick(\n1, block())", {"block": block, "pick": pick})


def odd_name():
    return made("def odd():\n    return block()\n", "odd", "an odd: name;\\\n/ü")()


def module_file(name):
    path = os.path.join(FOLDER, name + ".py")
    with open(path, "w") as file:
        file.write("from steady import block\n\n\ndef work():\n    return block()\n")
    return path


def imported(name, folder=FOLDER):
    sys.path.insert(0, folder)
    return importlib.import_module(name).work


def zipped():
    archive = os.path.join(FOLDER, "archive.zip")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(module_file("from_zip"), "from_zip.py")
    os.unlink(os.path.join(FOLDER, "from_zip.py"))
    return imported("from_zip", archive)


def deleted():
    path = module_file("deleted")
    work = imported("deleted")
    os.unlink(path)
    return work


def replaced():
    path = module_file("replaced")
    work = imported("replaced")
    with open(path + ".new", "w") as file:
        file.write("# nothing like before\n")
    os.rename(path + ".new", path)
    return work


sys.dont_write_bytecode = True
FUNCTIONS = [
    multi_line_call, backwards, decorated, leaves_with, class_body, condition, long_jumps(),
    loop_back(3), loop_back(200), loop_back(40000), argument_far(3), argument_far(140),
    argument_far(50000), high(65534), high(65535), high(70000), high((1 << 20) + 5),
    moved(1 << 24), moved((1 << 31) - 10), many_lines(300), many_lines(9000), evaluated,
    evaluated_directly, odd_name, zipped(), deleted(), replaced(),
]
if sys.version_info >= (3, 10):
    FUNCTIONS.append(without_lines())
steady.run(FUNCTIONS)
shutil.rmtree(FOLDER, ignore_errors=True)
