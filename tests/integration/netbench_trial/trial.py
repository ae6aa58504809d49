# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial: hosts of its own, ansible-playbook as a user starts it, and everything gone at the end.

A trial on this machine has workers of its own (their state below a temporary folder, an instance name and loopback
addresses that nobody else has), so trials may run beside each other and beside a person's own runs. Benchmark processes
carry a mark in their environment, by which those that are left over are found.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import processes
from .results import RunFolder

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = Path(__file__).parent / "playbooks"
# This machine may be busy with anything: a skew that would spoil a measurement does not spoil a test of something else.
USUAL: dict[str, Any] = {"max_start_skew": "1s", "retry_budget": 10}
# Settings of the caller would test something else than what a user of a clean clone gets.
FOREIGN = ("ANSIBLE_", "NETBENCH_", "PYTHON")


@dataclass(frozen=True)
class Finished:
    """What came of an ansible-playbook."""

    status: int
    output: str  # stdout and stderr as they came
    elapsed_s: float

    def ok(self) -> Finished:
        assert self.status == 0, f"exit status {self.status} after {self.elapsed_s:.1f} s\n{self.output}"
        return self

    def failed(self) -> Finished:
        assert self.status not in (0, None), f"it ended well, but should not have\n{self.output}"
        return self


@dataclass
class Playing:
    """A running ansible-playbook, on a terminal of its own or on a pipe."""

    process: subprocess.Popen[bytes]
    terminal: int | None
    began_s: float = field(default_factory=time.monotonic)
    said: bytes = b""

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        source = self.terminal if self.terminal is not None else self.process.stdout.fileno()  # type: ignore[union-attr]
        with contextlib.suppress(OSError):  # a terminal whose last user is gone
            while data := os.read(source, 65536):
                self.said += data

    def press_ctrl_c(self) -> None:
        """The kernel sends SIGINT to the terminal's foreground process group, as for a person."""
        assert self.terminal is not None
        os.write(self.terminal, b"\x03")

    def kill_all(self) -> None:
        """SIGKILL for ansible-playbook and everything below it: the control node's power cord, nearly."""
        pids = [self.process.pid, *processes.children(self.process.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: none shall notice that another one has gone
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def end(self) -> None:
        """Kill it unless it has ended, and close what is open. Idempotent."""
        if self.process.poll() is None:
            self.kill_all()
        self.process.wait()
        self._reader.join(5)
        if self.process.stdout:
            self.process.stdout.close()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None

    def wait(self, timeout_s: float = 60) -> Finished:
        """Its end; what is not done in time is killed, and the test has failed."""
        late = False
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            late = True
        elapsed_s = time.monotonic() - self.began_s
        self.end()
        status = self.process.returncode
        assert not late, f"not done after {timeout_s:g} s:\n{self.text}"
        return Finished(status, self.text, elapsed_s)

    @property
    def text(self) -> str:
        return self.said.decode("utf-8", "replace").replace("\r\n", "\n")


class Trial:
    """Hosts, a results folder, and a way to start ansible-playbook on them."""

    def __init__(self, folder: Path, token: str) -> None:
        self.folder = folder
        self.token = token
        self.results = folder / "results"
        self.playing: list[Playing] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(folder / "ansible"),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
        self.inventory: Path = folder / "hosts.json"
        self.variables: dict[str, Any] = {"run_results": str(self.results)}

    def start(
        self, playbook: Path | str = "incast.yml", *arguments: str, terminal: bool = False, **variables: Any
    ) -> Playing:
        """ansible-playbook in a session of its own, with these extra variables."""
        given = json.dumps({**self.variables, **variables})
        argv = ["ansible-playbook", str(playbook), "-i", str(self.inventory), "-e", given, *arguments]
        common: dict[str, Any] = {"cwd": ROOT, "env": self.environment}
        if not terminal:
            return Playing(
                subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    start_new_session=True, **common,
                ),
                None,
            )  # fmt: skip
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 160))
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *argv], stdin=theirs, stdout=theirs, stderr=theirs, **common
        )
        os.close(theirs)
        return Playing(process, ours)

    def write_inventory(self, **hostvars: Mapping[str, Any]) -> None:
        """The inventory, with further variables for some hosts."""
        raise NotImplementedError

    @property
    def hosts(self) -> list[str]:
        """Their names."""
        raise NotImplementedError

    def worker_pid(self, host: str) -> int | None:
        """The pid of a host's worker; None when it does not live."""
        raise NotImplementedError

    def ports_taken(self) -> list[str]:
        """Where a benchmark's process still listens."""
        raise NotImplementedError

    def play(self, *arguments: Any, timeout_s: float = 60, **variables: Any) -> Finished:
        """Start, and wait for the end."""
        return self.start(*arguments, **variables).wait(timeout_s)

    @property
    def run(self) -> RunFolder:
        """The newest run."""
        there = (path for path in self.results.iterdir() if not path.name.startswith("."))
        folders = [path for path in there if path.is_dir() and not path.is_symlink()]
        return RunFolder(max(folders, key=lambda path: path.stat().st_ctime_ns))

    # Prepared hosts

    def prepare(self) -> None:
        """Install the workers as the role does, and remember where they are: later plays need not ask."""
        self.play(PLAYBOOKS / "prepare.yml", timeout_s=300, trial_workers=str(self.folder / "workers.json")).ok()
        self.write_inventory()

    def known_worker(self, host: str) -> dict[str, Any]:
        known = self.folder / "workers.json"
        return {"netbench_worker": json.loads(known.read_text())[host]} if known.exists() else {}

    def make_whole(self) -> None:
        """Every worker lives again, and the inventory is the usual one."""
        self.write_inventory()
        if not all(map(self.worker_pid, self.hosts)):
            self.prepare()

    def check_clean(self) -> None:
        """Nothing of a benchmark is left: no process, no port. A test that failed half-way is cleaned up after."""
        while self.playing:
            self.playing.pop().end()
        left = self.leftovers()
        for pid in left:  # the next test shall not suffer
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, f"left over: {left}"
        assert not self.ports_taken()

    def walk(self, workload: str | Mapping[str, Any], **variables: Any) -> Finished:
        """A run on the prepared hosts; `variables` as those of the role `run`, without the prefix."""
        return self.walking(workload, **variables).wait(variables.get("timeout_s", 60))

    def walking(self, workload: str | Mapping[str, Any], *, terminal: bool = False, **variables: Any) -> Playing:
        variables.pop("timeout_s", None)
        given = {f"run_{name}": value for name, value in {**USUAL, **variables}.items()}
        playing = self.start(PLAYBOOKS / "run.yml", terminal=terminal, run_workload=workload, **given)
        self.playing.append(playing)
        return playing

    def leftovers(self) -> dict[int, str]:
        """Benchmark processes of this trial on this machine (lab hosts' too: they are this kernel's processes)."""
        return processes.marked(self.token)


