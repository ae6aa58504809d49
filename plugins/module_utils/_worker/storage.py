# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the worker keeps things, and how it opens them without being led astray. Private to this collection.

::

    STATE/plans/<plan_sha256>.json                 0600
    STATE/runs/<run_id>/journal.jsonl
    STATE/runs/<run_id>/samples/<NNNN>[.<attempt>]/
    STATE/current                                  the run that was loaded last and is not finished
    RUNTIME/worker.sock, worker.pid (locked)       0700

Root never works in a directory of somebody else: ``place.give_up_root`` takes on the owner's rights first.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .._protocol import plan as plans
from .._protocol.schema import SchemaError
from . import place
from .errors import StorageError

_FULL_BYTES = 1 << 16


@dataclass(frozen=True)
class Directories:
    """The two directories of one instance."""

    instance: str
    state: Path
    runtime: Path

    @property
    def socket(self) -> Path:
        return Path(place.socket_in(str(self.runtime)))

    @property
    def lock(self) -> Path:
        return self.runtime / "worker.pid"

    @property
    def log(self) -> Path:
        return self.state / "worker.log"

    @property
    def current(self) -> Path:
        return self.state / "current"

    def plan(self, sha256: str) -> Path:
        return self.state / "plans" / (sha256 + ".json")

    def run(self, run_id: str) -> Path:
        return self.state / "runs" / run_id

    def journal(self, run_id: str) -> Path:
        return self.run(run_id) / "journal.jsonl"


def directories(instance: str, *, state_dir: str | None = None, runtime_dir: str | None = None) -> Directories:
    """The directories of an instance, by who asks. Raises StorageError when there cannot be such ones."""
    state, runtime = place.folders(instance, state_dir, runtime_dir)
    return Directories(instance=instance, state=Path(state), runtime=Path(runtime))


def create(where: Directories) -> None:
    """Make both directories with all that belongs in them, owner-only."""
    create_state(where)
    _create_parent(where.runtime)
    if str(where.runtime.parent) == place.shared_runtime(os.getuid()):
        check_private(where.runtime.parent)
    _create(where.runtime)


def create_state(where: Directories) -> None:
    """What a worker's commands need of it while none is running."""
    for folder in (where.state, where.state / "plans", where.state / "runs"):
        _create(folder)


def _create(folder: Path) -> None:
    _create_parent(folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    check_private(folder)


def _create_parent(folder: Path) -> None:
    folder.parent.mkdir(mode=0o755 if os.getuid() == 0 else 0o700, parents=True, exist_ok=True)


def check_private(folder: Path) -> None:
    """A directory that is ours and that nobody else can write to. Raises StorageError."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise StorageError(f"{folder} is not a directory.")
    if found.st_uid != os.getuid():
        raise StorageError(
            f"{folder} belongs to user {found.st_uid}, not to {os.getuid()}: remove it, or choose another directory."
        )
    if found.st_mode & 0o022:
        raise StorageError(f"others can write to {folder}: chmod go-w, or choose another directory.")


def open_regular(path: Path | str, *, dir_fd: int | None = None) -> int:
    """A file descriptor for reading; only for a regular file, never through a link at its end."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StorageError(f"{path} is not a regular file.")
    return handle


def head(stream: BinaryIO, limit_bytes: int) -> bytes:
    """The first bytes of a regular file. ``read(limit)`` alone would ask for memory of that size, however small it
    is."""
    return stream.read(min(limit_bytes, os.fstat(stream.fileno()).st_size))


def write_atomically(path: Path, data: bytes) -> None:
    """All of it or nothing, owner-only, on the disk when this returns."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix="." + path.name + ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def fullness(folder: Path) -> str:
    """For the end of a message: a program that fails because the disk is full often cannot say so."""
    with contextlib.suppress(OSError):
        found = os.statvfs(folder)
        if found.f_bavail * found.f_frsize < _FULL_BYTES:
            return "; the disk for its outputs is full"
    return ""


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def store_plan(where: Directories, encoded: bytes) -> str:
    """Check a plan and keep it. Returns its sha256. Raises SchemaError, StorageError."""
    plans.parse(encoded)
    sha256 = plans.digest(encoded)
    try:
        write_atomically(where.plan(sha256), encoded)
    except OSError as problem:
        raise StorageError(f"the plan cannot be kept in {where.state}: {problem.strerror or problem}") from problem
    return sha256


def load_plan(where: Directories, sha256: str) -> plans.Plan:
    """The plan of that hash. Raises StorageError when it is missing, not ours, writable by others or another one."""
    path = where.plan(sha256)
    try:
        handle = open_regular(path)
    except FileNotFoundError:
        raise StorageError(f"there is no plan {sha256[:12]}… on this host: it has not been accepted here.") from None
    except OSError as problem:
        raise StorageError(f"the plan {path} cannot be opened: {problem.strerror}") from problem
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise StorageError(f"the plan {path} is refused: it must be ours, and nobody else's to write.")
        encoded = head(stream, plans.LIMIT_BYTES + 1)
    if plans.digest(encoded) != sha256:
        raise StorageError(f"the plan {path} is refused: its content is not what was announced.")
    try:
        return plans.parse(encoded)
    except SchemaError as problem:
        raise StorageError(f"the plan {sha256[:12]}… is refused: {problem}") from problem


def sample_folder_name(sample: int, attempt: int) -> str:
    return f"{sample:04d}" + (f".{attempt}" if attempt > 1 else "")


def place_files(folder: Path, files: Mapping[str, str], inputs: Mapping[str, str]) -> None:
    """Make a sample's folder and write its inputs. The folder must be new: no sample starts twice."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for name, sha256 in files.items():
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(inputs[sha256].encode("utf-8", "surrogatepass"))


def remember_current(where: Directories, run_id: str, plan_sha256: str) -> None:
    """So that a restarted worker knows what was loaded."""
    write_atomically(where.current, f"{run_id} {plan_sha256}\n".encode("ascii"))


def read_current(where: Directories) -> tuple[str, str] | None:
    try:
        handle = open_regular(where.current)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "r", encoding="utf-8", errors="replace") as stream:
        parts = stream.read(1000).split()
    try:
        return plans.NAME(parts[0], ()), plans.SHA256(parts[1], ())
    except (IndexError, SchemaError):
        raise StorageError(f"{where.current} is not understood: remove it.") from None


def forget_current(where: Directories) -> None:
    with contextlib.suppress(OSError):
        os.unlink(where.current)


def forget_plan(where: Directories, sha256: str) -> None:
    """A plan may hold secrets: it is not kept longer than its run."""
    with contextlib.suppress(OSError):
        os.unlink(where.plan(sha256))
