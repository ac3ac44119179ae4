# SPDX-License-Identifier: BSD-3-Clause
"""Code objects that come and go: names, files and lines differ, the addresses are the same.

Variant N comes from the file `<gen-N>`, has the functions work_N and help_N, and starts at line
first_line(N). Its code objects are loaded, run and freed again, over and over.
"""

import marshal
import sys
import time

END = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")

VARIANTS = 300


def first_line(n):
    return 1 + n * 37 % 911


def source(n):
    return "\n" * (first_line(n) - 1) + """\
def work_{0}():
    total = 0
    for i in range(20):
        total += help_{0}(i)
    return total
def help_{0}(i):
    return i + 1
""".format("%03d" % n)


def churn(blob, name):
    space = {}
    exec(marshal.loads(blob), space)  # call:<gen>
    work = space[name]
    work()  # call:<gen>


def run(rounds):
    for n in range(rounds):
        churn(*BLOBS[n % VARIANTS])  # call:churn


BLOBS = [(marshal.dumps(compile(source(n), "<gen-%d>" % n, "exec")), "work_%03d" % n)
         for n in range(VARIANTS)]
run(300)  # call:run
print("ready", flush=True)
while time.monotonic() < END:
    run(3000)  # call:run
