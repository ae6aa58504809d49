# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest: labs for tests. A folder's conftest.py imports `lab_of` and names it in `__all__`.

```python
def test_cut(lab_of):
    lab = lab_of(servers=3, clients=3)      # made once per session and shape, removed at its end
    with lab.hosts["server1"].partitioned(lab.control):
        ...
```
`lab_of` makes all hosts ready again (switched on, not paused, not cut off, not limited) before it hands the lab over.
Without root or without a container runtime the test is skipped, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from . import settings
from .lab import Lab
from .setup import missing

LabOf = Callable[..., Lab]


def why_no_lab() -> str:
    """Why this machine cannot have a lab; empty when it can."""
    if os.geteuid() != 0:
        return "a lab needs root"
    absent = missing(settings.from_environment(os.environ))
    return f"not installed: {', '.join(sorted(absent))} (see `lab.py setup`)" if absent else ""


@pytest.fixture(scope="session")
def lab_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabOf]:
    """`lab_of(servers=3, clients=3)` → a ready Lab of this session's own."""
    if why := why_no_lab():
        pytest.skip(why)
    base = settings.from_environment(os.environ, name=f"test-{os.getpid()}")
    made: dict[tuple[int, int, str], Lab] = {}

    def lab_of(*, servers: int, clients: int, name: str = "") -> Lab:
        key = (servers, clients, name)
        if key not in made:
            made[key] = Lab(
                replace(base, name="-".join(filter(None, (base.name, name, f"{servers}x{clients}")))), print
            )
        made[key].repair()
        made[key].up(servers, clients)
        return made[key]

    try:
        yield lab_of
    finally:
        for lab in made.values():
            lab.down()
