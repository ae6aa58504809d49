# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial on the hosts of a lab: real systemd, real sshd, as a user's own machines."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from netbench_lab.lab import Lab

from . import processes
from .trial import Trial


class LabTrial(Trial):
    """Workers as systemd services on lab hosts, whose processes are this kernel's too: marks are found from here."""

    def __init__(self, folder: Path, token: str, lab: Lab) -> None:
        super().__init__(folder, token)
        self.lab = lab
        self.port = 4433
        self.variables["worker_instance"] = token
        self.write_inventory()

    def write_inventory(self, **hostvars: Mapping[str, Any]) -> None:
        """The lab's own inventory with the trial's mark, what is known of the workers, and more for some hosts."""
        document = json.loads((self.lab.state / "inventory.json").read_text())
        given = document.pop("_meta")["hostvars"]
        groups = {
            name: {
                "hosts": {
                    host: {**given[host], **self.known_worker(host), **hostvars.get(host, {})}
                    for host in document[name]["hosts"]
                }
            }
            for name in ("servers", "clients")
        }
        common = {**document["all"]["vars"], "netbench_environment": {processes.MARK: self.token}}
        self.inventory.write_text(json.dumps({"all": {"vars": common, "children": groups}}))

    @property
    def hosts(self) -> list[str]:
        return list(self.lab.hosts)

    def worker_pid(self, host: str) -> int | None:
        """The pid, inside the host, of its worker."""
        found = self.lab.hosts[host].processes(rf"worker\.pyz serve .*{self.token}")
        return next(iter(found), None)

    def ports_taken(self) -> list[str]:
        return [
            f"{name}:{each.port} ({each.process})"
            for name, host in self.lab.hosts.items()
            if host.running
            for each in host.listening()
            if each.port != 22
        ]

    def close(self) -> None:
        """The lab itself goes with its own fixture."""


Kind = TypeVar("Kind", bound=LabTrial)


@contextlib.contextmanager
def lab_trial(lab: Lab, kind: type[Kind] = LabTrial) -> Iterator[Kind]:  # type: ignore[assignment]
    """A trial of this kind on this lab for the length of a `with` block."""
    folder = Path(tempfile.mkdtemp(prefix="netbench-trial-"))
    trial = kind(folder, folder.name.rpartition("-")[2].replace("_", "x"), lab)
    try:
        yield trial
    finally:
        trial.close()
        shutil.rmtree(folder, ignore_errors=True)
