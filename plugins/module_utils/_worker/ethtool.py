# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The allowance counters of Elastic Network Adapters, by ethtool's ioctl. Private to this collection.

They say when EC2 held traffic back (``bw_in_allowance_exceeded`` and its like). Reading statistics needs no rights.
Formats: linux/ethtool.h (``ethtool_drvinfo``, ``ethtool_gstrings``, ``ethtool_stats``).
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GDRVINFO, _GSTRINGS, _GSTATS = 0x03, 0x1B, 0x1D
_SS_STATS = 1
_NAME_BYTES = 32
_DRVINFO_BYTES, _DRVINFO_N_STATS_AT = 196, 180
_LIMIT = 4096


class Allowances:
    """The counters of one interface whose name contains ``allowance``; none on other adapters."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._names = self._read_names()
        except OSError:
            self._names = []
        self._wanted = [(index, name) for index, name in enumerate(self._names) if "allowance" in name]
        self._buffer = array.array("B", struct.pack("=II", _GSTATS, len(self._names)) + bytes(8 * len(self._names)))
        if not self._wanted:
            self._socket.close()

    def read(self) -> dict[str, int]:
        if not self._wanted:
            return {}
        try:
            self._ask(self._buffer)
        except OSError:
            return {}
        return {name: struct.unpack_from("=Q", self._buffer, 8 + 8 * index)[0] for index, name in self._wanted}

    def close(self) -> None:
        self._socket.close()

    def _read_names(self) -> list[str]:
        info = array.array("B", struct.pack("=I", _GDRVINFO) + bytes(_DRVINFO_BYTES - 4))
        self._ask(info)
        (count,) = struct.unpack_from("=I", info, _DRVINFO_N_STATS_AT)
        if not 0 < count <= _LIMIT:
            return []
        strings = array.array("B", struct.pack("=III", _GSTRINGS, _SS_STATS, count) + bytes(_NAME_BYTES * count))
        self._ask(strings)
        raw = strings.tobytes()[12:]
        return [
            raw[start : start + _NAME_BYTES].split(b"\0")[0].decode("ascii", "replace")
            for start in range(0, len(raw), _NAME_BYTES)
        ]

    def _ask(self, buffer: array.array[int]) -> None:
        address, _unused = buffer.buffer_info()
        request = struct.pack("16sP", self._interface.encode("ascii")[:15], address).ljust(40, b"\0")
        fcntl.ioctl(self._socket, _SIOCETHTOOL, request)
