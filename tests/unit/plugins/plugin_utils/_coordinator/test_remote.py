# SPDX-License-Identifier: GPL-3.0-or-later
"""A subcommand on a host always ends, whatever it still wants to say."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import remote
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import HostError

BOUND_S = 10.0
ENDLESS = "import sys\nwhile True:\n    sys.stdout.write('x' * 65536)\n"


class FullDisk(io.RawIOBase):
    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def program(folder: Path, text: str) -> Endpoint:
    (folder / "worker.pyz").write_text(text, encoding="utf-8")
    return Endpoint(
        host="h", address="127.0.0.1", ssh=(), python=sys.executable, program=str(folder / "worker.pyz"), options=()
    )


def bounded(endpoint: Endpoint, *, timeout_s: float, output: io.RawIOBase | None = None) -> bytes:
    """The outcome, or TimeoutError when it does not come by itself."""

    async def run() -> bytes:
        return await asyncio.wait_for(remote.run(endpoint, "export", output=output, timeout_s=timeout_s), BOUND_S)

    return asyncio.run(run())


def test_a_full_disk_here_ends_a_delivery_that_goes_on(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        bounded(program(tmp_path, ENDLESS), output=FullDisk(), timeout_s=60.0)


def test_a_deadline_ends_what_was_not_read(tmp_path: Path) -> None:
    class Slow(io.RawIOBase):
        def write(self, data: object) -> int:
            return 0

    with pytest.raises(HostError, match=r"took longer than 0\.5 s"):
        bounded(program(tmp_path, ENDLESS), output=Slow(), timeout_s=0.5)


def test_the_answer_and_the_last_words(tmp_path: Path) -> None:
    assert bounded(program(tmp_path, "print('fine')"), timeout_s=20.0) == b"fine\n"
    with pytest.raises(HostError, match="h: 'worker export' ended with status 3: no room"):
        bounded(program(tmp_path, "import sys; print('no room', file=sys.stderr); sys.exit(3)"), timeout_s=20.0)
