# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fake compilers, so that a build takes milliseconds and says what it was asked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.produce import Package
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.store import Store

TCP = Package("driver-tcp", ("client-tcp", "server-tcp"), ("cc",))

# Makes for package NAME the tools client-NAME and server-NAME, wherever cargo would put them.
CARGO = """#!/bin/sh
echo "cargo $*" >> "$BUILDS"
[ -n "$FAIL_WITH" ] && { seq 1 30; echo "$FAIL_WITH"; exit 101; }
package= target= root=
while [ $# -gt 0 ]; do
  case $1 in
    --target-dir) target=$2/release; shift;;
    --root) root=$2/bin; shift;;
    --package) package=$2; shift;;
    *@*) package=${1%@*};;
  esac
  shift
done
into=${root:-$target}
mkdir -p "$into"
for side in client server; do echo "#!/bin/sh" > "$into/$side-${package#driver-}"; done
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build host with a fake cargo; the file lists what it was called with."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {
        "cargo": CARGO,
        "rustc": "#!/bin/sh\necho ${RUSTC:-rustc 1.95.0}\n",
        "cc": "#!/bin/sh\n",
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in ("git", "sh", "seq", "mkdir"):
        os.symlink(shutil.which(name) or name, programs / name)
    log = tmp_path / "builds"
    log.touch()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "no-cargo-home"))
    monkeypatch.setenv("BUILDS", str(log))
    return log
