# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab needs on this machine, and how to get it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .commands import SEARCH, LabError, run
from .settings import Settings

DEBIAN = {  # program → Debian package
    "podman": "podman", "runc": "runc", "iptables": "iptables", "nft": "nftables", "conntrack": "conntrack",
    "debootstrap": "debootstrap", "ip": "iproute2", "ssh": "openssh-client", "nsenter": "util-linux",
}  # fmt: skip
LIBRARIES = {Path("/usr/lib/podman/netavark"): "netavark", Path("/usr/lib/podman/aardvark-dns"): "aardvark-dns"}


def missing(settings: Settings) -> dict[str, str]:
    """What is not there → the Debian package that has it."""
    wanted = dict(DEBIAN)
    libraries = dict(LIBRARIES)
    if settings.runtime != "podman":
        for program in ("podman", "runc"):
            del wanted[program]
        wanted[settings.runtime] = f"{settings.runtime}.io"
        libraries.clear()
    if settings.engine == "crun":
        del wanted["runc"]
        wanted["crun"] = "crun"
    absent = {program: package for program, package in wanted.items() if not shutil.which(program, path=SEARCH)}
    return absent | {str(path): package for path, package in libraries.items() if not path.exists()}


def setup(settings: Settings, say: Callable[[str], None]) -> None:
    """Install what is missing where that is plain (root, Debian-like); otherwise say what is missing."""
    absent = missing(settings)
    if not absent:
        say("everything that the lab needs is installed")
        return
    packages = sorted(set(absent.values()))
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(
            f"missing: {', '.join(sorted(absent))}. On Debian or Ubuntu, as root: "
            f"apt-get install --no-install-recommends {' '.join(packages)}"
        )
    say(f"installing {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], timeout_s=300, env=quiet)
    run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], timeout_s=900, env=quiet)
    if still := missing(settings):
        raise LabError(f"still missing after the installation: {', '.join(sorted(still))}")
    say("installed")
