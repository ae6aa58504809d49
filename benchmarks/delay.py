# SPDX-License-Identifier: GPL-3.0-or-later
"""A long way to a host on this machine, in place of `ssh`: `delay.py THERE_MS BACK_MS COMMAND`.

Runs the command and passes on what goes in after THERE_MS and what comes out after BACK_MS, in order, each piece as
late as its time says; so the two directions can differ as on real networks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque


def carry(source: int, target: int, delay_s: float) -> None:
    """Pieces from source to target, `delay_s` later; closes the target at the end."""
    pieces: deque[tuple[float, bytes]] = deque()
    more = threading.Semaphore(0)

    def deliver() -> None:
        while more.acquire():
            due_s, data = pieces.popleft()
            time.sleep(max(0.0, due_s - time.monotonic()))
            if not data:
                break
            try:
                while data:
                    data = data[os.write(target, data) :]
            except BrokenPipeError:
                break
        os.close(target)

    threading.Thread(target=deliver, daemon=True).start()
    data = b"-"
    while data:
        data = os.read(source, 65536)
        pieces.append((time.monotonic() + delay_s, data))
        more.release()


def main() -> int:
    there_s, back_s = (float(word) / 1e3 for word in sys.argv[1:3])
    command = subprocess.Popen(["/bin/sh", "-c", sys.argv[3]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert command.stdin
    assert command.stdout
    threading.Thread(target=carry, args=(0, os.dup(command.stdin.fileno()), there_s), daemon=True).start()
    command.stdin.close()
    carry(command.stdout.fileno(), os.dup(1), back_s)
    status = command.wait()
    time.sleep(back_s)  # what came last is still on its way
    return status


if __name__ == "__main__":
    sys.exit(main())
