# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes and ports of a trial are left, seen from outside: from /proc, not from what a worker says."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

MARK = "NETBENCH_TRIAL"


def marked(token: str, proc: Path = Path("/proc")) -> dict[int, str]:
    """pid → command line of every living process whose environment carries the trial's mark."""
    wanted = f"{MARK}={token}".encode()
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = command(int(folder.name), proc)
    return found


def command(pid: int, proc: Path = Path("/proc")) -> str:
    """The command line of a process, empty when it is gone or a zombie."""
    with contextlib.suppress(OSError):
        return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return ""


def children(pid: int) -> list[int]:
    """The pids of a process's descendants."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def is_free(address: str, port: int) -> bool:
    """Whether somebody could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is nobody
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(addresses: list[str]) -> int:
    """A port that is free on all these addresses, outside the range that the kernel hands out by itself."""
    for port in range(21000 + os.getpid() % 8000, 32000):
        if all(is_free(address, port) for address in addresses):
            return port
    raise RuntimeError("no free port")
