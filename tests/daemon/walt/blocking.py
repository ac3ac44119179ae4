# SPDX-License-Identifier: BSD-3-Clause
"""server-blocking: what would block an event loop is done here."""

import subprocess
import sys
import time
import zlib


class Blocking:
    def pull_image(self, name):
        """Waits for a slow registry, then checks what came."""
        time.sleep(0.03)
        return self.check_image(name, bytes(300000))

    def check_image(self, name, content):
        checksum = 0
        for start in range(0, len(content), 10000):
            checksum = zlib.crc32(content[start:start + 10000], checksum)
        return f"{name}:{checksum:08x}"

    def run_command(self, text):
        command = [sys.executable, "-S", "-c", "import sys; print(sys.argv[1].upper())", text]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
