# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor of start skew on this machine: processes forked beforehand that wait for one absolute instant.

No barrier can start N processes closer together than N processes that already exist, know the instant, and share one
clock. Each sleeps until the instant, stamps the time and executes `true`. With `spin_ns` it wakes so much earlier and
spins the rest, as the worker's gates do.
"""

from __future__ import annotations

import os
import struct
import time

STAMP = struct.Struct("=q")


def skew_us(processes: int, spin_ns: int = 0, lead_ns: int = 50_000_000) -> float:
    """Last minus first start of `processes` children, in µs."""
    at_ns = time.monotonic_ns() + lead_ns
    pipes = [_start(at_ns, spin_ns) for _number in range(processes)]
    stamps = []
    for pid, read in pipes:
        stamps.append(STAMP.unpack(os.read(read, STAMP.size))[0])
        os.close(read)
        os.waitpid(pid, 0)
    return (max(stamps) - min(stamps)) / 1e3


def _start(at_ns: int, spin_ns: int) -> tuple[int, int]:
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    try:
        now_ns = time.monotonic_ns()
        while at_ns - now_ns > spin_ns:
            time.sleep((at_ns - now_ns - spin_ns) / 1e9)
            now_ns = time.monotonic_ns()
        while now_ns < at_ns:
            now_ns = time.monotonic_ns()
        os.write(write, STAMP.pack(now_ns))
        os.execv("/bin/true", ["true"])
    finally:
        os._exit(127)
