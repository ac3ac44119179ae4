# SPDX-License-Identifier: BSD-3-Clause
"""An event loop around select.poll(): listeners on file descriptors, and timers."""

import heapq
import itertools
import select
import time


class EventLoop:
    def __init__(self):
        self.poller = select.poll()
        self.listeners = {}
        self.timers = []
        self.counter = itertools.count()

    def register(self, listener):
        """A listener has fileno() and handle_event(), which returns False when it is done."""
        self.listeners[listener.fileno()] = listener
        self.poller.register(listener.fileno(), select.POLLIN)

    def unregister(self, listener):
        self.poller.unregister(listener.fileno())
        del self.listeners[listener.fileno()]

    def plan(self, delay, callback):
        heapq.heappush(self.timers, (time.monotonic() + delay, next(self.counter), callback))

    def plan_each(self, interval, callback):
        def again():
            callback()
            self.plan(interval, again)
        self.plan(interval, again)

    def next_timeout_ms(self):
        if not self.timers:
            return None
        return max(0, (self.timers[0][0] - time.monotonic()) * 1000)

    def run_timers(self):
        while self.timers and self.timers[0][0] <= time.monotonic():
            callback = heapq.heappop(self.timers)[2]
            callback()

    def loop(self):
        """Until no listener is left."""
        while self.listeners:
            events = self.poller.poll(self.next_timeout_ms())
            for descriptor, _ in events:
                listener = self.listeners[descriptor]
                if listener.handle_event() is False:
                    self.unregister(listener)
            self.run_timers()
