# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git: which commit a name means, and its files. Private to this collection."""

from __future__ import annotations

import re
from pathlib import Path

from . import programs
from .errors import BuildError, SourceError
from .source import Source
from .store import Store, digest

TIMEOUT_S = 600.0


def is_commit(ref: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}", ref) is not None


def commit_of(source: Source, store: Store) -> str:
    """The full id of the commit that the source's ``ref`` names now."""
    if is_commit(source.ref):
        return source.ref
    said = _git(source, store, "ls-remote", "--", source.location.url, source.ref, f"{source.ref}^{{}}")
    names: dict[str, str] = {name: commit for commit, name in re.findall(r"^([0-9a-f]{40})\t(\S+)$", said, re.M)}
    wanted = f"refs/tags/{source.ref}^{{}}", f"refs/tags/{source.ref}", f"refs/heads/{source.ref}", source.ref
    found = next((names[name] for name in wanted if name in names), None)
    if not found:
        raise SourceError(f"{source.location.url} has no tag or branch {source.ref!r} (a commit needs all 40 digits)")
    return found


def checkout(source: Source, commit: str, store: Store) -> Path:
    """The files of `commit`, in a folder of the cache. The caller holds the lock of this source."""
    folder = store.folder("sources") / digest(source.location.url)
    if not (folder / ".git").is_dir():
        _git(source, store, "init", "--quiet", str(folder))

    def here(*arguments: str) -> str:
        return _git(source, store, "-C", str(folder), *arguments)

    try:
        here("fetch", "--quiet", "--depth=1", "--", source.location.url, commit)
    except BuildError:  # the server gives out names only, or whole histories only
        names = ["refs/heads/*", "refs/tags/*"] if is_commit(source.ref) else [source.ref]
        here("fetch", "--quiet", "--", source.location.url, *names)
    here("checkout", "--quiet", "--force", "--detach", commit)
    here("clean", "--quiet", "-ffdx")
    if (folder / ".gitmodules").exists():
        here("submodule", "update", "--init", "--recursive", "--depth=1")
    return folder


def _git(source: Source, store: Store, *arguments: str) -> str:
    return programs.run(
        [programs.find("git", "a git source"), *arguments],
        log=store.folder("logs") / f"git-{digest(source.location.url)}.log",
        what=f"git {next(word for word in arguments if word in _COMMANDS)} of {source.location.url}",
        timeout_s=TIMEOUT_S,
        environment=source.location.git_environment(),
        secret=source.location,
    )


_COMMANDS = {"ls-remote", "init", "fetch", "checkout", "clean", "submodule"}
