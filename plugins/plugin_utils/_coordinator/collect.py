# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a run's outputs home: one tar stream per host, believed only as far as it proves itself. Private to this
collection.

A worker may be broken or hostile. So only names below the run's own folder are taken, only regular files, nothing is
overwritten by a link, sizes are bounded, and every sample folder must agree with its seal: a list of path, size and
sha256. Of tar's many kinds of header two are understood, those of a file and of a long name: what else there is says
in a few bytes that something is large, or makes Python's own reader search, repeat or keep what it has read.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .._results.folder import host_name
from . import remote
from .endpoint import Endpoint
from .errors import HostError, Unreachable
from .text import one_line

LIMIT_BYTES = 8 << 30
LIMIT_FILES = 100_000
STALL_S = 30.0  # also on a slow host a worker's program is there sooner, and then reads files
PAUSE_S = 1.0
LIMIT_DEPTH = 18  # the worker seals 16 folders deep
SEAL = "seal.json"
NAME_LIMIT_BYTES = 16 << 10
CHUNK_BYTES = 1 << 17
SEAL_LIMIT_BYTES = 32 << 20
_FOLDER = re.compile(r"[0-9]{4,7}(\.[0-9]{1,4})?")


@dataclass(frozen=True)
class Collected:
    """What one host delivered. ``problem`` None: everything is there and agrees with its seals."""

    host: str
    folders: tuple[str, ...] = ()
    files: int = 0
    size_bytes: int = 0
    problem: str | None = None
    unreachable: bool = False  # it has them still, whole


class _Untrusted(Exception):
    """The stream is not what an honest worker sends."""


async def collect(
    endpoint: Endpoint, run_id: str, folder: Path, *, timeout_s: float, patience: Callable[[], float] = float
) -> Collected:
    """Fetches the run's sealed outputs of one host into ``folder/hosts/<host>`` and its journal into
    ``folder/journal``.

    A host that cannot be reached may be booting: it is tried again until ``patience`` seconds have passed.
    """
    began_s = time.monotonic()
    while True:
        try:
            return await _collect(endpoint, run_id, folder, timeout_s=timeout_s)
        except Unreachable as problem:
            if time.monotonic() + PAUSE_S > began_s + patience():
                return Collected(endpoint.host, problem=problem.problem, unreachable=True)
            await remote.hush(endpoint)  # Ansible's own connection may be half open: no more through that
            endpoint = endpoint.on_its_own()
            await asyncio.sleep(PAUSE_S)


async def _collect(endpoint: Endpoint, run_id: str, folder: Path, *, timeout_s: float) -> Collected:
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            await remote.run(endpoint, "export", run_id, output=stream, timeout_s=timeout_s, stall_s=STALL_S)
            stream.seek(0)
            return await asyncio.to_thread(unpack, stream, endpoint.host, folder)
    except Unreachable:
        raise
    except HostError as problem:
        return Collected(endpoint.host, problem=problem.problem)
    except OSError as problem:  # the disk here; what this host has sent is gone from it again
        return Collected(endpoint.host, problem=f"its outputs were not taken: {problem.strerror}")


def unpack(stream: IO[bytes], host: str, folder: Path) -> Collected:
    """Takes a tar stream apart into the result folder; see the module's docstring for what is believed."""
    hosts = folder / "hosts"
    hosts.mkdir(exist_ok=True)
    (folder / "journal").mkdir(exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
    try:
        count, size = _extract(stream, staging)
        folders = sorted(path for path in staging.iterdir() if path.is_dir())
        for sample in folders:
            _verify(sample)
        journal = staging / "journal.jsonl"
        if journal.exists():
            os.replace(journal, folder / "journal" / f"{host_name(host)}.jsonl")
        (hosts / host_name(host)).mkdir(exist_ok=True)
        for sample in folders:
            target = hosts / host_name(host) / sample.name
            if target.exists():
                shutil.rmtree(target)
            os.replace(sample, target)
        return Collected(host, tuple(sample.name for sample in folders), count, size)
    except (_Untrusted, tarfile.TarError, EOFError, OSError, ValueError, ArithmeticError, RecursionError) as problem:
        return Collected(host, problem=one_line(f"its outputs were not taken: {problem}"))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _extract(stream: IO[bytes], staging: Path) -> tuple[int, int]:
    count = size = 0
    for name, member_size in _members(stream):
        parts = name.removeprefix("./").split("/")
        if parts[0] == "samples":
            parts = parts[1:]
        if not (_is_output(parts) or parts == ["journal.jsonl"]):
            raise _Untrusted(f"{name[:100]!r} has no place in a result folder")
        count += 1
        size += member_size
        if count > LIMIT_FILES or size > LIMIT_BYTES:
            raise _Untrusted("too many files, or too large")
        target = staging.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as output:
            for chunk in _content(stream, member_size):
                output.write(chunk)
    return count, size


def _members(stream: IO[bytes]) -> Iterator[tuple[str, int]]:
    """Name and size of each file; its content is to be read from the stream before the next is asked for.

    Only the header is left to tarfile, which else would act upon whatever it finds.
    """
    name = None
    while any(block := stream.read(tarfile.BLOCKSIZE)):
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.GNUTYPE_LONGNAME):
            raise _Untrusted(f"{header.name[:100]!r} has no place in a result folder")
        is_name = header.type == tarfile.GNUTYPE_LONGNAME
        if header.size < 0 or (is_name and (name is not None or header.size > NAME_LIMIT_BYTES)):
            raise _Untrusted(f"it has a header that announces {header.size} bytes")
        if is_name:
            name = b"".join(_content(stream, header.size)).partition(b"\0")[0].decode("utf-8", "surrogateescape")
        else:
            yield name or header.name, header.size
            name = None


def _content(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """So many bytes of the stream, and past what fills the last block."""
    left = size
    while left:
        chunk = stream.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise _Untrusted(f"it breaks off {left} bytes too early")
        left -= len(chunk)
        yield chunk
    stream.read(-size % tarfile.BLOCKSIZE)


def _is_output(parts: list[str]) -> bool:
    """A sample's folder and a path below it, each part a name that can be shown; as the worker seals them."""
    if not 2 <= len(parts) <= LIMIT_DEPTH or not _FOLDER.fullmatch(parts[0]):
        return False
    return all(part not in ("", ".", "..") and part.isprintable() for part in parts)


def _verify(sample: Path) -> None:
    """Every file is in the seal with its size and hash, and the other way round."""
    try:
        with open(sample / SEAL, "rb") as file:
            content = file.read(SEAL_LIMIT_BYTES)
        seal = json.loads(content)
        if seal["schema"] != 1:
            raise _Untrusted(f"sample {sample.name} has a seal of schema {seal['schema']!r:.40}, expected 1")
        listed = {entry["path"]: (entry["size"], entry["sha256"]) for entry in seal["files"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise _Untrusted(f"sample {sample.name} has no readable seal ({type(problem).__name__})") from problem
    present = {path.relative_to(sample).as_posix(): path for path in sample.rglob("*") if not path.is_dir()}
    del present[SEAL]
    if set(present) != set(listed):
        odd = sorted(set(present) ^ set(listed), key=str)[0]
        raise _Untrusted(f"sample {sample.name}: {odd!r} is not both sealed and delivered")
    for name, path in present.items():
        if (path.stat().st_size, _sha256(path)) != listed[name]:
            raise _Untrusted(f"sample {sample.name}: {name!r} differs from its seal")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
