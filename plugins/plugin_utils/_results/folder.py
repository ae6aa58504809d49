# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result folder: the one place that knows its names, and how it is read and written. Private to this collection.

    results/<run_id>/            results/latest is a link to the newest
      plan.json  coordinator.jsonl  manifest.json  samples.csv  summary.json  report.html
      pairs.csv  export.json (of a matrix)
      hosts/<host>/<NNNN>[.<attempt>]/…     journal/<host>.jsonl

What lies under ``hosts/`` and ``journal/`` was written by workers: it is read with limits, only regular files inside
the folder are opened, and links are never followed. Files are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .errors import FolderError

LATEST = "latest"
FILE_LIMIT_BYTES = 64 * 1024 * 1024  # of one file that a worker wrote
HOST_LIMIT_BYTES = 128 * 1024 * 1024  # of all that is read of one host's sample
LINE_LIMIT_BYTES = 16 * 1024 * 1024
_NAME_LIMIT = 200
_SAMPLE = re.compile(r"[0-9]{4,7}(\.[0-9]{1,4})?")


def host_name(host: str) -> str:
    """A host as the name of a file: as it is for ordinary names, percent-encoded for the others (``../x``, ``a/b``)."""
    name = quote(host, safe=" :@[]+,=~")
    if len(name) > _NAME_LIMIT:
        name = f"{name[: _NAME_LIMIT - 17]}~{hashlib.sha256(name.encode('ascii')).hexdigest()[:16]}"
    return name.replace(".", "%2E") if not name.strip(".") else name


def sample_name(sample: int, attempt: int = 1) -> str:
    """``0003``, and ``0003.2`` for the second attempt."""
    return f"{sample:04d}" if attempt <= 1 else f"{sample:04d}.{attempt}"


def is_sample_name(name: str) -> bool:
    return _SAMPLE.fullmatch(name) is not None


@dataclass(frozen=True)
class ResultFolder:
    """The paths of one run's results."""

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def coordinator(self) -> Path:
        return self.path / "coordinator.jsonl"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def samples(self) -> Path:
        return self.path / "samples.csv"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def pairs(self) -> Path:
        return self.path / "pairs.csv"

    @property
    def export(self) -> Path:
        return self.path / "export.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def hosts(self) -> Path:
        return self.path / "hosts"

    def journal(self, host: str) -> Path:
        return self.path / "journal" / f"{host_name(host)}.jsonl"

    def outputs(self, host: str, sample_folder: str) -> Path:
        """Where one host's outputs of one sample lie; ``sample_folder`` as :func:`sample_name` makes it."""
        if not is_sample_name(sample_folder):
            raise FolderError(f"{sample_folder[:40]!r} is not the name of a sample's folder (expected 0003 or 0003.2).")
        return self.hosts / host_name(host) / sample_folder

    def point_latest(self) -> None:
        """Make ``results/latest`` a link to this run; a real file or folder of that name is left alone."""
        link = self.path.parent / LATEST
        if link.exists() and not link.is_symlink():
            return
        fresh = self.path.parent / f".{LATEST}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.path.name)
        fresh.replace(link)


def find(run: str, results: Path) -> ResultFolder:
    """The folder of ``run``: a run_id inside ``results``, ``latest``, or a path. Raises FolderError."""
    for candidate in (results / run, Path(run)):
        folder = ResultFolder(candidate.resolve())
        if folder.coordinator.is_file():
            return folder
    raise FolderError(
        f"No run {run!r} in {results}: neither {results / run} nor {Path(run)} has a coordinator.jsonl. "
        f"Known runs: {', '.join(sorted(runs(results))[-5:]) or 'none'}."
    )


def runs(results: Path) -> list[str]:
    """The run_ids in ``results``."""
    if not results.is_dir():
        return []
    return [each.name for each in results.iterdir() if not each.is_symlink() and (each / "coordinator.jsonl").is_file()]


def write(path: Path, content: str, *, mode: int = 0o644) -> bool:
    """``content`` to ``path``, whole or not at all; False when it was there already. Raises FolderError."""
    encoded = content.encode("utf-8", "backslashreplace")
    if read(path, limit=len(encoded) + 1) == encoded:
        return False
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise FolderError(
            f"{path} cannot be written: {error.strerror}. Is the results folder writable, is there space?"
        ) from error
    return True


def read(path: Path, *, limit: int = FILE_LIMIT_BYTES) -> bytes | None:
    """The first ``limit`` bytes of a regular file; None for anything else (missing, a link, a pipe, not readable)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read(min(limit, os.fstat(file.fileno()).st_size))


def json_lines(content: bytes, *, limit_bytes: int = LINE_LIMIT_BYTES, most: int = 1 << 62) -> Iterator[dict[str, Any]]:
    """The objects in a file of JSON lines; what is not one (a line cut off by a crash, garbage) is left out.

    Lines longer than ``limit_bytes`` are left out, and so is all after ``most`` lines.
    """
    start = 0
    while start < len(content) and most > 0:
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        if 1 < end - start <= limit_bytes:
            document = json_object(content[start:end])
            if document is not None:
                yield document
        start, most = end + 1, most - 1


def json_object(content: bytes | str) -> dict[str, Any] | None:
    """A JSON object, or None when it is not one."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
