# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's interface takes in, read from outside a hundred times a second: a measure that is nobody else's.

The counters hold a header for each packet that the interface hands up. Those are taken off, so what is left is payload
(of TCP with time stamps, over IPv4), and whatever little else the host received.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from bisect import bisect_right
from collections.abc import Iterator

from .host import ENVIRONMENT, Host

HEADER_BYTES = 14 + 20 + 32  # Ethernet, IPv4, TCP with its time stamps
PERIOD_S = 0.01
PROGRAM = f"""
import os, select, time
files = [os.open(f"/sys/class/net/eth0/statistics/rx_{{name}}", os.O_RDONLY) for name in ("bytes", "packets")]
while True:
    print(time.monotonic_ns(), *(int(os.pread(file, 32, 0)) for file in files), flush=True)
    if select.select([0], [], [], {PERIOD_S})[0]:
        break
"""


class Meter:
    """Readings of one host: (ns of the kernel's monotonic clock, bytes, packets), in order."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []

    def payload(self, start_ns: int, stop_ns: int) -> float:
        """Bytes between two instants; they cut the line between two readings."""
        return self._at(stop_ns) - self._at(start_ns)

    def _at(self, instant_ns: int) -> float:
        right = min(max(bisect_right(self.rows, (instant_ns, 0)), 1), len(self.rows) - 1)
        (a_ns, a), (b_ns, b) = self.rows[right - 1 : right + 1]
        return a + (b - a) * min(max((instant_ns - a_ns) / (b_ns - a_ns), 0.0), 1.0)


@contextlib.contextmanager
def metered(host: Host) -> Iterator[Meter]:
    """Read for the length of a `with` block."""
    meter = Meter()
    argv = host.enter("python3", "-c", PROGRAM)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as program:
        assert program.stdin
        assert program.stdout

        def listen(lines: Iterator[str]) -> None:
            for line in lines:
                instant_ns, taken, packets = map(int, line.split())
                meter.rows.append((instant_ns, taken - HEADER_BYTES * packets))

        listener = threading.Thread(target=listen, args=(iter(program.stdout),), daemon=True)
        listener.start()
        try:
            yield meter
        finally:
            program.stdin.close()  # the program sees it and ends
            listener.join(10)
