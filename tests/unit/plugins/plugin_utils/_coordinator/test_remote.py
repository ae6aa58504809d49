# SPDX-License-Identifier: GPL-3.0-or-later
"""A subcommand on a host always ends, whatever it still wants to say."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import remote
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.collect import Collected, collect
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import HostError, Unreachable

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


def test_who_says_nothing_is_not_waited_for_to_the_last_deadline(tmp_path: Path) -> None:
    """As over a connection that is half open."""

    async def run() -> bytes:
        endpoint = program(tmp_path, "import time; print('begun', flush=True); time.sleep(60)")
        return await asyncio.wait_for(remote.run(endpoint, "export", timeout_s=60.0, stall_s=0.5), BOUND_S)

    with pytest.raises(Unreachable, match=r"said nothing for 0\.5 s"):
        asyncio.run(run())


def test_ssh_itself_is_told_from_what_it_runs(tmp_path: Path) -> None:
    ssh = Endpoint(
        host="h", address="::1", ssh=("/bin/sh", "-c", "echo no route >&2; exit 255"), python="", program="", options=()
    )
    with pytest.raises(Unreachable, match=r"h: cannot be reached .*no route"):
        bounded(ssh, timeout_s=20.0)


def test_a_host_that_comes_back_still_delivers(tmp_path: Path) -> None:
    """The first time it cannot be reached; then there is a tar stream."""
    mark = tmp_path / "up"
    script = f"if [ -e {mark} ]; then exec tar -C {tmp_path} -c journal.jsonl; else : > {mark}; exit 255; fi"
    (tmp_path / "journal.jsonl").write_text("")
    (tmp_path / "run").mkdir()
    ssh = ("/bin/sh", "-c", script)
    endpoint = Endpoint(host="h", address="::1", ssh=ssh, alone=ssh, python="", program="", options=())

    def fetched(patience_s: float) -> Collected:
        return asyncio.run(collect(endpoint, "r", tmp_path / "run", timeout_s=20.0, patience=lambda: patience_s))

    assert fetched(0.0).unreachable
    mark.unlink()
    assert fetched(20.0) == Collected("h", files=1)
