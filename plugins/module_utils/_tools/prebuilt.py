# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready binaries: from a file, a folder or a tar archive, here or at a URL. Private to this collection."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import SourceError
from .source import Source
from .store import Store, file_sha256

DOWNLOAD_TIMEOUT_S = 60.0


@contextlib.contextmanager
def opened(source: Source, tools: Sequence[str], store: Store) -> Iterator[dict[str, Path]]:
    """The chosen tools of a prebuilt source as files of this machine, for as long as the context lasts."""
    origin = Path(source.path) if source.path else _downloaded(source, store)
    if not origin.exists():
        raise SourceError(f"{source.name} does not exist on the build host")
    if source.path and source.sha256:
        if origin.is_dir():
            raise SourceError(f"{source.name} is a folder, which has no SHA-256: leave that out, or name a tar archive")
        _check(file_sha256(origin), source)
    if origin.is_dir():
        yield _chosen({path.name: path for path in sorted(origin.rglob("*")) if path.is_file()}, tools, source)
    elif tarfile.is_tarfile(origin):
        with tempfile.TemporaryDirectory() as folder:
            yield _chosen(_unpacked(origin, tools, Path(folder)), tools, source)
    else:
        name = os.path.basename(source.path or source.location.url)
        yield _chosen({tools[0] if len(tools) == 1 else name: origin}, tools, source)


def _chosen(found: dict[str, Path], tools: Sequence[str], source: Source) -> dict[str, Path]:
    missing = [tool for tool in tools if tool not in found]
    if missing:
        has = ", ".join(sorted(found)[:12]) or "no files"
        raise SourceError(f"{source.name} lacks {', '.join(missing)}; it has {has}")
    return {tool: found[tool] for tool in tools}


def _unpacked(archive: Path, tools: Sequence[str], folder: Path) -> dict[str, Path]:
    """Take the wanted regular files out of the archive by their last name, so no member can choose its place."""
    found, others = {}, {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = os.path.basename(member.name)
            if name not in tools:
                others[name] = folder
                continue
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                found[name] = folder / name
                with open(found[name], "wb") as stream:
                    shutil.copyfileobj(content, stream)
    return {**others, **found} if len(found) < len(tools) else found


def _downloaded(source: Source, store: Store) -> Path:
    """The file behind the URL, fetched once and known by its checksum."""
    path = store.folder("sources") / source.sha256
    if path.exists() and file_sha256(path) == source.sha256:
        return path
    sha256 = hashlib.sha256()
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream, _answer(source) as answer:
            for block in iter(lambda: answer.read(1 << 20), b""):
                sha256.update(block)
                stream.write(block)
        _check(sha256.hexdigest(), source)
        os.replace(temporary, path)
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"{source.location.url} cannot be fetched: {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"{source.location.url} cannot be fetched: {source.location.scrub(str(reason))}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return path


def _answer(source: Source) -> Any:
    """The response to a request for exactly the file's bytes, with the source's own credentials and no others."""
    from ansible.module_utils.urls import open_url  # only here: ready binaries from a file need no network

    authorization = source.location.authorization
    return open_url(
        source.location.url,
        headers={"Authorization": authorization} if authorization else {},
        unredirected_headers=["Authorization"],
        timeout=DOWNLOAD_TIMEOUT_S,
        decompress=False,
        use_netrc=False,
    )


def _check(found: str, source: Source) -> None:
    if found != source.sha256:
        raise SourceError(f"{source.name} has SHA-256 {found} instead of {source.sha256}: it is not what was meant")
