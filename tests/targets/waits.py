# SPDX-License-Identifier: BSD-3-Clause
"""Waits of known kinds and lengths, each on a line of its own, timed by the program itself.

    waits.py [PROC_FD [NAMES]]

Says "ready". For each line on standard input, "one" (after the other) or "threads" (all at once),
maybe with names and commas between them, it waits for everything in WAITS or for those, and prints
one line of JSON: for each wait its name, thread, and times. PROC_FD is a descriptor of /proc, which
a chroot may be without; NAMES are those that may come. What the line `# wait:NAME` waits for, and
what a recorder should say of it, is in tests/e2e/test_waits.py.
"""

import contextlib
import fcntl
import json
import os
import queue
import select
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib

S = 0.04
MS = 40
PATIENCE_S = 30
# Below these the kernel chooses ports by itself: one that is looked up is a service's.
PORTS = range(20000, 30000)


class Timed:
    """Times one wait: the thread's own CPU time and the time that it lacked a CPU are told too."""

    def __init__(self, name, proc_fd):
        self.note = {"name": name, "least_ms": 0}
        self.proc_fd = proc_fd
        self.stat = None

    def delay_ns(self):
        if self.stat is None:
            return None
        return int(os.pread(self.stat, 100, 0).split()[1])

    def __enter__(self):
        """The times lie in each other, so that a preemption here is in both."""
        with contextlib.suppress(OSError, TypeError):
            self.stat = os.open("thread-self/schedstat", os.O_RDONLY, dir_fd=self.proc_fd)
        self.delay = self.delay_ns()
        self.before = time.monotonic_ns()
        self.cpu = time.thread_time_ns()
        return self

    def __exit__(self, *error):
        cpu = time.thread_time_ns() - self.cpu
        after = time.monotonic_ns()
        delay = self.delay_ns()
        if self.stat is not None:
            os.close(self.stat)
            delay -= self.delay
        self.note.update(before_ns=self.before, after_ns=after, cpu_ns=cpu, delay_ns=delay,
                         python_id=threading.get_ident(),
                         native_id=threading.get_native_id())

    def says(self, **more):
        self.note.update(more)


class Later:
    """Another process that does something some time after it was asked to."""

    def __init__(self, action, first=None):
        self.asked, self.answered = os.pipe(), os.pipe()
        parent = os.getpid()
        if os.fork() == 0:
            try:
                self._serve(parent, action, first)
            finally:
                os._exit(0)
        os.close(self.asked[0])
        os.close(self.answered[1])

    def _serve(self, parent, action, first):
        os.close(1)
        while os.getppid() == parent:
            if not select.select([self.asked[0]], [], [], 1)[0]:
                continue
            os.read(self.asked[0], 1)
            if first:
                first()
            os.write(self.answered[1], b"x")
            time.sleep(S)
            action()

    def ask(self):
        os.write(self.asked[1], b"x")
        os.read(self.answered[0], 1)


def listener(backlog=5):
    for port in PORTS:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen(backlog)
            return sock
        except OSError:
            sock.close()
    raise OSError("no free port")


# ---- for a length of time


def wait_sleep(timed):
    with timed:
        time.sleep(S)  # wait:sleep
    timed.says(least_ms=MS)


def wait_select(timed):
    r, w = os.pipe()
    with timed:
        select.select([r], [], [], S)  # wait:select
    timed.says(least_ms=MS)


def wait_select_two(timed):
    r, w = os.pipe()
    with timed:
        select.select([r, sys.stdin], [], [], S)  # wait:select_two
    timed.says(least_ms=MS)


def wait_select_none(timed):
    with timed:
        select.select([], [], [], S)  # wait:select_none
    timed.says(least_ms=MS)


def wait_poll(timed):
    r, w = os.pipe()
    poll = select.poll()
    poll.register(r, select.POLLIN)
    with timed:
        poll.poll(MS)  # wait:poll
    timed.says(least_ms=MS)


