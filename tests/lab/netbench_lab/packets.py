# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packets pass between the control node and the hosts, and when: to prove silence, or to find who broke it.

The hosts' nftables counters (`Host.packets`) say how many; this recorder says which, each with the kernel's own time
stamp, so that a test can ask for the packets of exactly the window. It listens on the lab's bridge, where packets
between two hosts do not come by.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}


@dataclass(frozen=True)
class Packet:
    """One IPv4 packet between the control node and a host. `wall_ns` is this machine's clock (time.time_ns)."""

    wall_ns: int
    host: str
    to_host: bool
    protocol: str
    ports: tuple[int, int]
    length: int


@dataclass
class Recording:
    """The packets so far; complete once its `with` block is left."""

    control: str
    packets: list[Packet] = field(default_factory=list)

    def between(self, host: str | None = None, *, start_ns: int = 0, stop_ns: int | None = None) -> list[Packet]:
        """Packets to and from `host` (an address; None = all) whose time is in [start_ns, stop_ns]."""
        stop_ns = stop_ns if stop_ns is not None else time.time_ns() + 10**12
        return [p for p in list(self.packets) if host in (None, p.host) and start_ns <= p.wall_ns <= stop_ns]


def decode(frame: bytes, wall_ns: int, control: str) -> Packet | None:
    """Read an Ethernet frame; None when it is not IPv4 between the control node and somebody else."""
    if len(frame) < 34 or frame[12:14] != b"\x08\x00":
        return None
    source, target = (str(ipaddress.IPv4Address(frame[at : at + 4])) for at in (26, 30))
    if control not in (source, target):
        return None
    protocol = PROTOCOLS.get(frame[23], str(frame[23]))
    at = 14 + 4 * (frame[14] & 15)
    ports = struct.unpack("!HH", frame[at : at + 4]) if protocol in ("tcp", "udp") and len(frame) >= at + 4 else (0, 0)
    length = int.from_bytes(frame[16:18], "big")
    return Packet(wall_ns, target if source == control else source, source == control, protocol, ports, length)


@contextlib.contextmanager
def record(interface: str, control: str) -> Iterator[Recording]:
    """Record for the length of a `with` block."""
    recording = Recording(control)
    stop = threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        tap.bind((interface, ETH_P_ALL))
        tap.settimeout(0.05)

        def listen() -> None:
            while True:
                try:
                    frame, extra, _flags, _from = tap.recvmsg(128, 64)
                except TimeoutError:
                    if stop.is_set():  # asked to stop, and nothing is queued any more
                        return
                    continue
                seconds, nanoseconds = struct.unpack("qq", extra[0][2]) if extra else divmod(time.time_ns(), 10**9)
                if packet := decode(frame, seconds * 10**9 + nanoseconds, control):
                    recording.packets.append(packet)

        listener = threading.Thread(target=listen, name="packet recorder", daemon=True)
        listener.start()
        try:
            yield recording
        finally:
            stop.set()
            listener.join(10)
