# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools on a host: there already, unpacked, able to run. Private to this collection.

::

    /usr/local/lib/netbench-orchestrator/tools/<collection of tools>/<key>/<tool>     (root)
    ~/.local/lib/netbench-orchestrator/tools/…                                        (everybody else)

The key is that of the build, so versions live side by side, and a plan that names one never runs another.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import HostError
from .machine import this_machine
from .store import file_sha256

KEEP_UNUSED_S = 30 * 86400  # builds that nobody asked for in so long are removed by the next installation
_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}  # e_machine of ELF


def root(collection: str) -> Path:
    """Where the tools of this name live for the user that asks."""
    library = Path("/usr/local/lib") if os.getuid() == 0 else Path.home() / ".local" / "lib"
    return library / "netbench-orchestrator" / "tools" / collection


def place(folder: Path, tool: str, wanted: Mapping[str, str]) -> Path:
    return folder / wanted["key"] / tool


def lacking(folder: Path, wanted: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The wanted tools ({name: {key, sha256, version}}) that are not there, or not as wanted."""
    return [tool for tool, each in wanted.items() if not _is(place(folder, tool, each), each["sha256"])]


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and os.access(path, os.X_OK) and file_sha256(path) == sha256


def install(folder: Path, pack: Path, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Take the wanted tools out of `pack` (a tar file of ``key/tool``), check them, and only then put them in place."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as temporary, tarfile.open(pack) as tar:
        for tool, each in wanted.items():
            content = tar.extractfile(f"{each['key']}/{tool}")
            arrived = Path(temporary) / tool
            with open(arrived, "wb") as stream:
                shutil.copyfileobj(content, stream)  # type: ignore[arg-type]  # a missing member raises KeyError
                os.fsync(stream.fileno())
            arrived.chmod(0o755)
            if file_sha256(arrived) != each["sha256"]:
                raise HostError(f"{tool} arrived damaged. Nothing was changed; run the task again")
            check_runs(arrived, tool)
        for tool, each in wanted.items():
            final = place(folder, tool, each)
            final.parent.mkdir(mode=0o755, exist_ok=True)
            os.replace(Path(temporary) / tool, final)
            os.utime(final.parent)
    keep = {each["key"] for each in wanted.values()}
    for old in folder.iterdir():
        if old.name not in keep and old.stat().st_mtime < time.time() - KEEP_UNUSED_S:
            shutil.rmtree(old)


def check_runs(path: Path, tool: str) -> None:
    """See that this machine can run a program, without running it: architecture, loader, libraries and their versions.

    Raises:
        HostError: it cannot; the message names what is missing and the way out.
    """
    with open(path, "rb") as stream:
        data = stream.read()
    if data[:4] != b"\x7fELF":
        return  # a script: its interpreter speaks for itself
    machine = this_machine()
    built_for = _MACHINES.get(int.from_bytes(data[18:20], "little" if data[5] == 1 else "big"), "another architecture")
    if built_for != machine.arch:
        raise HostError(
            f"{tool} is built for {built_for}, and this host is {machine.arch}. Build on a host of that architecture "
            "(in the role: netbench_build_host), or give ready binaries for it"
        )
    loader = re.search(rb"\0(/[\w./-]*ld[\w.-]*\.so[\w.]*)\0", data[:65536])
    if not loader:
        return  # static
    interpreter = loader[1].decode()
    if not os.path.exists(interpreter):
        raise HostError(f"{tool} needs the loader {interpreter}, which this host ({machine.system}) does not have")
    command = [interpreter, "--list", str(path)]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    said = listed.stderr + listed.stdout
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_(\d+\.\d+)' not found", said)]
    if versions:
        needed = ".".join(map(str, max(versions)))
        raise HostError(
            f"{tool} needs glibc {needed} or newer, and this host ({machine.system}) has {machine.libc or 'another'}. "
            "Build on the host with the oldest glibc (in the role: netbench_build_host), or give binaries for it"
        )
    libraries = sorted(set(re.findall(r"(\S+\.so[\w.]*)(?: => not found|: cannot open shared object)", said)))
    if libraries or listed.returncode:
        lacks = ", ".join(libraries) or said.strip()[-400:]
        raise HostError(f"{tool} cannot be loaded on this host ({machine.system}), which lacks {lacks}")


def facts(folder: Path, wanted: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    return {
        tool: {"path": str(place(folder, tool, each)), "sha256": each["sha256"], "version": each["version"]}
        for tool, each in wanted.items()
    }
