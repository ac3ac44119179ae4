# SPDX-License-Identifier: BSD-3-Clause
"""sleepers.py THREADS: threads that wait for ever, the main one as well."""

import sys
import threading
import time

for _ in range(int(sys.argv[1])):
    threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
print("ready", flush=True)
time.sleep(1e6)
