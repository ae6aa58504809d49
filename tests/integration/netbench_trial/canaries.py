# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that were planted: where do they turn up?"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def watched(*texts: str, proc: Path = Path("/proc")) -> Iterator[Callable[[], set[str]]]:
    """Look through the arguments and environments of all processes, the hosts' included, again and again."""
    wanted, found, stop = [text.encode() for text in texts], set[str](), threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            for folder in proc.iterdir():
                for name in ("cmdline", "environ") if folder.name.isdigit() else ():
                    with contextlib.suppress(OSError):
                        content = (folder / name).read_bytes()
                        if any(each in content for each in wanted):
                            found.add(f"{name}: {content!r}")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: found
    finally:
        stop.set()
        watcher.join(10)


def where(text: str, *folders: Path) -> list[str]:
    """Files below these folders with this text in them."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if text.encode() in path.read_bytes()]
