# SPDX-License-Identifier: BSD-3-Clause
"""The parent: forks the sub-processes, links them by socket pairs, and ends them."""

import contextlib
import os
import signal
import socket
import sys

from walt.blocking import Blocking
from walt.db import Database
from walt.front import Front
from walt.hub import Hub
from walt.loop import EventLoop
from walt.main import Main
from walt.rpc import Connector
from walt.title import end_with_parent, set_title

NAME = "walt-server-daemon"


def serve(sock, service):
    """A sub-process that only answers."""
    loop = EventLoop()
    loop.register(Connector(sock, service))
    loop.loop()


def server_db(links, _):
    serve(links["db"][1], Database())


def server_blocking(links, _):
    serve(links["blocking"][1], Blocking())


def server_hub(links, path):
    loop = EventLoop()
    main = Connector(links["hub"][1])
    loop.register(main)
    hub = main.service = Hub(loop, main)
    if path:
        loop.register(Front(path, loop, hub))
    else:
        hub.play_clients()
    loop.loop()


def server_main(links, path):
    loop = EventLoop()
    db, blocking, hub = (Connector(links[name][0]) for name in ("db", "blocking", "hub"))
    hub.service = Main(loop, db, blocking)
    if not path:
        hub.service.plan_timers()
    for connector in (db, blocking, hub):
        loop.register(connector)
    loop.loop()


SUB_PROCESSES = {"server-main": server_main, "server-db": server_db,
                 "server-blocking": server_blocking, "server-hub": server_hub}


def close_others(links, name):
    """Keep a sub-process's own ends only, so that each sees when its peer has ended."""
    for link, (near, far) in links.items():
        if name != "server-main":
            near.close()
        if name != f"server-{link}":
            far.close()


def start(name, main, links, path):
    pid = os.fork()
    if pid:
        return pid
    try:
        end_with_parent(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        set_title(f"{NAME}:{name}")
        close_others(links, name)
        main(links, path)
    except (BrokenPipeError, ConnectionResetError):
        pass  # a peer has ended, so do we
    finally:
        os._exit(0)


def run(path=None):
    set_title(NAME)
    links = {name: socket.socketpair() for name in ("db", "blocking", "hub")}
    children = [start(name, main, links, path) for name, main in SUB_PROCESSES.items()]
    close_others(links, "parent")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    print("ready", flush=True)
    try:
        os.wait()  # none of them ends on its own
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        for child in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
