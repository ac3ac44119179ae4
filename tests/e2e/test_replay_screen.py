# SPDX-License-Identifier: BSD-3-Clause
"""trackexec replay in a real terminal: keys in, screen out."""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from recording import DEADLINE_S, TESTS, TRACKEXEC
from terminal import Terminal

PHASES = TESTS / "targets" / "phases.py"
TEXT = PHASES.read_text().splitlines()
ONCE = next(i for i, line in enumerate(TEXT, 1) if "# line of once" in line)
FOOTER = "h help"


@unittest.skipUnless(shutil.which("tmux"), "tmux is not installed")
class Screen(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        cls.trace = os.path.join(cls.folder.name, "trace")
        script = os.path.join(cls.folder.name, "phases.py")
        # Tabs, wide and combining characters, and what could disturb a terminal.
        with open(script, "w", encoding="utf-8") as file:
            file.write("\n".join(TEXT).replace(
                "    time.sleep(0.02)", "    # tab:\tend na\u00efve \u4e2d\u6587 e\u0301 \x1b[31mred\x07\n"
                "    time.sleep(0.02)") + "\n")
        subprocess.run([TRACKEXEC, "record", "-q", "--output", cls.trace, "--",
                        "/usr/bin/python3", script], stdin=subprocess.DEVNULL, check=True,
                       stdout=subprocess.DEVNULL, timeout=DEADLINE_S)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def open(self, *options, **terminal):
        return Terminal([TRACKEXEC, "replay", *options, self.trace], **terminal)

    def once(self, t):
        """To the line that runs once, by typing."""
        t.wait(FOOTER)
        t.type(f"b phases.py:{ONCE + 1}")
        t.keys("Enter")
        t.wait("breakpoint 1 at")
        t.type("c")
        return t.wait(f"{ONCE + 1}", "once", "time.sleep(0.02)")

    def arrow(self, lines, sign="\u25b6"):
        """The line that is marked as the present one: its number and text."""
        found = [re.fullmatch(rf".?{sign} *(\d+) (.*)", line) for line in lines]
        found = [match for match in found if match]
        self.assertEqual(len(found), 1, "\n".join(lines))
        return int(found[0][1]), found[0][2]

    def test_a_place_is_shown_with_its_source(self):
        with self.open() as t:
            lines = self.once(t)
            self.assertEqual(self.arrow(lines)[0], ONCE + 1)
            self.assertIn("time.sleep(0.02)", self.arrow(lines)[1])
            self.assertRegex(lines[0], r"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} [+-]\d\d:\d\d  .*"
                                       rf"phases\.py:{ONCE + 1} once\Z")
            self.assertIn("depth 3", lines[1])
            self.assertIn("thread 1", lines[1])
            self.assertIn("observed, sampled", lines[1])
            # The breakpoint has its mark.
            self.assertTrue(any(line.startswith("\u25cf\u25b6") for line in lines))
            # Tabs and wide characters stand where they should; what controls terminals is tame.
            self.assertTrue(any("# tab:      end na\u00efve \u4e2d\u6587 e\u0301 ?[31mred?" in line for line in lines),
                            "\n".join(lines))

    def test_start_and_end_are_told(self):
        with self.open() as t:
            t.wait("[START OF TRACE]")
            t.type("j end")
            t.keys("Enter")
            t.wait("[END OF TRACE]", gone=["[START OF TRACE]"])
            t.type("s")
            t.wait("this is the end of what was recorded")
            t.type("S")
            t.wait(gone=["[END OF TRACE]", "this is the end"])

    def test_moving_with_keys_of_many_debuggers(self):
        with self.open() as t:
            self.once(t)
            before = t.screen()[0]
            for key, back in (("F11", "S"), ("F7", "S"), ("s", "S-F11"), ("n", "N")):
                t.keys(key)
                t.wait(gone=[before])
                t.keys(back)
                t.wait(before)
            t.type("3s")
            t.wait(gone=[before])
            t.type("3S")
            t.wait(before)

    def test_enter_repeats_and_digits_count(self):
        with self.open() as t:
            t.wait(FOOTER)
            t.type("20s")
            t.wait(gone=["[START OF TRACE]", "then a command"])
            t.type("S")
            for _ in range(18):
                t.keys("Enter")
            t.wait(FOOTER, gone=["[START OF TRACE]"])
            t.keys("Enter")
            t.wait("[START OF TRACE]")

    def test_help_comes_and_goes(self):
        with self.open() as t:
            t.wait(FOOTER)
            t.type("h")
            t.wait("Moving on", "n F8 F10", "next n")
            t.keys("End")
            t.wait("quit q exit")
            t.type("h")
            t.wait("[START OF TRACE]", gone=["quit q exit"])

    def test_the_prompt_edits_completes_and_remembers(self):
        with self.open() as t:
            self.once(t)
            t.type("f pha")
            t.keys("Tab")
            t.wait(":f phases.py")
            t.keys("Enter")
            t.wait(FOOTER, gone=[":f phases.py"])
            t.type("j")
            t.wait(":j")
            t.keys("Up")
            t.wait(":f phases.py")
            t.keys("Up")
            t.wait(f":b phases.py:{ONCE + 1}")
            t.keys("BSpace", "BSpace", "9", "9")
            t.wait(":b phases.py:99")
            t.keys("Enter")
            t.wait("never ran in this trace")
            t.type("bt")
            t.keys("Enter")
            t.wait("#1", "main", "<module>")
            t.keys("Escape")
            t.wait(gone=["#1"])
            t.type("x")
            t.keys("C-g")
            t.wait(FOOTER, gone=[":x"])

    def test_the_source_is_scrolled_and_searched(self):
        with self.open() as t:
            self.once(t)
            t.keys("Home")
            t.wait("SPDX-License-Identifier")
            t.keys("End")
            t.wait('if __name__ == "__main__":')
            t.type("g")
            t.keys("Enter")
            t.wait("SPDX-License-Identifier")
            t.type("G")
            t.wait('if __name__ == "__main__":')
            t.keys("PageUp", "PageUp", "PageUp", "PageUp")
            t.wait("SPDX-License-Identifier")
            t.type("/def busy")
            t.keys("Enter")
            t.wait("found in line", "def busy():")
            t.type("n")
            t.wait(FOOTER, gone=["found in line"])

    def test_the_mouse_wheel_scrolls(self):
        with self.open() as t:
            header, _, first, *_ = self.once(t)
            number = int(first.split()[0])
            # As a terminal reports a turn of the wheel at column and row 10: upwards, downwards.
            t.type("\x1b[M" + chr(32 + 64) + chr(32 + 11) + chr(32 + 11))
            t.wait(header, f"\n{number - 3:6}")
            t.type("\x1b[M" + chr(32 + 65) + chr(32 + 11) + chr(32 + 11))
            t.wait(header, gone=[f"\n{number - 3:6}"])

    def test_sizes_and_resizing(self):
        with self.open() as t:
            self.once(t)
            for columns, rows in ((40, 10), (132, 50), (20, 5), (80, 24), (10, 3), (80, 24)):
                t.resize(columns, rows)
                deadline = time.monotonic() + DEADLINE_S
                while time.monotonic() < deadline:
                    lines = t.screen()
                    arrows = [line for line in lines if "\u25b6" in line]
                    if arrows and all(len(line) <= columns for line in lines) and \
                            len(lines) in (rows, rows + 1) and (columns < 60 or FOOTER in lines[rows - 1]):
                        break
                    time.sleep(0.05)
                else:
                    self.fail(f"{columns}x{rows}:\n" + "\n".join(lines))

    def test_small_screens_show_what_matters(self):
        with self.open(columns=40, rows=10) as t:
            self.once(t)
            lines = t.screen()
            self.assertRegex(lines[0], r"\A\d\d:\d\d:\d\d\.\d{6}  .*phases\.py:\d+ once\Z")
            self.assertIn(FOOTER, lines[9])

    def test_a_terminal_without_utf8_gets_ascii(self):
        with self.open(locale="C") as t:
            lines = self.once_in_ascii(t)
            self.assertTrue(all(ord(c) < 128 for line in lines for c in line), "\n".join(lines))
            self.assertEqual(self.arrow(lines, ">")[0], ONCE + 1)
            self.assertTrue(any(line.startswith("*>") for line in lines))
            self.assertTrue(any("na?ve ?? e? ?[31mred?" in line for line in lines),
                            "\n".join(lines))

    def once_in_ascii(self, t):
        t.wait(FOOTER)
        t.type(f"b phases.py:{ONCE + 1}")
        t.keys("Enter")
        t.wait("breakpoint 1")
        t.type("c")
        return t.wait("time.sleep(0.02)", f"phases.py:{ONCE + 1} once")

    def test_colours_unless_they_are_not_wanted(self):
        for no_color, expected in (("", True), ("1", False)):
            with self.open(NO_COLOR=no_color) as t:
                self.once(t)
                shown = "\n".join(t.screen(attributes=True))
                has_colour = bool(re.search(r"\x1b\[(\d+;)*3[0-7]m", shown))
                self.assertEqual(has_colour, expected)

    def test_the_stack_stands_beside(self):
        with self.open() as t:
            self.once(t)
            t.keys("Tab")
            lines = t.wait("0 once phases.py", "1 main phases.py")
            self.assertTrue(any("\u2502" in line for line in lines))
            t.type("[")
            t.wait("(a caller)")
            t.keys("Tab")
            t.wait(FOOTER, gone=["0 once phases.py"])

    def test_interrupting_does_not_leave(self):
        with self.open() as t:
            t.wait(FOOTER)
            t.keys("C-c")
            t.wait("q leaves")
            t.type("s")
            t.wait(FOOTER, gone=["q leaves"])

    def test_stopping_and_going_on_with_another_size(self):
        with Terminal(["bash", "--norc", "-i"], PS1="PROMPT ") as t:
            t.wait("PROMPT")
            t.type(f"{TRACKEXEC} replay {self.trace}")
            t.keys("Enter")
            t.wait(FOOTER)
            t.keys("C-z")
            t.wait("Stopped", "PROMPT", gone=[FOOTER])
            t.resize(100, 20)
            t.type("fg")
            t.keys("Enter")
            t.wait(FOOTER)
            self.assertIn(FOOTER, t.screen()[19])
            t.type("q")
            t.wait("PROMPT", gone=[FOOTER])

    def test_the_terminal_is_left_clean(self):
        with self.open() as t:
            t.wait(FOOTER)
            t.type("q")
            lines = t.wait("status=0")
            self.assertNotIn("\u25b6", "".join(lines))
            self.assertNotIn(FOOTER, "".join(lines))

    def test_a_terminal_that_can_do_nothing_is_told(self):
        for name in ("unknown-terminal", "dumb"):
            with self.open(TERM=name, columns=150) as t:
                t.wait("--batch needs none", "status=1")

    def test_a_time_can_be_given(self):
        with self.open("--at", "100%", "--thread", "1") as t:
            t.wait("[END OF TRACE]", "thread 1 only")

    def test_a_trace_that_grows_is_followed(self):
        trace = os.path.join(self.folder.name, "live")
        script = shutil.copy(PHASES, self.folder.name + "/live.py")
        program = subprocess.Popen(["/usr/bin/python3", script, "1000"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        recorder = subprocess.Popen([TRACKEXEC, "record", "-q", "--output", trace, "--pid",
                                     str(program.pid)], stdin=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + DEADLINE_S
            while subprocess.run([TRACKEXEC, "info", trace], capture_output=True,
                                 check=False).returncode:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            with Terminal([TRACKEXEC, "replay", trace]) as t:
                t.wait(FOOTER, gone=["Nothing was recorded yet"])
                t.type("F")
                first = t.wait("[FOLLOWING]", "[NOTHING NEWER YET]")[0]
                t.wait("[FOLLOWING]", gone=[first])
                t.type("S")
                stays = t.wait(FOOTER, gone=["[FOLLOWING]"])[0]
                time.sleep(1)
                self.assertEqual(t.screen()[0], stays)
                t.type("F")
                t.wait("[FOLLOWING]")
                recorder.terminate()
                recorder.wait(DEADLINE_S)
                t.wait("[END OF TRACE]", "the recording has ended", gone=["[FOLLOWING]"])
        finally:
            for process in (recorder, program):
                process.kill()
                process.wait()


if __name__ == "__main__":
    unittest.main()
