# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of built tools, addressed by what they were built from. Private to this collection.

::

    ~/.cache/netbench-orchestrator/tools/
        <key>/manifest.json, bin/<tool>   an entry: published whole by one rename, never changed afterwards
        requests/<request>.json           which entry a request was resolved to, so that a second run need not ask a
                                          compiler or a server again
        locks/<key>                       one builder at a time; the others wait and find the entry
        sources/, cargo-target/, logs/    what makes the next build quicker, and what the last one said
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from .errors import BuildError, SourceError

SCHEMA = 1
_POLL_S = 0.2


@dataclass(frozen=True)
class Tool:
    """One file of an entry."""

    sha256: str
    size: int
    version: str


@dataclass(frozen=True)
class Entry:
    """Tools that are in the cache. `origin` is what their key was made of, as plain data."""

    key: str
    folder: Path
    tools: dict[str, Tool]
    origin: dict[str, Any] = field(default_factory=dict)

    def path(self, tool: str) -> Path:
        return self.folder / "bin" / tool


def default_root() -> Path:
    """``$XDG_CACHE_HOME`` or ``~/.cache``, then ``netbench-orchestrator/tools``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netbench-orchestrator" / "tools"


def digest(identity: Any) -> str:
    """A short name for plain data: the same for equal data, on every machine."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]


def file_sha256(path: Path) -> str:
    sha256 = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            sha256.update(block)
    return sha256.hexdigest()


class Store:
    """The cache at `root`."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def folder(self, name: str) -> Path:
        """A folder of the cache, made on first use and closed to others."""
        path = self.root / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def lock(self, name: str, *, timeout_s: float) -> Iterator[None]:
        """Hold `name` alone, or give up after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        with open(self.folder("locks") / name, "w", encoding="utf-8") as stream:
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > deadline:
                    raise BuildError(f"another build of the same tools has held {stream.name} for {timeout_s:.0f} s")
                time.sleep(_POLL_S)  # flock has no timeout of its own; nothing is synchronised by this sleep
            yield

    def keys(self) -> list[str]:
        """The keys of all entries."""
        return sorted(path.parent.name for path in self.root.glob("*/manifest.json"))

    def load(self, key: str) -> Entry | None:
        """The entry of this key, or nothing when there is none or a file of it is not what was published."""
        folder = self.root / key
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
            tools = {name: Tool(**tool) for name, tool in manifest["tools"].items()}
            intact = all((folder / "bin" / name).stat().st_size == tool.size for name, tool in tools.items())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if manifest.get("schema") != SCHEMA or not intact:
            return None
        return Entry(key, folder, tools, manifest["origin"])

    def publish(self, key: str, origin: dict[str, Any], version: str, fill: Callable[[Path], None]) -> Entry:
        """Make the entry: `fill` puts the tools into a folder, which then appears under its key in one step.

        The caller holds the lock of `key`.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".new-") as temporary:
            folder = Path(temporary) / "entry"
            (folder / "bin").mkdir(parents=True)
            fill(folder / "bin")
            tools = {}
            for path in sorted((folder / "bin").iterdir()):
                path.chmod(0o755)
                tools[path.name] = Tool(file_sha256(path), path.stat().st_size, version)
            if not tools:
                raise SourceError("the source gave no tools at all")
            manifest = {
                "schema": SCHEMA,
                "origin": origin,
                "tools": {name: asdict(tool) for name, tool in tools.items()},
            }
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            shutil.rmtree(self.root / key, ignore_errors=True)  # only ever a damaged one: see load
            folder.rename(self.root / key)
        return Entry(key, self.root / key, tools, origin)

    def resolved(self, request: str, *, younger_than_s: float | None = None) -> Entry | None:
        """The entry that `request` led to, if it is still there (and that was less than `younger_than_s` ago)."""
        path = self.root / "requests" / f"{request}.json"
        try:
            if younger_than_s is not None and time.time() - path.stat().st_mtime > younger_than_s:
                return None
            return self.load(json.loads(path.read_text("utf-8"))["key"])
        except (OSError, ValueError, KeyError):
            return None

    def resolve(self, request: str, entry: Entry) -> None:
        """Remember where `request` led."""
        path = self.folder("requests") / f"{request}.json"
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"key": entry.key}), encoding="utf-8")
        temporary.replace(path)

    def pack(self, wanted: Mapping[str, Sequence[str]], into: Path) -> None:
        """Write a tar file with the `wanted` tools, by key, as ``key/tool``, checking them on the way.

        Raises:
            BuildError: an entry is gone or damaged; it is removed, so that the next run makes it again.
        """
        with tarfile.open(into, "w:gz", compresslevel=1) as tar:
            for key, names in wanted.items():
                entry = self.load(key)
                if not entry or any(file_sha256(entry.path(name)) != entry.tools[name].sha256 for name in names):
                    shutil.rmtree(self.root / key, ignore_errors=True)
                    raise BuildError(f"cache entry {self.root / key} was damaged and is removed; run again")
                tar.add(entry.folder / "manifest.json", f"{key}/manifest.json")
                for name in names:
                    tar.add(entry.path(name), f"{key}/{name}")

    def unpack(self, key: str, pack: Path) -> Entry:
        """Take an entry over from another machine's `pack`."""
        with self.lock(key, timeout_s=60), tarfile.open(pack) as tar:
            manifest = json.load(_member(tar, f"{key}/manifest.json"))

            def fill(into: Path) -> None:
                for name, tool in manifest["tools"].items():
                    path = into / os.path.basename(name)
                    with open(path, "wb") as stream:
                        shutil.copyfileobj(_member(tar, f"{key}/{name}"), stream)
                    if file_sha256(path) != tool["sha256"]:
                        raise BuildError(f"{name} arrived damaged from the build host; run again")

            version = next(iter(manifest["tools"].values()))["version"]
            return self.load(key) or self.publish(key, manifest["origin"], version, fill)


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    content = tar.extractfile(name)
    if content is None:
        raise BuildError(f"{name} is not a file in what the build host sent")
    return content
