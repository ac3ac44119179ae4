# SPDX-License-Identifier: BSD-3-Clause
"""The title under which a process is listed."""

import ctypes

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
LIBC = ctypes.CDLL(None)


def argv_range():
    """Where this process's command line lies in its own memory."""
    with open("/proc/self/stat") as file:
        # The second field, the name, may hold spaces and parentheses itself.
        fields = file.read().rpartition(")")[2].split()
    return int(fields[45]), int(fields[46])


def set_title(title):
    """Overwrite the command line in place: as much of the title as fits there."""
    start, end = argv_range()
    if start:
        text = title.encode()[:end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
    LIBC.prctl(PR_SET_NAME, ctypes.c_char_p(title.encode()), 0, 0, 0)


def end_with_parent(signal_number):
    LIBC.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
