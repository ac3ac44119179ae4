# SPDX-License-Identifier: BSD-3-Clause
"""Where clients from outside ask: a Unix socket, a line per request and per reply."""

import contextlib
import os
import socket


class Front:
    def __init__(self, path, loop, hub):
        self.loop = loop
        self.hub = hub
        self.sock = socket.socket(socket.AF_UNIX)
        # Whoever sees it by its name can connect.
        self.sock.bind(f"{path}.new")
        self.sock.listen()
        os.rename(f"{path}.new", path)

    def fileno(self):
        return self.sock.fileno()

    def handle_event(self):
        self.loop.register(Client(self.sock.accept()[0], self.hub))
        return True


class Client:
    def __init__(self, sock, hub):
        self.sock = sock
        self.hub = hub
        self.buffer = b""

    def fileno(self):
        return self.sock.fileno()

    def handle_event(self):
        with contextlib.suppress(ConnectionResetError):
            data = self.sock.recv(1 << 16)
            if data:
                self.take(data)
                return True
        return False

    def take(self, data):
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in lines:
            self.hub.serve(line.decode(), self.reply)

    def reply(self, table):
        # Its client may have gone meanwhile.
        with contextlib.suppress(OSError):
            self.sock.sendall(table.replace("\n", "|").encode() + b"\n")
