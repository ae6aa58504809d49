# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial on lab hosts with the real netperf and the real iperf3, which come from Debian's mirror, once per session."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from .lab import LabTrial
from .results import RunFolder
from .trial import PLAYBOOKS, until

KNOWN = ("netbench_worker", "netperf_tools", "iperf3_tools")
REACH = "import socket; socket.create_connection(('deb.debian.org', 80), 5)"
FOREIGN_PORT = 12865  # where a distribution's netserver, or somebody's, would be


class ToolsTrial(LabTrial):
    """server1 has the tools from the distribution, server3 in a folder of its own, the others a person's binaries."""

    def why_not(self) -> str:
        """Why the tools cannot be had here; empty when they can."""
        done = self.lab.hosts["server1"].run("python3", "-c", REACH, check=False)
        return "netperf and iperf3 come from deb.debian.org, which no lab host can reach" if done.returncode else ""

    def install(self) -> None:
        """Workers and both tools on all hosts."""
        self.play(PLAYBOOKS / "netperf.yml", timeout_s=400, trial_folder=str(self.folder)).ok()
        self.write_inventory()

    def known_worker(self, host: str) -> dict[str, Any]:
        known = self.folder / "known.json"
        return dict(zip(KNOWN, json.loads(known.read_text())[host], strict=True)) if known.exists() else {}

    def tools(self, host: str) -> dict[str, dict[str, str]]:
        """Program → its path, sha256 and version on a host, as the roles found it."""
        known = self.known_worker(host)
        return {**known["netperf_tools"], **known["iperf3_tools"]}

    def measured(self, workload: Any, **variables: Any) -> RunFolder:
        """A run that ended well; what is compared are bytes, so starts may be far apart on a busy machine."""
        self.walk(workload, timeout_s=180, **{"max_start_skew": "2s", "order": "in_turn", **variables}).ok()
        return self.run


@contextlib.contextmanager
def foreign_netserver(trial: ToolsTrial, name: str) -> Iterator[None]:
    """Somebody's own netserver on a host: the same process, and serving, when the block ends."""
    host, client = trial.lab.hosts[name], trial.lab.hosts["server3"]
    host.shell(f"exec /usr/bin/netserver -L {host.address} -p {FOREIGN_PORT}")

    def there() -> dict[int, str]:
        return host.processes(rf"netserver .*-p {FOREIGN_PORT}")

    before = until("somebody's netserver runs", there, deadline_s=10)
    try:
        yield
        assert there() == before
        program = trial.tools("server3")["netperf"]["path"]
        said = client.run(program, "-H", host.address, "-p", str(FOREIGN_PORT), "-t", "TCP_RR", "-l", "1", "-P", "0")
        assert float(said.stdout.splitlines()[0].split()[-1]) > 0
    finally:
        for pid in before:
            host.kill(pid)