def wait_epoll(timed):
    r, w = os.pipe()
    with select.epoll() as epoll:
        epoll.register(r, select.EPOLLIN)
        with timed:
            epoll.poll(S)  # wait:epoll
    timed.says(least_ms=MS)


def wait_connect(timed):
    """Nobody accepts, and the backlog is full."""
    server = listener(0)
    full = [socket.socket() for _ in range(3)]
    for sock in full:
        sock.setblocking(False)
        sock.connect_ex(server.getsockname())
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, (0).to_bytes(8, sys.byteorder) +
                      (1000 * MS).to_bytes(8, sys.byteorder))
    with timed, contextlib.suppress(OSError):
        client.connect(server.getsockname())  # wait:connect
    timed.says(least_ms=MS, port=server.getsockname()[1])


def wait_connect_timeout(timed):
    server = listener(0)
    full = [socket.socket() for _ in range(3)]
    for sock in full:
        sock.setblocking(False)
        sock.connect_ex(server.getsockname())
    client = socket.socket()
    client.settimeout(S)
    with timed, contextlib.suppress(OSError):
        client.connect(server.getsockname())  # wait:connect_timeout
    timed.says(least_ms=MS, port=server.getsockname()[1])


def wait_queue_timeout(timed):
    things = queue.Queue()
    with timed, contextlib.suppress(queue.Empty):
        things.get(timeout=S)  # wait:queue_timeout
    timed.says(least_ms=MS)


def wait_lock_timeout(timed):
    lock = threading.Lock()
    lock.acquire()
    with timed:
        lock.acquire(timeout=S)  # wait:lock_timeout
    timed.says(least_ms=MS)


def wait_event_timeout(timed):
    event = threading.Event()
    with timed:
        event.wait(S)  # wait:event_timeout
    timed.says(least_ms=MS)


# ---- for another process


def ready_read_pipe():
    wait_read_pipe.ends = os.pipe()
    wait_read_pipe.later = Later(lambda: os.write(wait_read_pipe.ends[1], b"x"))


def wait_read_pipe(timed):
    wait_read_pipe.later.ask()
    with timed:
        os.read(wait_read_pipe.ends[0], 1)  # wait:read_pipe


def ready_recv_unix():
    wait_recv_unix.ends = socket.socketpair()
    wait_recv_unix.later = Later(lambda: wait_recv_unix.ends[1].send(b"x"))


def wait_recv_unix(timed):
    wait_recv_unix.later.ask()
    with timed:
        wait_recv_unix.ends[0].recv(1)  # wait:recv_unix


def ready_recv_tcp():
    server = listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    wait_recv_tcp.ends = server, client, accepted
    wait_recv_tcp.later = Later(lambda: accepted.send(b"x"))


def wait_recv_tcp(timed):
    server, client, _ = wait_recv_tcp.ends
    wait_recv_tcp.later.ask()
    with timed:
        client.recv(1)  # wait:recv_tcp
    timed.says(port=server.getsockname()[1])


def ready_accept():
    held = []
    wait_accept.server = listener()
    wait_accept.later = Later(lambda: held.append(
        socket.create_connection(wait_accept.server.getsockname())))


def wait_accept(timed):
    wait_accept.later.ask()
    with timed:
        wait_accept.server.accept()  # wait:accept
    timed.says(port=wait_accept.server.getsockname()[1])


def ready_flock():
    path = wait_flock.path = tempfile.mkstemp(prefix="trackexec-lock-")[1]
    held = []

    def hold():
        held.append(open(path, "rb+"))
        fcntl.flock(held[-1], fcntl.LOCK_EX)
    wait_flock.later = Later(lambda: fcntl.flock(held[-1], fcntl.LOCK_UN), hold)


