# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The per-second sampler, and the counters at the ends of a sample. Private to this collection.

One timer, aligned to the start instant, and a few reads of files that are kept open; no scan of ``/proc``, nothing
sent. The rows of ``sampler.jsonl`` are described in docs/architecture.md; all counters in them are cumulative, and a
value that the host does not have is left out. Beside those, a row carries ``control_packets``, the segments of the
channel's connection so far.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import linux
from .ethtool import Allowances
from .sockdiag import Connection, segments

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_INTERFACE_COUNTERS = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_dropped", "tx_dropped")


class KeptOpen:
    """A file of /proc or /sys that is read again and again."""

    def __init__(self, path: str, size: int = 4096) -> None:
        self._size = size
        self._handle = -1
        with contextlib.suppress(OSError):
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> str:
        """Its content now; empty when it is not there any more, or never was."""
        try:
            return os.pread(self._handle, self._size, 0).decode("ascii", "replace") if self._handle >= 0 else ""
        except OSError:
            return ""

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def default_interface() -> str | None:
    """The interface of the default route (IPv4, else IPv6); None when there is none."""
    for line in linux.read_text("/proc/net/route").splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000":
            return fields[0]
    for line in linux.read_text("/proc/net/ipv6_route").splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo":
            return fields[9]
    return None


class Counters:
    """What a host counts beside the sample's processes."""

    def __init__(self, interface: str | None, control: Callable[[], Connection | None]) -> None:
        self.interface = interface or default_interface()
        self._control = control
        folder = f"/sys/class/net/{self.interface}/statistics/"
        self._interface = {name: KeptOpen(folder + name, 64) for name in _INTERFACE_COUNTERS if self.interface}
        self._snmp = KeptOpen("/proc/net/snmp", 16384)
        self._stat = KeptOpen("/proc/stat", 1024)
        self._allowances = Allowances(self.interface) if self.interface else None

    def row(self) -> dict[str, Any]:
        """All counters now; what the host does not have is left out."""
        row: dict[str, Any] = dict(self.bytes())
        row.update(tcp_retransmits=self._retransmits(), control_packets=self.control_packets())
        row.update(self._cpu())
        row["ena"] = self._allowances.read() if self._allowances else None
        return {name: value for name, value in row.items() if value not in (None, {})}

    def bytes(self) -> dict[str, int]:
        """The interface's counters."""
        read = {name: file.read() for name, file in self._interface.items()}
        return {name: int(text) for name, text in read.items() if text}

    def control_packets(self) -> int | None:
        connection = self._control()
        return segments(connection) if connection else None

    def close(self) -> None:
        for file in (*self._interface.values(), self._snmp, self._stat):
            file.close()
        if self._allowances:
            self._allowances.close()

    def _retransmits(self) -> int | None:
        lines = [line.split() for line in self._snmp.read().splitlines() if line.startswith("Tcp:")]
        return int(lines[1][lines[0].index("RetransSegs")]) if len(lines) == 2 else None

    def _cpu(self) -> dict[str, float]:
        """``cpu user nice system idle iowait irq softirq steal``, in ticks."""
        fields = self._stat.read().partition("\n")[0].split()
        if len(fields) < 9 or fields[0] != "cpu":
            return {}
        return {"softirq_s": int(fields[7]) / _TICKS_PER_S, "steal_s": int(fields[8]) / _TICKS_PER_S}


class Processes:
    """CPU time and memory of the sample's processes and of those they forked."""

    _LOOK_FOR_CHILDREN = (0, 1, 2, 5, 10)  # ticks, then every tenth: lists of many threads are long

    def __init__(self, pids: Callable[[], Iterable[int]], descendants: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._descendants = descendants
        self._files: dict[int, KeptOpen] = {}
        self._tick = 0

    def row(self, ended_cpu_s: float) -> dict[str, Any]:
        look = self._tick in self._LOOK_FOR_CHILDREN or self._tick % 10 == 0
        self._tick += 1
        for pid in self._descendants() if look else self._pids():
            if pid not in self._files:
                self._files[pid] = KeptOpen(f"/proc/{pid}/stat", 1024)
        ticks = pages = 0
        for pid, file in list(self._files.items()):
            fields = file.read().rpartition(")")[2].split()
            if len(fields) < 22:
                self._files.pop(pid).close()
                continue
            ticks += sum(int(field) for field in fields[11:15])  # its own and of the children it waited for
            pages += int(fields[21])
        return {"cpu_s": round(ended_cpu_s + ticks / _TICKS_PER_S, 3), "rss_bytes": pages * _PAGE_BYTES}

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


class Rows:
    """Appends rows to ``sampler.jsonl``; the first write that fails is the last, and is remembered."""

    def __init__(self, path: Path) -> None:
        self.problem: str | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._handle = os.open(path, flags, 0o600)

    def write(self, values: dict[str, Any]) -> None:
        if self.problem is None:
            row = {"mono_ns": time.monotonic_ns(), "wall_ns": time.time_ns(), **values}
            try:
                os.write(self._handle, json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
            except OSError as problem:
                self.problem = f"the sampler could not write: {problem.strerror}"

    def close(self) -> None:
        os.close(self._handle)