def until(what: str, true: Callable[[], Any], *, deadline_s: float, every_s: float = 0.02) -> Any:
    """Look until something is so, and return it; AssertionError naming it after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        if found := true():
            return found
        assert time.monotonic() < end, f"{what}: not so after {deadline_s:g} s"
        time.sleep(every_s)


class LocalTrial(Trial):
    """Servers and clients on this machine, without systemd. Nothing here needs root."""

    def __init__(self, folder: Path, token: str, *, servers: int, clients: int) -> None:
        super().__init__(folder, token)
        subnet = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        names = [f"server{i + 1}" for i in range(servers)] + [f"client{i + 1}" for i in range(clients)]
        self.addresses = {
            name: f"{subnet}.{(10 if name.startswith('server') else 100) + int(name[6:])}" for name in names
        }
        self.port = processes.free_port(list(self.addresses.values()))
        self.write_inventory()
        self.variables["worker_instance"] = "{{ inventory_hostname }}"
        self.variables["worker_state_dir"] = f"{folder}/state/{{{{ inventory_hostname }}}}"
        self.variables["worker_runtime_dir"] = f"{folder}/run/{{{{ inventory_hostname }}}}"

    def write_inventory(self, **hostvars: Mapping[str, Any]) -> None:
        """The inventory, with further variables for some hosts."""
        hosts = {
            name: {
                "netbench_address": address,
                "netbench_port": self.port,
                "netbench_environment": {processes.MARK: self.token},
                **self.known_worker(name),
                **hostvars.get(name, {}),
            }
            for name, address in self.addresses.items()
        }
        document = {
            "all": {
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "worker_mode": "user",
                    "worker_idle_exit_s": 300,
                },
                "children": {
                    group: {"hosts": {name: hosts[name] for name in hosts if name.startswith(group[:6])}}
                    for group in ("servers", "clients")
                },
            }
        }
        self.inventory.write_text(json.dumps(document))

    @property
    def hosts(self) -> list[str]:
        return list(self.addresses)

    def worker_pid(self, host: str) -> int | None:
        """The pid of a host's worker; None when it does not live."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "run" / host / "worker.pid").read_text())
            if ".pyz" in processes.command(pid):
                return pid
        return None

    def ports_taken(self) -> list[str]:
        return [name for name, address in self.addresses.items() if not processes.is_free(address, self.port)]

    def close(self) -> None:
        """End every worker, and what it runs."""
        pids = {host: self.worker_pid(host) for host in self.addresses}
        for pid in filter(None, pids.values()):
            os.kill(pid, signal.SIGTERM)
        try:
            until("the workers end", lambda: not any(map(self.worker_pid, pids)), deadline_s=10)
        finally:
            for pid in filter(None, map(self.worker_pid, pids)):
                os.kill(pid, signal.SIGKILL)
            for pid in self.leftovers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def local_trial(*, servers: int = 2, clients: int = 2) -> Iterator[LocalTrial]:
    """A trial on this machine for the length of a `with` block."""
    folder = Path(tempfile.mkdtemp(prefix="netbench-trial-"))
    trial = LocalTrial(folder, folder.name.rpartition("-")[2].replace("_", "x"), servers=servers, clients=clients)
    try:
        yield trial
    finally:
        trial.close()
        shutil.rmtree(folder, ignore_errors=True)
