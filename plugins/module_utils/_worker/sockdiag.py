# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts the packets of one TCP connection without root. Private to this collection.

``NETLINK_SOCK_DIAG`` with the four addresses of a connection answers with its ``tcp_info``, in which ``segs_in`` and
``segs_out`` are every segment, ACKs and keepalives included. Asked of the SSH connection that carries the channel,
before and after the window, this proves its silence. Formats: sock_diag(7), linux/inet_diag.h, linux/tcp.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_INET_DIAG_INFO = 2
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI")  # inet_diag_req_v2: family, protocol, extensions, states
_MESSAGE_BYTES = 72  # inet_diag_msg
_STATE_AT = _HEADER.size + 1  # inet_diag_msg.idiag_state
_TIME_WAIT = 6  # what is left of a connection that both ends have closed
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_SEGMENTS = struct.Struct("=II")
_SEGMENTS_AT = 136  # tcp_info.tcpi_segs_out, tcpi_segs_in


@dataclass(frozen=True)
class Connection:
    """A TCP connection as this host sees it."""

    family: int
    local: tuple[str, int]
    remote: tuple[str, int]


def from_ssh(variable: str) -> Connection | None:
    """The connection that ``SSH_CONNECTION`` (``client port server port``) names; None when it names none."""
    parts = variable.split()
    if len(parts) != 4:
        return None
    remote, local = parts[0].partition("%")[0], parts[2].partition("%")[0]
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    try:
        socket.inet_pton(family, remote)
        socket.inet_pton(family, local)
        return Connection(family, (local, int(parts[3])), (remote, int(parts[1])))
    except (OSError, ValueError):
        return None


def segments(connection: Connection) -> int | None:
    """Segments in both directions since it was made; 0 when the kernel knows no such connection (any more).

    None: the kernel does not tell, as of one that this end has closed and the other end has not.
    """
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    try:
        with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(0.2)
            netlink.send(_request(connection))
            return _answer(netlink.recv(8192))
    except (OSError, struct.error):
        return None


def _request(connection: Connection) -> bytes:
    def address(host: str) -> bytes:
        return socket.inet_pton(connection.family, host).ljust(16, b"\0")

    identity = struct.pack(">HH", connection.local[1], connection.remote[1])
    identity += address(connection.local[0]) + address(connection.remote[0]) + struct.pack("=I", 0) + _NO_COOKIE
    body = _REQUEST.pack(connection.family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), 0xFFFFFFFF) + identity
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, os.getpid()) + body


def _answer(data: bytes) -> int | None:
    length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data)
    if kind != _SOCK_DIAG_BY_FAMILY:
        (problem,) = struct.unpack_from("=i", data, _HEADER.size)
        return 0 if (kind, -problem) == (_NLMSG_ERROR, errno.ENOENT) else None
    position = _HEADER.size + _MESSAGE_BYTES
    while position + _ATTRIBUTE.size <= min(length, len(data)):
        size, attribute = _ATTRIBUTE.unpack_from(data, position)
        if attribute == _INET_DIAG_INFO and size >= _ATTRIBUTE.size + _SEGMENTS_AT + _SEGMENTS.size:
            return int(sum(_SEGMENTS.unpack_from(data, position + _ATTRIBUTE.size + _SEGMENTS_AT)))
        if size < _ATTRIBUTE.size:
            return None
        position += (size + 3) & ~3
    return 0 if data[_STATE_AT] == _TIME_WAIT else None
