# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a source to tools in the cache: found there, or made now. Private to this collection."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import cargo, git, prebuilt, programs
from .errors import SourceError
from .machine import Machine, this_machine
from .source import Source
from .store import Entry, Store, digest

FRESH_S = 60.0  # hosts of one play ask at nearly the same time; a branch is looked up for all of them together


@dataclass(frozen=True)
class Package:
    """What is built together: a Rust package, the tools (binaries) in it, the programs that its build needs."""

    name: str
    tools: tuple[str, ...]
    programs: tuple[str, ...] = ()


def package(given: Mapping[str, Any]) -> Package:
    """A package from plain data: ``{name, tools, programs}``."""
    unknown = set(given) - {"name", "tools", "programs"}
    if unknown or not given.get("name") or not given.get("tools"):
        raise SourceError(f"package {dict(given)!r}: expected a name, its tools, and the programs that its build needs")
    return Package(given["name"], tuple(given["tools"]), tuple(given.get("programs", ())))


def known(wanted: Package, source: Source, store: Store) -> Entry | None:
    """The entry with the tools of `wanted`, if nothing has to be asked or built for it."""
    if source.kind == "prebuilt":
        return _collected(wanted, source, store, timeout_s=60)[0]
    return store.resolved(_request(wanted, source, this_machine()))


def produce(
    wanted: Package,
    source: Source,
    store: Store,
    *,
    timeout_s: float,
    announce: Callable[[str], None] = lambda text: None,
) -> tuple[Entry, bool]:
    """The entry with the tools of `wanted`, and whether it had to be made. `announce` is told of what takes long.

    Raises:
        SourceError: the source is not there, or lacks a tool.
        BuildError: the build failed, or a program for it is missing.
    """
    if source.kind == "prebuilt":
        return _collected(wanted, source, store, timeout_s=timeout_s)
    request = _request(wanted, source, this_machine())
    floating = source.kind == "git" and not git.is_commit(source.ref)
    younger_than_s = FRESH_S if floating else None
    entry = store.resolved(request, younger_than_s=younger_than_s)
    if entry:
        return entry, False
    with store.lock(request, timeout_s=timeout_s):
        entry = store.resolved(request, younger_than_s=younger_than_s)
        if entry:  # made by the one that held the lock
            return entry, False
        entry, made = _built(wanted, source, store, timeout_s, announce)
        store.resolve(request, entry)
        return entry, made


def _request(wanted: Package, source: Source, machine: Machine) -> str:
    return digest([_identity(source), wanted.name, list(wanted.tools), asdict(machine)])


def _identity(source: Source) -> dict[str, str]:
    """What tells one version of the source from another, as far as it is known without asking a server."""
    if source.kind == "path":
        return {"kind": "path", "tree": tree_sha256(Path(source.path))}
    return {"kind": source.kind, "url": source.location.url, "ref": source.ref, "version": source.version}


def _built(
    wanted: Package, source: Source, store: Store, timeout_s: float, announce: Callable[[str], None]
) -> tuple[Entry, bool]:
    identity = _identity(source)
    if source.kind == "git":
        identity["ref"] = git.commit_of(source, store)
    compiler = cargo.toolchain(store, f"{wanted.name} from {source.kind}")
    for program in wanted.programs:
        programs.find(program, f"building {wanted.name}")
    what = {"package": wanted.name, "tools": list(wanted.tools)}
    origin = {**identity, **what, "built_on": asdict(this_machine()), "compiler": compiler}
    key = digest(origin)
    there = store.load(key)
    if there:
        return there, False
    version = source.version.lstrip("=") or (identity.get("ref") or identity["tree"])[:12]

    def fill(into: Path) -> None:
        tree = Path(source.path) if source.path else None
        if source.kind == "git":
            tree = git.checkout(source, identity["ref"], store)
        cargo.build(
            wanted.name,
            wanted.tools,
            source,
            tree=tree,
            compiler=compiler,
            store=store,
            into=into,
            timeout_s=timeout_s,
        )

    # One build at a time: cargo's target folder and the git checkout are shared, and compilers use every core anyway.
    with store.lock("build", timeout_s=timeout_s):
        announce(f"building {wanted.name} from {source.name} on {os.uname().nodename}: this takes minutes, once")
        return store.publish(key, origin, version, fill), True


def _collected(wanted: Package, source: Source, store: Store, *, timeout_s: float) -> tuple[Entry, bool]:
    with prebuilt.opened(source, wanted.tools, store) as files:
        sha256 = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
        origin = {"kind": "prebuilt", "tools": sha256, "version": source.version}
        key = digest(origin)
        there = store.load(key)
        if there:
            return there, False

        def fill(into: Path) -> None:
            for name, path in files.items():
                shutil.copy(path, into / name)

        with store.lock(key, timeout_s=timeout_s):
            there = store.load(key)
            return (there, False) if there else (store.publish(key, origin, source.version, fill), True)


def tree_sha256(root: Path) -> str:
    """A hash of a source tree's files, without what builds and version control leave in it."""
    if not root.is_dir():
        raise SourceError(f"{root} is not a folder of the build host")
    sha256 = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and not {"target", ".git"} & set(relative.parts):
            sha256.update(f"{relative.as_posix()}\0{path.stat().st_size}\0".encode())
            sha256.update(path.read_bytes())
    return sha256.hexdigest()


def names(packages: Sequence[Package]) -> list[str]:
    """All tools of `packages`; refused when two of them bring the same one."""
    found: list[str] = []
    for each in packages:
        found += each.tools
    twice = {name for name in found if found.count(name) > 1}
    if twice:
        raise SourceError(f"two packages bring the same tool: {', '.join(sorted(twice))}")
    return found
