# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools on a host: whole or not at all, and refused when the host cannot run them."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools import host
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.errors import HostError
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.store import file_sha256

TRUE = Path(shutil.which("true") or "/bin/true").resolve()


def pack(tmp_path: Path, program: Path) -> tuple[Path, dict[str, dict[str, str]]]:
    with tarfile.open(tmp_path / "pack", "w") as tar:
        tar.add(program, "k1/tool")
    return tmp_path / "pack", {"tool": {"key": "k1", "sha256": file_sha256(program), "version": "1"}}


def test_install_look_again_and_tell(tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    packed, wanted = pack(tmp_path, TRUE)
    assert host.lacking(folder, wanted) == ["tool"]
    host.install(folder, packed, wanted)
    assert host.lacking(folder, wanted) == []
    path = Path(host.facts(folder, wanted)["tool"]["path"])
    assert path.read_bytes() == TRUE.read_bytes()
    assert [entry.name for entry in folder.iterdir()] == ["k1"]
    path.chmod(0o644)
    assert host.lacking(folder, wanted) == ["tool"]


def test_a_damaged_transfer_changes_nothing(tmp_path: Path) -> None:
    packed, wanted = pack(tmp_path, TRUE)
    wanted["tool"]["sha256"] = "0" * 64
    with pytest.raises(HostError, match="damaged"):
        host.install(tmp_path / "tools", packed, wanted)
    assert list((tmp_path / "tools").iterdir()) == []


def test_builds_that_nobody_uses_go(tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    for name, age_s in (("old", 40 * 86400), ("recent", 86400)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age_s,) * 2)
    host.install(folder, *pack(tmp_path, TRUE))
    assert sorted(entry.name for entry in folder.iterdir()) == ["k1", "recent"]


@pytest.mark.skipif(not TRUE.read_bytes().startswith(b"\x7fELF"), reason="needs a binary of this machine")
class TestPrograms:
    """Copies of a program of this machine, changed so that it cannot run."""

    def changed(self, tmp_path: Path, change) -> Path:
        path = tmp_path / "tool"
        path.write_bytes(change(TRUE.read_bytes()))
        path.chmod(0o755)
        return path

    def test_a_good_one(self) -> None:
        host.check_runs(TRUE, "tool")

    def test_a_script(self, tmp_path: Path) -> None:
        host.check_runs(self.changed(tmp_path, lambda data: b"#!/bin/sh\n"), "tool")

    def test_another_architecture(self, tmp_path: Path) -> None:
        other = self.changed(tmp_path, lambda data: data[:18] + b"\xf3\x00" + data[20:])
        with pytest.raises(HostError, match=r"tool is built for riscv64, and this host is .*netbench_build_host"):
            host.check_runs(other, "tool")

    def test_another_loader(self, tmp_path: Path) -> None:
        other = self.changed(tmp_path, lambda data: data.replace(b"/ld-", b"/ld_", 1))
        with pytest.raises(HostError, match="needs the loader /"):
            host.check_runs(other, "tool")

    def test_a_newer_glibc(self, tmp_path: Path) -> None:
        data = TRUE.read_bytes()
        newest = max(version for version in range(2, 60) if b"GLIBC_2.%d\0" % version in data)
        if newest < 10:
            pytest.skip("the program needs no glibc of a two-digit version")
        other = self.changed(tmp_path, lambda data: data.replace(b"GLIBC_2.%d\0" % newest, b"GLIBC_2.99\0"))
        with pytest.raises(HostError, match=r"needs glibc 2\.99 or newer, and this host \(.*\) has glibc 2\."):
            host.check_runs(other, "tool")

    def test_a_missing_library(self, tmp_path: Path) -> None:
        other = self.changed(tmp_path, lambda data: data.replace(b"libc.so.6\0", b"libx.so.6\0"))
        with pytest.raises(HostError, match=r"lacks libx\.so\.6"):
            host.check_runs(other, "tool")
