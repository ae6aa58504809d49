# SPDX-License-Identifier: GPL-3.0-or-later
"""One run that is being broken: its hosts, its victim, its processes. Everything is looked at from outside."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from netbench_lab.host import Host
from netbench_trial import processes
from netbench_trial.lab import LabTrial
from netbench_trial.trial import Playing

from .phases import Timeline


class Later:
    """Something that will be done, once: after some seconds, or at once when `now` is called."""

    def __init__(self, after_s: float, act: Callable[[], None]) -> None:
        self._act = act
        self._early = threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(after_s,), daemon=True)
        self._thread.start()

    def _wait(self, after_s: float) -> None:
        self._early.wait(after_s)
        self._act()

    def now(self) -> None:
        """Done when this returns."""
        self._early.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "what a fault broke could not be healed within 120 s"


@dataclass
class Scene:
    """`victim` is the host that a fault breaks. `laters` run when their time has come, or the run has ended."""

    trial: LabTrial
    results: Path
    victim: str
    dice: random.Random
    window_s: float
    lenient: bool = False  # its programs are killed as a rule
    playing: Playing | None = None
    timeline: Timeline | None = None
    laters: list[Later] = field(default_factory=list)
    second: Playing | None = None  # somebody else's command
    bystander: str = ""  # the pid of somebody else's process

    @property
    def host(self) -> Host:
        return self.trial.lab.hosts[self.victim]

    @property
    def play(self) -> Playing:
        assert self.playing is not None
        return self.playing

    # -- folders ---------------------------------------------------------------------------------------------------

    @property
    def run_folder(self) -> Path | None:
        """Of the newest run that has a record."""
        records = sorted(
            self.results.glob("2*/coordinator.jsonl")
        )  # a run's id begins with its time; `latest` is a link
        return records[-1].parent if records else None

    def worker_folder(self, host: str) -> Path:
        """The state of a host's worker, as seen from here."""
        return self.trial.lab.hosts[host].path(f"/var/lib/netbench-worker/{self.trial.token}")

    def journal(self, host: str) -> Path | None:
        run = self.run_folder
        return self.worker_folder(host) / "runs" / run.name / "journal.jsonl" if run else None

    # -- processes -------------------------------------------------------------------------------------------------

    def worker(self) -> int:
        """The victim's worker, as a process of this machine."""
        ours = f"worker.pyz serve --instance {self.trial.token} "
        (pid,) = self._of_victim(lambda pid: ours in processes.command(pid) and _parent(pid) == self.host.pid)
        return pid

    def benchmark(self) -> list[int]:
        """The victim's benchmark processes, held ones too, as processes of this machine."""
        worker = self.worker()
        return self._of_victim(lambda pid: _parent(pid) == worker)

    def _of_victim(self, wanted: Callable[[int], bool]) -> list[int]:
        here = os.readlink(f"/proc/{self.host.pid}/ns/net")
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/ns/net") == here and wanted(int(name)):
                    found.append(int(name))
        return found

    def coordinator(self) -> int | None:
        """The process that has the run's record open."""
        run = self.run_folder
        for pid in processes.children(self.play.process.pid):
            with contextlib.suppress(OSError):
                for handle in Path(f"/proc/{pid}/fd").iterdir():
                    if run and os.readlink(handle) == str(run / "coordinator.jsonl"):
                        return pid
        return None

    def signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def later(self, after_s: float, act: Callable[[], None]) -> None:
        """Do this after some seconds; the engine sees to it that it is done before it looks at what came of the run."""
        self.laters.append(Later(after_s, act))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
