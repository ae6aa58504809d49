# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this worker is, and what host it is on. Private to this collection."""

from __future__ import annotations

import hashlib
import json
import os
import pkgutil
import platform
import socket
import sys
from functools import lru_cache
from typing import Any

from .._protocol.frames import PROTOCOL
from . import linux


@lru_cache(maxsize=1)
def archive() -> str | None:
    """The archive that this program was loaded from; None when it runs from its sources."""
    path = getattr(globals().get("__loader__"), "archive", None)
    return os.path.abspath(path) if path else None


@lru_cache(maxsize=1)
def archive_sha256() -> str | None:
    path = archive()
    if path is None:
        return None
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def version() -> str:
    """The collection's version, which the archive carries."""
    data = pkgutil.get_data(__package__.partition(".")[0], "version.json") if archive() and __package__ else None
    return str(json.loads(data)["version"]) if data else "0+source"


def program() -> dict[str, Any]:
    """What ``version --json`` prints; the last two are what a plan's commands are made of."""
    return {
        "version": version(),
        "protocol": PROTOCOL,
        "archive_sha256": archive_sha256(),
        "python": platform.python_version(),
        "archive": archive(),
        "executable": sys.executable,
    }


def host() -> dict[str, Any]:
    """The facts of a hello's reply."""
    return {
        "worker_version": version(),
        "archive_sha256": archive_sha256(),
        "python": platform.python_version(),
        "os": _os_name(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "boot_id": linux.boot_id(),
        "hostname": socket.gethostname(),
        "clock": linux.clock_discipline(),
    }


@lru_cache(maxsize=1)
def _os_name() -> str:
    for line in linux.read_text("/etc/os-release").splitlines():
        name, _unused, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip("\"'")
    return platform.system()
