# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user may choose about the lab, read from the environment.

====================== =========== ===================================================================
NETBENCH_LAB           default     name of the lab; several can live side by side
NETBENCH_LAB_RUNTIME   podman      container runtime: `podman` or `docker`
NETBENCH_LAB_ENGINE    auto        OCI engine of podman: `runc`, `crun`, or `auto`
NETBENCH_LAB_IMAGE     auto        how the image is made: `debootstrap`, `registry` (FROM debian:12), `auto`
NETBENCH_LAB_MTU       9000        MTU of the lab's network
====================== =========== ===================================================================
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .commands import SEARCH, LabError

PROJECT = Path(__file__).resolve().parents[3]
HYBRID_CGROUPS = Path("/sys/fs/cgroup/unified")


@dataclass(frozen=True)
class Settings:
    """The choices for one lab."""

    name: str = "default"
    runtime: str = "podman"
    engine: str = ""
    image: str = "debootstrap"
    mtu: int = 9000
    project: Path = PROJECT

    @property
    def lab_id(self) -> str:
        """Prefix of everything this lab makes; two clones of the project never share it."""
        return f"nblab-{hashlib.sha256(str(self.project).encode()).hexdigest()[:4]}-{self.name}"

    @property
    def state(self) -> Path:
        """Folder of the lab's key, known hosts and inventory."""
        return self.project / ".lab" / self.name


def _one_of(variable: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise LabError(f"{variable}={value!r}: expected one of {', '.join(allowed)}")
    return value


def from_environment(environ: Mapping[str, str], *, name: str | None = None) -> Settings:
    """Read the settings; `name` (from the command line) wins over NETBENCH_LAB."""
    name = name or environ.get("NETBENCH_LAB") or "default"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise LabError(f"lab name {name!r}: expected lower-case letters, digits and dashes, 31 at most")
    runtime = _one_of("NETBENCH_LAB_RUNTIME", environ.get("NETBENCH_LAB_RUNTIME", "podman"), ("podman", "docker"))
    engine = _one_of("NETBENCH_LAB_ENGINE", environ.get("NETBENCH_LAB_ENGINE", "auto"), ("auto", "runc", "crun"))
    if engine == "auto":  # crun refuses to start systemd under hybrid cgroups, runc does not
        engine = "runc" if runtime == "podman" and HYBRID_CGROUPS.exists() else ""
    image = _one_of(
        "NETBENCH_LAB_IMAGE", environ.get("NETBENCH_LAB_IMAGE", "auto"), ("auto", "debootstrap", "registry")
    )
    if image == "auto":
        image = "debootstrap" if shutil.which("debootstrap", path=SEARCH) else "registry"
    mtu = environ.get("NETBENCH_LAB_MTU", "9000")
    if not mtu.isdigit() or not 1280 <= int(mtu) <= 65535:
        raise LabError(f"NETBENCH_LAB_MTU={mtu!r}: expected a number from 1280 to 65535")
    return Settings(name=name, runtime=runtime, engine=engine, image=image, mtu=int(mtu))
