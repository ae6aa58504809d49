# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine as far as programs care: system, C library, architecture. Private to this collection."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Binaries built on one machine are for machines like it, with a C library at least as new."""

    system: str  # ID and VERSION_ID of os-release, such as "debian 12"
    libc: str  # such as "glibc 2.36"; empty for other C libraries
    arch: str  # such as "x86_64"


def this_machine() -> Machine:
    release = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                pairs = (line.strip().partition("=") for line in stream)
                release = {name: value.strip("\"'") for name, _equals, value in pairs}
            break
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        libc = ""
    system = f"{release.get('ID', 'linux')} {release.get('VERSION_ID', '')}".strip()
    return Machine(system, libc, platform.machine())
