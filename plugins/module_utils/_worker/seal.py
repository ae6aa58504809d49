# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seals a sample's outputs: a list of every file with its size and sha256. Private to this collection.

``seal.json`` is ``{"schema": 1, "files": [{"path", "size", "sha256"}], "left_out": [path, …]}``. Only regular files
are sealed; links, sockets and the like are named in ``left_out`` and never followed, as are files with names that
nobody should show (line breaks, escapes). Inputs are not outputs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import SampleError, StorageError
from .storage import head, open_regular, write_atomically

SCHEMA = 1
NAME = "seal.json"
LIMIT_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 1 << 20
_FILES_LIMIT = 20_000
_DEPTH_LIMIT = 16


@dataclass(frozen=True)
class Seal:
    files: int
    size_bytes: int
    sha256: str  # of seal.json


async def seal(folder: Path, *, inputs: Iterable[str] = ()) -> Seal:
    """Write ``seal.json``; gives way to others between chunks, so that a large output keeps nobody waiting."""
    paths, left_out = regular_files(folder)
    skip = {NAME, *inputs}
    files = []
    for path in paths:
        if path not in skip:
            try:
                files.append(await _entry(folder, path))
            except PermissionError:  # its writer took our right to read it
                left_out.append(path)
    content = {"schema": SCHEMA, "files": files, "left_out": left_out}
    encoded = json.dumps(content, indent=1).encode("ascii") + b"\n"
    write_atomically(folder / NAME, encoded)
    return Seal(len(files), sum(entry["size"] for entry in files), hashlib.sha256(encoded).hexdigest())


def read(folder: Path) -> Seal | None:
    """The seal of a folder that was sealed before; None when it was not."""
    try:
        with os.fdopen(open_below(folder, NAME), "rb") as stream:
            encoded = head(stream, LIMIT_BYTES)
        document = json.loads(encoded)
        sizes = [entry["size"] for entry in document["files"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, StorageError):
        return None
    if document.get("schema") != SCHEMA or not all(_is_size(size) for size in sizes):
        return None
    return Seal(len(sizes), sum(sizes), hashlib.sha256(encoded).hexdigest())


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def regular_files(folder: Path) -> tuple[list[str], list[str]]:
    """Relative paths below ``folder``, sorted: the regular files, and everything else that is not a directory."""
    files: list[str] = []
    others: list[str] = []

    def visit(path: str, depth: int) -> None:
        with os.scandir(folder / path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                relative = os.path.join(path, entry.name)
                if not entry.name.isprintable():  # also what is no UTF-8
                    others.append(ascii(relative))
                    continue
                if entry.is_dir(follow_symlinks=False) and depth < _DEPTH_LIMIT:
                    visit(relative, depth + 1)
                elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                    files.append(relative)
                else:
                    others.append(relative)
                if len(files) + len(others) > _FILES_LIMIT:
                    raise SampleError(f"its folder holds more than {_FILES_LIMIT} files, they are not sealed")

    visit("", 0)
    return files, others


async def _entry(folder: Path, path: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(open_below(folder, path), "rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            await asyncio.sleep(0)
        os.fsync(stream.fileno())
    return {"path": path, "size": size, "sha256": digest.hexdigest()}


def open_below(folder: Path, path: str) -> int:
    """Open a regular file by its relative path, without following a link anywhere below ``folder``."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise StorageError(f"{path!r} is not a path below the folder.")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle = deeper
        return open_regular(parts[-1], dir_fd=handle)
    finally:
        os.close(handle)
