#!/usr/bin/env python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs `ansible-test sanity` on a copy of this tree, without reaching anything but the package index.

Two things of ansible-test have to be met:

* it insists on the path `…/ansible_collections/netbench/orchestrator`, without symbolic links: so the tracked and the
  new files of this tree are copied to such a path, outside any repository, whose ignored files it would leave out;
* for each of its tests it makes a virtual environment and fills it with a `get-pip` script that it downloads from a
  server of its own. A machine that reaches only a package index cannot. The script is looked up in the cache of
  the home folder first, so a stand-in is placed there that does the same with `ensurepip`, which Python carries. The
  home folder is one inside .cache: nothing of the user's is touched.

Arguments are handed on to `ansible-test sanity`, for example `--test validate-modules`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / ".cache/ansible-test-home"
BOOTSTRAPS = ("get_pip_24_2.py", "get_pip_25_2.py")  # ansible-core 2.19; 2.20 and later

STAND_IN = """\
# Stands in for the get-pip script that ansible-test would download: pip comes with Python, the rest from the index.
# Python's cycle collector is off in these environments: of pylint's time it takes 40 %, to save 20 MB.
import pathlib
import subprocess
import sys
import sysconfig

pathlib.Path(sysconfig.get_path("purelib"), "no_collector.pth").write_text("import gc; gc.disable()\\n")
subprocess.check_call([sys.executable, "-m", "ensurepip", "--upgrade", "--default-pip"])
packages = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "pip", "install", *packages])
"""


def tree_files() -> list[str]:
    """What a commit of this tree would hold; in a folder without git, everything but hidden and generated folders."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, capture_output=True, text=True, timeout=60, check=False)
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name and os.path.lexists(ROOT / name)]
    skipped = {"results", "__pycache__"}
    return [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if path.is_file() and not any(part.startswith(".") or part in skipped for part in path.relative_to(ROOT).parts)
    ]


def copy_tree(place: Path) -> None:
    """Put a copy of the tree at `place`, without the link by which a clone finds itself."""
    for name in tree_files():
        if not name.startswith(".collections/"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)


def place_bootstrap(home: Path) -> None:
    """Put the stand-in where ansible-test looks before it downloads; pip's settings of the user stay in force."""
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in BOOTSTRAPS:
        (cache / name).write_text(STAND_IN, encoding="utf-8")
    for name in (".config/pip", ".pip", ".cache/pip"):
        real, link = Path.home() / name, home / name
        if real.exists() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(real)


def main(arguments: list[str]) -> int:
    """The exit status of ansible-test."""
    place_bootstrap(HOME)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    program = Path(sys.executable).parent / "ansible-test"
    command = [sys.executable, str(program), "sanity", "--python", version, "--color", "no", *arguments]
    env = os.environ | {"HOME": str(HOME), "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryDirectory(prefix="netbench-sanity-") as folder:
        place = Path(folder) / "ansible_collections/netbench/orchestrator"
        copy_tree(place)
        return subprocess.run(command, cwd=place, env=env, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
