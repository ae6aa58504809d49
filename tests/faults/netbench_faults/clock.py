# SPDX-License-Identifier: GPL-3.0-or-later
"""The wall clock of a program is as wrong as a file says. On a host it is a `sitecustomize` of the Python there.

Its three numbers: since when (ns since 1970), by how much then (ns), and how fast that grows (ppm).
"""

from __future__ import annotations

import time

PLACE = "/run/netbench-clock"
right_ns = time.time_ns


def time_ns() -> int:
    """As the program shall see it."""
    with open(PLACE, encoding="ascii") as file:
        since_ns, step_ns, drift_ppm = map(int, file.read().split())
    now_ns = right_ns()
    return now_ns + step_ns + (now_ns - since_ns) * drift_ppm // 1_000_000


if __name__ == "sitecustomize":
    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
