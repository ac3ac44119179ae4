# SPDX-License-Identifier: BSD-3-Clause
"""A client of the sample daemon (tests/daemon, started with a socket), and what it measures."""

import selectors
import socket
import statistics
import time

KINDS = ("node", "switch", "unknown")


class LoadClient:
    """Connections to the daemon's socket; answers are counted and timed."""

    def __init__(self, path, n_connections=1):
        self.selector = selectors.DefaultSelector()
        self.n_sent = 0
        self.latencies_s = []
        self.asked = {}
        for _ in range(n_connections):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            self.selector.register(sock, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        for sock in self.connections():
            sock.close()
        self.selector.close()

    def connections(self):
        return [key.fileobj for key in self.selector.get_map().values()]

    def ask(self, sock):
        kind = KINDS[self.n_sent % len(KINDS)]
        self.n_sent += 1
        self.asked[sock] = time.perf_counter()
        sock.sendall(kind.encode() + b"\n")

    def answers(self, timeout_s):
        """Connections whose answer is complete; each has one request at a time."""
        for key, _ in self.selector.select(timeout_s):
            data = key.fileobj.recv(1 << 16)
            if not data:
                raise ConnectionError("the daemon has closed the connection")
            if data.endswith(b"\n"):
                self.latencies_s.append(time.perf_counter() - self.asked.pop(key.fileobj))
                yield key.fileobj

    def closed_loop(self, seconds):
        """Each connection asks as soon as it has its answer; (requests/s, 99th percentile in s)."""
        self.latencies_s = []
        start = time.perf_counter()
        for sock in self.connections():
            self.ask(sock)
        while time.perf_counter() < start + seconds:
            for sock in self.answers(1):
                self.ask(sock)
        while self.asked:
            for _ in self.answers(1):
                pass
        took = time.perf_counter() - start
        return len(self.latencies_s) / took, statistics.quantiles(self.latencies_s, n=100)[98]

    def at_rate(self, per_s, seconds):
        """So many requests a second, evenly; how many of them were answered in time."""
        self.latencies_s = []
        start = time.perf_counter()
        sock, *_ = self.connections()
        for number in range(int(per_s * seconds)):
            due = start + number / per_s
            while self.asked:
                list(self.answers(1))
            time.sleep(max(0, due - time.perf_counter()))
            self.ask(sock)
        while self.asked:
            list(self.answers(1))
        return len(self.latencies_s) / (time.perf_counter() - start)
