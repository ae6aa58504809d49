# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a driver says while it runs: traces for people, a statistics file for programs. Private to the collection.

Traces look like those of the original drivers. The statistics file (JSON lines, ``schema`` 1) has one ``start``, an
``interval`` on each point of a fixed monotonic grid and one at the very end, a ``latency`` per measured trace, and one
``end``. Bytes are payload, cumulative.
"""

from __future__ import annotations

import json
from time import monotonic_ns, time_ns
from typing import Any, TextIO

from .errors import DriverError
from .histogram import Histogram
from .loop import Steps
from .stream import Counters

SCHEMA = 1


class Statistics:
    """Writer of the statistics file; one whole line per write."""

    def __init__(self, file: TextIO, role: str, index: int, counters: Counters) -> None:
        self._file = file
        self._counters = counters
        self._write("start", schema=SCHEMA, role=role, id=index, **_clocks())

    def ticks(self, interval_ms: int) -> Steps:
        """A background task that writes the intervals. A late tick is written late; missed ones are left out."""
        interval_ns = interval_ms * 1_000_000
        next_ns = monotonic_ns()
        while True:
            next_ns += interval_ns * (1 + max(0, monotonic_ns() - next_ns) // interval_ns)
            yield (None, next_ns)
            self._interval()

    def end(self, histograms: dict[str, Histogram], error: str | None, **more: int) -> None:
        self._interval()
        for name, histogram in sorted(histograms.items()):
            self._write("latency", trace=name, **histogram.record())
        self._write(
            "end",
            **_clocks(),
            first_byte_ns=self._counters.first_byte_ns,
            **_bytes(self._counters),
            **more,
            status="failed" if error else "ok",
            error=error,
        )

    def _interval(self) -> None:
        self._write("interval", **_clocks(), **_bytes(self._counters))

    def _write(self, kind: str, **fields: Any) -> None:
        _write_line(self._file, json.dumps({"kind": kind, **fields}, separators=(",", ":")), "statistics")


def _clocks() -> dict[str, int]:
    return {"monotonic_ns": monotonic_ns(), "wall_ns": time_ns()}


def _bytes(counters: Counters) -> dict[str, int]:
    return {"rx_bytes": counters.rx_bytes, "tx_bytes": counters.tx_bytes}


class Tracer:
    """The original's traces: ``throughput`` each second, ``stdio`` for each event. Keeps the latencies of profiles."""

    def __init__(self, kinds: tuple[str, ...], names: tuple[str, ...], verbose: bool, out: TextIO, err: TextIO) -> None:
        self.stdio = "stdio" in kinds
        self.throughput = "throughput" in kinds
        self._names = names
        self._verbose = verbose
        self._out = out
        self._err = err
        self._start_ns = monotonic_ns()
        self.histograms: dict[str, Histogram] = {}

    def event(self, connection: int, text: str) -> None:
        """One line such as ``0:00:00.000341 [0] send[0]=1000``; call only when `stdio` is set."""
        _write_line(self._out, f"{self._timestamp()} [{connection}] {text}", "trace")

    def name(self, trace_id: int) -> str:
        return self._names[trace_id] if self._verbose else str(trace_id)

    def profile(self, connection: int, trace_id: int, elapsed_ns: int) -> None:
        name = self._names[trace_id]
        if name not in self.histograms:
            self.histograms[name] = Histogram()
        self.histograms[name].add(elapsed_ns)
        if self.stdio:
            self.event(connection, f"prof[{self.name(trace_id)}]={duration_text(elapsed_ns)}")

    def report_throughput(self, counters: Counters) -> Steps:
        """A background task that prints the rates of each whole second."""
        before_ns, before = self._start_ns, (0, 0)
        while True:
            yield (None, before_ns + 1_000_000_000)
            now_ns, now = monotonic_ns(), (counters.rx_bytes, counters.tx_bytes)
            rx, tx = (rate_text((n - b) * 1_000_000_000 // (now_ns - before_ns)) for n, b in zip(now, before))
            _write_line(self._err, f"{self._timestamp()} throughput: rx={rx} tx={tx}", "trace")
            before_ns, before = now_ns, now

    def _timestamp(self) -> str:
        elapsed_us = (monotonic_ns() - self._start_ns) // 1000
        seconds, micros = divmod(elapsed_us, 1_000_000)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"


def _write_line(file: TextIO, line: str, what: str) -> None:
    try:
        file.write(line + "\n")
        file.flush()
    except OSError as error:
        raise DriverError(f"cannot write the {what}: {error.strerror}") from error


def rate_text(bytes_per_s: int) -> str:
    """Decimal units with two places, none where they would be zero: ``0Bps``, ``1.99KBps``, ``4GBps``."""
    value, unit = float(bytes_per_s), 0
    while value >= 1000 and unit < 8:
        value, unit = value / 1000, unit + 1
    places = 0 if value.is_integer() else 2
    return f"{value:.{places}f}{'KMGTPEZY'[unit - 1] if unit else ''}Bps"


def duration_text(elapsed_ns: int) -> str:
    """A duration to the microsecond as Rust prints it: ``1µs``, ``109.011ms``, ``1.5s``."""
    micros = elapsed_ns // 1000
    scale, unit = (1_000_000, "s") if micros >= 1_000_000 else (1000, "ms") if micros >= 1000 else (1, "µs")
    whole, rest = divmod(micros, scale)
    digits = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}{'.' + digits if digits else ''}{unit}"
