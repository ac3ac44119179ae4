#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""denying.py COMMAND...: run it where ptrace, bpf and the like fail with EPERM, as under the
system-call filter of trackexec-collector.service."""

import ctypes
import os
import platform
import struct
import sys

# As the unit denies them.
CALLS = {
    "x86_64": {"ptrace": 101, "bpf": 321, "process_vm_readv": 310, "process_vm_writev": 311,
               "pidfd_getfd": 438, "kcmp": 312, "setns": 308, "unshare": 272, "mount": 165,
               "chroot": 161, "userfaultfd": 323},
    "aarch64": {"ptrace": 117, "bpf": 280, "process_vm_readv": 270, "process_vm_writev": 271,
                "pidfd_getfd": 438, "kcmp": 272, "setns": 268, "unshare": 97, "mount": 40,
                "chroot": 51, "userfaultfd": 282},
}
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, EPERM = 0x7fff0000, 0x00050001


def deny(numbers):
    """A classic BPF program over struct seccomp_data, whose first field is the call's number."""
    rules = [(LOAD, 0, 0, 0)]
    for number in numbers:
        rules += [(IF_EQUAL, 0, 1, number), (RETURN, 0, 0, EPERM)]
    rules.append((RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules),
                                                      ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot set the filter")


if __name__ == "__main__":
    deny(CALLS[platform.machine()].values())
    os.execvp(sys.argv[1], sys.argv[1:])
