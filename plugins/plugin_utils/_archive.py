# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the worker's archive. Private to this collection: it may change without notice.

The worker travels as one file, a zip application, so that a host either has all of one version or none of it. The same
sources give the same bytes everywhere: entries are sorted, times and modes are fixed, and nothing is compressed (so the
result does not depend on the zlib at hand, and a host starts the worker without inflating it). Its SHA-256 therefore
names its content, which is how a host's copy is recognised and how the cache is keyed.

Precompiled bytecode is left out on purpose: it would help the one Python version that the controller happens to have.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

TOP_PACKAGE = "netbench_worker"
PACKAGES = ("_protocol", "_worker", "_netbench")
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = f"""\
from {TOP_PACKAGE}._worker.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip file can hold


class ArchiveError(Exception):
    """The worker's archive cannot be built."""


@dataclass(frozen=True)
class Archive:
    """One built archive: where it is, what its content hashes to, and the collection's version in it."""

    path: Path
    sha256: str
    version: str


def cache_dir() -> Path:
    """The collection's cache on this machine: ``$XDG_CACHE_HOME`` or ``~/.cache``, then ``netbench-orchestrator``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netbench-orchestrator"


def collection_root() -> Path:
    """The folder that holds ``plugins/``, in a clone as well as in an installed collection."""
    return Path(__file__).resolve().parents[2]


def collection_version(root: Path) -> str:
    """The version that ``MANIFEST.json`` (installed) or ``galaxy.yml`` (clone) of the collection names."""
    manifest, galaxy = root / "MANIFEST.json", root / "galaxy.yml"
    if manifest.is_file():
        return str(json.loads(manifest.read_bytes())["collection_info"]["version"])
    found = re.search(r"^version:\s*[\"']?([^\s\"'#]+)", galaxy.read_text("utf-8"), re.M) if galaxy.is_file() else None
    if not found:
        raise ArchiveError(
            f"{root} has neither MANIFEST.json nor galaxy.yml with a version: the collection is incomplete"
        )
    return found[1]


def content(root: Path) -> bytes:
    """The archive of the collection at `root`, as bytes that depend on its sources and version only."""
    sources = root / "plugins" / "module_utils"
    files = {
        f"{TOP_PACKAGE}/{path.relative_to(sources).as_posix()}": path.read_bytes()
        for package in PACKAGES
        for path in (sources / package).rglob("*.py")
    }
    missing = [name for name in PACKAGES if f"{TOP_PACKAGE}/{name}/__init__.py" not in files]
    if missing:
        raise ArchiveError(f"{sources} lacks {', '.join(missing)}: the collection is incomplete")
    files["__main__.py"] = _MAIN.encode()
    files[f"{TOP_PACKAGE}/__init__.py"] = b""
    files[f"{TOP_PACKAGE}/version.json"] = json.dumps({"version": collection_version(root)}).encode()

    buffer = io.BytesIO()
    buffer.write(_SHEBANG)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, whatever built it
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def build(destination_dir: Path | None = None, *, root: Path | None = None) -> Archive:
    """Build the archive into `destination_dir` (default: the cache) unless the very same one is already there."""
    root = root or collection_root()
    data = content(root)
    sha256 = hashlib.sha256(data).hexdigest()
    folder = destination_dir or cache_dir() / "worker"
    path = folder / f"worker-{sha256[:16]}.pyz"
    if not (path.is_file() and path.read_bytes() == data):
        write_atomically(path, data, mode=0o755)
    return Archive(path, sha256, collection_version(root))


def write_atomically(path: Path, data: bytes, *, mode: int) -> None:
    """Write `path` so that a reader, now or after a crash, sees the old file or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
