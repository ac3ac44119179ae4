# SPDX-License-Identifier: BSD-3-Clause
"""A headless Chromium, told what to do through the pipe of its DevTools protocol."""

import base64
import fcntl
import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time

DEADLINE_S = 60
KEYS = {"Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
        "ArrowDown": 40, "Home": 36, "End": 35, "Tab": 9}
SHIFT = 8


def find_chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page; all that it asked the network for, and all that it complained of, is kept."""

    def __init__(self, width=1400, height=1000, dark=False):
        self.profile = tempfile.TemporaryDirectory(prefix="trackexec-chromium-",
                                                   ignore_cleanup_errors=True)
        self.last_id, self.buffer, self.session = 0, b"", None
        self.requests, self.complaints, self.events = [], [], []
        self.start()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def start(self):
        """Chromium reads requests from descriptor 3 and answers on descriptor 4."""
        request_end, self.to = os.pipe()
        self.come, answer_end = os.pipe()
        # Out of the way of 3 and 4 before they are put there.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in (request_end, answer_end)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu",
             "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
             "--disable-dev-shm-usage", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=place, close_fds=False)
        for fd in (request_end, answer_end, *ends):
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        try:
            self.session = None
            self.send("Browser.close")
            self.process.wait(DEADLINE_S)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.come)
        self.profile.cleanup()

    # ---- the protocol

    def receive(self, deadline):
        with selectors.DefaultSelector() as selector:
            selector.register(self.come, selectors.EVENT_READ)
            while b"\0" not in self.buffer:
                if not selector.select(max(0, deadline - time.monotonic())):
                    raise TimeoutError("the browser said nothing")
                data = os.read(self.come, 1 << 20)
                if not data:
                    raise EOFError("the browser has ended")
                self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def note(self, event):
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event.get("method") == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] != "log":
            self.complaints.append(json.dumps(params["args"]))

    def send(self, method, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + DEADLINE_S
        while True:
            answer = self.receive(deadline)
            if answer.get("id") != self.last_id:
                self.note(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return answer["result"]

    # ---- what tests do

    def run(self, script):
        """What an expression, or the body of a function with return, is in the page."""
        if "return" in script:
            script = f"(() => {{ {script} }})()"
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, script, deadline_s=DEADLINE_S):
        end = time.monotonic() + deadline_s
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}")
            time.sleep(0.02)

    def frame(self):
        """What was asked to be drawn is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def open(self, path):
        """Returns how long it took until the page was there, in seconds."""
        start = time.monotonic()
        self.send("Page.navigate", url=f"file://{path}")
        self.wait_for("'ready' in (document.documentElement?.dataset || {})")
        took_s = time.monotonic() - start
        self.frame()
        return took_s

    def box(self, selector):
        """Its place in the window, having scrolled there: left, top, width, height."""
        return self.run(f"const e = document.querySelector({json.dumps(selector)});"
                        "e.scrollIntoView({block: 'center', behavior: 'instant'});"
                        "const b = e.getBoundingClientRect();"
                        "return [b.left, b.top, b.width, b.height]")

    def mouse(self, kind, x, y, modifiers=0, clicks=1):
        button = "left" if kind != "mouseMoved" or self.is_down else "none"
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button,
                  buttons=int(kind == "mousePressed" or self.is_down), clickCount=clicks,
                  modifiers=modifiers)

    is_down = False

    def click(self, selector, x=0.5, y=0.5, clicks=1):
        left, top, width, height = self.box(selector)
        self.click_at(left + x * width, top + y * height, clicks)

    def click_at(self, x, y, clicks=1):
        for n in range(1, clicks + 1):
            self.mouse("mousePressed", x, y, clicks=n)
            self.mouse("mouseReleased", x, y, clicks=n)
        self.frame()

    def drag(self, selector, start, end, y=0.5):
        left, top, width, height = self.box(selector)
        y = top + y * height
        self.mouse("mousePressed", left + start * width, y)
        self.is_down = True
        for step in range(1, 6):
            self.mouse("mouseMoved", left + (start + (end - start) * step / 5) * width, y)
        self.is_down = False
        self.mouse("mouseReleased", left + end * width, y)
        self.frame()

    def key(self, key, modifiers=0):
        code = KEYS.get(key, ord(key[0].upper()))
        params = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else None)
        if text:
            params["text"] = text
        self.send("Input.dispatchKeyEvent", type="keyDown", **params)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.frame()

    def type(self, text):
        self.send("Input.insertText", text=text)
        self.frame()

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self):
        return base64.b64decode(self.send("Page.captureScreenshot")["data"])

    def print(self):
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True,
                                          preferCSSPageSize=True)["data"])
