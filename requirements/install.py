#!/usr/bin/env python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the virtual environments that the project works with, and nothing when they are already right.

    install.py NAME…        makes or repairs the named environments
    install.py --list       prints the names, their folders and requirement files

An environment is right when its stamp equals the hash of its requirement files, its interpreter and its folder: so an
unchanged tree costs one hash, and a changed pin, an upgraded Python or a moved clone is repaired. The stamp is written
last; an interrupted installation is simply done again. Runs with the standard library of Python 3.11 only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent
ROOT = REQUIREMENTS.parent
# What a person's pip settings may say about where to install; where to download from is theirs to say.
MISLEADING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PYTHONPATH", "PYTHONHOME")
INSTALL_LIMIT_S = 900
ANSWER_LIMIT_S = 30


@dataclass(frozen=True)
class Environment:
    """A virtual environment: where it is, what is in it, and on which Python versions it can stand (newest first)."""

    folder: str
    files: tuple[str, ...]
    pythons: tuple[str, ...] = ()  # empty: the Python that runs this script


ENVIRONMENTS = {
    "controller": Environment(".venv", ("controller.txt",)),
    "test": Environment(".venv", ("controller.txt", "test.txt")),
    "bare": Environment(".cache/venv/bare", ("ansible-core.txt",)),
    "newest": Environment(".cache/venv/newest", ("newest-core.txt", "pytest.txt"), ("3.14", "3.13", "3.12")),
    "oldest": Environment(".cache/venv/oldest", ("worker-test.txt",), ("3.9",)),
    "amazon": Environment(".cache/venv/amazon", ("controller.txt", "amazon.txt")),
}


class SetUpError(Exception):
    """The environment cannot be made; the message says why and what to do."""

    exit_status = 1


class NoInterpreterError(SetUpError):
    """The machine has no Python of a version that the environment is for: nothing is wrong, it just cannot be here."""

    exit_status = 77


def interpreter(environment: Environment) -> str:
    """The path of the interpreter to build on; raises NoInterpreterError when the machine has none."""
    if not environment.pythons:
        return sys.executable
    homes = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")]
    for version in environment.pythons:
        named = shutil.which(f"python{version}")
        if named and Path(named).parent.name == "shims":  # it is pyenv's, wherever that is
            homes.append(Path(named).parent.parent)
        candidates = [
            named,
            *(str(path) for home in homes for path in sorted(home.glob(f"versions/{version}.*/bin/python3"))),
        ]
        for candidate in filter(None, candidates):
            if version_of(candidate) == version:
                return candidate
    raise NoInterpreterError(f"needs one of Python {', '.join(environment.pythons)}, and this machine has none")


def version_of(python: str) -> str:
    """What this interpreter says it is, as 3.9; empty when it cannot make environments.

    A version manager's shim exists for versions that were never installed: only an answer counts.
    """
    command = [python, "-I", "-c", "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"]
    try:
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def stamp_of(environment: Environment, python: str, folder: Path) -> str:
    """What the environment depends on, as one hash."""
    digest = hashlib.sha256()
    for part in (python, os.path.realpath(python), str(folder)):
        digest.update(part.encode() + b"\0")
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        if path.name in environment.files or path.name in included(environment.files):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def included(files: tuple[str, ...]) -> set[str]:
    """Names of the files that `-r` and `-c` lines of the given ones refer to, and so on."""
    names: set[str] = set()
    for name in files:
        for line in (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["-r"], ["-c"]):
                names |= {words[1]} | included((words[1],))
    return names


def run(command: list[str], what: str) -> None:
    """Run a step of the installation; its output is shown only when it fails."""
    env = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONNOUSERSITE": "1"}
    try:
        done = subprocess.run(
            command, env=env, text=True, timeout=INSTALL_LIMIT_S, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise SetUpError(f"{what}: not done after {INSTALL_LIMIT_S} s ({' '.join(command)})") from exc
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise SetUpError(f"{what}: exit status {done.returncode} of {' '.join(command)}\n{tail}")


def make(name: str) -> Path:
    """Make the environment unless it is right; returns its folder."""
    environment = ENVIRONMENTS[name]
    folder = ROOT / environment.folder
    stamp = folder / f".stamp-{name}"
    python = interpreter(environment)
    wanted = stamp_of(environment, python, folder)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted and (folder / "bin/python").exists():
        return folder

    print(f"setting up {environment.folder} ({', '.join(environment.files)}) …", flush=True)
    base = folder / ".stamp-base"
    identity = f"{os.path.realpath(python)}\n{folder}"
    if not (base.is_file() and base.read_text(encoding="utf-8") == identity):
        run([python, "-m", "venv", "--clear", str(folder)], f"making {environment.folder}")
        base.write_text(identity, encoding="utf-8")
    stamp.unlink(missing_ok=True)
    arguments = [argument for file in environment.files for argument in ("-r", str(REQUIREMENTS / file))]
    run([str(folder / "bin/python"), "-m", "pip", "install", "-q", *arguments], f"installing into {environment.folder}")
    stamp.write_text(wanted, encoding="utf-8")
    return folder


def main(arguments: list[str]) -> int:
    """Exit status: 0 done, 1 failed, 2 asked wrongly, 77 no such Python on this machine (said on stderr)."""
    if arguments == ["--list"]:
        for name, environment in ENVIRONMENTS.items():
            print(f"{name:12} {environment.folder:24} {' '.join(environment.files)}")
        return 0
    unknown = [name for name in arguments if name not in ENVIRONMENTS]
    if unknown or not arguments:
        print(f"usage: install.py {{{'|'.join(ENVIRONMENTS)}}}…  (unknown: {unknown})", file=sys.stderr)
        return 2
    (ROOT / ".cache").mkdir(exist_ok=True)
    with (ROOT / ".cache/install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once take turns
        for name in arguments:
            try:
                make(name)
            except SetUpError as exc:
                print(f"set-up of {name}: {exc}", file=sys.stderr)
                return exc.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
