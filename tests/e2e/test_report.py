# SPDX-License-Identifier: BSD-3-Clause
"""trackexec report: the page is opened in a browser, clicked, searched, and read."""

import json
import os
import pathlib
import pty
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import unittest

from browser import SHIFT, Browser, find_chromium
from recording import DEADLINE_S, TESTS, TRACKEXEC, trackexec

PHASES = TESTS / "targets" / "phases.py"
NO_BROWSER = None if find_chromium() else "there is no Chromium (apt-get install chromium)"

# What could be taken for markup, or for the end of a script, by whoever puts it into a page.
HOSTILE = "</script><!--<img src=x onerror=hostile()>-->'\"&amp;\u2028"
HOSTILE_PROGRAM = """# -*- coding: latin-1 -*-
# %(hostile)s <script>hostile()</script> \xff\xfe
import time

def plain(n):
    total = 0
    for i in range(n):
        total += i  # </script><script>hostile()</script>
    return total

name = %(hostile)r
named = type(plain)(plain.__code__.replace(co_name=name, co_qualname=name), globals())
end = time.monotonic() + 0.7
while time.monotonic() < end:
    named(3000)
"""


def record(trace, *command):
    subprocess.run([TRACKEXEC, "record", "-q", "--output", trace, "--", "/usr/bin/python3",
                    *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
                   timeout=DEADLINE_S)


def report(*words, **options):
    return subprocess.run([TRACKEXEC, "report", *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, **options)


# What the page shows: of each row of a table its cells.
ROWS = """[...document.querySelectorAll("%s tbody tr")].map((row) =>
    [...row.cells].map((cell) => cell.innerText.trim()))"""


class Recorded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="trackexec-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.trace = os.path.join(cls.folder, "trace")
        script = shutil.copy(PHASES, cls.folder)
        record(cls.trace, script, "3")
        # What is in the trace is shown.
        os.unlink(script)
        cls.page = os.path.join(cls.folder, "report.html")
        trackexec("report", cls.trace, "-o", cls.page)


@unittest.skipIf(NO_BROWSER, NO_BROWSER)
class Page(Recorded):
    maxDiff = None
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = cls.enterClassContext(Browser())

    def setUp(self):
        self.browser.requests.clear()
        self.browser.complaints.clear()
        self.browser.open(self.page)

    def tearDown(self):
        """Whatever was done: nothing left the page, and the browser has nothing to complain of."""
        self.assertEqual([], self.browser.complaints)
        self.assertEqual([f"file://{self.page}"], self.browser.requests)

    def total(self):
        """The selected time in all, as the flame graph says it."""
        return self.browser.text("#flame-hint")

    def test_shows_what_was_recorded(self):
        info = json.loads(trackexec("info", "--json", self.trace))
        self.assertEqual(self.browser.text("#title"), info["name"])
        self.assertIn(f"PID {info['pid']}", self.browser.text("#about"))
        self.assertIn("On CPU", self.browser.text("#tiles"))
        self.assertIn("work", self.browser.text("#lines-box"))
        self.assertIn("sleep", self.browser.text("#waits-box"))
        self.assertIn("time.sleep(0.15)", self.browser.text("#lines-box"))

    def test_sums_are_those_of_analyse(self):
        expected = {(line["file"], line["line"]): (line["self_ns"], line["visits"])
                    for line in json.loads(trackexec("analyse", "--json", "-l", 100000,
                                                     self.trace))["lines"]}
        shown = self.browser.run("""
            return readModel().sumPlaces((place) => place).map((r) =>
                [readModel().pathOf(r.place), readModel().data.placeLine[r.place], r.self, r.visits])
        """)
        sums = {}
        for path, line, self_ns, visits in shown:
            before = sums.get((path, line or None), (0, 0))
            sums[path, line or None] = (before[0] + self_ns, before[1] + visits)
        for key, (self_ns, visits) in expected.items():
            self.assertEqual(sums.get(key, (0, 0)), (self_ns, visits), key)
        self.assertEqual(sum(ns for ns, _ in expected.values()),
                         sum(sums[key][0] for key in expected))

    def test_what_lines_did_is_what_analyse_says(self):
        """Waits too short to be listed are in it."""
        answer = json.loads(trackexec("analyse", "--json", "-l", 100000, self.trace))
        if not answer["edges"]:
            self.skipTest("this machine does not tell when a thread is on a CPU")
        expected = {f"{line['file']}:{line['line']}":
                    [line["on_cpu_ns"], line["ready_ns"], line["wait_ns"]]
                    for line in answer["lines"] if line["self_ns"]}
        shown = self.browser.run("""
            const model = readModel(), data = model.data, sums = {};
            const classes = [CLASS.ON_CPU, CLASS.READY, CLASS.WAITING];
            for (let i = 0; i < data.nCells; i++) {
                const place = data.nodePlace[data.cellNode[i]];
                const key = `${model.pathOf(place)}:${data.placeLine[place] || "None"}`;
                const at = classes.indexOf(data.states[data.cellState[i]].class);
                if (at >= 0 && data.cellNode[i])
                    (sums[key] ||= [0, 0, 0])[at] += data.cellValue[i];
            }
            return sums;
        """)
        self.assertEqual(shown, expected)

    def test_sums_are_those_of_export(self):
        collapsed = trackexec("export", "--format", "collapsed", self.trace)
        shown = self.browser.run("return readModel().self.filter((ns) => ns >= 500).length")
        # The empty stack has no line there.
        empty = self.browser.run("return readModel().self[0] >= 500")
        self.assertEqual(len(collapsed.splitlines()), shown - int(empty))

    def test_a_brushed_interval_is_what_all_shows(self):
        whole, lines = self.total(), self.browser.run(ROWS % "#lines-box")
        self.assertTrue(self.browser.run("return document.getElementById('reset').disabled"))
        self.browser.drag("#lanes", 0.5, 0.6)
        start, end = (float(self.browser.run(f"return document.getElementById('{end}').value"))
                      for end in ("from", "to"))
        span = self.browser.run("return readModel().data.span_ns") / 1e9
        self.assertAlmostEqual((end - start) / span, 0.1, delta=0.01)
        self.assertAlmostEqual(start / span, 0.5, delta=0.01)
        self.assertNotEqual(self.total(), whole)
        self.assertNotEqual(self.browser.run(ROWS % "#lines-box"), lines)
        # One thread: what was observed is as long as the interval.
        self.assertAlmostEqual(self.browser.run("return readModel().observed") / 1e9, end - start,
                               delta=0.01)
        self.browser.click("#reset")
        self.assertEqual(self.total(), whole)
        self.assertEqual(self.browser.run(ROWS % "#lines-box"), lines)

    def test_an_interval_can_be_typed(self):
        self.browser.run("document.getElementById('from').value = '0.2';"
                         "document.getElementById('to').value = '50%'")
        self.browser.click("#to")
        self.browser.key("Enter")
        start, end = self.browser.run("return readModel().interval()")
        span = self.browser.run("return readModel().data.span_ns")
        self.assertAlmostEqual(start / 1e9, 0.2, delta=0.01)
        self.assertAlmostEqual(end / span, 0.5, delta=0.01)

    def test_the_timeline_is_moved_by_keys(self):
        self.browser.run("document.getElementById('lanes').focus()")
        self.browser.key("ArrowRight")
        first = self.browser.run("return readModel().interval()")
        self.browser.key("ArrowRight")
        second = self.browser.run("return readModel().interval()")
        self.browser.key("ArrowRight", SHIFT)
        third = self.browser.run("return readModel().interval()")
        self.assertGreater(second[0], first[0])
        self.assertEqual(third[0], second[0])
        self.assertGreater(third[1], second[1])
        self.assertIn("Selected: from", self.browser.text("#lanes-said"))
        self.browser.key("Escape")
        self.assertIn("All of the time", self.browser.text("#lanes-said"))

    def test_search_finds_and_narrows(self):
        self.browser.run("document.body.focus()")
        self.browser.key("/")
        self.browser.type("sleep_first")
        self.assertRegex(self.browser.text("#search-result"), r"^\d+\.\d %$")
        rows = self.browser.run(ROWS % "#lines-box")
        self.assertTrue(rows)
        for row in rows:
            self.assertIn("sleep_first", " ".join(row))
        self.browser.type("nowhere")
        self.assertEqual(self.browser.text("#search-result"), "no stack")
        self.assertIn("matches the search", self.browser.text("#lines-box"))
        self.browser.key("Escape")
        self.assertGreater(len(self.browser.run(ROWS % "#lines-box")), len(rows))

    def test_modes_split_the_time(self):
        def self_ns():
            return self.browser.run("return readModel().total[0]")

        both = self_ns()
        self.browser.click("#mode label:nth-child(2)")
        cpu = self_ns()
        self.browser.click("#mode label:nth-child(3)")
        waiting = self_ns()
        self.assertGreater(cpu, 0)
        self.assertGreater(waiting, 0)
        self.assertEqual(both, cpu + waiting)
        self.assertIn("sleep", self.browser.run(ROWS % "#lines-box")[0][-1])

    def test_the_flame_graph_zooms(self):
        # The second row: what is called by nobody. The third: main().
        self.browser.click("#flames", 0.1, 2.5 / self.browser.run(
            "return document.getElementById('flames').getBoundingClientRect().height / 20"))
        self.assertIn("main", self.browser.text("#crumbs"))
        self.assertIn("total", self.browser.text("#flame-said"))
        self.browser.key("ArrowDown")
        self.assertNotIn("main —", self.browser.text("#flame-said"))
        self.browser.key("Enter")
        self.assertEqual(self.browser.run("return document.querySelectorAll('.crumb').length"), 4)
        self.browser.key("s")
        self.browser.wait_for("document.getElementById('source').open")
        self.browser.key("Escape")
        self.browser.wait_for("!document.getElementById('source').open")
        self.browser.click("#flame-reset")
        self.assertTrue(self.browser.run("return document.getElementById('crumbs').hidden"))

    def test_a_hot_line_leads_to_its_source(self):
        self.browser.click("#lines-box .link")
        self.browser.wait_for("document.getElementById('source').open")
        self.assertEqual(self.browser.text("#source-title"), "phases.py")
        shown = self.browser.run("""return [...document.querySelectorAll(".source-row code")]
            .map((code) => code.textContent)""")
        self.assertEqual("\n".join(shown), PHASES.read_text())
        wanted = self.browser.text(".source-row.is-wanted")
        self.assertRegex(wanted, r"sleep|total \+=")
        self.assertRegex(wanted, r"\d (ms|s)")
        hot = self.browser.run("""return [...document.querySelectorAll(".source-row .is-hot")]
            .map((e) => e.style.getPropertyValue("--heat")).includes("1.000")""")
        self.assertTrue(hot)

    def test_tables_are_sorted_by_their_heads(self):
        self.browser.click("#lines-box button[data-key=visits]")
        counts = self.browser.run("""return [...document.querySelectorAll("#lines-box td.c-visits")]
            .map((cell) => Number(cell.textContent.replaceAll(",", "")))""")
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.browser.key("Enter")
        self.assertEqual(self.browser.run("""return document.querySelector(
            "#lines-box th[aria-sort=ascending]").innerText.trim().slice(0, 4)"""), "Seen")

    def test_waits_are_listed_one_by_one(self):
        self.browser.click("#waits-by label:nth-child(2)")
        rows = self.browser.run(ROWS % "#waits-box")
        slept = [row for row in rows if "time.sleep(0.15)" in row[-1] and row[3] == "sleep 150 ms"]
        # On a busy machine the recorder may miss the begin of one.
        self.assertIn(len(slept), (1, 2, 3), rows)
        longest = self.browser.run("return Math.max(...readModel().data.waits.map((w) => w.length))")
        self.browser.click("#waits-box .link")
        start, end = self.browser.run("return readModel().interval()")
        # Whole slices.
        self.assertGreaterEqual(end - start, longest)
        self.assertLess(end - start, longest + 0.02e9)

    def test_the_tree_is_walked_by_keys(self):
        self.browser.run("document.querySelector('#tree-box [tabindex=\"0\"]').focus()")
        focused = "return document.activeElement.getAttribute('aria-label')"
        self.browser.key("ArrowDown")
        self.assertIn("<module>", self.browser.run(focused))
        self.browser.key("ArrowRight")
        self.browser.key("ArrowRight")
        self.assertIn("main", self.browser.run(focused))
        self.browser.key("ArrowLeft")
        self.browser.key("ArrowLeft")
        self.assertEqual("false", self.browser.run(
            "return document.activeElement.getAttribute('aria-expanded')"))
        self.browser.click("#tree-hot")
        self.assertGreater(self.browser.run(
            "return document.activeElement.getAttribute('aria-level')"), "2")

    def test_the_theme_is_switched(self):
        colour = "return getComputedStyle(document.body).backgroundColor"
        light = self.browser.run(colour)
        self.browser.click("#theme")
        self.assertEqual(self.browser.text("#theme"), "Theme: light")
        self.assertEqual(self.browser.run(colour), light)
        self.browser.click("#theme")
        self.assertNotEqual(self.browser.run(colour), light)
        self.browser.click("#theme")
        self.assertEqual(self.browser.text("#theme"), "Theme: auto")

    def test_it_prints(self):
        self.assertTrue(self.browser.print().startswith(b"%PDF"))
        # And is as it was.
        self.assertFalse(self.browser.run("return 'printing' in document.documentElement.dataset"))

    def test_everything_that_is_used_has_a_name(self):
        nameless = self.browser.run("""return [...document.querySelectorAll(
            "button, input, select, canvas, [role=treeitem]")].filter((e) => !(e.innerText ||
            e.getAttribute("aria-label") || e.title || e.labels?.length)).map((e) => e.outerHTML)""")
        self.assertEqual(nameless, [])

    def test_no_scripts_but_its_own(self):
        self.browser.run("""
            const script = document.createElement("script");
            script.textContent = "window.injected = true";
            document.body.append(script);
            const image = new Image();
            image.src = "https://example.com/x.png";
            document.body.append(image);
            return 0""")
        self.browser.frame()
        self.assertFalse(self.browser.run("return Boolean(window.injected)"))
        self.browser.requests[:] = [url for url in self.browser.requests
                                    if not url.startswith("https://example.com/")]
        blocked = [text for text in self.browser.complaints if "Content Security Policy" in text]
        self.assertEqual(len(blocked), 2, self.browser.complaints)
        self.browser.complaints.clear()


@unittest.skipIf(NO_BROWSER, NO_BROWSER)
class OtherPages(Recorded):
    def open(self, page, **options):
        browser = self.enterContext(Browser(**options))
        browser.open(page)
        self.assertEqual(browser.complaints, [])
        self.assertEqual(browser.requests, [f"file://{page}"])
        return browser

    def test_fits_a_phone_in_the_dark(self):
        browser = self.open(self.page, width=390, height=844, dark=True)
        self.assertEqual(browser.run("return document.documentElement.scrollWidth"), 390)
        self.assertEqual(browser.run("return getComputedStyle(document.documentElement).colorScheme"),
                         "dark")
        self.assertTrue(browser.screenshot().startswith(b"\x89PNG"))

    def test_names_and_sources_stay_text(self):
        folder = os.path.join(self.folder, "<img src=x onerror=hostile()>", "a<")
        os.makedirs(folder)
        script = pathlib.Path(folder, "script><script>hostile()<!--.py")
        script.write_bytes((HOSTILE_PROGRAM % {"hostile": HOSTILE.replace("\u2028", "\\u2028")})
                           .encode("latin-1"))
        trace, page = (os.path.join(self.folder, name) for name in ("hostile", "hostile.html"))
        record(trace, script)
        with sqlite3.connect(os.path.join(trace, "trace.db")) as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'name'", (HOSTILE,))
            db.execute("UPDATE code SET qualname = ? WHERE qualname = 'plain'", (b"bytes \xff\xfe",))
        db.close()
        trackexec("report", trace, "-o", page)
        text = pathlib.Path(page).read_text()
        self.assertNotIn("hostile", text)
        browser = self.open(page)
        self.assertIn("</script><!--<img src=x onerror=hostile()>", browser.text("#title"))
        self.assertIn("onerror=hostile()", browser.text("#lines-box"))
        self.assertEqual(browser.run("return document.images.length"), 0)
        self.assertEqual(browser.run("return document.scripts.length"), 1)
        browser.click("#lines-box .link")
        browser.wait_for("document.getElementById('source').open")
        self.assertIn("# </script><script>hostile()</script>", browser.text("#source-text"))

    def test_a_part_says_that_it_is_one(self):
        page = os.path.join(self.folder, "part.html")
        trackexec("report", self.trace, "-o", page, "--since", "20%", "--until", "40%")
        browser = self.open(page)
        self.assertIn("a part of the trace", browser.text("#about"))
        info = json.loads(trackexec("analyse", "--json", self.trace))
        self.assertAlmostEqual(browser.run("return readModel().data.span_ns") / 1e9,
                               info["duration_s"] / 5, delta=0.01)

    def test_without_edges_nothing_is_made_up(self):
        trace, page = (os.path.join(self.folder, name) for name in ("plain", "plain.html"))
        shutil.copytree(self.trace, trace)
        with sqlite3.connect(os.path.join(trace, "trace.db")) as db:
            db.execute("UPDATE meta SET value = 'none' WHERE key = 'edges'")
        db.close()
        trackexec("report", trace, "-o", page)
        browser = self.open(page)
        self.assertIn("can't be told apart", browser.text("#notices"))
        self.assertIn("Not known", browser.text("#waits-box"))
        self.assertNotIn("On CPU", browser.text("#tiles"))

    def test_a_trace_without_events_says_so(self):
        trace, page = (os.path.join(self.folder, name) for name in ("empty", "empty.html"))
        shutil.copytree(self.trace, trace)
        with sqlite3.connect(os.path.join(trace, "trace.db")) as db:
            db.executescript("DELETE FROM blocks; DELETE FROM lines; DELETE FROM waits;"
                             "DELETE FROM threads; DELETE FROM gaps")
        db.close()
        trackexec("report", trace, "-o", page)
        browser = self.open(page)
        self.assertIn("Nothing was recorded in this interval", browser.text("#notices"))
        self.assertIn("No time of followed code", browser.text("#lines-box"))

    def test_what_is_damaged_is_told(self):
        trace, page = (os.path.join(self.folder, name) for name in ("damaged", "damaged.html"))
        shutil.copytree(self.trace, trace)
        with sqlite3.connect(os.path.join(trace, "trace.db")) as db:
            db.execute("UPDATE blocks SET data = x'00' WHERE id = (SELECT min(id) FROM blocks)")
        db.close()
        done = report(trace, "-o", page)
        self.assertEqual(done.returncode, 3)
        self.assertIn("the report has what could be read; 1 blocks", done.stderr)
        browser = self.open(page)
        self.assertIn("This trace is damaged", browser.text("#notices"))

    def test_a_cut_file_says_so(self):
        page = os.path.join(self.folder, "cut.html")
        text = pathlib.Path(self.page).read_text()
        at = text.index('id="data">') + 400
        pathlib.Path(page).write_text(text[:at] + text[text.index("</script>", at):])
        with Browser() as browser:
            browser.send("Page.navigate", url=f"file://{page}")
            browser.wait_for("document.getElementById('notices')?.innerText")
            self.assertIn("may be incomplete", browser.text("#notices"))


class Output(Recorded):
    def assert_refused(self, done, status, *parts):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_standard_output_has_the_same_page(self):
        written = pathlib.Path(self.page).read_text()
        self.assertEqual(report(self.trace).stdout, written)
        self.assertEqual(report(self.trace, "-o", "-").stdout, written)

    def test_a_terminal_gets_no_page(self):
        main, side = pty.openpty()
        with subprocess.Popen([TRACKEXEC, "report", self.trace], stdout=side,
                              stderr=subprocess.PIPE, text=True) as process:
            self.assertIn("give -o FILE", process.communicate(timeout=DEADLINE_S)[1])
        os.close(side)
        os.close(main)
        self.assertEqual(process.returncode, 2)

    def test_what_cannot_be_written_leaves_nothing(self):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.assert_refused(report(self.trace, "-o", f"{folder}/no/report.html"), 1,
                            "No such file or directory")
        self.assert_refused(report(self.trace, "-o", folder), 1, "Is a directory")
        self.assert_refused(report(self.trace, "-o", "/dev/full"), 1, "No space left on device")
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([TRACKEXEC, "report", self.trace], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left on device", done.stderr)
        self.assertEqual(os.listdir(folder), [])

    def test_a_limit_in_the_middle_keeps_the_old_report(self):
        folder = tempfile.mkdtemp(dir=self.folder)
        page = os.path.join(folder, "report.html")
        pathlib.Path(page).write_text("the old one")
        done = subprocess.run(["/bin/sh", "-c", 'trap "" XFSZ; ulimit -f 40; exec "$@"', "sh",
                               TRACKEXEC, "report", self.trace, "-o", page],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assertEqual(pathlib.Path(page).read_text(), "the old one")
        self.assertEqual(os.listdir(folder), ["report.html"])

    def test_a_report_is_replaced_and_keeps_its_mode(self):
        page = os.path.join(self.folder, "mode.html")
        pathlib.Path(page).write_text("the old one")
        os.chmod(page, 0o640)
        trackexec("report", self.trace, "-o", page)
        self.assertEqual(stat.S_IMODE(os.stat(page).st_mode), 0o640)
        self.assertEqual(pathlib.Path(page).read_text(), pathlib.Path(self.page).read_text())

    def test_a_closed_pipe_ends_quietly(self):
        process = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{TRACKEXEC} report {self.trace} | head -c 10"],
            capture_output=True, text=True, check=False)
        self.assertEqual((process.stdout, process.stderr), ("<!doctype ", ""))
        self.assertEqual(process.returncode, 0)

    def test_traces_that_are_none(self):
        page = os.path.join(self.folder, "none.html")
        newer = os.path.join(self.folder, "newer")
        shutil.copytree(self.trace, newer)
        with sqlite3.connect(os.path.join(newer, "trace.db")) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        foreign = os.path.join(self.folder, "foreign.db")
        pathlib.Path(foreign).write_text("no trace" * 1000)
        for trace, part in ((newer, "newer"), (foreign, "not"), ("/nowhere", "No such file")):
            self.assert_refused(report(trace, "-o", page), 3, part)
        self.assertFalse(os.path.exists(page))

    def test_wrong_options(self):
        page = os.path.join(self.folder, "none.html")
        self.assert_refused(report(self.trace, "-o", page, "--since", "nonsense"), 2, "nonsense")
        self.assert_refused(report(self.trace, "-o", page, "--thread", "77"), 2, "77")
        self.assert_refused(report(self.trace, "-o", page, "--since", "2099-01-01"), 2,
                            "nothing of that time")
        self.assert_refused(report("-o", page), 2, "which trace?")
        self.assertFalse(os.path.exists(page))


if __name__ == "__main__":
    unittest.main()
