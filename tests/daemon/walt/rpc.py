# SPDX-License-Identifier: BSD-3-Clause
"""Remote calls over a socket: one line of JSON per request and per reply."""

import itertools
import json


class Connector:
    """One end of a link: calls the other side, and serves what the other side calls."""

    def __init__(self, sock, service=None):
        self.sock = sock
        self.service = service
        self.buffer = b""
        self.pending = {}
        self.ids = itertools.count()

    def fileno(self):
        return self.sock.fileno()

    def call(self, name, *args, then=None):
        """Ask for a call; `then` gets its result."""
        number = next(self.ids)
        self.pending[number] = then
        self.send({"id": number, "call": name, "args": args})

    def send(self, message):
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def handle_event(self):
        data = self.sock.recv(1 << 16)
        if not data:
            return False
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in lines:
            self.handle_message(json.loads(line))
        return True

    def handle_message(self, message):
        if "call" in message:
            self.serve(message["id"], message["call"], message["args"])
        else:
            then = self.pending.pop(message["id"])
            if then:
                then(message["result"])

    def serve(self, number, name, args):
        def reply(result):
            self.send({"id": number, "result": result})

        method = getattr(self.service, name)
        if name in getattr(self.service, "ANSWERED_LATER", ()):
            method(*args, then=reply)
        else:
            reply(method(*args))
