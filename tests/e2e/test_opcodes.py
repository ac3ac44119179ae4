# SPDX-License-Identifier: BSD-3-Clause
"""The committed tables of opcodes are what the interpreters say, for every one at hand."""

import importlib.util
import pathlib
import re
import shlex
import unittest

import recording  # noqa: F401 (finds tests/)
import pythons

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def generator(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"),
                                                  ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def committed(name):
    """(what stands before the first table, {minor: its lines})."""
    text = (ROOT / "recorder" / "python" / name).read_text()
    head, *tables = re.split(r"^(?=\t\{$)", text, flags=re.M)
    tables[-1] = tables[-1].removesuffix("};\n")
    return head, {int(re.search(r"\.minor = (\d+),", t).group(1)): t.rstrip("\n")
                  for t in tables}


class Tables(unittest.TestCase):
    maxDiff = None

    def compare(self, name, minors, expected_head, expected):
        """`expected` makes a table from a minor version and a command."""
        head, tables = committed(name)
        self.assertEqual(head, expected_head + "\n")
        self.assertEqual(sorted(tables), list(minors))
        for python in pythons.interpreters():
            minor = python.version[1]
            if minor not in minors:
                continue
            with self.subTest(python=python.label):
                self.assertEqual(tables[minor].splitlines(),
                                 expected(minor, shlex.join(python.command)).splitlines())

    def test_opcodes_and_caches(self):
        tool = generator("gen-opcodes")
        self.compare("py_opcodes_table.c", range(8, 16), tool.HEAD,
                     lambda minor, command: tool.table(minor, tool.ask(command)))

    def test_stack_effects(self):
        tool = generator("gen-depths")
        self.compare("py_depth_table.c", range(8, 14), tool.HEAD, tool.table)


if __name__ == "__main__":
    unittest.main()
