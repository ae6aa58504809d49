# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rust packages, built by cargo. Private to this collection."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from . import programs
from .errors import BuildError, SourceError
from .source import Source
from .store import Store, digest


def toolchain(store: Store, why: str) -> str:
    """What the compiler calls itself, such as ``rustc 1.95.0``: part of a build's identity."""
    programs.find("cargo", why)
    rustc = programs.find("rustc", why)
    return programs.run(
        [rustc, "--version"], log=store.folder("logs") / "rustc.log", what="rustc", timeout_s=60
    ).strip()


def build(
    package: str,
    tools: Sequence[str],
    source: Source,
    *,
    tree: Path | None,
    compiler: str,
    store: Store,
    into: Path,
    timeout_s: float,
) -> None:
    """Build `package`, from the registry or from `tree`, and put its `tools` into the folder `into`."""
    target = store.folder("cargo-target") / digest([compiler, source.location.url or source.path])
    cargo = programs.find("cargo", package)
    if tree is None:
        root = into.parent / "cargo"
        exact = f"{package}@{source.version.lstrip('=')}"
        argv = [cargo, "install", "--locked", "--no-track", "--root", str(root), "--target-dir", str(target), exact]
        built = root / "bin"
    else:
        locked = ["--locked"] if (tree / "Cargo.lock").exists() else []
        manifest = str(tree / "Cargo.toml")
        if not (tree / "Cargo.toml").exists():
            raise SourceError(f"{source.name} has no Cargo.toml: it is not a Rust project")
        argv = [cargo, "build", "--release", *locked, "--manifest-path", manifest, "--target-dir", str(target)]
        argv += ["--package", package]
        built = target / "release"
    programs.run(
        argv,
        log=store.folder("logs") / f"{package}.log",
        what=f"building {package} from {source.name}",
        timeout_s=timeout_s,
        environment={"CARGO_TERM_COLOR": "never", "CARGO_TERM_PROGRESS_WHEN": "never"},
        secret=source.location,
    )
    for tool in tools:
        if not (built / tool).is_file():
            raise BuildError(f"{package} was built, but gave no {tool}")
        shutil.copy(built / tool, into / tool)
    shutil.rmtree(into.parent / "cargo", ignore_errors=True)
