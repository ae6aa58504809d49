# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the hosts of a scenario as processes on loopback, with pynetbench or a real driver at either end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CLI = "ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.cli"
PLACES = os.pathsep.join((str(ROOT / ".cache/drivers/bin"), os.environ.get("PATH", os.defpath)))
STARTED_WITHIN_S = 20
ENDED_WITHIN_S = 60


def command(driver: str, role: str) -> list[str]:
    """The command of a driver's role; skips the test when a real driver is not installed."""
    if driver == "pynetbench":
        return [sys.executable, "-m", CLI, role]
    name = f"s2n-netbench-driver-{role}-{driver}"
    path = shutil.which(name, path=PLACES)
    if path is None:
        pytest.skip(f"{name} is not on PATH: cargo install --locked s2n-netbench-driver-{driver} --root .cache/drivers")
    return [path]


@dataclass(frozen=True)
class Ended:
    """A process that is over: its exit status, its output, and what its statistics file says (pynetbench only)."""

    returncode: int
    output: str
    statistics: list[dict]

    def end(self) -> dict:
        return self.statistics[-1]


class Hosts:
    """The processes of one scenario."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen] = []

    def run(self, document: dict, *, server: str, client: str, **environ: str) -> tuple[list[Ended], list[Ended]]:
        """Servers first, observed listening, then all clients; when those have ended, the servers are told to stop."""
        path = self._folder / "scenario.json"
        path.write_text(json.dumps(document))
        ports = free_ports(len(document["servers"]))
        environ |= {"SCENARIO": str(path), **{f"SERVER_{i}": f"127.0.0.1:{port}" for i, port in enumerate(ports)}}
        servers = [
            self._start(command(server, "server"), f"server{i}", environ | {"SERVER_ID": str(i), "PORT": str(port)})
            for i, port in enumerate(ports)
        ]
        for port, process in zip(ports, servers, strict=True):
            wait_until(lambda port=port, process=process: process.poll() is not None or listening(port, server))
        clients = [
            self._start(command(client, "client"), f"client{i}", environ | {"CLIENT_ID": str(i)})
            for i in range(len(document["clients"]))
        ]
        deadline = time.monotonic() + ENDED_WITHIN_S
        for process in clients:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        for process in servers:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=STARTED_WITHIN_S)
        return (
            [self._ended(process, f"client{i}") for i, process in enumerate(clients)],
            [self._ended(process, f"server{i}") for i, process in enumerate(servers)],
        )

    def _start(self, arguments: list[str], name: str, environ: dict[str, str]) -> subprocess.Popen:
        basic = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT / ".collections")}
        with (self._folder / f"{name}.txt").open("wb") as output:
            process = subprocess.Popen(
                arguments,
                env=basic | {"STATISTICS": str(self._folder / f"{name}.jsonl")} | environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def _ended(self, process: subprocess.Popen, name: str) -> Ended:
        statistics = self._folder / f"{name}.jsonl"
        lines = statistics.read_text().splitlines() if statistics.exists() else []
        output = (self._folder / f"{name}.txt").read_text()
        return Ended(process.returncode, output, [json.loads(line) for line in lines])

    def stop(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def hosts(tmp_path):
    hosts = Hosts(tmp_path)
    yield hosts
    hosts.stop()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _number in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def listening(port: int, driver: str) -> bool:
    """Seen in the kernel's tables: a connection would be one more for the server."""
    tables, states = (("udp", "udp6"), {"07"}) if driver == "s2n-quic" else (("tcp", "tcp6"), {"0A"})
    for table in tables:
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] in states:
                return True
    return False


def wait_until(condition) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {STARTED_WITHIN_S} s"
        time.sleep(0.005)
