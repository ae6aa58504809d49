# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's folder as its contract says it is (docs/architecture.md), read with the standard library alone."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

FIRST_COLUMNS = [
    *("sample", "attempt", "started_utc", "verdict", "reason", "hosts"),
    *("start_skew_us", "start_skew_error_us", "stop_skew_us", "window_s", "lost_window_s"),
    *("control_packets", "rx_bytes", "tx_bytes", "goodput_bps"),
]


class RunFolder:
    """`results/<run_id>`. `cut`: a crash may have cut a line of the record."""

    def __init__(self, path: Path, *, cut: bool = False) -> None:
        self.path = path
        self._cut = cut

    def json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())

    @property
    def events(self) -> list[dict[str, Any]]:
        """The coordinator's journal."""
        lines = (self.path / "coordinator.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines if not self._cut or _is_whole(line)]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """The coordinator's lines of the samples' verdicts."""
        return self.of("sample")

    @property
    def rows(self) -> list[dict[str, str]]:
        """samples.csv."""
        with open(self.path / "samples.csv", newline="") as file:
            return list(csv.DictReader(file))

    def file(self, host: str, folder: str, name: str) -> Path:
        return self.path / "hosts" / host / folder / name

    def check_seals(self) -> int:
        """Every fetched file is in its seal with its size and hash, and the other way round; returns how many."""
        checked = 0
        for seal in sorted(self.path.glob("hosts/*/*/seal.json")):
            listed = {each["path"]: each for each in json.loads(seal.read_text())["files"]}
            present = {path.name for path in seal.parent.iterdir()} - {"seal.json"}
            assert present == set(listed), f"{seal}: sealed {sorted(listed)}, there {sorted(present)}"
            for name, entry in listed.items():
                content = (seal.parent / name).read_bytes()
                assert entry["size"] == len(content), f"{seal}: {name}"
                assert entry["sha256"] == hashlib.sha256(content).hexdigest(), f"{seal}: {name}"
            checked += len(listed)
        return checked

    def sampler(self, host: str, folder: str) -> list[dict[str, Any]]:
        """The rows of a host's sampler in one sample."""
        return [json.loads(line) for line in self.file(host, folder, "sampler.jsonl").read_text().splitlines()]

    def journal(self, host: str) -> list[dict[str, Any]]:
        """The worker's own journal of this run."""
        return [json.loads(line) for line in (self.path / "journal" / f"{host}.jsonl").read_text().splitlines()]


def _is_whole(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
