# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who listens where, from ``/proc/net`` and ``/proc/PID/fd`` (format: proc(5)). Private to this collection."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import linux
from .sockdiag import Connection

_TCP_LISTEN, _TCP_ESTABLISHED, _UDP_UNCONNECTED = "0A", "01", "07"
_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}


@dataclass(frozen=True)
class Listener:
    """One bound socket. ``address`` is ``0.0.0.0`` or ``::`` when it takes any."""

    protocol: str
    address: str
    port: int
    inode: str


def listeners(protocol: str) -> list[Listener]:
    """The listening TCP sockets, or the unconnected UDP sockets, of this network namespace."""
    wanted = _TCP_LISTEN if protocol == "tcp" else _UDP_UNCONNECTED
    found = []
    for table in _TABLES[protocol]:
        for line in linux.read_text("/proc/net/" + table).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == wanted:
                address, _unused, port = fields[1].partition(":")
                found.append(Listener(protocol, _address(address), int(port, 16), fields[9]))
    return found


def connections(inodes: Collection[str]) -> list[Connection]:
    """The TCP connections among these sockets."""
    found = []
    for table in _TABLES["tcp"]:
        for line in linux.read_text("/proc/net/" + table).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _TCP_ESTABLISHED and fields[9] in inodes:
                family = socket.AF_INET6 if table.endswith("6") else socket.AF_INET
                ends = (end.partition(":") for end in fields[1:3])
                local, remote = ((_address(address), int(port, 16)) for address, _unused, port in ends)
                found.append(Connection(family, local, remote))
    return found


def _address(digits: str) -> str:
    """``0100007F`` -> ``127.0.0.1``: 32-bit words in the host's byte order."""
    words = [bytes.fromhex(digits[start : start + 8]) for start in range(0, len(digits), 8)]
    raw = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def serving(port: Mapping[str, Any], among: Iterable[Listener]) -> list[Listener]:
    """Those listeners that a connection to this planned port (plan.PORT) would reach, or that would be in its way."""
    wanted = port["address"]
    return [
        each
        for each in among
        if each.port == port["port"]
        and each.protocol == port["protocol"]
        and (wanted is None or _covers(each.address, wanted) or _is_any(wanted))
    ]


def _is_any(address: str) -> bool:
    return address in ("0.0.0.0", "::")


def _covers(bound: str, wanted: str) -> bool:
    """``::`` takes IPv4 too unless the program asked otherwise, which cannot be seen from here."""
    if bound == "::":
        return True
    wanted = wanted.strip("[]").partition("%")[0]
    try:
        asked, here = ipaddress.ip_address(wanted), ipaddress.ip_address(bound)
    except ValueError:  # a name: whatever it means, it is this port
        return True
    if bound == "0.0.0.0":
        return asked.version == 4
    return asked in (here, getattr(here, "ipv4_mapped", None))


def inodes_of(pids: Iterable[int]) -> set[str]:
    """The inodes of all sockets that these processes hold."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{name}")
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
    return found


def owner(inode: str) -> str:
    """Who holds a socket, as ``name (pid N)``, as far as this user may see it. Scans ``/proc``: never in the window."""
    for name in os.listdir("/proc"):
        if name.isdigit() and inode in inodes_of([int(name)]):
            return f"{linux.process_name(int(name))} (pid {name})"
    return "a process of another user"


def text(port: Mapping[str, Any]) -> str:
    """``127.0.0.1:4433/tcp`` or ``port 4433/tcp``."""
    place = "{}:{}".format(port["address"], port["port"]) if port["address"] else f"port {port['port']}"
    return "{}/{}".format(place, port["protocol"])
