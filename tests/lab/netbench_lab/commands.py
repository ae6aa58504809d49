# SPDX-License-Identifier: GPL-3.0-or-later
"""Running other programs, each with a deadline and with an error one can act on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

# Root's own PATH does not always have the system's folders, e.g. after plain `su`.
SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


class LabError(Exception):
    """The lab cannot do what was asked. The message says what failed and what to do."""


def run(
    argv: Sequence[str],
    *,
    timeout_s: float = 60,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `argv` to its end; raise LabError with its last lines when it fails or is not done in `timeout_s`."""
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=env or {**os.environ, "PATH": SEARCH},
        )
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed; `python3 tests/lab/lab.py setup` says what is missing") from None
    except subprocess.TimeoutExpired as exc:
        raise LabError(f"{' '.join(argv)}: not done after {timeout_s:g} s") from exc
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise LabError(f"{' '.join(argv)}: exit status {done.returncode}\n  " + "\n  ".join(said))
    return done


def succeeds(argv: Sequence[str], *, timeout_s: float = 60) -> bool:
    """Whether `argv` ends with status 0."""
    return run(argv, timeout_s=timeout_s, check=False).returncode == 0


def ticks(deadline_s: float, *, every_s: float = 0.1) -> Iterator[float]:
    """Yield the seconds left, at intervals, until `deadline_s` has passed: for what only looking can find."""
    end = time.monotonic() + deadline_s
    while (left := end - time.monotonic()) > 0:
        yield left
        time.sleep(min(every_s, max(0.0, end - time.monotonic())))


def wait_for(what: str, condition: Callable[[], bool], *, deadline_s: float, every_s: float = 0.1) -> None:
    """Look until `condition()` holds; raise LabError naming `what` after `deadline_s`."""
    for _left in ticks(deadline_s, every_s=every_s):
        if condition():
            return
    raise LabError(f"{what}: not so after {deadline_s:g} s")