def wait_flock(timed):
    with open(wait_flock.path, "rb+") as file:
        wait_flock.later.ask()
        with timed:
            fcntl.flock(file, fcntl.LOCK_EX)  # wait:flock
    timed.says(path=wait_flock.path)


def wait_child(timed):
    child = subprocess.Popen([sys.executable, "-S", "-E", "-c", f"import time; time.sleep({S})"])
    with timed:
        child.wait()  # wait:child


def wait_fsync(timed):
    with tempfile.NamedTemporaryFile(prefix="trackexec-sync-") as file:
        file.write(bytes(1 << 20))
        file.flush()
        with timed:
            os.fsync(file.fileno())  # wait:fsync
        timed.says(path=file.name)


def ready_dns():
    """What it imports: while code comes and goes, not everything can be proven."""
    "example".encode("idna")


def wait_dns(timed):
    with timed, contextlib.suppress(OSError):
        socket.getaddrinfo("nothing.example.", 80)  # wait:dns


# ---- for another thread


def after_a_while(action):
    def run():
        time.sleep(S)
        action()
    threading.Thread(target=run, daemon=True).start()


def wait_lock(timed):
    lock = threading.Lock()
    lock.acquire()
    after_a_while(lock.release)
    with timed:
        lock.acquire()  # wait:lock


def wait_condition(timed):
    condition = threading.Condition()

    def notify():
        with condition:
            condition.notify()
    with condition:
        after_a_while(notify)
        with timed:
            condition.wait()  # wait:condition


def wait_event(timed):
    event = threading.Event()
    after_a_while(event.set)
    with timed:
        event.wait()  # wait:event


def wait_queue(timed):
    things = queue.Queue()
    after_a_while(lambda: things.put(1))
    with timed:
        things.get()  # wait:queue


def wait_join(timed):
    thread = threading.Thread(target=time.sleep, args=(S,))
    thread.start()
    with timed:
        thread.join()  # wait:join


def wait_short_sleep(timed):
    with timed:
        time.sleep(0.003)  # wait:short_sleep
    timed.says(least_ms=3)


def wait_c_code(timed):
    """No wait at all: native code that has let go of the GIL."""
    data = bytes(1 << 22)
    end = time.monotonic() + S
    with timed:
        while time.monotonic() < end: zlib.crc32(data)  # wait:c_code


def wait_selectors(timed):
    with selectors.DefaultSelector() as selector:
        for _ in range(3):
            selector.register(os.pipe()[0], selectors.EVENT_READ)
        with timed:
            selector.select(S)  # wait:selectors
    timed.says(least_ms=MS)


WAITS = {name[len("wait_"):]: function for name, function in list(globals().items())
         if name.startswith("wait_")}


def run_one(name, proc_fd, notes):
    timed = Timed(name, proc_fd)
    WAITS[name](timed)
    notes.append(timed.note)


def run_threads(names, proc_fd, notes):
    """New threads: the recorder has some time to find them. They don't fight for the GIL at once,
    and yet all wait at the same time."""
    def run(name, delay):
        time.sleep(delay)
        run_one(name, proc_fd, notes)
    threads = [threading.Thread(target=run, args=(name, 3 * S + i / 1000))
               for i, name in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)


def run_all(mode, names, proc_fd):
    notes = []
    if mode == "threads":
        run_threads(names, proc_fd, notes)
        return notes
    for name in names:
        run_one(name, proc_fd, notes)
    return notes


def main(proc_fd=-1, names=",".join(WAITS)):
    for name in names.split(","):
        get_ready = globals().get("ready_" + name)
        if get_ready:
            get_ready()
    print("ready", flush=True)
    for line in sys.stdin:
        mode, *words = line.split()
        wanted = (words[0] if words else names).split(",")
        print(json.dumps(run_all(mode, wanted, int(proc_fd))), flush=True)
    with contextlib.suppress(AttributeError):
        os.unlink(wait_flock.path)


if __name__ == "__main__":
    main(*sys.argv[1:])
