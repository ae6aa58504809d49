# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run's sealed outputs and journal as a tar stream. Private to this collection.

Only what a seal lists leaves the host: regular files, by relative names, opened without following links.
The coordinator reads GNU's headers only: there is less to them than to those of POSIX.
"""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import BinaryIO

from . import seal, storage
from .errors import StorageError


def export(where: storage.Directories, run_id: str, stream: BinaryIO) -> None:
    """Write ``journal.jsonl`` and ``samples/<folder>/…``. Raises StorageError when there is no such run."""
    root = where.run(run_id)
    if not root.is_dir():
        raise StorageError(f"there is no run {run_id!r} on this host.")
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, root, "journal.jsonl")
        samples = root / "samples"
        for folder in sorted(os.listdir(samples)) if samples.is_dir() else ():
            for path in _sealed(samples / folder):
                _add(archive, root, f"samples/{folder}/{path}")


def _sealed(folder: Path) -> list[str]:
    try:
        with os.fdopen(seal.open_below(folder, seal.NAME), "rb") as stream:
            document = json.load(stream)
    except FileNotFoundError:
        return []  # still going on
    return [seal.NAME, *(entry["path"] for entry in document["files"])]


def _add(archive: tarfile.TarFile, root: Path, path: str) -> None:
    with os.fdopen(seal.open_below(root, path), "rb") as stream:
        found = os.fstat(stream.fileno())
        entry = tarfile.TarInfo(path)
        entry.size, entry.mtime, entry.mode = found.st_size, int(found.st_mtime), 0o600
        archive.addfile(entry, stream)
